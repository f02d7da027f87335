//! `acme` sections: authorities that issue certificates by themselves (manual, chapter 12.8).

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::value;
use crate::draft::{Draft, Spanned};
use crate::keyword::{Keyword, Sections, Status};
use crate::model::acme::{Challenge, Curve, KeyKind, MacAlgorithm, RsaBits};

const ACME: Sections = Sections::ACME;

/// Most such sections.
const SECTIONS_MAX: usize = 1_000;

/// An `acme` section, as it was written.
#[derive(Clone, Debug)]
pub(crate) struct AcmeDraft {
    pub(crate) name: Spanned<String>,
    pub(crate) directory: Option<String>,
    pub(crate) contact: Option<String>,
    pub(crate) account_key: Option<String>,
    pub(crate) challenge: Challenge,
    pub(crate) key: KeyDraft,
    pub(crate) map: Option<Spanned<String>>,
    pub(crate) profile: Option<String>,
    pub(crate) reuse_key: bool,
    pub(crate) external_id: Option<Spanned<String>>,
    pub(crate) external_key: Option<Spanned<String>>,
    pub(crate) external_algorithm: MacAlgorithm,
}

impl AcmeDraft {
    fn new(name: Spanned<String>) -> Self {
        Self {
            name,
            directory: None,
            contact: None,
            account_key: None,
            challenge: Challenge::default(),
            key: KeyDraft::default(),
            map: None,
            profile: None,
            reuse_key: false,
            external_id: None,
            external_key: None,
            external_algorithm: MacAlgorithm::default(),
        }
    }
}

/// `keytype`, `bits` and `curves`, which come in any order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyDraft {
    is_rsa: Option<bool>,
    bits: RsaBits,
    curve: Curve,
}

impl KeyDraft {
    /// The key to be made, where `rsa` says what is made when nothing is written.
    pub(crate) fn kind(self, rsa: bool) -> KeyKind {
        match self.is_rsa.unwrap_or(rsa) {
            true => KeyKind::Rsa(self.bits),
            false => KeyKind::Ecdsa(self.curve),
        }
    }

    pub(super) fn read_type(&mut self, args: &mut Args<'_>) -> Result<(), Diagnostic> {
        let kinds = [("ECDSA", false), ("RSA", true)];
        self.is_rsa = Some(value::choice(args, "a kind of key", &kinds)?);
        Ok(())
    }

    pub(super) fn read_bits(&mut self, args: &mut Args<'_>) -> Result<(), Diagnostic> {
        let sizes = [
            ("2048", RsaBits::B2048),
            ("3072", RsaBits::B3072),
            ("4096", RsaBits::B4096),
        ];
        self.bits = value::choice(args, "the size of an RSA key", &sizes)?;
        Ok(())
    }

    pub(super) fn read_curve(&mut self, args: &mut Args<'_>) -> Result<(), Diagnostic> {
        let curves = [
            ("P-256", Curve::P256),
            ("P-384", Curve::P384),
            ("P-521", Curve::P521),
            ("prime256v1", Curve::P256),
            ("secp384r1", Curve::P384),
            ("secp521r1", Curve::P521),
        ];
        self.curve = value::choice(args, "a curve", &curves)?;
        Ok(())
    }
}

