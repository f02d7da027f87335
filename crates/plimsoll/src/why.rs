//! `plimsoll why`: what a configuration makes of a request, rule by rule.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use plimsoll_policy::acl::Truth;
use plimsoll_policy::context::Now;
use plimsoll_policy::explain::{self, Explanation, Question, Step, StepResult, TermTold};
use plimsoll_policy::log::WallTime;
use plimsoll_policy::model::{Frontend, FrontendId, Model};
use plimsoll_policy::plane::Plane;
use serde_json::{Value, json};

use crate::configuration::{self, Request};
use crate::console;

/// Explain what becomes of a request: each rule that runs or is passed by, what its ACLs' samples are worth, the backend,
/// and why its server is chosen.
///
/// Nothing is sent to anybody. Counters and tables begin empty, as behind a start.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  plimsoll why -f haproxy.cfg 'GET /cart?id=7 HTTP/1.1' -H 'Host: shop.example' --from 192.0.2.7")]
pub(crate) struct Why {
    /// The configuration; may be given several times.
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The first line of the request; its version may be left out.
    #[arg(value_name = "REQUEST")]
    line: String,

    /// A field of its header; may be given several times. Without a Host one is made up.
    #[arg(short = 'H', long, value_name = "FIELD")]
    header: Vec<String>,

    /// The body.
    #[arg(short, long, value_name = "TEXT")]
    data: Option<String>,

    /// The frontend it comes to; without it, the first that listens.
    #[arg(long, value_name = "NAME")]
    frontend: Option<String>,

    /// The client's address, with or without a port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    from: String,

    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

impl Why {
    /// The result is the exit status.
    ///
    /// # Errors
    /// When the request cannot be understood.
    pub(crate) fn run(&self) -> anyhow::Result<u8> {
        let configuration = configuration::load(&Request {
            files: self.files.clone(),
            ..Request::default()
        });
        let Some(model) = configuration.model else {
            console::complain(&configuration.plain_problems());
            return Ok(1);
        };
        let frontend = frontend(&model, self.frontend.as_deref())?;
        let question = self.question(&model, frontend)?;
        let plane = Plane::build(model, None);
        let told = explain::request(&plane, &question);
        console::print(&match self.json {
            true => format!("{:#}\n", as_json(&told)),
            false => as_text(&told),
        });
        Ok(0)
    }

    fn question(&self, model: &Model, frontend: FrontendId) -> anyhow::Result<Question> {
        let (text, body) = self.request();
        let head = explain::read(text.as_bytes()).map_err(|error| anyhow::anyhow!(error))?;
        let bind = model.frontends[frontend.0 as usize].binds.first();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(Question {
            frontend,
            head,
            body,
            source: Some(address(&self.from)?),
            destination: bind.and_then(|bind| match bind.address {
                plimsoll_policy::model::BindAddress::Inet(address) => Some(address),
                _ => None,
            }),
            now: Now {
                monotonic_ns: 1,
                wall: WallTime {
                    unix_s: now.as_secs(),
                    micros: now.subsec_micros(),
                },
            },
        })
    }

