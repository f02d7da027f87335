//! `wait`.

use plimsoll_config::values;

use super::{Again, Answer, Command, Refusal, Session, Words, backend, find, server_line};
use crate::model::AccessLevel;
use crate::stats::View;

pub(super) const WAIT: Command = Command {
    path: &["wait"],
    access: AccessLevel::User,
    usage: "wait {-h|<delay>} [<condition> [<arg>]*]",
    doc: "wait for a while, or until something may be removed",
    run: wait,
};

const HELP: &str = "\
Usage: wait {-h|<duration>} [condition [args...]]
  <duration> is the longest wait, in milliseconds or with a unit (us, ms, s, m, h, d). Conditions:
  (none)                 the duration passes
  be-removable <bk>      'del backend' would succeed
  srv-removable <bk>/<srv>  'del server' would succeed
";

/// How often a condition is looked at.
const STEP_MS: u64 = 20;

/// Longest wait: a day.
const WAIT_MAX_MS: u64 = 24 * 3_600_000;

fn wait(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let all = words.all().to_vec();
    let text = words.next().ok_or("Expects a duration in milliseconds.")?;
    if text == "-h" || all.get(1).is_some_and(|word| word == "-h") {
        return Ok(HELP.to_owned());
    }
    let left_ms = duration_ms(text).ok_or("Invalid duration.")?;
    let condition = words.next();
    let state = match condition {
        None => Err(""),
        Some("srv-removable") => {
            let (backend, server) = find::server(words, view)?;
            server_line::removable(view, backend, server).map_err(failed)?
        }
        Some("be-removable") => {
            let name = words.next().ok_or("Missing backend name.")?;
            backend::removable(name, view).map_err(failed)?.map(drop)
        }
        Some(_) => return Err(HELP.into()),
    };
    match state {
        Ok(()) => Ok("Done.\n".to_owned()),
        Err(_) if left_ms == 0 && condition.is_none() => Ok(String::new()),
        Err(why) if left_ms == 0 => Err(Refusal(format!("Wait delay expired. {why}"))),
        Err(_) => {
            let step_ms = match condition {
                None => left_ms,
                Some(_) => left_ms.min(STEP_MS),
            };
            let mut again = vec!["wait".to_owned(), (left_ms - step_ms).to_string()];
            again.extend(all.into_iter().skip(1));
            session.again = Some(Again {
                after_ms: step_ms,
                words: again,
            });
            Ok(String::new())
        }
    }
}

fn failed(Refusal(why): Refusal) -> Refusal {
    Refusal(format!("Failed. {why}"))
}

fn duration_ms(text: &str) -> Option<u64> {
    let read = values::parse_duration(text, values::TimeUnit::Milliseconds).ok()?;
    let ms = u64::try_from(read.value.as_millis()).ok()?;
    (read.trailing == 0).then(|| ms.min(WAIT_MAX_MS))
}
