//! Counters that outlast the process: `dump stats-file` writes them, `stats-file` reads them when the next one starts.
//!
//! The form is HAProxy's (management guide, section 9.5), so that either program reads what the other has written. Only
//! what has a `guid` is in it. What is absent: rates, maxima and averages, which mean nothing to another process.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::format::write;
use super::rows::{BACKEND_COUNTS, FRONTEND_COUNTS, SERVER_COUNTS, Selection, rows};
use super::{Column, Row, RowKind, Value, View};
use crate::counters::{BackendCounter, FrontendCounter, ServerCounter};
use crate::health::HealthSums;
use crate::model::{BackendId, FrontendId, Model, ServerId, is_guid};

/// Columns of a line beyond which the rest is left out.
const COLUMNS_MAX: usize = 256;

/// Lines that are named as being wrong; more are too many to be read.
const PROBLEMS_MAX: usize = 20;

/// The columns of frontends, in HAProxy's order.
const FRONT: &[Column] = &[
    Column::Sessions,
    Column::BytesIn,
    Column::BytesOut,
    Column::DeniedRequests,
    Column::DeniedResponses,
    Column::RequestErrors,
    Column::Rate,
    Column::Responses1xx,
    Column::Responses2xx,
    Column::Responses3xx,
    Column::Responses4xx,
    Column::Responses5xx,
    Column::ResponsesOther,
    Column::RequestRate,
    Column::Requests,
    Column::CompressedIn,
    Column::CompressedOut,
    Column::CompressionBypassed,
    Column::ResponsesCompressed,
    Column::ConnectionRate,
    Column::Connections,
    Column::Intercepted,
    Column::DeniedConnections,
    Column::DeniedSessions,
    Column::FailedRewrites,
    Column::CacheLookups,
    Column::CacheHits,
    Column::InternalErrors,
    Column::H1Sessions,
    Column::H2Sessions,
    Column::H3Sessions,
    Column::OtherRequests,
    Column::H1Requests,
    Column::H2Requests,
    Column::H3Requests,
    Column::RequestBytesIn,
    Column::RequestBytesOut,
    Column::ResponseBytesIn,
    Column::ResponseBytesOut,
    Column::CacheHintHits,
];

/// Those of backends and servers.
const BACK: &[Column] = &[
    Column::Sessions,
    Column::BytesIn,
    Column::BytesOut,
    Column::DeniedRequests,
    Column::DeniedResponses,
    Column::ConnectionErrors,
    Column::ResponseErrors,
    Column::Retries,
    Column::Redispatches,
    Column::ChecksFailed,
    Column::TimesDown,
    Column::LastChange,
    Column::Balanced,
    Column::Rate,
    Column::Responses1xx,
    Column::Responses2xx,
    Column::Responses3xx,
    Column::Responses4xx,
    Column::Responses5xx,
    Column::ResponsesOther,
    Column::AnalysisFailed,
    Column::Requests,
    Column::ClientAborts,
    Column::ServerAborts,
    Column::CompressedIn,
    Column::CompressedOut,
    Column::CompressionBypassed,
    Column::ResponsesCompressed,
    Column::LastSession,
    Column::FailedRewrites,
    Column::ConnectionAttempts,
    Column::ConnectionReuses,
    Column::CacheLookups,
    Column::CacheHits,
    Column::InternalErrors,
    Column::RequestBytesIn,
    Column::RequestBytesOut,
    Column::ResponseBytesIn,
    Column::ResponseBytesOut,
    Column::CacheHintHits,
];

/// One half of a proxy, which has a section of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Front,
    Back,
}

impl Half {
    fn mark(self) -> &'static str {
        match self {
            Self::Front => "#fe",
            Self::Back => "#be",
        }
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Self::Front => FRONT,
            Self::Back => BACK,
        }
    }
}

/// A section that is being read: whose it is, and what stands where; `None`: a column of a later version.
type Section = (Half, Vec<Option<Column>>);

/// The file as it would be now.
pub fn dump(view: View<'_>) -> String {
    let names = guids(view);
    let selection = Selection::default();
    let mut text = String::new();
    for half in [Half::Front, Half::Back] {
        if half == Half::Back {
            text.push('\n');
        }
        write(&mut text, format_args!("{} guid,", half.mark()));
        for column in half.columns() {
            write(&mut text, format_args!("{},", column.name()));
        }
        text.push('\n');
        let of_half = |row: &Row<'_>| (row.kind == RowKind::Frontend) == (half == Half::Front);
        for row in rows(view, &selection).filter(of_half) {
            if let Some(guid) = names.get(&(row.kind as u32, row.proxy, row.service)) {
                push_line(&row, guid, half, &mut text);
            }
        }
    }
    text
}

