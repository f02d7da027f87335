//! What a configuration says, before it is known what it means.
//!
//! Keyword rows fill a [`Draft`] line by line; names stand here as they were written, with their spans, and each
//! proxy already carries what its `defaults` section gave it. What is absent: ids, addresses of named hosts, the
//! content of files. `resolve` adds them and makes the model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use plimsoll_config::args::Word;
use plimsoll_config::diagnostic::{DIAGNOSTICS_MAX, Diagnostic, Kind, Severity, Span};

use crate::cookie::CookieSpec;
use crate::keyword::Sections;
use crate::keyword::haproxy::acme::AcmeDraft;
use crate::keyword::haproxy::{
    CertificateUse, ChecksDraft, GlobalTlsDraft, ServerChecksDraft, TlsDraft,
};
use crate::log::Step;
use crate::model::names::{NameServer, Resolvers};
use crate::model::source::Foreign;
use crate::model::{
    Backend, Bind, ForwardFor, Frontend, Global, LogAddress, LogTarget, Mode, Network, Server,
};
use crate::stick_table::TableSpec;
use crate::users::Password;

/// Something written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

impl<T> Spanned<T> {
    pub(crate) fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// Whether a line stood alone or behind `no` or `default`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Polarity {
    #[default]
    Plain,
    No,
    Default,
}

impl Polarity {
    /// The value an on/off option gets.
    pub(crate) fn switch(self) -> bool {
        self == Self::Plain
    }
}

/// Most proxies, `defaults` sections included; a configuration beyond it is refused.
pub(crate) const PROXIES_MAX: usize = 100_000;

/// What there is to say about a configuration. Of errors and of others, each is kept up to [`DIAGNOSTICS_MAX`], so that
/// a thousand notes cannot hide an error.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    kept: Vec<Diagnostic>,
    errors: usize,
    others: usize,
    /// What was not kept, others and errors: how much, and where the first of it was.
    omitted: [Option<(usize, Span)>; 2],
}

impl Findings {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let grave = diagnostic.severity == Severity::Error;
        let kept = if grave {
            &mut self.errors
        } else {
            &mut self.others
        };
        if *kept < DIAGNOSTICS_MAX {
            *kept += 1;
            self.kept.push(diagnostic);
            return;
        }
        let (count, _) = self.omitted[usize::from(grave)].get_or_insert((0, diagnostic.span));
        *count += 1;
    }

    pub(crate) fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        for diagnostic in diagnostics {
            self.push(diagnostic);
        }
    }

    /// How many errors are kept.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// Whether no further error is kept, so that there is no use in looking for more.
    pub(crate) fn is_full(&self) -> bool {
        self.errors >= DIAGNOSTICS_MAX
    }

    /// How many warnings are kept.
    pub(crate) fn warnings(&self) -> usize {
        let warning = |problem: &&Diagnostic| problem.severity == Severity::Warning;
        self.kept.iter().filter(warning).count()
    }

    /// Everything in the order of the text; what was not kept is counted.
    pub(crate) fn into_vec(self) -> Vec<Diagnostic> {
        let mut all = self.kept;
        let [others, errors] = self.omitted;
        if let Some((count, span)) = errors {
            let message = format_args!("{count} more errors are not shown");
            all.push(Diagnostic::error(Kind::Advice, span, message));
        }
        if let Some((count, span)) = others {
            let message = format_args!("{count} more remarks are not shown");
            all.push(Diagnostic::note(Kind::Advice, span, message));
        }
        all.sort_by_key(|problem| (problem.span.file, problem.span.start));
        all
    }
}

/// A whole configuration as written.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) global: GlobalDraft,
    pub(crate) proxies: Vec<ProxyDraft>,
    pub(crate) defaults: Vec<ProxyDraft>,
    /// The last `defaults` section of each name.
    pub(crate) defaults_by_name: BTreeMap<String, usize>,
    pub(crate) peers: Vec<PeersDraft>,
    pub(crate) resolvers: Vec<ResolversDraft>,
    pub(crate) userlists: Vec<UserlistDraft>,
    pub(crate) log_profiles: Vec<LogProfileDraft>,
    pub(crate) acme: Vec<AcmeDraft>,
    /// `http-errors` sections: proxies that have nothing but answers to errors.
    pub(crate) http_errors: Vec<ProxyDraft>,
    /// `healthcheck` sections: proxies that have nothing but a check.
    pub(crate) healthchecks: Vec<ProxyDraft>,
    /// The section being read, or nothing.
    pub(crate) section: Option<Sections>,
    /// A line above looks like the head of a section whose name is misspelt: what follows belongs to that one.
    pub(crate) is_astray: bool,
    pub(crate) polarity: Polarity,
    /// Where the keyword of the line being read stands.
    pub(crate) keyword: Span,
    /// The keyword itself.
    pub(crate) name: &'static str,
    /// The whole line being read.
    pub(crate) line: Span,
    pub(crate) findings: Findings,
    /// Lines of the section being read that set something once.
    pub(crate) seen: BTreeMap<&'static str, Span>,
    /// What was said of deferred words on server lines, to be said once.
    pub(crate) told: BTreeSet<String>,
}

