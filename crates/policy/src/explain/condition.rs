//! What conditions come to, and why.

use super::VALUE_BYTES_MAX;
use crate::acl::{Audience, Clause, Condition, Term, Truth};
use crate::context::Context;
use crate::value::Value;

/// Most values of one sample that are shown.
const VALUES_MAX: usize = 16;

/// One ACL in a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct TermTold {
    /// Its name; that of an anonymous one is empty.
    pub name: String,
    pub negated: bool,
    /// What it comes to, `!` included.
    pub truth: Truth,
    /// Its lines up to the one that was enough.
    pub clauses: Vec<ClauseTold>,
}

/// One line of an ACL.
#[derive(Clone, Debug, PartialEq)]
pub struct ClauseTold {
    /// The sample with its converters.
    pub expression: String,
    /// What it is worth, as text. Of several values, those that were looked at.
    pub values: Vec<String>,
    pub truth: Truth,
}

/// What a condition comes to, and each ACL that was looked at for that.
pub(super) fn judge(condition: &Condition, context: &Context<'_>) -> (Truth, Vec<Vec<TermTold>>) {
    let mut ear = Ear::default();
    let truth = condition.judge(context, &mut ear);
    (truth, ear.0)
}

/// Writes down what it hears.
#[derive(Default)]
struct Ear(Vec<Vec<TermTold>>);

impl Ear {
    fn last_term(&mut self) -> Option<&mut TermTold> {
        self.0.last_mut()?.last_mut()
    }

    fn last_clause(&mut self) -> Option<&mut ClauseTold> {
        self.last_term()?.clauses.last_mut()
    }
}

impl Audience for Ear {
    fn alternative(&mut self) {
        self.0.push(Vec::new());
    }

    fn term(&mut self, term: &Term) {
        let told = TermTold {
            name: term.acl.name.clone(),
            negated: term.negated,
            truth: Truth::Unsure,
            clauses: Vec::new(),
        };
        if let Some(terms) = self.0.last_mut() {
            terms.push(told);
        }
    }

    fn clause(&mut self, clause: &Clause) {
        let told = ClauseTold {
            expression: clause.expression.text().to_owned(),
            values: Vec::new(),
            truth: Truth::Unsure,
        };
        if let Some(term) = self.last_term() {
            term.clauses.push(told);
        }
    }

    fn value(&mut self, value: &Value<'_>) {
        if let Some(clause) = self.last_clause()
            && clause.values.len() < VALUES_MAX
        {
            let text = value.borrowed().into_text();
            let end = text.len().min(VALUE_BYTES_MAX);
            let text = String::from_utf8_lossy(&text[..end]);
            clause.values.push(text.into_owned());
        }
    }

    fn clause_ends(&mut self, truth: Truth) {
        if let Some(clause) = self.last_clause() {
            clause.truth = truth;
        }
    }

    fn term_ends(&mut self, truth: Truth) {
        if let Some(term) = self.last_term() {
            term.truth = truth;
        }
    }
}
