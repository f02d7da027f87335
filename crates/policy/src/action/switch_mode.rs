//! `switch-mode`: from here on, the first bytes of a TCP connection are messages of HTTP (manual, section 4.2).

use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Action, Flow, Places, Row, Words, action};
use crate::context::Context;
use crate::expression::Scope;
use crate::keyword::haproxy::value::unknown;

/// The versions of HTTP that a connection may turn to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// As the client begins.
    #[default]
    Any,
    /// `proto h1`: a client that begins with the preface of HTTP/2 is refused.
    Http1,
    /// `proto h2`.
    Http2,
}

pub(crate) const ROWS: &[Row] = &[Row {
    name: "switch-mode",
    numbered: false,
    usage: "http [proto h1|h2]",
    doc: "Goes on with a connection of a TCP frontend as one of HTTP.",
    places: Places::CONTENT,
    read,
}];

fn read(words: &mut Words<'_, '_>, scope: &Scope<'_>) -> Result<Box<dyn Action>, Diagnostic> {
    let mode = words.args.word("a mode")?;
    if mode.text != "http" {
        return Err(unknown(mode, "a mode to switch to", ["http"].into_iter()));
    }
    if scope.frontend.is_none() {
        let message = "a backend is too late for that: nobody is served by it before it is chosen";
        return Err(Diagnostic::error(Kind::Invalid, words.name.span, message));
    }
    let mut versions = Versions::Any;
    if words.take("proto") {
        let protocol = words.args.word("a protocol")?;
        versions = match protocol.text.as_str() {
            "h1" => Versions::Http1,
            "h2" => Versions::Http2,
            _ => return Err(unknown(protocol, "a protocol", ["h1", "h2"].into_iter())),
        };
    }
    action(move |context: &mut Context<'_>| match context.is_raw {
        true => Flow::Switch(versions),
        // It is HTTP already, and every request comes by here.
        false => Flow::Accept,
    })
}

#[cfg(test)]
mod tests {
    use crate::context::Phase;
    use crate::testing::Bench;

    #[test]
    fn words_and_what_they_mean() {
        let mut bench = Bench::request("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        bench.phase = Phase::RequestContent;
        // The bench's messages are HTTP already.
        assert_eq!(bench.line_after("switch-mode http proto h1"), "Accept");
        for rule in [
            "switch-mode",
            "switch-mode tcp",
            "switch-mode http proto",
            "switch-mode http proto fcgi",
        ] {
            assert!(bench.act(rule).is_err(), "{rule}");
        }
    }
}
