//! `set-bandwidth-limit`: has a limit of bandwidth apply to a stream.

use std::sync::Arc;

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_config::values::{TimeUnit, parse_duration, parse_size};

use super::{Action, Flow, Places, Row, Words, action};
use crate::bandwidth::Spec;
use crate::context::Context;
use crate::expression::{self, Expression, Scope};
use crate::stick_table::{Key, castable};
use crate::value::Value;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "set-bandwidth-limit",
    numbered: false,
    usage: "NAME [limit SIZE|EXPRESSION] [period TIME|EXPRESSION]",
    doc: "Limits how fast a body passes, by the bwlim filter of this name.",
    places: Places::CONTENT
        .and(Places::RESPONSE_CONTENT)
        .and(Places::MESSAGES),
    read,
}];

/// A number that may be written, or found at run time.
enum Amount {
    Usual,
    Fixed(u32),
    Found(Expression),
}

impl Amount {
    /// 0: as the filter's line says.
    fn value(&self, context: &Context<'_>) -> u32 {
        match self {
            Self::Usual => 0,
            Self::Fixed(number) => *number,
            Self::Found(expression) => {
                let found = expression.evaluate(context);
                let found = found.and_then(|value| value.as_integer()).unwrap_or(0);
                u32::try_from(found.max(0)).unwrap_or(u32::MAX)
            }
        }
    }
}

struct SetLimit {
    spec: Arc<Spec>,
    limit: Amount,
    period: Amount,
}

impl Action for SetLimit {
    fn run(&self, context: &mut Context<'_>) -> Flow {
        if self.spec.idle {
            return Flow::Continue;
        }
        let own = (self.limit.value(context), self.period.value(context));
        let entry = match &self.spec.shared {
            None => None,
            Some(shared) => {
                let value = shared.key.evaluate(context);
                let value = value.and_then(|value: Value<'_>| value.cast(castable(shared.kind)));
                let key = value.as_ref().and_then(|value| Key::of(shared.kind, value));
                let Some(key) = key else {
                    return Flow::Continue;
                };
                let table = context.plane.tables.get(shared.table);
                match table.track(&key, context.now_ms(), |_| ()) {
                    Some(entry) => Some(entry),
                    None => return Flow::Continue, // The table is full.
                }
            }
        };
        let limits = context.exchange.limits.get_or_insert_default();
        limits.set(&self.spec, own, entry);
        Flow::Continue
    }
}

fn read(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let name = words.args.word("the name of a bwlim filter")?;
    let mut known = scope.limits.iter();
    let Some(spec) = known.find(|spec| spec.name == name.text) else {
        let message = format_args!("no bandwidth limit is called '{}' here", name.text);
        let error = Diagnostic::error(Kind::Reference, name.span, message);
        return Err(error.help("add 'filter bwlim-out NAME …' to this section"));
    };
    if let Some(shared) = &spec.shared {
        expression::check_phase(&shared.key, name.span, scope)?;
    }
    let (mut limit, mut period) = (Amount::Usual, Amount::Usual);
    loop {
        let span = words.args.end();
        if words.take("limit") {
            limit = amount(words.args, scope, |text| {
                parse_size(text)
                    .ok()
                    .and_then(|size| u32::try_from(size).ok())
            })?;
        } else if words.take("period") {
            period = amount(words.args, scope, |text| {
                let parsed = parse_duration(text, TimeUnit::Milliseconds).ok()?;
                u32::try_from(parsed.value.as_millis()).ok()
            })?;
        } else {
            break;
        }
        if spec.shared.is_some() {
            let message = "a limit that is shared has its size and its time from the filter's line";
            return Err(Diagnostic::error(Kind::Invalid, span, message));
        }
    }
    action(SetLimit {
        spec: Arc::clone(spec),
        limit,
        period,
    })
}

fn amount(
    args: &mut Args<'_>,
    scope: &Scope<'_>,
    fixed: impl FnOnce(&str) -> Option<u32>,
) -> Result<Amount, Diagnostic> {
    let word = args.word("a number or an expression")?;
    match fixed(&word.text) {
        Some(number) => Ok(Amount::Fixed(number)),
        None => expression::parse(word, scope).map(Amount::Found),
    }
}
