//! What another model would change of the one that is served, before it is.
//!
//! The fields of an object are taken from its debug text, so that a setting that is added to the model is compared without
//! being listed here. What is absent: carrying anything out, and the files that models come from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::model::{Bind, BindAddress, Model, Server, ServerAddress, ServerPort};
use crate::plane::Plane;
use crate::rule::Place;

/// Everything that would be different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub changes: Vec<Difference>,
    /// What was set at run time and stays; lines.
    pub kept: Vec<String>,
    /// What takes effect with the next start only, and warnings; lines.
    pub remarks: Vec<String>,
}

/// One object that comes, goes or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub kind: Kind,
    /// `server`, `backend` and so on.
    pub noun: &'static str,
    pub name: String,
    /// Settings that change.
    pub fields: Vec<Field>,
    pub note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Added,
    Removed,
    Changed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub before: String,
    pub after: String,
}

/// An object as it is compared: its noun, its name, its settings, a word about it.
struct Object {
    noun: &'static str,
    settings: BTreeMap<String, String>,
    note: Option<String>,
}

/// Longest value that is shown whole.
const VALUE_BYTES_MAX: usize = 120;

impl Plan {
    /// Compares; `live` is the plane of `before`, where it is running.
    pub fn new(before: &Model, after: &Model, live: Option<&Plane>) -> Self {
        let (old, new) = (objects(before), objects(after));
        let mut plan = Self::default();
        for (key, object) in &new {
            match old.get(key) {
                None => plan.note(Kind::Added, key, object, Vec::new()),
                Some(known) => {
                    let fields = fields(&known.settings, &object.settings);
                    if !fields.is_empty() {
                        plan.note(Kind::Changed, key, object, fields);
                    }
                }
            }
        }
        for (key, object) in &old {
            if !new.contains_key(key) {
                plan.note(Kind::Removed, key, object, Vec::new());
            }
        }
        if let Some(plane) = live {
            plan.look_at_run_time(plane, after);
        }
        plan
    }

    fn note(&mut self, kind: Kind, key: &Key, object: &Object, fields: Vec<Field>) {
        self.changes.push(Difference {
            kind,
            noun: object.noun,
            name: key.1.clone(),
            fields,
            note: object.note.clone(),
        });
    }

    /// Weights and limits that operators set: kept, or replaced by an edit.
    fn look_at_run_time(&mut self, plane: &Plane, after: &Model) {
        let before = &plane.model;
        let kin = crate::kin::Kin::new(before, after);
        for (id, backend) in (0..).map(crate::model::BackendId).zip(&after.backends) {
            for (server_id, server) in (0..).map(crate::model::ServerId).zip(&backend.servers) {
                let Some((of, old)) = kin.server(id, server_id) else {
                    continue;
                };
                let live = plane.backend(of).server(old);
                let known = &before.backends[of.0 as usize].servers[old.0 as usize];
                let limit = |server: &Server| server.maxconn.unwrap_or(0);
                let values = [
                    (
                        "weight",
                        live.weight(),
                        u32::from(known.weight),
                        u32::from(server.weight),
                    ),
                    ("maxconn", live.maxconn(), limit(known), limit(server)),
                ];
                for (what, now, old, new) in values {
                    let name = format!("{}/{}", backend.name, server.name);
                    match (now == old, old == new) {
                        (false, true) => self
                            .kept
                            .push(format!("server {name}: {what} {now}, set at run time")),
                        (false, false) => self.replaced(&name, what, now),
                        _ => {}
                    }
                }
                if let Some(place) = live.moved_to()
                    && known.address == server.address
                {
                    let name = format!("{}/{}", backend.name, server.name);
                    let place = shown(&place);
                    self.kept
                        .push(format!("server {name}: address {place}, set at run time"));
                }
            }
        }
    }

