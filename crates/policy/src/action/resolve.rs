//! `do-resolve`: an address for a name that the request brings (manual, section 4.4).

use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_config::suggest::nearest;

use super::{Action, Flow, Places, Row, Words, action};
use crate::context::Context;
use crate::expression::{self, Scope};
use crate::model::names::{Family, ResolversId};
use crate::rule::Asks;
use crate::variable::Name;

/// Longest name that can be asked for (RFC 1035 section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// A name whose address a rule wants to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    pub resolvers: ResolversId,
    pub host: String,
    /// The family that counts where there are both.
    pub prefer: Family,
    /// What is set to the address; left as it is where there is none.
    pub variable: Name,
}

pub(crate) const ROWS: &[Row] = &[Row {
    name: "do-resolve",
    numbered: false,
    usage: "(NAME,RESOLVERS[,ipv4|ipv6]) EXPRESSION",
    doc: "Sets a variable to the address of the host that an expression names.",
    places: Places::CONTENT.and(Places::REQUEST),
    read,
}];

fn read(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let span = words.name.span;
    let wrong = |message: String| Diagnostic::error(Kind::Invalid, span, message);
    let inner = words.inner().unwrap_or_default();
    let mut parts = inner.split(',').map(str::trim);
    let (name, section) = (parts.next().unwrap_or_default(), parts.next());
    let Some(section) = section.filter(|name| !name.is_empty()) else {
        let message = "a variable and a 'resolvers' section are missing".to_owned();
        return Err(wrong(message).help("write it as in 'do-resolve(txn.address,dns,ipv4)'"));
    };
    let variable = Name::parse(name).map_err(wrong)?;
    let prefer = match parts.next() {
        None => Family::default(),
        Some("ipv4") => Family::V4,
        Some("ipv6") => Family::V6,
        Some(other) => return Err(wrong(format!("'{other}' is neither 'ipv4' nor 'ipv6'"))),
    };
    if let Some(more) = parts.next() {
        return Err(wrong(format!("'{more}' is one too many")));
    }
    let resolvers = *scope.names.resolvers.get(section).ok_or_else(|| {
        let message = format!("no 'resolvers' section is called '{section}'");
        let error = Diagnostic::error(Kind::Reference, span, message);
        let known = scope.names.resolvers.keys();
        match nearest(section, known.map(String::as_str)) {
            Some(near) => error.help(format_args!("did you mean '{near}'?")),
            None => error,
        }
    })?;
    let expression = expression::parse(words.args.word("an expression")?, scope)?;
    scope.asks.set(scope.asks.get().and(Asks {
        resolves: true,
        ..Asks::default()
    }));
    action(move |context: &mut Context<'_>| {
        let host = expression.evaluate(context).map(|value| value.into_text());
        let host = host.and_then(|text| String::from_utf8(text.into_owned()).ok());
        match host {
            Some(host) if (1..=HOST_BYTES_MAX).contains(&host.len()) => {
                Flow::Resolve(Box::new(Lookup {
                    resolvers,
                    host,
                    prefer,
                    variable: variable.clone(),
                }))
            }
            // As in HAProxy: what cannot be asked for is not.
            _ => Flow::Continue,
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn what_is_wrong_is_told() {
        let bench = Bench::default();
        for (rule, part) in [
            ("do-resolve req.hdr(host)", "missing"),
            ("do-resolve(txn.a) req.hdr(host)", "missing"),
            ("do-resolve(a,dns) req.hdr(host)", "scope"),
            ("do-resolve(txn.a,dns,ipv5) req.hdr(host)", "neither"),
            ("do-resolve(txn.a,dns,ipv4,x) req.hdr(host)", "one too many"),
            ("do-resolve(txn.a,dns) req.hdr(host)", "no 'resolvers'"),
        ] {
            let error = bench.act(rule).expect_err(rule);
            assert!(error.contains(part), "{rule}: {error}");
        }
    }
}
