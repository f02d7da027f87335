//! The statistics page over HTTP: what a worker answers when a request is meant for it.

use plimsoll_policy::stats::format::Format;
use plimsoll_policy::stats::page::{self, Page, Wish};
use plimsoll_wire::head::Head;

use super::desk::Desk;

/// A request for the page, as far as the page is concerned.
pub(crate) struct Question<'a> {
    pub(crate) head: &'a Head,
    pub(crate) body: &'a [u8],
    /// `body` is all of it.
    pub(crate) complete: bool,
    /// Nobody has to show a password: rules have let the client in.
    pub(crate) is_judged: bool,
    pub(crate) may_change: bool,
    /// The proxy that has the page.
    pub(crate) owner: &'a str,
}

/// The answer: its status, and all of it as HTTP/1.
pub(crate) fn answer(
    desk: &Desk,
    page: &Page,
    wish: &Wish,
    question: &Question<'_>,
) -> (u16, Vec<u8>) {
    let head = question.head;
    let authorization = head
        .fields()
        .find(|(name, _)| name.eq_ignore_ascii_case(b"authorization"));
    if !question.is_judged && !page.admits(authorization.map(|(_, value)| value)) {
        let realm: String = page
            .realm
            .chars()
            .filter(|letter| !letter.is_control() && !matches!(letter, '"' | '\\'))
            .collect();
        let field = format!("www-authenticate: Basic realm=\"{realm}\"\r\n");
        return refuse(401, "Unauthorized", &field);
    }
    let may_change = question.may_change;
    match head.method() {
        b"GET" | b"HEAD" => show(desk, page, wish, question.owner, may_change),
        b"POST" => {
            let outcome = if may_change && !is_foreign(head) {
                change(desk, question)
            } else {
                "DENY"
            };
            see_other(page, wish, outcome)
        }
        _ => refuse(405, "Method Not Allowed", "allow: GET, HEAD, POST\r\n"),
    }
}

fn show(desk: &Desk, page: &Page, wish: &Wish, owner: &str, may_change: bool) -> (u16, Vec<u8>) {
    let body = page.render(desk.view(), wish, owner, may_change);
    let kind = match wish.format {
        None => "text/html; charset=utf-8",
        Some(Format::Json) => "application/json",
        Some(Format::Csv | Format::Typed) => "text/plain; charset=utf-8",
    };
    let refresh = match (page.refresh_s, wish.without_refresh) {
        (Some(seconds), false) => format!("refresh: {seconds}\r\n"),
        _ => String::new(),
    };
    let fields = format!("content-type: {kind}\r\n{refresh}{SAFETY}");
    (200, message("200 OK", &fields, &body))
}

/// Nothing but its own style is needed by the page, and no other site may frame it.
const SAFETY: &str = "content-security-policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
    form-action 'self'; frame-ancestors 'none'\r\nx-content-type-options: nosniff\r\n";

/// Whether a browser says that a page of another site made it send this request: over https in `Sec-Fetch-Site`, which it
/// knows best; else by an `Origin` (RFC 6454 section 7) that is not the `Host` it asks.
fn is_foreign(head: &Head) -> bool {
    let field = |wanted: &[u8]| {
        let mut fields = head.fields();
        let found = fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value)
    };
    if let Some(site) = field(b"sec-fetch-site") {
        return !matches!(site, b"same-origin" | b"none");
    }
    let Some(origin) = field(b"origin") else {
        return false;
    };
    let host = field(b"host").unwrap_or_default();
    let authority = origin.strip_prefix(b"http://");
    let authority = authority.or_else(|| origin.strip_prefix(b"https://"));
    authority.is_none_or(|authority| !authority.eq_ignore_ascii_case(host))
}

fn change(desk: &Desk, question: &Question<'_>) -> &'static str {
    if !question.complete {
        return "EXCD";
    }
    let (changes, outcome) = page::read_form(desk.view(), question.body);
    changes.iter().for_each(|change| desk.carry_out(change));
    outcome
}

/// Sends the browser back to the page, so that reloading it does not send the form again.
fn see_other(page: &Page, wish: &Wish, outcome: &str) -> (u16, Vec<u8>) {
    let scope = wish.selection.name_part.as_deref().unwrap_or_default();
    let plain = scope
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    let scope = match scope {
        "" => String::new(),
        scope if plain => format!(";scope={scope}"),
        _ => String::new(),
    };
    let uri: String = page.uri.chars().filter(char::is_ascii_graphic).collect();
    let fields = format!("location: {uri};st={outcome}{scope}\r\ncontent-type: text/plain\r\n");
    (303, message("303 See Other", &fields, ""))
}

fn refuse(status: u16, reason: &str, fields: &str) -> (u16, Vec<u8>) {
    let body = format!("<html><body><h1>{status} {reason}</h1>\n</body></html>\n");
    let fields = format!("content-type: text/html\r\n{fields}");
    (
        status,
        message(&format!("{status} {reason}"), &fields, &body),
    )
}

fn message(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\ncache-control: no-cache\r\n{fields}\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_sites_are_told_apart() {
        let cases: [(&[(&str, &str)], bool); 10] = [
            (&[("host", "lb:8404")], false),
            (&[("host", "lb:8404"), ("origin", "http://lb:8404")], false),
            (&[("host", "LB"), ("origin", "https://lb")], false),
            (&[("host", "lb:8404"), ("origin", "http://evil")], true),
            (&[("host", "lb:8404"), ("origin", "http://lb")], true),
            (&[("host", "lb"), ("origin", "null")], true),
            (&[("origin", "http://lb")], true),
            (&[("host", "lb"), ("sec-fetch-site", "cross-site")], true),
            (&[("host", "lb"), ("sec-fetch-site", "same-site")], true),
            // Whoever stands between may have rewritten the host.
            (
                &[
                    ("host", "inside"),
                    ("origin", "https://lb"),
                    ("sec-fetch-site", "same-origin"),
                ],
                false,
            ),
        ];
        for (fields, foreign) in cases {
            let mut head = Head::default();
            for (name, value) in fields {
                assert!(head.add(name.as_bytes(), value.as_bytes()));
            }
            assert_eq!(is_foreign(&head), foreign, "{fields:?}");
        }
    }
}
