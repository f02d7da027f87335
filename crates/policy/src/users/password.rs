//! Passwords as files have them: as they are, or hashed as crypt(3) does it, `$1$` (MD5), `$5$` and `$6$` (SHA-2), `$2a$`,
//! `$2b$` and `$2y$` (bcrypt).

use std::fmt;

use aws_lc_rs::constant_time;
use sha_crypt::{Params, sha256_crypt, sha512_crypt};

use super::md5::md5_crypt;

/// What a hash may cost, in microseconds as a usual processor takes them.
pub const COST_US_MAX: u64 = 300_000;

/// What a hash costs that one is warned of, in microseconds.
pub const COST_US_NOTED: u64 = 10_000;

/// Longest password of a client that is hashed, in bytes, as in crypt(3).
const PASSWORD_BYTES_MAX: usize = 512;

/// Nanoseconds of a round of SHA-2, and of the least that bcrypt does.
const SHA_ROUND_NS: u64 = 500;
const BCRYPT_UNIT_US: u64 = 50;
const MD5_US: u64 = 300;

/// Digits of crypt(3), for six bits each.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// In which order bytes become digits, three at a time, and how many digits the last bytes make.
struct Order {
    triples: &'static [[usize; 3]],
    last: (&'static [usize], usize),
}

const MD5_ORDER: Order = Order {
    triples: &[[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]],
    last: (&[11], 2),
};

#[rustfmt::skip]
const SHA256_ORDER: Order = Order {
    triples: &[
        [0, 10, 20], [21, 1, 11], [12, 22, 2], [3, 13, 23], [24, 4, 14],
        [15, 25, 5], [6, 16, 26], [27, 7, 17], [18, 28, 8], [9, 19, 29],
    ],
    last: (&[31, 30], 3),
};

#[rustfmt::skip]
const SHA512_ORDER: Order = Order {
    triples: &[
        [0, 21, 42], [22, 43, 1], [44, 2, 23], [3, 24, 45], [25, 46, 4], [47, 5, 26], [6, 27, 48],
        [28, 49, 7], [50, 8, 29], [9, 30, 51], [31, 52, 10], [53, 11, 32], [12, 33, 54], [34, 55, 13],
        [56, 14, 35], [15, 36, 57], [37, 58, 16], [59, 17, 38], [18, 39, 60], [40, 61, 19], [62, 20, 41],
    ],
    last: (&[63], 2),
};

impl Order {
    fn digits(&self, bytes: &[u8]) -> Vec<u8> {
        let mut digits = Vec::new();
        let mut put = |places: &[usize], count: usize| {
            let join = |value: u32, place: &usize| value << 8 | u32::from(bytes[*place]);
            let mut value = places.iter().fold(0, join);
            for _ in 0..count {
                digits.push(DIGITS[value as usize & 63]);
                value >>= 6;
            }
        };
        self.triples.iter().for_each(|triple| put(triple, 4));
        put(self.last.0, self.last.1);
        digits
    }
}

/// How a password is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Plain,
    Md5,
    Sha256(u32),
    Sha512(u32),
    Bcrypt(u32),
}

/// A password as a file has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    method: Method,
    /// As written.
    text: Box<str>,
    /// Where the salt begins and ends; digits follow. Not for bcrypt.
    salt: (usize, usize),
}

impl Password {
    /// A password that is written as it is.
    pub fn plain(text: impl Into<Box<str>>) -> Self {
        Self {
            method: Method::Plain,
            text: text.into(),
            salt: (0, 0),
        }
    }

