//! `show table`, `set table` and `clear table`.

use std::fmt::Write as _;

use super::{Answer, Command, Refusal, Session, Words};
use crate::model::AccessLevel;
use crate::stats::View;
use crate::stick_table::{Data, Entry, Key, KeyType, KeyValue, Kind, Pointer, Removal, Row, Table};

pub(super) const CLEAR: Command = Command {
    path: &["clear", "table"],
    access: AccessLevel::User,
    usage: "clear table <table> [<filter>]*",
    doc: "remove an entry from a table (filter: data/key)",
    run: |words, view, session| run(words, view, session, Verb::Clear),
};

pub(super) const SET: Command = Command {
    path: &["set", "table"],
    access: AccessLevel::User,
    usage: "set table <table> key <k> [data.* <v>]*",
    doc: "update or create a table entry's data",
    run: |words, view, session| run(words, view, session, Verb::Set),
};

pub(super) const SHOW: Command = Command {
    path: &["show", "table"],
    access: AccessLevel::User,
    usage: "show table [<table> [<filter>]*]",
    doc: "report table usage stats or dump this table's contents (filter: data/key)",
    run: |words, view, session| run(words, view, session, Verb::Show),
};

/// Most conditions of one filter.
const FILTERS_MAX: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Show,
    Set,
    Clear,
}

/// One condition on the data of an entry.
struct Filter {
    data: Data,
    index: u32,
    holds: fn(&i64, &i64) -> bool,
    value: i64,
}

impl Filter {
    fn accepts(&self, entry: &Entry<'_>) -> bool {
        let found = entry.read(self.data, self.index);
        found.is_some_and(|value| (self.holds)(&value, &self.value))
    }
}

fn run(words: &mut Words<'_>, view: View<'_>, session: &mut Session, verb: Verb) -> Answer {
    let now_ms = view.now.monotonic_ms;
    let Some(name) = words.next() else {
        if verb != Verb::Show {
            return Err(usage(verb));
        }
        // The last one of the configuration comes first, as in HAProxy.
        let tables = view.plane.tables.iter().rev();
        return Ok(tables.map(|table| head(table, now_ms)).collect());
    };
    let table = view.plane.tables.named(name).ok_or("No such table\n")?;
    let trusted = session.level >= AccessLevel::Operator;
    if verb != Verb::Show && !trusted {
        return Err("Permission denied\n".into());
    }
    match words.peek() {
        Some("key") | Some("ptr") => one(words, table, now_ms, verb, trusted),
        Some(word) if word.starts_with("data.") => {
            let filters = filters(words, table, verb)?;
            Ok(all(table, now_ms, verb, trusted, &filters))
        }
        None if verb != Verb::Set => Ok(all(table, now_ms, verb, trusted, &[])),
        _ => Err(usage(verb)),
    }
}

fn usage(verb: Verb) -> Refusal {
    Refusal::from(match verb {
        Verb::Show => {
            "Optional argument only supports \"data.<store_data_type>\" <operator> <value> or key <key> or ptr <ptr>\n"
        }
        Verb::Clear => {
            "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key> or <table> \
             ptr <ptr>\n"
        }
        Verb::Set => {
            "Required arguments: <table> key <key> [data.<store_data_type> <value>]* or <table> ptr <ptr> \
             [data.<store_data_type> <value>]*\n"
        }
    })
}

/// The command applied to every entry that `filters` accept.
fn all(table: &Table, now_ms: u64, verb: Verb, trusted: bool, filters: &[Filter]) -> String {
    let mut text = String::new();
    if verb == Verb::Show {
        text = head(table, now_ms);
        if !trusted {
            text.push_str("# contents not dumped due to insufficient privileges\n");
            return text;
        }
    }
    let accepts = |entry: &Entry<'_>| filters.iter().all(|filter| filter.accepts(entry));
    if verb == Verb::Clear {
        table.remove_where(now_ms, |row| accepts(&row.entry));
        return text;
    }
    table.visit(now_ms, |row| {
        if accepts(&row.entry) {
            show(&mut text, table, row);
        }
    });
    text
}

