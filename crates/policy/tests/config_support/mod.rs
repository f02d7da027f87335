//! What the tests of configurations share: a machine without names, a program that claims little, and one call.
#![allow(dead_code, reason = "no test file uses all of it")]

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use plimsoll_config::condition::{Conditions, LibraryVersion, Version};
use plimsoll_config::diagnostic::Diagnostic;
use plimsoll_config::haproxy;
use plimsoll_config::source::{Environment, Loader, MemoryLoader, Sources};
use plimsoll_policy::keyword::haproxy::{Context, Dummy, GRAMMAR, Machine, load};
use plimsoll_policy::model::Model;

/// Answers the conditions as HAProxy 3.5 with OpenSSL would.
pub(crate) struct Claims;

impl Conditions for Claims {
    fn version(&self) -> Version {
        Version::development(3, 5, 5)
    }

    fn feature(&self, name: &str) -> bool {
        matches!(name, "OPENSSL" | "THREAD")
    }

    fn openssl_version(&self) -> Option<LibraryVersion> {
        Some(LibraryVersion::new(3, 0, 0))
    }

    fn ssl_library(&self) -> Option<&str> {
        Some("OpenSSL")
    }
}

/// A machine that knows `localhost`, `app` and one account.
pub(crate) struct SmallMachine;

impl Machine for SmallMachine {
    fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match host {
            "localhost" => Ok(vec![
                [127, 0, 0, 1].into(),
                IpAddr::from([0_u16, 0, 0, 0, 0, 0, 0, 1]),
            ]),
            "app" => Ok(vec![[192, 0, 2, 7].into()]),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such host")),
        }
    }

    fn dummy(&self, _: &Dummy) -> io::Result<Vec<u8>> {
        fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/site.pem"))
    }

    fn user_id(&self, name: &str) -> Option<u32> {
        (name == "proxy").then_some(990)
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        (name == "proxy").then_some(991)
    }
}

/// What became of a configuration.
pub(crate) struct Outcome {
    pub(crate) model: Option<Model>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) sources: Sources,
}

/// Loads a text called `name`, with the files of `loader` beside it.
pub(crate) fn load_text(name: &str, text: impl Into<Vec<u8>>, loader: MemoryLoader) -> Outcome {
    let loader = loader.file(name, text);
    let mut environment: Environment = [("PLIMSOLL_TEST_PORT", "8080")].into_iter().collect();
    let parsed = haproxy::parse(
        &[PathBuf::from(name)],
        &loader,
        &mut environment,
        &GRAMMAR,
        &Claims,
    );
    let files: &dyn Loader = &loader;
    let loaded = load(
        &parsed.document,
        &Context {
            files,
            machine: &SmallMachine,
            sources: &parsed.sources,
            environment: &environment,
        },
    );
    let grammatical = !parsed.has_errors();
    let mut diagnostics = parsed.diagnostics;
    diagnostics.extend(loaded.diagnostics);
    Outcome {
        model: loaded.model.filter(|_| grammatical),
        diagnostics,
        sources: parsed.sources,
    }
}

/// A folder beside the checkout that not everyone has.
pub(crate) fn shared(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared")
        .join(path)
}
