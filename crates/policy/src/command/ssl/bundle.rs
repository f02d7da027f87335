//! `… ssl ca-file` and `… ssl crl-file`: files of authorities and of revocation lists, which are treated alike.

use std::fmt::Write as _;
use std::sync::Arc;

use super::super::{Answer, Command, Refusal, Session, Words};
use super::{about_another, adopt, change, committed, refused, shown_name};
use crate::model::AccessLevel;
use crate::model::tls::Bundle;
use crate::stats::View;
use crate::tls::store::{BundleKind, Pending, StoredBundle, Transactions};
use crate::tls::{certificate, describe};

/// How one kind of file is called.
struct Names {
    kind: BundleKind,
    /// `ca-file`.
    word: &'static str,
    /// `CA`.
    short: &'static str,
}

const AUTHORITIES: Names = Names {
    kind: BundleKind::Authorities,
    word: "ca-file",
    short: "CA",
};

const REVOCATIONS: Names = Names {
    kind: BundleKind::Revocations,
    word: "crl-file",
    short: "CRL",
};

/// The commands that both kinds have.
macro_rules! commands {
    ($($name:ident $names:ident $verb:literal $word:literal $access:ident $tail:literal $doc:literal $run:expr;)*) => {$(
        pub(in super::super) const $name: Command = Command {
            path: &[$verb, "ssl", $word],
            access: AccessLevel::$access,
            usage: concat!($verb, " ssl ", $word, " ", $tail),
            doc: $doc,
            run: |words, view, session| $run(&$names, words, view, session),
        };
    )*};
}

commands! {
    ABORT_CA AUTHORITIES "abort" "ca-file" Admin "<cafile>" "give a transaction for authorities up" abort;
    ABORT_CRL REVOCATIONS "abort" "crl-file" Admin "<crlfile>" "give a transaction for revocation lists up" abort;
    ADD_CA AUTHORITIES "add" "ca-file" Admin "<cafile> <payload>"
        "believe further authorities with the next commit" add;
    COMMIT_CA AUTHORITIES "commit" "ca-file" Admin "<cafile>" "put authorities that were set to use" commit;
    COMMIT_CRL REVOCATIONS "commit" "crl-file" Admin "<crlfile>" "put revocation lists that were set to use" commit;
    DELETE_CA AUTHORITIES "del" "ca-file" Admin "<cafile>" "forget authorities that nothing uses" delete;
    DELETE_CRL REVOCATIONS "del" "crl-file" Admin "<crlfile>" "forget revocation lists that nothing uses" delete;
    NEW_CA AUTHORITIES "new" "ca-file" Admin "<cafile>" "name a file of authorities that will be set" create;
    NEW_CRL REVOCATIONS "new" "crl-file" Admin "<crlfile>" "name a file of revocation lists that will be set" create;
    SET_CA AUTHORITIES "set" "ca-file" Admin "<cafile> <payload>" "replace authorities with the next commit" set;
    SET_CRL REVOCATIONS "set" "crl-file" Admin "<crlfile> <payload>"
        "replace revocation lists with the next commit" set;
    SHOW_CA AUTHORITIES "show" "ca-file" Operator "[<cafile>[:<index>]]"
        "authorities in memory, or what there is to know of them" show;
    SHOW_CRL REVOCATIONS "show" "crl-file" Operator "[<crlfile>[:<index>]]"
        "revocation lists in memory, or what is in them" show;
}

impl Names {
    /// What is to take the place of such a file.
    fn pending<'a>(
        &self,
        transactions: &'a mut Transactions,
    ) -> &'a mut Option<Pending<Vec<Vec<u8>>>> {
        match self.kind {
            BundleKind::Authorities => &mut transactions.authorities,
            BundleKind::Revocations => &mut transactions.revocations,
        }
    }

    fn open(&self, view: View<'_>) -> Option<Pending<Vec<Vec<u8>>>> {
        let mut transactions = Transactions::clone(&view.plane.transactions());
        self.pending(&mut transactions).take()
    }

    fn stored<'a>(&self, view: View<'a>, name: &str) -> Option<&'a StoredBundle> {
        let stored = view.plane.model.store.bundles.get(name)?;
        (stored.kind == self.kind).then_some(stored)
    }

    /// What a payload has; nothing usable is an error.
    fn read(&self, payload: &str) -> Option<Vec<Vec<u8>>> {
        let read = match self.kind {
            BundleKind::Authorities => certificate::authorities(payload.as_bytes()),
            BundleKind::Revocations => certificate::revocations(payload.as_bytes()),
        };
        let items = read.ok().filter(|items| !items.is_empty())?;
        let sound = |der: &Vec<u8>| match self.kind {
            BundleKind::Authorities => certificate::parse(der).is_ok(),
            BundleKind::Revocations => !describe::revocation_list(der).is_empty(),
        };
        items.iter().all(sound).then_some(items)
    }

    fn expects(&self, verb: &str, what: &str) -> Refusal {
        Refusal(format!("'{verb} ssl {}' expects {what}\n", self.word))
    }
}