    fn replaced(&mut self, name: &str, what: &str, now: u32) {
        let mut changes = self.changes.iter_mut();
        let change = changes.find(|change| change.noun == "server" && change.name == name);
        if let Some(change) = change {
            change.note = Some(format!("{what} {now}, set at run time, is replaced"));
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for change in &self.changes {
            let sign = match change.kind {
                Kind::Added => '+',
                Kind::Removed => '-',
                Kind::Changed => '~',
            };
            let _ = write!(text, "{sign} {} {}", change.noun, change.name);
            if let Some(note) = &change.note {
                let _ = write!(text, " ({note})");
            }
            text.push('\n');
            for Field {
                name,
                before,
                after,
            } in &change.fields
            {
                let _ = writeln!(text, "      {name}: {before} -> {after}");
            }
        }
        for line in &self.kept {
            let _ = writeln!(text, "= {line}");
        }
        for line in &self.remarks {
            let _ = writeln!(text, "! {line}");
        }
        let count = |kind| {
            self.changes
                .iter()
                .filter(|change| change.kind == kind)
                .count()
        };
        let [added, changed, removed] = [Kind::Added, Kind::Changed, Kind::Removed].map(count);
        match self.changes.is_empty() {
            true => text.push_str("nothing would change\n"),
            false => {
                let _ = writeln!(text, "{added} added, {changed} changed, {removed} removed");
            }
        }
        text
    }

    /// For programs: an object with the lists `changes`, `kept` and `remarks`.
    pub fn json(&self) -> String {
        let strings = |lines: &[String]| {
            let lines = lines.iter().map(|line| quoted(line));
            lines.collect::<Vec<_>>().join(",")
        };
        let changes = self.changes.iter().map(|change| {
            let kind = match change.kind {
                Kind::Added => "added",
                Kind::Removed => "removed",
                Kind::Changed => "changed",
            };
            let fields = change.fields.iter().map(|field| {
                format!(
                    "{{\"name\":{},\"before\":{},\"after\":{}}}",
                    quoted(&field.name),
                    quoted(&field.before),
                    quoted(&field.after)
                )
            });
            let note = change.note.as_deref().map(quoted);
            let note = note.unwrap_or_else(|| "null".to_owned());
            format!(
                "{{\"change\":\"{kind}\",\"object\":\"{}\",\"name\":{},\"fields\":[{}],\"note\":{note}}}",
                change.noun,
                quoted(&change.name),
                fields.collect::<Vec<_>>().join(",")
            )
        });
        format!(
            "{{\"changes\":[{}],\"kept\":[{}],\"remarks\":[{}]}}\n",
            changes.collect::<Vec<_>>().join(","),
            strings(&self.kept),
            strings(&self.remarks)
        )
    }
}

/// A string of JSON (RFC 8259 section 7).
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            letter if letter < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// Objects in the order in which they are told: by rank, then by name.
type Key = (u8, String);

fn objects(model: &Model) -> BTreeMap<Key, Object> {
    let mut all = BTreeMap::new();
    let mut add = |rank, name: String, noun, debug: String, note| {
        let settings = settings(&debug);
        let object = Object {
            noun,
            settings,
            note,
        };
        all.insert((rank, name), object);
    };
    let mut global = model.global.clone();
    global.stats_sockets.clear();
    // Lines that use a variable tell of its change.
    global.environment.clear();
    add(0, String::new(), "global", format!("{global:#?}"), None);
    for socket in &model.global.stats_sockets {
        let name = place(&socket.address);
        let bare = unplaced(socket);
        add(1, name, "stats socket", format!("{bare:#?}"), None);
    }
    for frontend in &model.frontends {
        for bind in &frontend.binds {
            let name = place(&bind.address);
            let bare = unplaced(bind);
            let note = Some(format!("frontend {}", frontend.name));
            add(2, name, "listener", format!("{bare:#?}"), note);
        }
        let mut bare = frontend.clone();
        bare.binds.clear();
        let target = frontend
            .default_backend
            .map(|id| &model.backends[id.0 as usize].name);
        bare.default_backend = None;
        let debug = format!("{bare:#?}");
        let debug = debug.replacen(
            "default_backend: None",
            &format!("default_backend: {target:?}"),
            1,
        );
        add(3, frontend.name.clone(), "frontend", debug, None);
    }
    for backend in model.backends.iter().filter(|backend| !backend.removed) {
        let mut bare = backend.clone();
        bare.servers.clear();
        add(
            4,
            backend.name.clone(),
            "backend",
            format!("{bare:#?}"),
            None,
        );
        for server in backend.servers.iter().filter(|server| !server.removed) {
            let name = format!("{}/{}", backend.name, server.name);
            let mut bare = server.clone();
            bare.dynamic = false;
            bare.check.track = None;
            add(5, name, "server", format!("{bare:#?}"), None);
        }
    }
    for table in &model.tables {
        add(6, table.name.clone(), "table", format!("{table:#?}"), None);
    }
    all
}

/// A listener without what says where it stands among others: its line and its number.
fn unplaced(bind: &Bind) -> Bind {
    Bind {
        place: Place::default(),
        number: 0,
        ..bind.clone()
    }
}

/// The fields of a pretty debug text by their paths, such as `check.rhythm.interval_ms`. A list is one value.
fn settings(debug: &str) -> BTreeMap<String, String> {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    let mut path: Vec<&str> = Vec::new();
    // How far the list is indented that the lines are in.
    let mut list = None;
    for line in debug.lines().skip(1) {
        let depth = line.len() - line.trim_start().len();
        let text = line.trim().trim_end_matches(',');
        let (name, value) = named(text);
        let opens = value.ends_with(['{', '(']);
        if list.is_some() || !opens && !is_closing(text) {
            let full = path.iter().copied().chain(name.filter(|_| list.is_none()));
            let full: Vec<_> = full.filter(|part| !part.is_empty()).collect();
            let known = settings.entry(full.join(".")).or_default();
            let tight = known.is_empty() || known.ends_with(['(', '[']) || is_closing(text);
            known.push_str(if tight { "" } else { " " });
            known.push_str(if list.is_some() { text } else { value });
        }
        match list {
            Some(indent) if depth == indent => {
                list = None;
                path.pop();
            }
            Some(_) => {}
            None if value.ends_with('[') => {
                list = Some(depth);
                path.push(name.unwrap_or_default());
            }
            None if opens => path.push(name.unwrap_or_default()),
            None if is_closing(text) => drop(path.pop()),
            None => {}
        }
    }
    settings
}

fn is_closing(text: &str) -> bool {
    text.starts_with([')', ']', '}'])
}

/// A line's name, where it has one, and its value.
fn named(text: &str) -> (Option<&str>, &str) {
    let is_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        !name.is_empty() && name.bytes().all(plain)
    };
    match text.split_once(": ") {
        Some((name, value)) if is_name(name) => (Some(name), value),
        _ => (None, text),
    }
}

