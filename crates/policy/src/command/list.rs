//! Commands about maps and the patterns of ACLs: `show`, `get`, `add`, `set`, `del`, `clear`, and `prepare` and `commit`
//! for replacing all entries at once.

use super::{Answer, Command, Refusal, Session, Words};
use crate::model::AccessLevel;
use crate::pattern::{Editor, Entry, Known, Method, Use};
use crate::stats::View;
use crate::stats::format::write;
use crate::value::Type;

/// What a command calls a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Noun {
    Acl,
    Map,
}

macro_rules! commands {
    ($($name:ident $verb:literal $noun_word:literal $noun:ident $rest:literal, $doc:literal, $run:ident;)*) => {
        $(pub(super) const $name: Command = Command {
            path: &[$verb, $noun_word],
            access: AccessLevel::Admin,
            usage: concat!($verb, " ", $noun_word, $rest),
            doc: $doc,
            run: |words, view, session| $run(words, view, session, Noun::$noun),
        };)*
    };
}

commands! {
    ADD_ACL "add" "acl" Acl " [@<ver>] <acl> <pattern>", "add a pattern", add;
    ADD_MAP "add" "map" Map " [@<ver>] <map> <key> <value>", "add a key, or those of a payload", add;
    CLEAR_ACL "clear" "acl" Acl " [@<ver>] <acl>", "remove all patterns", clear;
    CLEAR_MAP "clear" "map" Map " [@<ver>] <map>", "remove all keys", clear;
    COMMIT_ACL "commit" "acl" Acl " @<ver> <acl>", "make this version the current one", commit;
    COMMIT_MAP "commit" "map" Map " @<ver> <map>", "make this version the current one", commit;
    DELETE_ACL "del" "acl" Acl " <acl> [<pattern>|#<ref>]", "remove a pattern", delete;
    DELETE_MAP "del" "map" Map " <map> [<key>|#<ref>]", "remove a key", delete;
    GET_ACL "get" "acl" Acl " <acl> <value>", "the pattern that a value finds", get;
    GET_MAP "get" "map" Map " <map> <value>", "the key and value that a value finds", get;
    PREPARE_ACL "prepare" "acl" Acl " <acl>", "begin a new version", prepare;
    PREPARE_MAP "prepare" "map" Map " <map>", "begin a new version", prepare;
    SET_MAP "set" "map" Map " <map> [<key>|#<ref>] <value>", "give a key another value", set;
    SHOW_ACL "show" "acl" Acl " [[@<ver>] <acl>]", "all lists of patterns, or what one has", show;
    SHOW_MAP "show" "map" Map " [[@<ver>] <map>]", "all maps, or what one has", show;
}

impl Noun {
    fn name(self) -> &'static str {
        match self {
            Self::Acl => "ACL",
            Self::Map => "map",
        }
    }

    fn is(self, known: &Known) -> bool {
        match self {
            Self::Acl => known.is_acl,
            Self::Map => known.is_map,
        }
    }

    fn unknown(self) -> Refusal {
        let name = self.name();
        Refusal(format!(
            "Unknown {name} identifier. Please use #<id> or <file>.\n"
        ))
    }

    /// The list that is called so, whatever it is used for.
    fn any(self, view: View<'_>, reference: &str) -> Result<Known, Refusal> {
        let found = view.model().lists.find(reference);
        found.ok_or_else(|| self.unknown())
    }

    /// The list of this kind that is called so.
    fn own(self, view: View<'_>, reference: Option<&str>) -> Result<Known, Refusal> {
        let known = self.any(view, reference.unwrap_or_default())?;
        self.is(&known)
            .then_some(known)
            .ok_or_else(|| self.unknown())
    }
}

/// The version behind `@`, if the next word is one. Digits count up to the first byte that is none.
fn version(words: &mut Words<'_>) -> Option<u32> {
    let digits = words.peek()?.strip_prefix('@')?;
    words.next();
    let digits = digits.bytes().take_while(u8::is_ascii_digit);
    Some(digits.fold(0_u32, |number, digit| {
        number
            .wrapping_mul(10)
            .wrapping_add(u32::from(digit - b'0'))
    }))
}

/// The number behind `#0x`, if a key is a reference to an entry.
fn reference(key: &str) -> Option<Result<u64, Refusal>> {
    let digits = key.strip_prefix("#0x")?;
    let number = u64::from_str_radix(digits, 16);
    let wrong = "Malformed identifier. Please use #<id> or <file>.\n";
    Some(number.map_err(|_| wrong.into()))
}