fn push_line(row: &Row<'_>, guid: &str, half: Half, text: &mut String) {
    write(text, format_args!("{guid},"));
    for column in half.columns() {
        match row.value(*column) {
            // What never was has no age.
            Some(Value::S32(..0)) => {}
            Some(value) => write(text, format_args!("{value}")),
            None => text.push('0'),
        }
        text.push(',');
    }
    text.push('\n');
}

/// Names by kind, number of the proxy, and number of the server.
fn guids(view: View<'_>) -> HashMap<(u32, u32, u32), &str> {
    let mut names = HashMap::new();
    for (_, frontend) in view.frontends() {
        if let Some(guid) = &frontend.guid {
            let key = (RowKind::Frontend as u32, frontend.number, 0);
            names.insert(key, guid.as_str());
        }
    }
    for (_, backend) in view.backends() {
        if let Some(guid) = &backend.guid {
            let key = (RowKind::Backend as u32, backend.number, 0);
            names.insert(key, guid.as_str());
        }
        for (_, server) in view.servers(backend) {
            if let Some(guid) = &server.guid {
                let key = (RowKind::Server as u32, backend.number, server.number);
                names.insert(key, guid.as_str());
            }
        }
    }
    names
}

/// A counter, and what it is to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled {
    Frontend(FrontendId, FrontendCounter, u64),
    Backend(BackendId, BackendCounter, u64),
    Server(BackendId, ServerId, ServerCounter, u64),
    /// What checks and observations of a server have counted; time spent down is not among it.
    Health(BackendId, ServerId, HealthSums),
    /// When a server's state last changed, in seconds since 1970.
    Change(BackendId, ServerId, u64),
    /// How often a backend had no server to offer, and when that last changed, in seconds since 1970.
    Availability(BackendId, u64, u64),
}

/// What a file says.
#[derive(Debug, Default)]
pub struct Recollection {
    pub counters: Vec<Recalled>,
    /// What could not be understood: a sentence each.
    pub problems: Vec<String>,
}

/// Reads a file for a model that is about to be served; the moment is in seconds since 1970.
pub fn read(text: &str, model: &Model, now_s: u64) -> Recollection {
    let owners = owners(model);
    let mut read = Recollection::default();
    let mut section: Option<Section> = None;
    let mut begun = false;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with("//") {
            continue;
        }
        let outcome = match (line.strip_prefix('#'), &section) {
            (Some(_), _) => header(line).map(|found| {
                begun = true;
                section = found;
            }),
            (None, Some((half, columns))) => {
                entry(line, *half, columns, &owners, now_s, &mut read.counters)
            }
            (None, None) if begun => Ok(()),
            (None, None) => Err("it does not begin as a file of counters does"),
        };
        if let Err(problem) = outcome {
            read.problems.push(format!("line {number}: {problem}"));
            // Whatever else it is, it is no such file.
            if !begun || read.problems.len() == PROBLEMS_MAX {
                return read;
            }
        }
    }
    read
}

/// A line that begins a section: which, and what stands where. `None`: one of a later version.
fn header(line: &str) -> Result<Option<Section>, &'static str> {
    let malformed = "it is no header of a section";
    let (mark, names) = line.split_once(' ').ok_or(malformed)?;
    let names = names.strip_suffix(',').ok_or(malformed)?;
    let halves = [Half::Front, Half::Back];
    let Some(half) = halves.into_iter().find(|half| half.mark() == mark) else {
        return Ok(None);
    };
    let mut names = names.split(',');
    if names.next() != Some("guid") {
        return Err(malformed);
    }
    let column = |name: &str| {
        let mut known = half.columns().iter().copied();
        known.find(|column| column.name() == name)
    };
    Ok(Some((half, names.take(COLUMNS_MAX).map(column).collect())))
}

/// Whom a name belongs to.
#[derive(Clone, Copy, Default)]
struct Owner {
    frontend: Option<FrontendId>,
    backend: Option<BackendId>,
    server: Option<(BackendId, ServerId)>,
}

fn owners(model: &Model) -> HashMap<&str, Owner> {
    let mut owners: HashMap<&str, Owner> = HashMap::new();
    for (id, frontend) in (0..).map(FrontendId).zip(&model.frontends) {
        if let Some(guid) = &frontend.guid {
            owners.entry(guid).or_default().frontend = Some(id);
        }
    }
    for (id, backend) in (0..).map(BackendId).zip(&model.backends) {
        if let Some(guid) = &backend.guid {
            owners.entry(guid).or_default().backend = Some(id);
        }
        for (server, known) in (0..).map(ServerId).zip(&backend.servers) {
            if let Some(guid) = &known.guid {
                owners.entry(guid).or_default().server = Some((id, server));
            }
        }
    }
    owners
}

