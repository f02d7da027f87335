//! `… ssl cert` and `… ssl jwt`.

use std::fmt::Write as _;
use std::sync::Arc;

use super::super::{Answer, Command, Refusal, Session, Words};
use super::{about_another, adopt, change, committed, ocsp, refused, shown_name};
use crate::model::{AccessLevel, Model};
use crate::stats::View;
use crate::tls::certificate::CertificateError;
use crate::tls::pieces::Piece;
use crate::tls::store::{Content, Files, Pending, Stored};
use crate::tls::{Pieces, describe, pem};

pub(in super::super) const ABORT: Command = Command {
    path: &["abort", "ssl", "cert"],
    access: AccessLevel::Admin,
    usage: "abort ssl cert <certfile>",
    doc: "give a transaction for a certificate up",
    run: abort,
};

pub(in super::super) const ADD_JWT: Command = Command {
    path: &["add", "ssl", "jwt"],
    access: AccessLevel::Admin,
    usage: "add ssl jwt <certfile>",
    doc: "verify tokens with a certificate",
    run: |words, view, session| set_jwt(words, view, session, true),
};

pub(in super::super) const COMMIT: Command = Command {
    path: &["commit", "ssl", "cert"],
    access: AccessLevel::Admin,
    usage: "commit ssl cert <certfile>",
    doc: "put a certificate that was set to use",
    run: commit,
};

pub(in super::super) const DELETE: Command = Command {
    path: &["del", "ssl", "cert"],
    access: AccessLevel::Admin,
    usage: "del ssl cert <certfile>",
    doc: "forget a certificate that nothing uses",
    run: delete,
};

pub(in super::super) const DELETE_JWT: Command = Command {
    path: &["del", "ssl", "jwt"],
    access: AccessLevel::Admin,
    usage: "del ssl jwt <certfile>",
    doc: "verify no tokens with a certificate any more",
    run: |words, view, session| set_jwt(words, view, session, false),
};

pub(in super::super) const DUMP: Command = Command {
    path: &["dump", "ssl", "cert"],
    access: AccessLevel::Admin,
    usage: "dump ssl cert <certfile>",
    doc: "a certificate as its file would have it, with its private key",
    run: dump,
};

pub(in super::super) const NEW: Command = Command {
    path: &["new", "ssl", "cert"],
    access: AccessLevel::Admin,
    usage: "new ssl cert <certfile>",
    doc: "name a certificate that will be set",
    run: create,
};

pub(in super::super) const SET: Command = Command {
    path: &["set", "ssl", "cert"],
    access: AccessLevel::Admin,
    usage: "set ssl cert <certfile> <payload>",
    doc: "replace a certificate, or a part of it, with the next commit",
    run: set,
};

pub(in super::super) const SHOW: Command = Command {
    path: &["show", "ssl", "cert"],
    access: AccessLevel::Operator,
    usage: "show ssl cert [<certfile>]",
    doc: "certificates in memory, or what there is to know of one",
    run: show,
};

pub(in super::super) const SHOW_JWT: Command = Command {
    path: &["show", "ssl", "jwt"],
    access: AccessLevel::Operator,
    usage: "show ssl jwt",
    doc: "certificates that tokens are verified with",
    run: show_jwt,
};

const NOT_FOUND: &str =
    "Can't display the certificate: Not found or the certificate is a bundle!\n";

// ---- Looking

fn show(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let Some(word) = words.next() else {
        return Ok(all(view));
    };
    if let Some(certificate) = word.strip_suffix(".ocsp") {
        return ocsp::of_pieces(&pieces_of(certificate, view)?);
    }
    let (uncommitted, name) = shown_name(word);
    let pieces = pieces_of(word, view)?;
    let known = view.model().store.certificates.get(name);
    if uncommitted {
        let stored = known.cloned().unwrap_or_default();
        return Ok(detail("*", name, &stored, &pieces, "Uncommitted"));
    }
    let stored = known.ok_or(NOT_FOUND)?;
    let status = status(view.model(), name, stored);
    Ok(detail("", name, stored, &pieces, status))
}

/// What a name stands for, or behind `*` what is to take its place.
fn pieces_of(word: &str, view: View<'_>) -> Result<Pieces, Refusal> {
    let (uncommitted, name) = shown_name(word);
    if !uncommitted {
        let known = view.model().store.certificates.get(name);
        return Ok(known.ok_or(NOT_FOUND)?.content.pieces());
    }
    let transactions = view.plane.transactions();
    let pending = transactions.certificate.as_ref();
    let pending = pending.filter(|pending| pending.name == name);
    Ok(pending.ok_or(NOT_FOUND)?.content.clone())
}

fn dump(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let pieces = pieces_of(words.next().ok_or(NOT_FOUND)?, view)?;
    let key = pieces.key.as_ref().map(pem::private_key);
    let mut text = key.map_or_else(String::new, |key| key.to_string());
    text.push_str(&pem::chain(&pieces.chain));
    Ok(text)
}

