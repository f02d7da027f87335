//! The statistics page: where it is, who may see it, what it shows, and what its forms ask for.
//!
//! What is absent: HTTP messages (the engine makes them) and scripts: the page works without any.

use std::fmt::Write as _;

use super::chart::{self, Scale};
use super::format::{Format, write};
use super::rows::{Selection, rows};
use super::{Column, Row, RowKind, VERSION, View, format};
use crate::command::{Change, ProbeChange, ServerChange};
use crate::health::Which;
use crate::live::ServerState;
use crate::model::{BackendId, ServerId};

/// Where the page is when nothing else is said.
pub const URI_DEFAULT: &str = "/haproxy?stats";

/// What a browser shows when it asks for a password, when nothing else is said.
pub const REALM_DEFAULT: &str = "Plimsoll Statistics";

/// Longest part of a name that `scope=` may ask for, in bytes.
const SCOPE_BYTES_MAX: usize = 64;

/// The page as configured (`stats …`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub uri: String,
    pub realm: String,
    /// `user:password` of everybody who may see it; empty, or where rules say who may (`stats http-request`): anybody.
    pub users: Vec<String>,
    pub refresh_s: Option<u64>,
    pub hide_version: bool,
    /// Names of the proxies shown; empty: all. `.` is the proxy that has the page.
    pub scope: Vec<String>,
    /// `Some("")`: the machine's own name.
    pub node: Option<String>,
    pub legends: bool,
    /// `Some("")`: the configured description.
    pub description: Option<String>,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            uri: URI_DEFAULT.to_owned(),
            realm: REALM_DEFAULT.to_owned(),
            users: Vec::new(),
            refresh_s: None,
            hide_version: false,
            scope: Vec::new(),
            node: None,
            legends: false,
            description: None,
        }
    }
}

/// What a request for the page wants, read from what follows the configured address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// `None`: the page for people.
    pub format: Option<Format>,
    pub selection: Selection,
    pub without_refresh: bool,
    /// Outcome of a form that was sent before.
    pub outcome: Option<String>,
}

impl Page {
    /// What the target of a request wants of this page; `None` when it is not meant.
    pub fn wish(&self, target: &[u8]) -> Option<Wish> {
        let target = std::str::from_utf8(target).ok()?;
        let path = match target.find("://") {
            Some(scheme) if !target.starts_with('/') => {
                let rest = &target[scheme + 3..];
                &rest[rest.find('/')?..]
            }
            _ => target,
        };
        let rest = path.strip_prefix(self.uri.as_str())?;
        let mut wish = Wish::default();
        wish.selection.legends = self.legends;
        for word in rest.split([';', '?', '&']) {
            match word.split_once('=') {
                Some(("scope", part)) if !part.is_empty() => {
                    let part = decode(part.as_bytes());
                    let part: String = part.chars().take(SCOPE_BYTES_MAX).collect();
                    wish.selection.name_part = Some(part);
                }
                Some(("st", outcome)) => wish.outcome = Some(decode(outcome.as_bytes())),
                Some(_) => {}
                None => match word {
                    "csv" => wish.format = Some(Format::Csv),
                    "json" => wish.format = Some(Format::Json),
                    "typed" => wish.format = Some(Format::Typed),
                    "up" => wish.selection.without_down = true,
                    "no-maint" => wish.selection.without_maintenance = true,
                    "norefresh" => wish.without_refresh = true,
                    _ => {}
                },
            }
        }
        Some(wish)
    }

