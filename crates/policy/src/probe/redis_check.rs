//! `option redis-check`: PING is answered by PONG (the protocol's specification, "inline commands" and "arrays").

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::{Kind, Status};
use crate::model::check::{CheckAction, CheckSpec, Expectation, Flavour, Tell, Wanted};

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const PONG: &[u8] = b"+PONG\r\n";

pub(super) const PROBE: Kind = Kind {
    name: "redis-check",
    usage: "",
    doc: "Sends PING to a Redis server and wants PONG.",
    read,
};

fn read(_: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    let pong = Expectation {
        failed: Some(Status::ReplyWrong),
        on_error: Some(Tell::Received(0)),
        on_success: Some(Tell::Text("Redis server is ok".to_owned())),
        ..Expectation::new(Wanted::Text(PONG.to_vec()))
    };
    Ok(CheckSpec {
        flavour: Flavour::Protocol,
        steps: vec![
            CheckAction::Send(PING.to_vec()).into(),
            CheckAction::Expect(pong).into(),
        ],
        ..CheckSpec::default()
    })
}
