//! Actions on first lines: `set-method`, `set-path`, `replace-uri` and their like, `set-status`.

use std::borrow::Cow;

use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_wire::head::{Head, Slice};

use super::replace::{expand, expression};
use super::{Action, Flow, Places, Row, Words, action};
use crate::context::{Context, OriginalLine};
use crate::expression::Scope;
use crate::log_format::{self, Encoding, Format};
use crate::pattern::Expression;
use crate::sample::split_query;

pub(crate) const ROWS: &[Row] = &[
    row(
        "replace-path",
        "REGEX FORMAT",
        "Replaces the path where it matches.",
        |words, scope| replace(words, scope, Part::Path),
    ),
    row(
        "replace-pathq",
        "REGEX FORMAT",
        "Replaces the path and the query where they match.",
        |words, scope| replace(words, scope, Part::PathAndQuery),
    ),
    row(
        "replace-uri",
        "REGEX FORMAT",
        "Replaces the target where it matches.",
        |words, scope| replace(words, scope, Part::Whole),
    ),
    row(
        "set-method",
        "FORMAT",
        "Sets the request's method.",
        |words, scope| set(words, scope, Part::Method),
    ),
    row(
        "set-path",
        "FORMAT",
        "Sets the path of the target.",
        |words, scope| set(words, scope, Part::Path),
    ),
    row(
        "set-pathq",
        "FORMAT",
        "Sets the path and the query of the target.",
        |words, scope| set(words, scope, Part::PathAndQuery),
    ),
    row(
        "set-query",
        "FORMAT",
        "Sets the query of the target.",
        |words, scope| set(words, scope, Part::Query),
    ),
    Row {
        places: Places::RESPONSE.and(Places::AFTER_RESPONSE),
        ..row(
            "set-status",
            "STATUS [reason TEXT]",
            "Sets the response's status.",
            set_status,
        )
    },
    row("set-uri", "FORMAT", "Sets the target.", |words, scope| {
        set(words, scope, Part::Whole)
    }),
];

const fn row(name: &'static str, usage: &'static str, doc: &'static str, read: super::Read) -> Row {
    Row {
        name,
        numbered: false,
        usage,
        doc,
        places: Places::REQUEST,
        read,
    }
}

/// A part of the first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Method,
    Path,
    PathAndQuery,
    Query,
    Whole,
}

/// Where path and query stand in a target.
struct Span {
    path: std::ops::Range<usize>,
    /// Without its question mark.
    query: Option<std::ops::Range<usize>>,
}

/// `None`: the target has no path, such as `*` or that of CONNECT.
fn places(target: &[u8]) -> Option<Span> {
    let start = match target.first()? {
        b'/' => 0,
        _ => {
            let authority = memchr::memmem::find(target, b"://")? + 3;
            let rest = &target[authority..];
            let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
            authority + length.unwrap_or(rest.len())
        }
    };
    let (path, query) = split_query(&target[start..]);
    let end = start + path.len();
    Some(Span {
        path: start..end,
        query: query.map(|query| end + 1..end + 1 + query.len()),
    })
}

/// What a part is now; `None`: there is no such part.
fn current(head: &Head, part: Part) -> Option<Cow<'_, [u8]>> {
    let target = head.target();
    Some(Cow::Borrowed(match part {
        Part::Method => head.method(),
        Part::Whole => return Some(head.whole_target()),
        Part::Path => &target[places(target)?.path],
        Part::PathAndQuery => &target[places(target)?.path.start..],
        Part::Query => &target[places(target)?.query?],
    }))
}

