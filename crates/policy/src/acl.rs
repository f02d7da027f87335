//! Conditions: named and anonymous ACLs, and how they are combined (manual, section 7).
//!
//! A term may pass, fail, or be unsure, because what it looks at has not arrived yet. What is absent: samples
//! ([`crate::sample`]) and patterns ([`crate::pattern`]).

mod condition;
mod read;

use std::sync::Arc;

use crate::context::Context;
use crate::expression::Expression;
use crate::pattern::Search;
use crate::sample::Tested;

pub(crate) use condition::{Acls, named, read_condition};
pub(crate) use read::{file_list, read_clause};

/// The outcome of a term or a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    Fail,
    /// More bytes may change it.
    Unsure,
    Pass,
}

impl Truth {
    pub(crate) fn not(self) -> Self {
        match self {
            Self::Fail => Self::Pass,
            Self::Unsure => Self::Unsure,
            Self::Pass => Self::Fail,
        }
    }
}

/// One `acl` line: an expression, and what its value is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    pub(crate) expression: Expression,
    pub(crate) test: Test,
}

/// How the value of an expression decides.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// There is a value.
    Found,
    /// It is true, or a number other than 0; there are no patterns.
    True,
    /// One of the patterns matches, in one of the lists.
    Patterns(Vec<Search>),
}

impl Clause {
    pub(crate) fn holds(&self, context: &Context<'_>) -> Truth {
        context.unsure.set(false);
        let tested = match &self.test {
            Test::Found => self.expression.any(context, &mut |_| true),
            Test::True => self
                .expression
                .any(context, &mut |value| value.as_boolean() == Some(true)),
            Test::Patterns(lists) => match lists.as_slice() {
                [list] => self
                    .expression
                    .any(context, &mut |value| list.matches(value)),
                lists => self.expression.any(context, &mut |value| {
                    lists.iter().any(|list| list.matches(value.borrowed()))
                }),
            },
        };
        match tested {
            Tested::Found => Truth::Pass,
            _ if context.unsure.get() => Truth::Unsure,
            Tested::Different | Tested::Missing => Truth::Fail,
        }
    }
}

/// All clauses of one name; one that holds is enough.
#[derive(Clone, Debug, PartialEq)]
pub struct Acl {
    /// Empty for anonymous ones.
    pub name: String,
    pub clauses: Vec<Clause>,
}

impl Acl {
    /// Whether one of the clauses holds.
    pub fn holds(&self, context: &Context<'_>) -> Truth {
        let mut best = Truth::Fail;
        for clause in &self.clauses {
            best = best.max(clause.holds(context));
            if best == Truth::Pass {
                break;
            }
        }
        best
    }
}

/// An ACL in a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    pub negated: bool,
    pub acl: Arc<Acl>,
}

impl Term {
    fn holds(&self, context: &Context<'_>) -> Truth {
        let truth = self.acl.holds(context);
        if self.negated { truth.not() } else { truth }
    }
}

/// What stands behind `if` or `unless`: alternatives, each of terms that must all hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub unless: bool,
    pub alternatives: Vec<Vec<Term>>,
}

impl Condition {
    /// Whether the condition holds; [`Truth::Unsure`] where that depends on what has not arrived.
    pub fn holds(&self, context: &Context<'_>) -> Truth {
        let mut best = Truth::Fail;
        for terms in &self.alternatives {
            let mut worst = Truth::Pass;
            for term in terms {
                worst = worst.min(term.holds(context));
                if worst == Truth::Fail {
                    break;
                }
            }
            best = best.max(worst);
            if best == Truth::Pass {
                break;
            }
        }
        if self.unless { best.not() } else { best }
    }
}
