//! `show why`, `set why sampling`: why requests went where they went. Commands of ours.

use std::fmt::Write as _;

use super::{Answer, Change, Command, Refusal, Session, Words};
use crate::log::{Dates, WallTime};
use crate::model::AccessLevel;
use crate::stats::View;

pub(super) const SHOW: Command = Command {
    path: &["show", "why"],
    access: AccessLevel::Operator,
    usage: "show why [<id>|#<number>] [json]",
    doc: "requests that were sampled, or why one of them went where it went (set why sampling)",
    run: show,
};

pub(super) const SET: Command = Command {
    path: &["set", "why", "sampling"],
    access: AccessLevel::Admin,
    usage: "set why sampling <1/N|off>",
    doc: "write down why one request in N goes where it goes; 'off' forgets what was written down",
    run: set,
};

/// `1/100`, or `off`: one in so many; 0: none.
///
/// # Errors
/// When it is neither.
pub(crate) fn read_share(text: &str) -> Result<u32, &'static str> {
    let every = match text {
        "off" => Some(0),
        text => text.strip_prefix("1/").unwrap_or(text).parse().ok(),
    };
    every.ok_or("write '1/N' for one request in N, or 'off'")
}

fn set(words: &mut Words<'_>, _: View<'_>, session: &mut Session) -> Answer {
    let every = read_share(words.next().unwrap_or_default())?;
    session.changes.push(Change::Sampling(every));
    Ok(String::new())
}

fn show(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let kept = view.sums.stories();
    let (mut asked, mut json) = (None, false);
    while let Some(word) = words.next() {
        match word {
            "json" => json = true,
            word => asked = Some(word.to_owned()),
        }
    }
    let Some(asked) = asked else {
        return Ok(match json {
            true => {
                let all: Vec<_> = kept.iter().map(|told| told.to_json()).collect();
                format!("[{}]\n", all.join(","))
            }
            false => list(&kept, view),
        });
    };
    let number = asked.strip_prefix('#').and_then(|text| text.parse().ok());
    let mut newest_first = kept.iter().rev();
    let found = newest_first.find(|told| told.unique_id == asked || Some(told.number) == number);
    match found {
        Some(told) if json => Ok(told.to_json() + "\n"),
        Some(told) => Ok(told.to_string()),
        None => {
            let hint = match view.sums.sampling() {
                0 => "nothing is sampled: 'set why sampling 1/N'".to_owned(),
                every => format!("one request in {every} is sampled, and the last ones are kept"),
            };
            Err(Refusal(format!("No request '{asked}' is known; {hint}.")))
        }
    }
}

fn list(kept: &[std::sync::Arc<crate::explain::Told>], view: View<'_>) -> String {
    let mut text = "# number unique_id date request outcome\n".to_owned();
    let mut dates = Dates::default();
    dates.set_utc_offset_s(view.now.utc_offset_s);
    for told in kept {
        let mut date = Vec::new();
        dates.push_local_ms(WallTime::clone(&told.began), &mut date);
        let id = match told.unique_id.as_str() {
            "" => "-",
            id => id,
        };
        let _ = writeln!(
            text,
            "#{} {id} [{}] \"{}\" {}",
            told.number,
            String::from_utf8_lossy(&date),
            told.request.escape_debug(),
            told.explanation.outcome,
        );
    }
    text
}
