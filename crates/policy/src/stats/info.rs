//! What `show info` says of the process as a whole.
//!
//! Names and positions are HAProxy's; what belongs to something that is not built in (compression) has no line. A fact is
//! one line in [`FACTS`].

use std::borrow::Cow;

use super::format::{Format, json_field, typed_value, write};
use super::{Meter, Process, RELEASED, Tags, VERSION, Value, View, Vitals};
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

/// How facts are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    pub format: Format,
    /// With what each of them means.
    pub described: bool,
    /// Durations and speeds are as exact as they are known, not whole.
    pub exact: bool,
}

/// Prints the facts.
pub fn info(view: View<'_>, wish: Wish) -> String {
    let mut out = String::new();
    let facts = facts(view, wish.exact);
    match wish.format {
        Format::Csv => {
            for fact in facts {
                write(&mut out, format_args!("{}: {}", fact.name, fact.value));
                describe(&fact, wish.described, &mut out);
            }
        }
        Format::Typed => {
            for fact in facts {
                write(&mut out, format_args!("{}.{}.1:", fact.position, fact.name));
                typed_value(fact.tags, &fact.value, &mut out);
                describe(&fact, wish.described, &mut out);
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
pub fn facts(view: View<'_>, exact: bool) -> Vec<Fact<'_>> {
    let whole = Whole::new(view, exact);
    let told = FACTS.iter().map(|row| Fact {
        position: row.position,
        name: row.name,
        help: row.help,
        tags: row.tags,
        value: (row.read)(&whole),
    });
    // What nothing has been set for has no line.
    told.filter(|fact| fact.value != Value::Text(Cow::Borrowed("")))
        .collect()
}

/// What facts are taken from.
struct Whole<'a> {
    view: View<'a>,
    process: &'a Process,
    workers: Vitals,
    exact: bool,
}

impl<'a> Whole<'a> {
    fn new(view: View<'a>, exact: bool) -> Self {
        let (mut sum, workers) = (Vitals::default(), view.sums.vitals());
        for worker in &workers {
            sum.tasks += worker.tasks;
            sum.runnable += worker.runnable;
            sum.pipes += worker.pipes;
            sum.pipes_idle += worker.pipes_idle;
            sum.busy_percent += worker.busy_percent;
        }
        sum.busy_percent /= (workers.len() as u32).max(1);
        Self {
            view,
            process: view.process,
            workers: sum,
            exact,
        }
    }

    /// A counter of all frontends together.
    fn sum(&self, counter: FrontendCounter) -> u64 {
        let frontends = self.view.frontends();
        let counts = frontends.map(|(id, _)| self.view.sums.frontend(id, counter));
        counts.sum()
    }

    fn connections(&self) -> u64 {
        let frontends = self.view.frontends();
        let counts = frontends.map(|(id, _)| u64::from(self.view.sums.connections(id)));
        counts.sum()
    }

    fn now(&self, meter: Meter) -> Value<'a> {
        let speed = self.view.sums.rate(meter).now;
        match self.exact {
            true => Value::Millionths(u64::from(speed) * 1_000_000),
            false => Value::U32(speed),
        }
    }

    fn most(&self, meter: Meter) -> Value<'a> {
        Value::U32(self.view.sums.rate(meter).max)
    }

    fn connections_max(&self) -> u64 {
        let limit = self.view.plane.process_maxconn();
        u64::from(limit.unwrap_or(self.process.connections_max))
    }

    fn rate_max(&self) -> u64 {
        u64::from(self.view.model().global.connection_rate.unwrap_or(0))
    }

    fn up_ms(&self) -> u64 {
        let started_ms = self.process.started_ms;
        self.view.now.wall_ms.saturating_sub(started_ms)
    }

    /// A duration in seconds.
    fn seconds(&self, ms: u64) -> Value<'a> {
        match self.exact {
            true => Value::Millionths(ms * 1_000),
            false => whole(ms / 1_000),
        }
    }

    /// Sockets that listen, those for commands included.
    fn listeners(&self) -> u64 {
        let view = self.view;
        let open = view
            .frontends()
            .filter(|(id, model)| !model.disabled && view.plane.frontend(*id).is_listening());
        let binds: usize = open.map(|(_, model)| model.binds.len()).sum();
        (binds + view.model().global.stats_sockets.len()) as u64
    }

    fn resumed_percent(&self) -> u64 {
        let all = self.sum(FrontendCounter::TlsHandshakes);
        let resumed = 100 * self.sum(FrontendCounter::TlsResumed);
        resumed.checked_div(all).unwrap_or(0)
    }

    /// Memory that is kept: all of it, and what a connection at rest has.
    fn kept_bytes(&self) -> (u64, u64) {
        let spares = self.view.sums.spares();
        let open = spares.iter().filter(|spare| spare.is_open());
        let used = open.map(|spare| spare.bytes).sum();
        (spares.iter().map(|spare| spare.bytes).sum(), used)
    }

    fn warnings(&self) -> u64 {
        let remarks = self.process.remarks.lock();
        let remarks = remarks.unwrap_or_else(std::sync::PoisonError::into_inner);
        remarks
            .lines()
            .filter(|line| line.contains("WARNING"))
            .count() as u64
    }

    fn stopping(&self) -> bool {
        self.process
            .stopping
            .load(std::sync::atomic::Ordering::Relaxed)
    }
}

fn text<'a>(text: impl Into<Cow<'a, str>>) -> Value<'a> {
    Value::Text(text.into())
}

