//! Cipher suites, and OpenSSL's language for lists of them (`ciphers`, `ciphersuites`; see openssl-ciphers(1)).
//!
//! What is offered are the suites with forward secrecy and authenticated encryption. The language is read in full, but
//! over these suites alone: `HIGH:!aNULL` and long lists of names give what is left of them here.

use super::Version;

/// A suite that can be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CipherSuite {
    Tls13Aes128,
    Tls13Aes256,
    Tls13ChaCha20,
    EcdsaAes128,
    EcdsaAes256,
    EcdsaChaCha20,
    RsaAes128,
    RsaAes256,
    RsaChaCha20,
}

impl CipherSuite {
    /// The suites of TLS 1.3, in the order of OpenSSL's default.
    pub const TLS13: [Self; 3] = [Self::Tls13Aes256, Self::Tls13ChaCha20, Self::Tls13Aes128];

    /// The suites of TLS 1.2, in the order of OpenSSL's default.
    pub const TLS12: [Self; 6] = [
        Self::EcdsaAes256,
        Self::RsaAes256,
        Self::EcdsaChaCha20,
        Self::RsaChaCha20,
        Self::EcdsaAes128,
        Self::RsaAes128,
    ];

    /// The suites of TLS 1.3 as they are preferred where no list is written. Processors hash with SHA-256 by an
    /// instruction, and with SHA-384 by some thousand, of which a handshake has dozens; no attack is known that a key of
    /// 256 bits would stand and one of 128 would not.
    pub const TLS13_PREFERRED: [Self; 3] =
        [Self::Tls13Aes128, Self::Tls13Aes256, Self::Tls13ChaCha20];

    /// The suites of TLS 1.2 as they are preferred where no list is written.
    pub const TLS12_PREFERRED: [Self; 6] = [
        Self::EcdsaAes128,
        Self::RsaAes128,
        Self::EcdsaAes256,
        Self::RsaAes256,
        Self::EcdsaChaCha20,
        Self::RsaChaCha20,
    ];

    /// OpenSSL's name, which is IANA's for TLS 1.3.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls13Aes128 => "TLS_AES_128_GCM_SHA256",
            Self::Tls13Aes256 => "TLS_AES_256_GCM_SHA384",
            Self::Tls13ChaCha20 => "TLS_CHACHA20_POLY1305_SHA256",
            Self::EcdsaAes128 => "ECDHE-ECDSA-AES128-GCM-SHA256",
            Self::EcdsaAes256 => "ECDHE-ECDSA-AES256-GCM-SHA384",
            Self::EcdsaChaCha20 => "ECDHE-ECDSA-CHACHA20-POLY1305",
            Self::RsaAes128 => "ECDHE-RSA-AES128-GCM-SHA256",
            Self::RsaAes256 => "ECDHE-RSA-AES256-GCM-SHA384",
            Self::RsaChaCha20 => "ECDHE-RSA-CHACHA20-POLY1305",
        }
    }

    /// IANA's name.
    pub const fn iana_name(self) -> &'static str {
        match self {
            Self::EcdsaAes128 => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            Self::EcdsaAes256 => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            Self::EcdsaChaCha20 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            Self::RsaAes128 => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            Self::RsaAes256 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            Self::RsaChaCha20 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            tls13 => tls13.name(),
        }
    }

    /// IANA's number.
    pub const fn number(self) -> u16 {
        match self {
            Self::Tls13Aes128 => 0x1301,
            Self::Tls13Aes256 => 0x1302,
            Self::Tls13ChaCha20 => 0x1303,
            Self::EcdsaAes128 => 0xc02b,
            Self::EcdsaAes256 => 0xc02c,
            Self::EcdsaChaCha20 => 0xcca9,
            Self::RsaAes128 => 0xc02f,
            Self::RsaAes256 => 0xc030,
            Self::RsaChaCha20 => 0xcca8,
        }
    }

    /// The suite of a number.
    pub fn numbered(number: u16) -> Option<Self> {
        let all = Self::TLS13.into_iter().chain(Self::TLS12);
        all.into_iter().find(|suite| suite.number() == number)
    }

    /// The version of TLS that it belongs to.
    pub const fn version(self) -> Version {
        match self {
            Self::Tls13Aes128 | Self::Tls13Aes256 | Self::Tls13ChaCha20 => Version::Tls13,
            _ => Version::Tls12,
        }
    }

    /// Bits of the symmetric key.
    pub const fn key_bits(self) -> u32 {
        match self {
            Self::Tls13Aes128 | Self::EcdsaAes128 | Self::RsaAes128 => 128,
            _ => 256,
        }
    }

    /// Whether a word of OpenSSL's language covers this suite of TLS 1.2.
    fn is_covered(self, word: &str) -> bool {
        let ecdsa = matches!(
            self,
            Self::EcdsaAes128 | Self::EcdsaAes256 | Self::EcdsaChaCha20
        );
        let chacha = matches!(self, Self::EcdsaChaCha20 | Self::RsaChaCha20);
        let aes128 = matches!(self, Self::EcdsaAes128 | Self::RsaAes128);
        match word {
            "ALL" | "DEFAULT" | "HIGH" | "TLSv1.2" | "COMPLEMENTOFDEFAULT" => {
                word != "COMPLEMENTOFDEFAULT"
            }
            "ECDH" | "ECDHE" | "EECDH" | "kECDHE" | "kEECDH" => true,
            "ECDSA" | "aECDSA" => ecdsa,
            "aRSA" => !ecdsa,
            "AES" | "AESGCM" => !chacha,
            "AES128" => aes128,
            "AES256" => !aes128 && !chacha,
            "CHACHA20" => chacha,
            name => name == self.name() || name == self.iana_name(),
        }
    }
}