/// The command applied to the entry with a key, or at a pointer.
fn one(words: &mut Words<'_>, table: &Table, now_ms: u64, verb: Verb, trusted: bool) -> Answer {
    let by_key = words.next() == Some("key");
    let pointer = if by_key {
        let word = words.next().ok_or("Key value expected\n")?;
        let key = Key::parse(table.spec().key, word).ok_or("Invalid key\n")?;
        if verb == Verb::Set && table.update(&key, now_ms, |_| {}).is_none() {
            return Err("Unable to allocate a new entry\n".into());
        }
        table.pointer(&key, now_ms)
    } else {
        Some(at(words, table, now_ms)?)
    };
    if let KeyType::Binary { .. } = table.spec().key {
        let doing = match verb {
            Verb::Show => "Showing keys from",
            Verb::Clear => "Removing keys from",
            Verb::Set => "Inserting keys into",
        };
        let others = "tables of type other than ip, ipv6, string and integer is not supported\n";
        return Err(Refusal(format!("{doing} {others}")));
    }
    if !trusted {
        return Err("Permission denied\n".into());
    }
    let Some(pointer) = pointer else {
        return Ok(String::new());
    };
    match verb {
        Verb::Show => {
            let mut text = head(table, now_ms);
            table.at(pointer, now_ms, |row| show(&mut text, table, row));
            Ok(text)
        }
        Verb::Clear => match table.remove_at(pointer) {
            Removal::InUse => Err("Entry currently in use, cannot remove\n".into()),
            Removal::Removed | Removal::Absent => Ok(String::new()),
        },
        Verb::Set => {
            let done = table.at(pointer, now_ms, |row| assign(words, &mut row.entry));
            done.unwrap_or(Ok(())).map(|()| String::new())
        }
    }
}

fn at(words: &mut Words<'_>, table: &Table, now_ms: u64) -> Result<Pointer, Refusal> {
    let word = words.next().filter(|word| word.starts_with("0x"));
    let word = word.ok_or("Pointer expected (0xffff notation)\n")?;
    if !word[2..].bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("Malformed ptr.\n".into());
    }
    let pointer = Pointer::parse(word);
    let pointer = pointer.filter(|&pointer| table.at(pointer, now_ms, |_| ()).is_some());
    Ok(pointer.ok_or("No entry can be found matching ptr.\n")?)
}

/// `data.NAME VALUE …`. What stands before a mistake is done all the same, as in HAProxy.
fn assign(words: &mut Words<'_>, entry: &mut Entry<'_>) -> Result<(), Refusal> {
    while let Some(word) = words.next() {
        let name = word.strip_prefix("data.");
        let name = name.ok_or("\"data.<type>\" followed by a value expected\n")?;
        let (data, index) = Data::element(name).ok_or("Unknown data type\n")?;
        if !entry.has(data, 0) {
            return Err("Data type not stored in this table\n".into());
        }
        let value = words.next().and_then(|word| word.parse().ok());
        let value: i64 = value.ok_or("Require a valid integer value to store\n")?;
        if !entry.has(data, index) {
            return Err("index out of range in this data array\n".into());
        }
        // A server's key is a name, which no number can be.
        if data.description().kind != Kind::ServerKey {
            entry.set(data, index, value);
        }
    }
    Ok(())
}

