//! Servers that are written into a command instead of a file (`add server`).
//!
//! The words are those of a `server` line. What is absent: `default-server`, which such servers do not take over, and the
//! machine: a host is not resolved, and files are not read.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Severity, Span};
use plimsoll_config::source::{Environment, Loader, Sources};

use super::{Context, Machine, NOWHERE, server};
use crate::draft::{Draft, InitAddr, ProxyDraft, VariableDraft};
use crate::keyword::{Sections, Status};
use crate::model::tls::Profile;
use crate::model::{Initial, Mode, Server};
use crate::tls::{Store, crt_list};
use crate::variable::Name;

/// Where no file and no name can be found.
struct Nothing;

impl Loader for Nothing {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn list(&self, _: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        Ok(None)
    }
}

impl Machine for Nothing {
    fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::other(
            "hosts of servers that are added are not resolved",
        ))
    }

    fn user_id(&self, _: &str) -> Option<u32> {
        None
    }

    fn group_id(&self, _: &str) -> Option<u32> {
        None
    }
}

/// Reads `ADDRESS [OPTION...]`. A number of 0 means that none is written.
///
/// # Errors
/// What is wrong with the words, a sentence per line.
pub fn dynamic_server(
    name: &str,
    words: &[String],
    mode: Mode,
    store: &Store,
) -> Result<Server, String> {
    let mut draft = Draft {
        section: Some(Sections::BACKEND),
        ..Draft::default()
    };
    let mut proxy = ProxyDraft {
        kind: Some(Sections::BACKEND),
        ..ProxyDraft::default()
    };
    proxy.settings.mode = mode;
    draft.proxies.push(proxy);
    let words: Vec<_> = std::iter::once(name)
        .chain(words.iter().map(String::as_str))
        .map(|text| Word::new(text, NOWHERE))
        .collect();
    let mut args = Args::new(&words, Span::default());
    server::read_server(&mut args, &mut draft).map_err(|error| told(&[error]))?;
    let servers = &mut draft.proxies[0].servers;
    let Some(server) = servers.last_mut() else {
        return Err("an address is expected".to_owned());
    };
    server.init_addr = vec![InitAddr::None];
    server.model.dynamic = true;
    let has_number = server.id.is_some();
    let context = Context {
        files: &Nothing,
        machine: &Nothing,
        sources: &Sources::new(),
        environment: &Environment::new(),
    };
    let resolved = crate::resolve::resolve_among(draft, &context, store.clone());
    let errors = resolved.diagnostics.into_iter();
    let errors: Vec<_> = errors
        .filter(|problem| problem.severity == Severity::Error)
        .collect();
    if !errors.is_empty() {
        return Err(told(&errors));
    }
    let server = resolved.model.backends.into_iter().next();
    let server = server.and_then(|backend| backend.servers.into_iter().next());
    let mut server = server.ok_or("an address is expected")?;
    if !has_number {
        server.number = 0;
    }
    Ok(server)
}

/// Reads a variable of the process, and the expression or format that it is to be set to.
///
/// # Errors
/// What is wrong with them, a sentence per line.
pub fn dynamic_variable(
    name: &str,
    value: &str,
    is_format: bool,
) -> Result<(Name, Initial), String> {
    let mut draft = Draft::default();
    draft.global.variables.push(VariableDraft {
        name: Word::new(name, NOWHERE),
        value: Word::new(value, NOWHERE),
        is_format,
    });
    let context = Context {
        files: &Nothing,
        machine: &Nothing,
        sources: &Sources::new(),
        environment: &Environment::new(),
    };
    let resolved = crate::resolve::resolve_among(draft, &context, Store::default());
    let variable = resolved.model.global.variables.into_iter().next();
    variable.ok_or_else(|| {
        let problems = resolved.diagnostics.into_iter();
        let errors: Vec<_> = problems
            .filter(|problem| problem.severity == Severity::Error)
            .collect();
        told(&errors)
    })
}

/// How handshakes go at a bind of profile `base` with the certificate of a line that is added to a `crt-list`; `None`: as
/// the bind says.
///
/// # Errors
/// What is wrong with the line's options, a sentence per line.
pub fn dynamic_line(
    line: &crt_list::Line,
    base: &Profile,
    mode: Mode,
    store: &Store,
) -> Result<Option<Arc<Profile>>, String> {
    let context = Context {
        files: &Nothing,
        machine: &Nothing,
        sources: &Sources::new(),
        environment: &Environment::new(),
    };
    let profile = crate::resolve::line_profile(line, base, mode, &context, store);
    profile.map_err(|found| told(&found))
}

fn told(errors: &[Diagnostic]) -> String {
    let sentences = errors.iter().map(|error| match &error.help {
        Some(help) => format!("{}: {help}.", error.message),
        None => format!("{}.", error.message),
    });
    sentences.collect::<Vec<_>>().join("\n")
}

/// The options that such a line takes.
pub fn server_words() -> impl Iterator<Item = &'static str> {
    let options = server::OPTIONS.iter();
    options
        .filter(|row| matches!(row.status, Status::Implemented | Status::NoOp(_)))
        .map(|row| row.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ServerAddress, ServerPort};

    fn read(line: &str) -> Result<Server, String> {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        dynamic_server("s", &words, Mode::Http, &Store::default())
    }

    #[test]
    fn a_line_of_a_command_is_a_line_of_a_file() {
        let server = read("10.0.0.1:80 weight 7 maxconn 3 check inter 5s backup").unwrap();
        assert_eq!(
            (server.weight, server.maxconn, server.number),
            (7, Some(3), 0)
        );
        assert!(server.backup && server.check.enabled);
        assert_eq!(server.check.rhythm.interval_ms, 5_000);
        assert_eq!(read("10.0.0.1:80 id 9").unwrap().number, 9);
    }

    #[test]
    fn checks_of_added_servers_say_themselves_that_they_use_tls() {
        for (words, traffic, checks) in [
            ("ssl verify none check", true, false),
            ("ssl verify none check check-ssl", true, true),
            ("verify none check check-ssl", false, true),
        ] {
            let server = read(&format!("10.0.0.1:80 {words}")).unwrap();
            let found = (server.tls.is_some(), server.check.tls_usual);
            assert_eq!(found, (traffic, checks), "{words}");
        }
    }

    #[test]
    fn hosts_wait_for_an_address() {
        let server = read("app.example:80").unwrap();
        let host = ServerAddress::Unresolved {
            host: "app.example".to_owned(),
            port: ServerPort::Fixed(80),
        };
        assert_eq!(server.address, host);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, part) in [
            ("10.0.0.1:80 wieght 7", "did you mean 'weight'"),
            ("10.0.0.1:80 weight x", "x"),
            ("10.0.0.1:80 ssl", "ca-file"),
            ("10.0.0.1: check", "port"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