/// Words that stand for suites which are not offered, so that there is nothing to say about them when they exclude.
fn is_known(word: &str) -> bool {
    CipherSuite::TLS12
        .iter()
        .any(|suite| suite.is_covered(word))
}

/// Most words in one list.
const WORDS_MAX: usize = 512;

/// What a list of suites comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suites {
    /// In the order of preference.
    pub suites: Vec<CipherSuite>,
    /// Names that ask for suites which are not offered.
    pub missing: Vec<String>,
}

/// Reads a list of TLS 1.2 suites.
pub fn parse_tls12(list: &str) -> Suites {
    let mut killed = Vec::new();
    let mut read = Suites::default();
    let words = list
        .split([':', ',', ' ', ';'])
        .filter(|word| !word.is_empty());
    for word in words.take(WORDS_MAX) {
        let word = if is_profile(word) { "ALL" } else { word };
        // @SECLEVEL and @STRENGTH have nothing to sort out here: all suites are strong ones.
        let word = word.split('@').next().unwrap_or_default();
        if word.is_empty() {
            continue;
        }
        let (sign, rest) = match word.as_bytes()[0] {
            sign @ (b'!' | b'-' | b'+') => (sign, &word[1..]),
            _ => (b' ', word),
        };
        let covered = |suite: &CipherSuite| rest.split('+').all(|part| suite.is_covered(part));
        let suites = CipherSuite::TLS12.into_iter().filter(covered);
        match sign {
            b'!' => {
                killed.extend(suites);
                read.suites.retain(|suite| !covered(suite));
            }
            b'-' => read.suites.retain(|suite| !covered(suite)),
            b'+' => {
                let (moved, kept) = read.suites.iter().partition(|suite| covered(suite));
                let _: &Vec<CipherSuite> = &moved;
                read.suites = kept;
                read.suites.extend(moved);
            }
            _ => {
                let before = read.suites.len();
                for suite in suites {
                    if !killed.contains(&suite) && !read.suites.contains(&suite) {
                        read.suites.push(suite);
                    }
                }
                // Those of TLS 1.3 are named elsewhere, and OpenSSL passes them over here.
                let is_newer = CipherSuite::TLS13.iter().any(|suite| suite.name() == rest);
                if before == read.suites.len() && !is_newer && !rest.split('+').all(is_known) {
                    read.missing.push(rest.to_owned());
                }
            }
        }
    }
    read
}

