//! `… ssl crt-list`.

use std::fmt::Write as _;
use std::sync::Arc;

use super::super::{Answer, Change, Command, Session, Words};
use super::refused;
use crate::keyword::haproxy;
use crate::model::tls::{BindTls, Entry};
use crate::model::{AccessLevel, Mode, Model};
use crate::stats::View;
use crate::tls::Certificate;
use crate::tls::crt_list::{self, Line};
use crate::tls::names::Filter;
use crate::tls::store::{List, ListLine, Store};

pub(in super::super) const ADD: Command = Command {
    path: &["add", "ssl", "crt-list"],
    access: AccessLevel::Admin,
    usage: "add ssl crt-list <list> <cert>|<payload>",
    doc: "one more certificate on a list",
    run: add,
};

pub(in super::super) const DELETE: Command = Command {
    path: &["del", "ssl", "crt-list"],
    access: AccessLevel::Admin,
    usage: "del ssl crt-list <list> <cert[:line]>",
    doc: "one certificate less on a list",
    run: delete,
};

pub(in super::super) const SHOW: Command = Command {
    path: &["show", "ssl", "crt-list"],
    access: AccessLevel::Admin,
    usage: "show ssl crt-list [-n] [<list>]",
    doc: "lists of certificates, or the lines of one",
    run: show,
};

/// Most lines of a list.
const LINES_MAX: usize = crt_list::LINES_MAX;

fn show(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let numbered = words.peek() == Some("-n");
    if numbered {
        words.next();
    }
    let lists = &view.model().store.lists;
    let Some(name) = words.next() else {
        if numbered {
            return Err("'show ssl crt-list -n' expects a filename or a directory\n".into());
        }
        return Ok(lists.keys().map(|name| format!("{name}\n")).collect());
    };
    let name = name.trim_end_matches('/');
    let list = lists
        .get(name)
        .ok_or("didn't find the specified filename\n")?;
    let mut text = format!("# {name}\n");
    for line in &list.lines {
        text.push_str(&line.certificate);
        if numbered {
            let _ = write!(text, ":{}", line.number);
        }
        for part in line.options.iter().chain(&line.filters) {
            text.push(' ');
            text.push_str(part);
        }
        text.push('\n');
    }
    Ok(text)
}

// ---- One line more

