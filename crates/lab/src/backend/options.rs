//! What an instance is told at its start: flags first, then the environment, then defaults.

use std::net::SocketAddr;

use super::work::Work;

/// Requests in flight at which `/agent` begins to lower the weight, unless told otherwise.
const MAX_INFLIGHT_SAFE_DEFAULT: u32 = 120;
/// The latency `/agent` aims at, unless told otherwise.
const TARGET_LATENCY_MS_DEFAULT: f64 = 80.0;
/// Latencies kept for percentiles, unless told otherwise.
const LATENCY_SAMPLE_DEFAULT: usize = 512;

/// Everything that shapes one instance of the demo service.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Name of the service, in answers and metrics.
    pub service: String,
    /// Name of this instance, in answers, metrics and the `X-Backend` field.
    pub instance: String,
    /// Where requests are taken: `:8080`, `127.0.0.1:8080`, `name:8080`.
    pub listen: String,
    /// Where the agent answers; `None`: nowhere.
    pub agent_listen: Option<String>,
    /// The latency `/agent` aims at, in milliseconds.
    pub target_latency_ms: f64,
    /// Concurrent requests beyond which `/agent` lowers the weight.
    pub max_inflight_safe: u32,
    /// How many of the latest latencies percentiles are computed from.
    pub latency_sample: usize,
    /// The cost of every request, before its query.
    pub base: Work,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            service: "demo".to_owned(),
            instance: "demo-1".to_owned(),
            listen: ":8080".to_owned(),
            agent_listen: Some(":8090".to_owned()),
            target_latency_ms: TARGET_LATENCY_MS_DEFAULT,
            max_inflight_safe: MAX_INFLIGHT_SAFE_DEFAULT,
            latency_sample: LATENCY_SAMPLE_DEFAULT,
            base: Work::default(),
        }
    }
}

/// The environment variables that shape an instance, with their meaning.
pub const VARIABLES: [(&str, &str); 6] = [
    ("BASE_CPU_MS", "processor time of every request, in ms"),
    ("BASE_SLEEP_MS", "wait of every request, in ms"),
    ("JITTER_MS", "random wait of up to this much more, in ms"),
    ("FAIL_RATE", "chance that a request fails, 0 to 1"),
    ("TARGET_LATENCY_MS", "the latency the agent aims at, in ms"),
    (
        "MAX_INFLIGHT_SAFE",
        "concurrent requests beyond which the agent lowers the weight",
    ),
];

impl Options {
    /// The defaults, changed by the environment. `variable` looks one up; an empty one counts as
    /// not set.
    ///
    /// # Errors
    /// A sentence that names the variable and what is wrong with it.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut options = Self::default();
        for (name, _) in VARIABLES {
            let Some(text) = variable(name).filter(|text| !text.is_empty()) else {
                continue;
            };
            let value: f64 = text
                .trim()
                .parse()
                .ok()
                .filter(|value: &f64| value.is_finite() && *value >= 0.0)
                .ok_or_else(|| format!("{name}: `{text}` is not a number from 0 up"))?;
            match name {
                "BASE_CPU_MS" => options.base.cpu_ms = value,
                "BASE_SLEEP_MS" => options.base.sleep_ms = value,
                "JITTER_MS" => options.base.jitter_ms = value,
                "FAIL_RATE" => options.base.fail_rate = value,
                "TARGET_LATENCY_MS" => options.target_latency_ms = value,
                // A cast from float saturates.
                _ => options.max_inflight_safe = value as u32,
            }
        }
        Ok(options)
    }

    /// Whether the instance can be run as told.
    ///
    /// # Errors
    /// A sentence that names the option and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        self.base.check()?;
        if !(self.target_latency_ms.is_finite() && self.target_latency_ms > 0.0) {
            return Err("the target latency must be more than 0 ms".to_owned());
        }
        if self.max_inflight_safe == 0 {
            return Err("the safe number of requests in flight must be at least 1".to_owned());
        }
        let sample_max = super::vitals::LATENCY_SAMPLE_MAX;
        if !(1..=sample_max).contains(&self.latency_sample) {
            return Err(format!(
                "the latency sample must be between 1 and {sample_max}"
            ));
        }
        let named =
            |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !named(&self.service) || !named(&self.instance) {
            return Err(
                "names of services and instances are visible ASCII without blanks".to_owned(),
            );
        }
        Ok(())
    }
}

/// The addresses `text` stands for. `:8080` and `*:8080` mean every address of the machine: IPv6
/// with IPv4 in it first, then IPv4 alone for machines without IPv6.
///
/// # Errors
/// A sentence for the person who typed it.
pub(super) fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    use std::net::{Ipv4Addr, Ipv6Addr, ToSocketAddrs};
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("`{text}` has no port: write `:8080` or `127.0.0.1:8080`"))?;
    if host.is_empty() || host == "*" {
        let port = port
            .parse()
            .map_err(|_| format!("`{port}` in `{text}` is not a port number"))?;
        return Ok(vec![
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        ]);
    }
    text.to_socket_addrs()
        .map(Iterator::collect)
        .map_err(|error| format!("`{text}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(text: &str) -> Result<Options, String> {
        Options::from_environment(|name| {
            text.split(' ')
                .filter_map(|pair| pair.split_once('='))
                .find_map(|(known, value)| (known == name).then(|| value.to_owned()))
        })
    }

    #[test]
    fn the_environment_changes_the_defaults() {
        let options = environment(
            "BASE_CPU_MS=1 BASE_SLEEP_MS=20 JITTER_MS=3 FAIL_RATE=0.02 TARGET_LATENCY_MS=120 MAX_INFLIGHT_SAFE=7",
        )
        .unwrap();
        assert_eq!((options.base.cpu_ms, options.base.sleep_ms), (1.0, 20.0));
        assert_eq!(
            (options.base.jitter_ms, options.base.fail_rate),
            (3.0, 0.02)
        );
        assert_eq!(
            (options.target_latency_ms, options.max_inflight_safe),
            (120.0, 7)
        );
        assert_eq!(environment("FAIL_RATE=").unwrap(), Options::default());
    }

    #[test]
    fn nonsense_is_named() {
        let error = environment("JITTER_MS=soon").unwrap_err();
        assert!(
            error.contains("JITTER_MS") && error.contains("soon"),
            "{error}"
        );
        for text in ["FAIL_RATE=2", "TARGET_LATENCY_MS=0", "MAX_INFLIGHT_SAFE=0"] {
            assert!(environment(text).unwrap().check().is_err(), "{text}");
        }
        assert!(environment("FAIL_RATE=-1").is_err());
    }

    #[test]
    fn listening_addresses() {
        assert_eq!(addresses("127.0.0.1:80").unwrap().len(), 1);
        assert_eq!(addresses(":8080").unwrap()[0].to_string(), "[::]:8080");
        assert_eq!(addresses("*:8080").unwrap()[1].to_string(), "0.0.0.0:8080");
        for text in ["8080", ":x", ":99999", "127.0.0.1:"] {
            assert!(addresses(text).is_err(), "{text}");
        }
    }
}