/// The names of all certificates.
fn all(view: View<'_>) -> String {
    let mut text = String::new();
    if let Some(pending) = &view.plane.transactions().certificate {
        let _ = writeln!(text, "# transaction\n*{}", pending.name);
    }
    text.push_str("# filename\n");
    for name in view.model().store.certificates.keys() {
        text.push_str(name);
        text.push('\n');
    }
    text
}

fn status(model: &Model, name: &str, stored: &Stored) -> &'static str {
    if stored.content.chain().is_empty() {
        "Empty"
    } else if stored.jwt {
        "Used for JWT verification"
    } else if model.certificate_uses(name) == 0 {
        "Unused"
    } else {
        "Used"
    }
}

fn detail(mark: &str, name: &str, stored: &Stored, pieces: &Pieces, status: &str) -> String {
    let mut text = format!("Filename: {mark}{name}\n");
    let Files {
        crt,
        key,
        ocsp,
        issuer,
        sctl,
    } = &stored.files;
    for (what, file) in [
        ("Crt", crt),
        ("Key", key),
        ("OCSP", ocsp),
        ("OCSP Issuer", issuer),
        ("SCTL", sctl),
    ] {
        if let Some(file) = file {
            let _ = writeln!(text, "{what} filename: {file}");
        }
    }
    let jwt = if stored.jwt { "on" } else { "off" };
    let fetches = if stored.fetches { "on" } else { "off" };
    let _ = writeln!(
        text,
        "Option: ocsp-update {fetches}\nOption: jwt {jwt}\nStatus: {status}"
    );
    text.push_str(&describe::chain(
        &pieces.chain,
        pieces.chain_file.as_deref(),
    ));
    let key = describe::ocsp_key(pieces).unwrap_or_default();
    let _ = writeln!(text, "OCSP Response Key: {key}");
    text
}

fn show_jwt(_: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let mut text = "# filename\n".to_owned();
    let all = view.model().store.certificates.iter();
    for (name, _) in all.filter(|(_, stored)| stored.jwt) {
        text.push_str(name);
        text.push('\n');
    }
    Ok(text)
}

fn set_jwt(words: &mut Words<'_>, view: View<'_>, session: &mut Session, on: bool) -> Answer {
    let verb = if on { "add" } else { "del" };
    let name = words
        .next()
        .ok_or_else(|| Refusal(format!("'{verb} ssl cert' expects a filename\n")))?;
    let stored = view.model().store.certificates.get(name);
    let stored = stored.ok_or(NOT_FOUND)?;
    if stored.jwt != on {
        let stored = Stored {
            jwt: on,
            ..Stored::clone(stored)
        };
        keep(view, session, name, stored);
    }
    Ok(String::new())
}

/// Puts something into the store that no bind and no server looks at.
fn keep(view: View<'_>, session: &mut Session, name: &str, stored: Stored) {
    adopt(view, session, |model| {
        let store = Arc::make_mut(&mut model.store);
        store.certificates.insert(name.to_owned(), Arc::new(stored));
    });
}

// ---- Transactions

fn set(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let expected = "'set ssl cert' expects a filename and a certificate as a payload\n";
    let (Some(name), Some(payload)) = (words.next(), words.payload()) else {
        return Err(expected.into());
    };
    let updated = |error: String| Refusal(format!("{error}Can't update {name}!\n"));
    let (target, piece, before) = meant(name, view).map_err(updated)?;
    let mut pieces = before;
    if let Err(why) = pieces.replace(piece, payload) {
        let text = complaint(&target, piece, &why);
        return Err(updated(format!("{text}Can't load the payload\n")));
    }
    pieces.complete(view.model().store.issuer_chains());
    let verb = match view.plane.transactions().certificate {
        Some(_) => "updated",
        None => "created",
    };
    let answer = format!("Transaction {verb} for certificate {target}!\n");
    change(view, session, |transactions| {
        transactions.certificate = Some(Pending {
            name: target,
            content: pieces,
        });
    });
    Ok(answer)
}

/// The certificate that a name means, which of its pieces, and what they are now.
fn meant(name: &str, view: View<'_>) -> Result<(String, Piece, Pieces), String> {
    let store = &view.model().store;
    let (stem, piece) = Piece::of(name);
    let long = (piece != Piece::Pem && store.short_names).then(|| format!("{stem}.crt"));
    if let Some(pending) = &view.plane.transactions().certificate {
        if pending.name != stem && long.as_ref() != Some(&pending.name) {
            return Err(about_another(&pending.name, "set", stem));
        }
        return Ok((pending.name.clone(), piece, pending.content.clone()));
    }
    let names = std::iter::once(stem.to_owned()).chain(long);
    let mut found = names.filter_map(|name| Some((name.clone(), store.certificates.get(&name)?)));
    match found.next() {
        Some((name, stored)) => Ok((name, piece, stored.content.pieces())),
        None => Err(
            "Can't replace a certificate which is not referenced by the configuration!\n"
                .to_owned(),
        ),
    }
}

