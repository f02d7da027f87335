//! `show errors`: the last messages that were not acceptable.

use super::{Answer, Command, Refusal, Session, Words};
use crate::log::{Dates, WallTime};
use crate::model::AccessLevel;
use crate::specimen::{Direction, Specimen};
use crate::stats::View;
use crate::stats::format::write;

pub(super) const SHOW: Command = Command {
    path: &["show", "errors"],
    access: AccessLevel::Operator,
    usage: "show errors [<px>] [request|response]",
    doc: "the last request and response of each proxy that were not acceptable",
    run: show,
};

fn show(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let proxy = match words.next() {
        None | Some("-1") => None,
        Some(name) => Some(number(name, view)?),
    };
    let direction = match words.next() {
        Some("request") => Some(Direction::Request),
        Some("response") => Some(Direction::Response),
        _ => None,
    };
    let (count, mut specimens) = view.sums.specimens();
    specimens.sort_by_key(|specimen| {
        let is_response = specimen.direction == Direction::Response;
        (specimen.owner().number, is_response)
    });
    let mut dates = Dates::default();
    dates.set_utc_offset_s(view.now.utc_offset_s);
    let mut date = Vec::new();
    dates.push_local_ms(WallTime::default().after_ms(view.now.wall_ms), &mut date);
    let mut text = String::new();
    write(
        &mut text,
        format_args!(
            "Total events captured on [{}] : {count}\n",
            String::from_utf8_lossy(&date)
        ),
    );
    for specimen in specimens {
        let is_wanted = proxy.is_none_or(|number| specimen.concerns(number))
            && direction.is_none_or(|wanted| wanted == specimen.direction);
        if is_wanted && is_there(&specimen, view) {
            specimen.write(&mut dates, &mut text);
        }
    }
    Ok(text)
}

/// The number of a proxy.
fn number(name: &str, view: View<'_>) -> Result<u32, Refusal> {
    let frontend = view.frontend_named(name);
    let number = frontend.map(|id| view.frontend(id).number).or_else(|| {
        let id = view.backend_named(name)?;
        Some(view.backend(id).number)
    });
    Ok(number.ok_or("No such proxy.")?)
}

/// Whether its proxy still is: what concerned others is not told.
fn is_there(specimen: &Specimen, view: View<'_>) -> bool {
    let name = &specimen.owner().name;
    match specimen.direction {
        Direction::Request => view.frontends().any(|(_, known)| known.name == *name),
        Direction::Response => view.backends().any(|(_, known)| known.name == *name),
    }
}
