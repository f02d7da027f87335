//! One look at a balancer, read from the answers of `show info` and `show stat`.

use std::collections::HashMap;
use std::time::Instant;

/// The answers of one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    /// By the names of `show info`.
    pub(super) info: HashMap<String, String>,
    pub(super) rows: Vec<Row>,
}

/// A frontend, a backend or a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) proxy: String,
    pub(super) service: String,
    pub(super) status: String,
    pub(super) weight: String,
    pub(super) current: u64,
    pub(super) queued: u64,
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) bytes_out: u64,
    /// Mean time to the response, in milliseconds.
    pub(super) response_ms: String,
    pub(super) check: String,
}

/// What happened between two looks, each per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) requests: f64,
    pub(super) errors: f64,
    pub(super) bytes_out: f64,
}

impl Row {
    pub(super) fn is_server(&self) -> bool {
        !matches!(self.service.as_str(), "FRONTEND" | "BACKEND")
    }
}

impl Sample {
    /// Reads both answers; `None`: the second is not a table with the columns that are shown.
    pub(super) fn read(at: Instant, info: &str, stat: &str) -> Option<Self> {
        let facts = info.lines().filter_map(|line| line.split_once(": "));
        let mut lines = stat.lines();
        let header = lines.next()?.strip_prefix("# ")?;
        let columns: HashMap<&str, usize> = header.split(',').zip(0..).collect();
        columns.get("pxname").and_then(|_| columns.get("svname"))?;
        Some(Self {
            at,
            info: facts
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            rows: lines
                .filter(|line| !line.is_empty())
                .map(|line| row(&columns, &cells(line)))
                .collect(),
        })
    }

    pub(super) fn fact(&self, name: &str) -> &str {
        self.info.get(name).map_or("?", String::as_str)
    }

    /// The rates of each row since an earlier look.
    pub(super) fn since(&self, before: &Self) -> Vec<Rates> {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(0.001);
        let known: HashMap<(&str, &str), &Row> = before
            .rows
            .iter()
            .map(|row| ((row.proxy.as_str(), row.service.as_str()), row))
            .collect();
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        self.rows
            .iter()
            .map(|row| {
                let Some(then) = known.get(&(row.proxy.as_str(), row.service.as_str())) else {
                    return Rates::default();
                };
                Rates {
                    requests: rate(row.requests, then.requests),
                    errors: rate(row.errors, then.errors),
                    bytes_out: rate(row.bytes_out, then.bytes_out),
                }
            })
            .collect()
    }
}

fn row(columns: &HashMap<&str, usize>, cells: &[String]) -> Row {
    let text = |name: &str| {
        let at = columns.get(name);
        at.and_then(|&at| cells.get(at))
            .cloned()
            .unwrap_or_default()
    };
    let number = |name: &str| text(name).parse::<u64>().unwrap_or(0);
    let service = text("svname");
    // TCP has sessions alone.
    let requests = match columns.contains_key("req_tot") && !text("req_tot").is_empty() {
        true => number("req_tot"),
        false => number("stot"),
    };
    Row {
        proxy: text("pxname"),
        status: text("status"),
        weight: text("weight"),
        current: number("scur"),
        queued: number("qcur"),
        requests,
        errors: number("hrsp_5xx") + number("econ") + number("eresp") + number("ereq"),
        bytes_out: number("bout"),
        response_ms: text("rtime"),
        check: text("check_status"),
        service,
    }
}

/// The cells of a line of CSV (RFC 4180), whose quotes are doubled within quotes.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            letter => cell.push(letter),
        }
    }
    cells.push(cell);
    cells
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    pub(in super::super) const STAT: &str = "# pxname,svname,qcur,scur,stot,bout,status,weight,req_tot,hrsp_5xx,econ,eresp,ereq,rtime,check_status,\n\
        web,FRONTEND,,3,40,1000,OPEN,,100,5,,,1,,,\n\
        app,one,2,1,50,700,UP 1/3,50,60,5,1,0,,12,L7OK,\n\
        app,\"t\"\"w,o\",0,0,7,300,DOWN,50,,,0,0,,,L4CON,\n\
        app,BACKEND,2,1,57,1000,UP,50,60,5,1,0,,12,,\n\n";

    pub(in super::super) fn sample(at: Instant, stat: &str) -> Sample {
        Sample::read(at, "Name: Plimsoll\nUptime: 0d 0h00m05s\n", stat).expect("statistics")
    }

    #[test]
    fn rows_are_read_by_the_names_of_their_columns() {
        let sample = sample(Instant::now(), STAT);
        assert_eq!(sample.fact("Name"), "Plimsoll");
        assert_eq!(sample.fact("Nothing"), "?");
        let one = &sample.rows[1];
        assert_eq!(
            (one.current, one.queued, one.requests, one.errors),
            (1, 2, 60, 6)
        );
        assert_eq!(
            (one.status.as_str(), one.check.as_str()),
            ("UP 1/3", "L7OK")
        );
        // Without requests, sessions count.
        let two = &sample.rows[2];
        assert_eq!((two.service.as_str(), two.requests), ("t\"w,o", 7));
        assert!(two.is_server() && !sample.rows[3].is_server());
    }

    #[test]
    fn rates_are_differences_and_survive_what_is_new_or_begins_anew() {
        let then = Instant::now();
        let before = sample(then, STAT);
        let after = STAT
            .replace(",100,5,", ",300,5,")
            .replace(",1000,OPEN", ",10,OPEN");
        let after = format!(
            "{}new,FRONTEND,,1,9,9,OPEN,,9,0,,,0,,,\n",
            after.trim_end_matches('\n').to_owned() + "\n"
        );
        let after = sample(then + Duration::from_secs(2), &after);
        let rates = after.since(&before);
        assert_eq!(
            rates[0],
            Rates {
                requests: 100.0,
                errors: 0.0,
                bytes_out: 0.0
            }
        );
        assert_eq!(rates.last(), Some(&Rates::default()));
    }

    #[test]
    fn other_answers_are_refused() {
        for stat in ["", "Permission denied\n", "# a,b\n1,2\n"] {
            assert!(Sample::read(Instant::now(), "", stat).is_none(), "{stat}");
        }
    }
}