fn complaint(name: &str, piece: Piece, why: &CertificateError) -> String {
    let why = match why {
        CertificateError::NoCertificate | CertificateError::NoKey => "no start line".to_owned(),
        why => why.to_string(),
    };
    match piece {
        Piece::Pem => format!("unable to load certificate from file '{name}': {why}.\n"),
        Piece::Key => format!("unable to load private key from file '{name}' ({why}).\n"),
        Piece::Issuer => format!("'{name}' cannot be read or parsed: {why}.\n"),
        Piece::Ocsp => format!("Error reading OCSP response in Base64 format: {why}.\n"),
        Piece::Sct => format!("Error reading SCTL in Base64 format: {why}.\n"),
    }
}

fn commit(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let name = words
        .next()
        .ok_or("'commit ssl cert' expects a filename\n")?;
    let failed = |why: &str| refused(&[why, "Can't commit ", name, "!\n"]);
    let transactions = view.plane.transactions();
    let Some(pending) = &transactions.certificate else {
        return Err(failed("No ongoing transaction! !\n"));
    };
    if pending.name != name {
        return Err(failed(&about_another(&pending.name, "set", name)));
    }
    if pending.content.is_inconsistent() {
        let why = "inconsistencies between private key and certificate loaded";
        return Err(failed(&format!("{why} '{name}'.\n")));
    }
    let places = view.model().certificate_uses(name);
    let content = match (&pending.content.key, places) {
        (None, 0) => Content::Part(Arc::new(pending.content.clone())),
        _ => match pending.content.clone().assemble(name) {
            Ok(certificate) => Content::Whole(Arc::new(certificate)),
            Err(why) => {
                change(view, session, |transactions| {
                    transactions.certificate = None
                });
                let what = match why {
                    CertificateError::NoKey => {
                        format!("unable to load SSL private key into SSL Context '{name}'.")
                    }
                    why => format!("'{name}': {why}."),
                };
                return Ok(format!("Committing {name}\n{what}\nFailed!\n"));
            }
        },
    };
    adopt(view, session, |model| model.install(name, content));
    change(view, session, |transactions| {
        transactions.certificate = None
    });
    Ok(committed(name, places))
}

fn abort(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let name = words
        .next()
        .ok_or("'abort ssl cert' expects a filename\n")?;
    let transactions = view.plane.transactions();
    let pending = transactions.certificate.as_ref();
    let pending = pending.ok_or("No ongoing transaction!\n")?;
    if pending.name != name {
        let another = about_another(&pending.name, "abort a transaction for", name);
        return Err(Refusal(another));
    }
    change(view, session, |transactions| {
        transactions.certificate = None
    });
    Ok(format!("Transaction aborted for certificate '{name}'!\n"))
}

// ---- Names that come and go

/// Most certificates in memory.
const CERTIFICATES_MAX: usize = 200_000;

/// Longest name of one.
const NAME_BYTES_MAX: usize = 4_096;

fn create(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let name = words.next().ok_or("'new ssl cert' expects a filename\n")?;
    let known = &view.model().store.certificates;
    if known.contains_key(name) {
        return Err(Refusal(format!("Certificate '{name}' already exists!\n")));
    }
    if known.len() >= CERTIFICATES_MAX || name.len() > NAME_BYTES_MAX {
        return Err("unable to allocate memory.\n".into());
    }
    keep(view, session, name, Stored::default());
    Ok(format!("New empty certificate store '{name}'!\n"))
}

fn delete(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let name = words
        .next()
        .ok_or("'del ssl cert' expects a certificate name\n")?;
    let failed = |why: String| refused(&["Can't remove the certificate: ", &why, "\n"]);
    let transactions = view.plane.transactions();
    let pending = transactions.certificate.as_ref();
    if pending.is_some_and(|pending| pending.name == name) {
        return Err(failed(format!(
            "ongoing transaction for the certificate '{name}'"
        )));
    }
    let model = view.model();
    let Some(stored) = model.store.certificates.get(name) else {
        return Err(failed(format!("certificate '{name}' doesn't exist!\n")));
    };
    if stored.jwt {
        let why = "in use for JWT validation, can't be deleted!";
        return Err(failed(format!("certificate '{name}' {why}\n")));
    }
    if model.certificate_uses(name) > 0 {
        let why = "in use, can't be deleted!";
        return Err(failed(format!("certificate '{name}' {why}\n")));
    }
    adopt(view, session, |model| {
        Arc::make_mut(&mut model.store).certificates.remove(name);
    });
    Ok(format!("Certificate '{name}' deleted!\n"))
}