    /// Whether the value of an `Authorization` field opens the page (RFC 7617).
    pub fn admits(&self, authorization: Option<&[u8]>) -> bool {
        if self.users.is_empty() {
            return true;
        }
        let Some((scheme, token)) = authorization.and_then(|value| value.split_at_checked(6))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"basic ")
            && self.users.iter().fold(false, |found, user| {
                found | same(base64(user.as_bytes()).as_bytes(), token.trim_ascii())
            })
    }

    /// The page, or the table that was asked for; `owner` is the proxy that has the page.
    pub fn render(&self, view: View<'_>, wish: &Wish, owner: &str, may_change: bool) -> String {
        let mut selection = wish.selection.clone();
        selection.names = self
            .scope
            .iter()
            .map(|name| if name == "." { owner } else { name })
            .map(str::to_owned)
            .collect();
        match wish.format {
            Some(format) => format::stat(rows(view, &selection), format, false),
            None => self.html(view, wish, &selection, may_change),
        }
    }

    fn html(&self, view: View<'_>, wish: &Wish, selection: &Selection, may_change: bool) -> String {
        let mut out = String::with_capacity(16 << 10);
        out.push_str(HEAD);
        if let (Some(seconds), false) = (self.refresh_s, wish.without_refresh) {
            write(
                &mut out,
                format_args!("<meta http-equiv=\"refresh\" content=\"{seconds}\">"),
            );
        }
        out.push_str("</head><body>\n");
        self.title(view, wish, &mut out);
        let rows: Vec<Row<'_>> = rows(view, selection).collect();
        for proxy in rows.chunk_by(|one, next| one.proxy == next.proxy) {
            let servers = proxy.iter().any(|row| row.kind == RowKind::Server);
            section(view, proxy, may_change && servers, &mut out);
        }
        out.push_str("</body></html>\n");
        out
    }

    fn title(&self, view: View<'_>, wish: &Wish, out: &mut String) {
        let global = &view.model().global;
        out.push_str("<h1>Plimsoll");
        if !self.hide_version {
            write(out, format_args!(" <small>{VERSION}</small>"));
        }
        out.push_str("</h1>\n<p>");
        let node = self.node.as_deref().map(|node| match node {
            "" => global.node.as_deref().unwrap_or(&view.process.machine),
            node => node,
        });
        let description = self.description.as_deref().map(|text| match text {
            "" => global.description.as_deref().unwrap_or_default(),
            text => text,
        });
        for text in [node, description].into_iter().flatten() {
            write(out, format_args!("{} · ", Escaped(text)));
        }
        let up_s = view.now.wall_ms.saturating_sub(view.process.started_ms) / 1_000;
        write(
            out,
            format_args!(
                "process {}, {} workers, up {} · <a href=\"{uri};csv\">CSV</a> <a href=\"{uri};json\">JSON</a></p>\n",
                view.process.id,
                view.process.workers,
                super::info::uptime_text(up_s),
                uri = Escaped(&self.uri),
            ),
        );
        if let Some(outcome) = &wish.outcome {
            write(out, format_args!("<p class=told>{}</p>\n", told(outcome)));
        }
    }
}

/// What the outcome of a form means.
fn told(outcome: &str) -> &'static str {
    match outcome {
        "DONE" => "The change has been made.",
        "NONE" => "Nothing was changed.",
        "PART" => "Only a part of the changes was made.",
        "DENY" => "You may not change anything here.",
        "EXCD" => "The form was too large.",
        _ => "The form was not understood, or there is no such server.",
    }
}

/// One proxy with its rows, as a table that turns into cards on narrow screens.
fn section(view: View<'_>, rows: &[Row<'_>], form: bool, out: &mut String) {
    let Some(first) = rows.first() else { return };
    let backends = view
        .backends()
        .map(|(_, proxy)| (proxy.number, &proxy.name, &proxy.description));
    let frontends = view
        .frontends()
        .map(|(_, proxy)| (proxy.number, &proxy.name, &proxy.description));
    let mut proxies = backends.chain(frontends);
    if let Some((_, name, description)) = proxies.find(|(number, ..)| *number == first.proxy) {
        write(out, format_args!("<section><h2>{}</h2>\n", Escaped(name)));
        if let Some(text) = description {
            write(out, format_args!("<p>{}</p>\n", Escaped(text)));
        }
    }
    if form {
        write(
            out,
            format_args!(
                "<form method=post><input type=hidden name=b value=\"#{}\">\n",
                first.proxy
            ),
        );
    }
    out.push_str(TABLE_HEAD);
    let scale = Scale::of(view, rows);
    for row in rows {
        line(view, row, &scale, form, out);
    }
    out.push_str("</tbody></table>\n");
    if form {
        out.push_str(FORM_TAIL);
    }
    out.push_str("</section>\n");
}

