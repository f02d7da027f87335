//! Expressions such as `req.hdr(host),lower,field(1,:)`: a sample and the converters behind it.
//!
//! Read once, when the configuration is loaded; types are checked then, so that evaluation only moves values. What is
//! absent: what samples and converters do ([`crate::sample`], [`crate::convert`]).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use plimsoll_config::args::Word;
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::source::{Environment, Loader};
use plimsoll_config::suggest::nearest;

use crate::acl::Acls;
use crate::arguments::{self, Arguments};
use crate::bandwidth::Spec;
use crate::capture;
use crate::context::{Context, Phase};
use crate::convert::{self, Convert};
use crate::keyword::haproxy::names;
use crate::log::Profile;
use crate::model::names::ResolversId;
use crate::model::{BackendId, ErrorFile, FrontendId, Mode, ServerId};
use crate::pattern::Lists;
use crate::rule::Asks;
use crate::sample::{self, Fetch, Needs, Tested};
use crate::stick_table::{KeyType, TableId};
use crate::tls::store::Stored;
use crate::users::Userlists;
use crate::value::{Type, Value};

/// Most converters behind one sample.
const CONVERTERS_MAX: usize = 64;

/// A sample and its converters, ready to be evaluated. Equal when written equally.
#[derive(Clone)]
pub struct Expression(Arc<Inner>);

struct Inner {
    text: Box<str>,
    fetch: Box<dyn Fetch>,
    /// Each with the type it expects.
    converters: Vec<(Type, Box<dyn Convert>)>,
    output: Type,
    needs: Needs,
}

impl Expression {
    /// As written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What it yields; [`Type::Any`] when only run time tells.
    pub fn output(&self) -> Type {
        self.0.output
    }

    /// What must be there for it to be evaluated.
    pub fn needs(&self) -> Needs {
        self.0.needs
    }

    /// What to say of a sample of the bytes of a connection over which HTTP is spoken.
    pub(crate) fn below_http(&self) -> String {
        let text = self.text();
        format!("'{text}' is for TCP mode: in HTTP mode it sees a body at most")
    }

    /// Whether there are converters behind the sample.
    pub(crate) fn is_converted(&self) -> bool {
        !self.0.converters.is_empty()
    }

    /// The value, or `None` where there is nothing to be had.
    pub fn evaluate<'a>(&'a self, context: &'a Context<'_>) -> Option<Value<'a>> {
        self.converted(self.0.fetch.fetch(context)?, context)
    }

    /// Hands each value to `test` until it returns `true`: see [`Fetch::any`].
    pub fn any(&self, context: &Context<'_>, test: &mut dyn FnMut(Value<'_>) -> bool) -> Tested {
        // Most have none; a value is handed on without being moved.
        if self.0.converters.is_empty() {
            return self.0.fetch.any(context, test);
        }
        let mut some = false;
        let found = self.0.fetch.any(context, &mut |value| {
            let value = self.converted(value, context);
            some |= value.is_some();
            value.is_some_and(&mut *test)
        });
        match found {
            Tested::Different if !some => Tested::Missing,
            other => other,
        }
    }

    fn converted<'a>(&'a self, value: Value<'a>, context: &'a Context<'_>) -> Option<Value<'a>> {
        let steps = self.0.converters.iter();
        steps
            .into_iter()
            .try_fold(value, |value, (input, converter)| {
                converter.convert(value.cast(*input)?, context)
            })
    }

    /// The value as text, appended to `out`; returns whether there was one.
    pub fn write(&self, context: &Context<'_>, out: &mut Vec<u8>) -> bool {
        let value = self.evaluate(context);
        if let Some(value) = &value {
            value.write(out);
        }
        value.is_some()
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Quoted, so that whoever looks for names in a model finds those that it has.
        write!(f, "{:?}", self.text())
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

/// Log profiles by their names, with what their samples want to know of connections.
pub(crate) type Profiles = HashMap<String, (Arc<Profile>, Asks)>;

/// Names that expressions and rules refer to.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) frontends: HashMap<String, FrontendId>,
    pub(crate) backends: HashMap<String, BackendId>,
    /// Those of TCP mode.
    pub(crate) tcp_backends: HashSet<BackendId>,
    /// Servers by backend, then by name.
    pub(crate) servers: HashMap<BackendId, HashMap<String, ServerId>>,
    /// Stick tables, with the type of their keys.
    pub(crate) tables: HashMap<String, (TableId, KeyType)>,
    /// Over which times, in milliseconds, tables keep the rates of bytes from clients and to them.
    pub(crate) byte_rates: HashMap<TableId, (Option<u32>, Option<u32>)>,
    pub(crate) userlists: Userlists,
    /// Certificates by their names in the store; what tokens are verified with is loaded into it.
    pub(crate) certificates: RefCell<BTreeMap<String, Arc<Stored>>>,
    pub(crate) resolvers: HashMap<String, ResolversId>,
    pub(crate) profiles: Profiles,
    /// `tune.stick-counters`: how many keys a connection or request may track.
    pub(crate) stick_counters: u32,
}

