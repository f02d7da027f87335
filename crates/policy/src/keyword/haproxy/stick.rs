//! Stick tables and what leads a client back to its server by them: `stick-table …`, `stick on …`.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_config::values::{TimeUnit, parse_duration};

use super::value;
use crate::draft::{Draft, Spanned};
use crate::keyword::{Keyword, Sections};
use crate::stick_table::{
    ALL, ARRAY_MAX, Data, DataSpec, KEY_LENGTH_DEFAULT, KEY_LENGTH_MAX, KeyType, Kind as DataKind,
    SIZE_MAX, ServerKey, TableSpec,
};

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    rule(
        "stick match",
        "Leads clients back to the server that a table remembers.",
    ),
    rule(
        "stick on",
        "Leads clients back to their servers, which a table remembers.",
    ),
    rule(
        "stick store-request",
        "Remembers a client's server by something in the request.",
    ),
    rule(
        "stick store-response",
        "Remembers a client's server by something in the response.",
    ),
    Keyword::new(
        "stick-table",
        Sections::OWN,
        TABLE_USAGE,
        "A table of clients, under the proxy's name.",
        table,
    ),
];

/// The arguments of both kinds of lines that make a table.
pub(super) const TABLE_USAGE: &str = "type TYPE [len NUMBER] size NUMBER [WORD...]";

const fn rule(name: &'static str, doc: &'static str) -> Keyword<Draft> {
    let usage = "EXPRESSION [table NAME] [if|unless CONDITION...]";
    Keyword::new(name, Sections::OWN_BACK, usage, doc, super::rules::keep)
}

fn table(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let line = draft.line;
    let proxy = draft.proxy();
    let name = proxy.name.clone();
    let again = proxy.table.is_some();
    let spec = read_table(args, draft, name, false)?;
    if again {
        let error = Diagnostic::error(Kind::Invalid, line, "this proxy has a stick table already");
        return Err(error.help("put the second one into a 'backend' section of its own"));
    }
    draft.proxy().table = Some(Spanned::new(spec, line));
    Ok(())
}

/// What is left of a line that makes a table. In a `peers` section, which shares it, it cannot name another.
pub(super) fn read_table(
    args: &mut Args<'_>,
    draft: &mut Draft,
    name: String,
    shared: bool,
) -> Result<TableSpec, Diagnostic> {
    let (mut key, mut size) = (None, None);
    let mut spec = TableSpec::new(name, KeyType::Ipv4, 0);
    args.options(WORDS.into_iter(), |word, args| {
        match word.text.as_str() {
            "type" => key = Some(read_type(args)?),
            "size" => {
                let entries = args.size("the number of entries", 1..=u64::from(SIZE_MAX))?;
                size = u32::try_from(entries).ok();
            }
            "expire" => {
                let duration_ms = value::duration_ms(args, "the time a key stays")?;
                spec.expire_ms = u32::try_from(duration_ms).unwrap_or(u32::MAX);
            }
            "nopurge" => spec.nopurge = true,
            "recv-only" => spec.receive_only = true,
            "store" => store(args, draft, &mut spec)?,
            "srvkey" => {
                let keys = [("name", ServerKey::Name), ("addr", ServerKey::Address)];
                spec.server_key = value::choice(args, "what a server is called by", &keys)?;
            }
            "write-to" => spec.write_to = Some(value::text(args, "the name of a table")?),
            "brates-factor" => {
                let factor = args.size("bytes per unit", 1..=1_024)?;
                spec.byte_rate_factor = factor as u32;
            }
            "peers" if !shared => {
                spec.peers = Some(value::text(args, "the name of a 'peers' section")?);
            }
            _ => return Err(unknown(word, shared)),
        }
        Ok(())
    })?;
    let (Some(key), Some(size)) = (key, size) else {
        let error = Diagnostic::error(Kind::Invalid, args.end(), "a table needs a type and a size");
        return Err(error.help("write 'type ip size 100k'"));
    };
    (spec.key, spec.size) = (key, size);
    Ok(spec)
}

const WORDS: [&str; 10] = [
    "brates-factor",
    "expire",
    "nopurge",
    "recv-only",
    "size",
    "srvkey",
    "store",
    "type",
    "write-to",
    "peers",
];

fn unknown(word: &Word, shared: bool) -> Diagnostic {
    let count = WORDS.len() - usize::from(shared);
    let what = "a word about tables";
    value::unknown(word, what, WORDS.into_iter().take(count))
}