/// Puts `text` in place of a part; returns `false` where that cannot be.
fn put(context: &mut Context<'_>, part: Part, text: &[u8]) -> bool {
    let original = &mut context.exchange.original;
    let Some(head) = context.request.as_deref_mut() else {
        return true;
    };
    if original.is_none() {
        *original = Some(Box::new(OriginalLine {
            method: head.method().to_vec(),
            target: head.whole_target().into_owned(),
        }));
    }
    if part == Part::Method {
        let token = !text.is_empty() && text.iter().all(|&byte| is_token(byte));
        if token && head.has_room(text.len()) {
            head.method = head.push(text);
        }
        return token;
    }
    let target = head.target();
    let mut changed = Vec::with_capacity(target.len() + text.len());
    if part == Part::Whole {
        push_target(text, &mut changed);
    } else {
        let whole = || Span {
            path: 0..target.len(),
            query: None,
        };
        // What is asked of the server as a whole becomes a question about a path.
        let Some(places) = places(target).or_else(|| (target == b"*").then(whole)) else {
            return true;
        };
        let from = match part {
            Part::Query => places.path.end,
            _ => places.path.start,
        };
        changed.extend_from_slice(&target[..from]);
        // HAProxy keeps the question mark of a query that becomes empty.
        if part == Part::Query && (places.query.is_some() || !text.is_empty()) {
            changed.push(b'?');
        }
        push_target(text, &mut changed);
        if part == Part::Path {
            changed.extend_from_slice(&target[places.path.end..]);
        }
    }
    if changed.is_empty() || !head.has_room(changed.len()) {
        return false;
    }
    head.target = head.push(&changed);
    if part == Part::Whole {
        (head.scheme, head.authority) = (Slice::default(), Slice::default());
    }
    let authority = memchr::memmem::find(&changed, b"://").filter(|_| part == Part::Whole);
    match authority {
        // RFC 9112 section 3.2.2: the authority in the target and the Host field are the same.
        Some(scheme) => {
            let rest = &changed[scheme + 3..];
            let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
            head.set(b"host", &rest[..end.unwrap_or(rest.len())])
        }
        None => true,
    }
}

/// A rule has changed the field `Host`: a target that names a host names this one from now on, as in HAProxy, so that
/// servers do not see two (RFC 9112 section 3.2.2). Returns `false` where there is no room for it.
pub(super) fn follow_host(context: &mut Context<'_>) -> bool {
    let original = &mut context.exchange.original;
    let Some(head) = context.request.as_deref_mut() else {
        return true;
    };
    let Some(host) = head.values(b"host").last().filter(|host| !host.is_empty()) else {
        return true;
    };
    let host = host.to_vec();
    let target = head.target();
    let scheme = memchr::memmem::find(target, b"://").filter(|_| target[0] != b'/');
    if scheme.is_none() && head.authority.is_empty() {
        return true;
    }
    if original.is_none() {
        *original = Some(Box::new(OriginalLine {
            method: head.method().to_vec(),
            target: head.whole_target().into_owned(),
        }));
    }
    let Some(scheme) = scheme else {
        let fits = head.has_room(host.len());
        if fits {
            head.authority = head.push(&host);
        }
        return fits;
    };
    let (before, behind) = head.target().split_at(scheme + 3);
    let end = behind.iter().position(|byte| matches!(byte, b'/' | b'?'));
    let changed = [before, &host, &behind[end.unwrap_or(behind.len())..]].concat();
    let fits = head.has_room(changed.len());
    if fits {
        head.target = head.push(&changed);
    }
    fits
}

