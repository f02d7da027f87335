//! `agent-check`: a line from a program beside the server, over TCP or, with `agent-http`, in the body of a response.
//! What the line orders is [`crate::agent`]'s to read.
//!
//! A body of JSON is made a line: `{"state": "up", "weight": 75, "maxconn": 30, "reason": "warm"}` is
//! `up 75% maxconn:30 # warm`. Members may be absent; `weight` is a percentage, as a number or with its sign, and a text
//! without one is a weight.

use std::net::SocketAddr;

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::Diagnostic;

use super::response::{Reading, Response};
use super::script::Outcome;
use super::{Kind, Status, Verdict};
use crate::convert::JsonQuery;
use crate::model::ServerAddress;
use crate::model::check::{
    AgentCheck, CheckAction, CheckConnect, CheckSpec, Expectation, Flavour, Protocol, Wanted,
};
use crate::probe::DialTls;
use crate::value::Value;

pub(super) const PROBE: Kind = Kind {
    name: "agent-check",
    usage: "",
    doc: "Reads a line from an agent.",
    read,
};

fn read(_: &mut Args<'_>) -> Result<CheckSpec, Diagnostic> {
    Ok(spec(
        &AgentCheck::default(),
        &ServerAddress::Abstract(String::new()),
    ))
}

/// The steps of an agent check; the agent is at the server's address unless it has one of its own.
pub fn spec(check: &AgentCheck, server: &ServerAddress) -> CheckSpec {
    let connect = CheckConnect {
        implicit: true,
        tls: match check.tls {
            true => DialTls::Yes,
            false => DialTls::No,
        },
        ..CheckConnect::default()
    };
    let mut steps = vec![CheckAction::Connect(connect).into()];
    let wanted = match &check.http_target {
        Some(target) => {
            steps.push(CheckAction::Send(request(target, check, server)).into());
            Protocol::HttpAgent
        }
        None => {
            if !check.send.is_empty() {
                steps.push(CheckAction::Send(check.send.clone()).into());
            }
            Protocol::Agent
        }
    };
    steps.push(CheckAction::Expect(Expectation::new(Wanted::Reply(wanted))).into());
    CheckSpec {
        flavour: Flavour::Agent,
        steps,
        ..CheckSpec::default()
    }
}

/// What an agent is asked over HTTP; `agent-send` is the body.
fn request(target: &str, check: &AgentCheck, server: &ServerAddress) -> Vec<u8> {
    let method = if check.send.is_empty() { "GET" } else { "POST" };
    let own = match server {
        ServerAddress::Inet { ip, .. } => Some(*ip),
        _ => None,
    };
    let host = match (check.address.or(own), server) {
        (Some(ip), _) => SocketAddr::new(ip, check.port).to_string(),
        (None, ServerAddress::Unresolved { host, .. }) => format!("{host}:{}", check.port),
        (None, _) => "localhost".to_owned(),
    };
    let mut request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/plain, application/json\r\nConnection: close\r\n"
    );
    if !check.send.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", check.send.len()));
    }
    request.push_str("\r\n");
    let mut request = request.into_bytes();
    request.extend_from_slice(&check.send);
    request
}

/// The line ends at the first CR, LF or zero.
pub(super) fn judge(heard: &[u8], last: bool) -> Outcome {
    match first_line(heard) {
        Some(line) => ordered(line.to_vec()),
        None if last => {
            let words = "Ignoring incomplete line from agent";
            Outcome::End(Verdict::new(Status::Checked, 0, words))
        }
        None => Outcome::Wait,
    }
}

fn ordered(line: Vec<u8>) -> Outcome {
    Outcome::End(Verdict {
        agent: Some(line),
        ..Verdict::new(Status::Checked, 0, "")
    })
}

fn first_line(text: &[u8]) -> Option<&[u8]> {
    let end = text
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n' | 0));
    end.map(|end| &text[..end])
}

/// The line in the body of a response.
pub(super) fn judge_http(heard: &[u8], closed: bool, last: bool) -> Outcome {
    let ignored = |words: &str| Outcome::End(Verdict::new(Status::Checked, 0, words));
    let response = match Response::read(heard, closed, false, false) {
        Reading::Head(response) => response,
        Reading::Partial if !last => return Outcome::Wait,
        Reading::Partial | Reading::Invalid => {
            return ignored("Ignoring what is no HTTP from agent");
        }
    };
    if !response.complete && !last {
        return Outcome::Wait;
    }
    if !(200..300).contains(&response.status) {
        let words = format!("Ignoring HTTP status {} from agent", response.status);
        return ignored(&words);
    }
    let kind = response.head.value(b"content-type").unwrap_or_default();
    let body = response.body.trim_ascii();
    if kind.starts_with(b"application/json") || body.starts_with(b"{") {
        return match line_of_json(body) {
            Some(line) => ordered(line.into_bytes()),
            None => ignored("Ignoring JSON that orders nothing from agent"),
        };
    }
    ordered(first_line(body).unwrap_or(body).to_vec())
}

