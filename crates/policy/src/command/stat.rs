//! `show stat`.

use super::{Answer, Command, Refusal, Session, Words, resolvers};
use crate::model::AccessLevel;
use crate::stats::format::{self, Format};
use crate::stats::rows::{Selection, rows};
use crate::stats::{View, file};

pub(super) const FILE: Command = Command {
    path: &["dump", "stats-file"],
    access: AccessLevel::User,
    usage: "dump stats-file",
    doc: "the counters of what has a guid, for the 'stats-file' of the next start",
    run: |_, view, _| Ok(file::dump(view)),
};

pub(super) const STAT: Command = Command {
    path: &["show", "stat"],
    access: AccessLevel::User,
    usage: "show stat [domain proxy|resolvers] [desc|json|no-maint|typed|up]*",
    doc: "counters of each frontend, backend and server",
    run: stat,
};

fn stat(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let mut selection = Selection {
        legends: session.level >= AccessLevel::Operator,
        ..Selection::default()
    };
    if words.all().first().is_some_and(|word| word == "domain") {
        words.skip(1);
        match words.next() {
            Some("proxy") => {}
            Some("resolvers") if words.is_empty() => return Ok(resolvers::table(view)),
            Some("resolvers") => return Err("Name servers are told as CSV only.".into()),
            _ => return Err("Invalid statistics domain.".into()),
        }
    }
    if let [proxy, kinds, service, ..] = words.all() {
        select(view, [proxy, kinds, service], &mut selection)?;
    }
    let (mut printed, mut described) = (Format::Csv, false);
    for word in words.all() {
        match word.as_str() {
            "typed" => printed = Format::Typed,
            "json" => printed = Format::Json,
            "desc" => described = true,
            "up" => selection.without_down = true,
            "no-maint" => selection.without_maintenance = true,
            // Words of later versions are no reason to answer nothing.
            _ => {}
        }
    }
    Ok(format::stat(rows(view, &selection), printed, described))
}

/// `PROXY KINDS SERVER`: a name or a number, a sum of 1 (frontends), 2 (backends) and 4 (servers), a number; -1 is all.
fn select(
    view: View<'_>,
    [proxy, kinds, service]: [&String; 3],
    selection: &mut Selection,
) -> Result<(), Refusal> {
    if ["typed", "json", "desc", "up", "no-maint"].contains(&proxy.as_str()) {
        return Ok(());
    }
    let by_name = view
        .frontends()
        .map(|(_, model)| (&model.name, model.number))
        .chain(
            view.backends()
                .map(|(_, model)| (&model.name, model.number)),
        )
        .find(|(name, _)| *name == proxy)
        .map(|(_, number)| i64::from(number));
    let number = by_name.or_else(|| proxy.parse().ok()).unwrap_or(0);
    if number == 0 {
        return Err("No such proxy.".into());
    }
    selection.proxy = u32::try_from(number).ok();
    selection.kinds = kinds.parse().unwrap_or(0);
    selection.service = service
        .parse::<i64>()
        .ok()
        .and_then(|number| u32::try_from(number).ok());
    Ok(())
}
