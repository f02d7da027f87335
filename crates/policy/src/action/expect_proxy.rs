//! `expect-proxy`: the connection must begin with a PROXY protocol header.

use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Flow, Places, Row, action};
use crate::context::Context;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "expect-proxy",
    numbered: false,
    usage: "layer4",
    doc: "Expects a PROXY protocol header, as 'accept-proxy' does for a whole bind line.",
    places: Places::CONNECTION,
    read: |words, _| {
        let word = words.args.word("'layer4'")?;
        if word.text != "layer4" {
            let message = format_args!("'{}' is not 'layer4'", word.text);
            return Err(Diagnostic::error(Kind::Invalid, word.span, message));
        }
        action(|context: &mut Context<'_>| {
            context.session.extra().expects_header = true;
            Flow::Continue
        })
    },
}];
