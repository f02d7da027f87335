//! The words of an `acl` line: an expression, flags, patterns.

use std::sync::Arc;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};

use super::{Clause, Test};
use crate::convert;
use crate::expression::{self, Expression, Scope};
use crate::keyword::haproxy::names;
use crate::pattern::{self, List, Method, Search, Use};
use crate::sample;
use crate::value::Type;

/// Ends of a criterion's name that stand for a way of comparing.
const SUFFIXES: [(&str, Method); 7] = [
    ("_beg", Method::Prefix),
    ("_dir", Method::Directory),
    ("_dom", Method::Domain),
    ("_end", Method::Suffix),
    ("_len", Method::Length),
    ("_reg", Method::Regex),
    ("_sub", Method::Substring),
];

/// Flags and patterns as written.
#[derive(Default)]
struct Written<'a> {
    ignore_case: bool,
    is_map: bool,
    method: Option<Method>,
    /// The number of the list, for the runtime API.
    number: Option<u32>,
    /// Each with whether it has values.
    files: Vec<(&'a Word, bool)>,
    patterns: Vec<(String, Span)>,
}

/// Criteria that yield bytes and are compared as such when nothing is said; of others it has to be said.
const BYTES: [&str; 2] = ["payload", "payload_lv"];

/// Reads what follows the name of an ACL, up to the end.
///
/// # Errors
/// Unknown names, flags and patterns.
pub(crate) fn read_clause(args: &mut Args<'_>, scope: &Scope<'_>) -> Result<Clause, Diagnostic> {
    let criterion = &with_converters(args.word("a criterion")?, args);
    let (expression, implied) = read_criterion(criterion, scope)?;
    let mut written = Written::default();
    let is_bare = args.is_empty();
    read_flags(args, &mut written)?;
    let method = method(&expression, implied, written.method, criterion.span)?;
    let chosen = (
        implied,
        method,
        expression.is_converted() || written.method.is_some(),
    );
    warn_of_methods(args, criterion, chosen);
    if !expression.output().casts_to(method.input()) {
        let (method, kind) = (method.name(), expression.output().name());
        let message = format_args!("a value of type {kind} cannot be compared with '-m {method}'");
        return Err(Diagnostic::error(Kind::Invalid, criterion.span, message));
    }
    let versions = sample::has_versions(expression.text());
    read_patterns(args, method, versions, &mut written)?;
    check_groups(criterion, method, &written, scope)?;
    if is_bare && method != Method::Boolean {
        let message = format_args!(
            "'{}' is compared with nothing, so that it never matches",
            criterion.text
        );
        let warning = Diagnostic::warning(Kind::NoEffect, criterion.span, message);
        args.warn(warning.help("write '-m found' if it only has to be there, '-m bool' for a number other than 0, or '--' if this is meant"));
    }
    let test = test(method, &written, criterion, scope)?;
    Ok(Clause { expression, test })
}

/// How values are compared: as a flag says, as the name of the criterion does, or as is usual for their type.
fn method(
    expression: &Expression,
    implied: Option<Method>,
    written: Option<Method>,
    span: Span,
) -> Result<Method, Diagnostic> {
    // Converters make another value of it, to which its name does not apply.
    let implied = implied.filter(|_| !expression.is_converted());
    let bytes = || BYTES.contains(&name_of(expression.text())) && !expression.is_converted();
    let natural = || match expression.output() {
        Type::Binary => bytes().then_some(Method::Binary),
        kind => Method::natural(kind),
    };
    written.or(implied).or_else(natural).ok_or_else(|| {
        let kind = match expression.output() {
            Type::Binary => "yields bytes",
            _ => "may be of any type",
        };
        let message = format_args!("'{}' {kind}", expression.text());
        Diagnostic::error(Kind::Invalid, span, message)
            .help("say how to compare it, such as '-m str'")
    })
}

/// A way of comparing that the criterion's name has, and another one that counts.
fn warn_of_methods(
    args: &mut Args<'_>,
    criterion: &Word,
    (implied, used, chosen): (Option<Method>, Method, bool),
) {
    let implied = match implied {
        Some(implied) if implied != used => implied.name(),
        // Of all criteria without such a name this one has a way of its own.
        None if chosen && name_of(&criterion.text) == "method" => "method",
        _ => return,
    };
    let used = used.name();
    let message = format_args!(
        "'{}' is compared as '-m {used}' says, not '-m {implied}'",
        criterion.text
    );
    args.warn(Diagnostic::warning(Kind::NoEffect, criterion.span, message));
}

