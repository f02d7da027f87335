//! Names that are resolved again and again, and the servers that move with them (`resolvers`).
//!
//! ```text
//! one task per name: ask all name servers ──► first usable answer ──► Memory ──► assign ──► servers move, or lose their address
//!        ▲                                                                                   │
//!        └─────────────────────────────── timeout resolve ◄──────────────────────────────────┴──► lines in the log
//! ```
//! All of it happens on one thread, which begins with the first plane that has such servers. What is absent: messages
//! (`wire::dns`), and who gets which address (`policy::resolution`).

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_policy::command::{Change, ServerChange, address_news};
use plimsoll_policy::health::{Line, Naming, found_line, lost_line};
use plimsoll_policy::ledger::{Ledger, Said};
use plimsoll_policy::live::ServerState;
use plimsoll_policy::log::Level;
use plimsoll_policy::model::names::{Family, Follow, NameServer, Resolvers};
use plimsoll_policy::model::{BackendId, Model, ServerAddress, ServerId, ServerPort};
use plimsoll_policy::resolution::{Failure, Memory, Spot, assign};
use plimsoll_sys::clock;
use plimsoll_wire::dns::{Found, Kind, Lack, Question, Service};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle as JoinLocal, JoinSet};
use tokio::time::{sleep, timeout};

use super::admin::desk::Desk;
use super::background::Background;

mod answers;

const NS_PER_MS: u64 = 1_000_000;

/// Hosts of one service whose addresses did not come along and are asked for.
const TARGETS_MAX: usize = 256;

/// The running thread.
pub(crate) struct Names {
    desks: UnboundedSender<Arc<Desk>>,
    thread: Background,
}

impl Names {
    /// Starts to follow the names of a plane; `None` when no server follows one, and no rule asks.
    pub(crate) fn start(desk: &Arc<Desk>) -> io::Result<Option<Self>> {
        let Model {
            frontends,
            backends,
            ..
        } = &desk.plane().model;
        let mut servers = backends.iter().flat_map(|backend| &backend.servers);
        let has_name = |follow: &Arc<Follow>| follow.host.is_some();
        let rules = frontends.iter().map(|frontend| &frontend.rules);
        let mut rules = rules.chain(backends.iter().map(|backend| &backend.rules));
        let follows = servers.any(|server| server.follows.as_ref().is_some_and(has_name));
        if !follows && !rules.any(|rules| rules.asks.resolves) {
            return Ok(None);
        }
        let first = Arc::clone(desk);
        let (desks, arriving) = unbounded_channel();
        let thread = Background::start("names", move || async move {
            tokio::select! {
                () = attend(Arc::clone(&first), arriving) => {}
                () = answers::give(Arc::clone(first.questions())) => {}
            }
        })?;
        Ok(Some(Self { desks, thread }))
    }

    /// Goes on under the plane of another desk; what was answered stays known.
    pub(crate) fn adopt(&self, desk: &Arc<Desk>) {
        // A thread that has ended follows nobody.
        let _ = self.desks.send(Arc::clone(desk));
    }

