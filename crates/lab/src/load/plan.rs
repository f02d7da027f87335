//! What a person asked for, checked and made ready to be carried out.

use std::fmt::Write as _;
use std::time::Duration;

use super::profile::{Preset, Profile, Unit};
use super::target::{Protocol, Target};
use crate::duration::DURATION_MAX;

/// Most threads.
pub const THREADS_MAX: usize = 256;
/// Largest request, head and body.
pub const REQUEST_BYTES_MAX: usize = 64 << 20;
/// Bytes of a TCP message when none is given.
const MESSAGE_BYTES: usize = 64;

/// Everything a person can ask for, as typed.
#[derive(Clone, Debug)]
pub struct Options {
    pub target: Target,
    /// Threads, each with its share of the connections.
    pub threads: usize,
    /// Connections; in an open loop the most that may be used.
    pub connections: usize,
    /// How long; without it ten seconds, or as long as `requests` take.
    pub duration: Option<Duration>,
    /// How long an answer, or a connection, may take.
    pub timeout: Duration,
    /// Requests in all, after which the test ends.
    pub requests: Option<u64>,
    /// Requests per second in all, in an open loop.
    pub rate: Option<f64>,
    /// Most requests per second of each connection, in a closed loop.
    pub rate_per_connection: Option<f64>,
    /// Load over time, instead of a constant one.
    pub stages: Option<Profile>,
    /// A kind of test, shaped after `rate` or `connections`.
    pub preset: Option<Preset>,
    pub method: String,
    /// Fields in addition to `Host`, as `Name: value`.
    pub headers: Vec<String>,
    /// The request's body; the message, for TCP.
    pub body: Vec<u8>,
    /// A new connection for each request.
    pub close: bool,
    /// Counts answers by the value of this response field as well.
    pub count_by: Option<String>,
}

impl Options {
    /// Two threads, ten connections, ten seconds, two seconds of patience.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            threads: 2,
            connections: 10,
            duration: None,
            timeout: Duration::from_secs(2),
            requests: None,
            rate: None,
            rate_per_connection: None,
            stages: None,
            preset: None,
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            close: false,
            count_by: None,
        }
    }
}

/// How long a test takes when nobody says.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);

/// Options that have been checked, with the request's bytes.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) protocol: Protocol,
    pub(super) threads: usize,
    pub(super) connections: usize,
    pub(super) profile: Profile,
    pub(super) requests: Option<u64>,
    pub(super) timeout: Duration,
    /// Time from one request of a connection to its next, at least.
    pub(super) pause_ns: u64,
    pub(super) close: bool,
    pub(super) count_by: Option<Box<[u8]>>,
    /// HEAD: answers have no body whatever they announce.
    pub(super) is_head: bool,
    pub(super) request: Vec<u8>,
}

impl Plan {
    /// # Errors
    /// A sentence for the person who typed the options.
    pub(super) fn new(options: &Options) -> Result<Self, String> {
        let profile = profile(options)?;
        let connections = match profile.unit() {
            Unit::Connections => profile.peak().ceil() as usize,
            Unit::Rate => options.connections,
        };
        if connections == 0 {
            return Err("there must be at least one connection".to_owned());
        }
        if !(1..=THREADS_MAX).contains(&options.threads) {
            return Err(format!("there can be 1 to {THREADS_MAX} threads"));
        }
        if options.timeout.is_zero() {
            return Err("the timeout must be longer than nothing".to_owned());
        }
        let pause_ns = match options.rate_per_connection {
            None => 0,
            Some(_) if profile.unit() == Unit::Rate => {
                return Err("a rate per connection and a rate in all exclude each other".to_owned());
            }
            Some(rate) if rate.is_finite() && rate > 0.0 => (1e9 / rate) as u64,
            Some(rate) => return Err(format!("{rate} requests per second is not a rate")),
        };
        let request = match options.target.protocol {
            Protocol::Http => http_request(options)?,
            Protocol::Tcp if options.body.is_empty() => vec![b'.'; MESSAGE_BYTES],
            Protocol::Tcp => options.body.clone(),
        };
        if request.len() > REQUEST_BYTES_MAX {
            return Err(format!("a request has at most {REQUEST_BYTES_MAX} bytes"));
        }
        Ok(Self {
            protocol: options.target.protocol,
            threads: options.threads.min(connections),
            connections,
            profile,
            requests: options.requests,
            timeout: options.timeout,
            pause_ns,
            close: options.close,
            count_by: options
                .count_by
                .as_deref()
                .map(|name| name.as_bytes().into()),
            is_head: options.method == "HEAD",
            request,
        })
    }

    /// The part of `all` that belongs to thread `number`; the parts add up to the whole.
    pub(super) fn share(&self, all: u64, number: usize) -> u64 {
        let threads = self.threads as u64;
        all / threads + u64::from((number as u64) < all % threads)
    }
}

