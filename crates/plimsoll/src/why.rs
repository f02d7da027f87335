//! `plimsoll why`: what a configuration makes of a request, rule by rule, or what a running balancer made of one.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use plimsoll_policy::context::Now;
use plimsoll_policy::explain::{self, Question};
use plimsoll_policy::log::WallTime;
use plimsoll_policy::model::{Frontend, FrontendId, Model};
use plimsoll_policy::plane::Plane;

use crate::configuration::{self, Request};
use crate::{console, ctl};

/// Explain what becomes of a request: each rule that runs or is passed by, what its ACLs' samples are worth, the backend,
/// and why its server is chosen.
///
/// With '-f' a request is replayed: nothing is sent to anybody, counters and tables begin empty, as behind a start. With
/// '--socket' a running balancer is asked for a request that it has written down; it does so when 'why-sampling' or the
/// command 'set why sampling 1/N' says so.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plimsoll why -f haproxy.cfg 'GET /cart?id=7 HTTP/1.1' -H 'Host: shop.example' --from 192.0.2.7
  plimsoll why --socket /run/plimsoll/admin.sock 5A2C01F3:0050_0A00
  plimsoll why --socket /run/plimsoll/admin.sock")]
pub(crate) struct Why {
    /// The configuration; may be given several times.
    #[arg(
        short,
        long = "file",
        required_unless_present = "socket",
        requires = "line",
        value_name = "FILE"
    )]
    files: Vec<PathBuf>,

    /// Ask a running balancer by its command socket: a path, 'abns@NAME', or HOST:PORT.
    #[arg(
        short,
        long,
        conflicts_with_all = ["files", "header", "data", "frontend", "from"],
        value_name = "SOCKET"
    )]
    socket: Option<String>,

    /// The first line of the request, whose version may be left out; of a running balancer the unique id of a request, or
    /// '#' and its number. Without any it lists those that it has written down.
    #[arg(value_name = "REQUEST")]
    line: Option<String>,

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
        if let Some(socket) = &self.socket {
            let id = self.line.as_deref().unwrap_or_default();
            // An id is one word to the command socket, whatever is in it.
            let mut word = String::new();
            for character in id.chars() {
                if matches!(character, '\\' | ' ' | ';' | '\t') {
                    word.push('\\');
                }
                word.push(character);
            }
            anyhow::ensure!(!id.contains('\n'), "an id has no line breaks");
            let json = if self.json { " json" } else { "" };
            return ctl::ask(socket, &format!("show why {word}{json}\n"));
        }
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
            true => told.to_json() + "\n",
            false => told.to_string(),
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
        let mut text = self.line.as_deref().unwrap_or("/").trim().to_owned();
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
