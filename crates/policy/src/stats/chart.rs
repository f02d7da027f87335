//! Small charts of the statistics page: plain HTML and SVG, with a text beside each that says the same.
//!
//! What is absent: the page around them ([`super::page`]), and colours that alone would tell something.

use std::fmt::Write as _;

use super::info::uptime_text;
use super::page::Escaped;
use super::{Column, Row, RowKind, View};
use crate::health::{Health, Which};
use crate::probe::Class;

/// Width of the longest bar, in pixels.
const BAR_MAX: u64 = 60;

/// What the servers of a proxy have together or at most, to which bars are drawn.
pub(super) struct Scale {
    sessions: u64,
    weight: u64,
    slowest_us: u64,
}

impl Scale {
    pub(super) fn of(view: View<'_>, rows: &[Row<'_>]) -> Self {
        let servers = || rows.iter().filter(|row| row.kind == RowKind::Server);
        let sum = |column| servers().map(|row| row.number(column)).sum();
        let slow = servers().filter_map(|row| percentiles_us(view, row).map(|[.., slow]| slow));
        Self {
            sessions: sum(Column::Sessions),
            weight: sum(Column::Weight),
            slowest_us: slow.max().unwrap_or(0),
        }
    }

    /// The share of all sessions that went to a server.
    pub(super) fn share(&self, row: &Row<'_>) -> String {
        let sessions = row.number(Column::Sessions);
        let percent = match row.kind {
            RowKind::Server => (sessions * 100).checked_div(self.sessions).unwrap_or(0),
            _ => 0,
        };
        format!("<meter max=100 value={percent}></meter> {percent} %")
    }

    /// The weight of a server beside that of all.
    pub(super) fn weight(&self, row: &Row<'_>) -> String {
        let weight = row.number(Column::Weight);
        match row.kind {
            RowKind::Server => {
                let most = self.weight.max(1);
                format!("<meter max={most} value={weight}></meter> {weight}")
            }
            RowKind::Backend => weight.to_string(),
            _ => String::new(),
        }
    }

    /// Median, 90th and 99th percentile of a server's response times, as bars and in words.
    pub(super) fn latency(&self, view: View<'_>, row: &Row<'_>) -> String {
        let Some([median, high, slow]) = percentiles_us(view, row) else {
            return String::new();
        };
        let mut out = format!(
            "<svg class=times width={BAR_MAX} height=15 role=img aria-label=\"p50, p90 and p99\">"
        );
        for (index, us) in [median, high, slow].into_iter().enumerate() {
            let width = (us * BAR_MAX).checked_div(self.slowest_us).unwrap_or(0);
            let (y, width) = (index * 5, width.clamp(1, BAR_MAX));
            let _ = write!(out, "<rect y={y} width={width} height=4 />");
        }
        let ms = |us: u64| us as f64 / 1e3;
        let _ = write!(out, "</svg> {:.1} / {:.1} ms", ms(median), ms(slow));
        out
    }
}

/// What checks have said of a server lately, the newest at the end, and since the start.
pub(super) fn health(view: View<'_>, row: &Row<'_>) -> String {
    let health = row
        .server
        .and_then(|(id, server)| view.sums.health(id, server));
    let Some(health) = health.filter(is_checked) else {
        return String::new();
    };
    let mut out =
        String::from("<svg class=checks height=12 width=96 role=img aria-label=\"last checks\">");
    for (index, seen) in health.history().enumerate() {
        // A failure is shorter as well as red.
        let (class, y, height) = match seen.status.class() {
            Class::Passed => ("ok", 0, 12),
            Class::Failed => ("no", 6, 6),
            Class::Conditional => ("so", 3, 9),
            Class::Unknown | Class::Neutral => ("na", 9, 3),
        };
        let x = index * 6;
        let _ = write!(
            out,
            "<rect class={class} x={x} y={y} width=5 height={height} />"
        );
    }
    let last = match row.value(Column::CheckStatus) {
        Some(status) => status.to_string(),
        None => row
            .value(Column::AgentStatus)
            .map(ToString::to_string)
            .unwrap_or_default(),
    };
    let _ = write!(
        out,
        "</svg> {} <small>{} failed, down {} times, {}</small>",
        Escaped(&last),
        row.number(Column::ChecksFailed),
        row.number(Column::TimesDown),
        uptime_text(row.number(Column::Downtime)),
    );
    out
}

fn is_checked(health: &Health) -> bool {
    let which = [Which::Check, Which::Agent];
    which.into_iter().any(|which| health.tally(which).is_some())
}

/// Median, 90th and 99th percentile of a server's response times.
fn percentiles_us(view: View<'_>, row: &Row<'_>) -> Option<[u64; 3]> {
    let (id, server) = row.server?;
    let times = view.sums.latencies(id, server)?;
    let at = |percent| times.percentile(percent);
    Some([at(50.0)?, at(90.0)?, at(99.0)?])
}
