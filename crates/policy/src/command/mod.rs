//! The runtime API: one row per command, one file per family.
//!
//! | look in | for |
//! |---|---|
//! | [`Command`] | a row: path, level, usage, meaning, function |
//! | [`line`](self::line) | how a line is cut into commands and words |
//! | [`Session`] | what a connection to a command socket remembers |
//! | [`Change`] | what a command asks of the engine |
//!
//! A command looks at a [`View`] and leaves [`Change`]s in its session; it changes nothing itself, so a chain of commands
//! sees the effect of each one before the next. What is absent: sockets, prompts and time-outs (the engine).

mod absent;
mod acme;
mod activity;
mod backend;
mod change;
mod clear;
mod cli;
mod cookie;
mod errors;
mod events;
mod find;
mod frontend;
mod help;
pub mod line;
mod list;
mod maxconn;
mod outliers;
mod plan;
mod pools;
mod rate;
mod reload;
mod resolvers;
mod schema;
mod server;
mod server_line;
mod servers;
mod session;
mod show;
mod ssl;
mod stat;
mod table;
mod variable;
mod wait;
mod weight;
mod why;

use crate::model::{AccessLevel, Severity};
use crate::stats::View;

pub use absent::{ABSENT, Absent};
pub use change::{BackendChange, Change, Clear, FrontendChange, ProbeChange, ServerChange};
pub use cli::prompt_text;
pub use line::Words;
pub use server::address_news;
pub(crate) use servers::{CHECK_CONFIGURED, CHECK_ENABLED};
pub(crate) use why::read_share;

/// A command of the runtime API.
pub struct Command {
    /// The words that select it.
    pub path: &'static [&'static str],
    /// Who may run it.
    pub access: AccessLevel,
    /// The path with its arguments.
    pub usage: &'static str,
    pub doc: &'static str,
    run: fn(&mut Words<'_>, View<'_>, &mut Session) -> Answer,
}

/// The text of an answer, or why there is none; both reach the person who asked.
pub type Answer = Result<String, Refusal>;

/// One sentence on why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

impl From<&str> for Refusal {
    fn from(sentence: &str) -> Self {
        Self(sentence.to_owned())
    }
}

/// What one connection to a command socket remembers between commands.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub level: AccessLevel,
    /// The connection stays open after a line (`prompt i`).
    pub interactive: bool,
    /// Besides, a prompt is shown where a line is awaited (`prompt`).
    pub prompts: bool,
    /// The prompt begins with how long the process has been running (`prompt timed`).
    pub timed: bool,
    /// Dangerous commands are allowed (`expert-mode on`).
    pub expert: bool,
    /// Unfinished commands are allowed (`experimental-mode on`).
    pub experimental: bool,
    /// Whether what went wrong begins with how bad it is (`set severity-output`).
    pub severity: Severity,
    /// The connection is closed after this long without a line.
    pub timeout_ms: u64,
    /// The person wants to leave (`quit`).
    pub ended: bool,
    /// What the last command asked for; taken by whoever carries it out.
    pub changes: Vec<Change>,
    /// The last command is to be asked again when this has passed: it waits for something.
    pub again: Option<Again>,
}

/// A command that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    pub after_ms: u64,
    /// The words to ask again with.
    pub words: Vec<String>,
}

impl Session {
    pub fn new(level: AccessLevel, timeout_ms: u64) -> Self {
        Self {
            level,
            interactive: false,
            prompts: false,
            timed: false,
            expert: false,
            experimental: false,
            severity: Severity::None,
            timeout_ms,
            ended: false,
            changes: Vec::new(),
            again: None,
        }
    }
}