/// Behind a comma that ends a word the list of converters goes on with the next one.
fn with_converters(criterion: &Word, args: &mut Args<'_>) -> Word {
    let mut whole = criterion.clone();
    while whole.text.ends_with(',')
        && let Some(word) = args.peek()
        && convert::find(name_of(&word.text)).is_some()
    {
        args.next();
        whole.text.push_str(&word.text);
    }
    whole
}

/// What stands before the arguments.
fn name_of(text: &str) -> &str {
    &text[..text.find(['(', ',']).unwrap_or(text.len())]
}

/// What the name of a criterion stands for, where a sample of this name is something else: elsewhere `hdr` looks at the
/// message at hand.
fn sample_of(name: &str) -> &str {
    if name == "hdr" { "req.hdr" } else { name }
}

/// An expression, or the name of one with a suffix such as `_beg`.
fn read_criterion(
    word: &Word,
    scope: &Scope<'_>,
) -> Result<(Expression, Option<Method>), Diagnostic> {
    let (name, rest) = word.text.split_at(name_of(&word.text).len());
    if sample::find(name).is_none() {
        let derived = SUFFIXES.iter().find_map(|(suffix, method)| {
            let base = name.strip_suffix(suffix)?;
            sample::find(base).map(|_| (base, *method))
        });
        if let Some((base, method)) = derived {
            let text = format!("{}{rest}", sample_of(base));
            let expression = expression::parse_text(&text, word.span, scope)?;
            return Ok((expression, Some(method)));
        }
    }
    names::check_expression(&word.text, word.span)?;
    let text = format!("{}{rest}", sample_of(name));
    let expression = expression::parse_text(&text, word.span, scope)?;
    Ok((expression, None))
}

fn read_flags<'a>(args: &mut Args<'a>, written: &mut Written<'a>) -> Result<(), Diagnostic> {
    while let Some(word) = args.peek() {
        match word.text.as_str() {
            "--" => {
                args.next();
                break;
            }
            "-i" => written.ignore_case = true,
            // Names of hosts are never looked up.
            "-n" => {}
            "-M" => written.is_map = true,
            "-u" => {
                args.next();
                let number = args.number("an identifier", 0..=u64::from(u32::MAX))?;
                written.number = Some(number as u32);
                continue;
            }
            "-f" => {
                args.next();
                let file = args.word("the name of a file")?;
                written.files.push((file, written.is_map));
                continue;
            }
            "-m" => {
                args.next();
                let wrong = if !written.files.is_empty() {
                    Some("'-m' has to stand before files")
                } else if written.method.is_some() {
                    Some("there is a second '-m'")
                } else {
                    None
                };
                if let Some(message) = wrong {
                    return Err(Diagnostic::error(Kind::Invalid, word.span, message));
                }
                let name = args.word("a way of comparing")?;
                let method = Method::find(&name.text).ok_or_else(|| unknown_method(name))?;
                written.method = Some(method);
                continue;
            }
            flag if flag.starts_with('-') => {
                let message = format_args!("'{flag}' is not a flag of ACLs");
                let error = Diagnostic::error(Kind::Unknown, word.span, message);
                return Err(error.help("put '--' before a pattern that begins with '-'"));
            }
            _ => break,
        }
        args.next();
    }
    Ok(())
}

fn unknown_method(word: &Word) -> Diagnostic {
    let message = format_args!("'{}' is not a way of comparing", word.text);
    let known: Vec<_> = Method::NAMES.iter().map(|(name, _)| *name).collect();
    Diagnostic::error(Kind::Unknown, word.span, message)
        .help(format_args!("write one of {}", known.join(", ")))
}

/// The patterns up to the end.
fn read_patterns(
    args: &mut Args<'_>,
    method: Method,
    versions: bool,
    written: &mut Written<'_>,
) -> Result<(), Diagnostic> {
    let numeric = matches!(method, Method::Integer | Method::Length);
    let mut operator = None;
    while let Some(word) = args.next() {
        if numeric && matches!(word.text.as_str(), "eq" | "ge" | "gt" | "le" | "lt") {
            operator = Some(word.text.as_str());
            continue;
        }
        let text = match versions {
            true => &version_numbers(word)?,
            false => &word.text,
        };
        // As in HAProxy a range, or what looks like one for its sign, is taken as it is.
        let operator = operator.filter(|_| !word.text.contains([':', '-']));
        if method == Method::Boolean && word.text.parse::<i64>().is_err() {
            let message = format_args!("'{}' is not a number, such as 0 or 1", word.text);
            return Err(Diagnostic::error(Kind::Invalid, word.span, message));
        }
        let text = match operator {
            Some(operator) => compared(operator, text, word.span)?,
            None => text.clone(),
        };
        written.patterns.push((text, word.span));
    }
    Ok(())
}

