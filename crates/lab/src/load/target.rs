//! The address of what is to be loaded, as people write it.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

/// Longest address accepted, in bytes.
const TARGET_BYTES_MAX: usize = 8192;

/// The protocols the load generator speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 without TLS.
    Http,
    /// Bytes that are expected to come back as they are.
    Tcp,
}

/// `http://host:port/path?query` or `tcp://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub protocol: Protocol,
    /// Host and port as written, for the `Host` field and for messages.
    pub authority: String,
    host: String,
    port: u16,
    /// Path and query; empty for TCP.
    pub path: String,
}

impl Target {
    /// Reads an address; one without a scheme is HTTP.
    ///
    /// # Errors
    /// A sentence for the person who typed it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}`: {why}");
        if text.len() > TARGET_BYTES_MAX {
            return Err(format!("an address has at most {TARGET_BYTES_MAX} bytes"));
        }
        if let Some(bad) = text.chars().find(|letter| !letter.is_ascii_graphic()) {
            return Err(wrong(&format!("{bad:?} must be written as %XX")));
        }
        let (protocol, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Protocol::Http, rest),
            Some(("tcp", rest)) => (Protocol::Tcp, rest),
            Some((scheme, _)) => {
                return Err(wrong(&format!(
                    "`{scheme}` is not spoken: use http:// or tcp://"
                )));
            }
            None => (Protocol::Http, text),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(wrong("user names are not sent: use -H 'Authorization: …'"));
        }
        let (host, port) = split_port(authority);
        let port = match (port, protocol) {
            (Some(port), _) => port
                .parse()
                .ok()
                .filter(|&port| port != 0)
                .ok_or_else(|| wrong(&format!("`{port}` is not a port number")))?,
            (None, Protocol::Http) => 80,
            (None, Protocol::Tcp) => return Err(wrong("tcp:// needs a port")),
        };
        if host.is_empty() {
            return Err(wrong("there is no host"));
        }
        let path = match (protocol, path.as_bytes().first()) {
            (Protocol::Tcp, None) => String::new(),
            (Protocol::Tcp, Some(_)) => return Err(wrong("tcp:// has no path")),
            (Protocol::Http, Some(b'/')) => path.to_owned(),
            (Protocol::Http, _) => format!("/{path}"),
        };
        Ok(Self {
            protocol,
            authority: authority.to_owned(),
            host: host.to_owned(),
            port,
            path,
        })
    }

    /// Every address the host's name stands for.
    ///
    /// # Errors
    /// A sentence, when the name is not known.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        let addresses: Vec<_> = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| format!("`{}` is not known: {error}", self.host))?
            .collect();
        if addresses.is_empty() {
            return Err(format!("`{}` has no address", self.host));
        }
        Ok(addresses)
    }
}

/// As it could be typed again.
impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Http => "http",
            Protocol::Tcp => "tcp",
        };
        write!(out, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// Host (without the brackets of IPv6) and port, if there is one.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return (host, rest.strip_prefix(':'));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let cases = [
            (
                "http://lab-lb/?cpu_ms=8&x=1",
                "lab-lb",
                80,
                "/?cpu_ms=8&x=1",
            ),
            ("http://a:8080", "a", 8080, "/"),
            ("http://a?x", "a", 80, "/?x"),
            ("a:81/b#c", "a", 81, "/b"),
            ("http://[::1]:82/", "::1", 82, "/"),
            ("http://[::1]", "::1", 80, "/"),
            ("tcp://127.0.0.1:9", "127.0.0.1", 9, ""),
        ];
        for (text, host, port, path) in cases {
            let target = Target::parse(text).unwrap();
            let read = (target.host.as_str(), target.port, target.path.as_str());
            assert_eq!(read, (host, port, path), "{text}");
        }
        assert_eq!(
            Target::parse("http://a:8080/b").unwrap().authority,
            "a:8080"
        );
    }

    #[test]
    fn refuses_the_rest() {
        let long = format!("http://a/{}", "x".repeat(9000));
        let cases = [
            "",
            "http://",
            "https://a/",
            "tcp://a",
            "tcp://a:1/x",
            "http://a:0/",
            "http://a:x/",
            "http://a:70000/",
            "http://u:p@a/",
            "http://a/b c",
            "http://a/\r\nx",
            "http://a/é",
            &long,
        ];
        for text in cases {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn resolves() {
        let target = Target::parse("tcp://127.0.0.1:9").unwrap();
        assert_eq!(target.resolve().unwrap()[0].to_string(), "127.0.0.1:9");
    }
}
