//! The words of `option forwarded`.

use std::sync::Arc;

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::Resolver;
use crate::context::Phase;
use crate::draft::{ProxyDraft, RuleDraft};
use crate::expression::{self, Scope};
use crate::forwarded::{Forwarded, Node, Origin};
use crate::keyword::haproxy::value::unknown;
use crate::model::Mode;

const WORDS: [&str; 11] = [
    "by",
    "by-expr",
    "by_port",
    "by_port-expr",
    "for",
    "for-expr",
    "for_port",
    "for_port-expr",
    "host",
    "host-expr",
    "proto",
];

impl Resolver<'_> {
    /// What the servers of a proxy are told by `option forwarded`.
    pub(super) fn forwarded(
        &mut self,
        proxy: &ProxyDraft,
        scope: &Scope<'_>,
    ) -> Option<Arc<Forwarded>> {
        let line = proxy.settings.forwarded.as_ref()?;
        if !proxy.has_back() || proxy.settings.mode == Mode::Tcp {
            return None;
        }
        let mut forwarded = match read(line, scope) {
            Ok(forwarded) => forwarded,
            Err(error) => {
                self.findings.push(error);
                return None;
            }
        };
        for (node, name) in [(&mut forwarded.by, "by"), (&mut forwarded.client, "for")] {
            if node.name.is_none() && node.port.take().is_some() {
                let message = format!("the port is not told where '{name}' is not");
                let warning = Diagnostic::warning(Kind::NoEffect, line.line, message);
                self.findings
                    .push(warning.help(format!("write '{name}', too")));
            }
        }
        Some(Arc::new(forwarded))
    }
}

fn read(line: &RuleDraft, scope: &Scope<'_>) -> Result<Forwarded, Diagnostic> {
    let scope = scope.at(Phase::Request);
    let mut args = Args::after(&line.words, line.line, line.keyword_span.end);
    let mut forwarded = Forwarded::default();
    if args.is_empty() {
        return Ok(Forwarded {
            proto: true,
            client: Node {
                name: Some(Origin::Known),
                port: None,
            },
            ..forwarded
        });
    }
    while let Some(word) = args.next() {
        let name = word.text.as_str();
        let (by, client) = (&mut forwarded.by, &mut forwarded.client);
        let place = match name.strip_suffix("-expr").unwrap_or(name) {
            "proto" if name == "proto" => {
                forwarded.proto = true;
                continue;
            }
            "host" => &mut forwarded.host,
            "by" => &mut by.name,
            "by_port" => &mut by.port,
            "for" => &mut client.name,
            "for_port" => &mut client.port,
            _ => {
                let what = "a parameter of 'option forwarded'";
                return Err(unknown(word, what, WORDS.into_iter()));
            }
        };
        *place = Some(match name.ends_with("-expr") {
            false => Origin::Known,
            true => Origin::Found(expression::parse(args.word("an expression")?, &scope)?),
        });
    }
    Ok(forwarded)
}