const DNS: &str = "challenges by DNS are not implemented yet; http-01 and tls-alpn-01 are";

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "account-key",
        ACME,
        "FILE",
        "The account's key, made when it does not exist.",
        |args, draft| {
            section(draft).account_key = Some(value::text(args, "a file")?);
            Ok(())
        },
    ),
    dns("acme-vars", "TEXT", "Told to what writes names into DNS."),
    Keyword::new(
        "bits",
        ACME,
        "2048|3072|4096",
        "The size of RSA keys.",
        |args, draft| section(draft).key.read_bits(args),
    ),
    Keyword::new(
        "challenge",
        ACME,
        "http-01|tls-alpn-01",
        "How the authority is shown that names are ours.",
        challenge,
    ),
    dns(
        "challenge-ready",
        "CONDITION",
        "When the authority may look into DNS.",
    ),
    Keyword::new(
        "contact",
        ACME,
        "ADDRESS",
        "Whom the authority writes mail to.",
        |args, draft| {
            section(draft).contact = Some(value::text(args, "an address of mail")?);
            Ok(())
        },
    ),
    Keyword::new(
        "curves",
        ACME,
        "P-256|P-384|P-521",
        "The curve of ECDSA keys.",
        |args, draft| section(draft).key.read_curve(args),
    ),
    Keyword::new(
        "directory",
        ACME,
        "URL",
        "Where the authority is.",
        |args, draft| {
            section(draft).directory = Some(url(args)?);
            Ok(())
        },
    ),
    dns("dns-delay", "TIME", "Pause before looking into DNS."),
    dns("dns-timeout", "TIME", "How long DNS is waited for."),
    Keyword::new(
        "eab-key-id",
        ACME,
        "FILE",
        "The name of an account that ours is bound to.",
        |args, draft| {
            section(draft).external_id = Some(file(args)?);
            Ok(())
        },
    ),
    Keyword::new(
        "eab-mac-alg",
        ACME,
        "HS256|HS384|HS512",
        "How the binding is signed.",
        |args, draft| {
            let known = [
                MacAlgorithm::Hs256,
                MacAlgorithm::Hs384,
                MacAlgorithm::Hs512,
            ]
            .map(|known| (known.name(), known));
            section(draft).external_algorithm = value::choice(args, "an algorithm", &known)?;
            Ok(())
        },
    ),
    Keyword::new(
        "eab-mac-key",
        ACME,
        "FILE",
        "The key of an account that ours is bound to.",
        |args, draft| {
            section(draft).external_key = Some(file(args)?);
            Ok(())
        },
    ),
    Keyword::new(
        "keytype",
        ACME,
        "ECDSA|RSA",
        "The kind of keys that are made.",
        |args, draft| section(draft).key.read_type(args),
    ),
    Keyword::new(
        "map",
        ACME,
        "MAP",
        "Where tokens and the account's thumbprint are put.",
        |args, draft| {
            section(draft).map = Some(file(args)?);
            Ok(())
        },
    ),
    Keyword::new(
        "profile",
        ACME,
        "NAME",
        "What kind of certificate is asked for.",
        profile,
    ),
    dns(
        "provider-name",
        "TEXT",
        "Told to what writes names into DNS.",
    ),
    Keyword::new(
        "reuse-key",
        ACME,
        "on|off",
        "Keeps the key when a certificate is renewed.",
        |args, draft| {
            section(draft).reuse_key = args.on_off("whether keys are kept")?;
            Ok(())
        },
    ),
];

/// What only challenges by DNS need, which [`challenge`] refuses.
const fn dns(name: &'static str, usage: &'static str, doc: &'static str) -> Keyword<Draft> {
    let why = "http-01 and tls-alpn-01 have no use for it, and challenges by DNS are refused";
    Keyword::inert(name, ACME, usage, doc, Status::NoOp(why))
}

/// `acme NAME`.
pub(super) fn open(draft: &mut Draft, args: &mut Args<'_>) -> Result<(), Diagnostic> {
    let name = args.word("a name");
    let own = match &name {
        Ok(word) => Spanned::new(word.text.clone(), word.span),
        Err(_) => Spanned::new(String::new(), draft.keyword),
    };
    let known = draft.acme.iter().any(|other| other.name.value == own.value);
    let (span, full) = (own.span, draft.acme.len() >= SECTIONS_MAX);
    draft.acme.push(AcmeDraft::new(own));
    let word = name?;
    if known {
        let message = format_args!("there is a section 'acme {}' already", word.text);
        return Err(Diagnostic::error(Kind::Invalid, span, message));
    }
    if full {
        let message = format_args!("there are more than {SECTIONS_MAX} sections of authorities");
        return Err(Diagnostic::error(Kind::Invalid, span, message));
    }
    args.finish()
}

/// The section being read.
fn section(draft: &mut Draft) -> &mut AcmeDraft {
    if draft.acme.is_empty() {
        let nameless = Spanned::new(String::new(), draft.keyword);
        draft.acme.push(AcmeDraft::new(nameless));
    }
    let last = draft.acme.len() - 1;
    &mut draft.acme[last]
}

fn file(args: &mut Args<'_>) -> Result<Spanned<String>, Diagnostic> {
    let word = args.word("a file")?;
    Ok(Spanned::new(word.text.clone(), word.span))
}

fn url(args: &mut Args<'_>) -> Result<String, Diagnostic> {
    let word = args.word("a URL")?;
    let known = ["https://", "http://"];
    match known.iter().any(|scheme| word.text.starts_with(scheme)) {
        true => Ok(word.text.clone()),
        false => {
            let message = format_args!("'{}' is no URL of http or https", word.text);
            Err(Diagnostic::error(Kind::Invalid, word.span, message))
        }
    }
}

fn challenge(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("a challenge")?;
    let lower = word.text.to_ascii_lowercase();
    section(draft).challenge = match lower.as_str() {
        "http-01" => Challenge::Http01,
        "tls-alpn-01" => Challenge::TlsAlpn01,
        "dns-01" | "dns-persist-01" => {
            return Err(Diagnostic::error(Kind::NotImplemented, word.span, DNS));
        }
        _ => {
            let known = ["http-01", "tls-alpn-01"];
            return Err(value::unknown(word, "a challenge", known.into_iter()));
        }
    };
    Ok(())
}

fn profile(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("a name")?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !word.text.bytes().all(fits) {
        let message = "a profile's name has letters, digits, '-' and '_' alone";
        return Err(Diagnostic::error(Kind::Invalid, word.span, message));
    }
    section(draft).profile = Some(word.text.clone());
    Ok(())
}
