//! What `show info` says of the process as a whole.
//!
//! Names and positions are HAProxy's; what belongs to something that is not built in (TLS, compression) has no line.

use std::borrow::Cow;

use super::format::{Format, json_field, typed_value, write};
use super::{Meter, Tags, VERSION, Value, View};
use crate::counters::FrontendCounter;

/// One fact about the process.
#[derive(Clone, Debug)]
pub struct Fact<'a> {
    /// Its place in typed lines and JSON.
    pub position: usize,
    pub name: &'static str,
    pub help: &'static str,
    pub tags: Tags,
    pub value: Value<'a>,
}

/// Prints the facts; `described` adds what each one means.
pub fn info(view: View<'_>, format: Format, described: bool) -> String {
    let mut out = String::new();
    let facts = facts(view);
    match format {
        Format::Csv => {
            for fact in facts {
                write(&mut out, format_args!("{}: {}", fact.name, fact.value));
                describe(&fact, described, &mut out);
            }
        }
        Format::Typed => {
            for fact in facts {
                write(&mut out, format_args!("{}.{}.1:", fact.position, fact.name));
                typed_value(fact.tags, &fact.value, &mut out);
                describe(&fact, described, &mut out);
            }
        }
        Format::Json => {
            out.push('[');
            for (index, fact) in facts.iter().enumerate() {
                out.push_str(if index > 0 { ",{" } else { "{" });
                json_field(fact.position, fact.name, fact.tags, &fact.value, &mut out);
            }
            out.push_str("]\n");
        }
    }
    out
}

fn describe(fact: &Fact<'_>, described: bool, out: &mut String) {
    if described {
        write(out, format_args!(":\"{}\"", fact.help));
    }
    out.push('\n');
}

/// Days, hours, minutes and seconds.
pub fn uptime_text(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hours, minutes, seconds) = (rest / 3_600, rest % 3_600 / 60, rest % 60);
    format!("{days}d {hours}h{minutes:02}m{seconds:02}s")
}

/// All facts, in the order of printing.
pub fn facts(view: View<'_>) -> Vec<Fact<'_>> {
    let mut facts = Vec::with_capacity(64);
    product(view, &mut facts);
    names(view, &mut facts);
    limits(view, &mut facts);
    traffic(view, &mut facts);
    streams(view, &mut facts);
    state(view, &mut facts);
    facts.sort_by_key(|fact| fact.position);
    facts
}

type Facts<'a> = Vec<Fact<'a>>;

fn fact<'a>(
    facts: &mut Facts<'a>,
    (position, name, help): (usize, &'static str, &'static str),
    tags: Tags,
    value: Value<'a>,
) {
    facts.push(Fact {
        position,
        name,
        help,
        tags,
        value,
    });
}

fn text<'a>(text: impl Into<Cow<'a, str>>) -> Value<'a> {
    Value::Text(text.into())
}

fn whole<'a>(number: u64) -> Value<'a> {
    Value::U32(u32::try_from(number).unwrap_or(u32::MAX))
}

fn product<'a>(view: View<'a>, facts: &mut Facts<'a>) {
    let process = view.process;
    let up_s = view.now.wall_ms.saturating_sub(process.started_ms) / 1_000;
    for (place, tags, value) in [
        (
            (0, "Name", "The product's name."),
            Tags::PRODUCT,
            text("Plimsoll"),
        ),
        (
            (1, "Version", "The product's version."),
            Tags::PRODUCT,
            text(VERSION),
        ),
        (
            (66, "Build info", "The product's version."),
            Tags::PRODUCT,
            text(VERSION),
        ),
        (
            (3, "Nbthread", "Worker threads."),
            Tags::CONFIG,
            whole(u64::from(process.workers)),
        ),
        (
            (4, "Nbproc", "Processes, always 1."),
            Tags::CONFIG,
            whole(1),
        ),
        (
            (5, "Process_num", "The process, always 1."),
            Tags::KEY,
            whole(1),
        ),
        (
            (6, "Pid", "The process's number in the system."),
            Tags::STATUS,
            whole(u64::from(process.id)),
        ),
        (
            (7, "Uptime", "Time since the start."),
            Tags::DURATION,
            text(uptime_text(up_s)),
        ),
        (
            (8, "Uptime_sec", "Time since the start, in seconds."),
            Tags::DURATION,
            whole(up_s),
        ),
        (
            (70, "Start_time_sec", "The start, in seconds since 1970."),
            Tags::DURATION,
            whole(process.started_ms / 1_000),
        ),
        (
            (81, "NbThreadGroups", "Groups of threads, always 1."),
            Tags::CONFIG,
            whole(1),
        ),
    ] {
        fact(facts, place, tags, value);
    }
}

