//! The names of algorithms (RFC 7518 sections 4.1 and 5.1), and which of them may be used.

/// A size of AES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Aes128,
    Aes192,
    Aes256,
}

impl Size {
    pub const fn bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
}

/// How a key is encrypted with RSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    Pkcs1,
    OaepSha1,
    OaepSha256,
}

/// How the key of the content becomes known (`alg`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// It is the key that both sides know.
    Direct,
    /// It is wrapped in that key (RFC 3394).
    Wrap(Size),
    /// It is encrypted with that key.
    GcmWrap(Size),
    Rsa(Padding),
    /// It is agreed on, or wrapped in what is agreed on.
    Agreement(Option<Size>),
}

const ALGORITHMS: [(&str, Algorithm); 14] = [
    ("RSA1_5", Algorithm::Rsa(Padding::Pkcs1)),
    ("RSA-OAEP", Algorithm::Rsa(Padding::OaepSha1)),
    ("RSA-OAEP-256", Algorithm::Rsa(Padding::OaepSha256)),
    ("A128KW", Algorithm::Wrap(Size::Aes128)),
    ("A192KW", Algorithm::Wrap(Size::Aes192)),
    ("A256KW", Algorithm::Wrap(Size::Aes256)),
    ("dir", Algorithm::Direct),
    ("ECDH-ES", Algorithm::Agreement(None)),
    ("ECDH-ES+A128KW", Algorithm::Agreement(Some(Size::Aes128))),
    ("ECDH-ES+A192KW", Algorithm::Agreement(Some(Size::Aes192))),
    ("ECDH-ES+A256KW", Algorithm::Agreement(Some(Size::Aes256))),
    ("A128GCMKW", Algorithm::GcmWrap(Size::Aes128)),
    ("A192GCMKW", Algorithm::GcmWrap(Size::Aes192)),
    ("A256GCMKW", Algorithm::GcmWrap(Size::Aes256)),
];

/// Known by name, so that lists may have them, but not spoken: their cost is chosen by whoever sends a token.
const BY_PASSWORD: [&str; 3] = [
    "PBES2-HS256+A128KW",
    "PBES2-HS384+A192KW",
    "PBES2-HS512+A256KW",
];

impl Algorithm {
    pub fn find(name: &[u8]) -> Option<Self> {
        let mut all = ALGORITHMS.iter();
        let found = all.find(|(known, _)| known.as_bytes() == name);
        found.map(|(_, algorithm)| *algorithm)
    }

    pub fn name(self) -> &'static str {
        ALGORITHMS[self.place()].0
    }

    /// Whether a key is sent along.
    pub fn sends_key(self) -> bool {
        !matches!(self, Self::Direct | Self::Agreement(None))
    }

    /// Whether both sides share a secret.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::Direct | Self::Wrap(_) | Self::GcmWrap(_))
    }

    fn place(self) -> usize {
        let mut all = ALGORITHMS.iter();
        all.position(|(_, known)| *known == self)
            .unwrap_or_default()
    }
}

/// How the content is encrypted (`enc`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// AES-CBC with a keyed digest, each with one half of the key.
    CbcHmac(Size),
    Gcm(Size),
}

const ENCRYPTIONS: [(&str, Encryption); 6] = [
    ("A128CBC-HS256", Encryption::CbcHmac(Size::Aes128)),
    ("A192CBC-HS384", Encryption::CbcHmac(Size::Aes192)),
    ("A256CBC-HS512", Encryption::CbcHmac(Size::Aes256)),
    ("A128GCM", Encryption::Gcm(Size::Aes128)),
    ("A192GCM", Encryption::Gcm(Size::Aes192)),
    ("A256GCM", Encryption::Gcm(Size::Aes256)),
];

impl Encryption {
    pub fn find(name: &[u8]) -> Option<Self> {
        let mut all = ENCRYPTIONS.iter();
        let found = all.find(|(known, _)| known.as_bytes() == name);
        found.map(|(_, encryption)| *encryption)
    }

    pub fn name(self) -> &'static str {
        ENCRYPTIONS[self.place()].0
    }

    /// The length of its key.
    pub fn key_bytes(self) -> usize {
        match self {
            Self::CbcHmac(size) => 2 * size.bytes(),
            Self::Gcm(size) => size.bytes(),
        }
    }

    fn place(self) -> usize {
        let mut all = ENCRYPTIONS.iter();
        all.position(|(_, known)| *known == self)
            .unwrap_or_default()
    }
}

