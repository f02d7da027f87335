//! Captures: copies of fields, cookies and values that outlive their messages, for logs and later rules (manual,
//! "capture request header" and its like).
//!
//! A slot is made when the configuration is read and filled while an exchange goes on. What is absent: where captures are
//! shown ([`crate::log`], [`crate::log_format`], the samples `capture.…`).

use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_wire::head::Head;

use crate::context::ExchangeFacts;
use crate::cookie::pairs;

/// Most slots of one proxy in each direction.
pub const SLOTS_MAX: usize = 256;

/// What a frontend keeps of each exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures {
    pub request: Vec<Slot>,
    pub response: Vec<Slot>,
    pub cookie: Option<CookieSlot>,
}

/// Captures while a proxy is read.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) captures: Captures,
    /// The slots that rules fill by their numbers, and where that is said: they may be declared below.
    pub(crate) filled: Vec<Filled>,
    /// Where rules for first bytes keep or track what may not have come yet.
    pub(crate) hasty: Vec<Span>,
    /// Where rules for first bytes track what is known before any have come.
    pub(crate) late: Vec<Span>,
    /// What is odd about formats.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// `capture … id NUMBER`.
#[derive(Debug)]
pub(crate) struct Filled {
    /// Of requests, or else of responses.
    pub(crate) request: bool,
    pub(crate) id: usize,
    pub(crate) span: Span,
}

impl Draft {
    /// What is filled and nowhere declared.
    pub(crate) fn missing(&self) -> impl Iterator<Item = Diagnostic> {
        let missing = self.filled.iter().filter(|filled| {
            let slots = match filled.request {
                true => &self.captures.request,
                false => &self.captures.response,
            };
            filled.id >= slots.len()
        });
        missing.map(|filled| {
            let side = if filled.request {
                "request"
            } else {
                "response"
            };
            let message = format_args!("there is no {side} capture number {} here", filled.id);
            let error = Diagnostic::error(Kind::Reference, filled.span, message);
            error.help(format_args!(
                "add 'declare capture {side} len NUMBER'; the first one is number 0"
            ))
        })
    }
}

/// Room for one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The field that fills it, in lower case; `None`: a rule does.
    pub field: Option<Box<[u8]>>,
    pub bytes_max: usize,
}

/// `capture cookie`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieSlot {
    /// What the cookie, written as `name=value`, begins with.
    pub prefix: Box<[u8]>,
    pub bytes_max: usize,
}

impl Captures {
    /// Whether there is nothing to capture.
    pub fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty() && self.cookie.is_none()
    }

    /// Keeps what a request's head has. What its response will have is empty until then, and stays so without one: log
    /// lines always have the same number of fields.
    pub fn take_request(&self, head: &Head, facts: &mut ExchangeFacts) {
        fill(&self.request, head, &mut facts.request_captures);
        let responses = self.response.len().max(facts.response_captures.len());
        facts.response_captures.resize(responses, None);
        if let Some(slot) = &self.cookie {
            let mut cookies = head.values(b"cookie").flat_map(pairs);
            facts.request_cookie = cookies.find_map(|pair| slot.take(pair.text));
        }
    }

    /// Keeps what a response's head has.
    pub fn take_response(&self, head: &Head, facts: &mut ExchangeFacts) {
        fill(&self.response, head, &mut facts.response_captures);
        if let Some(slot) = &self.cookie {
            // The first pair is the cookie, what follows are its attributes.
            let mut cookies = head
                .values(b"set-cookie")
                .filter_map(|field| pairs(field).next());
            facts.response_cookie = cookies.find_map(|pair| slot.take(pair.text));
        }
    }
}

/// A field that comes more than once is kept as it came last, as in HAProxy.
fn fill(slots: &[Slot], head: &Head, captures: &mut Vec<Option<Box<[u8]>>>) {
    if slots.is_empty() {
        return;
    }
    captures.resize(slots.len().max(captures.len()), None);
    for (slot, capture) in slots.iter().zip(captures) {
        if let Some(field) = &slot.field
            && let Some(value) = head.values(field).last()
        {
            *capture = Some(cut(value, slot.bytes_max));
        }
    }
}

/// Puts a value into slot number `id`, which a rule fills.
pub(crate) fn put(slots: &[Slot], id: usize, value: &[u8], captures: &mut Vec<Option<Box<[u8]>>>) {
    let Some(slot) = slots.get(id) else { return };
    captures.resize(slots.len().max(captures.len()), None);
    captures[id] = Some(cut(value, slot.bytes_max));
}

fn cut(value: &[u8], bytes_max: usize) -> Box<[u8]> {
    value[..value.len().min(bytes_max)].into()
}

impl CookieSlot {
    fn take(&self, pair: &[u8]) -> Option<Box<[u8]>> {
        pair.starts_with(&self.prefix)
            .then(|| cut(pair, self.bytes_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Head {
        let mut head = Head::default();
        for (name, value) in fields {
            assert!(head.add(name.as_bytes(), value.as_bytes()));
        }
        head
    }

    fn slot(field: &str, bytes_max: usize) -> Slot {
        Slot {
            field: Some(field.as_bytes().into()),
            bytes_max,
        }
    }

    #[test]
    fn fields_and_cookies_are_kept_up_to_their_length() {
        let rule = Slot {
            field: None,
            bytes_max: 2,
        };
        let captures = Captures {
            request: vec![slot("host", 3), slot("x-none", 9), rule],
            response: vec![slot("server", 9)],
            cookie: Some(CookieSlot {
                prefix: b"S".as_slice().into(),
                bytes_max: 6,
            }),
        };
        let mut facts = ExchangeFacts::default();
        let request = head(&[
            ("host", "a"),
            ("host", "b.example"),
            ("cookie", "a=1; SID=\"x;y\"; T=2"),
        ]);
        captures.take_request(&request, &mut facts);
        put(&captures.request, 2, b"value", &mut facts.request_captures);
        put(
            &captures.request,
            3,
            b"nowhere",
            &mut facts.request_captures,
        );
        let kept = facts.request_captures.iter().map(|kept| kept.as_deref());
        let expected: [Option<&[u8]>; 3] = [Some(b"b.e"), None, Some(b"va")];
        assert_eq!(kept.collect::<Vec<_>>(), expected);
        assert_eq!(facts.response_captures, [None], "there is none yet");
        assert_eq!(facts.request_cookie.as_deref(), Some(&b"SID=\"x"[..]));
        let response = head(&[
            ("set-cookie", "A=1; SID=no"),
            ("set-cookie", "SID=7; path=/"),
        ]);
        captures.take_response(&response, &mut facts);
        assert_eq!(facts.response_captures, [None]);
        assert_eq!(facts.response_cookie.as_deref(), Some(&b"SID=7"[..]));
    }
}
