//! `global` sections: the process, its limits, its identity, its command sockets.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::tls::VERIFY_SERVER;
use super::value;
use super::{bind, log};
use crate::command::read_share;
use crate::draft::{Draft, Polarity, Spanned, VariableDraft};
use crate::jwe::Allowed;
use crate::keyword::{Keyword, Sections, Status};
use crate::model::CAPABILITIES;
use crate::model::status_codes::StatusCodes;

const GLOBAL: Sections = Sections::GLOBAL;

const ENVIRONMENT: &str =
    "Changes the variables that later lines see; the grammar does this while it reads.";
const ONE_PROCESS: &str = "there is one process with a worker thread per core";
const POLLER: &str = "there is one poller, epoll";
const DEBUGGING: &str = "it only serves to debug HAProxy itself";
const NO_COMPRESSION: &str = "nothing is compressed in this version";

/// Words of `global`, but for `tune.*`.
pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "acme.scheduler",
        GLOBAL,
        "auto|off",
        "Whether certificates of 'acme' sections are renewed by themselves.",
        |args, draft| {
            let known = [("auto", true), ("off", false)];
            let wanted = value::choice(args, "when certificates are renewed", &known)?;
            draft.global.model.acme_scheduler = wanted;
            Ok(())
        },
    ),
    noop(
        "anonkey",
        "NUMBER",
        "Key that hides names in dumps.",
        DEBUGGING,
    ),
    noop(
        "busy-polling",
        "",
        "Spins instead of sleeping.",
        "workers sleep when there is nothing to do",
    )
    .negatable(),
    Keyword::new(
        "chroot",
        GLOBAL,
        "DIRECTORY",
        "Confines the process to a directory.",
        |args, draft| {
            draft.global.model.chroot = Some(value::text(args, "a directory")?.into());
            Ok(())
        },
    ),
    noop(
        "close-spread-time",
        "TIME",
        "Spreads the closing of idle connections.",
        "idle connections close at once",
    ),
    later(
        "cluster-secret",
        "SECRET",
        "Secret shared by a cluster.",
        "QUIC and its tokens",
    ),
    noop(
        "cpu-affinity",
        "WORD...",
        "Binds threads to processors.",
        "the system's scheduler places the workers",
    ),
    noop(
        "cpu-map",
        "SET SET...",
        "Binds threads to processors.",
        "the system's scheduler places the workers",
    ),
    noop(
        "cpu-policy",
        "WORD...",
        "Chooses processors.",
        "the system's scheduler places the workers",
    ),
    noop(
        "cpu-set",
        "WORD WORD...",
        "Chooses processors.",
        "the system's scheduler places the workers",
    ),
    Keyword::switch(
        "daemon",
        GLOBAL,
        "Detaches from the terminal.",
        |draft, on| draft.global.model.daemon = on,
    ),
    Keyword::new(
        "default-path",
        GLOBAL,
        "current",
        "What relative paths are relative to.",
        default_path,
    ),
    Keyword::new(
        "description",
        GLOBAL,
        "TEXT...",
        "Text for the statistics.",
        |args, draft| {
            draft.global.model.description = Some(value::sentence(args, "a description")?);
            Ok(())
        },
    ),
    noop(
        "dns-accept-family",
        "WORD",
        "Families accepted from resolvers.",
        "names are resolved by the system",
    ),
    noop(
        "expose-deprecated-directives",
        "",
        "Silences warnings about old words.",
        "only warnings depend on it",
    ),
    noop(
        "expose-experimental-directives",
        "",
        "Allows unstable words.",
        "nothing here is hidden behind it",
    ),
    Keyword::new(
        "external-check",
        Sections::GLOBAL,
        "[preserve-env]",
        "Allows checks that run programs.",
        |args, draft| {
            draft.global.external_checks = true;
            draft.global.external_environment |= args.take("preserve-env");
            Ok(())
        },
    ),
    noop(
        "fd-hard-limit",
        "NUMBER",
        "Highest number of descriptors.",
        "'maxconn' and 'ulimit-n' bound them",
    ),
    noop(
        "force-cfg-parser-pause",
        "TIME",
        "Sleeps while parsing.",
        DEBUGGING,
    ),
    Keyword::new(
        "gid",
        GLOBAL,
        "NUMBER",
        "Group to run as.",
        |args, draft| {
            let span = args.end();
            let number = value::number(args, "the group id", 0..=u32::MAX)?;
            draft.global.group = Some(Spanned::new(number.to_string(), span));
            Ok(())
        },
    ),
    Keyword::new(
        "grace",
        GLOBAL,
        "TIME",
        "Wait before a soft stop begins.",
        |args, draft| {
            draft.global.model.grace_ms = value::duration_ms(args, "a grace time")?;
            Ok(())
        },
    ),
    Keyword::new(
        "group",
        GLOBAL,
        "NAME",
        "Group to run as.",
        |args, draft| {
            let word = args.word("a group name")?;
            draft.global.group = Some(Spanned::new(word.text.clone(), word.span));
            Ok(())
        },
    ),
    Keyword::new(
        "h1-accept-payload-with-any-method",
        GLOBAL,
        "",
        "Accepts bodies in GET and HEAD requests.",
        |_, draft| {
            draft.global.model.any_method_bodies = true;
            Ok(())
        },
    ),
    Keyword::new(
        "h1-case-adjust",
        GLOBAL,
        "NAME NAME",
        "Spells a header field in its own way.",
        |args, draft| {
            let (from, to) = (
                args.word("a name in lower case")?,
                args.word("its spelling")?,
            );
            draft.global.spellings.push((from.clone(), to.clone()));
            Ok(())
        },
    ),
    Keyword::new(
        "h1-case-adjust-file",
        GLOBAL,
        "FILE",
        "Spells header fields in their own way.",
        |args, draft| {
            let word = args.word("the name of a file")?;
            draft.global.spelling_file = Some(Spanned::new(word.text.clone(), word.span));
            Ok(())
        },
    ),
    Keyword::new(
        "h1-do-not-close-on-insecure-transfer-encoding",
        GLOBAL,
        "",
        "Keeps suspicious connections.",
        |_, draft| {
            draft.global.model.trusts_ambiguous = true;
            Ok(())
        },
    ),
    Keyword::new(
        "h2-workaround-bogus-websocket-clients",
        GLOBAL,
        "",
        "Hides from clients that WebSockets may come over HTTP/2.",
        |_, draft: &mut Draft| {
            draft.global.model.tune.http2.hides_web_sockets = draft.polarity == Polarity::Plain;
            Ok(())
        },
    )
    .negatable(),
    Keyword::new(
        "hard-stop-after",
        GLOBAL,
        "TIME",
        "Longest soft stop.",
        |args, draft| {
            let time = value::duration_ms(args, "a time")?;
            draft.global.model.hard_stop_after_ms = Some(time);
            Ok(())
        },
    ),
    noop(
        "harden.reject-privileged-ports.quic",
        "on|off",
        "Refuses clients on low ports.",
        "QUIC is not offered",
    ),
    Keyword::new(
        "harden.reject-privileged-ports.tcp",
        GLOBAL,
        "on|off",
        "Refuses clients on low ports.",
        |args, draft| {
            draft.global.model.rejects_privileged_ports = args.on_off("a switch")?;
            Ok(())
        },
    ),
    Keyword::new(
        "http-err-codes",
        GLOBAL,
        "RANGE...",
        "Which statuses count as errors.",
        |args, draft| codes(args, &mut draft.global.model.statuses.errors),
    ),
    Keyword::new(
        "http-fail-codes",
        GLOBAL,
        "RANGE...",
        "Which statuses count as failures.",
        |args, draft| codes(args, &mut draft.global.model.statuses.failures),
    ),
    noop(
        "httpclient.resolvers.disabled",
        "on|off",
        HTTP_CLIENT_DOC,
        HTTP_CLIENT,
    ),
    noop(
        "httpclient.resolvers.id",
        "NAME",
        HTTP_CLIENT_DOC,
        HTTP_CLIENT,
    ),
    noop(
        "httpclient.resolvers.prefer",
        "ipv4|ipv6",
        HTTP_CLIENT_DOC,
        HTTP_CLIENT,
    ),
    noop("httpclient.retries", "NUMBER", HTTP_CLIENT_DOC, HTTP_CLIENT),
    Keyword::new(
        "httpclient.ssl.ca-file",
        GLOBAL,
        "FILE",
        "Who is believed when authorities are called, instead of @system-ca.",
        |args, draft| {
            let file = args.word("a file")?;
            let file = Spanned::new(file.text.clone(), file.span);
            draft.global.tls.http_client.ca_file = Some(file);
            Ok(())
        },
    ),
    Keyword::new(
        "httpclient.ssl.verify",
        GLOBAL,
        "none|required",
        "Whether certificates are verified when authorities are called.",
        |args, draft| {
            let verify = value::choice(args, "a way of verifying", VERIFY_SERVER)?;
            draft.global.tls.http_client.verify = Some(verify);
            Ok(())
        },
    ),
    noop(
        "httpclient.timeout.connect",
        "TIME",
        HTTP_CLIENT_DOC,
        HTTP_CLIENT,
    ),
    noop(
        "insecure-fork-wanted",
        "",
        "Allows new processes.",
        "programs are started for external checks alone, which 'external-check' allows",
    )
    .negatable(),
    noop(
        "insecure-setuid-wanted",
        "",
        "Keeps setuid programs working.",
        "nothing here starts programs",
    )
    .negatable(),
    Keyword::new(
        "jwt.decrypt_alg_list",
        GLOBAL,
        "NAME[:[!]NAME...]",
        "How the keys of tokens may be encrypted.",
        |args, draft| tokens(args, draft, Allowed::set_algorithms),
    ),
    Keyword::new(
        "jwt.decrypt_enc_list",
        GLOBAL,
        "NAME[:[!]NAME...]",
        "How the contents of tokens may be encrypted.",
        |args, draft| tokens(args, draft, Allowed::set_encryptions),
    ),
    noop(
        "limited-quic",
        "",
        "Allows QUIC with an incomplete library.",
        "QUIC is not offered",
    ),
    noop(
        "localpeer",
        "NAME",
        "Name of this machine among peers.",
        "tables are not shared with other machines in this version",
    ),
    Keyword::new(
        "log",
        GLOBAL,
        "ADDRESS [OPTIONS...] FACILITY [LEVEL [LEVEL]]",
        "Where logs go.",
        log::read_global,
    )
    .negatable(),
    Keyword::new(
        "log-send-hostname",
        GLOBAL,
        "[NAME]",
        "Puts a host name into logs.",
        |args, draft| {
            let name = args.next().map(|word| word.text.clone());
            draft.global.model.log_hostname = Some(name.unwrap_or_default());
            Ok(())
        },
    ),
    Keyword::new(
        "log-tag",
        GLOBAL,
        "TAG",
        "Name of the program in logs.",
        |args, draft| {
            draft.global.model.log_tag = Some(value::text(args, "a tag")?);
            Ok(())
        },
    ),
    later("lua-load", "FILE...", "Runs a Lua program.", "Lua"),
    later(
        "lua-load-per-thread",
        "FILE...",
        "Runs a Lua program.",
        "Lua",
    ),
    later(
        "lua-prepend-path",
        "PATH [WORD]",
        "Where Lua looks for modules.",
        "Lua",
    ),
    Keyword::legacy(
        "master-worker",
        GLOBAL,
        "[no-exit-on-failure]",
        "plimsoll -W",
        master_worker,
    )
    .negatable(),
    Keyword::new(
        "max-spread-checks",
        GLOBAL,
        "TIME",
        "Spreads the first checks over this time at most.",
        |args, draft| {
            let most = value::duration_ms(args, "a time")?;
            draft.global.model.spread_checks_max_ms = Some(most);
            Ok(())
        },
    ),
    noop(
        "max-threads-per-group",
        "NUMBER",
        "Size of thread groups.",
        "there are no thread groups",
    ),
    noop(
        "maxcompcpuusage",
        "NUMBER",
        "Processor use beyond which compression ends.",
        NO_COMPRESSION,
    ),
    noop(
        "maxcomprate",
        "NUMBER",
        "Highest rate of compression.",
        NO_COMPRESSION,
    ),
    Keyword::new(
        "maxconn",
        GLOBAL,
        "NUMBER",
        "Most concurrent client connections.",
        |args, draft| {
            draft.global.model.maxconn = value::limit(args, "the limit")?;
            Ok(())
        },
    ),
    Keyword::new(
        "maxconnrate",
        GLOBAL,
        "NUMBER",
        "Most new connections per second.",
        connection_rate,
    ),
    noop(
        "maxpipes",
        "NUMBER",
        "Most pipes for splicing.",
        "pipes are bounded per worker",
    ),
    Keyword::new(
        "maxsessrate",
        GLOBAL,
        "NUMBER",
        "Most new sessions per second.",
        connection_rate,
    ),
    noop(
        "maxzlibmem",
        "NUMBER",
        "Memory for compression.",
        NO_COMPRESSION,
    ),
    noop(
        "mworker-max-reloads",
        "NUMBER",
        "Reloads an old worker survives.",
        "a reload leaves no old worker behind",
    ),
    Keyword::legacy("nbproc", GLOBAL, "NUMBER", "nbthread NUMBER", nbproc),
    Keyword::new(
        "nbthread",
        GLOBAL,
        "NUMBER",
        "Number of worker threads.",
        |args, draft| {
            draft.global.model.worker_count =
                Some(value::number(args, "the number of threads", 1..=1024)?);
            Ok(())
        },
    ),
    noop(
        "no-memory-trimming",
        "",
        "Keeps memory after a reload.",
        "memory is not trimmed",
    ),
    Keyword::new(
        "node",
        GLOBAL,
        "NAME",
        "Name of this machine in statistics.",
        |args, draft| {
            draft.global.model.node = Some(value::machine_name(args)?);
            Ok(())
        },
    ),
    noop("noepoll", "", "Does without epoll.", POLLER),
    noop("noevports", "", "Does without event ports.", POLLER),
    noop(
        "nogetaddrinfo",
        "",
        "Resolves names by an older call.",
        "the result is the same",
    ),
    noop("nokqueue", "", "Does without kqueue.", POLLER),
    noop(
        "noktls",
        "",
        "Does without TLS in the kernel.",
        "TLS is never left to the kernel",
    ),
    noop("nopoll", "", "Does without poll.", POLLER),
    noop(
        "noreuseport",
        "",
        "Does without SO_REUSEPORT.",
        "every worker has a listening socket of its own",
    ),
    Keyword::switch(
        "nosplice",
        GLOBAL,
        "Relays without splice(2).",
        |draft, on| {
            draft.global.model.tune.splice = !on;
        },
    ),
    noop(
        "numa-cpu-mapping",
        "",
        "Stays on one NUMA node.",
        "the system's scheduler places the workers",
    )
    .negatable(),
    Keyword::new(
        "pidfile",
        GLOBAL,
        "FILE",
        "Where the process id is written.",
        |args, draft| {
            draft.global.model.pidfile = Some(value::text(args, "a file")?.into());
            Ok(())
        },
    ),
    noop(
        "pp2-never-send-local",
        "",
        "Sends PROXY headers as if for clients.",
        "health checks say that they are none of a client's",
    ),
    noop(
        "prealloc-fd",
        "",
        "Grows the descriptor table at once.",
        "the table grows when it must",
    )
    .negatable(),
    Keyword::new("presetenv", GLOBAL, "NAME VALUE", ENVIRONMENT, environment),
    noop(
        "profiling.memory",
        "on|off",
        "Counts allocations.",
        DEBUGGING,
    ),
    noop(
        "profiling.tasks",
        "on|off|auto",
        "Measures tasks.",
        DEBUGGING,
    ),
    noop(
        "quick-exit",
        "",
        "Leaves memory to the system at the end.",
        "memory is always left to it",
    ),
    Keyword::switch("quiet", GLOBAL, "Prints nothing at start.", |draft, on| {
        draft.global.model.quiet = on
    }),
    Keyword::new("resetenv", GLOBAL, "[NAME...]", ENVIRONMENT, environment),
    Keyword::new(
        "server-state-base",
        GLOBAL,
        "DIRECTORY",
        "Where state files are.",
        |args, draft| {
            draft.global.states_base = Some(value::text(args, "a directory")?.into());
            Ok(())
        },
    ),
    Keyword::new(
        "server-state-file",
        GLOBAL,
        "FILE",
        "Server states to begin with, where 'load-server-state-from-file global' is set.",
        |args, draft| {
            draft.global.states_file = Some(value::text(args, "a file")?);
            Ok(())
        },
    ),
    noop(
        "set-dumpable",
        "[on|off|libs]",
        "Allows core dumps.",
        "the system decides",
    )
    .negatable(),
    Keyword::new(
        "set-var",
        GLOBAL,
        "NAME EXPRESSION",
        "Sets a variable of the process.",
        |args, draft| variable(args, draft, false),
    ),
    Keyword::new(
        "set-var-fmt",
        GLOBAL,
        "NAME FORMAT",
        "Sets a variable of the process.",
        |args, draft| variable(args, draft, true),
    ),
    Keyword::new(
        "setcap",
        GLOBAL,
        "NAME[,NAME...]",
        "Capabilities that outlast the change to another user.",
        capabilities,
    ),
    Keyword::new("setenv", GLOBAL, "NAME VALUE", ENVIRONMENT, environment),
    noop(
        "shm-stats-file",
        "FILE",
        "Shares counters between processes.",
        ONE_PROCESS,
    ),
    noop(
        "shm-stats-file-max-objects",
        "NUMBER",
        "Shares counters between processes.",
        ONE_PROCESS,
    ),
    Keyword::new(
        "spread-checks",
        GLOBAL,
        "NUMBER",
        "Per cent by which intervals between checks vary.",
        |args, draft| {
            draft.global.model.spread_checks_percent = value::number(args, "per cent", 0..=50)?;
            Ok(())
        },
    ),
    Keyword::legacy(
        "stats bind-process",
        GLOBAL,
        "SET...",
        "nbthread NUMBER",
        |args, draft| {
            while args.next().is_some() {}
            let warning = Diagnostic::warning(
                Kind::Legacy,
                draft.line,
                "'stats bind-process' has no effect",
            );
            draft.report(warning.cause(ONE_PROCESS).help("remove the line"));
            Ok(())
        },
    ),
    noop(
        "stats calculate-max-counters",
        "on|off",
        "Keeps maxima.",
        "maxima cost nothing here",
    ),
    noop(
        "stats maxconn",
        "NUMBER",
        "Most connections to command sockets.",
        "command sockets have a cap of their own",
    ),
    Keyword::new(
        "stats socket",
        GLOBAL,
        "ADDRESS [OPTION...]",
        "A command socket.",
        bind::read_stats_socket,
    ),
    Keyword::new(
        "stats timeout",
        GLOBAL,
        "TIME",
        "Longest silence on a command socket.",
        |args, draft| {
            draft.global.model.stats_timeout_ms = value::duration_ms(args, "a time")?;
            Ok(())
        },
    ),
    Keyword::new(
        "stats-file",
        GLOBAL,
        "FILE",
        "Counters to begin with, as 'dump stats-file' has told them.",
        |args, draft| {
            draft.global.model.stats_file = Some(value::text(args, "a file")?.into());
            Ok(())
        },
    ),
    noop("stress-level", "NUMBER", "Provokes rare paths.", DEBUGGING),
    noop(
        "strict-limits",
        "",
        "Fails when limits cannot be raised.",
        "limits that cannot be raised are reported",
    )
    .negatable(),
    noop(
        "thread-group",
        "NUMBER SET...",
        "Groups of threads.",
        "there are no thread groups",
    ),
    noop(
        "thread-groups",
        "NUMBER",
        "Groups of threads.",
        "there are no thread groups",
    ),
    noop(
        "thread-hard-limit",
        "NUMBER",
        "Most threads.",
        "'nbthread' is the only limit",
    ),
    Keyword::new("uid", GLOBAL, "NUMBER", "User to run as.", |args, draft| {
        let span = args.end();
        let number = value::number(args, "the user id", 0..=u32::MAX)?;
        draft.global.user = Some(Spanned::new(number.to_string(), span));
        Ok(())
    }),
    Keyword::new(
        "ulimit-n",
        GLOBAL,
        "NUMBER",
        "Limit of file descriptors.",
        |args, draft| {
            draft.global.model.descriptor_limit = value::limit(args, "the limit")?;
            Ok(())
        },
    ),
    Keyword::new(
        "unix-bind",
        GLOBAL,
        "OPTION...",
        "Prefix, owner and permissions of unix sockets that are listened on.",
        bind::read_unix_bind,
    ),
    Keyword::new("unsetenv", GLOBAL, "NAME...", ENVIRONMENT, environment),
    Keyword::new("user", GLOBAL, "NAME", "User to run as.", |args, draft| {
        let word = args.word("a user name")?;
        draft.global.user = Some(Spanned::new(word.text.clone(), word.span));
        Ok(())
    }),
    noop(
        "warn-blocked-traffic-after",
        "TIME",
        "Reports blocked tasks.",
        DEBUGGING,
    ),
    Keyword::new(
        "why-sampling",
        GLOBAL,
        "1/N|off",
        "Writes down why one request in N goes where it goes, for 'show why'. Plimsoll's own.",
        |args, draft| {
            let word = args.word("a share of the requests")?;
            let every = read_share(&word.text);
            let error = |reason| Diagnostic::error(Kind::Invalid, word.span, reason);
            draft.global.model.why_sampling = every.map_err(error)?;
            Ok(())
        },
    ),
    Keyword::switch(
        "zero-warning",
        GLOBAL,
        "Treats warnings as errors.",
        |draft, on| draft.global.zero_warning = on,
    ),
];