fn names<'a>(view: View<'a>, facts: &mut Facts<'a>) {
    let global = &view.model().global;
    let node = global.node.as_deref().unwrap_or(&view.process.machine);
    let node_place = (50, "node", "The machine's name.");
    fact(facts, node_place, Tags::CONFIG_TEXT, text(node));
    if let Some(description) = &global.description {
        let place = (51, "description", "The configured description.");
        fact(facts, place, Tags::CONFIG_TEXT, text(description.as_str()));
    }
}

fn limits<'a>(view: View<'a>, facts: &mut Facts<'a>) {
    let process = view.process;
    let limit = u64::from(
        view.plane
            .process_maxconn()
            .unwrap_or(process.connections_max),
    );
    for (place, value) in [
        (
            (9, "Memmax_MB", "Memory allowed; 0: no limit of its own."),
            0,
        ),
        (
            (13, "Ulimit-n", "Open files allowed."),
            process.descriptors_max,
        ),
        ((14, "Maxsock", "Sockets allowed."), process.descriptors_max),
        ((15, "Maxconn", "Client connections allowed."), limit),
        (
            (
                16,
                "Hard_maxconn",
                "Client connections that open files allow.",
            ),
            u64::from(process.connections_max),
        ),
        (
            (23, "Maxpipes", "Pipes allowed; 0: no limit of its own."),
            0,
        ),
        (
            (
                27,
                "ConnRateLimit",
                "Connections per second allowed; 0: any.",
            ),
            0,
        ),
        (
            (30, "SessRateLimit", "Sessions per second allowed; 0: any."),
            0,
        ),
        (
            (
                67,
                "Memmax_bytes",
                "Memory allowed; 0: no limit of its own.",
            ),
            0,
        ),
    ] {
        fact(facts, place, Tags::CONFIG_LIMIT, whole(value));
    }
}

/// A counter of all frontends together.
fn summed(view: View<'_>, counter: FrontendCounter) -> u64 {
    let frontends = view.frontends();
    frontends
        .map(|(id, _)| view.sums.frontend(id, counter))
        .sum()
}

fn open_connections(view: View<'_>) -> u64 {
    let frontends = view.frontends();
    frontends
        .map(|(id, _)| u64::from(view.sums.connections(id)))
        .sum()
}