fn line(view: View<'_>, row: &Row<'_>, scale: &Scale, form: bool, out: &mut String) {
    let name = text(row, Column::ServiceName);
    let status = text(row, Column::Status);
    let colour = match status.split([' ', '(']).next() {
        Some("UP" | "OPEN") => "good",
        Some("no") => "plain",
        Some("DOWN" | "STOP") => "bad",
        _ => "out",
    };
    write(out, format_args!("<tr class={colour}><th>"));
    if form && row.kind == RowKind::Server {
        write(
            out,
            format_args!(
                "<label><input type=checkbox name=s value=\"{0}\"> {0}</label>",
                Escaped(&name)
            ),
        );
    } else {
        write(out, format_args!("{}", Escaped(&name)));
    }
    let number = |column| row.number(column);
    if row.kind == RowKind::Server && number(Column::Backup) > 0 {
        out.push_str(" <small>backup</small>");
    }
    write(
        out,
        format_args!(
            "</th><td data-n=Status>{}</td><td data-n=Checks>{}</td><td data-n=Weight>{}</td>\
             <td data-n=Sessions>{} <small>of {}, most {}</small></td><td data-n=Queue>{}</td>\
             <td data-n=Rate>{}/s</td><td data-n=Total>{}</td>",
            Escaped(&status),
            chart::health(view, row),
            scale.weight(row),
            number(Column::SessionsNow),
            match text(row, Column::SessionLimit) {
                limit if limit.is_empty() => "any".to_owned(),
                limit => limit,
            },
            number(Column::SessionsMax),
            number(Column::QueueNow),
            number(Column::Rate),
            number(Column::Sessions),
        ),
    );
    write(
        out,
        format_args!("<td data-n=Share>{}</td>", scale.share(row)),
    );
    let errors = number(Column::RequestErrors)
        + number(Column::ConnectionErrors)
        + number(Column::ResponseErrors);
    write(
        out,
        format_args!(
            "<td data-n=2xx>{}</td><td data-n=4xx>{}</td><td data-n=5xx>{}</td><td data-n=Errors>{errors}</td>\
             <td data-n=In>{}</td><td data-n=Out>{}</td><td data-n=\"p50 / p99\">{}</td></tr>\n",
            number(Column::Responses2xx),
            number(Column::Responses4xx),
            number(Column::Responses5xx),
            bytes(number(Column::BytesIn)),
            bytes(number(Column::BytesOut)),
            scale.latency(view, row),
        ),
    );
}