fn filters(words: &mut Words<'_>, table: &Table, verb: Verb) -> Result<Vec<Filter>, Refusal> {
    if verb == Verb::Set {
        let sentence =
            "content-based lookup is only supported with the \"show\" and \"clear\" actions\n";
        return Err(sentence.into());
    }
    let mut filters = Vec::new();
    while filters.len() < FILTERS_MAX {
        let Some(word) = words.next() else {
            return Ok(filters);
        };
        let number = filters.len() + 1;
        let refuse = |what: &str| Refusal(format!("Filter entry #{number}: {what}\n"));
        let name = word.get("data.".len()..).unwrap_or_default();
        let (data, index) = Data::element(name).ok_or_else(|| refuse("Unknown data type"))?;
        if table.spec().stored(data).is_none() {
            return Err(refuse("Data type not stored in this table"));
        }
        let holds: fn(&i64, &i64) -> bool = match words.next() {
            Some("eq") => i64::eq,
            Some("ne") => i64::ne,
            Some("le") => i64::le,
            Some("ge") => i64::ge,
            Some("lt") => i64::lt,
            Some("gt") => i64::gt,
            _ => {
                let what =
                    "Require and operator among \"eq\", \"ne\", \"le\", \"ge\", \"lt\", \"gt\"";
                return Err(refuse(what));
            }
        };
        let value = words.next().and_then(|word| word.parse().ok());
        let what = "Require a valid integer value to compare against";
        let value = value.ok_or_else(|| refuse(what))?;
        filters.push(Filter {
            data,
            index,
            holds,
            value,
        });
    }
    match words.next() {
        None => Ok(filters),
        Some(_) => {
            let place = 3 + 3 * FILTERS_MAX + 1;
            let last = filters.last().map_or(0, |filter| filter.value);
            let what =
                format!("Detected extra data in filter, {place}th word of input, after '{last}'\n");
            Err(Refusal(what))
        }
    }
}

fn head(table: &Table, now_ms: u64) -> String {
    let spec = table.spec();
    format!(
        "# table: {}, type: {}, size:{}, used:{}\n",
        spec.name,
        spec.key.name(),
        table.size(),
        table.used(now_ms)
    )
}

/// The line of one entry.
fn show(text: &mut String, table: &Table, row: &Row<'_>) {
    let _ = write!(text, "{}: key=", row.pointer);
    key(text, &row.key);
    let entry = &row.entry;
    let _ = write!(
        text,
        " use={} exp={} shard=0",
        entry.users(),
        entry.remaining_ms()
    );
    for stored in &table.spec().data {
        let description = stored.data.description();
        for index in 0..stored.elements {
            text.push(' ');
            match description.name.split_once('_') {
                _ if !description.array => text.push_str(description.name),
                Some((name, unit)) => {
                    let _ = write!(text, "{name}{index}_{unit}");
                }
                None => {
                    let _ = write!(text, "{}{index}", description.name);
                }
            }
            if description.kind == Kind::Rate {
                let _ = write!(text, "({})", stored.period_ms);
            }
            text.push('=');
            let value = entry.read(stored.data, index).unwrap_or(0);
            match description.kind {
                Kind::ServerKey => {
                    let name = table.server_name(value as u32);
                    text.push_str(name.as_deref().unwrap_or("-"));
                }
                Kind::Wide => {
                    let _ = write!(text, "{}", value as u64);
                }
                _ => {
                    let _ = write!(text, "{value}");
                }
            }
        }
    }
    text.push('\n');
}

/// A key so that it is one word.
fn key(text: &mut String, key: &KeyValue) {
    let _ = match key {
        KeyValue::Address(address) => write!(text, "{address}"),
        KeyValue::Integer(value) => write!(text, "{value}"),
        KeyValue::Binary(bytes) => bytes.iter().try_for_each(|byte| write!(text, "{byte:02X}")),
        KeyValue::Text(bytes) => bytes.iter().try_for_each(|&byte| match byte {
            b'\t' => write!(text, "\\t"),
            b'\n' => write!(text, "\\n"),
            b'\r' => write!(text, "\\r"),
            0x1b => write!(text, "\\e"),
            b'\\' | b' ' | b'=' => write!(text, "\\{}", byte as char),
            0x21..=0x7e => write!(text, "{}", byte as char),
            _ => write!(text, "\\x{byte:02X}"),
        }),
    };
}
