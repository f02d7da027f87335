//! `auth`: asks for a user and a password (manual, "http-request auth"; RFC 7617).

use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{Flow, Places, Reply, Row, Words, action};
use crate::context::Context;
use crate::expression::Scope;
use crate::users::is_proxied;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "auth",
    numbered: false,
    usage: "[realm TEXT]",
    doc: "Asks for a user and a password.",
    places: Places::REQUEST,
    read,
}];

fn read(
    words: &mut Words<'_, '_>,
    scope: &Scope<'_>,
) -> Result<Box<dyn super::Action>, Diagnostic> {
    let mut realm = scope.proxy.unwrap_or_default().to_owned();
    if words.take("realm") {
        let word = words.args.word("a realm")?;
        if word
            .text
            .bytes()
            .any(|byte| byte.is_ascii_control() || byte == b'"')
        {
            let message = "a realm holds neither quotes nor control characters";
            return Err(Diagnostic::error(Kind::Invalid, word.span, message));
        }
        realm.clone_from(&word.text);
    }
    let challenge = format!("Basic realm=\"{realm}\"");
    action(move |context: &mut Context<'_>| {
        let head = context.request.as_deref();
        let proxied = head.is_some_and(|head| is_proxied(context, head));
        let (status, name): (u16, &[u8]) = match proxied {
            true => (407, b"proxy-authenticate"),
            false => (401, b"www-authenticate"),
        };
        let mut reply = Reply::stock(status);
        reply.head.add(name, challenge.as_bytes());
        Flow::Reply(Box::new(reply))
    })
}
