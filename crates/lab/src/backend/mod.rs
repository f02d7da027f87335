//! The demo service behind `plimsoll backend`: a web server whose cost per request can be dialled.
//!
//! ```text
//! :8080  /           works as long as the query and the environment say, answers JSON
//!        /metrics    JSON, or Prometheus text when asked for
//!        /healthz    200 while it runs
//!        /agent      the weight a load balancer should give it now: up 100 … up 1, down
//! :8090  the same by HTTP, or the bare agent line for a client that just connects
//! ```
//!
//! - [`options`]: flags, environment, defaults; [`work`]: the cost of a request;
//! - [`vitals`]: what it measures of itself; [`agent`]: the advice that follows, pure;
//! - `exposition`: metrics as text; `service`: the routes; this file: sockets and the life cycle.
//!
//! It runs on one thread, with processor time burnt on others, and lacks TLS and HTTP/2.

pub mod agent;
mod exposition;
pub mod options;
mod service;
pub mod vitals;
pub mod work;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use plimsoll_sys::limit::raise_descriptor_limit;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

pub use self::options::Options;
use self::service::Service;

/// Most connections held at once, those of the agent included; more are closed at once and counted.
pub const CONNECTIONS_MAX: u32 = 16_384;
/// Descriptors beside those of the connections.
const DESCRIPTORS_SPARE: u64 = 64;
/// Connections the kernel may hold before they are accepted.
const BACKLOG: u32 = 4096;
/// Largest request head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// How long a connection may be idle, and how long a head may take.
const IDLE_MAX: Duration = Duration::from_secs(75);
/// How long requests may take to end after the service was told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// A client of the agent port that has said nothing for so long gets the bare agent line.
const AGENT_GRACE: Duration = Duration::from_millis(30);
/// How long accepting pauses when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running instance of the demo service; it stops when dropped.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    agent_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Backend {
    /// Starts an instance on a thread of its own; it listens when this returns.
    ///
    /// # Errors
    /// When an option makes no sense or an address cannot be listened on; says which and why.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        options.check().map_err(|message| anyhow!(message))?;
        // Fewer descriptors mean fewer connections, which accepting copes with.
        let _ = raise_descriptor_limit(u64::from(CONNECTIONS_MAX) + DESCRIPTORS_SPARE);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the service")?;
        let guard = runtime.enter();
        let listener = listen(&options.listen, "-listen")?;
        let agent_listener = match &options.agent_listen {
            Some(text) => Some(listen(text, "-agent-listen")?),
            None => None,
        };
        drop(guard);
        let address = listener.local_addr()?;
        let agent_address = match &agent_listener {
            Some(listener) => Some(listener.local_addr()?),
            None => None,
        };
        let (stop, stopped) = watch::channel(false);
        let service = Arc::new(Service::new(options));
        let thread = thread::Builder::new()
            .name("backend".to_owned())
            .spawn(move || serve(&runtime, service, listener, agent_listener, stopped))?;
        Ok(Self {
            address,
            agent_address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where requests are taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the agent answers.
    pub fn agent_address(&self) -> Option<SocketAddr> {
        self.agent_address
    }

    /// Lets requests in flight end (ten seconds at most), then returns.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.end();
    }
}

/// Listens on `text`; `flag` is what the person would have to change.
fn listen(text: &str, flag: &str) -> anyhow::Result<TcpListener> {
    let addresses = options::addresses(text)
        .map_err(|message| anyhow!("{flag}: cannot listen on {message}"))?;
    let mut refusal = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => refusal = error,
        }
        if refusal.kind() == io::ErrorKind::AddrInUse {
            break;
        }
    }
    let hint = match refusal.kind() {
        io::ErrorKind::AddrInUse => {
            format!(": another process listens there; stop it, or choose another port with {flag}")
        }
        io::ErrorKind::PermissionDenied => {
            format!(": ports below 1024 need privileges; choose another with {flag}")
        }
        _ => String::new(),
    };
    Err(anyhow!(
        "{flag}: cannot listen on `{text}`: {refusal}{hint}"
    ))
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The life of the service's thread.
fn serve(
    runtime: &Runtime,
    service: Arc<Service>,
    listener: TcpListener,
    agent_listener: Option<TcpListener>,
    mut stopped: watch::Receiver<bool>,
) {
    runtime.block_on(async {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
        let requests = accept(listener, Port::Requests, &service, &places, &stopped);
        let advice = async {
            match agent_listener {
                Some(listener) => accept(listener, Port::Agent, &service, &places, &stopped).await,
                None => std::future::pending().await,
            }
        };
        let mut ending = stopped.clone();
        tokio::select! {
            () = requests => {}
            () = advice => {}
            // An error means that the handle is gone, which is an ending too.
            _ = ending.wait_for(|&stop| stop) => {}
        }
        let _ = stopped.wait_for(|&stop| stop).await;
        // Every connection holds a place, so holding all places means that all have ended.
        let _ = timeout(DRAIN_MAX, places.acquire_many(CONNECTIONS_MAX)).await;
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Requests,
    Agent,
}

async fn accept(
    listener: TcpListener,
    port: Port,
    service: &Arc<Service>,
    places: &Arc<Semaphore>,
    stopped: &watch::Receiver<bool>,
) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            service.connection_refused();
            continue;
        };
        let (service, stopped) = (Arc::clone(service), stopped.clone());
        tokio::spawn(async move {
            // What goes wrong on a connection is its client's affair.
            let _ = match port {
                Port::Requests => converse(socket, service, stopped).await,
                Port::Agent => advise(socket, service, stopped).await,
            };
            drop(place);
        });
    }
}

/// Serves HTTP on one connection until either side ends it.
async fn converse(
    socket: TcpStream,
    service: Arc<Service>,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { service.answer(request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), answer);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        _ = stopped.wait_for(|&stop| stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}

/// Serves one connection of the agent port: HTTP to a client that speaks it, else the agent line.
async fn advise(
    mut socket: TcpStream,
    service: Arc<Service>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut first = [0; 8];
    if let Ok(seen) = timeout(AGENT_GRACE, socket.peek(&mut first)).await
        && looks_like_http(&first[..seen?])
    {
        return converse(socket, service, stopped).await;
    }
    socket
        .write_all(service.advice().agent_line().as_bytes())
        .await?;
    socket.shutdown().await?;
    // Closing with unread bytes would reset the connection and might take the line with it.
    let mut ignored = [0; 1024];
    let _ = socket.try_read(&mut ignored);
    Ok(())
}

/// Whether what a client said first is the beginning of an HTTP request.
fn looks_like_http(first: &[u8]) -> bool {
    const METHODS: [&[u8]; 4] = [b"GET ", b"HEAD ", b"OPTIONS ", b"POST "];
    !first.is_empty()
        && METHODS
            .iter()
            .any(|method| first.iter().zip(*method).all(|(one, other)| one == other))
}