fn profile(options: &Options) -> Result<Profile, String> {
    let length = match (options.duration, options.requests) {
        (Some(duration), _) => duration,
        (None, Some(_)) => DURATION_MAX,
        (None, None) => DURATION_DEFAULT,
    };
    let (unit, level) = match options.rate {
        Some(rate) => (Unit::Rate, rate),
        None => (Unit::Connections, options.connections as f64),
    };
    match (&options.stages, options.preset) {
        (Some(_), Some(_)) => Err("stages and a preset exclude each other".to_owned()),
        (Some(_), None) if options.rate.is_some() || options.duration.is_some() => {
            Err("stages say rate and duration themselves".to_owned())
        }
        (Some(stages), None) => Ok(stages.clone()),
        (None, Some(_)) if options.duration.is_none() && options.requests.is_some() => {
            Err("a preset is shaped in time: say how long it takes".to_owned())
        }
        (None, Some(preset)) => Profile::preset(preset, unit, level, length),
        (None, None) => Profile::constant(unit, level, length),
    }
}

/// The bytes of the request, which are the same each time.
fn http_request(options: &Options) -> Result<Vec<u8>, String> {
    let is_token = |text: &str| {
        let marks = b"!#$%&'*+-.^_`|~";
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
    };
    if !is_token(&options.method) || options.method == "CONNECT" {
        return Err(format!("`{}` is not a method for this", options.method));
    }
    let mut head = format!("{} {} HTTP/1.1\r\n", options.method, options.target.path);
    let has = |wanted: &str| {
        options.headers.iter().any(|header| {
            let name = header.split(':').next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case(wanted)
        })
    };
    if !has("host") {
        let _ = write!(head, "Host: {}\r\n", options.target.authority);
    }
    for header in &options.headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| format!("`{header}` is not a field: write `Name: value`"))?;
        let (name, value) = (name.trim(), value.trim());
        if !is_token(name) || value.bytes().any(|byte| byte < b' ' && byte != b'\t') {
            return Err(format!("`{}` is not a field", header.escape_debug()));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("bodies are sent with their length, never in chunks".to_owned());
        }
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let has_body = !options.body.is_empty() || matches!(&*options.method, "POST" | "PUT" | "PATCH");
    if has_body && !has("content-length") {
        let _ = write!(head, "Content-Length: {}\r\n", options.body.len());
    }
    if options.close && !has("connection") {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    Ok([head.as_bytes(), &options.body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options::new(Target::parse("http://a:8080/b?c").unwrap())
    }

    #[test]
    fn the_request_as_it_is_sent() {
        let request =
            |options: &Options| String::from_utf8(Plan::new(options).unwrap().request).unwrap();
        assert_eq!(
            request(&options()),
            "GET /b?c HTTP/1.1\r\nHost: a:8080\r\n\r\n"
        );
        let options = Options {
            method: "POST".to_owned(),
            headers: vec!["host:x".to_owned(), "X-A:  b ".to_owned()],
            body: b"abc".to_vec(),
            close: true,
            ..options()
        };
        assert_eq!(
            request(&options),
            "POST /b?c HTTP/1.1\r\nhost: x\r\nX-A: b\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
        );
    }

    #[test]
    fn contradictions_are_refused() {
        let stages = || Some(Profile::parse("1s:1").unwrap());
        let cases = [
            Options {
                connections: 0,
                ..options()
            },
            Options {
                threads: 0,
                ..options()
            },
            Options {
                timeout: Duration::ZERO,
                ..options()
            },
            Options {
                rate: Some(f64::NAN),
                ..options()
            },
            Options {
                rate: Some(-1.0),
                ..options()
            },
            Options {
                rate_per_connection: Some(0.0),
                ..options()
            },
            Options {
                rate_per_connection: Some(1.0),
                rate: Some(1.0),
                ..options()
            },
            Options {
                stages: stages(),
                rate: Some(1.0),
                ..options()
            },
            Options {
                stages: stages(),
                preset: Some(Preset::Load),
                ..options()
            },
            Options {
                preset: Some(Preset::Load),
                requests: Some(1),
                ..options()
            },
            Options {
                method: "G T".to_owned(),
                ..options()
            },
            Options {
                headers: vec!["X".to_owned()],
                ..options()
            },
            Options {
                headers: vec!["X: a\r\nY: b".to_owned()],
                ..options()
            },
            Options {
                headers: vec!["Transfer-Encoding: chunked".to_owned()],
                ..options()
            },
        ];
        for case in cases {
            assert!(Plan::new(&case).is_err(), "{case:?}");
        }
    }

    #[test]
    fn shares_add_up() {
        for threads in 1..9 {
            let plan = Plan::new(&Options {
                threads,
                connections: 64,
                ..options()
            })
            .unwrap();
            for all in 0..100 {
                let sum: u64 = (0..threads).map(|number| plan.share(all, number)).sum();
                assert_eq!(sum, all);
            }
        }
    }

    #[test]
    fn there_are_no_more_threads_than_connections() {
        let plan = Plan::new(&Options {
            threads: 4,
            connections: 3,
            ..options()
        })
        .unwrap();
        assert_eq!(plan.threads, 3);
    }
}