/// Where an expression stands: what it may refer to, and when it will be evaluated.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) files: &'a dyn Loader,
    pub(crate) names: &'a Names,
    pub(crate) lists: &'a Lists,
    /// The named ACLs that expressions may ask for.
    pub(crate) acls: Option<&'a Acls>,
    /// The limits of bandwidth that rules of this proxy may set.
    pub(crate) limits: &'a [Arc<Spec>],
    /// The captures of this proxy so far; rules may add some.
    pub(crate) captures: &'a RefCell<capture::Draft>,
    /// What the samples of this proxy so far want to know of connections.
    pub(crate) asks: &'a Cell<Asks>,
    /// The variables of the process.
    pub(crate) environment: &'a Environment,
    /// The `http-errors` sections.
    pub(crate) http_errors: &'a HashMap<String, Vec<ErrorFile>>,
    pub(crate) phase: Phase,
    /// It may be evaluated at other times as well, and what is not there by then is empty.
    pub(crate) any_time: bool,
    /// It stands in a line that chooses the backend: of the proxy's own nothing is known yet.
    pub(crate) chooses: bool,
    pub(crate) mode: Mode,
    /// The halves of the proxy whose rule is read.
    pub(crate) frontend: Option<FrontendId>,
    pub(crate) backend: Option<BackendId>,
    /// The name of that proxy, which is also that of its stick table.
    ///
    /// `None` for rules that are inherited: what they name must not depend on who inherits them.
    pub(crate) proxy: Option<&'a str>,
}

impl Scope<'_> {
    /// The stick table called `name`, or the proxy's own where no name is given.
    pub(crate) fn table(
        &self,
        name: Option<&str>,
        span: Span,
    ) -> Result<(TableId, KeyType), Diagnostic> {
        let found = name
            .or(self.proxy)
            .and_then(|name| self.names.tables.get(name));
        found.copied().ok_or_else(|| match name {
            Some(_) => missing("stick table", name, self.names.tables.keys(), span),
            None => {
                let message = "this proxy has no stick table of its own, and no other one is named";
                Diagnostic::error(Kind::Reference, span, message)
                    .help("name a table, or add 'stick-table type ip size 100k'")
            }
        })
    }

    /// The log profile called `name`, whose lines are written for this proxy from now on.
    pub(crate) fn profile(&self, name: &str, span: Span) -> Result<Arc<Profile>, Diagnostic> {
        let known = &self.names.profiles;
        let (profile, asks) = known
            .get(name)
            .ok_or_else(|| missing("log profile", Some(name), known.keys(), span))?;
        self.asks.set(self.asks.get().and(*asks));
        Ok(Arc::clone(profile))
    }

    /// Whether what a sample needs is not there when this is evaluated.
    ///
    /// A frontend has no backend of its own before it has chosen one, which all of its rules for requests come before.
    /// Rules that are inherited may come to stand in a backend.
    pub(crate) fn lacks(&self, needs: Needs) -> bool {
        let precedes = (self.backend.is_none() || self.chooses)
            && self.frontend.is_some()
            && self.proxy.is_some()
            && matches!(self.phase, Phase::RequestContent | Phase::Request);
        let is_missing = !needs.met_at(self.phase) || (needs == Needs::Backend && precedes);
        is_missing && !self.any_time
    }

    /// The same place at another time.
    pub(crate) fn at(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// The backend called `name`, or the proxy's own where no name is given.
    pub(crate) fn backend(&self, name: Option<&str>, span: Span) -> Result<BackendId, Diagnostic> {
        let found = match name {
            None => self.backend,
            Some(name) => self.names.backends.get(name).copied(),
        };
        found.ok_or_else(|| missing("backend", name, self.names.backends.keys(), span))
    }

    /// As [`Scope::backend`], for frontends.
    pub(crate) fn frontend(
        &self,
        name: Option<&str>,
        span: Span,
    ) -> Result<FrontendId, Diagnostic> {
        let found = match name {
            None => self.frontend,
            Some(name) => self.names.frontends.get(name).copied(),
        };
        found.ok_or_else(|| missing("frontend", name, self.names.frontends.keys(), span))
    }

    /// The server written as `BACKEND/SERVER`, or as `SERVER` of the proxy's own backend.
    pub(crate) fn server(
        &self,
        name: &str,
        span: Span,
    ) -> Result<(BackendId, ServerId), Diagnostic> {
        let (backend, server) = match name.split_once('/') {
            Some((backend, server)) => (self.backend(Some(backend), span)?, server),
            None if self.proxy.is_some() => (self.backend(None, span)?, name),
            None => {
                let message = format_args!("inherited rules cannot tell whose server '{name}' is");
                return Err(
                    Diagnostic::error(Kind::Invalid, span, message).help("write 'BACKEND/SERVER'")
                );
            }
        };
        let servers = self.names.servers.get(&backend);
        let found = servers.and_then(|servers| servers.get(server));
        found.map(|&id| (backend, id)).ok_or_else(|| {
            let known = servers.into_iter().flat_map(HashMap::keys);
            missing("server", Some(server), known, span)
        })
    }
}