fn add(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let expected = "'add ssl crtlist' expects a filename and a certificate name\n";
    let path = words.next().ok_or(expected)?.trim_end_matches('/');
    let written = match (words.payload(), words.next()) {
        (Some(payload), _) => payload.strip_suffix('\n').unwrap_or(payload).to_owned(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => return Err(expected.into()),
    };
    let failed = |why: String| refused(&["Can't edit the crt-list: ", &why, "\n"]);
    let model = view.model();
    let Some(list) = model.store.lists.get(path) else {
        return Err(failed(format!("crt-list '{path}' does not exist!")));
    };
    let line = read(&written, list, &model.store).map_err(failed)?;
    let name = model.store.full_name(&line.file);
    let known = model.store.certificates.get(&name);
    let Some(stored) = known else {
        return Err(failed(format!("certificate '{name}' does not exist!")));
    };
    if stored.content.chain().is_empty() {
        return Err(failed(format!("certificate '{name}' is empty!")));
    }
    let twice = list.lines.iter().any(|line| line.certificate == name);
    if list.is_directory && twice {
        return Err(failed("file already exists in this directory!".to_owned()));
    }
    let begun = format!("Inserting certificate '{name}' in crt-list '{path}'");
    let Some(certificate) = stored.content.whole() else {
        let why = format!("unable to load SSL private key into SSL Context '{name}'.");
        return Ok(format!("{begun}.\n{why}\nFailed!\n"));
    };
    match extended(model, path, &line, certificate) {
        Ok((model, binds)) => {
            session.changes.push(Change::Model(Box::new(model)));
            Ok(format!("{begun}{}\nSuccess!\n", ".".repeat(binds)))
        }
        Err(why) => Ok(format!("{begun}.\n{why}\nFailed!\n")),
    }
}

/// Reads a line, whose files of authorities must be in memory.
fn read(written: &str, list: &List, store: &Store) -> Result<Line, String> {
    if written.contains('\n') {
        return Err("only one line of payload is supported!".to_owned());
    }
    let line = crt_list::parse_line(written).map_err(|why| format!("parsing [CLI:1]: {why}"))?;
    let line =
        line.ok_or("'add ssl crtlist' should contain the certificate name in the payload")?;
    if list.is_directory && (!line.options.is_empty() || !line.names.is_empty()) {
        let why = "this is a directory, SSL configuration, crt-store keywords and filters are not allowed";
        return Err(why.to_owned());
    }
    if list.lines.len() >= LINES_MAX {
        return Err("the list is too long".to_owned());
    }
    for pair in line.options.windows(2) {
        let [word, file] = pair else { continue };
        if matches!(word.as_str(), "issuer" | "key" | "ocsp" | "sctl") {
            return Err(format!("'{word}' cannot be given here: use 'set ssl cert'"));
        }
        if !matches!(word.as_str(), "ca-file" | "ca-verify-file" | "crl-file") {
            continue;
        }
        let full = match &store.ca_base {
            Some(base) if !file.starts_with(['/', '@']) => format!("{base}/{file}"),
            _ => file.clone(),
        };
        if !store.bundles.contains_key(&full) {
            return Err(format!("unable to load {full}"));
        }
    }
    Ok(line)
}

/// The model with one more line, and the number of binds that look at it.
fn extended(
    model: &Model,
    path: &str,
    line: &Line,
    certificate: &Arc<Certificate>,
) -> Result<(Model, usize), String> {
    let mut model = model.clone();
    let number = model.store.lists[path].last + 1;
    let list: Arc<str> = path.into();
    let store = Arc::clone(&model.store);
    let make = |tls: &BindTls, mode: Mode| {
        Ok::<_, String>(Entry {
            certificate: Arc::clone(certificate),
            filters: line.filters(),
            profile: haproxy::dynamic_line(line, &tls.profile, mode, &store)?,
            list: Some((Arc::clone(&list), number)),
            default: line.filters().iter().any(Filter::is_default),
        })
    };
    let fetches = line.fetches().unwrap_or(model.global.stapling.by_default);
    let known = model.store.certificates.get(&certificate.name);
    let differs = known.is_some_and(|known| known.fetches != fetches);
    if differs && model.presented().contains(certificate.name.as_str()) {
        let name = &certificate.name;
        return Err(format!(
            "'{name}' has a different parameter 'ocsp-update' elsewhere"
        ));
    }
    let binds = model.add_entries(path, make)?;
    let store = Arc::make_mut(&mut model.store);
    let shown = ListLine {
        number,
        certificate: certificate.name.clone(),
        options: crt_list::in_order(&line.options, store.ca_base.as_deref()),
        filters: line.names.clone(),
    };
    if differs && let Some(stored) = store.certificates.get_mut(&certificate.name) {
        Arc::make_mut(stored).fetches = fetches;
    }
    if let Some(list) = store.lists.get_mut(path) {
        let list = Arc::make_mut(list);
        list.lines.push(shown);
        list.last = number;
    }
    Ok((model, binds))
}

// ---- One line less

fn delete(words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let expected = "'del ssl crtlist' expects a filename and a certificate name\n";
    let path = words.next().ok_or(expected)?.trim_end_matches('/');
    let word = words.next().ok_or(expected)?;
    let failed = |why: String| refused(&["Can't delete the entry: ", &why, "\n"]);
    let (name, wanted) = match word.split_once(':') {
        None => (word, 0),
        Some((name, number)) => match number.parse::<u32>() {
            Ok(number) => (name, number),
            Err(_) => {
                return Err(failed(format!(
                    "wrong line number after colons in '{word}'!"
                )));
            }
        },
    };
    let model = view.model();
    let Some(list) = model.store.lists.get(path) else {
        return Err(failed(format!("crt-list '{path}' does not exist!")));
    };
    let stored = model.store.certificates.get(name);
    let Some(stored) = stored else {
        return Err(failed(format!("certificate '{name}' does not exist!")));
    };
    if stored.content.chain().is_empty() {
        return Err(failed(format!("certificate '{name}' is empty!")));
    }
    let number = chosen(list, path, name, wanted).map_err(failed)?;
    let places = defaults(model, path, name, number);
    if !places.is_empty() {
        let why =
            "cannot be deleted, it is used as default certificate by the following frontends:";
        return Err(failed(format!("certificate '{name}' {why}\n{places}")));
    }
    let mut model = model.clone();
    model.remove_entries(path, name, number);
    if let Some(list) = Arc::make_mut(&mut model.store).lists.get_mut(path) {
        let is_it = |line: &ListLine| line.certificate == name && line.number == number;
        Arc::make_mut(list).lines.retain(|line| !is_it(line));
    }
    session.changes.push(Change::Model(Box::new(model)));
    Ok(format!("Entry '{name}' deleted in crtlist '{path}'!\n"))
}

/// The line that is meant: the one of this number, or the only one there is.
fn chosen(list: &List, path: &str, name: &str, wanted: u32) -> Result<u32, String> {
    let lines = list.lines.iter();
    let lines = lines.filter(|line| line.certificate == name);
    let numbers: Vec<_> = lines.map(|line| line.number).collect();
    let shown: Vec<_> = numbers.iter().map(u32::to_string).collect();
    let shown = shown.join(", ");
    let hint = format!("please specify a line number preceded by colons ({shown})!");
    match numbers.as_slice() {
        [] => Err(format!(
            "certificate '{name}' can't be found in crt-list '{path}'!"
        )),
        all if wanted != 0 => match all.contains(&wanted) {
            true => Ok(wanted),
            false => Err(format!(
                "found a certificate '{name}' but the line number is incorrect, please specify a correct line number preceded by colons ({shown})!"
            )),
        },
        [number] => Ok(*number),
        _ => Err(format!(
            "found the certificate '{name}' in several entries, {hint}"
        )),
    }
}

/// Where a line answers clients whose name nobody has, a place a line.
fn defaults(model: &Model, path: &str, name: &str, number: u32) -> String {
    let mut text = String::new();
    for (frontend, bind) in model.binds_by_default(path, name, number) {
        let place = model.store.places.get(&(frontend.number, bind.number));
        let line = format!("\t- {}\n", place.map_or("", String::as_str));
        if !text.ends_with(&line) {
            text.push_str(&line);
        }
    }
    text
}