fn read_type(args: &mut Args<'_>) -> Result<KeyType, Diagnostic> {
    let types = [
        ("binary", KeyType::Binary { length: 0 }),
        ("integer", KeyType::Integer),
        ("ip", KeyType::Ipv4),
        ("ipv4", KeyType::Ipv4),
        ("ipv6", KeyType::Ipv6),
        ("string", KeyType::Text { length: 0 }),
    ];
    let key = value::choice(args, "a type of key", &types)?;
    let length = match key {
        KeyType::Text { .. } | KeyType::Binary { .. } if args.take("len") => {
            value::number(args, "the length of a key", 1..=KEY_LENGTH_MAX)?
        }
        // Room for 32 bytes, of which HAProxy needs the last one of a text for itself.
        KeyType::Text { .. } => KEY_LENGTH_DEFAULT - 1,
        _ => KEY_LENGTH_DEFAULT,
    };
    Ok(match key {
        KeyType::Text { .. } => KeyType::Text { length },
        KeyType::Binary { .. } => KeyType::Binary { length },
        key => key,
    })
}

/// `store NAME[(ARGUMENT,…)],…`.
fn store(args: &mut Args<'_>, draft: &mut Draft, spec: &mut TableSpec) -> Result<(), Diagnostic> {
    let word = args.word("what to store")?;
    let mut rest = word.text.as_str();
    while !rest.is_empty() {
        let end = rest.find([',', '(']).unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        let mut arguments = None;
        if let Some(inner) = rest.strip_prefix('(') {
            let Some((inner, after)) = inner.split_once(')') else {
                let message = format_args!("the parenthesis behind '{name}' is not closed");
                return Err(Diagnostic::error(Kind::Invalid, word.span, message));
            };
            (arguments, rest) = (Some(inner), after);
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.is_empty() => {}
            None => {
                let message = format_args!("'{rest}' cannot follow '{name}(…)'");
                let error = Diagnostic::error(Kind::Invalid, word.span, message);
                return Err(error.help("separate what is stored by commas"));
            }
        }
        let stored = read_data(word, name, arguments)?;
        if spec.stored(stored.data).is_some() {
            let message = format_args!("'{name}' is stored already");
            draft.report(Diagnostic::warning(Kind::NoEffect, word.span, message));
        }
        spec.store(stored);
    }
    exclusive(word, spec)
}

/// One kind of data with its arguments: how many elements, and over which period.
fn read_data(word: &Word, name: &str, arguments: Option<&str>) -> Result<DataSpec, Diagnostic> {
    let Some(data) = Data::named(name) else {
        let named = Word::new(name, word.span);
        let names = ALL.iter().map(|description| description.name);
        return Err(value::unknown(
            &named,
            "something that a table stores",
            names,
        ));
    };
    let description = data.description();
    let invalid = |message: String, help: String| {
        Err(Diagnostic::error(Kind::Invalid, word.span, message).help(help))
    };
    let mut arguments = arguments.map(|text| text.split(',')).into_iter().flatten();
    let mut stored = DataSpec {
        data,
        elements: 1,
        period_ms: 0,
    };
    if description.array {
        stored.elements = match arguments.next().map(str::parse) {
            Some(Ok(elements)) if (1..=ARRAY_MAX).contains(&elements) => elements,
            _ => {
                let message = format!("'{name}' needs a number of elements");
                return invalid(
                    message,
                    format!("write from 1 to {ARRAY_MAX} in parentheses"),
                );
            }
        };
    }
    if description.kind == DataKind::Rate {
        let period = arguments.next().unwrap_or_default();
        stored.period_ms = match parse_duration(period, TimeUnit::Milliseconds) {
            Ok(period) if !period.value.is_zero() && period.trailing == 0 => {
                u32::try_from(period.value.as_millis()).unwrap_or(u32::MAX)
            }
            _ => {
                let message = format!("'{name}' needs the period that it is measured over");
                return invalid(message, format!("write '{name}(10s)'"));
            }
        };
    }
    match arguments.next() {
        Some(more) => invalid(
            format!("'{name}' has no use for '{more}'"),
            "remove it".to_owned(),
        ),
        None => Ok(stored),
    }
}

/// Arrays stand for the single counters and tags of older versions, so that a table cannot have both.
fn exclusive(word: &Word, spec: &TableSpec) -> Result<(), Diagnostic> {
    for (array, singles) in [
        (Data::Gpt, [Data::Gpt0, Data::Gpt0]),
        (Data::Gpc, [Data::Gpc0, Data::Gpc1]),
        (Data::GpcRate, [Data::Gpc0Rate, Data::Gpc1Rate]),
    ] {
        let single = singles
            .into_iter()
            .find(|&data| spec.stored(data).is_some());
        if let (Some(_), Some(single)) = (spec.stored(array), single) {
            let message = format_args!("a table cannot store both '{array}' and '{single}'");
            let error = Diagnostic::error(Kind::Invalid, word.span, message);
            return Err(error.help(format_args!("the first element of '{array}' is '{single}'")));
        }
    }
    Ok(())
}
