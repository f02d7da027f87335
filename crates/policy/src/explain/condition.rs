//! What conditions come to, and why.

use super::VALUE_BYTES_MAX;
use crate::acl::{Condition, Truth};
use crate::context::Context;

/// One ACL in a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct TermTold {
    /// Its name; that of an anonymous one is empty.
    pub name: String,
    pub negated: bool,
    /// What it comes to, `!` included.
    pub truth: Truth,
    /// Its lines, of which one is enough.
    pub clauses: Vec<ClauseTold>,
}

/// One line of an ACL.
#[derive(Clone, Debug, PartialEq)]
pub struct ClauseTold {
    /// The sample with its converters.
    pub expression: String,
    /// What it is worth, as text; `None`: there is nothing.
    pub value: Option<String>,
    pub truth: Truth,
}

/// Every ACL of a condition with its samples, those that decide nothing any more included.
pub(super) fn told(condition: &Condition, context: &Context<'_>) -> Vec<Vec<TermTold>> {
    let term = |term: &crate::acl::Term| {
        let truth = term.acl.holds(context);
        let clauses = term.acl.clauses.iter().map(|clause| ClauseTold {
            expression: clause.expression.text().to_owned(),
            value: clause.expression.evaluate(context).map(|value| {
                let text = value.into_text();
                let end = text.len().min(VALUE_BYTES_MAX);
                String::from_utf8_lossy(&text[..end]).into_owned()
            }),
            truth: clause.holds(context),
        });
        TermTold {
            name: term.acl.name.clone(),
            negated: term.negated,
            truth: if term.negated { truth.not() } else { truth },
            clauses: clauses.collect(),
        }
    };
    let alternatives = condition.alternatives.iter();
    alternatives
        .map(|terms| terms.iter().map(term).collect())
        .collect()
}
