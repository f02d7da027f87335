//! `get weight` and `set weight`.

use super::{Answer, Change, Command, Refusal, ServerChange, Session, Words, find};
use crate::model::AccessLevel;
use crate::stats::View;

/// The greatest weight.
const WEIGHT_MAX: i64 = 256;

pub(super) const GET: Command = Command {
    path: &["get", "weight"],
    access: AccessLevel::User,
    usage: "get weight <bk>/<srv>",
    doc: "a server's weight now, and as configured",
    run: get,
};

pub(super) const SET: Command = Command {
    path: &["set", "weight"],
    access: AccessLevel::Admin,
    usage: "set weight <bk>/<srv> <weight>[%]",
    doc: "change a server's weight",
    run: set,
};

fn get(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let (backend, server) = find::server(words, view)?;
    let now = view.plane.backend(backend).server(server).weight();
    let initial = view.server(backend, server).weight;
    Ok(format!("{now} (initial {initial})\n"))
}

fn set(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let (backend, server) = find::server(words, view)?;
    let weight = read(words, view.server(backend, server).weight)?;
    let change = ServerChange::Weight(weight);
    session
        .changes
        .push(Change::Server(backend, server, change));
    Ok(String::new())
}

/// The next word as a weight: a number, or a share of the configured one.
pub(super) fn read(words: &mut Words<'_>, initial: u16) -> Result<u32, Refusal> {
    let word = words.next().ok_or("Require <weight> or <weight%>.")?;
    let digits = word
        .bytes()
        .enumerate()
        .take_while(|(index, byte)| byte.is_ascii_digit() || (*index == 0 && *byte == b'-'))
        .count();
    let (number, rest) = word.split_at(digits);
    let number: i64 = match number {
        "" | "-" => return Err("Empty weight string empty or preceded by garbage".into()),
        // More digits than a number has room for are more than any limit.
        number => number.parse().unwrap_or(i64::MAX),
    };
    let weight = match rest {
        "%" if number < 0 => return Err("Relative weight must be positive.".into()),
        "%" => (number.min(100 * WEIGHT_MAX) * i64::from(initial) / 100).min(WEIGHT_MAX),
        _ if !(0..=WEIGHT_MAX).contains(&number) => {
            return Err("Absolute weight can only be between 0 and 256 inclusive.".into());
        }
        "" => number,
        _ => return Err("Trailing garbage in weight string".into()),
    };
    Ok(u32::try_from(weight).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read() {
        for (word, expected) in [
            ("0", Ok(0)),
            ("256", Ok(256)),
            ("50%", Ok(10)),
            ("100%", Ok(20)),
            ("99999999999999999999%", Ok(256)),
            ("257", Err("Absolute")),
            ("-1", Err("Absolute")),
            ("-1%", Err("Relative")),
            ("x", Err("Empty")),
            ("7x", Err("Trailing")),
        ] {
            let words = [word.to_owned()];
            let read = read(&mut Words::new(&words, None), 20);
            match (read, expected) {
                (Ok(weight), Ok(expected)) => assert_eq!(weight, expected, "{word}"),
                (Err(Refusal(text)), Err(part)) => assert!(text.starts_with(part), "{word}"),
                (read, _) => panic!("{word}: {read:?}"),
            }
        }
    }
}