fn whole<'a>(number: u64) -> Value<'a> {
    Value::U32(u32::try_from(number).unwrap_or(u32::MAX))
}

/// How a fact is come by.
struct Row {
    position: usize,
    name: &'static str,
    tags: Tags,
    read: for<'a> fn(&Whole<'a>) -> Value<'a>,
    help: &'static str,
}

const fn row(
    position: usize,
    name: &'static str,
    tags: Tags,
    read: for<'a> fn(&Whole<'a>) -> Value<'a>,
    help: &'static str,
) -> Row {
    Row {
        position,
        name,
        tags,
        read,
        help,
    }
}

const FACTS: &[Row] = &[
    row(
        0,
        "Name",
        Tags::PRODUCT,
        |_| text("Plimsoll"),
        "The product's name.",
    ),
    row(
        1,
        "Version",
        Tags::PRODUCT,
        |_| text(VERSION),
        "The product's version.",
    ),
    row(
        2,
        "Release_date",
        Tags::PRODUCT,
        |_| text(RELEASED),
        "The day of that version.",
    ),
    row(
        3,
        "Nbthread",
        Tags::CONFIG,
        |all| whole(all.process.workers.into()),
        "Worker threads.",
    ),
    row(
        4,
        "Nbproc",
        Tags::CONFIG,
        |_| whole(1),
        "Processes, always 1.",
    ),
    row(
        5,
        "Process_num",
        Tags::KEY,
        |_| whole(1),
        "The process, always 1.",
    ),
    row(
        6,
        "Pid",
        Tags::STATUS,
        |all| whole(all.process.id.into()),
        "The process's number in the system.",
    ),
    row(
        7,
        "Uptime",
        Tags::DURATION,
        |all| text(uptime_text(all.up_ms() / 1_000)),
        "Time since the start.",
    ),
    row(
        8,
        "Uptime_sec",
        Tags::DURATION,
        |all| all.seconds(all.up_ms()),
        "Time since the start, in seconds.",
    ),
    row(
        9,
        "Memmax_MB",
        Tags::CONFIG_LIMIT,
        |_| whole(0),
        "Memory allowed; 0: no limit of its own.",
    ),
    row(
        10,
        "PoolAlloc_MB",
        Tags::GAUGE,
        |all| whole(all.kept_bytes().0 >> 20),
        "Memory kept for the next request, in MB.",
    ),
    row(
        11,
        "PoolUsed_MB",
        Tags::GAUGE,
        |all| whole(all.kept_bytes().1 >> 20),
        "What idle server connections have of it, in MB.",
    ),
    row(
        12,
        "PoolFailed",
        Tags::COUNTER,
        |_| whole(0),
        "Times there was no memory; the process would have ended.",
    ),
    row(
        13,
        "Ulimit-n",
        Tags::CONFIG_LIMIT,
        |all| whole(all.process.descriptors_max),
        "Open files allowed.",
    ),
    row(
        14,
        "Maxsock",
        Tags::CONFIG_LIMIT,
        |all| whole(all.process.descriptors_max),
        "Sockets allowed.",
    ),
    row(
        15,
        "Maxconn",
        Tags::CONFIG_LIMIT,
        |all| whole(all.connections_max()),
        "Client connections allowed.",
    ),
    row(
        16,
        "Hard_maxconn",
        Tags::CONFIG_LIMIT,
        |all| whole(all.process.connections_max.into()),
        "Client connections that open files allow.",
    ),
    row(
        17,
        "CurrConns",
        Tags::GAUGE,
        |all| whole(all.connections()),
        "Client connections now.",
    ),
    row(
        18,
        "CumConns",
        Tags::COUNTER,
        |all| whole(all.sum(FrontendCounter::Connections)),
        "Client connections in all.",
    ),
    row(
        19,
        "CumReq",
        Tags::COUNTER,
        |all| whole(all.sum(FrontendCounter::Requests)),
        "Requests in all.",
    ),
    row(
        20,
        "MaxSslConns",
        Tags::MAXIMUM,
        |_| whole(0),
        "Connections with TLS allowed; 0: as many as others.",
    ),
    row(
        21,
        "CurrSslConns",
        Tags::GAUGE,
        |all| whole(all.sum(FrontendCounter::TlsSessions)),
        "Client connections with TLS now.",
    ),
    row(
        22,
        "CumSslConns",
        Tags::COUNTER,
        |all| whole(all.sum(FrontendCounter::TlsHandshakes)),
        "Client connections with TLS in all.",
    ),
    row(
        23,
        "Maxpipes",
        Tags::CONFIG_LIMIT,
        |_| whole(0),
        "Pipes allowed; 0: no limit of its own.",
    ),
    row(
        24,
        "PipesUsed",
        Tags::GAUGE,
        |all| whole(all.workers.pipes - all.workers.pipes_idle),
        "Pipes in use for splicing.",
    ),
    row(
        25,
        "PipesFree",
        Tags::GAUGE,
        |all| whole(all.workers.pipes_idle),
        "Pipes kept for the next use.",
    ),
    row(
        26,
        "ConnRate",
        Tags::RATE,
        |all| all.now(Meter::ProcessConnections),
        "Connections in the last second.",
    ),
    row(
        27,
        "ConnRateLimit",
        Tags::CONFIG_LIMIT,
        |all| whole(all.rate_max()),
        "Connections per second allowed; 0: any.",
    ),
    row(
        28,
        "MaxConnRate",
        Tags::MAXIMUM,
        |all| all.most(Meter::ProcessConnections),
        "Most connections in one second.",
    ),
    row(
        29,
        "SessRate",
        Tags::RATE,
        |all| all.now(Meter::ProcessConnections),
        "Sessions in the last second.",
    ),
    row(
        30,
        "SessRateLimit",
        Tags::CONFIG_LIMIT,
        |all| whole(all.rate_max()),
        "Sessions per second allowed; 0: any.",
    ),
    row(
        31,
        "MaxSessRate",
        Tags::MAXIMUM,
        |all| all.most(Meter::ProcessConnections),
        "Most sessions in one second.",
    ),
    row(
        32,
        "SslRate",
        Tags::RATE,
        |all| all.now(Meter::Handshakes),
        "Handshakes of TLS with clients in the last second.",
    ),
    row(
        33,
        "SslRateLimit",
        Tags::CONFIG_LIMIT,
        |_| whole(0),
        "Handshakes of TLS per second allowed; 0: any.",
    ),
    row(
        34,
        "MaxSslRate",
        Tags::MAXIMUM,
        |all| all.most(Meter::Handshakes),
        "Most handshakes of TLS with clients in one second.",
    ),
    row(
        35,
        "SslFrontendKeyRate",
        Tags::GAUGE,
        |all| all.now(Meter::FullHandshakes),
        "Those of the last second that resumed no session.",
    ),
    row(
        36,
        "SslFrontendMaxKeyRate",
        Tags::MAXIMUM,
        |all| all.most(Meter::FullHandshakes),
        "Most in one second that resumed no session.",
    ),
    row(
        37,
        "SslFrontendSessionReuse_pct",
        Tags::GAUGE,
        |all| whole(all.resumed_percent()),
        "Per cent of all handshakes with clients that resumed a session.",
    ),
    row(
        47,
        "Tasks",
        Tags::GAUGE,
        |all| whole(all.workers.tasks),
        "Tasks of all workers.",
    ),
    row(
        48,
        "Run_queue",
        Tags::GAUGE,
        |all| whole(all.workers.runnable),
        "Those that were ready to go on when last looked at.",
    ),
    row(
        49,
        "Idle_pct",
        Tags::AVERAGE,
        |all| whole((100 - all.workers.busy_percent.min(100)).into()),
        "Per cent of the last second that workers had nothing to do.",
    ),
    row(
        50,
        "node",
        Tags::CONFIG_TEXT,
        |all| text(node(all.view)),
        "The machine's name.",
    ),
    row(
        51,
        "description",
        Tags::CONFIG_TEXT,
        |all| text(description(all.view)),
        "The configured description.",
    ),
    row(
        52,
        "Stopping",
        Tags::GAUGE,
        |all| whole(all.stopping().into()),
        "1 while the process stops.",
    ),
    row(
        53,
        "Jobs",
        Tags::GAUGE,
        |all| whole(all.connections() + all.listeners()),
        "Client connections and sockets that listen.",
    ),
    row(
        54,
        "Unstoppable Jobs",
        Tags::GAUGE,
        |_| whole(0),
        "What a stop would wait for without an end, always 0.",
    ),
    row(
        55,
        "Listeners",
        Tags::GAUGE,
        |all| whole(all.listeners()),
        "Sockets that listen.",
    ),
    row(
        56,
        "ActivePeers",
        Tags::GAUGE,
        |_| whole(0),
        "Peers connected and agreed.",
    ),
    row(
        57,
        "ConnectedPeers",
        Tags::GAUGE,
        |_| whole(0),
        "Peers connected.",
    ),
    row(
        58,
        "DroppedLogs",
        Tags::GAUGE,
        |all| whole(all.view.sums.lost_logs()),
        "Log messages that could not be delivered.",
    ),
    row(
        59,
        "BusyPolling",
        Tags::GAUGE,
        |_| whole(0),
        "1 when workers never sleep.",
    ),
    row(
        61,
        "TotalBytesOut",
        Tags::GAUGE,
        |all| Value::U64(all.sum(FrontendCounter::BytesOut)),
        "Bytes sent to clients in all.",
    ),
    row(
        62,
        "TotalSplicedBytesOut",
        Tags::GAUGE,
        |all| Value::U64(all.sum(FrontendCounter::SplicedOut)),
        "Those of them that the kernel has moved by itself.",
    ),
    row(
        63,
        "BytesOutRate",
        Tags::RATE,
        |all| Value::U64(all.view.sums.rate(Meter::BytesOut).now.into()),
        "Bytes sent to clients in the last second.",
    ),
    row(
        64,
        "DebugCommandsIssued",
        Tags::GAUGE,
        |_| whole(0),
        "Commands for debugging: there are none.",
    ),
    row(
        65,
        "CumRecvLogs",
        Tags::COUNTER,
        |_| whole(0),
        "Log messages received: none are.",
    ),
    row(
        66,
        "Build info",
        Tags::PRODUCT,
        |_| text(VERSION),
        "The product's version.",
    ),
    row(
        67,
        "Memmax_bytes",
        Tags::CONFIG_LIMIT,
        |_| whole(0),
        "Memory allowed; 0: no limit of its own.",
    ),
    row(
        68,
        "PoolAlloc_bytes",
        Tags::GAUGE,
        |all| Value::U64(all.kept_bytes().0),
        "Memory kept for the next request.",
    ),
    row(
        69,
        "PoolUsed_bytes",
        Tags::GAUGE,
        |all| Value::U64(all.kept_bytes().1),
        "What idle server connections have of it.",
    ),
    row(
        70,
        "Start_time_sec",
        Tags::DURATION,
        |all| all.seconds(all.process.started_ms),
        "The start, in seconds since 1970.",
    ),
    row(
        71,
        "Tainted",
        Tags::STATUS,
        |_| text("0"),
        "What makes the process unusual; 0: nothing.",
    ),
    row(
        72,
        "TotalWarnings",
        Tags::COUNTER,
        |all| whole(all.warnings()),
        "Warnings about the configuration.",
    ),
    row(
        73,
        "MaxconnReached",
        Tags::COUNTER,
        |all| whole(all.view.sums.maxconn_reached()),
        "Times a connection had to wait for `maxconn` of the process.",
    ),
    row(
        75,
        "Niced_tasks",
        Tags::GAUGE,
        |_| whole(0),
        "Tasks with a priority of their own: there are none.",
    ),
    row(
        76,
        "CurrStreams",
        Tags::GAUGE,
        |all| Value::U64(all.connections()),
        "Client connections now.",
    ),
    row(
        77,
        "CumStreams",
        Tags::GAUGE,
        |all| Value::U64(all.sum(FrontendCounter::Requests)),
        "Requests in all.",
    ),
    row(
        81,
        "NbThreadGroups",
        Tags::CONFIG,
        |_| whole(1),
        "Groups of threads, always 1.",
    ),
];

