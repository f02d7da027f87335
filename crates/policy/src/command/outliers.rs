//! `show outliers`: how servers compare with their peers. A command of ours.

use std::fmt::Write as _;

use super::{Answer, Command, Session, Words};
use crate::live::ServerState;
use crate::model::AccessLevel;
use crate::stats::View;

pub(super) const SHOW: Command = Command {
    path: &["show", "outliers"],
    access: AccessLevel::User,
    usage: "show outliers",
    doc: "servers compared with their peers (option outlier-ejection)",
    run: show,
};

fn show(_: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let mut text = "# backend server state ejections kept median_us peers_us\n".to_owned();
    for (id, backend) in view
        .backends()
        .filter(|(_, backend)| backend.outliers.is_some())
    {
        for (server, model) in view.servers(backend) {
            let live = view.plane.backend(id).server(server);
            let standing = live.standing();
            let state = match live.state().contains(ServerState::EJECTED) {
                true => "ejected",
                false => "in",
            };
            let compared = standing.compared_us();
            let number = |us: Option<u64>| us.map_or_else(|| "-".to_owned(), |us| us.to_string());
            let _ = writeln!(
                text,
                "{} {} {state} {} {} {} {}",
                backend.name,
                model.name,
                standing.ejections(),
                standing.kept(),
                number(compared.map(|(own, _)| own)),
                number(compared.map(|(_, peers)| peers)),
            );
        }
    }
    Ok(text)
}