const HTTP_CLIENT_DOC: &str = "How authorities are called.";
const HTTP_CLIENT: &str =
    "authorities are called by the machine's resolver, patiently, and again when they fail";

const fn noop(
    name: &'static str,
    usage: &'static str,
    doc: &'static str,
    why: &'static str,
) -> Keyword<Draft> {
    Keyword::inert(name, GLOBAL, usage, doc, Status::NoOp(why))
}

/// Of several rates the lowest holds: a connection and a session begin together. 0 stands for none.
fn connection_rate(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let rate = value::limit(args, "a rate")?;
    let known = &mut draft.global.model.connection_rate;
    *known = [*known, rate].into_iter().flatten().min();
    Ok(())
}

/// A variable of the process; what it is set to is read when all names are known.
fn variable(args: &mut Args<'_>, draft: &mut Draft, is_format: bool) -> Result<(), Diagnostic> {
    let variable = VariableDraft {
        name: args.word("the name of a variable")?.clone(),
        value: args.word("what it is set to")?.clone(),
        is_format,
    };
    draft.global.variables.push(variable);
    Ok(())
}

const fn later(
    name: &'static str,
    usage: &'static str,
    doc: &'static str,
    waits: &'static str,
) -> Keyword<Draft> {
    Keyword::inert(name, GLOBAL, usage, doc, Status::NotYet(waits))
}