fn missing<'a>(
    noun: &str,
    name: Option<&str>,
    known: impl Iterator<Item = &'a String>,
    span: Span,
) -> Diagnostic {
    let Some(name) = name else {
        let message = format_args!("there is no {noun} here: its name is missing");
        return Diagnostic::error(Kind::Invalid, span, message);
    };
    let error = Diagnostic::error(
        Kind::Reference,
        span,
        format_args!("no {noun} is called '{name}'"),
    );
    match nearest(name, known.map(String::as_str)) {
        Some(near) => error.help(format_args!("did you mean '{near}'?")),
        None => error,
    }
}

/// Reads the expression in `word`.
///
/// # Errors
/// Unknown or misused names, with the nearest known one; values that do not fit together; samples that cannot exist
/// at this time.
pub(crate) fn parse(word: &Word, scope: &Scope<'_>) -> Result<Expression, Diagnostic> {
    let expression = parse_text(&word.spelled(), word.span, scope)?;
    check_phase(&expression, word.span, scope)?;
    Ok(expression)
}

/// As [`parse`], for the text of a part of a word, and without a look at the time.
pub(crate) fn parse_text(
    text: &str,
    span: Span,
    scope: &Scope<'_>,
) -> Result<Expression, Diagnostic> {
    let mut parts = Parts { rest: text, span };
    let (name, arguments) = parts.next()?.unwrap_or_default();
    let row = sample::find(name).ok_or_else(|| unknown_sample(name, span))?;
    scope.asks.set(scope.asks.get().and(sample::asks(name)));
    let mut arguments = Arguments::parse(name, arguments, span)?;
    let (fetch, mut output) = (row.read)(&mut arguments, scope)?;
    arguments.finish()?;
    let mut converters = Vec::new();
    while let Some((name, arguments)) = parts.next()? {
        if name.is_empty() {
            continue; // HAProxy takes a comma too many.
        }
        let row = convert::find(name).ok_or_else(|| unknown_converter(name, span))?;
        if !output.casts_to(row.input) {
            let (have, want) = (output.name(), row.input.name());
            let message = format_args!("'{name}' takes a value of type {want}, not {have}");
            return Err(Diagnostic::error(Kind::Invalid, span, message));
        }
        let mut arguments = Arguments::parse(name, arguments, span)?;
        converters.push((row.input, (row.read)(&mut arguments, scope)?));
        arguments.finish()?;
        output = row.output.unwrap_or(output);
        if converters.len() > CONVERTERS_MAX {
            let message = format_args!("there are more than {CONVERTERS_MAX} converters");
            return Err(Diagnostic::error(Kind::Invalid, span, message));
        }
    }
    Ok(Expression(Arc::new(Inner {
        text: text.into(),
        fetch,
        converters,
        output,
        needs: row.needs,
    })))
}

/// Whether what the expression looks at exists at this time.
pub(crate) fn check_phase(
    expression: &Expression,
    span: Span,
    scope: &Scope<'_>,
) -> Result<(), Diagnostic> {
    let needs = expression.needs();
    if !scope.lacks(needs) {
        return Ok(());
    }
    let message = format_args!(
        "'{}' looks at {}, which is not available here",
        expression.text(),
        needs.noun()
    );
    Err(Diagnostic::error(Kind::Invalid, span, message))
}

