//! Actions that set something for one exchange in place of what the configuration says for all: `set-log-level`,
//! `set-timeout`, `set-retries` and their like.

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_config::values::TimeUnit;

use super::{Action, Flow, Places, Row, Words, action};
use crate::context::{Context, Overrides};
use crate::expression::{self, Expression, Scope};
use crate::keyword::haproxy::value::unknown;
use crate::log::Level;
use crate::value::Value;

/// Bounds of priorities in queues, as HAProxy has them.
const CLASS_MAX: i64 = 2_047;
const OFFSET_MS_MAX: i64 = 524_287;

/// Most attempts that may be written, as in HAProxy.
const RETRIES_MAX: u64 = 100;

const CONTENTS: Places = Places::CONTENT.and(Places::RESPONSE_CONTENT);

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "disable-l7-retry",
        numbered: false,
        usage: "",
        doc: "Sends the request once only, whatever comes back.",
        places: Places::REQUEST,
        read: |_, _| {
            action(|context: &mut Context<'_>| {
                context.exchange.overrides.no_retry = true;
                Flow::Continue
            })
        },
    },
    Row {
        name: "set-log-level",
        numbered: false,
        usage: "LEVEL|silent",
        doc: "Sets the level of the exchange's line, or has none written.",
        places: Places::HTTP.and(CONTENTS),
        read: log_level,
    },
    Row {
        name: "set-nice",
        numbered: false,
        usage: "NUMBER",
        doc: "Accepted without effect: workers serve what is ready in turn.",
        places: Places::MESSAGES.and(CONTENTS),
        read: |words, _| {
            words.args.word("a number")?;
            action(|_: &mut Context<'_>| Flow::Continue)
        },
    },
    Row {
        name: "set-priority-class",
        numbered: false,
        usage: "EXPRESSION",
        doc: "Sets the class of the request in queues, from -2047, which is served first, to 2047.",
        places: Places::REQUEST.and(Places::CONTENT),
        read: |words, scope| {
            priority(words, scope, |overrides, number| {
                overrides.priority_class = number.clamp(-CLASS_MAX, CLASS_MAX) as i32;
            })
        },
    },
    Row {
        name: "set-priority-offset",
        numbered: false,
        usage: "EXPRESSION",
        doc: "Sets by how many milliseconds the request goes ahead in queues, or behind, up to 524287.",
        places: Places::REQUEST.and(Places::CONTENT),
        read: |words, scope| {
            priority(words, scope, |overrides, number| {
                overrides.priority_offset_ms = number.clamp(-OFFSET_MS_MAX, OFFSET_MS_MAX);
            })
        },
    },
    Row {
        name: "set-retries",
        numbered: false,
        usage: "NUMBER|EXPRESSION",
        doc: "Sets how often another attempt may be made.",
        places: Places::REQUEST.and(Places::CONTENT),
        read: retries,
    },
    Row {
        name: "set-timeout",
        numbered: false,
        usage: "client|connect|queue|server|tarpit|tunnel TIME|EXPRESSION",
        doc: "Sets a timeout.",
        places: Places::MESSAGES,
        read: timeout,
    },
    Row {
        name: "strict-mode",
        numbered: false,
        usage: "on|off",
        doc: "Whether a change that does not fit ends the exchange, or is left out.",
        places: Places::HTTP,
        read: |words, _| {
            let word = words.args.word("'on' or 'off'")?;
            let lenient = match word.text.as_str() {
                "on" => false,
                "off" => true,
                _ => return Err(unknown(word, "'on' or 'off'", ["on", "off"].into_iter())),
            };
            action(move |context: &mut Context<'_>| {
                context.exchange.overrides.lenient = lenient;
                Flow::Continue
            })
        },
    },
];

fn log_level(words: &mut Words<'_, '_>, _: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let word = words.args.word("a level")?;
    let known = Level::ALL.iter().find(|level| level.name() == word.text);
    let level = match known {
        Some(level) => Some(*level),
        None if word.text == "silent" => None,
        None => {
            let names = Level::ALL.iter().map(|level| level.name());
            return Err(unknown(word, "a level", names.chain(["silent"])));
        }
    };
    action(move |context: &mut Context<'_>| {
        context.exchange.overrides.log_level = Some(level);
        Flow::Continue
    })
}

/// A number that is written or found.
enum Number {
    Known(i64),
    Found(Expression),
}

impl Number {
    fn now(&self, context: &Context<'_>) -> Option<i64> {
        match self {
            Self::Known(number) => Some(*number),
            Self::Found(expression) => expression
                .evaluate(context)
                .as_ref()
                .and_then(Value::as_integer),
        }
    }
}

fn priority(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    set: fn(&mut Overrides, i64),
) -> Result<Box<dyn Action>, Diagnostic> {
    let word = words.args.word("an expression")?;
    if let Ok(number) = word.text.parse::<i64>() {
        let message = format_args!("'{number}' is a number, not an expression");
        let error = Diagnostic::error(Kind::Invalid, word.span, message);
        return Err(error.help(format_args!("write 'int({number})'")));
    }
    let number = Number::Found(expression::parse(word, scope)?);
    action(move |context: &mut Context<'_>| {
        if let Some(number) = number.now(context) {
            set(&mut context.exchange.overrides, number);
        }
        Flow::Continue
    })
}

