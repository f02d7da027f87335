//! `external-check`: a program that judges a server by its exit status.

use std::io;
use std::time::Duration;

use plimsoll_policy::model::check;
use plimsoll_policy::model::{
    Backend, BindAddress, Mode, Model, Server, ServerAddress, ServerPort,
};
use plimsoll_policy::probe::{Status, Verdict};
use plimsoll_sys::program::{Ending, Program};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

/// What stands for an address or a port that there is not, in the arguments; in the environment it is empty.
const NOT_USED: &str = "NOT_USED";

/// The exit status of a program that could not be started, as a shell has it.
const STATUS_NOT_STARTED: u32 = 255;

/// Runs the program, and kills it when it takes longer than this.
pub(super) async fn judge(program: &check::Program, told: &Told, patience: Duration) -> Verdict {
    let arguments: Vec<_> = told.arguments.iter().map(String::as_str).collect();
    let variables = told.environment.iter();
    let variables = variables.map(|(name, value)| (*name, value.as_str()));
    let path = std::iter::once(("PATH", program.path.as_str()));
    let variables: Vec<_> = path.chain(variables).collect();
    let inherits = program.keeps_environment;
    match Program::start(&program.command, &arguments, variables, inherits) {
        Ok(running) => match timeout(patience, end(running)).await {
            Ok(ended) => of_ending(&ended),
            Err(_) => Verdict::new(Status::ProgramTimeout, 0, ""),
        },
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                Verdict::new(Status::ProgramError, STATUS_NOT_STARTED, error.to_string())
            }
            _ => Verdict::new(Status::SocketError, 0, error.to_string()),
        },
    }
}

async fn end(running: Program) -> io::Result<Ending> {
    #[expect(
        deprecated,
        reason = "its safe successor wants unsafe; a program owns its descriptor for as long as it lives"
    )]
    let mut running = AsyncFd::with_interest(running, Interest::READABLE)?;
    loop {
        running.readable().await?.clear_ready();
        if let Some(ending) = running.get_mut().ending()? {
            return Ok(ending);
        }
    }
}

fn of_ending(ended: &io::Result<Ending>) -> Verdict {
    match ended {
        Ok(Ending::Status(0)) => Verdict::new(Status::ProgramOk, 0, ""),
        Ok(Ending::Status(code)) => Verdict::new(Status::ProgramError, u32::from(*code), ""),
        Ok(Ending::Signal(signal)) => {
            let words = format!("ended by signal {signal}");
            Verdict::new(Status::ProgramError, STATUS_NOT_STARTED, words)
        }
        Err(error) => Verdict::new(Status::SocketError, 0, error.to_string()),
    }
}

/// What a program is told of the server.
#[derive(Debug)]
pub(super) struct Told {
    arguments: [String; 4],
    environment: Vec<(&'static str, String)>,
}

impl Told {
    /// `address`: where the server is now; `connections`: how many it serves.
    pub(super) fn new(
        model: &Model,
        backend: &Backend,
        server: &Server,
        address: &ServerAddress,
        connections: u32,
    ) -> Self {
        let own = own_address(model, backend);
        let place = place(address);
        let protocol = match (backend.mode, server.http2) {
            (Mode::Tcp, _) => "tcp",
            (Mode::Http, true) => "h2",
            (Mode::Http, false) => "h1",
        };
        let used = |text: &str| match text {
            NOT_USED => String::new(),
            text => text.to_owned(),
        };
        let environment = vec![
            ("HAPROXY_PROXY_NAME", backend.name.clone()),
            ("HAPROXY_PROXY_ID", backend.number.to_string()),
            ("HAPROXY_PROXY_ADDR", used(&own.0)),
            ("HAPROXY_PROXY_PORT", used(&own.1)),
            ("HAPROXY_SERVER_NAME", server.name.clone()),
            ("HAPROXY_SERVER_ID", server.number.to_string()),
            ("HAPROXY_SERVER_ADDR", used(&place.0)),
            ("HAPROXY_SERVER_PORT", used(&place.1)),
            (
                "HAPROXY_SERVER_MAXCONN",
                server.maxconn.unwrap_or(0).to_string(),
            ),
            ("HAPROXY_SERVER_CURCONN", connections.to_string()),
            (
                "HAPROXY_SERVER_SSL",
                u8::from(server.tls.is_some()).to_string(),
            ),
            ("HAPROXY_SERVER_PROTO", protocol.to_owned()),
        ];
        Self {
            arguments: [own.0, own.1, place.0, place.1],
            environment,
        }
    }
}

/// Where the front half of a `listen` section listens first.
fn own_address(model: &Model, backend: &Backend) -> (String, String) {
    let mut fronts = model.frontends.iter();
    let front = fronts.find(|front| front.number == backend.number);
    let mut binds = front.into_iter().flat_map(|front| &front.binds);
    let found = binds.find_map(|bind| match &bind.address {
        BindAddress::Inet(address) => Some((address.ip().to_string(), address.port().to_string())),
        BindAddress::Unix(path) => Some((path.display().to_string(), NOT_USED.to_owned())),
        BindAddress::Abstract(_) | BindAddress::Inherited(_) => None,
    });
    found.unwrap_or_else(|| (NOT_USED.to_owned(), NOT_USED.to_owned()))
}

fn place(address: &ServerAddress) -> (String, String) {
    let fixed = |port: &ServerPort| match port {
        ServerPort::Fixed(port) => port.to_string(),
        ServerPort::Offset(_) => "0".to_owned(),
    };
    match address {
        ServerAddress::Inet { ip, port } => (ip.to_string(), fixed(port)),
        ServerAddress::Unix(path) => (path.display().to_string(), NOT_USED.to_owned()),
        ServerAddress::Abstract(name) => (name.clone(), NOT_USED.to_owned()),
        ServerAddress::Unresolved { host, port } => (host.clone(), fixed(port)),
    }
}
