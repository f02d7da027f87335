//! `… ssl ocsp-response` and `show ssl ocsp-updates`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::{Again, Answer, Change, Command, Refusal, Session, Words};
use super::adopt;
use crate::log::Civil;
use crate::model::{AccessLevel, Model};
use crate::stapling::{Inquiry, Status};
use crate::stats::View;
use crate::tls::Pieces;
use crate::tls::ocsp::{CertificateId, Response};

pub(in super::super) const SET: Command = Command {
    path: &["set", "ssl", "ocsp-response"],
    access: AccessLevel::Admin,
    usage: "set ssl ocsp-response <base64|payload>",
    doc: "staple another response of an authority",
    run: set,
};

pub(in super::super) const SHOW: Command = Command {
    path: &["show", "ssl", "ocsp-response"],
    access: AccessLevel::Admin,
    usage: "show ssl ocsp-response [[text|base64] <id|certfile>]",
    doc: "responses of authorities that are stapled, or one of them",
    run: show,
};

pub(in super::super) const SHOW_UPDATES: Command = Command {
    path: &["show", "ssl", "ocsp-updates"],
    access: AccessLevel::Admin,
    usage: "show ssl ocsp-updates",
    doc: "what authorities have answered, and when they are asked next",
    run: show_updates,
};

pub(in super::super) const UPDATE: Command = Command {
    path: &["update", "ssl", "ocsp-response"],
    access: AccessLevel::Admin,
    usage: "update ssl ocsp-response <certfile>",
    doc: "ask the authority of a certificate now",
    run: update,
};

/// How often it is looked whether an authority has answered.
const STEP_MS: u64 = 20;

/// How long an answer is waited for; requests are given up before.
const PATIENCE_MS: u64 = 60_000;

/// Longest response, in bytes.
const RESPONSE_BYTES_MAX: usize = 65_535;

/// The certificates that have a response, by their names in it: the first file of each, and the response.
fn responses(model: &Model) -> BTreeMap<CertificateId, (&str, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for (file, stored) in &model.store.certificates {
        let pieces = stored.content.pieces();
        if let Some(id) = CertificateId::of(&pieces)
            && let Some(response) = pieces.ocsp
        {
            found.entry(id).or_insert((file.as_str(), response));
        }
    }
    found
}

fn show(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let known = responses(view.model());
    let Some(word) = words.next() else {
        return Ok(all(&known));
    };
    let (in_base64, word) = match word {
        "text" | "base64" => {
            let which = words.next();
            let missing = "'show ssl ocsp-response [text|base64]' expects a valid certid.\n";
            (word == "base64", which.ok_or(missing)?)
        }
        word => (false, word),
    };
    let store = &view.model().store;
    let id = CertificateId::read(word).or_else(|| {
        let stored = store.certificates.get(word)?;
        CertificateId::of(&stored.content.pieces())
    });
    let id = id.ok_or("'show ssl ocsp-response' expects a valid certid or certificate path.\n")?;
    let (_, response) = known
        .get(&id)
        .ok_or("Certificate ID or path does not match any certificate.\n")?;
    match in_base64 {
        true => Ok(data_encoding::BASE64.encode(response) + "\n"),
        false => text(response),
    }
}

fn all(known: &BTreeMap<CertificateId, (&str, Vec<u8>)>) -> String {
    let mut text = "# Certificate IDs\n".to_owned();
    for (id, (file, _)) in known {
        let _ = write!(
            text,
            "Certificate ID key : {}\nCertificate path : {file}\n Certificate ID:\n{}",
            id.text(),
            id.describe(3)
        );
    }
    text
}

fn text(response: &[u8]) -> Answer {
    match Response::read(response) {
        Ok(read) => Ok(read.text()),
        Err(why) => Err(Refusal(format!("{why}.\n"))),
    }
}

/// The response of a certificate, for `show ssl cert FILE.ocsp`.
pub(super) fn of_pieces(pieces: &Pieces) -> Answer {
    let response = pieces.ocsp.as_ref();
    text(response.ok_or("Can't display the OCSP response: there is none.\n")?)
}