/// A line of a section. Names that nobody has are passed over: what they belonged to is gone.
fn entry(
    line: &str,
    half: Half,
    columns: &[Option<Column>],
    owners: &HashMap<&str, Owner>,
    now_s: u64,
    counters: &mut Vec<Recalled>,
) -> Result<(), &'static str> {
    let mut words = line.split(',');
    let guid = words.next().unwrap_or_default();
    if !is_guid(guid) {
        return Err("it does not begin with a guid");
    }
    let Some(owner) = owners.get(guid) else {
        return Ok(());
    };
    let cells = columns.iter().zip(words);
    let values = cells.filter_map(|(column, word)| Some(((*column)?, word.parse::<u64>().ok()?)));
    let values: Vec<_> = values.collect();
    match (half, owner.frontend, owner.backend, owner.server) {
        (Half::Front, _, _, Some(_)) => {
            return Err("a server's guid stands among those of frontends");
        }
        (Half::Front, Some(id), ..) => {
            let known = FRONTEND_COUNTS.iter().chain(FRONTEND_ALSO);
            let found = matched(&values, known, now_s).into_iter();
            counters.extend(found.map(|(counter, value)| Recalled::Frontend(id, counter, value)));
        }
        (Half::Back, _, _, Some(place)) => of_server(place, &values, now_s, counters),
        (Half::Back, _, Some(id), None) => {
            let known = BACKEND_COUNTS.iter().chain(BACKEND_ALSO);
            let found = matched(&values, known, now_s).into_iter();
            counters.extend(found.map(|(counter, value)| Recalled::Backend(id, counter, value)));
            let times_down = value_of(&values, Column::TimesDown).unwrap_or(0);
            let age_s = value_of(&values, Column::LastChange);
            let changed_s = age_s.map_or(0, |age_s| now_s.saturating_sub(age_s));
            counters.push(Recalled::Availability(id, times_down, changed_s));
        }
        // One half of a proxy has gone.
        _ => {}
    }
    Ok(())
}

fn of_server(
    (backend, server): (BackendId, ServerId),
    values: &[(Column, u64)],
    now_s: u64,
    counters: &mut Vec<Recalled>,
) {
    let known = SERVER_COUNTS.iter().chain(SERVER_ALSO);
    for (counter, value) in matched(values, known, now_s) {
        counters.push(Recalled::Server(backend, server, counter, value));
    }
    let value_of = |wanted| value_of(values, wanted);
    let sums = HealthSums {
        checks_failed: value_of(Column::ChecksFailed).unwrap_or(0),
        traffic_failed: value_of(Column::AnalysisFailed).unwrap_or(0),
        times_down: value_of(Column::TimesDown).unwrap_or(0),
        down_ms: 0,
    };
    if sums != HealthSums::default() {
        counters.push(Recalled::Health(backend, server, sums));
    }
    if let Some(age_s) = value_of(Column::LastChange) {
        let moment_s = now_s.saturating_sub(age_s);
        counters.push(Recalled::Change(backend, server, moment_s));
    }
}

fn value_of(values: &[(Column, u64)], wanted: Column) -> Option<u64> {
    let found = values.iter().find(|(column, _)| *column == wanted);
    found.map(|(_, value)| *value)
}

/// What rows compute from more than one counter, and so have no line of their own for.
const FRONTEND_ALSO: &[(Column, FrontendCounter)] = &[
    (Column::Requests, FrontendCounter::Requests),
    (Column::H2Requests, FrontendCounter::H2Requests),
];
const BACKEND_ALSO: &[(Column, BackendCounter)] =
    &[(Column::LastSession, BackendCounter::LastSession)];
const SERVER_ALSO: &[(Column, ServerCounter)] =
    &[(Column::LastSession, ServerCounter::LastSession)];