/// `3.1`, or a range of such versions, as the numbers they stand for.
fn version_numbers(word: &Word) -> Result<String, Diagnostic> {
    let number = |text: &str| match text {
        "" => Some(String::new()),
        text => sample::version_number(text).map(|number| number.to_string()),
    };
    let range = match word.text.split_once(':') {
        None => number(&word.text),
        Some((from, to)) => number(from)
            .zip(number(to))
            .map(|(from, to)| format!("{from}:{to}")),
    };
    range.ok_or_else(|| {
        let message = format_args!("'{}' is not a version such as 3.1", word.text);
        Diagnostic::error(Kind::Invalid, word.span, message)
    })
}

/// `gt 5` as the range `6:`.
fn compared(operator: &str, text: &str, span: Span) -> Result<String, Diagnostic> {
    let number: i64 = text.parse().map_err(|_| {
        let message = format_args!("'{text}' is not a number");
        Diagnostic::error(Kind::Invalid, span, message)
    })?;
    Ok(match operator {
        "ge" => format!("{number}:"),
        "gt" => format!("{}:", number.saturating_add(1)),
        "le" => format!(":{number}"),
        "lt" => format!(":{}", number.saturating_sub(1)),
        _ => number.to_string(),
    })
}

/// What is compared with the groups of users must be groups.
fn check_groups(
    criterion: &Word,
    method: Method,
    written: &Written<'_>,
    scope: &Scope<'_>,
) -> Result<(), Diagnostic> {
    let name = criterion.text.strip_prefix("http_auth_group(");
    let name = name.and_then(|rest| rest.split([')', ',']).next());
    let list = name.and_then(|name| scope.names.userlists.get(name.trim()));
    let Some(list) = list.filter(|_| method == Method::Text) else {
        return Ok(());
    };
    match written
        .patterns
        .iter()
        .find(|(name, _)| !list.has_group(name))
    {
        None => Ok(()),
        Some((name, span)) => {
            let message = format_args!("the userlist '{}' has no group called '{name}'", list.name);
            Err(Diagnostic::error(Kind::Reference, *span, message))
        }
    }
}

fn test(
    method: Method,
    written: &Written<'_>,
    criterion: &Word,
    scope: &Scope<'_>,
) -> Result<Test, Diagnostic> {
    if method == Method::Found {
        return Ok(Test::Found);
    }
    let wrong = |span, error: String| Diagnostic::error(Kind::Invalid, span, error);
    let way = Use::patterns(method, written.ignore_case);
    let mut searches = Vec::new();
    for &(file, is_map) in &written.files {
        let list = file_list(file, true, is_map, scope)?;
        searches.push(Search::new(list, way).map_err(|error| wrong(file.span, error))?);
    }
    // Each line has a list for the runtime API, be it an empty one.
    let name = criterion.text.split(['(', ',']).next().unwrap_or_default();
    let list = scope.lists.line(name, written.number, criterion.span);
    let list = list.map_err(|error| wrong(criterion.span, error))?;
    let search = Search::new(Arc::clone(&list), way);
    searches.push(search.map_err(|error| wrong(criterion.span, error))?);
    list.load(|editor| {
        let version = editor.current();
        written.patterns.iter().try_for_each(|(pattern, span)| {
            let added = editor.add(version, pattern.as_bytes(), None);
            added.map_err(|error| wrong(*span, error))
        })
    })?;
    let has_none = written.patterns.is_empty() && written.files.is_empty();
    Ok(match method {
        Method::Boolean if has_none => Test::True,
        _ => Test::Patterns(searches),
    })
}

/// The list of the patterns in a file, read when it is named for the first time.
///
/// # Errors
/// The file cannot be read, has too many patterns, or is used with and without values.
pub(crate) fn file_list(
    file: &Word,
    is_acl: bool,
    has_values: bool,
    scope: &Scope<'_>,
) -> Result<Arc<List>, Diagnostic> {
    let wrong = |error: String| Diagnostic::error(Kind::Invalid, file.span, error);
    let (prefix, path) = match file.text.split_once('@') {
        Some((prefix @ ("virt" | "opt" | "file"), path)) => (prefix, path),
        _ => ("file", file.text.as_str()),
    };
    let list = scope.lists.file(&file.text, is_acl, has_values, file.span);
    let (list, is_new) = list.map_err(wrong)?;
    if !is_new || prefix == "virt" {
        return Ok(list);
    }
    let text = match scope.files.read(path.as_ref()) {
        Ok(text) => text,
        Err(error) if prefix == "opt" && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(list);
        }
        Err(error) => {
            let message = format_args!("the file '{path}' cannot be read: {error}");
            return Err(Diagnostic::error(Kind::Environment, file.span, message));
        }
    };
    pattern::read(&text, &list).map_err(wrong)?;
    Ok(list)
}
