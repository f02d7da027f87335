//! Actions that end the processing: `allow`, `deny`, `reject`, `return`, `silent-drop`, `tarpit`.

use plimsoll_config::args::{Faults, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_config::suggest::nearest;

use plimsoll_wire::h1::response::{self, Asked, Parse};
use plimsoll_wire::h1::{HEAD_FIELDS_MAX, Limits};
use plimsoll_wire::head::{Framing, Head};

use super::{Action, Flow, Places, Reply, Row, Words, action};
use crate::context::Context;
use crate::expression::Scope;
use crate::log_format::{self, Encoding, Format};

/// Where a message can be answered.
const ANSWERABLE: Places = Places::MESSAGES;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "accept",
        numbered: false,
        usage: "",
        doc: "Lets the connection or the message through.",
        places: Places::TCP_REQUEST.and(Places::RESPONSE_CONTENT),
        read: |_, _| action(|_: &mut Context<'_>| Flow::Accept),
    },
    Row {
        name: "allow",
        numbered: false,
        usage: "",
        doc: "Lets the message through, past the rules that follow.",
        places: Places::HTTP,
        read: |_, _| action(|_: &mut Context<'_>| Flow::Accept),
    },
    Row {
        name: "close",
        numbered: false,
        usage: "",
        doc: "Closes the connection to the server.",
        places: Places::RESPONSE_CONTENT,
        read: |_, _| action(|_: &mut Context<'_>| Flow::Part),
    },
    Row {
        name: "deny",
        numbered: false,
        usage: "[status CODE] [ANSWER...]",
        doc: "Refuses the message: 403 for a request, 502 for a response.",
        places: ANSWERABLE,
        read: |words, scope| {
            let status = match scope.phase {
                crate::context::Phase::Response => 502,
                _ => 403,
            };
            answer(words, scope, status, Flow::Reply)
        },
    },
    Row {
        name: "reject",
        numbered: false,
        usage: "",
        doc: "Closes the connection without an answer.",
        places: Places::TCP_REQUEST
            .and(Places::RESPONSE_CONTENT)
            .and(Places::REQUEST),
        read: |_, _| action(|_: &mut Context<'_>| Flow::Reject),
    },
    Row {
        name: "return",
        numbered: false,
        usage: "[status CODE] [ANSWER...]",
        doc: "Answers in place of a server.",
        places: ANSWERABLE,
        read: |words, scope| answer(words, scope, 200, Flow::Reply),
    },
    Row {
        name: "silent-drop",
        numbered: false,
        usage: "[rst-ttl NUMBER]",
        doc: "Forgets the connection without telling the client, which takes the right to administer the network; otherwise by a reset that gets one hop far, or as many as said.",
        places: Places::TCP_REQUEST
            .and(Places::RESPONSE_CONTENT)
            .and(Places::MESSAGES),
        read: |words, _| {
            let ttl = match words.take("rst-ttl") {
                true => Some(words.args.number("a time to live", 1..=255)? as u8),
                false => None,
            };
            action(move |_: &mut Context<'_>| Flow::Drop { ttl })
        },
    },
    Row {
        name: "tarpit",
        numbered: false,
        usage: "[status CODE] [ANSWER...]",
        doc: "Refuses the request after 'timeout tarpit'.",
        places: Places::REQUEST,
        read: |words, scope| answer(words, scope, 500, Flow::Tarpit),
    },
];

/// Where the body of an answer comes from.
enum Body {
    /// What the configuration has for the status.
    Stock,
    None,
    Bytes(Vec<u8>),
    Format(Format),
    /// The whole answer as a file has it.
    Raw(Raw),
    /// An empty file: nothing is said at all.
    Silence,
}

/// A response that was written as HTTP/1 text, by a person perhaps.
#[derive(Clone, Debug)]
struct Raw {
    head: Head,
    body: Vec<u8>,
    /// It asks for the end of the connection, or is one that only that would end.
    close: bool,
}

impl Raw {
    /// Line ends may lack their CR, and the body is whatever follows the head. Errors say what is wrong with it.
    fn read(text: &[u8]) -> Result<Self, String> {
        let limits = Limits {
            bytes_max: text.len() + 1,
            fields_max: HEAD_FIELDS_MAX,
            lenient: true,
            ..Limits::default()
        };
        let mut head = Head::default();
        let parsed = response::parse(text, &mut head, &limits, Asked::default());
        let Ok(Parse::Complete(length)) = parsed else {
            return Err("does not hold a whole HTTP response".to_owned());
        };
        let body = text[length..].to_vec();
        match head.framing {
            _ if head.is_bodiless() && !body.is_empty() => Err(format!(
                "holds a body, which a response of status {} has not",
                head.status
            )),
            Framing::Chunked => Err("holds a body in chunks: write it as it is".to_owned()),
            Framing::Length(told) if told != body.len() as u64 => Err(format!(
                "holds a body of {} bytes, where its Content-Length says {told}",
                body.len()
            )),
            _ => Ok(Self {
                close: !head.keep_alive,
                head,
                body,
            }),
        }
    }
}

/// An answer as written.
struct Answer {
    status: u16,
    fields: Vec<(String, Format)>,
    content_type: Option<String>,
    body: Body,
    flow: fn(Box<Reply>) -> Flow,
    denies: bool,
}

impl Action for Answer {
    fn run(&self, context: &mut Context<'_>) -> Flow {
        let mut reply = Box::new(Reply::stock(self.status));
        reply.denies = self.denies;
        match &self.body {
            Body::Stock => return (self.flow)(reply),
            Body::Silence => return Flow::Reject,
            Body::None => {}
            Body::Bytes(bytes) => reply.body.extend_from_slice(bytes),
            Body::Format(format) => format.write(context, &mut reply.body),
            Body::Raw(raw) => {
                reply.head.clone_from(&raw.head);
                reply.body.extend_from_slice(&raw.body);
                reply.close = raw.close;
                reply.stock = false;
                return (self.flow)(reply);
            }
        }
        reply.stock = false;
        let mut value = Vec::new();
        for (name, format) in &self.fields {
            value.clear();
            format.write(context, &mut value);
            if !value.is_empty() {
                reply.head.add(name.as_bytes(), &value);
            }
        }
        reply.head.set_length(reply.body.len() as u64);
        if let Some(kind) = &self.content_type
            && !reply.body.is_empty()
        {
            reply.head.add(b"content-type", kind.as_bytes());
        }
        (self.flow)(reply)
    }
}

/// The answer of an `http-error` line.
pub(crate) fn read_error(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
) -> Result<Box<dyn Action>, Diagnostic> {
    answer(words, scope, 500, Flow::Reply)
}

fn answer(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
    status: u16,
    flow: fn(Box<Reply>) -> Flow,
) -> Result<Box<dyn Action>, Diagnostic> {
    let denies = !matches!(words.name.text.as_str(), "return" | "http-error");
    let mut answer = Answer {
        status,
        fields: Vec::new(),
        content_type: None,
        body: Body::Stock,
        flow,
        denies,
    };
    let (mut section, mut stock, mut faults) = (None, false, Faults::default());
    let mut source: Option<Word> = None;
    // As they were written before answers could be composed: a page belongs to the status.
    let mut implied = denies;
    while let Some(word) = words.peek() {
        words.args.next();
        implied &= word.text == "deny_status";
        let mut read = || -> Result<(), Diagnostic> {
            if SOURCES.contains(&word.text.as_str()) {
                alone(word, source.replace(word.clone()).as_ref())?;
            }
            match word.text.as_str() {
                "status" | "deny_status" => answer.status = status_code(words)?,
                "content-type" => {
                    answer.content_type = Some(words.args.word("a content type")?.text.clone());
                }
                "default-errorfiles" => {
                    answer.body = Body::Stock;
                    stock = true;
                }
                "errorfiles" => {
                    section = Some(words.args.word("the name of an 'http-errors' section")?)
                }
                "hdr" => {
                    let name = words.args.word("the name of a field")?.text.clone();
                    let value = words.args.word("a value")?;
                    let format = log_format::read(value, Encoding::Http, scope)?;
                    answer.fields.push((name, format));
                }
                _ => answer.body = body(word, words, scope)?,
            }
            Ok(())
        };
        let read = read();
        faults.option(read, words.args, OPTIONS.into_iter());
    }
    faults.finish()?;
    if let Some(name) = section {
        answer.body = of_section(name, answer.status, scope)?;
        stock = true;
    }
    let has_page = implied || (stock && (denies || has_stock(answer.status)));
    if matches!(answer.body, Body::Stock) && !has_page {
        answer.body = Body::None;
    }
    answer.check(source.as_ref().unwrap_or(words.name), implied)?;
    answer.leave_out(stock, words);
    Ok(Box::new(answer))
}

impl Answer {
    /// Tells of what was written and is left out.
    fn leave_out(&self, stock: bool, words: &mut Words<'_, '_>) {
        let is_file = stock || matches!(self.body, Body::Raw(_) | Body::Silence);
        let is_empty = match &self.body {
            Body::Bytes(bytes) => bytes.is_empty(),
            Body::None | Body::Stock => true,
            _ => false,
        };
        let mut warn = |what: &str, why: &str| {
            let message = format_args!("the {what} of this answer is left out: {why}");
            let warning = Diagnostic::warning(Kind::NoEffect, words.name.span, message);
            words.args.warn(warning);
        };
        if self.content_type.is_some() && (is_file || is_empty) {
            let why = if is_file {
                "the page has one"
            } else {
                "it has no body"
            };
            warn("content type", why);
        }
        if !self.fields.is_empty() && is_file {
            warn("'hdr'", "pages have their own");
        }
    }

    /// Whether what was written, its body by `source`, makes a response. `implied`: nothing but a status was written.
    fn check(&self, source: &Word, implied: bool) -> Result<(), Diagnostic> {
        let says = |message: std::fmt::Arguments<'_>| {
            Diagnostic::error(Kind::Invalid, source.span, message)
        };
        let status = self.status;
        let wants_stock = implied || source.text == "default-errorfiles";
        if wants_stock && !has_stock(status) {
            let error = says(format_args!(
                "no answer is in stock for the status {status}"
            ));
            return Err(error.help(format_args!(
                "write 'status {status}' for an empty one, or a body"
            )));
        }
        let has_body = match &self.body {
            Body::Bytes(bytes) => !bytes.is_empty(),
            Body::Format(_) => true,
            _ => false,
        };
        if has_body && matches!(status, 204 | 304) {
            return Err(says(format_args!(
                "a response of status {status} has no body"
            )));
        }
        if has_body && self.content_type.is_none() {
            let error = says(format_args!("a body needs its type"));
            return Err(error.help("write 'content-type text/plain' beside it"));
        }
        Ok(())
    }
}

/// Words that say where the body of an answer comes from.
const SOURCES: [&str; 7] = [
    "default-errorfiles",
    "errorfile",
    "errorfiles",
    "file",
    "lf-file",
    "lf-string",
    "string",
];

/// An answer has one body.
fn alone(word: &Word, other: Option<&Word>) -> Result<(), Diagnostic> {
    let Some(other) = other else { return Ok(()) };
    let message = format_args!(
        "'{}' stands beside '{}', but an answer has one body",
        word.text, other.text
    );
    Err(Diagnostic::error(Kind::Invalid, word.span, message))
}

/// What the words of an answer begin with; a condition ends them.
const OPTIONS: [&str; 13] = [
    "content-type",
    "default-errorfiles",
    "deny_status",
    "errorfile",
    "errorfiles",
    "file",
    "hdr",
    "if",
    "lf-file",
    "lf-string",
    "status",
    "string",
    "unless",
];

/// The body that a word and the one behind it tell of.
fn body(word: &Word, words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Body, Diagnostic> {
    let noun = match word.text.as_str() {
        "string" => "a text",
        "lf-string" => "a format",
        "errorfile" | "file" | "lf-file" => "a file",
        other => {
            let message = format_args!("'{other}' is not part of an answer");
            let error = Diagnostic::error(Kind::Unknown, word.span, message);
            return Err(match nearest(other, OPTIONS) {
                Some(near) => error.help(format_args!("did you mean '{near}'?")),
                None => error,
            });
        }
    };
    let content = words.args.word(noun)?;
    Ok(match word.text.as_str() {
        "errorfile" => raw(&file(content, scope)?, content)?,
        "string" => Body::Bytes(content.bytes().to_vec()),
        "file" => Body::Bytes(file(content, scope)?),
        "lf-string" => Body::Format(log_format::read(content, Encoding::Raw, scope)?),
        _ => {
            let bytes = file(content, scope)?;
            let text = Word::new(String::from_utf8_lossy(&bytes).into_owned(), content.span);
            Body::Format(log_format::read(&text, Encoding::Raw, scope)?)
        }
    })
}

/// The answer that an `http-errors` section has for a status; ours, where it has none.
fn of_section(name: &Word, status: u16, scope: &Scope<'_>) -> Result<Body, Diagnostic> {
    let Some(files) = scope.http_errors.get(&name.text) else {
        let message = format_args!("no 'http-errors' section is called '{}'", name.text);
        return Err(Diagnostic::error(Kind::Reference, name.span, message));
    };
    match files.iter().find(|file| file.status == status) {
        Some(file) => raw(&file.content, name),
        None => Ok(Body::Stock),
    }
}

fn raw(text: &[u8], word: &Word) -> Result<Body, Diagnostic> {
    if text.is_empty() {
        return Ok(Body::Silence);
    }
    Raw::read(text).map(Body::Raw).map_err(|fault| {
        let message = format_args!("'{}' {fault}", word.text);
        Diagnostic::error(Kind::Environment, word.span, message)
    })
}

/// Whether a file can answer as it is: it is empty, to say nothing, or holds a whole response.
///
/// # Errors
/// What is wrong with it, to be put behind its name.
pub(crate) fn check_page(text: &[u8]) -> Result<(), String> {
    match text.is_empty() {
        true => Ok(()),
        false => Raw::read(text).map(drop),
    }
}

/// Statuses for which there is always an answer in stock.
fn has_stock(status: u16) -> bool {
    matches!(
        status,
        200 | 400..=405 | 407 | 408 | 410 | 413 | 414 | 421 | 422 | 425 | 429 | 431 | 500..=505
    )
}

pub(super) fn status_code(words: &mut Words<'_, '_>) -> Result<u16, Diagnostic> {
    Ok(words.args.number("a status", 200..=599)? as u16)
}

fn file(word: &Word, scope: &Scope<'_>) -> Result<Vec<u8>, Diagnostic> {
    scope.files.read(word.text.as_ref()).map_err(|error| {
        let message = format_args!("the file '{}' cannot be read: {error}", word.text);
        Diagnostic::error(Kind::Environment, word.span, message)
    })
}

#[cfg(test)]
mod tests {
    use super::check_page;

    #[test]
    fn files_have_to_hold_a_whole_response() {
        for (text, fault) in [
            ("", ""),
            ("HTTP/1.0 503 Off\r\n\r\nbody", ""),
            ("HTTP/1.0 503 Off\n\nbody", ""),
            ("HTTP/1.1 503 Off\r\nContent-Length: 4\r\n\r\nbody", ""),
            ("HTTP/1.1 204 Off\r\n\r\n", ""),
            ("localhost\n", "does not hold a whole HTTP response"),
            (
                "HTTP/1.0 503 Off\r\n",
                "does not hold a whole HTTP response",
            ),
            (
                "HTTP/1.1 204 Off\r\n\r\nbody",
                "holds a body, which a response of status 204 has not",
            ),
            (
                "HTTP/1.1 503 Off\r\nContent-Length: 9\r\n\r\nbody",
                "holds a body of 4 bytes, where its Content-Length says 9",
            ),
            (
                "HTTP/1.1 503 Off\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "holds a body in chunks: write it as it is",
            ),
        ] {
            let found = check_page(text.as_bytes()).err().unwrap_or_default();
            assert_eq!(found, fault, "{text:?}");
        }
    }
}
