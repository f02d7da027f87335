//! `filter bwlim-in` and `filter bwlim-out`: limits of bandwidth, read before the rules that set them; and
//! `filter-sequence`.

use std::sync::Arc;

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};
use plimsoll_config::values::TimeUnit;

use super::Resolver;
use crate::bandwidth::{LIMITS_MAX, Shared, Spec};
use crate::draft::ProxyDraft;
use crate::expression::{self, Scope};
use crate::stick_table::castable;

/// Sizes and times that fit what they are counted in.
const SIZES: std::ops::RangeInclusive<u64> = 1..=u32::MAX as u64;

impl Resolver<'_> {
    /// The limits of a proxy.
    pub(super) fn bandwidth_limits(
        &mut self,
        proxy: &ProxyDraft,
        scope: &Scope<'_>,
    ) -> Vec<Arc<Spec>> {
        let mut limits: Vec<Spec> = Vec::new();
        let lines = || proxy.settings.rules.iter();
        for draft in lines().filter(|rule| rule.keyword == "filter") {
            let mut args = Args::after(&draft.words, draft.line, draft.keyword_span.end);
            match limit(&mut args, scope, &limits) {
                Ok(spec) => limits.push(spec),
                Err(error) => self.report(error),
            }
            self.findings.extend(args.warnings());
        }
        let mut sequences = Sequences::default();
        for draft in lines().filter(|rule| rule.keyword == "filter-sequence") {
            let mut args = Args::after(&draft.words, draft.line, draft.keyword_span.end);
            if let Err(error) = sequences.read(&mut args, &limits) {
                self.report(error);
            }
        }
        sequences.apply(&mut limits);
        limits.into_iter().map(Arc::new).collect()
    }
}

/// The name of the filter that makes a limit.
fn filter_name(upload: bool) -> &'static str {
    if upload { "bwlim-in" } else { "bwlim-out" }
}

/// What `filter-sequence` lines say: the filters of requests and of responses, where any are named.
#[derive(Default)]
struct Sequences {
    request: Option<Vec<String>>,
    response: Option<Vec<String>>,
}

impl Sequences {
    fn read(&mut self, args: &mut Args<'_>, limits: &[Spec]) -> Result<(), Diagnostic> {
        let word = args.word("'request' or 'response'")?;
        let sequence = match word.text.as_str() {
            "request" => &mut self.request,
            "response" => &mut self.response,
            other => {
                let message = format_args!("'request' or 'response' is expected, not '{other}'");
                return Err(Diagnostic::error(Kind::Invalid, word.span, message));
            }
        };
        let word = args.word("a list of filters")?;
        let sequence = sequence.get_or_insert_default();
        let names = word.text.strip_suffix(',').unwrap_or(&word.text);
        for name in names.split(',') {
            if !limits.iter().any(|spec| filter_name(spec.upload) == name) {
                let message = format_args!("this section has no 'filter {name}'");
                return Err(Diagnostic::error(Kind::Reference, word.span, message));
            }
            sequence.push(name.to_owned());
        }
        args.finish()
    }

    /// Limits of a direction that its sequence does not reach never apply. A name is that of the first filter so called.
    /// In which order limits are asked makes no difference.
    fn apply(&self, limits: &mut [Spec]) {
        for (upload, sequence) in [(true, &self.request), (false, &self.response)] {
            let Some(sequence) = sequence else { continue };
            let named = sequence.iter().any(|name| name == filter_name(upload));
            let own = limits.iter_mut().filter(|spec| spec.upload == upload);
            for (index, spec) in own.enumerate() {
                spec.idle = !named || index > 0;
            }
        }
    }
}