// ---- Looking

fn show(names: &Names, words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let Some(word) = words.next() else {
        return Ok(all(names, view));
    };
    let short = names.short;
    let not_found = || Refusal(format!("Can't display the {short} file : Not found!\n"));
    let (file, index) = match word.split_once(':') {
        None => (word, None),
        Some((file, index)) => {
            let index = index.parse::<usize>().ok().filter(|index| *index > 0);
            let wrong = || Refusal(format!("wrong {short} index after colons in '{word}'!"));
            (file, Some(index.ok_or_else(wrong)?))
        }
    };
    let (uncommitted, name) = shown_name(file);
    let pending = names
        .open(view)
        .filter(|pending| uncommitted && pending.name == name);
    let (items, status) = match (&pending, uncommitted) {
        (Some(pending), _) => (Some(pending.content.as_slice()), "Uncommitted"),
        (None, true) => return Err(not_found()),
        (None, false) => {
            let stored = names.stored(view, name).ok_or_else(not_found)?;
            let items = stored.bundle.as_ref().map(|bundle| bundle.items.as_slice());
            let status = match (items, view.model().bundle_uses(name)) {
                (None, _) => "Empty",
                (Some(_), 0) => "Unused",
                (Some(_), _) => "Used",
            };
            (items, status)
        }
    };
    let mark = if uncommitted { "*" } else { "" };
    let mut text = format!("Filename: {mark}{name}\nStatus: {status}\n");
    let wanted = |number: usize| index.is_none_or(|index| index == number);
    if index.is_some_and(|index| items.is_some_and(|items| index > items.len())) {
        return Ok(String::new());
    }
    let items = (1..).zip(items.unwrap_or_default());
    for (number, der) in items.filter(|(number, _)| wanted(*number)) {
        let (what, detail) = match names.kind {
            BundleKind::Authorities => ("Certificate", describe::one(der)),
            BundleKind::Revocations => (
                "Certificate Revocation List",
                describe::revocation_list(der),
            ),
        };
        let _ = write!(text, " \n{what} #{number}:\n{detail}");
    }
    Ok(text)
}

/// The names of all files, of authorities with how many there are.
fn all(names: &Names, view: View<'_>) -> String {
    let counted = |count: usize| match names.kind {
        BundleKind::Authorities => format!(" - {count} certificate(s)"),
        BundleKind::Revocations => String::new(),
    };
    let mut text = String::new();
    if let Some(pending) = names.open(view) {
        let count = counted(pending.content.len());
        let _ = writeln!(text, "# transaction\n*{}{count}", pending.name);
    }
    text.push_str("# filename\n");
    let all = view.model().store.bundles.iter();
    for (name, stored) in all.filter(|(_, stored)| stored.kind == names.kind) {
        let count = stored
            .bundle
            .as_ref()
            .map_or(0, |bundle| bundle.items.len());
        let _ = writeln!(text, "{name}{}", counted(count));
    }
    text
}

// ---- Transactions

fn set(names: &Names, words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    replace(names, words, view, session, false)
}

fn add(names: &Names, words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    replace(names, words, view, session, true)
}

/// Most items of one file.
const ITEMS_MAX: usize = certificate::BUNDLE_MAX;