/// Names of capabilities(7); each may be written once more.
fn capabilities(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("names of capabilities")?;
    for name in word.text.split(',') {
        let Some(known) = CAPABILITIES.iter().find(|known| **known == name) else {
            let name = Word::new(name, word.span);
            return Err(value::unknown(
                &name,
                "a capability",
                CAPABILITIES.into_iter(),
            ));
        };
        draft.global.model.capabilities.insert(known);
    }
    Ok(())
}

/// A list of algorithms.
fn tokens(
    args: &mut Args<'_>,
    draft: &mut Draft,
    set: for<'a> fn(&mut Allowed, &'a str) -> Result<(), &'a str>,
) -> Result<(), Diagnostic> {
    let word = args.word("a list of algorithms")?;
    set(&mut draft.global.model.tokens, &word.text).map_err(|name| {
        let message = format_args!("'{name}' is no algorithm of tokens");
        let help = Allowed::names().collect::<Vec<_>>().join(", ");
        Diagnostic::error(Kind::Invalid, word.span, message).help(format!("known are {help}"))
    })
}

/// The grammar has already obeyed the line.
fn environment(args: &mut Args<'_>, _: &mut Draft) -> Result<(), Diagnostic> {
    while args.next().is_some() {}
    Ok(())
}

fn default_path(args: &mut Args<'_>, _: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("a place")?;
    match word.text.as_str() {
        "current" => Ok(()),
        "config" | "parent" | "origin" => {
            if word.text == "origin" {
                args.word("a directory")?;
            }
            let message = format_args!("'default-path {}' is not implemented yet", word.text);
            let error = Diagnostic::error(Kind::NotImplemented, word.span, message);
            Err(error.help("write absolute paths, or 'default-path current'"))
        }
        _ => {
            let known = ["current", "config", "parent", "origin"];
            Err(value::unknown(
                word,
                "a place that paths can be relative to",
                known.into_iter(),
            ))
        }
    }
}