    /// A password that is written as its hash.
    ///
    /// # Errors
    /// It is hashed in a way that is not known, or that costs too much.
    pub fn hashed(text: &str) -> Result<Self, String> {
        let unknown = || {
            "the password is hashed in a way that is not implemented: $1$, $5$, $6$, $2a$, $2b$ and $2y$ are".to_owned()
        };
        let mut parts = text.split('$');
        let (Some(""), Some(name)) = (parts.next(), parts.next()) else {
            return Err(unknown());
        };
        let (method, start) = match name {
            "1" => (Method::Md5, "$1$".len()),
            "5" | "6" => sha(text, name).ok_or_else(unknown)?,
            "2a" | "2b" | "2y" => (bcrypt_cost(text).ok_or_else(unknown)?, 0),
            _ => return Err(unknown()),
        };
        let end = match method {
            Method::Bcrypt(_) => 0,
            _ => start + text[start..].find('$').ok_or_else(unknown)?,
        };
        let password = Self {
            method,
            text: text.into(),
            salt: (start, end),
        };
        let cost_ms = password.cost_us() / 1_000;
        if password.cost_us() > COST_US_MAX {
            return Err(format!(
                "to check this password takes about {cost_ms} ms each time, during which a worker serves nobody"
            ));
        }
        Ok(password)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What checking costs, in microseconds as a usual processor takes them; 0: nothing to speak of.
    pub fn cost_us(&self) -> u64 {
        match self.method {
            Method::Plain => 0,
            Method::Md5 => MD5_US,
            Method::Sha256(rounds) | Method::Sha512(rounds) => {
                u64::from(rounds) * SHA_ROUND_NS / 1_000
            }
            Method::Bcrypt(cost) => BCRYPT_UNIT_US << cost.min(40),
        }
    }

    /// Whether it is this password. What is compared is compared in a time that does not depend on it.
    pub fn is(&self, password: &[u8]) -> bool {
        let is_same = |a: &[u8], b: &[u8]| constant_time::verify_slices_are_equal(a, b).is_ok();
        if self.method == Method::Plain {
            return is_same(self.text.as_bytes(), password);
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
        let salt = &self.text.as_bytes()[self.salt.0..self.salt.1];
        let digits = match self.method {
            Method::Plain => return false,
            Method::Md5 => MD5_ORDER.digits(&md5_crypt(password, salt)),
            Method::Sha256(rounds) => match Params::new(rounds) {
                Ok(params) => SHA256_ORDER.digits(&sha256_crypt(password, salt, params)),
                Err(_) => return false,
            },
            Method::Sha512(rounds) => match Params::new(rounds) {
                Ok(params) => SHA512_ORDER.digits(&sha512_crypt(password, salt, params)),
                Err(_) => return false,
            },
            Method::Bcrypt(_) => return bcrypt::verify(password, &self.text).unwrap_or(false),
        };
        is_same(&self.text.as_bytes()[self.salt.1 + 1..], &digits)
    }
}

/// The rounds of `$5$` and `$6$`, and where the salt begins.
fn sha(text: &str, name: &str) -> Option<(Method, usize)> {
    let (mut rounds, mut start) = (Params::RECOMMENDED_ROUNDS, 3);
    if let Some(rest) = text[start..].strip_prefix("rounds=") {
        let digits = rest.split('$').next()?;
        rounds = digits.parse().ok()?;
        start += "rounds=".len() + digits.len() + 1;
    }
    // Other numbers are refused by crypt(3) as well.
    Params::new(rounds).ok()?;
    text.get(start..)?;
    Some((
        match name {
            "5" => Method::Sha256(rounds),
            _ => Method::Sha512(rounds),
        },
        start,
    ))
}

/// The cost of `$2y$COST$…`, whose rest must have the right length.
fn bcrypt_cost(text: &str) -> Option<Method> {
    let rest = text.get(4..)?;
    let (cost, rest) = rest.split_once('$')?;
    let cost = cost.parse().ok().filter(|cost| (4..=31).contains(cost))?;
    let is_digit = |byte: u8| DIGITS.contains(&byte);
    (rest.len() == 53 && rest.bytes().all(is_digit)).then_some(Method::Bcrypt(cost))
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str =
        "long password with more than sixty four bytes, so that blocks are repeated, ä";

    /// Made by `openssl passwd` and crypt(3).
    #[test]
    fn hashes_are_those_of_others() {
        for (password, text) in [
            ("secret", "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1"),
            ("", "$1$abcdefgh$M55TzYaaccxVGbptZWaxX/"),
            (LONG, "$1$saltstri$A5CRXLU.xNhavtMeC8Vav/"),
            ("secret", "$1$ab$dslkcXxVH.x8LwW1W/oAB/"),
            (
                "secret",
                "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.",
            ),
            (
                LONG,
                "$5$saltstring$EYeNAh/OACxgj1mMtP3JxuapQlxeT3iqTowb6G8hD.7",
            ),
            (
                "secret",
                "$5$rounds=1000$roundsalt$lUCbt9XtIcgnEwqC0F1ZqnVZJuvR2.Yizn/Gj0BBD9/",
            ),
            (
                "secret",
                "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.",
            ),
            (
                LONG,
                "$6$saltstring$o1BGlkgyx0Hud4N3uFwmtUkLTP5Js8OYMN0eW3T5U.OU4azxku0d8CNehyRNt94dI02HoMRdaLP6yBbqJu.Uh0",
            ),
            (
                "secret",
                "$6$rounds=12345$saltstringsaltst$QP6NtHcPJUwlKxXAskRhMCNir3t/NoKWvtggmCe5.zefMbxiPJbDH5ibDzzQFkQmf0ipd8pkuoyfzT8cbeNKU/",
            ),
            (
                "secret",
                "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
            ),
            (
                "secret",
                "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            ),
        ] {
            let known = Password::hashed(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(known.is(password.as_bytes()), "{text}");
            for wrong in ["Secret", "secre", "secret\0", text] {
                assert!(!known.is(wrong.as_bytes()), "{wrong:?} for {text}");
            }
            assert!(known.cost_us() > 0);
            assert!(!known.is(&[b'a'; PASSWORD_BYTES_MAX + 1]));
        }
        let plain = Password::plain("secret");
        assert!(plain.is(b"secret") && !plain.is(b"secreT") && !plain.is(b""));
    }

    #[test]
    fn what_is_unknown_or_too_dear_is_refused() {
        let bcrypt = "abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
        for (text, part) in [
            ("", "not implemented"),
            ("secret", "not implemented"),
            ("$y$j9T$abc$def", "not implemented"),
            ("$apr1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", "not implemented"),
            ("$1$abc", "not implemented"),
            ("$5$rounds=1000", "not implemented"),
            ("$5$rounds=999$a$b", "not implemented"),
            ("$6$rounds=x$a$b", "not implemented"),
            ("$2b$32$a", "not implemented"),
            ("$6$rounds=900000$abc$def", "about 450 ms"),
            (&format!("$2b$14${bcrypt}"), "about 819 ms"),
        ] {
            let error = Password::hashed(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(Password::hashed(&format!("$2b$12${bcrypt}")).is_ok());
    }
}
