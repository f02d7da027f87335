//! Lines of the rule language, read when all names are known: conditions first, then what depends on them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::suggest::nearest;
use plimsoll_config::values::TimeUnit;

use super::checks::Reach;
use super::endpoints::server_names;
use super::{Resolver, captures};
use crate::acl::{self, Acl, Acls, Condition};
use crate::action::{self, Action, Words};
use crate::balance::BalanceSpec;
use crate::capture::{self, Captures};
use crate::context::Phase;
use crate::draft::{Draft, ProxyDraft, RuleDraft, VariableDraft};
use crate::expression;
use crate::expression::{Expression, Names, Profiles, Scope, not_yet};
use crate::keyword::haproxy::names::{self, actions};
use crate::keyword::haproxy::{NOWHERE, finish};
use crate::log_format::{self, Encoding};
use crate::model::names::ResolversId;
use crate::model::tls::{NameExpression, ServerName};
use crate::model::{Backend, BackendId, ErrorFile, FrontendId, Initial, Mode, Model, ServerId};
use crate::pattern::Lists;
use crate::rule::{BackendTarget, Choice, Persist, Place, Rule, Rules, ServerTarget};
use crate::sample::Needs;
use crate::stats::page::REALM_DEFAULT;
use crate::stick_table::{Data, DataSpec, TableId, TableSpec, castable};
use crate::stickiness::StickRule;
use crate::variable::{self, Name};

/// What `stats http-request` may do.
const STATS_ACTIONS: &[&str] = &["allow", "auth", "deny"];