fn text(row: &Row<'_>, column: Column) -> String {
    row.value(column)
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn bytes(number: u64) -> String {
    match number {
        0..10_000 => format!("{number} B"),
        10_000..10_000_000 => format!("{} kB", number / 1_000),
        10_000_000..10_000_000_000 => format!("{} MB", number / 1_000_000),
        _ => format!("{} GB", number / 1_000_000_000),
    }
}

/// What a form asks for, and how that is told in the address that follows.
pub fn read_form(view: View<'_>, body: &[u8]) -> (Vec<Change>, &'static str) {
    let (mut servers, mut action, mut backend) = (Vec::new(), None, None);
    for field in body.split(|&byte| byte == b'&') {
        let mut halves = field.splitn(2, |&byte| byte == b'=');
        let (name, value) = (halves.next(), decode(halves.next().unwrap_or_default()));
        match name {
            Some(b"s") => servers.push(value),
            Some(b"action") => action = Some(value),
            Some(b"b") => backend = view.backend_named(&value),
            _ => {}
        }
    }
    let action = action.as_deref().unwrap_or_default();
    let (Some(backend), true) = (backend, ACTIONS.contains(&action)) else {
        return (Vec::new(), "ERRP");
    };
    let known = servers.iter().map(|name| named(view, backend, name));
    let known: Vec<ServerId> = known.flatten().collect();
    let unknown = servers.len() - known.len();
    let changes = known.into_iter().filter_map(|server| {
        let change = changed(view, (backend, server), action)?;
        Some(Change::Server(backend, server, change))
    });
    let changes: Vec<Change> = changes.collect();
    let outcome = match (changes.len(), unknown) {
        (0, 0) => "NONE",
        (0, _) => "ERRP",
        (_, 0) => "DONE",
        _ => "PART",
    };
    (changes, outcome)
}

/// What forms may ask for.
const ACTIONS: &[&str] = &[
    "ready", "drain", "maint", "enable", "disable", "start", "stop", "hrunn", "hnolb", "hdown",
    "dhlth", "ehlth", "dagent", "eagent", "arunn", "adown", "shutdown",
];

/// What an action does to a server; `None`: nothing, because it is so already or there is no such check.
fn changed(
    view: View<'_>,
    (backend, server): (BackendId, ServerId),
    action: &str,
) -> Option<ServerChange> {
    let state = view.plane.backend(backend).server(server).state();
    let is_out = state.contains(ServerState::MAINTENANCE);
    let is_draining = state.contains(ServerState::DRAIN);
    let health = view.sums.health(backend, server);
    let has = |which| health.as_ref().is_some_and(|it| it.tally(which).is_some());
    let (has_check, has_agent) = (has(Which::Check), has(Which::Agent));
    let leads = view.server(backend, server).check.track.is_none();
    let probing = view.plane.backend(backend).server(server).probing();
    let hears_agent = has_agent && !probing.agent_paused;
    let probe = |change| ServerChange::Probe(change);
    let (may, change) = match action {
        "ready" => (true, ServerChange::Ready),
        "drain" => (true, ServerChange::Drain),
        "maint" => (true, ServerChange::Maintain),
        "enable" => (is_out, ServerChange::Ready),
        "disable" => (!is_out, ServerChange::Maintain),
        "start" => (is_draining, ServerChange::Ready),
        "stop" => (!is_draining, ServerChange::Drain),
        "hrunn" => (leads, ServerChange::Up),
        "hnolb" => (leads, ServerChange::Stopping),
        "hdown" => (leads, ServerChange::Down),
        "dhlth" => (has_check, probe(ProbeChange::CheckPaused(true))),
        "ehlth" => (has_check, probe(ProbeChange::CheckPaused(false))),
        "dagent" => (has_agent, probe(ProbeChange::AgentPaused(true))),
        "eagent" => (has_agent, probe(ProbeChange::AgentPaused(false))),
        "arunn" => (hears_agent, probe(ProbeChange::AgentUp(true))),
        "adown" => (hears_agent, probe(ProbeChange::AgentUp(false))),
        "shutdown" => (true, ServerChange::Vacate),
        _ => return None,
    };
    may.then_some(change)
}

/// A server by its name alone: numbers could mean another server after a reload.
fn named(view: View<'_>, backend: BackendId, name: &str) -> Option<ServerId> {
    let mut servers = view.servers(view.backend(backend));
    servers
        .find(|(_, server)| server.name == name)
        .map(|(id, _)| id)
}

/// Undoes `%` escapes and `+` (the form encoding of the URL standard).
fn decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| byte == b'%');
        let escaped = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if escaped.is_some() {
            &after[2..]
        } else {
            after
        };
        out.push(match (escaped, byte) {
            (Some(byte), _) => byte,
            (None, b'+') => b' ',
            (None, byte) => byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Compares without telling by its duration where the difference is.
fn same(known: &[u8], given: &[u8]) -> bool {
    let difference = known
        .iter()
        .zip(given)
        .fold(0, |difference, (a, b)| difference | (a ^ b));
    known.len() == given.len() && difference == 0
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0_u32, |group, index| {
            group << 8 | u32::from(chunk.get(index).copied().unwrap_or(0))
        });
        for index in 0..4 {
            let sextet = (group >> (18 - 6 * index)) & 63;
            out.push(match index <= chunk.len() {
                true => char::from(LETTERS[sextet as usize]),
                false => '=',
            });
        }
    }
    out
}

