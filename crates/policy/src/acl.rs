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
use crate::value::Value;

pub(crate) use condition::{Acls, begins, named, read_condition};
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

/// Who is told of what a condition looks at, and in which order. Most conditions are judged before [`Nobody`].
pub(crate) trait Audience {
    /// The terms of another alternative follow.
    fn alternative(&mut self) {}

    fn term(&mut self, _: &Term) {}

    fn clause(&mut self, _: &Clause) {}

    /// One value of the sample of the clause at hand.
    fn value(&mut self, _: &Value<'_>) {}

    fn clause_ends(&mut self, _: Truth) {}

    /// `!` is part of the outcome.
    fn term_ends(&mut self, _: Truth) {}
}

/// Nobody listens, which costs nothing.
pub(crate) struct Nobody;

impl Audience for Nobody {}

impl Clause {
    fn judge(&self, context: &Context<'_>, audience: &mut impl Audience) -> Truth {
        context.unsure.set(false);
        audience.clause(self);
        let tested = match &self.test {
            // It was told when the file was read that this never matches, whatever is still there by chance.
            _ if !self.expression.needs().met_at(context.phase) => Tested::Missing,
            Test::Found => self.expression.any(context, &mut |value| {
                audience.value(&value);
                true
            }),
            Test::True => self.expression.any(context, &mut |value| {
                audience.value(&value);
                value.as_boolean() == Some(true)
            }),
            Test::Patterns(lists) => match lists.as_slice() {
                [list] => self.expression.any(context, &mut |value| {
                    audience.value(&value);
                    list.matches(value)
                }),
                lists => self.expression.any(context, &mut |value| {
                    audience.value(&value);
                    lists.iter().any(|list| list.matches(value.borrowed()))
                }),
            },
        };
        let truth = match tested {
            Tested::Found => Truth::Pass,
            _ if context.unsure.get() => Truth::Unsure,
            Tested::Different | Tested::Missing => Truth::Fail,
        };
        audience.clause_ends(truth);
        truth
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
        self.judge(context, &mut Nobody)
    }

    fn judge(&self, context: &Context<'_>, audience: &mut impl Audience) -> Truth {
        let mut best = Truth::Fail;
        for clause in &self.clauses {
            best = best.max(clause.judge(context, audience));
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
    fn judge(&self, context: &Context<'_>, audience: &mut impl Audience) -> Truth {
        audience.term(self);
        let truth = self.acl.judge(context, audience);
        let truth = if self.negated { truth.not() } else { truth };
        audience.term_ends(truth);
        truth
    }
}

/// What stands behind `if` or `unless`: alternatives, each of terms that must all hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub unless: bool,
    pub alternatives: Vec<Vec<Term>>,
}

impl Condition {
    /// What it looks at, in the order in which it is written.
    pub(crate) fn clauses(&self) -> impl Iterator<Item = &Clause> {
        let terms = self.alternatives.iter().flatten();
        terms.flat_map(|term| &term.acl.clauses)
    }

    /// Whether the condition holds; [`Truth::Unsure`] where that depends on what has not arrived.
    pub fn holds(&self, context: &Context<'_>) -> Truth {
        self.judge(context, &mut Nobody)
    }

    /// As [`Condition::holds`], with somebody to listen.
    pub(crate) fn judge(&self, context: &Context<'_>, audience: &mut impl Audience) -> Truth {
        let mut best = Truth::Fail;
        for terms in &self.alternatives {
            audience.alternative();
            let mut worst = Truth::Pass;
            for term in terms {
                worst = worst.min(term.judge(context, audience));
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