impl Resolver<'_> {
    /// Reads the rules of every proxy into the model.
    pub(super) fn rules(
        &mut self,
        draft: &Draft,
        http_errors: &HashMap<String, Vec<ErrorFile>>,
        model: &mut Model,
    ) {
        let mut names = Names {
            certificates: RefCell::new(std::mem::take(&mut self.store.certificates)),
            ..known_names(model)
        };
        let lists = Lists::default();
        (model.global.variables, names.profiles) = self.loners(&names, &lists, http_errors);
        let (mut frontend, mut backend) = (0, 0);
        for proxy in &draft.proxies {
            let (captures, asks) = (RefCell::default(), Cell::default());
            let scope = Scope {
                captures: &captures,
                asks: &asks,
                environment: self.context.environment,
                http_errors,
                files: self.context.files,
                names: &names,
                lists: &lists,
                acls: None,
                limits: &[],
                any_time: false,
                chooses: false,
                phase: Phase::Request,
                mode: proxy.settings.mode,
                frontend: proxy.has_front().then_some(FrontendId(frontend)),
                backend: proxy.has_back().then_some(BackendId(backend)),
                proxy: Some(&proxy.name),
            };
            let (mut rules, acls) = self.proxy_rules(proxy, &scope);
            let error_files = self.error_files(&proxy.settings.error_files, &scope);
            if proxy.has_front() {
                let frontend = &mut model.frontends[frontend as usize];
                self.log_formats(proxy, (&scope, &acls), &mut frontend.log);
                frontend.error_files.clone_from(&error_files);
            }
            if proxy.has_back() {
                model.backends[backend as usize].error_files = error_files;
            }
            rules.captures = self.captures(proxy, captures.take(), rules.inspect_delay_ms);
            rules.asks = asks.get();
            let rules = Arc::new(rules);
            if proxy.has_front() {
                model.frontends[frontend as usize].rules = Arc::clone(&rules);
                frontend += 1;
            }
            if proxy.has_back() {
                let own = &mut model.backends[backend as usize];
                own.balance_key = self.balance_key(proxy, &scope);
                self.server_fields(proxy, &scope, own);
                own.rules = rules;
                backend += 1;
            }
        }
        let reach = Reach {
            names: &names,
            lists: &lists,
            http_errors,
        };
        self.check_steps(draft, &reach, model);
        self.store.certificates = names.certificates.take();
        lists.number();
        self.findings.extend(unread(&lists));
        model.lists = Arc::new(lists);
        remember_servers(model);
    }

    /// The slots of a proxy. Those that a backend's rules fill are its frontends'.
    fn captures(
        &mut self,
        proxy: &ProxyDraft,
        draft: capture::Draft,
        inspect_delay_ms: Option<u64>,
    ) -> Captures {
        if proxy.has_front() {
            self.findings.extend(draft.missing());
            for span in draft.hasty.iter().filter(|_| inspect_delay_ms.is_none()) {
                let message = "this keeps or tracks what may not have come yet".to_owned();
                self.warn(*span, message, "add 'tcp-request inspect-delay 5s'");
            }
        }
        self.findings.extend(draft.warnings);
        draft.captures
    }

    /// What belongs to no proxy: `set-var` and `set-var-fmt` of the global section, and log profiles.
    fn loners(
        &mut self,
        names: &Names,
        lists: &Lists,
        http_errors: &HashMap<String, Vec<ErrorFile>>,
    ) -> (Vec<(Name, Initial)>, Profiles) {
        let drafts = std::mem::take(&mut self.variables);
        let (captures, asks) = (RefCell::default(), Cell::default());
        let scope = Scope {
            captures: &captures,
            asks: &asks,
            environment: self.context.environment,
            http_errors,
            files: self.context.files,
            names,
            lists,
            acls: None,
            limits: &[],
            any_time: false,
            chooses: false,
            phase: Phase::Command,
            mode: Mode::Tcp,
            frontend: None,
            backend: None,
            proxy: None,
        };
        let mut variables = Vec::new();
        for draft in &drafts {
            match read_variable(draft, &scope) {
                Ok(variable) => variables.push(variable),
                Err(error) => self.findings.push(error),
            }
        }
        let scope = Scope {
            mode: Mode::Http,
            ..scope
        };
        let profiles = std::mem::take(&mut self.profiles);
        (variables, self.log_profiles(&profiles, &scope))
    }

    /// The formats of `set-proxy-v2-tlv-fmt`. Servers stand in the order of their drafts, several for a template.
    fn proxy_fields(&mut self, proxy: &ProxyDraft, scope: &Scope<'_>, backend: &mut Backend) {
        let mut servers = backend.servers.iter_mut();
        let scope = scope.at(match proxy.settings.mode {
            Mode::Http => Phase::Request,
            Mode::Tcp => Phase::RequestContent,
        });
        for draft in &proxy.servers {
            let mut fields = Vec::new();
            for (number, word) in &draft.proxy_fields {
                let read = match word {
                    Some(word) => log_format::read(word, Encoding::Raw, &scope),
                    None => Ok(log_format::Format::default()),
                };
                match read {
                    Ok(format) => fields.push((*number, Arc::new(format))),
                    Err(error) => self.findings.push(error),
                }
            }
            for server in servers.by_ref().take(server_names(draft).len()) {
                server.proxy_fields.clone_from(&fields);
            }
        }
    }

    /// The expression of `balance hash`.
    fn balance_key(&mut self, proxy: &ProxyDraft, scope: &Scope<'_>) -> Option<Expression> {
        let BalanceSpec::Hash { expression } = &proxy.settings.back.balance else {
            return None;
        };
        let span = proxy.settings.balance.unwrap_or(proxy.span);
        let read = expression::parse_text(expression, span, scope).and_then(|expression| {
            expression::check_phase(&expression, span, scope)?;
            Ok(expression)
        });
        read.map_err(|error| self.findings.push(error)).ok()
    }

    /// What server lines leave to the rule language.
    fn server_fields(&mut self, proxy: &ProxyDraft, scope: &Scope<'_>, backend: &mut Backend) {
        self.server_names(backend, scope);
        self.proxy_fields(proxy, scope, backend);
    }

    /// The expressions behind `sni` and `pool-conn-name` of a backend's servers.
    fn server_names(&mut self, backend: &mut Backend, scope: &Scope<'_>) {
        let scope = Scope {
            phase: Phase::Connect,
            ..*scope
        };
        for server in &mut backend.servers {
            for tls in server.all_tls_mut() {
                if let ServerName::Expression(written) = &tls.name
                    && let Some(name) = self.name(written, &scope)
                {
                    Arc::make_mut(tls).name = ServerName::Expression(name);
                }
            }
            if let Some(written) = &server.pool_name
                && let Some(name) = self.name(written, &scope)
            {
                server.pool_name = Some(name);
            }
        }
    }

    /// The expression that was written; `None`: it is wrong, and that is reported.
    fn name(&mut self, written: &NameExpression, scope: &Scope<'_>) -> Option<Arc<NameExpression>> {
        let mut known = self.name_expressions.iter();
        let place = known.find(|(text, _)| *text == written.text);
        let span = place.map_or(NOWHERE, |(_, span)| *span);
        let read = expression::parse_text(&written.text, span, scope).and_then(|read| {
            expression::check_phase(&read, span, scope)?;
            Ok(read)
        });
        match read {
            Ok(read) => Some(Arc::new(NameExpression {
                text: written.text.clone(),
                expression: Some(read),
            })),
            // The same line may have made several servers.
            Err(error) => {
                if self.told.insert(span) {
                    self.findings.push(error);
                }
                None
            }
        }
    }

    /// Where a line stands, for those who ask for rules by their places.
    pub(super) fn place(&mut self, span: Span) -> Place {
        let sources = self.context.sources;
        let file = self.file_names.entry(span.file).or_insert_with(|| {
            let path = sources.path(span.file);
            path.to_string_lossy().into()
        });
        Place {
            file: Arc::clone(file),
            line: sources.location(span.file, span.start).line,
        }
    }

    /// The rules of a proxy, and the ACLs that it names itself.
    fn proxy_rules(&mut self, proxy: &ProxyDraft, scope: &Scope<'_>) -> (Rules, Acls) {
        let mut rules = Rules {
            forwarded: self.forwarded(proxy, scope),
            ..Rules::default()
        };
        if proxy.settings.rules.is_empty() {
            return (rules, Acls::new());
        }
        let acls = self.acls(&proxy.settings.rules, scope);
        let limits = self.bandwidth_limits(proxy, scope);
        let turns = scope.mode == Mode::Tcp && turns_to_http(&proxy.settings.rules);
        if turns && proxy.has_back() && !proxy.servers.is_empty() {
            let message = "its servers cannot be used behind 'switch-mode http'";
            let help = "make it a frontend, with a backend in 'mode http'";
            self.warn(proxy.span, message.to_owned(), help);
        }
        let speaks_http = scope.mode == Mode::Http || turns;
        let none = Acls::new();
        for draft in proxy
            .settings
            .rules
            .iter()
            .filter(|rule| !matches!(rule.keyword, "acl" | "filter" | "filter-sequence"))
        {
            let inherited = draft.section != proxy.span;
            let mut reader = Reader {
                draft,
                args: Args::after(&draft.words, draft.line, draft.keyword_span.end),
                acls: acls.get(&draft.section).unwrap_or(&none),
                scope: Scope {
                    proxy: scope.proxy.filter(|_| !inherited),
                    acls: acls.get(&draft.section),
                    limits: &limits,
                    ..*scope
                },
                place: self.place(draft.line),
                speaks_http,
                warnings: Vec::new(),
            };
            let read = reader.read(&mut rules);
            if read.is_err() {
                reader.read_condition_only();
            }
            let warnings = reader.args.warnings();
            self.findings.extend(reader.warnings);
            self.findings.extend(warnings);
            self.findings.extend(read.err());
        }
        let page = proxy.settings.front.stats_page.as_ref();
        let asks = page.is_some_and(|page| !page.users.is_empty() || page.realm != REALM_DEFAULT);
        if asks && !rules.stats.is_empty() {
            let message = "'stats auth' and 'stats realm' cannot stand beside 'stats http-request'";
            let error = Diagnostic::error(Kind::Invalid, proxy.span, message);
            let help = "name the users in a userlist, and write 'stats http-request auth realm TEXT unless { http_auth(LIST) }'";
            self.findings.push(error.help(help));
        }
        let own = acls.get(&proxy.span).cloned().unwrap_or_default();
        let named = acls.into_values().flat_map(HashMap::into_values);
        rules.acls = named.collect();
        rules.acls.sort_by(|a, b| a.name.cmp(&b.name));
        (rules, own)
    }

    /// The ACLs of each section: those of `defaults` are visible to its own rules only.
    fn acls(&mut self, rules: &[RuleDraft], scope: &Scope<'_>) -> HashMap<Span, Acls> {
        let mut sections: HashMap<Span, Acls> = HashMap::new();
        for draft in rules.iter().filter(|rule| rule.keyword == "acl") {
            let mut args = Args::after(&draft.words, draft.line, draft.keyword_span.end);
            let section = sections.entry(draft.section).or_default();
            let read = read_acl(&mut args, section, scope);
            self.findings.extend(args.warnings());
            self.findings.extend(read.err());
        }
        sections
    }
}

