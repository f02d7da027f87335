//! Certificates and keys as text (RFC 7468).

use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::{KeyForm, PrivateKey};

/// Bytes of a line.
const LINE: usize = 48;

/// DER as files hold it.
pub fn text(label: &str, der: &[u8]) -> String {
    // All of it at once: a text that grows would leave copies of keys behind.
    let lines = der.len() / LINE + 1;
    let mut text = String::with_capacity(lines * (LINE / 3 * 4 + 1) + 2 * label.len() + 40);
    for (what, body) in [("BEGIN", der), ("END", &[])] {
        text.push_str("-----");
        text.push_str(what);
        text.push(' ');
        text.push_str(label);
        text.push_str("-----\n");
        for line in body.chunks(LINE) {
            BASE64.encode_append(line, &mut text);
            text.push('\n');
        }
    }
    text
}

/// Certificates behind each other.
pub fn chain(chain: &[Vec<u8>]) -> String {
    let parts = chain.iter().map(|der| text("CERTIFICATE", der));
    parts.collect()
}

/// A key in its own form.
pub fn private_key(key: &PrivateKey) -> Zeroizing<String> {
    let label = match key.form {
        KeyForm::Pkcs1 => "RSA PRIVATE KEY",
        KeyForm::Pkcs8 => "PRIVATE KEY",
        KeyForm::Sec1 => "EC PRIVATE KEY",
    };
    Zeroizing::new(text(label, key.der()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::authorities;

    #[test]
    fn what_is_written_is_read_again() {
        for length in [0, 1, 47, 48, 49, 1_000] {
            let der = vec![7; length];
            let text = text("X", &der);
            assert!(text.len() <= text.capacity(), "{length}");
            assert!(text.lines().all(|line| line.len() <= 64), "{length}");
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/site.pem");
        let read = authorities(&std::fs::read(path).expect("a file")).expect("certificates");
        assert_eq!(authorities(chain(&read).as_bytes()), Ok(read));
        let key = PrivateKey::new(KeyForm::Sec1, vec![1, 2, 3]);
        let text = private_key(&key);
        assert_eq!(
            *text,
            "-----BEGIN EC PRIVATE KEY-----\nAQID\n-----END EC PRIVATE KEY-----\n"
        );
    }
}