    /// Ends the thread; questions under way are forgotten.
    pub(crate) fn stop(&self) {
        self.thread.stop();
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Keeps the inquiries that the newest plane wants.
async fn attend(first: Arc<Desk>, mut arriving: UnboundedReceiver<Arc<Desk>>) {
    let mut next = Some(first);
    let mut inquiries: HashMap<(Resolvers, String), Inquiry> = HashMap::new();
    while let Some(desk) = next {
        let mut before = std::mem::take(&mut inquiries);
        for (key, places) in wanted(&desk.plane().model) {
            let duty = Rc::new(Duty {
                desk: Arc::clone(&desk),
                resolvers: key.0.clone(),
                places,
            });
            let inquiry = match before.remove(&key) {
                Some(inquiry) => {
                    inquiry.duty.replace(duty);
                    inquiry
                }
                None => Inquiry::begin(duty),
            };
            inquiries.insert(key, inquiry);
        }
        // Those that nobody wants any more end here.
        drop(before);
        next = arriving.recv().await;
    }
}

/// Servers of one backend that follow a name in the same way.
type Group = (BackendId, Arc<Follow>, Vec<ServerId>);

/// All names, and who follows each.
fn wanted(model: &Model) -> HashMap<(Resolvers, String), Vec<Group>> {
    let mut names: HashMap<(Resolvers, String), Vec<Group>> = HashMap::new();
    for (id, backend) in (0..).map(BackendId).zip(&model.backends) {
        for (server, row) in (0..).map(ServerId).zip(&backend.servers) {
            let Some(follow) = row.follows.as_ref().filter(|_| !row.removed) else {
                continue;
            };
            let Some(host) = &follow.host else { continue };
            let resolvers = &model.resolvers[follow.resolvers.0 as usize];
            let key = (resolvers.clone(), host.clone());
            let groups = names.entry(key).or_default();
            let same = |group: &&mut Group| group.0 == id && group.1 == *follow;
            match groups.iter_mut().find(same) {
                Some(group) => group.2.push(server),
                None => groups.push((id, Arc::clone(follow), vec![server])),
            }
        }
    }
    names
}

/// What a task does for one name, under the present plane.
struct Duty {
    desk: Arc<Desk>,
    resolvers: Resolvers,
    /// Never empty.
    places: Vec<Group>,
}

/// A name that is asked for again and again; ends when dropped.
struct Inquiry {
    duty: Rc<RefCell<Rc<Duty>>>,
    task: JoinLocal<()>,
}

impl Inquiry {
    fn begin(duty: Rc<Duty>) -> Self {
        let duty = Rc::new(RefCell::new(duty));
        let task = tokio::task::spawn_local(inquire(Rc::clone(&duty)));
        Self { duty, task }
    }
}

impl Drop for Inquiry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn inquire(present: Rc<RefCell<Rc<Duty>>>) {
    let mut memory = Memory::default();
    loop {
        let duty = Rc::clone(&present.borrow());
        let (_, follow, _) = &duty.places[0];
        let answer = spots_of(duty.circle(), follow).await;
        // The plane may be another one meanwhile.
        let duty = Rc::clone(&present.borrow());
        let (hold, now_ms) = (&duty.resolvers.hold, clock::monotonic_ns() / NS_PER_MS);
        match answer {
            Ok((spots, source)) => {
                let spots = memory.learn(&spots, hold, now_ms);
                duty.settle(&spots, &source);
            }
            Err(failure) if memory.gives_up(failure, hold, now_ms) => duty.lose(failure),
            Err(_) => {}
        }
        sleep(Duration::from_millis(duty.resolvers.resolve_ms)).await;
    }
}

impl Duty {
    fn circle(&self) -> Circle<'_> {
        Circle {
            resolvers: &self.resolvers,
            ledger: &self.desk.plane().ledger,
        }
    }

    /// Shares out where the name leads.
    fn settle(&self, spots: &[Spot], source: &str) {
        for (backend, follow, servers) in &self.places {
            let present: Vec<_> = servers
                .iter()
                .map(|&id| self.spot((*backend, id)))
                .collect();
            let places = assign(&present, spots, follow);
            for (&server, place) in servers.iter().zip(places) {
                match place {
                    Some(spot) => self.lead((*backend, server), follow, &spot, source),
                    None => self.lose_one((*backend, server), "No IP for server "),
                }
            }
        }
    }

    fn lose(&self, failure: Failure) {
        for (backend, _, servers) in &self.places {
            for &server in servers {
                self.lose_one((*backend, server), failure.text());
            }
        }
    }

    /// The address at which a server is now.
    fn address(&self, (backend, server): (BackendId, ServerId)) -> ServerAddress {
        let plane = self.desk.plane();
        let row = &plane.model.backends[backend.0 as usize].servers[server.0 as usize];
        let live = plane.backend(backend).server(server);
        live.moved_to().unwrap_or_else(|| row.address.clone())
    }

    fn spot(&self, place: (BackendId, ServerId)) -> Option<Spot> {
        match self.address(place) {
            ServerAddress::Inet { ip, port } => Some(Spot {
                port: match port {
                    ServerPort::Fixed(port) => Some(port),
                    ServerPort::Offset(_) => None,
                },
                ..Spot::of_host(ip)
            }),
            _ => None,
        }
    }

    /// Has a server move to where its name leads.
    fn lead(&self, place: (BackendId, ServerId), follow: &Follow, spot: &Spot, source: &str) {
        let (before, live) = (self.address(place), self.desk.plane().backend(place.0));
        let live = live.server(place.1);
        let (old_ip, old_port) = match before {
            ServerAddress::Inet { ip, port } => (Some(ip), port),
            ServerAddress::Unresolved { port, .. } => (None, port),
            // It was moved to a unix socket, and is left there.
            ServerAddress::Unix(_) | ServerAddress::Abstract(_) => return,
        };
        let port = spot.port.map_or(old_port, ServerPort::Fixed);
        let was_lost = live.state().contains(ServerState::UNRESOLVED);
        let news = address_news((old_ip, old_port), (spot.ip, port));
        if was_lost || news.is_some() {
            let address = ServerAddress::Inet { ip: spot.ip, port };
            if let Some((section, server)) = source.split_once('/') {
                self.circle().ledger.count(section, server, Said::Update);
            }
            self.change(place, ServerChange::Move(address));
        }
        let naming = Naming::of(&self.desk.plane().model, place.0, place.1);
        if let Some(news) = news.filter(|_| old_ip.is_some()) {
            let line = Line {
                level: Level::Notice,
                text: format!("{}/{}: {news} by '{source}'", naming.backend, naming.server),
            };
            self.desk.tell(place.0, &line);
        }
        if was_lost {
            let host = follow.host.as_deref().unwrap_or_default();
            let line = found_line(&naming, host, live.state());
            self.desk.tell(place.0, &line);
        }
        if let Some(weight) = spot.weight.filter(|_| !follow.ignores_weights)
            && live.weight() != weight
        {
            self.change(place, ServerChange::Weight(weight));
        }
    }

    fn lose_one(&self, place: (BackendId, ServerId), reason: &str) {
        let live = self.desk.plane().backend(place.0).server(place.1);
        if live.state().contains(ServerState::UNRESOLVED) {
            return;
        }
        self.change(place, ServerChange::Lose);
        let line = |naming: &Naming<'_>, census| vec![lost_line(naming, reason, census)];
        self.desk.tell_change(place, true, 0, line);
    }

    fn change(&self, (backend, server): (BackendId, ServerId), change: ServerChange) {
        self.desk
            .carry_out(&Change::Server(backend, server, change));
    }
}

/// Who is asked, and where it is counted what they say.
#[derive(Clone, Copy)]
struct Circle<'a> {
    resolvers: &'a Resolvers,
    ledger: &'a Arc<Ledger>,
}