/// All commands, in the order of their paths.
pub const COMMANDS: &[Command] = &[
    ssl::bundle::ABORT_CA,
    ssl::cert::ABORT,
    ssl::bundle::ABORT_CRL,
    acme::RENEW,
    acme::STATUS,
    list::ADD_ACL,
    backend::ADD,
    list::ADD_MAP,
    server_line::ADD,
    server_line::HELP,
    ssl::bundle::ADD_CA,
    ssl::list::ADD,
    ssl::cert::ADD_JWT,
    list::CLEAR_ACL,
    clear::COUNTERS,
    list::CLEAR_MAP,
    table::CLEAR,
    list::COMMIT_ACL,
    list::COMMIT_MAP,
    ssl::bundle::COMMIT_CA,
    ssl::cert::COMMIT,
    ssl::bundle::COMMIT_CRL,
    list::DELETE_ACL,
    backend::DELETE,
    list::DELETE_MAP,
    server_line::DELETE,
    ssl::bundle::DELETE_CA,
    ssl::cert::DELETE,
    ssl::bundle::DELETE_CRL,
    ssl::list::DELETE,
    ssl::cert::DELETE_JWT,
    server::DISABLE_AGENT,
    cookie::DISABLE,
    frontend::DISABLE,
    server::DISABLE_HEALTH,
    server::DISABLE,
    ssl::cert::DUMP,
    stat::FILE,
    cli::ECHO,
    server::ENABLE_AGENT,
    cookie::ENABLE,
    frontend::ENABLE,
    server::ENABLE_HEALTH,
    server::ENABLE,
    cli::EXPERIMENTAL,
    cli::EXPERT,
    list::GET_ACL,
    list::GET_MAP,
    variable::GET,
    weight::GET,
    help::HELP,
    ssl::bundle::NEW_CA,
    ssl::cert::NEW,
    ssl::bundle::NEW_CRL,
    cli::OPERATOR,
    plan::PLAN,
    list::PREPARE_ACL,
    list::PREPARE_MAP,
    cli::PROMPT,
    backend::PUBLISH,
    cli::QUIT,
    reload::RELOAD,
    cookie::KEY,
    list::SET_MAP,
    maxconn::FRONTEND,
    maxconn::GLOBAL,
    maxconn::SERVER,
    rate::SET,
    server::SET,
    cli::SEVERITY,
    ssl::bundle::SET_CA,
    ssl::cert::SET,
    ssl::bundle::SET_CRL,
    ssl::ocsp::SET,
    table::SET,
    cli::TIMEOUT,
    variable::SET,
    weight::SET,
    why::SET,
    list::SHOW_ACL,
    activity::ACTIVITY,
    show::BACKEND,
    cli::LEVEL,
    cli::SOCKETS,
    backend::DEFAULT_SERVERS,
    backend::DEFAULTS,
    show::ENVIRONMENT,
    errors::SHOW,
    events::SHOW,
    show::INFO,
    list::SHOW_MAP,
    outliers::SHOW,
    pools::SHOW,
    show::PROCESSES,
    activity::REFUSALS,
    resolvers::SHOW,
    schema::SHOW,
    servers::CONNECTIONS,
    servers::STATE,
    session::SHOW,
    ssl::bundle::SHOW_CA,
    ssl::cert::SHOW,
    ssl::bundle::SHOW_CRL,
    ssl::list::SHOW,
    ssl::cert::SHOW_JWT,
    ssl::ocsp::SHOW,
    ssl::ocsp::SHOW_UPDATES,
    ssl::sni::SHOW,
    show::STARTUP,
    stat::STAT,
    table::SHOW,
    show::VERSION,
    why::SHOW,
    frontend::SHUTDOWN,
    session::SHUTDOWN,
    session::SHUTDOWN_SERVER,
    backend::UNPUBLISH,
    ssl::ocsp::UPDATE,
    cli::USER,
    wait::WAIT,
];

/// Runs one command. The answer is complete: text, and the empty line that ends every answer.
///
/// Words that name no command are answered with the commands that look like them.
pub fn run(mut words: Words<'_>, view: View<'_>, session: &mut Session) -> String {
    let mut text = match find(words.all()) {
        _ if words.is_empty() => String::new(),
        None => match absent::answer(words.all()) {
            Some(sentence) => session.severity.error().to_owned() + &sentence,
            None => session.severity.advice().to_owned() + &help::unknown(words.all()),
        },
        Some(command) if command.access > session.level => {
            session.severity.error().to_owned() + "Permission denied\n"
        }
        Some(command) => {
            words.skip(command.path.len());
            match (command.run)(&mut words, view, session) {
                Ok(text) => text,
                Err(Refusal(sentence)) => session.severity.error().to_owned() + &sentence,
            }
        }
    };
    if !session.ended {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// The command with the longest path that the words begin with.
fn find(words: &[String]) -> Option<&'static Command> {
    COMMANDS
        .iter()
        .filter(|command| starts_with(words, command.path))
        .max_by_key(|command| command.path.len())
}

fn starts_with(words: &[String], path: &[&str]) -> bool {
    words.len() >= path.len() && words.iter().zip(path).all(|(word, part)| word == part)
}

#[cfg(test)]
mod tests;
