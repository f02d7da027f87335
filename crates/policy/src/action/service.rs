//! `use-service`: answers that a part of this program gives in place of a server.

use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Flow, Places, Row, Service, action};
use crate::context::Context;
use crate::expression::not_yet;
use crate::keyword::haproxy::names;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "use-service",
    numbered: false,
    usage: "prometheus-exporter",
    doc: "Answers with what a part of this program has to say.",
    places: Places::REQUEST,
    read: |words, _| {
        let word = words.args.word("the name of a service")?;
        match word.text.as_str() {
            "prometheus-exporter" => action(|_: &mut Context<'_>| Flow::Serve(Service::Prometheus)),
            lua if names::is_of_lua(lua) => {
                Err(not_yet(format_args!("the service '{lua}'"), word.span))
            }
            _ => {
                let message = format_args!("there is no service '{}' here", word.text);
                let error = Diagnostic::error(Kind::Invalid, word.span, message);
                Err(error.help("write 'prometheus-exporter'"))
            }
        }
    },
}];
