//! The words of a condition: names, `!`, `or`, and ACLs in braces.

use std::collections::HashMap;
use std::sync::Arc;

use plimsoll_config::args::{Args, Faults, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::suggest::nearest;

use super::{Acl, Condition, Term, read_clause};
use crate::expression::Scope;

/// Most terms of one condition.
const TERMS_MAX: usize = 1_024;

/// The named ACLs of one section.
pub(crate) type Acls = HashMap<String, Arc<Acl>>;

/// ACLs that need no definition, and what they stand for (manual, section 7.4).
pub(crate) const PREDEFINED: &[(&str, &str)] = &[
    ("FALSE", "always_false"),
    ("HTTP", "req.proto_http"),
    ("HTTP_1.0", "req.ver 1.0"),
    ("HTTP_1.1", "req.ver 1.1"),
    ("HTTP_2.0", "req.ver 2.0"),
    ("HTTP_3.0", "req.ver 3.0"),
    ("HTTP_CONTENT", "req.hdr_val(content-length) gt 0"),
    ("HTTP_URL_ABS", "url_reg ^[^/:]*://"),
    ("HTTP_URL_SLASH", "url_beg /"),
    ("HTTP_URL_STAR", "url *"),
    ("LOCALHOST", "src 127.0.0.1/8 ::1"),
    ("METH_CONNECT", "method CONNECT"),
    ("METH_DELETE", "method DELETE"),
    ("METH_GET", "method GET HEAD"),
    ("METH_HEAD", "method HEAD"),
    ("METH_OPTIONS", "method OPTIONS"),
    ("METH_POST", "method POST"),
    ("METH_PUT", "method PUT"),
    ("METH_TRACE", "method TRACE"),
    ("RDP_COOKIE", "req.rdp_cookie_cnt gt 0"),
    ("REQ_CONTENT", "req.len gt 0"),
    ("TRUE", "always_true"),
    ("WAIT_END", "wait_end"),
];

/// Whether the word begins a condition.
pub(crate) fn begins(word: &Word) -> bool {
    matches!(word.text.as_str(), "if" | "unless")
}

/// Reads `if …` or `unless …` to the end of the line; nothing where neither stands there.
///
/// # Errors
/// Unknown ACLs, braces that are not closed, an empty condition.
pub(crate) fn read_condition(
    args: &mut Args<'_>,
    acls: &Acls,
    scope: &Scope<'_>,
) -> Result<Option<Condition>, Diagnostic> {
    let Some(word) = args.peek().filter(|word| begins(word)) else {
        return Ok(None);
    };
    args.next();
    let mut alternatives = vec![Vec::new()];
    let mut negated = false;
    let (mut count, mut faults) = (0, Faults::default());
    while let Some(word) = args.next() {
        let bare = word.text.trim_start_matches('!');
        negated ^= (word.text.len() - bare.len()) % 2 == 1;
        let acl = match bare {
            "" => continue,
            "or" | "OR" | "||" => {
                alternatives.push(Vec::new());
                continue;
            }
            "{" => anonymous(args, word, scope),
            name => find(name, word.span, acls, scope),
        };
        count += 1;
        if count > TERMS_MAX {
            let message = format_args!("a condition has at most {TERMS_MAX} terms");
            return Err(Diagnostic::error(Kind::Invalid, word.span, message));
        }
        let negated = std::mem::take(&mut negated);
        match (acl, alternatives.last_mut()) {
            (Ok(acl), Some(last)) => last.push(Term { negated, acl }),
            (Ok(_), None) => {}
            (Err(fault), _) => faults.note(fault, args),
        }
    }
    faults.finish()?;
    if negated || alternatives.iter().any(Vec::is_empty) {
        let message = "a condition is missing here";
        return Err(Diagnostic::error(Kind::Invalid, args.end(), message));
    }
    Ok(Some(Condition {
        unless: word.text == "unless",
        alternatives,
    }))
}

/// Reads up to the next brace that closes, quoted or not, and goes on behind it, whatever is between.
fn anonymous(args: &mut Args<'_>, open: &Word, scope: &Scope<'_>) -> Result<Arc<Acl>, Diagnostic> {
    let rest = args.rest();
    let Some(close) = rest.iter().position(|word| word.text == "}") else {
        while args.next().is_some() {}
        let message = "this '{' is never closed";
        return Err(Diagnostic::error(Kind::Invalid, open.span, message)
            .help("put ' }' behind the condition"));
    };
    let mut inner = Args::after(
        &rest[..close],
        open.span.to(rest[close].span),
        open.span.end,
    );
    let clause = read_clause(&mut inner, scope);
    for _ in 0..=close {
        args.next();
    }
    for warning in inner.warnings() {
        args.warn(warning);
    }
    let clause = clause?;
    Ok(Arc::new(Acl {
        name: String::new(),
        clauses: vec![clause],
    }))
}

/// The ACL of this name that can be seen from where an expression stands.
///
/// # Errors
/// None has this name, with the nearest known one.
pub(crate) fn named(name: &str, span: Span, scope: &Scope<'_>) -> Result<Arc<Acl>, Diagnostic> {
    let none = Acls::new();
    find(name, span, scope.acls.unwrap_or(&none), scope)
}

fn find(name: &str, span: Span, acls: &Acls, scope: &Scope<'_>) -> Result<Arc<Acl>, Diagnostic> {
    if let Some(acl) = acls.get(name) {
        return Ok(Arc::clone(acl));
    }
    if let Ok(index) = PREDEFINED.binary_search_by_key(&name, |(name, _)| name) {
        return predefined(index, span, scope);
    }
    let message = format_args!("no acl is called '{name}' here");
    let error = Diagnostic::error(Kind::Reference, span, message);
    let known = acls.keys().map(String::as_str);
    let known = known.chain(PREDEFINED.iter().map(|(name, _)| *name));
    Err(match nearest(name, known) {
        Some(near) => error.help(format_args!("did you mean '{near}'?")),
        None => error.help(format_args!("define it above with 'acl {name} …'")),
    })
}

fn predefined(index: usize, span: Span, scope: &Scope<'_>) -> Result<Arc<Acl>, Diagnostic> {
    let (name, text) = PREDEFINED[index];
    let words: Vec<_> = text.split(' ').map(|word| Word::new(word, span)).collect();
    let clause = read_clause(&mut Args::new(&words, span), scope)?;
    Ok(Arc::new(Acl {
        name: name.to_owned(),
        clauses: vec![clause],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Truth;
    use crate::testing::Bench;

    #[test]
    fn conditions_combine_terms() {
        let bench =
            Bench::request("GET /img/a.png HTTP/1.1\r\nHost: a.example.org\r\nX: 1, 2\r\n\r\n");
        for (text, expected) in [
            ("if { path_beg /img }", Truth::Pass),
            ("unless { path_beg /img }", Truth::Fail),
            ("if !{ path_beg /img }", Truth::Fail),
            ("if ! { path_beg /other }", Truth::Pass),
            ("if { path_end .jpg .png } METH_GET", Truth::Pass),
            (
                "if METH_POST or { hdr_end(host) -i .EXAMPLE.org }",
                Truth::Pass,
            ),
            ("if METH_POST || FALSE", Truth::Fail),
            ("if { hdr(x) 1 } { hdr(x) 2 }", Truth::Pass),
            ("if { hdr(x) 3 }", Truth::Fail),
            ("if { hdr(y) -m found }", Truth::Fail),
            ("if { hdr(x) -m int gt 1 }", Truth::Pass),
            ("if { path_len lt 5 }", Truth::Fail),
            ("if { src 192.0.2.0/24 }", Truth::Pass),
            ("if { var(txn.a) -m found }", Truth::Fail),
            ("if { bool(true) } !{ int(0) }", Truth::Pass),
            ("if { path_beg -- -x /img }", Truth::Pass),
            ("if { path_beg,lower /img }", Truth::Fail),
            ("if { path_beg,lower /img/a.png }", Truth::Pass),
            ("if { int(1) }", Truth::Fail),
            ("if { int(1) -m bool }", Truth::Pass),
            ("if { path -m reg ^/i.*g$ }", Truth::Pass),
        ] {
            assert_eq!(bench.condition(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_conditions() {
        let bench = Bench::default();
        for (text, part) in [
            ("if", "missing"),
            ("if TRUE or", "missing"),
            ("if TRU", "did you mean 'TRUE'"),
            ("if { path /a", "never closed"),
            ("if { path -m wrong /a }", "not a way of comparing"),
            ("if { path -i -x /a }", "'-x' is not a flag"),
            ("if { var(txn.a) x }", "may be of any type"),
            ("if { src nowhere }", "not a valid IPv4"),
            ("if { path -m str -m beg /a }", "a second '-m'"),
            ("if { req.body 00 }", "yields bytes"),
            (
                "if { path_reg ( }",
                "not a regular expression: unclosed group",
            ),
        ] {
            let error = bench.condition(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn predefined_names_are_sorted() {
        assert!(PREDEFINED.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