/// Where a name leads, and who said so.
async fn spots_of(circle: Circle<'_>, follow: &Follow) -> Result<(Vec<Spot>, String), Failure> {
    let host = follow.host.as_deref().unwrap_or_default();
    if !follow.is_service() {
        let (addresses, source) = addresses_of(circle, host, follow.prefer).await?;
        return Ok((addresses.into_iter().map(Spot::of_host).collect(), source));
    }
    let (found, source) = persist(circle, host, &[Kind::Services]).await?;
    let Found::Services(mut services) = found else {
        return Err(Failure::Lack(Lack::Nothing));
    };
    services.sort_by_key(|service| service.priority);
    services.truncate(TARGETS_MAX);
    let mut spots = Vec::new();
    for service in services {
        let ip = service_address(circle, follow, &service).await;
        spots.extend(ip.map(|ip| Spot::of_service((ip, service.port).into(), service.weight)));
    }
    Ok((spots, source))
}

async fn service_address(circle: Circle<'_>, follow: &Follow, service: &Service) -> Option<IpAddr> {
    let wanted = |ip: &&IpAddr| ip.is_ipv4() == (follow.prefer == Family::V4);
    let along = service.addresses.iter();
    let known = along
        .clone()
        .find(wanted)
        .or_else(|| service.addresses.first());
    match known {
        Some(ip) => Some(*ip),
        None => {
            let asked = addresses_of(circle, &service.target, follow.prefer).await;
            asked.ok()?.0.first().copied()
        }
    }
}

/// The addresses of a host, of the preferred family if it has any.
async fn addresses_of(
    circle: Circle<'_>,
    host: &str,
    prefer: Family,
) -> Result<(Vec<IpAddr>, String), Failure> {
    let kinds = match prefer {
        Family::V4 => [Kind::V4, Kind::V6],
        Family::V6 => [Kind::V6, Kind::V4],
    };
    match persist(circle, host, &kinds).await? {
        (Found::Addresses(addresses), source) => Ok((addresses, source)),
        (Found::Services(_), _) => Err(Failure::Lack(Lack::Nothing)),
    }
}

