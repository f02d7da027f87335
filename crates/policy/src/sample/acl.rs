//! `acl(…)`: whether named ACLs hold, as a value.

use std::sync::Arc;

use super::{Fetch, Needs, Row};
use crate::acl::{Acl, Truth, named};
use crate::context::Context;
use crate::value::{Type, Value};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "acl",
    usage: "[!]NAME[,[!]NAME...]",
    doc: "Whether all of the named ACLs hold, or with ! do not.",
    needs: Needs::Nothing,
    read: |arguments, scope| {
        let mut terms = Vec::new();
        while arguments.left() > 0 || terms.is_empty() {
            let text = arguments.word("the name of an acl")?;
            let name = text.trim_start_matches('!');
            let negated = (text.len() - name.len()) % 2 == 1;
            terms.push((negated, named(name, arguments.span, scope)?));
        }
        Ok((Box::new(All(terms)), Type::Boolean))
    },
}];

struct All(Vec<(bool, Arc<Acl>)>);

impl Fetch for All {
    fn fetch<'a>(&'a self, context: &'a Context<'_>) -> Option<Value<'a>> {
        let mut worst = Truth::Pass;
        for (negated, acl) in &self.0 {
            let truth = acl.holds(context);
            worst = worst.min(if *negated { truth.not() } else { truth });
            if worst == Truth::Fail {
                break;
            }
        }
        if worst == Truth::Unsure {
            context.may_change();
            return None;
        }
        Some(Value::Boolean(worst == Truth::Pass))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn acls_have_values() {
        let bench = Bench::request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        for (text, expected) in [
            ("acl(TRUE)", Some("1")),
            ("acl(!TRUE)", Some("0")),
            ("acl(TRUE,FALSE)", Some("0")),
            ("acl(TRUE,!FALSE)", Some("1")),
            ("acl(METH_GET)", Some("1")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
        assert!(bench.refused("acl").contains("lacks"));
        assert!(bench.refused("acl(TRU)").contains("did you mean 'TRUE'"));
    }
}