/// The counters that values stand for, each of them once: some are shown in two columns.
fn matched<'a, C: Copy + Eq + Hash + 'a>(
    values: &[(Column, u64)],
    known: impl Iterator<Item = &'a (Column, C)>,
    now_s: u64,
) -> Vec<(C, u64)> {
    let value_of = |wanted: Column| {
        let found = values.iter().find(|(column, _)| *column == wanted);
        found.map(|(_, value)| *value)
    };
    let is_used = value_of(Column::Sessions).is_some_and(|count| count > 0);
    let mut seen = HashSet::new();
    let found = known.filter_map(|(column, counter)| {
        let value = match (column, value_of(*column)?) {
            (Column::LastSession, age_s) if is_used => now_s.saturating_sub(age_s),
            (Column::LastSession, _) => return None,
            (_, value) => value,
        };
        (value > 0 && seen.insert(*counter)).then_some((*counter, value))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::model::check::Observe;

    const NOW_S: u64 = testing::NOW_MS / 1_000;

    fn named() -> Model {
        let mut model = testing::plane().model;
        model.frontends[0].guid = Some("fe:web".to_owned());
        model.frontends[1].guid = Some("raw".to_owned());
        let observed = &mut model.backends[0].servers[1];
        observed.guid = Some("srv-b".to_owned());
        observed.check.observe = Some(Observe::Layer7);
        model.backends[1].guid = Some("raw".to_owned());
        model
    }

    fn written() -> String {
        let (plane, process) = (
            crate::plane::Plane::build(named(), None),
            testing::process(),
        );
        dump(testing::view(&plane, &process))
    }

    /// The cell of a line under a name.
    fn cell<'a>(text: &'a str, mark: &str, guid: &str, name: &str) -> Option<&'a str> {
        let section = text.split("\n\n").find(|part| part.starts_with(mark))?;
        let mut lines = section.lines();
        let mut names = lines
            .next()?
            .split(',')
            .map(|name| name.trim_start_matches(mark).trim());
        let place = names.position(|known| known == name)?;
        let guid = format!("{guid},");
        let line = lines.find(|line| line.starts_with(&guid))?;
        line.split(',').nth(place)
    }

    #[test]
    fn what_has_a_name_is_written() {
        let text = written();
        assert_eq!(text.lines().count(), 7, "{text}");
        for (mark, guid, name, value) in [
            ("#fe", "fe:web", "stot", Some("4")),
            ("#fe", "fe:web", "rate", Some("3")),
            ("#fe", "raw", "hrsp_2xx", Some("0")),
            ("#be", "srv-b", "lastsess", Some("5")),
            ("#be", "raw", "comp_in", Some("0")),
            ("#be", "app", "stot", None),
        ] {
            assert_eq!(cell(&text, mark, guid, name), value, "{guid} {name}");
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let model = named();
        let read = read(&written(), &model, NOW_S);
        assert!(read.problems.is_empty(), "{:?}", read.problems);
        let (web, raw) = (FrontendId(0), BackendId(1));
        let b = (BackendId(0), ServerId(1));
        for known in [
            Recalled::Frontend(web, FrontendCounter::Sessions, 4),
            Recalled::Backend(raw, BackendCounter::Sessions, 3),
            Recalled::Server(b.0, b.1, ServerCounter::LastSession, NOW_S - 5),
            Recalled::Change(b.0, b.1, testing::STARTED_MS / 1_000),
            Recalled::Health(b.0, b.1, testing::SUMS),
        ] {
            assert!(
                read.counters.contains(&known),
                "{known:?} in {:?}",
                read.counters
            );
        }
        let bytes = |recalled: &&Recalled| matches!(recalled, Recalled::Frontend(id, FrontendCounter::BytesIn, _) if *id == web);
        assert_eq!(read.counters.iter().filter(bytes).count(), 1);
    }

    #[test]
    fn files_are_judged_line_by_line() {
        let model = named();
        for (text, count, problems) in [
            ("", 0, &[][..]),
            (
                "GIF89a\nmore",
                0,
                &["line 1: it does not begin as a file of counters does"],
            ),
            (
                "#fe guid,stot",
                0,
                &["line 1: it is no header of a section"],
            ),
            ("#fe guid,stot,\nfe:web,7,\nnobody,7,", 1, &[]),
            ("#fe guid,new,stot,\n// a comment\n\nfe:web,1,x,", 0, &[]),
            (
                "#zz what,stot,\nfe:web,7,\n#be guid,stot,\nfe:web,7,",
                0,
                &[],
            ),
            (
                "#fe guid,stot,\nsrv-b,7,\na b,7,\nfe:web,8,",
                1,
                &[
                    "line 2: a server's guid stands among those of frontends",
                    "line 3: it does not begin with a guid",
                ],
            ),
        ] {
            let read = read(text, &model, NOW_S);
            assert_eq!(
                (read.counters.len(), &read.problems[..]),
                (
                    count,
                    &problems
                        .iter()
                        .map(|problem| (*problem).to_owned())
                        .collect::<Vec<_>>()[..]
                ),
                "{text}"
            );
        }
    }
}
