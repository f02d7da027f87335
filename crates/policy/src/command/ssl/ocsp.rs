//! `… ssl ocsp-response`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::{Answer, Command, Refusal, Session, Words};
use super::adopt;
use crate::model::{AccessLevel, Model};
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