fn traffic<'a>(view: View<'a>, facts: &mut Facts<'a>) {
    let sum = |counter| summed(view, counter);
    let speed = view.sums.rate(Meter::ProcessConnections);
    let shaken = sum(FrontendCounter::TlsHandshakes);
    let resumed_percent = (100 * sum(FrontendCounter::TlsResumed)).checked_div(shaken);
    for (place, tags, value) in [
        (
            (17, "CurrConns", "Client connections now."),
            Tags::GAUGE,
            whole(open_connections(view)),
        ),
        (
            (18, "CumConns", "Client connections in all."),
            Tags::COUNTER,
            whole(sum(FrontendCounter::Connections)),
        ),
        (
            (19, "CumReq", "Requests in all."),
            Tags::COUNTER,
            whole(sum(FrontendCounter::Requests)),
        ),
        (
            (22, "CumSslConns", "Connections with TLS in all."),
            Tags::COUNTER,
            whole(shaken),
        ),
        (
            (26, "ConnRate", "Connections in the last second."),
            Tags::RATE,
            whole(u64::from(speed.now)),
        ),
        (
            (28, "MaxConnRate", "Most connections in one second."),
            Tags::MAXIMUM,
            whole(u64::from(speed.max)),
        ),
        (
            (29, "SessRate", "Sessions in the last second."),
            Tags::RATE,
            whole(u64::from(speed.now)),
        ),
        (
            (31, "MaxSessRate", "Most sessions in one second."),
            Tags::RATE,
            whole(u64::from(speed.max)),
        ),
        (
            (
                37,
                "SslFrontendSessionReuse_pct",
                "Per cent of all handshakes with clients that resumed a session.",
            ),
            Tags::RATE,
            whole(resumed_percent.unwrap_or(0)),
        ),
    ] {
        fact(facts, place, tags, value);
    }
}

fn streams<'a>(view: View<'a>, facts: &mut Facts<'a>) {
    for (place, tags, value) in [
        (
            (61, "TotalBytesOut", "Bytes sent to clients in all."),
            Tags::GAUGE,
            Value::U64(summed(view, FrontendCounter::BytesOut)),
        ),
        (
            (76, "CurrStreams", "Client connections now."),
            Tags::GAUGE,
            Value::U64(open_connections(view)),
        ),
        (
            (77, "CumStreams", "Requests in all."),
            Tags::GAUGE,
            Value::U64(summed(view, FrontendCounter::Requests)),
        ),
    ] {
        fact(facts, place, tags, value);
    }
}

fn state<'a>(view: View<'a>, facts: &mut Facts<'a>) {
    let listeners: usize = view
        .frontends()
        .filter(|(id, model)| !model.disabled && view.plane.frontend(*id).is_listening())
        .map(|(_, model)| model.binds.len())
        .sum::<usize>()
        + view.model().global.stats_sockets.len();
    for (place, tags, value) in [
        (
            (52, "Stopping", "1 while the process stops."),
            Tags::GAUGE,
            whole(0),
        ),
        (
            (55, "Listeners", "Sockets that listen."),
            Tags::GAUGE,
            whole(listeners as u64),
        ),
        (
            (56, "ActivePeers", "Peers connected and agreed."),
            Tags::GAUGE,
            whole(0),
        ),
        (
            (57, "ConnectedPeers", "Peers connected."),
            Tags::GAUGE,
            whole(0),
        ),
        (
            (
                58,
                "DroppedLogs",
                "Log messages that could not be delivered.",
            ),
            Tags::GAUGE,
            whole(view.sums.lost_logs()),
        ),
        (
            (59, "BusyPolling", "1 when workers never sleep."),
            Tags::GAUGE,
            whole(0),
        ),
        (
            (71, "Tainted", "What makes the process unusual; 0: nothing."),
            Tags::STATUS,
            text("0"),
        ),
    ] {
        fact(facts, place, tags, value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn print(format: Format) -> String {
        let (plane, process) = (testing::plane(), testing::process());
        info(testing::view(&plane, &process), format, false)
    }

    #[test]
    fn facts_are_printed_in_order() {
        let text = print(Format::Csv);
        for line in [
            "Name: Plimsoll\n",
            "Process_num: 1\nPid: 77\nUptime: 0d 0h01m01s\nUptime_sec: 61\n",
            "CurrConns: 4\n",
            "node: here\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(print(Format::Typed).contains("5.Process_num.1:KGPV:u32:1\n"));
        assert!(print(Format::Json).starts_with("[{\"field\":{\"pos\":0,\"name\":\"Name\"}"));
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(uptime_text(0), "0d 0h00m00s");
        assert_eq!(uptime_text(90_061), "1d 1h01m01s");
    }
}