fn master_worker(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    args.take("no-exit-on-failure");
    let warning = Diagnostic::warning(
        Kind::Legacy,
        draft.line,
        "'master-worker' has no effect in a configuration",
    );
    draft.report(
        warning
            .cause(ONE_PROCESS)
            .help("remove the line, or start the program with -W"),
    );
    Ok(())
}

fn nbproc(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let count = value::number(args, "the number of processes", 1..=1024)?;
    let message = format_args!("'nbproc {count}' has no effect");
    let warning = Diagnostic::warning(Kind::Legacy, draft.line, message).cause(ONE_PROCESS);
    draft.report(if count == 1 {
        warning.help("remove the line")
    } else {
        warning.help(format_args!("write 'nbthread {count}'"))
    });
    Ok(())
}

/// Ranges of status codes, with `+` to add them and `-` to take them out.
fn codes(args: &mut Args<'_>, codes: &mut StatusCodes) -> Result<(), Diagnostic> {
    if args.is_empty() {
        return args.word("a range of status codes").map(drop);
    }
    while let Some(word) = args.next() {
        if let Err(range) = codes.obey(&word.text) {
            let message = format_args!("'{range}' is not a range of status codes");
            return Err(Diagnostic::error(Kind::Invalid, word.span, message)
                .help("write '400-499', '+500' or '-404'"));
        }
    }
    Ok(())
}
