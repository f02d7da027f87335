//! Names of the rule language: samples, converters, criteria, actions, filters, services.
//!
//! What can be evaluated has a row in [`crate::sample`], [`crate::convert`] or [`crate::action`]; the other names are known
//! so that a line which needs them is told apart from one that is misspelt.

pub(crate) mod acls;
pub(crate) mod actions;
pub(crate) mod converters;
pub(crate) mod filters;
pub(crate) mod samples;

use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::suggest::nearest;

/// Whether every name in an expression such as `hdr(host),lower` is known.
///
/// # Errors
/// The first unknown name, with the nearest known one.
pub(crate) fn check_expression(text: &str, span: Span) -> Result<(), Diagnostic> {
    let mut parts = split(text);
    let first = parts.next().unwrap_or_default();
    let known = [samples::SAMPLES, acls::ACLS];
    check(name_of(first), span, "a sample or a criterion", &known)?;
    for part in parts {
        let name = name_of(part);
        if !name.is_empty() {
            check(name, span, "a converter", &[converters::CONVERTERS])?;
        }
    }
    Ok(())
}

/// Whether `name` is one that a Lua program gives to what it registers; those are in no list.
pub(crate) fn is_of_lua(name: &str) -> bool {
    name.starts_with("lua.")
}

/// Whether `name` is among sorted names, or a Lua program's own.
pub(crate) fn check(
    name: &str,
    span: Span,
    what: &str,
    known: &[&[&'static str]],
) -> Result<(), Diagnostic> {
    if is_of_lua(name) || known.iter().any(|names| names.binary_search(&name).is_ok()) {
        return Ok(());
    }
    let message = format_args!("'{name}' is not {what}");
    let error = Diagnostic::error(Kind::Unknown, span, message);
    Err(
        match nearest(name, known.iter().copied().flatten().copied()) {
            Some(near) => error.help(format_args!("did you mean '{near}'?")),
            None => error,
        },
    )
}

/// Splits at commas outside of parentheses and quotes.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let (mut depth, mut quote) = (0_u32, None);
    text.split(move |character| {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ',') => return depth == 0,
            _ => {}
        }
        false
    })
}

fn name_of(part: &str) -> &str {
    part.split('(').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        let lists = [
            samples::SAMPLES,
            converters::CONVERTERS,
            acls::ACLS,
            actions::HTTP_REQUEST,
            actions::HTTP_RESPONSE,
            actions::HTTP_AFTER_RESPONSE,
            actions::TCP_REQUEST_CONNECTION,
            actions::TCP_REQUEST_SESSION,
            actions::TCP_REQUEST_CONTENT,
            actions::TCP_RESPONSE_CONTENT,
            filters::FILTERS,
            filters::SERVICES,
        ];
        for list in lists {
            assert!(list.windows(2).all(|pair| pair[0] < pair[1]), "{list:?}");
        }
    }

    #[test]
    fn expressions_are_checked_name_by_name() {
        let cases = [
            ("path_beg", None),
            ("hdr(host),lower", None),
            ("src,ipmask(24,64),map_ip(/a,b.map)", None),
            ("req.hdr(a),regsub(\"x,y(\",z),upper", None),
            ("lua.mine", None),
            ("pth_beg", Some("did you mean 'path_beg'?")),
            ("hdr(host),lowr", Some("did you mean 'lower'?")),
        ];
        for (text, help) in cases {
            let error = check_expression(text, Span::default()).err();
            assert_eq!(
                error.and_then(|error| error.help).as_deref(),
                help,
                "{text}"
            );
        }
    }
}