/// The samples and converters of an expression, one after the other.
struct Parts<'a> {
    rest: &'a str,
    span: Span,
}

impl<'a> Parts<'a> {
    /// The next name with the text between its parentheses.
    fn next(&mut self) -> Result<Option<(&'a str, Option<&'a str>)>, Diagnostic> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let end = self.rest.find(['(', ',']).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        let Some(inner) = rest.strip_prefix('(') else {
            self.rest = rest.strip_prefix(',').unwrap_or(rest);
            return Ok(Some((name, None)));
        };
        let Some(close) = closing(inner) else {
            let message = format_args!("'{name}(' is never closed");
            return Err(Diagnostic::error(Kind::Syntax, self.span, message)
                .help("put ')' behind the arguments"));
        };
        let rest = &inner[close + 1..];
        self.rest = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None if rest.is_empty() => rest,
            None => {
                let message =
                    format_args!("'{rest}' behind '{name}(…)' is neither a comma nor the end");
                return Err(Diagnostic::error(Kind::Syntax, self.span, message));
            }
        };
        Ok(Some((name, Some(&inner[..close]))))
    }
}

/// The bytes of `text` that stand outside of quotes and are neither backslashes nor escaped by one, with their places.
pub(crate) fn unquoted(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut quote, mut escaped) = (None, false);
    let next = |index: usize| text.as_bytes().get(index + 1);
    text.bytes().enumerate().filter(move |&(index, byte)| {
        match (quote, byte) {
            _ if escaped => escaped = false,
            (None | Some(b'"'), b'\\') => {
                escaped =
                    next(index).is_some_and(|&byte| arguments::escaped(byte.into()).is_some());
            }
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, _) => return true,
        }
        false
    })
}

/// The place of the parenthesis that ends the arguments which `text` begins with.
fn closing(text: &str) -> Option<usize> {
    let (index, _) = unquoted(text).find(|&(_, byte)| byte == b')')?;
    Some(index)
}

fn unknown_sample(name: &str, span: Span) -> Diagnostic {
    match names::check(name, span, "a sample", &[names::samples::SAMPLES]) {
        Err(error) => error,
        Ok(()) => match sample::absence(name) {
            Some(why) => {
                let message = format_args!("there is no sample '{name}' here");
                Diagnostic::error(Kind::Refused, span, message).cause(why)
            }
            None => not_yet(format_args!("the sample '{name}'"), span),
        },
    }
}

fn unknown_converter(name: &str, span: Span) -> Diagnostic {
    match names::check(name, span, "a converter", &[names::converters::CONVERTERS]) {
        Err(error) => error,
        Ok(()) => not_yet(format_args!("the converter '{name}'"), span),
    }
}

/// What HAProxy has and Plimsoll does not have yet.
pub(crate) fn not_yet(what: impl fmt::Display, span: Span) -> Diagnostic {
    let message = format_args!("{what} is not implemented yet");
    Diagnostic::error(Kind::NotImplemented, span, message)
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn expressions_are_evaluated_from_left_to_right() {
        let bench = Bench::default();
        for (text, expected) in [
            ("str(a)", Some("a")),
            ("str('a,b)')", Some("a,b)")),
            ("str(AbC),lower", Some("abc")),
            ("str(AbC),lower,upper", Some("ABC")),
            ("int(12)", Some("12")),
            ("str(12x),add(1)", Some("13")),
            ("str(''),add(1)", None),
            (r"str(a),concat(\,,)", Some(r"a\")),
            (r"str(b\),length", Some("2")),
            (r"str(\x2c(),length", Some("5")),
            (r#"str(\\\'\"\ ),length"#, Some("4")),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let bench = Bench::default();
        for (text, part) in [
            ("strr(a)", "did you mean 'str'"),
            ("str(a", "never closed"),
            ("str(a)b", "neither a comma"),
            ("str(a),lowr", "did you mean 'lower'"),
            ("str(a),lower(1)", "one too many"),
            (r"str(a\,b)", "one too many"),
            (r"str(\))", "neither a comma"),
            ("src,add(1)", "takes a value of type sint"),
            ("int(1),add(1x)", "is not a number"),
            ("int", "lacks"),
        ] {
            let error = bench.refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
