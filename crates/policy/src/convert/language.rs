//! `language`: the best of a list of languages for an Accept-Language field (RFC 9110 section 12.5.4).

use super::{Convert, Row};
use crate::context::Context;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "language",
    usage: "LANGUAGES[,DEFAULT]",
    doc: "The language of a list, divided by semicolons, that is accepted with the greatest weight.",
    input: Type::Text,
    output: Some(Type::Text),
    read: |arguments, _| {
        let languages = arguments.text("languages")?;
        Ok(Box::new(Preference {
            known: languages.split(';').map(str::to_owned).collect(),
            default: arguments.optional(),
        }))
    },
}];

struct Preference {
    known: Vec<String>,
    default: Option<String>,
}

impl Convert for Preference {
    fn convert<'a>(&'a self, value: Value<'a>, _: &'a Context<'_>) -> Option<Value<'a>> {
        let accepted = value.into_text();
        let mut best = (0, None);
        for item in accepted.split(|byte| *byte == b',') {
            let end = item
                .trim_ascii_start()
                .iter()
                .position(|byte| *byte == b';' || byte.is_ascii_whitespace());
            let item = item.trim_ascii_start();
            let (range, parameter) = item.split_at(end.unwrap_or(item.len()));
            if range.is_empty() {
                continue;
            }
            let known = self
                .known
                .iter()
                .find(|known| fits(range, known.as_bytes()));
            let weight = weight(parameter);
            if known.is_some() && weight > best.0 {
                best = (weight, known);
                if weight >= WEIGHT_MAX {
                    break;
                }
            }
        }
        let best = best.1.filter(|language| !language.is_empty());
        let language = best.or(self.default.as_ref());
        language
            .filter(|language| !language.is_empty())
            .map(|language| Value::text(language.as_bytes()))
    }
}

/// Whether the language is the range, or the range is more precise.
fn fits(range: &[u8], language: &[u8]) -> bool {
    let rest = range.strip_prefix(language);
    rest.is_some_and(|rest| matches!(rest, [] | [b'-', ..]))
}

const WEIGHT_MAX: u32 = 1_000;

/// What `;q=0.5` says, in thousandths; without it the greatest weight.
fn weight(parameter: &[u8]) -> u32 {
    let mut rest = parameter.trim_ascii_start();
    for expected in [b';', b'q', b'='] {
        let Some((first, behind)) = rest.split_first() else {
            return WEIGHT_MAX;
        };
        if *first != expected {
            // Anything but a parameter in its place hides the language.
            return if expected == b';' { 0 } else { WEIGHT_MAX };
        }
        rest = behind.trim_ascii_start();
    }
    let (whole, fraction) = match rest {
        [] => return WEIGHT_MAX,
        [whole @ (b'0' | b'1'), fraction @ ..] => (u32::from(whole - b'0'), fraction),
        _ => return 0,
    };
    let digits = fraction.strip_prefix(b".").unwrap_or_default();
    let digits = digits
        .iter()
        .take(3)
        .take_while(|byte| byte.is_ascii_digit());
    let thousandths = digits
        .zip([100, 10, 1])
        .map(|(digit, unit)| u32::from(digit - b'0') * unit);
    (whole * WEIGHT_MAX + thousandths.sum::<u32>()).min(WEIGHT_MAX)
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    /// Expected values are HAProxy's.
    #[test]
    fn the_greatest_weight_wins() {
        let bench = Bench::default();
        for (text, expected) in [
            ("str('de-DE, en;q=0.5'),language(en;de)", Some("de")),
            ("str('de;q=0.4, en;q=0.5'),language(en;de)", Some("en")),
            (
                "str('de ; q = 0.4 , en;q=0.05'),language(en;de)",
                Some("de"),
            ),
            ("str('den'),language(de)", None),
            ("str(fr),language(en;de,xx)", Some("xx")),
            ("str(fr),language(en;de)", None),
            ("str(''),language(en;de,xx)", Some("xx")),
            ("str('en;q=0'),language(en,xx)", Some("xx")),
            ("str(a),language", None),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
    }
}