/// Most words of a list of states.
const STATES_MAX: usize = 8;

/// The line that says the same; `None`: nothing is said.
fn line_of_json(body: &[u8]) -> Option<String> {
    let member = |path: &str| {
        let value = JsonQuery::parse(path, false).find(body)?.into_text();
        let text = String::from_utf8_lossy(&value).into_owned();
        // What could pass for another word, or end the line, belongs to no word.
        let clean = |letter: char| !letter.is_control();
        text.chars().all(clean).then_some(text)
    };
    let word = |path: &str| member(path).filter(|text| !text.contains([' ', ',', '#', '\t']));
    let states = |path: &str| {
        // A list of words, or one.
        let listed = (0..STATES_MAX).map_while(|index| member(&format!("{path}[{index}]")));
        let listed: Vec<_> = listed.collect();
        match listed.is_empty() {
            true => word(path)
                .filter(|text| !text.starts_with(['[', '{']))
                .into_iter()
                .collect(),
            false => listed,
        }
    };
    let mut words = states("$.state");
    if words.is_empty() {
        words = states("$.health");
    }
    if words
        .iter()
        .any(|text| text.contains([' ', ',', '#', '\t']))
    {
        return None;
    }
    if let Some(weight) = word("$.weight") {
        let is_number = JsonQuery::parse("$.weight", true).find(body);
        let is_number = matches!(is_number, Some(Value::Integer(_)));
        words.push(match (is_number, weight.ends_with('%')) {
            (true, _) => format!("{weight}%"),
            (false, true) => weight,
            (false, false) => format!("weight:{weight}"),
        });
    }
    words.extend(word("$.maxconn").map(|limit| format!("maxconn:{limit}")));
    if words.is_empty() {
        return None;
    }
    words.extend(member("$.reason").map(|reason| format!("# {reason}")));
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServerPort;

    fn agent_line(answer: &str) -> Option<String> {
        match judge_http(answer.as_bytes(), true, true) {
            Outcome::End(verdict) => verdict
                .agent
                .map(|line| String::from_utf8_lossy(&line).into_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_come_over_http_as_text_and_as_json() {
        for (body, expected) in [
            ("up 75%\n", Some("up 75%")),
            ("drain", Some("drain")),
            (r#"{"state":"up","weight":75}"#, Some("up 75%")),
            (
                r#"{"weight":"50%","maxconn":30,"reason":"hot"}"#,
                Some("50% maxconn:30 # hot"),
            ),
            (r#"{"weight":"12"}"#, Some("weight:12")),
            (r#"{"health":"down","reason":"a\nb"}"#, Some("down")),
            (r#"{"state":"up maint"}"#, None),
            (
                r#"{"state":["up","ready"],"weight":75}"#,
                Some("up ready 75%"),
            ),
            (r#"{"state":["drain"]}"#, Some("drain")),
            (r#"{"state":["up","ready maint"],"weight":75}"#, None),
            (r#"{"state":[],"health":"down"}"#, Some("down")),
            (r#"{"state":{"a":"up"}}"#, None),
            (r#"{"other":1}"#, None),
            ("{", None),
        ] {
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            assert_eq!(agent_line(&answer).as_deref(), expected, "{body}");
        }
        assert_eq!(agent_line("HTTP/1.1 503 Busy\r\n\r\nup"), None);
        assert_eq!(agent_line("up 50%\n"), None);
        let partial = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nup";
        assert_eq!(judge_http(partial, false, false), Outcome::Wait);
    }

    #[test]
    fn a_request_says_what_it_wants() {
        let check = AgentCheck {
            address: Some("::1".parse().expect("an address")),
            port: 90,
            ..AgentCheck::default()
        };
        let of = |check: &AgentCheck, server: &ServerAddress| {
            String::from_utf8(request("/agent", check, server)).expect("text")
        };
        let (ip, port) = (
            "10.0.0.7".parse().expect("an address"),
            ServerPort::Fixed(80),
        );
        let server = ServerAddress::Inet { ip, port };
        let text = |check: &AgentCheck| of(check, &server);
        assert!(text(&check).starts_with("GET /agent HTTP/1.1\r\nHost: [::1]:90\r\n"));
        let beside = AgentCheck {
            address: None,
            ..check.clone()
        };
        let named = ServerAddress::Unresolved {
            host: "app.test".to_owned(),
            port,
        };
        let unix = ServerAddress::Unix("/run/app".into());
        for (server, host) in [
            (&server, "10.0.0.7:90"),
            (&named, "app.test:90"),
            (&unix, "localhost"),
        ] {
            let wanted = format!("\r\nHost: {host}\r\n");
            assert!(of(&beside, server).contains(&wanted), "{host}");
        }
        let check = AgentCheck {
            send: b"hello".to_vec(),
            ..check
        };
        assert!(text(&check).starts_with("POST "));
        assert!(text(&check).ends_with("Content-Length: 5\r\n\r\nhello"));
    }
}