impl Draft {
    /// Says something about the configuration.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.findings.push(diagnostic);
    }

    /// The proxy or `defaults` section being read. Lines of proxies are only read inside one.
    pub(crate) fn proxy(&mut self) -> &mut ProxyDraft {
        let list = match self.section {
            Some(section) if section.meets(Sections::DEFAULTS) => &mut self.defaults,
            Some(section) if section.meets(Sections::HTTP_ERRORS) => &mut self.http_errors,
            Some(section) if section.meets(Sections::HEALTHCHECK) => &mut self.healthchecks,
            _ => &mut self.proxies,
        };
        if list.is_empty() {
            list.push(ProxyDraft::default());
        }
        let last = list.len() - 1;
        &mut list[last]
    }

    /// The inheritable settings of [`Draft::proxy`].
    pub(crate) fn settings(&mut self) -> &mut Settings {
        &mut self.proxy().settings
    }

    /// Whether the section being read has a front half; `defaults` has both.
    pub(crate) fn has_front(&self) -> bool {
        self.section
            .is_some_and(|section| section.meets(Sections::FRONT))
    }

    /// Notes that `name` is set on this line, and returns the line of this section that set it before.
    pub(crate) fn again(&mut self, name: &'static str) -> Option<Span> {
        self.seen.insert(name, self.line)
    }
}

/// `global` sections; those of several files add up.
#[derive(Debug, Default)]
pub(crate) struct GlobalDraft {
    /// What needs no further resolution.
    pub(crate) model: Global,
    pub(crate) user: Option<Spanned<String>>,
    pub(crate) group: Option<Spanned<String>>,
    pub(crate) logs: Vec<LogDraft>,
    pub(crate) stats_sockets: Vec<BindDraft>,
    pub(crate) unix_bind: UnixDraft,
    pub(crate) tls: GlobalTlsDraft,
    /// `set-var`, `set-var-fmt`.
    pub(crate) variables: Vec<VariableDraft>,
    /// `h1-case-adjust`: names in lower case, and as they are to be written.
    pub(crate) spellings: Vec<(Word, Word)>,
    /// `h1-case-adjust-file`.
    pub(crate) spelling_file: Option<Spanned<String>>,
    /// `server-state-base`, `server-state-file`.
    pub(crate) states_base: Option<PathBuf>,
    pub(crate) states_file: Option<String>,
    /// `external-check`: checks may run programs; `preserve-env`: with our environment.
    pub(crate) external_checks: bool,
    pub(crate) external_environment: bool,
    /// `zero-warning`: a warning keeps the configuration from being loaded.
    pub(crate) zero_warning: bool,
}

/// A variable that the process begins with.
#[derive(Clone, Debug)]
pub(crate) struct VariableDraft {
    pub(crate) name: Word,
    pub(crate) value: Word,
    /// The value is a format rather than an expression.
    pub(crate) is_format: bool,
}

/// Owner and permissions of a unix socket, as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnixDraft {
    /// What the paths of sockets begin with.
    pub(crate) prefix: String,
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) user: Option<Spanned<String>>,
    pub(crate) group: Option<Spanned<String>>,
}