fn replace(
    names: &Names,
    words: &mut Words<'_>,
    view: View<'_>,
    session: &mut Session,
    keeps: bool,
) -> Answer {
    let short = names.short;
    let (Some(name), Some(payload)) = (words.next(), words.payload()) else {
        return Err(names.expects("set", &format!("a filename and {short}s as a payload")));
    };
    let failed = |why: &str| refused(&[why, "Can't update ", name, "!\n"]);
    let open = names.open(view);
    if let Some(pending) = open.as_ref().filter(|pending| pending.name != name) {
        return Err(failed(&about_another(&pending.name, "set", name)));
    }
    let Some(stored) = names.stored(view, name) else {
        return Err(failed(&format!(
            "Can't replace a {short} file which is not referenced by the configuration!\n"
        )));
    };
    let read = names
        .read(payload)
        .ok_or_else(|| failed("Invalid payload\n"))?;
    let verb = if open.is_some() { "updated" } else { "created" };
    let mut items = Vec::new();
    if keeps {
        let committed = || stored.bundle.as_ref().map(|bundle| bundle.items.clone());
        items = open
            .map(|pending| pending.content)
            .or_else(committed)
            .unwrap_or_default();
    }
    for item in read {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    if items.len() > ITEMS_MAX {
        return Err(failed("Invalid payload\n"));
    }
    change(view, session, |transactions| {
        *names.pending(transactions) = Some(Pending {
            name: name.to_owned(),
            content: items,
        });
    });
    Ok(format!("transaction {verb} for {short} {name}!\n"))
}

fn commit(names: &Names, words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let name = words
        .next()
        .ok_or_else(|| names.expects("commit", "a filename"))?;
    let failed = |why: &str| refused(&[why, "Can't commit ", name, "!\n"]);
    let pending = names
        .open(view)
        .ok_or_else(|| failed("No ongoing transaction! !\n"))?;
    if pending.name != name {
        return Err(failed(&about_another(&pending.name, "set", name)));
    }
    let places = view.model().bundle_uses(name);
    let bundle = Arc::new(Bundle {
        name: pending.name,
        items: pending.content,
    });
    adopt(view, session, |model| {
        model.replace_bundle(&bundle);
        let stored = StoredBundle {
            kind: names.kind,
            bundle: Some(bundle),
        };
        let store = Arc::make_mut(&mut model.store);
        store.bundles.insert(name.to_owned(), stored);
    });
    change(view, session, |transactions| {
        *names.pending(transactions) = None;
    });
    Ok(committed(name, places))
}

fn abort(names: &Names, words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let name = words
        .next()
        .ok_or_else(|| names.expects("abort", "a filename"))?;
    let pending = names.open(view).ok_or("No ongoing transaction!\n")?;
    if pending.name != name {
        let another = about_another(&pending.name, "abort a transaction for", name);
        return Err(Refusal(another));
    }
    change(view, session, |transactions| {
        *names.pending(transactions) = None;
    });
    Ok(format!("Transaction aborted for certificate '{name}'!\n"))
}

// ---- Names that come and go

/// Most files in memory, and the longest name of one.
const FILES_MAX: usize = 100_000;
const NAME_BYTES_MAX: usize = 4_096;

fn create(names: &Names, words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let short = names.short;
    let name = words
        .next()
        .ok_or_else(|| names.expects("new", "a filename"))?;
    let known = &view.model().store.bundles;
    if known.contains_key(name) {
        return Err(Refusal(format!("{short} file '{name}' already exists!\n")));
    }
    if known.len() >= FILES_MAX || name.len() > NAME_BYTES_MAX {
        return Err("Cannot allocate memory!\n".into());
    }
    adopt(view, session, |model| {
        let stored = StoredBundle {
            kind: names.kind,
            bundle: None,
        };
        let store = Arc::make_mut(&mut model.store);
        store.bundles.insert(name.to_owned(), stored);
    });
    Ok(format!("New {short} file created '{name}'!\n"))
}

fn delete(names: &Names, words: &mut Words<'_>, view: View<'_>, session: &mut Session) -> Answer {
    let short = names.short;
    let name = words
        .next()
        .ok_or_else(|| names.expects("del", &format!("a {short} file name")))?;
    let failed = |why: String| Refusal(format!("Can't remove the {short} file: {why}\n"));
    if names.open(view).is_some_and(|pending| pending.name == name) {
        return Err(failed(format!(
            "ongoing transaction for the {short} file '{name}'"
        )));
    }
    let Some(stored) = view.model().store.bundles.get(name) else {
        return Err(failed(format!("{short} file '{name}' doesn't exist!\n")));
    };
    if stored.kind != names.kind {
        let word = names.word;
        let others = match names.kind {
            BundleKind::Authorities => "CRL",
            BundleKind::Revocations => "CA",
        };
        return Err(failed(format!(
            "'del ssl {word}' does not work on {others} files!\n"
        )));
    }
    if view.model().bundle_uses(name) > 0 {
        return Err(failed(format!(
            "{short} file '{name}' in use, can't be deleted!\n"
        )));
    }
    adopt(view, session, |model| {
        Arc::make_mut(&mut model.store).bundles.remove(name);
    });
    Ok(format!("{short} file '{name}' deleted!\n"))
}