/// Whether a TCP frontend has a rule for going on in HTTP (`switch-mode`), so that its rules for HTTP count.
pub(super) fn turns_to_http(rules: &[RuleDraft]) -> bool {
    rules.iter().any(|rule| {
        let first = rule.words.first().map(|word| word.text.as_str());
        rule.keyword == "tcp-request content" && first == Some("switch-mode")
    })
}

fn read_variable(draft: &VariableDraft, scope: &Scope<'_>) -> Result<(Name, Initial), Diagnostic> {
    let wrong = |message: String| Diagnostic::error(Kind::Invalid, draft.name.span, message);
    let name = Name::parse(&draft.name.text).map_err(wrong)?;
    if name.scope != variable::Scope::Process {
        let message = format!("'{}' is not a variable of the process", draft.name.text);
        return Err(wrong(message).help("write 'proc.NAME'"));
    }
    let value = match draft.is_format {
        true => Initial::Format(log_format::read(&draft.value, Encoding::Raw, scope)?),
        false => Initial::Expression(expression::parse(&draft.value, scope)?),
    };
    Ok((name, value))
}

fn read_acl(args: &mut Args<'_>, section: &mut Acls, scope: &Scope<'_>) -> Result<(), Diagnostic> {
    let name = args.word("the acl's name")?;
    crate::keyword::haproxy::check_name(name)?;
    if name.text.eq_ignore_ascii_case("or") {
        let message = "an acl called 'or' could never be used";
        return Err(Diagnostic::error(Kind::Invalid, name.span, message));
    }
    // Known from here on, so that a fault in this line is told once.
    section.entry(name.text.clone()).or_insert_with(|| {
        Arc::new(Acl {
            name: name.text.clone(),
            clauses: Vec::new(),
        })
    });
    let clause = {
        let above = Scope {
            acls: Some(section),
            ..*scope
        };
        acl::read_clause(args, &above)?
    };
    if let Some(acl) = section.get_mut(&name.text) {
        Arc::make_mut(acl).clauses.push(clause);
    }
    args.finish()
}