/// `bwlim-in|bwlim-out NAME …`.
fn limit(args: &mut Args<'_>, scope: &Scope<'_>, known: &[Spec]) -> Result<Spec, Diagnostic> {
    let upload = args.word("a filter")?.text == "bwlim-in";
    let name = args.word("the name of a limit")?;
    if known.iter().any(|spec| spec.name == name.text) {
        let message = format_args!("another limit of this section is called '{}'", name.text);
        return Err(Diagnostic::error(Kind::Invalid, name.span, message));
    }
    if known.len() == LIMITS_MAX {
        let message = format_args!("there are more than {LIMITS_MAX} limits of bandwidth");
        return Err(Diagnostic::error(Kind::Invalid, name.span, message));
    }
    let mut said = Said::default();
    while !args.is_empty() {
        said.read(args)?;
    }
    let missing = |what: &str| {
        let message = format_args!("the limit '{}' lacks '{what}'", name.text);
        Diagnostic::error(Kind::Invalid, name.span, message)
    };
    let mut spec = Spec {
        name: name.text.clone(),
        upload,
        limit_bytes: 0,
        period_ms: 0,
        min_bytes: said.min_bytes.unwrap_or(0),
        shared: None,
        idle: false,
    };
    if !said.is_shared() {
        spec.limit_bytes = said
            .default_limit
            .ok_or_else(|| missing("default-limit SIZE"))?;
        spec.period_ms = said
            .default_period
            .ok_or_else(|| missing("default-period TIME"))?;
        return Ok(spec);
    }
    if said.default_limit.is_some() || said.default_period.is_some() {
        let message = "a limit is shared by a key, or each stream has its own: it cannot be both";
        return Err(Diagnostic::error(Kind::Invalid, name.span, message));
    }
    spec.limit_bytes = said.limit.ok_or_else(|| missing("limit SIZE"))?;
    let word = said.key.ok_or_else(|| missing("key EXPRESSION"))?;
    let key = expression::parse_text(&word.spelled(), word.span, scope)?;
    let table = said.table.map(|word| word.text.as_str());
    let span = said.table.map_or(name.span, |word| word.span);
    let (table, kind) = scope.table(table, span)?;
    if !key.output().casts_to(castable(kind)) {
        let (have, want) = (key.output().name(), kind.name());
        let message = format_args!("a value of type {have} cannot be a key of type {want}");
        return Err(Diagnostic::error(Kind::Invalid, word.span, message));
    }
    let rates = scope.names.byte_rates.get(&table).copied();
    let (of_clients, of_servers) = rates.unwrap_or_default();
    let (period, rate) = match upload {
        true => (of_clients, "bytes_in_rate"),
        false => (of_servers, "bytes_out_rate"),
    };
    spec.period_ms = period.ok_or_else(|| {
        let message = format_args!(
            "the table of the limit '{}' does not keep '{rate}'",
            name.text
        );
        let error = Diagnostic::error(Kind::Invalid, span, message);
        error.help(format_args!("write 'store {rate}(1s)' on its line"))
    })?;
    spec.shared = Some(Shared { key, table, kind });
    Ok(spec)
}

/// The words of a line.
#[derive(Default)]
struct Said<'a> {
    default_limit: Option<u32>,
    default_period: Option<u32>,
    min_bytes: Option<u32>,
    limit: Option<u32>,
    key: Option<&'a plimsoll_config::args::Word>,
    table: Option<&'a plimsoll_config::args::Word>,
}

impl<'a> Said<'a> {
    fn is_shared(&self) -> bool {
        self.limit.is_some() || self.key.is_some() || self.table.is_some()
    }

    fn read(&mut self, args: &mut Args<'a>) -> Result<(), Diagnostic> {
        if args.take("default-limit") {
            self.default_limit = Some(size(args)?);
        } else if args.take("default-period") {
            let period = args.duration("a time", TimeUnit::Milliseconds)?;
            let period = u32::try_from(period.as_millis()).ok();
            let period = period.filter(|period| *period > 0);
            self.default_period = Some(period.ok_or_else(|| {
                let message = "a period is at least a millisecond, and at most 49 days";
                Diagnostic::error(Kind::Invalid, args.line(), message)
            })?);
        } else if args.take("min-size") {
            self.min_bytes = Some(size(args)?);
        } else if args.take("limit") {
            self.limit = Some(size(args)?);
        } else if args.take("key") {
            self.key = Some(args.word("an expression")?);
        } else if args.take("table") {
            self.table = Some(args.word("the name of a stick table")?);
        } else {
            return args.finish();
        }
        Ok(())
    }
}

fn size(args: &mut Args<'_>) -> Result<u32, Diagnostic> {
    let size = args.size("a size", SIZES)?;
    Ok(u32::try_from(size).unwrap_or(u32::MAX))
}