/// A proxy or a `defaults` section.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxyDraft {
    /// Which halves it has; nothing but [`Sections::DEFAULTS`] for `defaults`.
    pub(crate) kind: Option<Sections>,
    /// Empty for anonymous `defaults`.
    pub(crate) name: String,
    /// The section's name, or its keyword where it has none.
    pub(crate) span: Span,
    pub(crate) id: Option<Spanned<u32>>,
    pub(crate) guid: Option<Spanned<String>>,
    pub(crate) description: Option<String>,
    pub(crate) settings: Settings,
    pub(crate) binds: Vec<BindDraft>,
    /// `ssl-f-use`: certificates of all binds that speak TLS.
    pub(crate) certificates: Vec<CertificateUse>,
    /// Whether there is a `bind` line, even one that could not be read.
    pub(crate) bound: bool,
    pub(crate) servers: Vec<ServerDraft>,
    /// `use_backend NAME` without a condition.
    pub(crate) use_backend: Option<Spanned<String>>,
    /// Its stick table.
    pub(crate) table: Option<Spanned<TableSpec>>,
    /// For `defaults`: a section has named it in `from`; one has taken it for being the latest.
    pub(crate) referenced: bool,
    /// For `defaults` with rules: the kind of sections that inherit them.
    pub(crate) rules_for: Option<Sections>,
    pub(crate) inherited: bool,
}

impl ProxyDraft {
    pub(crate) fn has_front(&self) -> bool {
        self.kind
            .is_some_and(|kind| kind.meets(Sections::OWN_FRONT))
    }

    pub(crate) fn has_back(&self) -> bool {
        self.kind.is_some_and(|kind| kind.meets(Sections::OWN_BACK))
    }

    /// `frontend` and so on, for messages.
    pub(crate) fn noun(&self) -> &'static str {
        self.kind
            .and_then(|kind| kind.names().into_iter().next())
            .unwrap_or("proxy")
    }
}

/// A `resolvers` section.
#[derive(Clone, Debug)]
pub(crate) struct ResolversDraft {
    /// All but the servers.
    pub(crate) model: Resolvers,
    pub(crate) span: Span,
    pub(crate) servers: Vec<NameServerDraft>,
}

impl Default for ResolversDraft {
    fn default() -> Self {
        Self {
            model: Resolvers::new(""),
            span: Span::default(),
            servers: Vec::new(),
        }
    }
}

/// Who is to be asked for addresses.
#[derive(Clone, Debug)]
pub(crate) enum NameServerDraft {
    Written(NameServer),
    /// Those of the system (`parse-resolv-conf`), as a line there says.
    System(Span),
}

/// `resolve-opts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResolveOptions {
    pub(crate) allow_duplicates: bool,
    pub(crate) ignore_weight: bool,
}

/// A `userlist` section.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserlistDraft {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) users: Vec<UserDraft>,
    pub(crate) groups: Vec<GroupDraft>,
}

#[derive(Clone, Debug)]
pub(crate) struct UserDraft {
    pub(crate) name: String,
    pub(crate) password: Option<Password>,
    pub(crate) groups: Vec<Spanned<String>>,
}

#[derive(Clone, Debug)]
pub(crate) struct GroupDraft {
    pub(crate) name: String,
    pub(crate) users: Vec<Spanned<String>>,
}

/// A `peers` section.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeersDraft {
    pub(crate) name: String,
    pub(crate) span: Span,
    /// Tables, under their full names.
    pub(crate) tables: Vec<Spanned<TableSpec>>,
    /// Names of peers, this machine among them.
    pub(crate) members: Vec<Spanned<String>>,
    pub(crate) disabled: bool,
}