/// What may be used (`jwt.decrypt_alg_list`, `jwt.decrypt_enc_list`): a bit for each row above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    algorithms: u16,
    encryptions: u8,
}

impl Default for Allowed {
    /// All but RSA1_5, whose padding gives keys away when errors can be told apart (RFC 8725 section 3.2).
    fn default() -> Self {
        let weak = 1 << Algorithm::Rsa(Padding::Pkcs1).place();
        Self {
            algorithms: ALL_ALGORITHMS & !weak,
            encryptions: ALL_ENCRYPTIONS,
        }
    }
}

const ALL_ALGORITHMS: u16 = (1 << ALGORITHMS.len()) - 1;
const ALL_ENCRYPTIONS: u8 = (1 << ENCRYPTIONS.len()) - 1;

impl Allowed {
    pub fn algorithm(self, algorithm: Algorithm) -> bool {
        self.algorithms & (1 << algorithm.place()) != 0
    }

    pub fn encryption(self, encryption: Encryption) -> bool {
        self.encryptions & (1 << encryption.place()) != 0
    }

    /// Allows what a list says alone: names with colons between them, `ALL`, and names to be left out behind `!`.
    ///
    /// # Errors
    /// A name that is not known.
    pub fn set_algorithms<'a>(&mut self, list: &'a str) -> Result<(), &'a str> {
        let known = |name: &str| match Algorithm::find(name.as_bytes()) {
            Some(algorithm) => Some(1 << algorithm.place()),
            None => BY_PASSWORD.contains(&name).then_some(0),
        };
        self.algorithms = listed(list, u32::from(ALL_ALGORITHMS), known)? as u16;
        Ok(())
    }

    /// As [`Allowed::set_algorithms`].
    ///
    /// # Errors
    /// A name that is not known.
    pub fn set_encryptions<'a>(&mut self, list: &'a str) -> Result<(), &'a str> {
        let known = |name: &str| Some(1 << Encryption::find(name.as_bytes())?.place());
        self.encryptions = listed(list, u32::from(ALL_ENCRYPTIONS), known)? as u8;
        Ok(())
    }

    /// All names that lists may have.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let algorithms = ALGORITHMS.iter().map(|(name, _)| *name);
        algorithms.chain(ENCRYPTIONS.iter().map(|(name, _)| *name))
    }
}

fn listed(list: &str, all: u32, known: impl Fn(&str) -> Option<u32>) -> Result<u32, &str> {
    let mut bits = 0;
    for word in list.split(':') {
        match (word, word.strip_prefix('!')) {
            ("ALL", _) => bits = all,
            (_, Some(name)) => bits &= !known(name).ok_or(word)?,
            (name, None) => bits |= known(name).ok_or(word)?,
        }
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_told() {
        for (name, algorithm) in ALGORITHMS {
            assert_eq!(Algorithm::find(name.as_bytes()), Some(algorithm));
            assert_eq!(algorithm.name(), name);
        }
        for (name, encryption) in ENCRYPTIONS {
            assert_eq!(Encryption::find(name.as_bytes()), Some(encryption));
            assert_eq!(encryption.name(), name);
        }
        assert_eq!(Algorithm::find(b"none"), None);
    }

    #[test]
    fn lists_allow_and_forbid() {
        let weak = Algorithm::Rsa(Padding::Pkcs1);
        for (list, direct, rsa) in [
            ("ALL", true, true),
            ("ALL:!RSA1_5", true, false),
            ("dir", true, false),
            ("RSA1_5:A128KW", false, true),
            ("dir:!dir", false, false),
            ("dir:PBES2-HS256+A128KW", true, false),
        ] {
            let mut allowed = Allowed::default();
            assert!(allowed.algorithm(Algorithm::Direct) && !allowed.algorithm(weak));
            allowed.set_algorithms(list).expect("a list");
            let found = (
                allowed.algorithm(Algorithm::Direct),
                allowed.algorithm(weak),
            );
            assert_eq!(found, (direct, rsa), "{list}");
        }
        let mut allowed = Allowed::default();
        allowed.set_encryptions("A128GCM").expect("a list");
        assert!(allowed.encryption(Encryption::Gcm(Size::Aes128)));
        assert!(!allowed.encryption(Encryption::Gcm(Size::Aes256)));
        assert_eq!(allowed.set_encryptions("A128GCM:x"), Err("x"));
        assert_eq!(allowed.set_algorithms("!x"), Err("!x"));
        assert_eq!(allowed.set_algorithms(""), Err(""));
    }
}
