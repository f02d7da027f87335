//! Groups for key exchange (`curves`, `ecdhe`), by the names that OpenSSL gives them.

/// A group that can be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    X25519,
    P256,
    P384,
    P521,
    X25519MlKem768,
    P256MlKem768,
    MlKem768,
}

/// Names of each group, the first being the one that is shown.
const NAMES: &[(&str, Group)] = &[
    ("X25519", Group::X25519),
    ("P-256", Group::P256),
    ("prime256v1", Group::P256),
    ("secp256r1", Group::P256),
    ("P-384", Group::P384),
    ("secp384r1", Group::P384),
    ("P-521", Group::P521),
    ("secp521r1", Group::P521),
    ("X25519MLKEM768", Group::X25519MlKem768),
    ("SecP256r1MLKEM768", Group::P256MlKem768),
    ("MLKEM768", Group::MlKem768),
];

/// What is offered where nothing is written.
pub const DEFAULT: &[Group] = &[
    Group::X25519MlKem768,
    Group::X25519,
    Group::P256,
    Group::P384,
    Group::P521,
];

/// Most names in one list.
const NAMES_MAX: usize = 64;

/// The groups of a list such as `X25519:P-256`, and the names in it that stand for nothing that is offered.
pub fn parse(list: &str) -> (Vec<Group>, Vec<String>) {
    let (mut groups, mut unknown) = (Vec::new(), Vec::new());
    for name in list.split([':', ',', '/']).take(NAMES_MAX) {
        // OpenSSL 3.5 marks names: '?' may be missing, '*' is guessed first, '-' is taken out.
        let bare = name.trim().trim_start_matches(['?', '*']);
        if bare.is_empty() {
            continue;
        }
        let found = NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(bare));
        match found {
            Some((_, group)) if !groups.contains(group) => groups.push(*group),
            Some(_) => {}
            None => unknown.push(bare.to_owned()),
        }
    }
    (groups, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_their_order() {
        use Group::{P256, P384, P521, X25519};
        let unknown = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (list, groups, left) in [
            ("X25519:P-256", &[X25519, P256][..], &[][..]),
            ("prime256v1", &[P256], &[]),
            ("secp384r1:secp521r1:X448", &[P384, P521], &["X448"]),
            ("P-256:secp256r1", &[P256], &[]),
            ("brainpoolP512r1", &[], &["brainpoolP512r1"]),
            ("", &[], &[]),
        ] {
            assert_eq!(parse(list), (groups.to_vec(), unknown(left)), "{list}");
        }
    }
}