fn set(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let given = words.payload().or_else(|| words.next());
    let given = given.ok_or("'set ssl ocsp-response' expects response in base64 encoding.\n")?;
    let packed: Vec<u8> = given
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let decoded = data_encoding::BASE64.decode(&packed).ok();
    let der = decoded.filter(|der| !der.is_empty() && der.len() <= RESPONSE_BYTES_MAX);
    let der = der.ok_or("'set ssl ocsp-response' received invalid base64 encoded response.\n")?;
    let failed = |why: &str| Refusal(format!("{why}.\n"));
    let response = Response::read(&der).map_err(failed)?;
    let now_s = (view.now.wall_ms / 1_000) as i64;
    response.is_usable(now_s).map_err(failed)?;
    if view.model().stapled(&response).next().is_none() {
        let why = "OCSP single response: Certificate ID does not match any certificate or issuer";
        return Err(failed(why));
    }
    adopt(view, session, |model| {
        model.staple(&response, &der);
    });
    Ok("OCSP Response updated!\n".to_owned())
}

// ---- Asking authorities

fn show_updates(_: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let mut text = "OCSP Certid | Path | Next Update | Last Update | Successes | Failures | \
                    Last Update Status | Last Update Status (str)\n"
        .to_owned();
    let inquiries = Inquiry::all(view.model());
    let record = |inquiry: Inquiry| {
        let record = view.plane.inquiries.record(&inquiry.id);
        (inquiry, record.unwrap_or_default())
    };
    let mut all: Vec<_> = inquiries.into_iter().map(record).collect();
    all.sort_by_key(|(_, record)| record.next_s);
    for (inquiry, record) in all {
        let next = moment(Some(record.next_s).filter(|_| !record.running));
        let last = moment(record.last_s);
        let (id, file, status) = (inquiry.id.text(), &inquiry.file, record.status);
        let (good, bad) = (record.successes, record.failures);
        let why = match record.detail.as_str() {
            "" => String::new(),
            detail => format!(" ({detail})"),
        };
        let _ = writeln!(
            text,
            "{id} | {file} | {next} | {last} | {good} | {bad} | {} | {}{why}",
            status as u8,
            status.text()
        );
    }
    Ok(text)
}

/// `30/Jan/2023:00:08:09 +0000`.
fn moment(second: Option<i64>) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let Some(second) = second.filter(|second| *second > 0) else {
        return "-".to_owned();
    };
    let at = Civil::of(second);
    let month = MONTHS[(at.month as usize).clamp(1, 12) - 1];
    format!(
        "{:02}/{month}/{:04}:{:02}:{:02}:{:02} +0000",
        at.day, at.year, at.hour, at.minute, at.second
    )
}

/// The first time it has the authority asked; then it comes again with how often that was asked before, and how long it
/// may still wait.
fn update(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let file = words
        .next()
        .ok_or("'update ssl ocsp-response' expects a filename\n")?;
    let failed = |why: &str| {
        let text = format!("{why}\nCan't send ocsp request for {file}!\n");
        Refusal(text)
    };
    let inquiry = Inquiry::about(view.model(), file).map_err(failed)?;
    let has_response = responses(view.model()).contains_key(&inquiry.id);
    let stored = view.model().store.certificates.get(file);
    if !has_response && !stored.is_some_and(|stored| stored.fetches) {
        return Err(failed("there is no response that could be replaced"));
    }
    let record = view.plane.inquiries.record(&inquiry.id).unwrap_or_default();
    let mut waiting = || words.next().and_then(|word| word.parse::<u64>().ok());
    let (before, left_ms) = match (waiting(), waiting()) {
        (Some(before), Some(left_ms)) => (before, left_ms),
        _ => {
            session.changes.push(Change::Inquire(file.to_owned()));
            (u64::from(record.attempts()), PATIENCE_MS)
        }
    };
    if u64::from(record.attempts()) > before {
        return match record.status {
            Status::Updated => {
                let known = responses(view.model());
                let (_, response) = known.get(&inquiry.id).ok_or("the response is gone\n")?;
                text(response)
            }
            status => Err(failed(&format!("{} ({})", status.text(), record.detail))),
        };
    }
    let Some(left_ms) = left_ms.checked_sub(STEP_MS) else {
        return Err(failed("no answer in time"));
    };
    let again = ["update", "ssl", "ocsp-response", file];
    let again = again.map(str::to_owned).into_iter();
    session.again = Some(Again {
        after_ms: STEP_MS,
        words: again
            .chain([before.to_string(), left_ms.to_string()])
            .collect(),
    });
    Ok(String::new())
}