fn retries(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let Some(word) = words
        .peek()
        .filter(|_| scope.backend.is_some() && scope.proxy.is_some())
    else {
        let place = words.peek().map_or(words.name.span, |word| word.span);
        let message = "only a backend makes attempts";
        let error = Diagnostic::error(Kind::Invalid, place, message);
        return Err(error.help("write 'set-retries NUMBER' in a 'backend' or 'listen' section"));
    };
    let number = match word.text.parse::<i64>() {
        Ok(_) => Number::Known(words.args.number("a number of attempts", 0..=RETRIES_MAX)? as i64),
        Err(_) => Number::Found(expression::parse(words.args.word("an expression")?, scope)?),
    };
    action(move |context: &mut Context<'_>| {
        if let Some(number) = number.now(context) {
            context.exchange.overrides.retries = u32::try_from(number).ok();
        }
        Flow::Continue
    })
}

fn timeout(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let word = words.args.word("which timeout")?;
    let slot: fn(&mut Overrides) -> &mut Option<u64> = match word.text.as_str() {
        "client" => |overrides| &mut overrides.client_ms,
        "connect" => |overrides| &mut overrides.connect_ms,
        "queue" => |overrides| &mut overrides.queue_ms,
        "server" => |overrides| &mut overrides.server_ms,
        "tarpit" => |overrides| &mut overrides.tarpit_ms,
        "tunnel" => |overrides| &mut overrides.tunnel_ms,
        _ => {
            let known = ["client", "connect", "queue", "server", "tarpit", "tunnel"];
            return Err(unknown(word, "a timeout", known.into_iter()));
        }
    };
    if word.text == "client" && scope.frontend.is_none() {
        let message = "a backend has no client timeout";
        return Err(Diagnostic::error(Kind::Invalid, word.span, message));
    }
    if !matches!(word.text.as_str(), "client" | "tarpit") && scope.backend.is_none() {
        let message = format_args!("a frontend has no {} timeout", word.text);
        return Err(Diagnostic::error(Kind::Invalid, word.span, message));
    }
    let written = words.peek().map_or(word.span, |word| word.span);
    let time = time(words, scope)?;
    if matches!(time, Number::Known(0)) {
        let message = "a timeout of 0 would end everything at once";
        return Err(Diagnostic::error(Kind::Invalid, written, message));
    }
    action(move |context: &mut Context<'_>| {
        let ms = time.now(context).and_then(|ms| u64::try_from(ms).ok());
        if let Some(ms) = ms.filter(|ms| *ms > 0) {
            *slot(&mut context.exchange.overrides) = Some(ms);
        }
        Flow::Continue
    })
}

/// A time in milliseconds, as it is written or as an expression finds it.
fn time(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Number, Diagnostic> {
    let word = words.args.word("a time or an expression")?;
    let written = std::slice::from_ref(word);
    let duration = Args::new(written, word.span).duration("a time", TimeUnit::Milliseconds);
    match duration {
        Ok(duration) => Ok(Number::Known(
            i64::try_from(duration.as_millis()).unwrap_or(i64::MAX),
        )),
        Err(error) if word.text.starts_with(|first: char| first.is_ascii_digit()) => Err(error),
        Err(_) => Ok(Number::Found(expression::parse(word, scope)?)),
    }
}

/// What `pause` waits for, in milliseconds.
pub(super) fn pause(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
) -> Result<Box<dyn Action>, Diagnostic> {
    let time = time(words, scope)?;
    action(move |context: &mut Context<'_>| match time.now(context) {
        Some(ms) if ms > 0 => Flow::Pause { ms: ms as u64 },
        _ => Flow::Continue,
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn settings_are_kept_with_the_exchange() {
        let bench = Bench {
            plane: Bench::with_backend().plane,
            ..Bench::request("GET / HTTP/1.1\r\nHost: h\r\nN: 7\r\n\r\n")
        };
        let after = |rule: &str| bench.overrides(rule);
        assert_eq!(after("set-timeout server 2s").server_ms, Some(2_000));
        assert_eq!(after("set-timeout tunnel req.hdr(n)").tunnel_ms, Some(7));
        assert_eq!(after("set-timeout client req.hdr(none)").client_ms, None);
        assert_eq!(after("set-retries 1").retries, Some(1));
        assert_eq!(after("set-priority-class int(-3)").priority_class, -3);
        assert_eq!(after("set-priority-class int(9999)").priority_class, 2_047);
        let offset = after("set-priority-offset int(-9999999)").priority_offset_ms;
        assert_eq!(offset, -524_287);
        assert_eq!(after("set-log-level silent").log_level, Some(None));
        assert!(after("disable-l7-retry").no_retry && after("strict-mode off").lenient);
        assert_eq!(bench.line_after("pause 20"), "Pause { ms: 20 }");
        assert_eq!(bench.line_after("pause int(0)"), "GET /");
    }
}