/// What a proxy inherits from `defaults`. The two halves are templates: what a line sets is set there, and
/// resolution fills in names, ids, members and logs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    /// Whether a line says so.
    pub(crate) has_mode: bool,
    pub(crate) disabled: bool,
    pub(crate) front: Frontend,
    pub(crate) back: Backend,
    pub(crate) default_backend: Option<Spanned<String>>,
    pub(crate) default_server: ServerDraft,
    /// `default-server name NAME`.
    pub(crate) named_servers: BTreeMap<String, ServerDraft>,
    pub(crate) logs: Vec<LogDraft>,
    pub(crate) log_format: Option<Spanned<LogFormatDraft>>,
    /// `log-format-sd`, `error-log-format`.
    pub(crate) log_structured: Option<Word>,
    pub(crate) error_log_format: Option<Word>,
    pub(crate) log_tag: Option<String>,
    pub(crate) cookie: CookieDraft,
    pub(crate) error_files: Vec<ErrorFileDraft>,
    /// Lines of the rule language, those of `defaults` first.
    pub(crate) rules: Vec<RuleDraft>,
    /// Words that say nothing in TCP mode, and where they stand.
    pub(crate) http_words: Vec<(&'static str, Span)>,
    pub(crate) forward_for: Option<ForwardFor>,
    pub(crate) original_to: Option<ForwardFor>,
    /// `option forwarded`, read when all names are known.
    pub(crate) forwarded: Option<RuleDraft>,
    pub(crate) checks: ChecksDraft,
    /// `load-server-state-from-file`, `server-state-file-name`.
    pub(crate) states: StateSource,
    pub(crate) states_file: Option<String>,
    /// `option abortonclose`; where nothing is said, the mode decides.
    pub(crate) abort_on_close: Option<bool>,
    pub(crate) source: Option<SourceDraft>,
    /// Where `balance` stands, for warnings about its mode.
    pub(crate) balance: Option<Span>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Tcp,
            has_mode: false,
            disabled: false,
            front: Frontend::default(),
            back: Backend {
                retries: 3,
                ..Backend::default()
            },
            default_backend: None,
            default_server: ServerDraft::default(),
            named_servers: BTreeMap::new(),
            logs: Vec::new(),
            log_format: None,
            log_structured: None,
            error_log_format: None,
            log_tag: None,
            cookie: CookieDraft::default(),
            error_files: Vec::new(),
            rules: Vec::new(),
            http_words: Vec::new(),
            forward_for: None,
            original_to: None,
            forwarded: None,
            checks: ChecksDraft::default(),
            states: StateSource::Nowhere,
            states_file: None,
            abort_on_close: None,
            source: None,
            balance: None,
        }
    }
}

/// Where states of servers come from at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateSource {
    Nowhere,
    /// From the file of the process.
    Global,
    /// From a file of its own.
    Local,
}

/// `cookie` and `dynamic-cookie-key`.
#[derive(Clone, Debug, Default)]
pub(crate) struct CookieDraft {
    pub(crate) spec: Option<CookieSpec>,
    pub(crate) key: Option<String>,
}

/// The option that chose the log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogFormatDraft {
    Tcp {
        clf: bool,
    },
    Http {
        clf: bool,
    },
    Https,
    /// `log-format`.
    Custom(Word),
}

/// A `log-profile` section.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogProfileDraft {
    pub(crate) name: String,
    pub(crate) tag: Option<String>,
    pub(crate) steps: Vec<(Step, LogStepDraft)>,
}

/// What a profile says of a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogStepDraft {
    pub(crate) drops: bool,
    pub(crate) format: Option<Word>,
    pub(crate) structured: Option<Word>,
}

/// A `log` line.
#[derive(Clone, Debug)]
pub(crate) enum LogDraft {
    /// `log global`.
    Global,
    Target {
        target: LogTarget,
        /// Where it is, when it has a host that may be a name; the address of `target` is a placeholder then.
        host: Option<AddressDraft>,
        /// Whether the line says `format`; without it, what `global` says decides.
        has_format: bool,
        /// The name of a log profile.
        profile: Option<Spanned<String>>,
    },
}

impl LogDraft {
    /// What stands in a target whose address waits for resolution.
    pub(crate) fn placeholder() -> LogAddress {
        LogAddress::Descriptor(-1)
    }
}

/// A line of the rule language, read when all names are known.
#[derive(Clone, Debug)]
pub(crate) struct RuleDraft {
    /// The keyword, such as `http-request`.
    pub(crate) keyword: &'static str,
    pub(crate) keyword_span: Span,
    /// What follows the keyword.
    pub(crate) words: Vec<Word>,
    pub(crate) line: Span,
    /// The section it stands in: its conditions are looked for there.
    pub(crate) section: Span,
}

/// An `errorfile`, `errorfiles`, `errorloc` or `http-error` line.
#[derive(Clone, Debug)]
pub(crate) struct ErrorFileDraft {
    /// `None`: the answer says for which.
    pub(crate) status: Option<u16>,
    pub(crate) answer: ErrorAnswerDraft,
}

/// What answers an error.
#[derive(Clone, Debug)]
pub(crate) enum ErrorAnswerDraft {
    File(Spanned<String>),
    Location {
        code: u16,
        url: String,
    },
    /// Those of an `http-errors` section; no statuses: all.
    Section {
        name: Spanned<String>,
        statuses: Vec<u16>,
    },
    Composed(RuleDraft),
}

/// An address whose host may still be a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressDraft {
    pub(crate) host: HostDraft,
    pub(crate) port: u16,
    pub(crate) span: Span,
}

