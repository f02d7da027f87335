//! `acme …`: certificates that authorities issue (management guide, section 9.3).

use std::fmt::Write as _;

use super::{Answer, Change, Command, Refusal, Session, Words};
use crate::acme::renewal_s;
use crate::log::Civil;
use crate::model::AccessLevel;
use crate::stats::View;
use crate::stats::info::uptime_text;
use crate::tls::certificate;

pub(super) const RENEW: Command = Command {
    path: &["acme", "renew"],
    access: AccessLevel::Admin,
    usage: "acme renew <certfile>",
    doc: "ask the authority for a new certificate now",
    run: renew,
};

pub(super) const STATUS: Command = Command {
    path: &["acme", "status"],
    access: AccessLevel::Admin,
    usage: "acme status",
    doc: "certificates that authorities issue, and when they are renewed",
    run: status,
};

fn renew(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let name = words.next().ok_or(": not enough parameters\n")?;
    let Some(stored) = view.model().store.certificates.get(name) else {
        return Err(Refusal(format!("Can't find the certificate '{name}'.\n")));
    };
    let Some(wanted) = &stored.subscription else {
        let refusal = format!("No ACME configuration defined for file '{name}'.\n");
        return Err(Refusal(refusal));
    };
    let failed = "Can't start the ACME client.";
    if wanted.domains.is_empty() && wanted.ips.is_empty() {
        let why = "No 'domains' or 'ips' were configured for certificate. ";
        return Err(Refusal(format!("{why}{failed}")));
    }
    if view.plane.acme.has(name) {
        let why = format!("Task already exists for '{name}' certificate.\n");
        return Err(Refusal(format!("{why}{failed}")));
    }
    session.changes.push(Change::Renew(name.to_owned()));
    Ok(String::new())
}

fn status(_: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let mut text = "# certificate\tsection\tstate\texpiration date (UTC)\texpires in\t\
                    scheduled date (UTC)\tscheduled in\n"
        .to_owned();
    let now_s = (view.now.wall_ms / 1_000) as i64;
    let scheduler = view.model().global.acme_scheduler;
    for (name, stored) in &view.model().store.certificates {
        let Some(wanted) = &stored.subscription else {
            continue;
        };
        let own = stored.content.chain().first();
        let Some(Ok(parsed)) = own.map(|der| certificate::parse(der)) else {
            continue;
        };
        let running = view.plane.acme.has(name);
        let state = match (running, scheduler) {
            (true, _) => "Running",
            (false, true) => "Scheduled",
            (false, false) => "Stopped",
        };
        let end = moment(parsed.validity().not_after.timestamp(), now_s);
        let scheduled = match state {
            "Scheduled" => moment(renewal_s(&parsed), now_s),
            _ => "-\t-".to_owned(),
        };
        let section = &wanted.section;
        let _ = writeln!(text, "{name}\t{section}\t{state}\t{end}\t{scheduled}");
    }
    Ok(text)
}

/// A moment, and how far it is away.
fn moment(second: i64, now_s: i64) -> String {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second: seconds,
    } = Civil::of(second);
    let left = uptime_text(second.saturating_sub(now_s).max(0).unsigned_abs());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{seconds:02}Z\t{left}")
}
