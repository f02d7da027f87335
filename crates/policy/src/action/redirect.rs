//! `redirect`: sends the client elsewhere (manual, section 4.2, "redirect").

use plimsoll_config::args::{Faults, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Action, Flow, Places, Reply, Row, Words};
use crate::context::{Context, Phase};
use crate::expression::Scope;
use crate::keyword::haproxy::value::is_field_name;
use crate::log_format::{self, Encoding, Format};
use crate::sample::{path_and_query, split_query};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "redirect",
    numbered: false,
    usage: "location|prefix|scheme FORMAT [code CODE] [OPTION...]",
    doc: "Sends the client elsewhere.",
    places: Places::MESSAGES,
    read,
}];

/// How the new place is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinds {
    Location,
    Prefix,
    Scheme,
}

struct Redirect {
    kind: Kinds,
    target: Format,
    status: u16,
    drop_query: bool,
    keep_query: bool,
    append_slash: bool,
    ignore_empty: bool,
    cookie: Option<Format>,
    /// Fields that are written behind the location, each on a line of its own.
    fields: Vec<(String, Format)>,
}

fn read(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let format = |word: &Word| log_format::read(word, Encoding::Http, scope);
    redirect(words, scope, format)
}

/// A line of its own: where to go is taken as it is written.
pub(super) fn read_plain(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
) -> Result<Box<dyn Action>, Diagnostic> {
    let mut hole = None;
    let read = redirect(words, scope, |word| {
        hole = word.text.contains("%[").then_some(word.span);
        Ok(Format::literal(word.text.as_bytes()))
    });
    if let Some(span) = hole {
        let warning = Diagnostic::warning(Kind::Advice, span, "this is taken as it is written");
        let help = "'http-request redirect' puts values in place of '%[…]'";
        words.args.warn(warning.help(help));
    }
    read
}

fn redirect(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    mut format: impl FnMut(&Word) -> Result<Format, Diagnostic>,
) -> Result<Box<dyn Action>, Diagnostic> {
    let mut redirect = Redirect {
        kind: Kinds::Location,
        target: Format::default(),
        status: 302,
        drop_query: false,
        keep_query: false,
        append_slash: false,
        ignore_empty: false,
        cookie: None,
        fields: Vec::new(),
    };
    let (mut aimed, mut faults) = (false, Faults::default());
    while let Some(word) = words.peek() {
        words.args.next();
        let read = match word.text.as_str() {
            "location" => locate(words, &mut redirect.fields, &mut format),
            "prefix" => aim(words, Kinds::Prefix, &mut format),
            "scheme" => aim(words, Kinds::Scheme, &mut format),
            _ => option(word, words, scope, &mut redirect).map(|()| None),
        };
        // Where to go was meant to be said, even where it could not be read.
        aimed |= !matches!(read, Ok(None));
        let read = read.map(|found| {
            if let Some((kind, target)) = found {
                (redirect.kind, redirect.target) = (kind, target);
            }
        });
        faults.option(read, words.args, OPTIONS.into_iter());
    }
    faults.finish()?;
    if !aimed {
        let error = Diagnostic::error(Kind::Invalid, words.args.end(), "the target is missing");
        return Err(error.help("write 'location', 'prefix' or 'scheme' and where to go"));
    }
    if scope.phase != Phase::Request && redirect.kind != Kinds::Location {
        let message = "a response is redirected by 'location' alone";
        let error = Diagnostic::error(Kind::Invalid, words.name.span, message);
        return Err(
            error.help("the request's path is gone by then; keep it in a variable of 'txn'")
        );
    }
    Ok(Box::new(redirect))
}

/// What the words of a redirect begin with; a condition ends them.
const OPTIONS: [&str; 13] = [
    "append-slash",
    "clear-cookie",
    "code",
    "drop-query",
    "if",
    "ignore-empty",
    "keep-query",
    "location",
    "prefix",
    "scheme",
    "set-cookie",
    "set-cookie-fmt",
    "unless",
];

fn aim(
    words: &mut Words<'_, '_>,
    kind: Kinds,
    format: &mut impl FnMut(&Word) -> Result<Format, Diagnostic>,
) -> Result<Option<(Kinds, Format)>, Diagnostic> {
    let target = words.args.word("where to go")?;
    // A lone slash would double the one the path begins with.
    let is_root = kind == Kinds::Prefix && target.text == "/";
    let target = match is_root {
        true => Format::default(),
        false => format(target)?,
    };
    Ok(Some((kind, target)))
}

/// Reads `location`. Some files have fields behind it, with CR and LF between them, as HAProxy sends it as it is. Those of the
/// configuration are meant; values that come from a request cannot begin a line.
fn locate(
    words: &mut Words<'_, '_>,
    fields: &mut Vec<(String, Format)>,
    format: &mut impl FnMut(&Word) -> Result<Format, Diagnostic>,
) -> Result<Option<(Kinds, Format)>, Diagnostic> {
    let lines = words.peek().map(|word| word.text.split("\r\n").collect());
    let lines: Vec<&str> = lines.unwrap_or_default();
    let known = lines.iter().skip(1).filter(|line| !line.is_empty());
    let known = known.map(|line| line.split_once(':').filter(|(name, _)| is_field_name(name)));
    let Some(known) = known.collect::<Option<Vec<_>>>() else {
        return aim(words, Kinds::Location, format);
    };
    let word = words.args.word("where to go")?;
    let part = |text: &str| match lines.len() {
        1 => word.clone(),
        _ => Word {
            text: text.to_owned(),
            raw: None,
            ..word.clone()
        },
    };
    let target = format(&part(lines[0]))?;
    for (name, value) in known {
        fields.push((name.to_owned(), format(&part(value.trim()))?));
    }
    Ok(Some((Kinds::Location, target)))
}

