//! `option outlier-ejection`: a word of ours. What it leads to is [`crate::outlier`]'s.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::value;
use crate::draft::{Draft, Polarity};
use crate::keyword::{Keyword, Sections};
use crate::outlier::Spec;

/// Judgements more often than this would be about chance, in milliseconds.
const INTERVAL_MIN_MS: u64 = 100;

pub(super) const OUTLIER_EJECTION: Keyword<Draft> = Keyword::new(
    "option outlier-ejection",
    Sections::BACK,
    "[WORD...]",
    "Leaves servers alone that are far slower than their peers. Plimsoll's own.",
    read,
)
.negatable();

const WORDS: [&str; 7] = [
    "base-time",
    "factor",
    "interval",
    "max-share",
    "max-time",
    "min-gap",
    "min-samples",
];

fn read(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    if draft.polarity != Polarity::Plain {
        draft.settings().back.outliers = None;
        return Ok(());
    }
    let mut spec = Spec::default();
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "base-time" => spec.base_ms = time(args, 1)?,
            "factor" => spec.factor = value::number(args, "a factor", 2..=1_000)?,
            "interval" => spec.interval_ms = time(args, INTERVAL_MIN_MS)?,
            "max-share" => {
                spec.share_max_percent = value::number(args, "a share in per cent", 0..=100)?;
            }
            "max-time" => spec.most_ms = time(args, 1)?,
            "min-gap" => spec.gap_min_us = time(args, 0)?.saturating_mul(1_000),
            "min-samples" => {
                let number = value::number(args, "a number of answers", 1..=1_000_000)?;
                spec.samples_min = u64::from(number);
            }
            _ => {
                let what = "a word of 'option outlier-ejection'";
                return Err(value::unknown(word, what, WORDS.into_iter()));
            }
        }
    }
    spec.most_ms = spec.most_ms.max(spec.base_ms);
    draft.settings().back.outliers = Some(spec);
    Ok(())
}

fn time(args: &mut Args<'_>, least_ms: u64) -> Result<u64, Diagnostic> {
    let span = value::place(args);
    let time_ms = value::duration_ms(args, "a time")?;
    if time_ms < least_ms {
        let message = format_args!("this time is below {least_ms}ms");
        return Err(Diagnostic::error(Kind::Invalid, span, message));
    }
    Ok(time_ms)
}