/// What would end the target early, and so make two readers see two requests, is written in digits.
fn push_target(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        if byte <= b' ' || byte == 0x7f {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(byte);
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn set(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    part: Part,
) -> Result<Box<dyn Action>, Diagnostic> {
    let word = words.args.word("a format")?;
    let format = log_format::read(word, Encoding::Http, scope)?;
    action(move |context: &mut Context<'_>| {
        let mut text = context.take_buffer();
        format.write(context, &mut text);
        let done = put(context, part, &text);
        context.give_buffer(text);
        context.changed(done)
    })
}

/// Puts a text made from what matched in place of a part.
struct Replace {
    part: Part,
    expression: Expression,
    format: Format,
}

impl Action for Replace {
    fn run(&self, context: &mut Context<'_>) -> Flow {
        let Some(head) = context.request.as_deref() else {
            return Flow::Continue;
        };
        let Some(now) = current(head, self.part).filter(|now| !now.is_empty()) else {
            return Flow::Continue;
        };
        let Some(found) = self.expression.captures(&now) else {
            return Flow::Continue;
        };
        let (mut template, mut text) = (Vec::new(), Vec::new());
        self.format.write(context, &mut template);
        let done = expand(&template, &found, &mut text) && put(context, self.part, &text);
        context.changed(done)
    }
}

fn replace(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    part: Part,
) -> Result<Box<dyn Action>, Diagnostic> {
    let expression = expression(words.args.word("a regular expression")?)?;
    let word = words.args.word("what replaces it")?;
    action(Replace {
        part,
        expression: Expression::new(expression, false),
        format: log_format::read(word, Encoding::Http, scope)?,
    })
}

fn set_status(words: &mut Words<'_, '_>, _: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let status = words.args.number("a status", 100..=999)? as u16;
    let mut reason = None;
    if words.take("reason") {
        let word = words.args.word("a text")?;
        if word.text.bytes().any(|byte| byte.is_ascii_control()) {
            let message = "a control character cannot stand in a first line";
            return Err(Diagnostic::error(Kind::Invalid, word.span, message));
        }
        reason = Some(word.text.clone().into_bytes());
    }
    action(move |context: &mut Context<'_>| {
        let Some(head) = context.response.as_deref_mut() else {
            return Flow::Continue;
        };
        head.status = status;
        let text = reason
            .as_deref()
            .unwrap_or_else(|| plimsoll_wire::reason::reason(status).as_bytes());
        head.reason = head.push(text);
        Flow::Continue
    })
}

/// Changes the path, or path and query, by `change`; `None` from it: the request is not well formed.
pub(super) fn rewrite(
    context: &mut Context<'_>,
    query: bool,
    change: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Option<Flow> {
    let part = if query {
        Part::PathAndQuery
    } else {
        Part::Path
    };
    let head = context.request.as_deref()?;
    let now = current(head, part)?;
    let changed = change(&now)?;
    if *changed == *now {
        return Some(Flow::Continue);
    }
    let done = put(context, part, &changed);
    Some(context.changed(done))
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn parts_of_the_first_line_are_set_and_replaced() {
        let of =
            |target: &str| Bench::request(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        for (target, rule, expected) in [
            ("/a?b", "set-path /x", "GET /x?b"),
            ("/a", "set-path /x%[path]", "GET /x/a"),
            ("/a?b", "set-pathq /x", "GET /x"),
            ("/a?b", "set-query c=1", "GET /a?c=1"),
            ("/a", "set-query c=1", "GET /a?c=1"),
            ("/a?b", "set-query %[req.hdr(none)]", "GET /a?"),
            ("/a", "set-query %[req.hdr(none)]", "GET /a"),
            ("/a?b", "set-uri /x?y", "GET /x?y"),
            ("/a", "set-method POST", "POST /a"),
            ("http://h/a?b", "set-path /x", "GET http://h/x?b"),
            ("http://h?b", "set-path /x", "GET http://h/x?b"),
            ("/a/b?c", r"replace-path ^/a(/.*) /x\1", "GET /x/b?c"),
            ("/a/b?c", r"replace-pathq ^/(.)(.*) /\2\1", "GET //b?ca"),
            ("/a/b?c", r"replace-uri ^/(.*)\? /\1.\x41\\", r"GET /a/b.A\"),
            ("/a/b?c", r"replace-path ^/z /x", "GET /a/b?c"),
            // What would end the target early does not.
            (
                "/a",
                "set-path %[bin(2f7820485454502f312e31)]",
                "GET /x%20HTTP/1.1",
            ),
        ] {
            let done = of(target).line_after(rule);
            assert_eq!(done, expected, "{target} {rule}");
        }
    }

    #[test]
    fn statuses_are_set() {
        let bench = Bench::default().with_response("HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(bench.line_after("set-status 404"), "404 Not Found");
        assert_eq!(bench.line_after("set-status 431 reason Slow"), "431 Slow");
    }
}