/// Tables in which `stick` lines remember servers keep their numbers and names, asked for or not.
fn remember_servers(model: &mut Model) {
    let rules = model.backends.iter().map(|backend| &backend.rules);
    let rules = rules.flat_map(|rules| rules.stick.iter().chain(&rules.stick_response));
    let tables: Vec<_> = rules.map(|rule| rule.table).collect();
    for id in tables {
        for data in [Data::ServerId, Data::ServerKey] {
            model.tables[id.0 as usize].store(DataSpec {
                data,
                elements: 1,
                period_ms: 0,
            });
        }
    }
}

/// Lists that rules change and nothing reads.
fn unread(lists: &Lists) -> impl Iterator<Item = Diagnostic> {
    let promises = lists.broken_promises().into_iter();
    promises.map(|(name, span)| {
        let message = format_args!("nothing reads '{name}', so that changing it does nothing");
        Diagnostic::warning(Kind::Reference, span, message)
    })
}

/// Over which times a table keeps the rates of bytes from clients and to them.
fn byte_rates(table: &TableSpec) -> (Option<u32>, Option<u32>) {
    let period = |data| table.stored(data).map(|stored| stored.period_ms);
    (period(Data::BytesInRate), period(Data::BytesOutRate))
}

pub(crate) fn known_names(model: &Model) -> Names {
    let frontends = model.frontends.iter().enumerate();
    let backends = model.backends.iter().enumerate();
    Names {
        frontends: frontends
            .map(|(index, frontend)| (frontend.name.clone(), FrontendId(index as u32)))
            .collect(),
        servers: backends
            .clone()
            .map(|(index, backend)| {
                let servers = backend.servers.iter().enumerate();
                let servers =
                    servers.map(|(index, server)| (server.name.clone(), ServerId(index as u32)));
                (BackendId(index as u32), servers.collect())
            })
            .collect(),
        tcp_backends: backends
            .clone()
            .filter(|(_, backend)| backend.mode == Mode::Tcp)
            .map(|(index, _)| BackendId(index as u32))
            .collect(),
        backends: backends
            .map(|(index, backend)| (backend.name.clone(), BackendId(index as u32)))
            .collect(),
        profiles: Profiles::new(),
        byte_rates: (0..)
            .map(TableId)
            .zip(model.tables.iter().map(byte_rates))
            .collect(),
        tables: (0..)
            .map(TableId)
            .zip(&model.tables)
            .map(|(id, table)| (table.name.clone(), (id, table.key)))
            .collect(),
        certificates: RefCell::new(model.store.certificates.clone()),
        stick_counters: model.global.tune.stick_counters,
        resolvers: (0..)
            .map(ResolversId)
            .zip(&model.resolvers)
            .map(|(id, section)| (section.name.clone(), id))
            .collect(),
        userlists: model
            .userlists
            .iter()
            .map(|list| (list.name.clone(), Arc::clone(list)))
            .collect(),
    }
}

