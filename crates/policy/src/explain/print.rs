//! Stories as text for people and as JSON for programs (RFC 8259).

use std::fmt::{self, Write as _};

use super::{Attempt, Candidate, ClauseTold, Explanation, Step, StepResult, TermTold, Told};
use crate::acl::Truth;
use crate::stats::format::json_text;

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request #{}", self.number)?;
        if !self.unique_id.is_empty() {
            write!(f, " {}", self.unique_id)?;
        }
        writeln!(f, " {}", self.request)?;
        write!(f, "{}", self.explanation)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "frontend {}", self.frontend)?;
        let mut proxy = self.frontend.as_str();
        write_steps(&self.steps, &mut proxy, f)?;
        if let Some(backend) = &self.backend {
            writeln!(f, "servers of {backend}")?;
        }
        for candidate in &self.candidates {
            let (name, weight, load) = (&candidate.name, candidate.weight, candidate.load);
            write!(f, "  {name} (weight {weight}, load {load})")?;
            match candidate.out {
                Some(out) => writeln!(f, ": {out}")?,
                None => writeln!(f)?,
            }
        }
        for attempt in &self.attempts {
            write!(f, "  -> {}, {}", attempt.server, attempt.why)?;
            match &attempt.failure {
                Some(failure) => writeln!(f, ": {failure}")?,
                None => writeln!(f)?,
            }
        }
        // Whose lines follow is said again.
        proxy = "";
        write_steps(&self.answer, &mut proxy, f)?;
        if self.cut {
            writeln!(f, "(more than is kept)")?;
        }
        writeln!(f, "=> {}", self.outcome)
    }
}

fn write_steps<'a>(
    steps: &'a [Step],
    proxy: &mut &'a str,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for step in steps {
        if *step.proxy != **proxy {
            *proxy = &step.proxy;
            writeln!(f, "proxy {proxy}")?;
        }
        write_step(step, f)?;
    }
    Ok(())
}

fn write_step(step: &Step, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let result = match &step.result {
        StepResult::Skipped => "passed by",
        StepResult::Waits => "needs more bytes",
        StepResult::Ran => "runs",
        StepResult::Decided(decision) => decision,
    };
    writeln!(f, "  {}  {}  -> {result}", step.place, step.text)?;
    for (index, terms) in step.condition.iter().enumerate() {
        let word = match (index, step.unless) {
            (0, false) => "if",
            (0, true) => "unless",
            _ => "or",
        };
        for (index, term) in terms.iter().enumerate() {
            let word = if index == 0 { word } else { "and" };
            write_term(word, term, f)?;
        }
    }
    Ok(())
}

fn write_term(word: &str, term: &TermTold, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let not = if term.negated { "!" } else { "" };
    let name = match term.name.as_str() {
        "" => "{…}",
        name => name,
    };
    writeln!(f, "      {word} {not}{name}: {}", truth(term.truth))?;
    for clause in &term.clauses {
        write!(f, "          {} = ", clause.expression)?;
        if clause.values.is_empty() {
            write!(f, "nothing")?;
        }
        for (index, value) in clause.values.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}'{}'", value.escape_debug())?;
        }
        let outcome = match clause.truth {
            Truth::Pass => "matches",
            Truth::Fail => "does not match",
            Truth::Unsure => "needs more bytes",
        };
        writeln!(f, ", {outcome}")?;
    }
    Ok(())
}

fn truth(truth: Truth) -> &'static str {
    match truth {
        Truth::Pass => "yes",
        Truth::Fail => "no",
        Truth::Unsure => "not yet",
    }
}

impl Told {
    /// One object on one line.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        let mut object = Object::open(&mut out);
        object.number("number", u64::from(self.number));
        object.text("unique_id", &self.unique_id);
        object.number("began_s", self.began.unix_s);
        object.text("request", &self.request);
        self.explanation.members(&mut object);
        object.close();
        out
    }
}

impl Explanation {
    /// One object on one line.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        let mut object = Object::open(&mut out);
        self.members(&mut object);
        object.close();
        out
    }

    fn members(&self, object: &mut Object<'_>) {
        object.text("frontend", &self.frontend);
        object.list("steps", &self.steps, step);
        object.maybe("backend", self.backend.as_deref());
        object.list("candidates", &self.candidates, candidate);
        object.list("attempts", &self.attempts, attempt);
        object.maybe("server", self.server.as_deref());
        object.list("answer", &self.answer, step);
        object.word("cut", self.cut);
        object.text("outcome", &self.outcome);
    }
}

fn step(step: &Step, out: &mut String) {
    let (result, decision) = match &step.result {
        StepResult::Skipped => ("skipped", None),
        StepResult::Waits => ("waits", None),
        StepResult::Ran => ("ran", None),
        StepResult::Decided(decision) => ("decided", Some(decision.as_str())),
    };
    let mut object = Object::open(out);
    object.text("proxy", &step.proxy);
    object.text("file", &step.place.file);
    object.number("line", u64::from(step.place.line));
    object.text("rule", &step.text);
    object.word("unless", step.unless);
    object.list("condition", &step.condition, |terms, out| {
        list(terms, out, term);
    });
    object.text("result", result);
    object.maybe("decision", decision);
    object.close();
}

fn term(term: &TermTold, out: &mut String) {
    let mut object = Object::open(out);
    object.text("acl", &term.name);
    object.word("negated", term.negated);
    object.text("holds", truth(term.truth));
    object.list("clauses", &term.clauses, clause);
    object.close();
}

fn clause(clause: &ClauseTold, out: &mut String) {
    let mut object = Object::open(out);
    object.text("sample", &clause.expression);
    object.list("values", &clause.values, |value, out| json_text(value, out));
    object.text("matches", truth(clause.truth));
    object.close();
}

fn candidate(candidate: &Candidate, out: &mut String) {
    let mut object = Object::open(out);
    object.text("server", &candidate.name);
    object.number("weight", u64::from(candidate.weight));
    object.number("load", u64::from(candidate.load));
    object.maybe("excluded", candidate.out);
    object.close();
}

fn attempt(attempt: &Attempt, out: &mut String) {
    let mut object = Object::open(out);
    object.text("server", &attempt.server);
    object.text("why", &attempt.why);
    object.maybe("failure", attempt.failure.as_deref());
    object.close();
}

fn list<T>(items: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

/// An object in the making.
struct Object<'a> {
    out: &'a mut String,
    begun: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, begun: false }
    }

    fn name(&mut self, name: &str) {
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(',');
        }
        json_text(name, self.out);
        self.out.push(':');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.maybe(name, Some(text));
    }

    fn maybe(&mut self, name: &str, text: Option<&str>) {
        self.name(name);
        match text {
            Some(text) => json_text(text, self.out),
            None => self.out.push_str("null"),
        }
    }

    fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        let _ = write!(self.out, "{number}");
    }

    fn word(&mut self, name: &str, word: bool) {
        self.name(name);
        let _ = write!(self.out, "{word}");
    }

    fn list<T>(&mut self, name: &str, items: &[T], write: impl Fn(&T, &mut String)) {
        self.name(name);
        list(items, self.out, write);
    }

    fn close(self) {
        self.out.push('}');
    }
}