/// Text in a page.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width, initial-scale=1\"><title>Plimsoll statistics</title>\
<link rel=icon href=\"data:,\"><style>
:root{color-scheme:light dark;font:15px/1.4 system-ui,sans-serif}
body{margin:1rem auto;max-width:90rem;padding:0 .8rem}
h1{font-size:1.3rem;margin:0}h2{font-size:1.05rem;margin:1.2rem 0 .3rem}small{opacity:.7}
table{border-collapse:collapse;width:100%}
th,td{padding:.25rem .5rem;text-align:right;border-bottom:1px solid #8884;white-space:nowrap}
tr>:first-child{text-align:left;border-left:.35rem solid #888}
.good>:first-child{border-color:#2a8f4a}.bad>:first-child{border-color:#c62828}.out>:first-child{border-color:#d59f1f}
.bad td:nth-child(2){color:#c62828;font-weight:bold}.told{padding:.4rem;border:1px solid #8888}
meter{width:4rem}svg{vertical-align:middle;fill:#5b7fa6}.ok{fill:#2a8f4a}.no{fill:#c62828}.so{fill:#d59f1f}.na{fill:#8888}
td small{display:inline-block}
@media(max-width:60rem){thead{display:none}
tr{display:grid;grid-template-columns:1fr 1fr;margin:.5rem 0;border:1px solid #8884}
th{grid-column:1/-1}td{border:0;text-align:left;white-space:normal}
td:empty{display:none}td::before{content:attr(data-n) ': ';opacity:.7}}
</style>";

const TABLE_HEAD: &str = "<table><thead><tr><th>Name</th><th>Status</th><th>Checks</th><th>Weight</th><th>Sessions</th><th>Queue</th>\
<th>Rate</th><th>Total</th><th>Share</th><th>2xx</th><th>4xx</th><th>5xx</th><th>Errors</th><th>In</th><th>Out</th>\
<th>p50 / p99</th></tr></thead><tbody>\n";

const FORM_TAIL: &str = "<p><label>Checked servers: <select name=action><option value=\"\"></option>\
<option value=ready>ready</option><option value=drain>drain</option><option value=maint>maintenance</option>\
<option value=hrunn>health: up</option><option value=hnolb>health: stopping</option>\
<option value=hdown>health: down</option>\
<option value=dhlth>checks: off</option><option value=ehlth>checks: on</option>\
<option value=arunn>agent: up</option><option value=adown>agent: down</option>\
<option value=dagent>agent: off</option><option value=eagent>agent: on</option>\
<option value=shutdown>end its sessions</option></select></label> <button>Apply</button></p></form>\n";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing;
    use super::*;

    #[test]
    fn wishes_are_read_from_the_target() {
        let page = Page::default();
        assert_eq!(page.wish(b"/other"), None);
        assert_eq!(page.wish(b"/haproxy"), None);
        let wish = |target: &str| page.wish(target.as_bytes()).expect("the page is meant");
        assert_eq!(wish("/haproxy?stats"), Wish::default());
        assert_eq!(wish("/haproxy?stats;csv").format, Some(Format::Csv));
        assert_eq!(
            wish("http://h/haproxy?stats;json").format,
            Some(Format::Json)
        );
        let narrow = wish("/haproxy?stats;csv;norefresh;up&scope=a%20b");
        assert!(narrow.without_refresh && narrow.selection.without_down);
        assert_eq!(narrow.selection.name_part.as_deref(), Some("a b"));
    }

    #[test]
    fn only_known_users_are_admitted() {
        let page = Page {
            users: vec!["ann:secret".into(), "bob:x".into()],
            ..Page::default()
        };
        for (value, admitted) in [
            (Some(&b"Basic YW5uOnNlY3JldA=="[..]), true),
            (Some(b"basic Ym9iOng="), true),
            (Some(b"Basic YW5uOnNlY3JldB=="), false),
            (Some(b"Basic"), false),
            (Some(b"Bearer YW5uOnNlY3JldA=="), false),
            (None, false),
        ] {
            assert_eq!(page.admits(value), admitted, "{value:?}");
        }
        assert!(Page::default().admits(None));
    }

    #[test]
    fn the_page_shows_what_there_is() {
        let (plane, process) = (testing::plane(), testing::process());
        let view = testing::view(&plane, &process);
        let page = Page {
            refresh_s: Some(5),
            node: Some(String::new()),
            description: Some("a <b> & c".into()),
            ..Page::default()
        };
        let html = page.render(view, &Wish::default(), "web", true);
        for part in [
            "<meta http-equiv=\"refresh\" content=\"5\">",
            "<h2>app</h2>\n<p>what people &lt;see&gt;</p>",
            "here · a &lt;b&gt; &amp; c · ",
            "name=b value=\"#3\"",
            "name=s value=\"a\"",
            "<small>backup</small>",
            "<svg class=checks ",
            " value=50></meter> 50",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert_eq!(html.matches("<tr class=").count(), 8);
        let scoped = Page {
            scope: vec![".".into()],
            ..Page::default()
        };
        let html = scoped.render(view, &Wish::default(), "web", false);
        assert!(html.contains("<h2>web</h2>") && !html.contains("<form"));
        assert!(!html.contains("<h2>app</h2>"));
    }

    #[test]
    fn forms_become_changes() {
        let (plane, process) = (testing::plane(), testing::process());
        let view = testing::view(&plane, &process);
        let app = BackendId(0);
        for (body, changes, outcome) in [
            ("s=a&s=b&action=maint&b=%233", 2, "DONE"),
            ("s=a&s=zz&action=drain&b=app", 1, "PART"),
            ("s=zz&action=drain&b=app", 0, "ERRP"),
            ("s=a&action=dhlth&b=app", 0, "NONE"),
            ("s=b&action=dhlth&b=app", 1, "DONE"),
            ("s=b&action=dagent&b=app", 0, "NONE"),
            ("s=a&action=start&b=app", 0, "NONE"),
            ("s=c&action=enable&b=app", 1, "DONE"),
            ("s=a&s=b&s=c&action=shutdown&b=app", 3, "DONE"),
            ("s=a&action=explode&b=app", 0, "ERRP"),
            ("s=a&action=drain&b=nope", 0, "ERRP"),
            ("", 0, "ERRP"),
        ] {
            let (found, told) = read_form(view, body.as_bytes());
            assert_eq!((found.len(), told), (changes, outcome), "{body}");
        }
        let (found, _) = read_form(view, b"action=hdown&s=b&b=app");
        assert_eq!(
            found,
            [Change::Server(app, ServerId(1), ServerChange::Down)]
        );
    }

    proptest! {
        #[test]
        fn hostile_requests_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (plane, process) = (testing::plane(), testing::process());
            let view = testing::view(&plane, &process);
            read_form(view, &bytes);
            let page = Page { users: vec!["a:b".into()], ..Page::default() };
            prop_assert!(!page.admits(Some(&bytes)));
            let target = [b"/haproxy?stats;", &bytes[..]].concat();
            if let Some(wish) = page.wish(&target) {
                let html = page.render(view, &wish, "web", false);
                prop_assert!(!html.contains("<script"));
            }
        }
    }
}