fn show(words: &mut Words<'_>, view: View<'_>, _: &mut Session, noun: Noun) -> Answer {
    let mut text = String::new();
    if words.is_empty() {
        text.push_str("# id (file) description\n");
        let lists = view.model().lists.all();
        for known in lists.iter().filter(|known| noun.is(known)) {
            head(&mut text, known);
        }
        return Ok(text);
    }
    let version = version(words);
    let known = noun.own(view, words.next())?;
    for entry in known.list.entries(version) {
        let (id, pattern) = (entry.id(), entry.pattern_text());
        write(&mut text, format_args!("{id:#x} {pattern}"));
        if let Some(value) = entry.value() {
            write(
                &mut text,
                format_args!(" {}", String::from_utf8_lossy(value)),
            );
        }
        text.push('\n');
    }
    Ok(text)
}

fn head(text: &mut String, known: &Known) {
    let state = known.list.state();
    let (current, next) = (state.current, state.next);
    // HAProxy counts an entry once for each way in which it is compared.
    let entries = state.patterns * state.uses.len();
    write(
        text,
        format_args!(
            "{} ({}) {}. curr_ver={current} next_ver={next} entry_cnt={entries}\n",
            known.list.number(),
            known.list.name(),
            known.about
        ),
    );
}

fn get(words: &mut Words<'_>, view: View<'_>, _: &mut Session, noun: Noun) -> Answer {
    let (Some(name), Some(key)) = (words.next(), words.next()) else {
        let noun = noun.name();
        return Err(Refusal(format!("Missing {noun} identifier and/or key.\n")));
    };
    let known = noun.any(view, name)?;
    let mut text = String::new();
    for used in known.list.state().uses {
        let found = known.list.look_up(used, key.as_bytes());
        find(&mut text, noun, &used, found.as_ref());
    }
    Ok(text)
}

/// What one way of comparing has found.
fn find(text: &mut String, noun: Noun, used: &Use, found: Option<&Entry>) {
    let name = if used.groups {
        "regm"
    } else {
        used.method.name()
    };
    let case = if used.ignore_case {
        "insensitive"
    } else {
        "sensitive"
    };
    let (verb, key) = match noun {
        Noun::Acl => ("match", "pattern"),
        Noun::Map => ("found", "key"),
    };
    let answer = if found.is_some() { "yes" } else { "no" };
    write(
        text,
        format_args!("type={name}, case={case}, {verb}={answer}"),
    );
    if let Some(entry) = found {
        let index = if is_tree(used, entry) { "tree" } else { "list" };
        let pattern = entry.pattern_text();
        write(text, format_args!(", idx={index}, {key}=\"{pattern}\""));
        match (noun, used.values, entry.value()) {
            (Noun::Acl, ..) => {}
            (Noun::Map, Some(kind), Some(value)) => {
                let value = String::from_utf8_lossy(value);
                let kind = match kind {
                    Type::Address if value.contains(':') => Type::Ipv6,
                    Type::Address => Type::Ipv4,
                    kind => kind,
                };
                let kind = kind.name();
                write(text, format_args!(", value=\"{value}\", type=\"{kind}\""));
            }
            (Noun::Map, ..) => text.push_str(", value=none"),
        }
    }
    text.push('\n');
}

/// Whether HAProxy would keep the pattern in a tree.
fn is_tree(used: &Use, entry: &Entry) -> bool {
    match used.method {
        Method::Text | Method::Prefix => !used.ignore_case,
        Method::Ip => !entry.has_gaps(),
        _ => false,
    }
}

fn add(words: &mut Words<'_>, view: View<'_>, _: &mut Session, noun: Noun) -> Answer {
    let version = version(words);
    let payload = words.payload();
    let (name, key, value) = (words.next(), words.next(), words.next());
    let complete = match noun {
        Noun::Acl => key.is_some(),
        Noun::Map => name.is_some() && (payload.is_some() || value.is_some()),
    };
    let (true, Some(name)) = (complete, name) else {
        return Err(match noun {
            Noun::Acl => "'add acl' expects two parameters: ACL identifier and pattern.\n".into(),
            Noun::Map => {
                "'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) \
                 and a payload\n"
                    .into()
            }
        });
    };
    let known = noun.any(view, name)?;
    let list = &known.list;
    let next = list.state().next;
    if version.is_some_and(|version| version.wrapping_sub(next) as i32 > 0) {
        let verb = match noun {
            Noun::Acl => "acl",
            Noun::Map => "map",
        };
        return Err(Refusal(format!(
            "Version number in the future, please use 'prepare {verb}' before.\n"
        )));
    }
    if noun == Noun::Acl && list.has_values() {
        let sentence = "This ACL is shared with a map containing samples. You must use the command 'add map' to add \
                        values.\n";
        return Err(sentence.into());
    }
    list.edit(|editor| {
        let version = version.unwrap_or_else(|| editor.current());
        match payload {
            Some(payload) => add_lines(editor, version, payload, noun),
            None => put(
                editor,
                version,
                key.unwrap_or_default(),
                value.filter(|_| noun == Noun::Map),
            ),
        }
    })
}