fn node(view: View<'_>) -> &str {
    let configured = view.model().global.node.as_deref();
    configured.unwrap_or(&view.process.machine)
}

fn description(view: View<'_>) -> &str {
    view.model().global.description.as_deref().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn print(format: Format) -> String {
        let (plane, process) = (testing::plane(), testing::process());
        let wish = Wish {
            format,
            described: false,
            exact: false,
        };
        info(testing::view(&plane, &process), wish)
    }

    #[test]
    fn facts_are_printed_in_order() {
        let text = print(Format::Csv);
        for line in [
            "Name: Plimsoll\n",
            "Process_num: 1\nPid: 77\nUptime: 0d 0h01m01s\nUptime_sec: 61\n",
            "CurrConns: 4\n",
            "PipesUsed: 2\nPipesFree: 2\nConnRate: 3\n",
            "Tasks: 6\nRun_queue: 0\nIdle_pct: 75\n",
            "node: here\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(print(Format::Typed).contains("5.Process_num.1:KGPV:u32:1\n"));
        assert!(print(Format::Json).starts_with("[{\"field\":{\"pos\":0,\"name\":\"Name\"}"));
    }

    #[test]
    fn fractions_are_printed_where_they_are_wanted() {
        let (plane, process) = (testing::plane(), testing::process());
        let wish = Wish {
            format: Format::Typed,
            described: false,
            exact: true,
        };
        let text = info(testing::view(&plane, &process), wish);
        for line in [
            "8.Uptime_sec.1:MDPV:flt:61.5\n",
            "26.ConnRate.1:MRPV:flt:3\n",
            "70.Start_time_sec.1:MDPV:flt:1700000000\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn facts_have_places_of_their_own() {
        assert!(FACTS.is_sorted_by(|one, next| one.position < next.position));
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(uptime_text(0), "0d 0h00m00s");
        assert_eq!(uptime_text(90_061), "1d 1h01m01s");
    }
}
