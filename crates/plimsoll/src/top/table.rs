//! A look as lines of text, for scripts and for the terminal alike.

use super::sample::{Rates, Row, Sample};

/// Heads of the columns.
pub(super) const HEADS: [&str; 10] = [
    "PROXY", "SERVER", "STATUS", "WEIGHT", "NOW", "QUEUE", "REQ/S", "ERR/S", "OUT/S", "RESP",
];

/// The line above the table.
pub(super) fn headline(sample: &Sample) -> String {
    format!(
        "{} {}  up {}  connections {}  requests {}  threads {}",
        sample.fact("Name"),
        sample.fact("Version"),
        sample.fact("Uptime"),
        sample.fact("CurrConns"),
        sample.fact("CumReq"),
        sample.fact("Nbthread"),
    )
}

/// What stands in the columns for a row.
pub(super) fn cells(row: &Row, rates: &Rates) -> [String; 10] {
    let response = match row.response_ms.as_str() {
        "" => String::new(),
        ms => format!("{ms}ms"),
    };
    let status = match row.check.as_str() {
        "" => row.status.clone(),
        check => format!("{} {check}", row.status),
    };
    [
        row.proxy.clone(),
        row.service.clone(),
        status,
        row.weight.clone(),
        row.current.to_string(),
        row.queued.to_string(),
        format!("{:.0}", rates.requests),
        format!("{:.0}", rates.errors),
        bytes(rates.bytes_out),
        response,
    ]
}

/// Bytes with a prefix, in powers of 1,000.
fn bytes(number: f64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.into_iter().find(|(size, _)| number >= *size) {
        Some((size, unit)) => format!("{:.1}{unit}", number / size),
        None => format!("{number:.0}B"),
    }
}

/// The whole look as text: a line about the process, and a table.
pub(super) fn text(sample: &Sample, rates: &[Rates]) -> String {
    let rows: Vec<_> = sample
        .rows
        .iter()
        .zip(rates)
        .map(|(row, rates)| cells(row, rates))
        .collect();
    let heads = HEADS.map(str::to_owned);
    let mut widths = [0; HEADS.len()];
    for row in rows.iter().chain([&heads]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = headline(sample) + "\n";
    for row in [&heads].into_iter().chain(&rows) {
        let mut line = String::new();
        for (at, (width, cell)) in widths.iter().zip(row).enumerate() {
            // Words to the left, numbers to the right.
            match at {
                0..3 => line.push_str(&format!("{cell:<width$}  ")),
                _ => line.push_str(&format!("{cell:>width$}  ")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::sample::tests::{STAT, sample};
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let sample = sample(Instant::now(), STAT);
        let rates = vec![
            Rates {
                requests: 12.4,
                errors: 1.0,
                bytes_out: 2_500_000.0
            };
            4
        ];
        let text = text(&sample, &rates);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("Plimsoll ? "), "{text}");
        assert!(lines[1].starts_with("PROXY  SERVER"), "{text}");
        assert!(
            lines[3].contains("UP 1/3 L7OK") && lines[3].ends_with("12ms"),
            "{text}"
        );
        assert!(
            lines[2].contains(" 12 ") && lines[2].ends_with("2.5MB"),
            "{text}"
        );
        let at = lines[1].find("STATUS").expect("a head");
        assert!(lines[4][at..].starts_with("DOWN L4CON"), "{text}");
    }

    #[test]
    fn sizes_are_short() {
        for (number, text) in [
            (0.0, "0B"),
            (999.0, "999B"),
            (1_500.0, "1.5kB"),
            (2e9, "2.0GB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