/// Adds what a payload says, a key and a value a line. What stands before a mistake stays.
fn add_lines(editor: &mut Editor<'_>, version: u32, payload: &str, noun: Noun) -> Answer {
    let mut rest = payload.strip_suffix('\n').unwrap_or(payload);
    while !rest.is_empty() {
        let end = match noun {
            Noun::Acl => rest.find([' ', '\t', '\n']),
            Noun::Map => rest.find([' ', '\t']),
        };
        let Some(end) = end.or_else(|| (noun == Noun::Acl).then_some(rest.len())) else {
            return Err(Refusal(format!("Missing value for key '{rest}'.\n")));
        };
        let (key, behind) = rest.split_at(end);
        let (value, next) = behind.split_once('\n').unwrap_or((behind, ""));
        let value = value.trim_start_matches([' ', '\t']);
        put(editor, version, key, (noun == Noun::Map).then_some(value))?;
        rest = next;
    }
    Ok(String::new())
}

fn put(editor: &mut Editor<'_>, version: u32, key: &str, value: Option<&str>) -> Answer {
    let added = editor.add(version, key.as_bytes(), value.map(str::as_bytes));
    match added {
        Ok(()) => Ok(String::new()),
        Err(error) => Err(Refusal(format!("{error}.\n"))),
    }
}

fn set(words: &mut Words<'_>, view: View<'_>, _: &mut Session, noun: Noun) -> Answer {
    let (Some(name), Some(key), Some(value)) = (words.next(), words.next(), words.next()) else {
        return Err("'set map' expects three parameters: map identifier, key and value.\n".into());
    };
    let known = noun.any(view, name)?;
    let value = value.as_bytes();
    let (done, missing) = match reference(key) {
        Some(number) => {
            let number = number?;
            let done = known.list.edit(|editor| editor.set_numbered(number, value));
            (done, "key or pattern not found.\n")
        }
        None => {
            let done = known.list.edit(|editor| editor.set(key.as_bytes(), value));
            (done, "entry not found.\n")
        }
    };
    match done {
        Ok(true) => Ok(String::new()),
        Ok(false) => Err(missing.into()),
        Err(error) => Err(Refusal(format!("{error}.\n"))),
    }
}

fn delete(words: &mut Words<'_>, view: View<'_>, _: &mut Session, noun: Noun) -> Answer {
    let (Some(name), Some(key)) = (words.next(), words.next()) else {
        let name = noun.name();
        return Err(Refusal(format!(
            "This command expects two parameters: {name} identifier and key.\n"
        )));
    };
    let known = noun.own(view, Some(name))?;
    let done = match reference(key) {
        Some(number) => {
            let number = number?;
            known.list.edit(|editor| editor.remove_numbered(number))
        }
        None => known.list.edit(|editor| editor.remove(key.as_bytes())),
    };
    match done {
        true => Ok(String::new()),
        false => Err("Key not found.\n".into()),
    }
}

fn missing(noun: Noun) -> Refusal {
    Refusal(format!("Missing {} identifier.\n", noun.name()))
}

fn clear(words: &mut Words<'_>, view: View<'_>, _: &mut Session, noun: Noun) -> Answer {
    let version = version(words);
    let name = words.next().ok_or_else(|| missing(noun))?;
    let known = noun.own(view, Some(name))?;
    known
        .list
        .replace(|editor| editor.clear(version.unwrap_or_else(|| editor.current())));
    Ok(String::new())
}

fn prepare(words: &mut Words<'_>, view: View<'_>, _: &mut Session, noun: Noun) -> Answer {
    let known = noun.own(view, words.next())?;
    let version = known.list.edit(|editor| editor.prepare());
    Ok(format!("New version created: {version}\n"))
}

fn commit(words: &mut Words<'_>, view: View<'_>, _: &mut Session, noun: Noun) -> Answer {
    let version = version(words).ok_or("Missing version number.\n")?;
    let name = words.next().ok_or_else(|| missing(noun))?;
    let known = noun.own(view, Some(name))?;
    match known.list.replace(|editor| editor.commit(version)) {
        true => Ok(String::new()),
        false => Err("Version number out of range.\n".into()),
    }
}