fn option(
    word: &Word,
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    redirect: &mut Redirect,
) -> Result<(), Diagnostic> {
    match word.text.as_str() {
        "code" => redirect.status = code(words)?,
        "drop-query" => redirect.drop_query = true,
        "keep-query" => redirect.keep_query = true,
        "append-slash" => redirect.append_slash = true,
        "ignore-empty" => redirect.ignore_empty = true,
        "set-cookie" => {
            let cookie = words.args.word("a cookie")?;
            let field = format!("{}; path=/;", cookie.text);
            redirect.cookie = Some(Format::literal(field.as_bytes()));
        }
        "set-cookie-fmt" => {
            let mut cookie = words.args.word("a cookie")?.clone();
            cookie.text.push_str("; path=/;");
            redirect.cookie = Some(log_format::read(&cookie, Encoding::Http, scope)?);
        }
        "clear-cookie" => {
            let cookie = words.args.word("a cookie")?;
            let field = format!("{}; path=/; Max-Age=0;", cookie.text);
            redirect.cookie = Some(Format::literal(field.as_bytes()));
        }
        other => {
            let message = format_args!("'{other}' is not part of a redirect");
            return Err(Diagnostic::error(Kind::Unknown, word.span, message).help(
                "write 'location', 'prefix' or 'scheme' and where to go, then 'code' and options",
            ));
        }
    }
    Ok(())
}

fn code(words: &mut Words<'_, '_>) -> Result<u16, Diagnostic> {
    let word = words.args.word("a status")?;
    match word.text.as_str() {
        "301" => Ok(301),
        "302" => Ok(302),
        "303" => Ok(303),
        "307" => Ok(307),
        "308" => Ok(308),
        other => {
            let message = format_args!("'{other}' is not the status of a redirect");
            let error = Diagnostic::error(Kind::Invalid, word.span, message);
            Err(error.help("write 301, 302, 303, 307 or 308"))
        }
    }
}

impl Redirect {
    /// Returns `false` where there is nowhere to go.
    fn write_location(&self, context: &Context<'_>, out: &mut Vec<u8>) -> bool {
        let request = context.request.as_deref();
        let target = request.map_or(&b"/"[..], |head| head.target());
        match self.kind {
            Kinds::Location => {
                self.target.write(context, out);
                if out.is_empty() && self.ignore_empty {
                    return false;
                }
                if self.keep_query
                    && let (_, Some(query)) = split_query(target)
                    && !query.is_empty()
                {
                    match memchr::memchr(b'?', out) {
                        None => out.push(b'?'),
                        Some(mark) if mark + 1 == out.len() => {}
                        Some(_) => out.push(b'&'),
                    }
                    out.extend_from_slice(query);
                }
            }
            Kinds::Prefix => {
                self.target.write(context, out);
                self.write_path(target, out);
            }
            Kinds::Scheme => {
                self.target.write(context, out);
                out.extend_from_slice(b"://");
                let host = request.and_then(|head| head.value(b"host"));
                out.extend_from_slice(host.unwrap_or_default());
                self.write_path(target, out);
            }
        }
        true
    }

    fn write_path(&self, target: &[u8], out: &mut Vec<u8>) {
        let path = path_and_query(target).unwrap_or(b"/");
        let (bare, query) = split_query(path);
        out.extend_from_slice(bare);
        if let Some(query) = query.filter(|_| !self.drop_query) {
            out.push(b'?');
            out.extend_from_slice(query);
        }
        // Whatever the end is: without 'drop-query' it may be that of a query.
        if self.append_slash && !out.ends_with(b"/") {
            out.push(b'/');
        }
    }
}

impl Action for Redirect {
    fn run(&self, context: &mut Context<'_>) -> Flow {
        let mut location = context.take_buffer();
        if !self.write_location(context, &mut location) {
            context.give_buffer(location);
            return Flow::Continue;
        }
        let mut reply = Box::new(Reply::new(self.status, Vec::new()));
        reply.head.set_length(0);
        reply.head.add(b"location", &location);
        for (name, value) in &self.fields {
            location.clear();
            value.write(context, &mut location);
            reply.head.add(name.as_bytes(), &location);
        }
        if matches!(self.status, 302 | 303 | 307) {
            reply.head.add(b"cache-control", b"no-cache");
        }
        if let Some(cookie) = &self.cookie {
            location.clear();
            cookie.write(context, &mut location);
            reply.head.add(b"set-cookie", &location);
        }
        context.give_buffer(location);
        Flow::Reply(reply)
    }
}
