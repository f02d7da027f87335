//! `show ssl sni`.

use std::fmt::Write as _;
use std::sync::Arc;

use plimsoll_config::values;

use super::super::{Answer, Command, Refusal, Session, Words};
use crate::model::tls::{BindTls, Entry};
use crate::model::{AccessLevel, Frontend};
use crate::stats::View;
use crate::tls::names::Filter;
use crate::tls::{KeyKind, certificate, describe};

pub(in super::super) const SHOW: Command = Command {
    path: &["show", "ssl", "sni"],
    access: AccessLevel::User,
    usage: "show ssl sni [-f <frontend>] [-A] [-t <offset>]",
    doc: "names of certificates and the files that answer for them",
    run: show,
};

/// Which rows are wanted.
#[derive(Default)]
struct Wish {
    frontend: Option<String>,
    /// Only certificates that are no longer valid at this moment, in seconds since 1970.
    expired_at_s: Option<i64>,
}

fn show(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let wish = wish(words, view)?;
    let mut text =
        "# Frontend/Bind\tSNI\tNegative Filter\tType\tFilename\tNotAfter\tNotBefore\n".to_owned();
    let frontends = view.model().frontends.iter();
    let wanted = |frontend: &&Frontend| {
        let name = wish.frontend.as_ref();
        name.is_none_or(|name| *name == frontend.name)
    };
    for frontend in frontends.filter(wanted) {
        let mut last: Option<&Arc<BindTls>> = None;
        for bind in &frontend.binds {
            let Some(tls) = &bind.tls else { continue };
            // The addresses of one line have the same names.
            if last.is_some_and(|last| Arc::ptr_eq(last, tls)) {
                continue;
            }
            last = Some(tls);
            let places = &view.model().store.places;
            let place = places.get(&(frontend.number, bind.number));
            let place = place.map_or("", String::as_str);
            rows(&mut text, &format!("{}/{place}", frontend.name), tls, &wish);
        }
    }
    Ok(text)
}

fn wish(words: &mut Words<'_>, view: View<'_>) -> Result<Wish, Refusal> {
    let now_s = (view.now.wall_ms / 1_000) as i64;
    let (mut wish, mut offset_s, mut expired) = (Wish::default(), 0, false);
    while let Some(word) = words.next() {
        match word {
            "-f" => {
                let name = words.next().ok_or("'-f' requires a frontend name!\n")?;
                let known = view.frontend_named(name);
                known.ok_or("Couldn't find the specified frontend!\n")?;
                wish.frontend = Some(name.to_owned());
            }
            "-A" => expired = true,
            "-t" => {
                let text = words.next().ok_or("'-t' requires an offset argument!\n")?;
                offset_s = offset(text)?;
            }
            _ => {
                let only = "only supports '-f', '-A' or '-t' options!\n";
                let message = format!("Invalid parameters, 'show ssl sni' {only}");
                return Err(Refusal(message));
            }
        }
    }
    wish.expired_at_s = expired.then_some(now_s.saturating_add(offset_s));
    Ok(wish)
}

/// A duration in seconds, unless it has a unit.
fn offset(text: &str) -> Result<i64, Refusal> {
    let read = values::parse_duration(text, values::TimeUnit::Seconds);
    let wrong = || Refusal(format!("'-t {text}' : unexpected character"));
    let read = read.map_err(|_| wrong())?;
    if read.trailing > 0 {
        return Err(wrong());
    }
    match i64::try_from(read.value.as_secs()) {
        Ok(0) => Err("'-t' expects a positive value".into()),
        Ok(seconds) => Ok(seconds),
        Err(_) => Err(wrong()),
    }
}

/// The names of a bind in their order: those that are exact, then wildcards.
fn rows(text: &mut String, place: &str, tls: &BindTls, wish: &Wish) {
    let (mut exact, mut wild) = (Vec::new(), Vec::new());
    for entry in &tls.entries {
        let filters = match entry.filters.is_empty() {
            true => {
                let names = entry.certificate.names.iter();
                names.map(|name| Filter::read(name)).collect()
            }
            false => entry.filters.clone(),
        };
        let starred = filters.iter().any(Filter::is_default);
        for filter in filters.iter().filter(|filter| !filter.negated) {
            match filter.wildcard {
                true => wild.push((filter.name.clone(), entry)),
                false => exact.push((filter.name.clone(), entry)),
            }
        }
        if entry.default && !starred {
            wild.push((String::new(), entry));
        }
    }
    exact.sort_by(|(one, _), (other, _)| one.cmp(other));
    wild.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, entry) in exact {
        row(text, place, &name, "-", entry, wish);
    }
    for (name, entry) in wild {
        // The last one first, as HAProxy has them.
        let excluded = entry.filters.iter().rev().filter(|filter| filter.negated);
        let excluded: String = excluded
            .map(|filter| format!("!{} ", filter.name))
            .collect();
        let excluded = if excluded.is_empty() { "-" } else { &excluded };
        row(text, place, &format!("*{name}"), excluded, entry, wish);
    }
}

fn row(text: &mut String, place: &str, name: &str, excluded: &str, entry: &Entry, wish: &Wish) {
    let certificate = &entry.certificate;
    let parsed = certificate.chain.first();
    let Some(Ok(parsed)) = parsed.map(|der| certificate::parse(der)) else {
        return;
    };
    let end_s = parsed.validity().not_after.timestamp();
    if wish.expired_at_s.is_some_and(|moment_s| moment_s <= end_s) {
        return;
    }
    let kind = match certificate.kind {
        KeyKind::Rsa => "rsa",
        KeyKind::Ecdsa => "ecdsa",
        KeyKind::Other => "dsa",
    };
    let (from, to) = describe::validity(&parsed);
    let file = &certificate.name;
    let _ = writeln!(
        text,
        "{place}\t{name}\t{excluded}\t{kind}\t{file}\t{to}\t{from}"
    );
}