/// Asks for one kind after the other, and again, until there is a usable answer or `resolve_retries` are used up.
async fn persist(
    circle: Circle<'_>,
    host: &str,
    kinds: &[Kind],
) -> Result<(Found, String), Failure> {
    let mut failure = Failure::Timeout;
    for _ in 0..circle.resolvers.tries {
        for &kind in kinds {
            match ask(circle, host, kind).await {
                Ok(found) => return Ok(found),
                // Nobody has heard the question: it is put again as it was.
                Err(Failure::Timeout) => {
                    failure = Failure::Timeout;
                    break;
                }
                Err(lack) => failure = lack,
            }
        }
    }
    Err(failure)
}

/// Asks all name servers at once; the first usable answer counts, else the last failure.
async fn ask(circle: Circle<'_>, host: &str, kind: Kind) -> Result<(Found, String), Failure> {
    let Circle { resolvers, ledger } = circle;
    let mut questions = JoinSet::new();
    for server in &resolvers.servers {
        let (host, bytes) = (host.to_owned(), resolvers.payload_bytes);
        let (server, patience) = (server.clone(), Duration::from_millis(resolvers.retry_ms));
        let (section, ledger) = (resolvers.name.clone(), Arc::clone(ledger));
        questions.spawn_local(async move {
            let question = Question {
                id: random_id(),
                name: &host,
                kind,
            };
            let count = |said| ledger.count(&section, &server.name, said);
            count(Said::Sent);
            let answer = match timeout(patience, ask_one(&server, &question, bytes)).await {
                Ok(Ok(answer)) => answer.map_err(Failure::Lack),
                // Nobody is there, or nobody answers: the question is put again.
                Ok(Err(_)) => {
                    count(Said::SendError);
                    return Err(Failure::Timeout);
                }
                Err(_) => Err(Failure::Timeout),
            };
            count(
                answer
                    .as_ref()
                    .map_or_else(|&failure| failure.into(), |_| Said::Valid),
            );
            answer.map(|found| (found, format!("{section}/{}", server.name)))
        });
    }
    let mut failure = Failure::Timeout;
    while let Some(answered) = questions.join_next().await {
        match answered {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(lack)) => failure = lack,
            Err(_) => {}
        }
    }
    Err(failure)
}

/// A number that nobody can guess who does not see the question.
fn random_id() -> u16 {
    let mut bytes = [0; 2];
    // Where chance fails, the port that the kernel picks still has to be guessed.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u16::from_ne_bytes(bytes)
}

/// Asks one name server: by a datagram, and again over a connection where the answer does not fit.
async fn ask_one(
    server: &NameServer,
    question: &Question<'_>,
    payload_bytes: u16,
) -> io::Result<Result<Found, Lack>> {
    let Some(message) = question.message(payload_bytes) else {
        return Ok(Err(Lack::Malformed));
    };
    if server.stream {
        return ask_stream(server.address, question, &message).await;
    }
    let own: IpAddr = match server.address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((own, 0)).await?;
    socket.connect(server.address).await?;
    socket.send(&message).await?;
    let mut buffer = vec![0; usize::from(payload_bytes)];
    loop {
        let count = socket.recv(&mut buffer).await?;
        match question.read(&buffer[..count]) {
            Err(Lack::NotOurs) => {}
            Err(Lack::Truncated) => return ask_stream(server.address, question, &message).await,
            answer => return Ok(answer),
        }
    }
}

/// As over UDP, with the length in front of each message (RFC 1035 section 4.2.2).
async fn ask_stream(
    address: SocketAddr,
    question: &Question<'_>,
    message: &[u8],
) -> io::Result<Result<Found, Lack>> {
    let mut stream = TcpStream::connect(address).await?;
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    stream
        .write_all(&[&length.to_be_bytes(), message].concat())
        .await?;
    loop {
        let count = stream.read_u16().await?;
        let mut buffer = vec![0; usize::from(count)];
        stream.read_exact(&mut buffer).await?;
        match question.read(&buffer) {
            Err(Lack::NotOurs) => {}
            answer => return Ok(answer),
        }
    }
}