    /// The request as HTTP/1 would bring it.
    fn request(&self) -> (String, Vec<u8>) {
        let body = self.data.clone().unwrap_or_default().into_bytes();
        let mut text = self.line.trim().to_owned();
        if !text.contains(' ') {
            text = format!("GET {text}");
        }
        if !text.contains(" HTTP/") {
            text += " HTTP/1.1";
        }
        text += "\r\n";
        for field in &self.header {
            let _ = write!(text, "{}\r\n", field.trim());
        }
        let has = |name: &str| {
            let mut names = self.header.iter().filter_map(|field| field.split_once(':'));
            names.any(|(known, _)| known.trim().eq_ignore_ascii_case(name))
        };
        if !has("host") {
            text += "Host: localhost\r\n";
        }
        if !body.is_empty() && !has("content-length") {
            let _ = write!(text, "Content-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        (text, body)
    }
}

/// The frontend of this name, or the first that listens.
fn frontend(model: &Model, name: Option<&str>) -> anyhow::Result<FrontendId> {
    let wanted = |frontend: &Frontend| match name {
        Some(name) => frontend.name == name,
        None => !frontend.binds.is_empty() && !frontend.disabled,
    };
    match (model.frontends.iter().position(wanted), name) {
        (Some(index), _) => Ok(FrontendId(index as u32)),
        (None, Some(name)) => anyhow::bail!("no frontend is called '{name}'"),
        (None, None) => anyhow::bail!("no frontend listens"),
    }
}

fn address(text: &str) -> anyhow::Result<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let ip: IpAddr = text
        .parse()
        .map_err(|_| anyhow::anyhow!("'{text}' is not an address"))?;
    Ok(SocketAddr::new(
        ip,
        if ip == Ipv4Addr::UNSPECIFIED {
            0
        } else {
            40_000
        },
    ))
}

fn as_text(told: &Explanation) -> String {
    let mut text = format!("frontend {}\n", told.frontend);
    let mut proxy = told.frontend.as_str();
    for step in &told.steps {
        if step.proxy != proxy {
            proxy = &step.proxy;
            let _ = writeln!(text, "backend {proxy}");
        }
        write_step(step, &mut text);
    }
    if let Some(backend) = &told.backend {
        let _ = writeln!(text, "servers of {backend}");
        for candidate in &told.candidates {
            let weight = candidate.weight;
            let note = candidate
                .out
                .map(|out| format!(": {out}"))
                .unwrap_or_default();
            let _ = writeln!(text, "  {} (weight {weight}){note}", candidate.name);
        }
    }
    let _ = writeln!(text, "=> {}", told.outcome);
    text
}

fn write_step(step: &Step, text: &mut String) {
    let result = match &step.result {
        StepResult::Skipped => "passed by",
        StepResult::Waits => "needs more bytes",
        StepResult::Ran => "runs",
        StepResult::Decided(decision) => decision,
    };
    let _ = writeln!(text, "  {}  {}  -> {result}", step.place, step.text);
    for (index, terms) in step.condition.iter().enumerate() {
        let word = match (index, step.unless) {
            (0, false) => "if",
            (0, true) => "unless",
            _ => "or",
        };
        for (index, term) in terms.iter().enumerate() {
            let word = if index == 0 { word } else { "and" };
            write_term(word, term, text);
        }
    }
}

fn write_term(word: &str, term: &TermTold, text: &mut String) {
    let not = if term.negated { "!" } else { "" };
    let name = if term.name.is_empty() {
        "{…}"
    } else {
        &term.name
    };
    let _ = writeln!(text, "      {word} {not}{name}: {}", truth(term.truth));
    for clause in &term.clauses {
        let value = match &clause.value {
            Some(value) => format!("'{value}'"),
            None => "nothing".to_owned(),
        };
        let outcome = match clause.truth {
            Truth::Pass => "matches",
            Truth::Fail => "does not match",
            Truth::Unsure => "needs more bytes",
        };
        let _ = writeln!(text, "          {} = {value}, {outcome}", clause.expression);
    }
}

fn truth(truth: Truth) -> &'static str {
    match truth {
        Truth::Pass => "yes",
        Truth::Fail => "no",
        Truth::Unsure => "not yet",
    }
}

fn as_json(told: &Explanation) -> Value {
    let term = |term: &TermTold| {
        let clauses = term.clauses.iter().map(|clause| {
            json!({
                "sample": clause.expression,
                "value": clause.value,
                "matches": truth(clause.truth),
            })
        });
        json!({
            "acl": term.name,
            "negated": term.negated,
            "holds": truth(term.truth),
            "clauses": clauses.collect::<Vec<_>>(),
        })
    };
    let step = |step: &Step| {
        let condition = step.condition.iter();
        let condition = condition.map(|terms| terms.iter().map(term).collect::<Vec<_>>());
        let (result, decision) = match &step.result {
            StepResult::Skipped => ("skipped", None),
            StepResult::Waits => ("waits", None),
            StepResult::Ran => ("ran", None),
            StepResult::Decided(decision) => ("decided", Some(decision)),
        };
        json!({
            "proxy": step.proxy,
            "file": &*step.place.file,
            "line": step.place.line,
            "rule": step.text,
            "unless": step.unless,
            "condition": condition.collect::<Vec<_>>(),
            "result": result,
            "decision": decision,
        })
    };
    let candidates = told.candidates.iter().map(|candidate| {
        json!({
            "server": candidate.name,
            "weight": candidate.weight,
            "excluded": candidate.out,
        })
    });
    json!({
        "frontend": told.frontend,
        "steps": told.steps.iter().map(step).collect::<Vec<_>>(),
        "backend": told.backend,
        "candidates": candidates.collect::<Vec<_>>(),
        "server": told.server,
        "outcome": told.outcome,
    })
}