/// Reads one line.
struct Reader<'a> {
    draft: &'a RuleDraft,
    args: Args<'a>,
    acls: &'a Acls,
    scope: Scope<'a>,
    place: Place,
    /// Rules for HTTP count: it is spoken here, or may come to be.
    speaks_http: bool,
    warnings: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn read(&mut self, rules: &mut Rules) -> Result<(), Diagnostic> {
        match self.draft.keyword {
            "http-after-response" => {
                let rule = self.rule(Phase::AfterResponse, actions::HTTP_AFTER_RESPONSE)?;
                self.http(&mut rules.after_response, rule);
            }
            "http-request" => {
                let rule = self.rule(Phase::Request, actions::HTTP_REQUEST)?;
                self.http(&mut rules.request, rule);
            }
            "http-response" => {
                let rule = self.rule(Phase::Response, actions::HTTP_RESPONSE)?;
                self.http(&mut rules.response, rule);
            }
            "redirect" => {
                let mut words = Words {
                    name: &self.draft.words[0],
                    args: &mut self.args,
                };
                let scope = self.scope.at(Phase::Request);
                let action = action::read_redirect(&mut words, &scope)?;
                let rule = self.conditional(action)?;
                self.http(&mut rules.redirect, rule);
            }
            "tcp-request connection" => {
                let rule = self.rule(Phase::Connection, actions::TCP_REQUEST_CONNECTION)?;
                rules.connection.push(rule);
            }
            "tcp-request content" => {
                let rule = self.rule(Phase::RequestContent, actions::TCP_REQUEST_CONTENT)?;
                rules.content.push(rule);
            }
            "tcp-request session" => {
                let rule = self.rule(Phase::Session, actions::TCP_REQUEST_SESSION)?;
                rules.session.push(rule);
            }
            "tcp-response content" => {
                let rule = self.rule(Phase::ResponseContent, actions::TCP_RESPONSE_CONTENT)?;
                rules.response_content.push(rule);
            }
            "tcp-request inspect-delay" => rules.inspect_delay_ms = Some(self.delay()?),
            "tcp-response inspect-delay" => rules.response_inspect_delay_ms = Some(self.delay()?),
            "stick match" => self.stick(&mut rules.stick, (true, false))?,
            "stick on" => self.stick(&mut rules.stick, (true, true))?,
            "stick store-request" => self.stick(&mut rules.stick, (false, true))?,
            "stick store-response" => {
                self.scope = self.scope.at(match self.scope.mode {
                    Mode::Http => Phase::Response,
                    Mode::Tcp => Phase::ResponseContent,
                });
                self.stick(&mut rules.stick_response, (false, true))?;
            }
            "use_backend" => {
                self.scope.chooses = true;
                let choice = self.use_backend()?;
                rules.use_backend.push(choice);
            }
            "force-be-switch" => {
                self.scope.chooses = true;
                let test = self.condition()?;
                rules.force_switch.extend(test);
            }
            "use-server" => {
                let choice = self.use_server()?;
                rules.use_server.push(choice);
            }
            _ => self.read_mark(rules)?,
        }
        finish(&mut self.args, self.draft.keyword).map(|note| self.warnings.extend(note))
    }

    /// Lines about what exchanges are marked with, and about those that leave no mark.
    fn read_mark(&mut self, rules: &mut Rules) -> Result<(), Diagnostic> {
        match self.draft.keyword {
            "capture" => {
                let is_cookie = self.args.peek().is_some_and(|word| word.text == "cookie");
                if is_cookie && !self.speaks_http {
                    self.without_http("capture cookie");
                }
                captures::read(&mut self.args, self.scope.captures)?;
            }
            "declare" => captures::declare(&mut self.args, self.scope.captures)?,
            "force-persist" => {
                let condition = self.required_condition()?;
                rules.persist.push((Persist::Force, condition));
            }
            "ignore-persist" => {
                let condition = self.required_condition()?;
                rules.persist.push((Persist::Ignore, condition));
            }
            "monitor fail" => {
                let condition = self.required_condition()?;
                rules.monitor_fail.push(condition);
            }
            "stats admin" => {
                let condition = self.required_condition()?;
                rules.stats_admin.push(condition);
            }
            "stats http-request" => {
                let rule = self.stats_rule()?;
                self.http(&mut rules.stats, rule);
            }
            "unique-id-format" => rules.unique_id = Some(Arc::new(self.unique_id()?)),
            _ => {}
        }
        Ok(())
    }

    /// A rule that says who may see the statistics page.
    fn stats_rule(&mut self) -> Result<Rule, Diagnostic> {
        if let Some(name) = self.args.peek() {
            let known = &[STATS_ACTIONS];
            names::check(
                &name.text,
                name.span,
                "an action of this kind of rule",
                known,
            )?;
        }
        self.scope.proxy = Some(REALM_DEFAULT);
        self.rule(Phase::Request, STATS_ACTIONS)
    }

    /// Keeps a rule of HTTP, unless the proxy relays bytes.
    fn http(&mut self, rules: &mut Vec<Rule>, rule: Rule) {
        if self.speaks_http {
            rules.push(rule);
            return;
        }
        self.without_http(self.draft.keyword);
    }

    /// Tells of a line that is about messages of HTTP, where there are none.
    fn without_http(&mut self, name: &str) {
        let message = format_args!("'{name}' has no effect in TCP mode");
        let warning = Diagnostic::warning(Kind::NoEffect, self.draft.keyword_span, message);
        self.warnings
            .push(warning.help("write 'mode http', or 'tcp-request content switch-mode http'"));
    }

    /// A `stick` line, which looks for a server, remembers it, or does both.
    fn stick(
        &mut self,
        rules: &mut Vec<StickRule>,
        (matches, stores): (bool, bool),
    ) -> Result<(), Diagnostic> {
        let word = self.args.word("what to know a client by")?;
        let expression = expression::parse(word, &self.scope)?;
        let name = if self.args.take("table") {
            Some(self.args.word("the name of a stick table")?)
        } else {
            None
        };
        let span = name.map_or(self.draft.keyword_span, |name| name.span);
        let name = name.map(|name| name.text.as_str());
        let (table, key) = self.scope.table(name, span)?;
        if !expression.output().casts_to(castable(key)) {
            let (have, want) = (expression.output().name(), key.name());
            let message = format_args!("a value of type {have} cannot be a key of type {want}");
            return Err(Diagnostic::error(Kind::Invalid, word.span, message));
        }
        rules.push(StickRule {
            matches,
            stores,
            expression,
            table,
            key,
            condition: self.condition()?,
        });
        Ok(())
    }

    fn delay(&mut self) -> Result<u64, Diagnostic> {
        let delay = self.args.duration("a time", TimeUnit::Milliseconds)?;
        Ok(delay.as_millis() as u64)
    }

    fn unique_id(&mut self) -> Result<log_format::Format, Diagnostic> {
        let word = self.args.word("a format")?;
        // It is made when the frontend's rules have run, or when it is asked for before.
        let phase = match self.scope.mode {
            Mode::Http => Phase::Request,
            Mode::Tcp => Phase::RequestContent,
        };
        let format = log_format::read(word, Encoding::Name, &self.scope.at(phase))?;
        if format.asks_unique_id() {
            let message = "the name of a request cannot be made of itself";
            return Err(Diagnostic::error(Kind::Invalid, word.span, message));
        }
        Ok(format)
    }

    fn required_condition(&mut self) -> Result<Condition, Diagnostic> {
        let condition = self.condition()?;
        condition.ok_or_else(|| {
            let place = self.args.end();
            let error = Diagnostic::error(Kind::Invalid, place, "the condition is missing");
            error.help("write 'if CONDITION'")
        })
    }

    /// An action, its words, and a condition.
    fn rule(&mut self, phase: Phase, known: &[&'static str]) -> Result<Rule, Diagnostic> {
        let scope = self.scope.at(phase);
        self.scope = scope;
        let name = self.args.word("an action")?;
        let Some(row) = action::find(&name.text, phase) else {
            let bare = name.text.split('(').next().unwrap_or_default();
            let bare = bare.trim_end_matches(|character: char| character.is_ascii_digit());
            names::check(bare, name.span, "an action of this kind of rule", &[known])?;
            let what = format!("'{} {bare}'", self.draft.keyword);
            return Err(not_yet(what, self.draft.keyword_span.to(name.span)));
        };
        let mut words = Words {
            name,
            args: &mut self.args,
        };
        let action = (row.read)(&mut words, &scope)?;
        let rule = self.conditional(action)?;
        self.judge_tracking(&rule);
        Ok(rule)
    }

    /// The rule of an action and the condition that follows.
    fn conditional(&mut self, action: Box<dyn Action>) -> Result<Rule, Diagnostic> {
        let condition = self.condition()?;
        if self.draft.keyword != "redirect" {
            self.look_for_bytes(condition.as_ref());
        }
        let words = self.draft.words.iter().map(|word| word.text.as_str());
        let words = words.take_while(|word| !matches!(*word, "if" | "unless"));
        let text = words.fold(self.draft.keyword.to_owned(), |text, word| {
            text + " " + word
        });
        Ok(Rule::new(&text, condition, action, self.place.clone()))
    }

    fn condition(&mut self) -> Result<Option<Condition>, Diagnostic> {
        let condition = acl::read_condition(&mut self.args, self.acls, &self.scope)?;
        for clause in condition.iter().flat_map(Condition::clauses) {
            let needs = clause.expression.needs();
            if !self.scope.lacks(needs) {
                continue;
            }
            let outcome = match needs {
                Needs::Backend => "so that nothing can be told from it",
                _ => "so that it never matches",
            };
            let message = format_args!(
                "'{}' looks at {}, which is not available here, {outcome}",
                clause.expression.text(),
                needs.noun()
            );
            let span = self.draft.line;
            self.warnings
                .push(Diagnostic::warning(Kind::NoEffect, span, message));
        }
        Ok(condition)
    }

    /// Tells of a rule that comes only with a request, and tracks what is known of each connection.
    fn judge_tracking(&mut self, rule: &Rule) {
        let late = std::mem::take(&mut self.scope.captures.borrow_mut().late);
        if self.scope.mode != Mode::Http || self.scope.frontend.is_none() {
            return;
        }
        let mut clauses = rule.condition.iter().flat_map(Condition::clauses);
        if clauses.any(|clause| !clause.expression.needs().met_at(Phase::Session)) {
            return;
        }
        for span in late {
            let message = "this does not see requests that are none, nor connections without one";
            let warning = Diagnostic::warning(Kind::Advice, span, message);
            self.warnings
                .push(warning.help("write 'tcp-request session track-sc…'"));
        }
    }

    /// Tells of samples that look below HTTP, where HTTP is spoken.
    fn look_for_bytes(&mut self, condition: Option<&Condition>) {
        if self.scope.mode != Mode::Http {
            return;
        }
        let clauses = condition.into_iter().flat_map(Condition::clauses);
        let mut samples = clauses.map(|clause| &clause.expression);
        if let Some(sample) = samples.find(|sample| sample.needs().is_bytes()) {
            let message = sample.below_http();
            let span = self.draft.line;
            self.warnings
                .push(Diagnostic::warning(Kind::NoEffect, span, message));
        }
    }

    /// Tells what is wrong with the condition of a line that is lost already.
    fn read_condition_only(&mut self) {
        while self.args.peek().is_some_and(|word| !acl::begins(word)) {
            self.args.next();
        }
        if let Err(fault) = self.condition() {
            self.args.warn(fault);
        }
    }

    fn use_backend(&mut self) -> Result<Choice<BackendTarget>, Diagnostic> {
        let name = self.args.word("the name of a backend")?;
        let format = log_format::read(name, Encoding::Raw, &self.scope)?;
        let target = match format.as_literal() {
            Some(_) => BackendTarget::Known(self.backend(&name.text, name.span)?),
            None => BackendTarget::Named(format),
        };
        if let BackendTarget::Known(id) = &target
            && self.scope.mode == Mode::Http
            && self.scope.names.tcp_backends.contains(id)
        {
            let message = format_args!("HTTP cannot be sent to the TCP backend '{}'", name.text);
            let error = Diagnostic::error(Kind::Invalid, name.span, message);
            return Err(error.help("give both the same mode"));
        }
        let condition = self.condition()?;
        self.look_for_bytes(condition.as_ref());
        Ok(Choice {
            target,
            condition,
            place: self.place.clone(),
        })
    }

    fn backend(&self, name: &str, span: Span) -> Result<BackendId, Diagnostic> {
        let known = &self.scope.names.backends;
        known.get(name).copied().ok_or_else(|| {
            let message = format_args!("no backend is called '{name}'");
            let error = Diagnostic::error(Kind::Reference, span, message);
            match nearest(name, known.keys().map(String::as_str)) {
                Some(near) => error.help(format_args!("did you mean '{near}'?")),
                None => error.help(format_args!("add 'backend {name}'")),
            }
        })
    }

    fn use_server(&mut self) -> Result<Choice<ServerTarget>, Diagnostic> {
        let name = self.args.word("the name of a server")?;
        let format = log_format::read(name, Encoding::Raw, &self.scope)?;
        let target = match format.as_literal() {
            Some(_) => ServerTarget::Known(self.scope.server(&name.text, name.span)?.1),
            None => ServerTarget::Named(format),
        };
        let condition = Some(self.required_condition()?);
        Ok(Choice {
            target,
            condition,
            place: self.place.clone(),
        })
    }
}