/// Reads a list of TLS 1.3 suites, which are names and nothing else.
pub fn parse_tls13(list: &str) -> Suites {
    let mut read = Suites::default();
    let names = list.split([':', ',', ' ']).filter(|name| !name.is_empty());
    for name in names.take(WORDS_MAX) {
        if is_profile(name) {
            read.suites = CipherSuite::TLS13.to_vec();
            continue;
        }
        match CipherSuite::TLS13
            .into_iter()
            .find(|suite| suite.name() == name)
        {
            Some(suite) if !read.suites.contains(&suite) => read.suites.push(suite),
            Some(_) => {}
            None => read.missing.push(name.to_owned()),
        }
    }
    read
}

/// `PROFILE=SYSTEM`, with which files of Red Hat's leave the choice to the machine: everything that is offered is.
fn is_profile(word: &str) -> bool {
    word.starts_with("PROFILE=")
}

/// What OpenSSL's names of suites and of groups of them are made of.
const PARTS: [&str; 32] = [
    "AES", "ALL", "ARIA", "CAMELLIA", "CBC", "CCM", "CHACHA", "DEFAULT", "DES", "DH", "DSS",
    "ECDSA", "EXP", "FIPS", "GCM", "GOST", "HIGH", "IDEA", "LOW", "MD5", "MEDIUM", "NULL", "PSK",
    "RC4", "RSA", "SECLEVEL", "SEED", "SHA", "SRP", "SSLv", "STRENGTH", "TLSv",
];

/// Whether OpenSSL may know a word, offered here or not; anything else is a mistake.
pub fn is_plausible(word: &str) -> bool {
    PARTS.iter().any(|part| word.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use CipherSuite::{
        EcdsaAes128, EcdsaAes256, EcdsaChaCha20, RsaAes128, RsaAes256, RsaChaCha20, Tls13Aes128,
        Tls13ChaCha20,
    };

    #[test]
    fn the_language_is_openssls() {
        let all = CipherSuite::TLS12.to_vec();
        for (list, suites) in [
            ("ALL", all.clone()),
            ("HIGH:!aNULL:!MD5", all.clone()),
            ("PROFILE=SYSTEM", all.clone()),
            ("DEFAULT@SECLEVEL=1", all.clone()),
            ("DEFAULT:@SECLEVEL=1", all.clone()),
            (
                "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384",
                vec![RsaAes128, RsaAes256],
            ),
            (
                "EECDH+AESGCM:EDH+AESGCM",
                vec![EcdsaAes256, RsaAes256, EcdsaAes128, RsaAes128],
            ),
            ("ECDHE+aRSA+AESGCM", vec![RsaAes256, RsaAes128]),
            (
                "TLS_AES_128_GCM_SHA256:ECDH+aRSA+AESGCM",
                vec![RsaAes256, RsaAes128],
            ),
            (
                "CHACHA20:AES128",
                vec![EcdsaChaCha20, RsaChaCha20, EcdsaAes128, RsaAes128],
            ),
            ("ALL:!ECDSA:!CHACHA20:+AES256", vec![RsaAes128, RsaAes256]),
            ("ALL:-AES:-CHACHA20:ECDSA+AES128", vec![EcdsaAes128]),
            ("!AES:ALL", vec![EcdsaChaCha20, RsaChaCha20]),
            ("AES256-SHA:DES-CBC3-SHA", Vec::new()),
        ] {
            assert_eq!(parse_tls12(list).suites, suites, "{list}");
        }
    }

    #[test]
    fn what_is_asked_for_and_missing_is_named() {
        let read = parse_tls12(
            "ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:AES128-SHA:!RC4:!aNULL",
        );
        assert_eq!(read.suites, [RsaAes128]);
        assert_eq!(read.missing, ["DHE-RSA-AES128-GCM-SHA256", "AES128-SHA"]);
        let read = parse_tls13(
            "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256:TLS_AES_128_GCM_SHA256",
        );
        assert_eq!(read.suites, [Tls13ChaCha20, Tls13Aes128]);
        assert_eq!(read.missing, ["TLS_AES_128_CCM_SHA256"]);
    }

    #[test]
    fn numbers_and_names_are_unique() {
        for suite in CipherSuite::TLS12.into_iter().chain(CipherSuite::TLS13) {
            assert_eq!(CipherSuite::numbered(suite.number()), Some(suite));
        }
        assert_eq!(CipherSuite::numbered(0x002f), None);
    }
}