/// `source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceDraft {
    pub(crate) address: AddressDraft,
    /// The last of a range of ports.
    pub(crate) last_port: Option<u16>,
    pub(crate) interface: Option<String>,
    pub(crate) foreign: Option<ForeignDraft>,
}

/// `usesrc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ForeignDraft {
    Known(Foreign),
    Address(AddressDraft),
}

/// The host part of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostDraft {
    Ip(std::net::IpAddr),
    /// A name, and the family it must resolve to.
    Name(String, Family),
}

/// Which addresses of a named host are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Family {
    #[default]
    Any,
    V4,
    V6,
}

/// A listening address as written.
#[derive(Clone, Debug)]
pub(crate) enum ListenDraft {
    /// Ports from the address's own to `last_port`.
    Inet {
        address: AddressDraft,
        last_port: u16,
    },
    Other(crate::model::BindAddress),
}

/// A `bind` or `stats socket` line.
#[derive(Clone, Debug)]
pub(crate) struct BindDraft {
    /// The whole line; nothing where there is none.
    pub(crate) line: Option<Span>,
    pub(crate) addresses: Vec<ListenDraft>,
    /// Options; the address is a placeholder.
    pub(crate) model: Bind,
    pub(crate) unix: UnixDraft,
    pub(crate) id: Option<Spanned<u32>>,
    pub(crate) tls: TlsDraft,
    /// What the options had to say.
    pub(crate) remarks: Vec<Diagnostic>,
}

/// A `server`, `server-template` or `default-server` line.
#[derive(Clone, Debug)]
pub(crate) struct ServerDraft {
    /// Options; name, number and address are filled in by resolution.
    pub(crate) model: Server,
    pub(crate) id: Option<Spanned<u32>>,
    pub(crate) address: ServerAddressDraft,
    pub(crate) source: Option<SourceDraft>,
    /// `socks4`.
    pub(crate) socks: Option<AddressDraft>,
    pub(crate) checks: ServerChecksDraft,
    pub(crate) tls: TlsDraft,
    /// `init-addr`: how a named host gets its first address; empty: as by default, the last one, then the resolver.
    pub(crate) init_addr: Vec<InitAddr>,
    /// `resolve-prefer`.
    pub(crate) prefer: Family,
    /// `resolvers`, `resolve-net`, `resolve-opts`.
    pub(crate) resolvers: Option<Spanned<String>>,
    pub(crate) resolve_networks: Vec<Network>,
    pub(crate) resolve_options: ResolveOptions,
    /// `pool-conn-name`.
    pub(crate) pool_name: Option<Spanned<String>>,
    /// `set-proxy-v2-tlv-fmt`: types of fields, and the formats of their values.
    pub(crate) proxy_fields: Vec<(u8, Option<Word>)>,
    /// Where its name stands.
    pub(crate) name_span: Span,
    /// `server-template`: first and last number of the servers it stands for.
    pub(crate) template: Option<(u32, u32)>,
    /// Of a `default-server`: the options as written, for servers that are added at run time.
    pub(crate) written: Vec<String>,
}

impl Default for ServerDraft {
    fn default() -> Self {
        let nowhere = crate::model::ServerAddress::Abstract(String::new());
        Self {
            model: Server::new("", nowhere),
            id: None,
            address: ServerAddressDraft::None,
            source: None,
            socks: None,
            checks: ServerChecksDraft::default(),
            tls: TlsDraft::default(),
            init_addr: Vec::new(),
            prefer: Family::Any,
            resolvers: None,
            resolve_networks: Vec::new(),
            resolve_options: ResolveOptions::default(),
            pool_name: None,
            proxy_fields: Vec::new(),
            name_span: Span::default(),
            template: None,
            written: Vec::new(),
        }
    }
}

/// Where a server listens, as written.
#[derive(Clone, Debug, Default)]
pub(crate) enum ServerAddressDraft {
    /// `default-server` has none.
    #[default]
    None,
    Inet {
        host: HostDraft,
        port: crate::model::ServerPort,
        span: Span,
    },
    Other(crate::model::ServerAddress),
}

/// One way of finding the first address of a named server (`init-addr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InitAddr {
    /// From a state file, which there is none of.
    Last,
    /// From the system's resolver.
    Libc,
    /// Start without one.
    None,
    Ip(std::net::IpAddr),
}
