//! `cookie` lines.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_config::values::TimeUnit;

use super::value;
use crate::cookie::{CookieMode, CookieSpec};
use crate::draft::Draft;

const WORDS: &[&str] = &[
    "attr", "domain", "dynamic", "httponly", "indirect", "insert", "maxidle", "maxlife", "nocache",
    "postonly", "prefix", "preserve", "rewrite", "secure",
];

/// What attributes are gathered from, in the order they are written.
#[derive(Default)]
struct Attributes {
    domains: String,
    http_only: bool,
    secure: bool,
    others: String,
}

/// `cookie NAME …`.
pub(super) fn read(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let mut spec = CookieSpec {
        name: value::text(args, "the cookie's name")?.into(),
        ..CookieSpec::default()
    };
    let (mut modes, mut attributes) = (Vec::new(), Attributes::default());
    args.options(WORDS.iter().copied(), |word, args| {
        option(word, args, &mut spec, &mut modes, &mut attributes)
    })?;
    let incompatible = |message: &str| Err(Diagnostic::error(Kind::Invalid, args.line(), message));
    if modes.windows(2).any(|pair| pair[0] != pair[1]) {
        return incompatible("'insert', 'prefix' and 'rewrite' exclude each other");
    }
    spec.mode = modes.pop().unwrap_or_default();
    if spec.mode == CookieMode::Rewrite && spec.indirect {
        return incompatible("'rewrite' and 'indirect' exclude each other");
    }
    if spec.preserve && spec.mode != CookieMode::Insert && !spec.indirect {
        return incompatible("'preserve' needs 'insert' or 'indirect'");
    }
    let mut text = attributes.domains;
    for (on, word) in [
        (attributes.http_only, "; HttpOnly"),
        (attributes.secure, "; Secure"),
    ] {
        text.push_str(if on { word } else { "" });
    }
    text.push_str(&attributes.others);
    spec.attributes = text.into();
    draft.settings().cookie.spec = Some(spec);
    Ok(())
}

fn option(
    word: &Word,
    args: &mut Args<'_>,
    spec: &mut CookieSpec,
    modes: &mut Vec<CookieMode>,
    attributes: &mut Attributes,
) -> Result<(), Diagnostic> {
    let seconds = |args: &mut Args<'_>| {
        let time = args.duration("a time", TimeUnit::Seconds)?;
        Ok(time.as_secs().max(u64::from(!time.is_zero())))
    };
    match word.text.as_str() {
        "insert" => modes.push(CookieMode::Insert),
        "prefix" => modes.push(CookieMode::Prefix),
        "rewrite" => modes.push(CookieMode::Rewrite),
        "dynamic" => spec.dynamic = true,
        "httponly" => attributes.http_only = true,
        "indirect" => spec.indirect = true,
        "nocache" => spec.no_cache = true,
        "postonly" => spec.post_only = true,
        "preserve" => spec.preserve = true,
        "secure" => attributes.secure = true,
        "maxidle" => spec.idle_s_max = seconds(args)?,
        "maxlife" => spec.life_s_max = seconds(args)?,
        "domain" => {
            let domain = args.word("a domain")?;
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
            if let Some(byte) = domain.text.bytes().find(|byte| !fine(*byte)) {
                let message = format_args!("'{}' cannot stand in a domain", char::from(byte));
                return Err(Diagnostic::error(Kind::Invalid, domain.span, message));
            }
            attributes.domains.push_str("; domain=");
            attributes.domains.push_str(&domain.text);
        }
        "attr" => {
            let attribute = args.word("an attribute")?;
            if attribute
                .text
                .bytes()
                .any(|byte| byte.is_ascii_control() || byte == b';')
            {
                let message = "an attribute holds neither control characters nor ';'";
                return Err(Diagnostic::error(Kind::Invalid, attribute.span, message));
            }
            attributes.others.push_str("; ");
            attributes.others.push_str(&attribute.text);
        }
        _ => {
            return Err(value::unknown(
                word,
                "an option of cookies",
                WORDS.iter().copied(),
            ));
        }
    }
    Ok(())
}