fn fields(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Field> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let differs = |name: &&&String| before.get(**name) != after.get(**name);
    let of = |side: &BTreeMap<String, String>, name| {
        let value = side.get(name).map_or("None", String::as_str);
        match value {
            "None" => "not set".to_owned(),
            value => short(value),
        }
    };
    let names = names.iter().filter(differs);
    names
        .map(|name| Field {
            name: (*name).clone(),
            before: of(before, *name),
            after: of(after, *name),
        })
        .collect()
}

fn short(value: &str) -> String {
    let value = value.trim_end_matches(',');
    match value.char_indices().nth(VALUE_BYTES_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

fn place(address: &BindAddress) -> String {
    match address {
        BindAddress::Inet(address) => address.to_string(),
        BindAddress::Unix(path) => path.display().to_string(),
        BindAddress::Abstract(name) => format!("abns@{}", name.trim_end_matches('\0')),
        BindAddress::Inherited(descriptor) => format!("fd@{descriptor}"),
    }
}

fn shown(address: &ServerAddress) -> String {
    match address {
        ServerAddress::Inet {
            ip,
            port: ServerPort::Fixed(port),
        } => std::net::SocketAddr::new(*ip, *port).to_string(),
        ServerAddress::Inet { ip, .. } => ip.to_string(),
        ServerAddress::Unix(path) => path.display().to_string(),
        ServerAddress::Abstract(name) => format!("abns@{}", name.trim_end_matches('\0')),
        ServerAddress::Unresolved { host, .. } => host.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, BackendId, Frontend, ServerId};

    fn model(port: u16, servers: &[(&str, u16)]) -> Model {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let server = |(name, weight): &(&str, u16)| Server {
            weight: *weight,
            ..Server::new(*name, ServerAddress::Abstract("x".to_owned()))
        };
        Model {
            frontends: vec![Frontend {
                name: "web".to_owned(),
                binds: vec![Bind::new(BindAddress::Inet(address))],
                default_backend: Some(BackendId(0)),
                ..Frontend::default()
            }],
            backends: vec![Backend {
                name: "app".to_owned(),
                servers: servers.iter().map(server).collect(),
                ..Backend::default()
            }],
            ..Model::default()
        }
    }

    #[test]
    fn what_comes_goes_and_changes_is_told() {
        let before = model(80, &[("a", 1), ("b", 2), ("c", 3)]);
        let plane = Plane::build(before.clone(), None);
        let live = |id| plane.backend(BackendId(0)).server(ServerId(id));
        live(0).set_weight(7);
        live(1).set_weight(8);
        let mut after = model(81, &[("a", 1), ("b", 5), ("d", 1)]);
        after.frontends[0].timeouts.client_ms = Some(9);
        let plan = Plan::new(&before, &after, Some(&plane));
        let text = plan.text();
        for line in [
            "+ listener 127.0.0.1:81 (frontend web)",
            "- listener 127.0.0.1:80 (frontend web)",
            "~ frontend web",
            "~ server app/b (weight 8, set at run time, is replaced)\n      weight: 2 -> 5",
            "+ server app/d",
            "- server app/c",
            "= server app/a: weight 7, set at run time",
            "2 added, 2 changed, 2 removed",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(
            text.contains("timeouts.client_ms: not set -> 9\n"),
            "{text}"
        );
        let json = plan.json();
        assert!(json.contains(
            "{\"change\":\"changed\",\"object\":\"server\",\"name\":\"app/b\",\"fields\":[{\"name\":\"weight\",\"before\":\"2\",\"after\":\"5\"}]"
        ));
    }

    #[test]
    fn settings_are_told_by_their_paths() {
        let before = model(80, &[("a", 1)]);
        let mut after = before.clone();
        let check = &mut after.backends[0].servers[0].check;
        check.rhythm.interval_ms = 5_000;
        check.port = Some(99);
        let text = Plan::new(&before, &after, None).text();
        assert!(
            text.contains("\n      check.port: not set -> 99\n"),
            "{text}"
        );
        assert!(
            text.contains("\n      check.rhythm.interval_ms: 2000 -> 5000\n"),
            "{text}"
        );
        let read = settings(
            "A {\n    b: \"c: d\",\n    e: [\n        1,\n        F {\n            g: 2,\n        },\n    ],\n    h: I(\n        3,\n    ),\n    j: None,\n}",
        );
        let read: Vec<_> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            read,
            [
                ("b", "\"c: d\""),
                ("e", "[1 F { g: 2}]"),
                ("h", "3"),
                ("j", "None")
            ]
        );
    }

    #[test]
    fn the_same_is_no_change() {
        let before = model(80, &[("a", 1)]);
        let plan = Plan::new(&before, &before.clone(), None);
        assert_eq!(plan.text(), "nothing would change\n");
        assert_eq!(plan.json(), "{\"changes\":[],\"kept\":[],\"remarks\":[]}\n");
        assert_eq!(quoted("a\"\\\n\u{1}"), "\"a\\\"\\\\\\n\\u0001\"");
    }
}
