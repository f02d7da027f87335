//! Comma-separated lists of tokens, as in `Connection`, `Upgrade` and `TE`.

/// Whether a byte may be part of a token (RFC 9110 section 5.6.2).
pub fn is_token_byte(byte: u8) -> bool {
    super::scan::NAME[byte as usize] != 0
}

/// The members of a comma-separated list, without surrounding blanks; empty ones are left out.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    members(value).filter(|member| !member.is_empty())
}

/// The members of a comma-separated list, empty ones included.
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// Without surrounding spaces and tabs.
pub fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_start(bytes);
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Without leading spaces and tabs.
pub fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether the list contains `token`, without regard to case.
pub fn contains(value: &[u8], token: &[u8]) -> bool {
    list(value).any(|member| member.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_and_trimmed() {
        let members: Vec<&[u8]> = list(b" a ,, b\t,c d,").collect();
        assert_eq!(members, [&b"a"[..], b"b", b"c d"]);
        assert_eq!(list(b" , ").count(), 0);
        assert!(contains(b"keep-alive, UPGRADE", b"upgrade"));
        assert!(!contains(b"upgraded, xupgrade", b"upgrade"));
    }
}
