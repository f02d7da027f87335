//! Certificates that authorities issue (`acme` sections): when each is asked for, and what becomes of the answer.
//!
//! ```text
//! due, or 'acme renew' ──► talk with the authority ──► certificate ──► served by all workers ──► written to its file
//!   ▲                                    │
//!   └──── later, ever more patiently ◄───┘ failure, told in the log
//! ```
//! All of it happens on one thread, which begins with the first plane that has such certificates. Read
//! [`talk`](self::talk) for what is said. What is absent: messages and dates (`policy::acme`).

mod account;
mod disk;
mod talk;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_policy::acme::renewal_s;
use plimsoll_policy::command::{Session, Words};
use plimsoll_policy::log::Level;
use plimsoll_policy::model::acme::{Acme, Subscription};
use plimsoll_policy::model::{AccessLevel, Model};
use plimsoll_policy::tls::store::Content;
use plimsoll_policy::tls::{Certificate, Pieces, certificate, pem};
use plimsoll_sys::clock;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

use self::talk::{Stage, Talk};
use super::background::Background;
use super::conductor::Conductor;
use crate::tls::forge;
use crate::tls::proofs::Proofs;

/// How long an authority may take for a certificate.
const PATIENCE: Duration = Duration::from_secs(900);

/// How long after a failure it is asked again; four times as long after each further one.
const PAUSE_FIRST: Duration = Duration::from_secs(60);
const PAUSE_LAST: Duration = Duration::from_secs(12 * 3_600);

/// How often dates are looked at in any case: clocks are set.
const LOOK: Duration = Duration::from_secs(3_600);

const NS_PER_S: u64 = 1_000_000_000;

/// What the thread is told.
enum News {
    /// There is another plane.
    Plane,
    /// An operator wants this certificate now.
    Wanted(String),
    /// An authority has been asked; whether it issued a certificate.
    Done(String, bool),
}

/// The running thread.
pub(crate) struct Renewals {
    news: UnboundedSender<News>,
    thread: Background,
}

impl Renewals {
    /// Starts to keep certificates fresh; `None` when none comes from an authority.
    pub(crate) fn start(conductor: &Arc<Conductor>, model: &Model) -> io::Result<Option<Self>> {
        let mut stored = model.store.certificates.values();
        if !stored.any(|stored| stored.subscription.is_some()) {
            return Ok(None);
        }
        let conductor = Arc::clone(conductor);
        let (news, arriving) = unbounded_channel();
        let own = news.clone();
        let thread = Background::start("acme", move || attend(conductor, own, arriving))?;
        Ok(Some(Self { news, thread }))
    }

    /// Goes on under another plane.
    pub(crate) fn adopt(&self) {
        // A thread that has ended renews nothing.
        let _ = self.news.send(News::Plane);
    }

    /// Asks for a certificate now.
    pub(crate) fn renew(&self, name: &str) {
        let _ = self.news.send(News::Wanted(name.to_owned()));
    }

    /// Ends the thread; what is being said to authorities is broken off.
    pub(crate) fn stop(&self) {
        self.thread.stop();
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// How a certificate fared that could not be had.
#[derive(Clone, Copy)]
struct Setback {
    until: Instant,
    pause: Duration,
}

async fn attend(
    conductor: Arc<Conductor>,
    own: UnboundedSender<News>,
    mut arriving: UnboundedReceiver<News>,
) {
    let mut setbacks: HashMap<String, Setback> = HashMap::new();
    loop {
        let (due, next) = due(&conductor, &setbacks);
        for name in due {
            begin(&conductor, name, &own);
        }
        tokio::select! {
            news = arriving.recv() => match news {
                Some(News::Wanted(name)) => begin(&conductor, name, &own),
                Some(News::Done(name, true)) => drop(setbacks.remove(&name)),
                Some(News::Done(name, false)) => {
                    let before = setbacks.get(&name).map(|before| before.pause * 4);
                    let pause = before.unwrap_or(PAUSE_FIRST).min(PAUSE_LAST);
                    let until = Instant::now() + pause;
                    setbacks.insert(name, Setback { until, pause });
                }
                Some(News::Plane) => {}
                None => return,
            },
            () = sleep(next) => {}
        }
    }
}

/// The certificates that are to be asked for now, and when to look again.
fn due(conductor: &Conductor, setbacks: &HashMap<String, Setback>) -> (Vec<String>, Duration) {
    let (mut due, mut next) = (Vec::new(), LOOK);
    let desk = conductor.desk();
    let plane = desk.plane();
    if !plane.model.global.acme_scheduler {
        return (due, next);
    }
    let now_s = now_s();
    for (name, stored) in &plane.model.store.certificates {
        let wanted = stored.subscription.as_ref();
        let nameless = wanted.is_none_or(|it| it.domains.is_empty() && it.ips.is_empty());
        if nameless || plane.acme.has(name) {
            continue;
        }
        let left_s = renewal(stored.content.chain()).saturating_sub(now_s);
        let mut wait = Duration::from_secs(left_s.max(0).unsigned_abs());
        if let Some(setback) = setbacks.get(name) {
            wait = wait.max(setback.until.saturating_duration_since(Instant::now()));
        }
        match wait.is_zero() {
            true => due.push(name.clone()),
            false => next = next.min(wait),
        }
    }
    (due, next)
}

/// Seconds since 1970.
fn now_s() -> i64 {
    (clock::wall_ns() / NS_PER_S) as i64
}

/// When the first certificate of a chain is to be renewed; what cannot be read is at once.
fn renewal(chain: &[Vec<u8>]) -> i64 {
    let own = chain.first();
    own.and_then(|der| certificate::parse(der).ok())
        .map_or(0, |parsed| renewal_s(&parsed))
}

/// Asks for a certificate beside whatever else goes on, unless it is being asked for.
fn begin(conductor: &Arc<Conductor>, name: String, news: &UnboundedSender<News>) {
    let running = Arc::clone(&conductor.desk().plane().acme);
    if !running.begin(&name) {
        return;
    }
    let (conductor, news) = (Arc::clone(conductor), news.clone());
    tokio::task::spawn_local(async move {
        let start = format!("acme: {name}: Starting update of the certificate.");
        conductor.tell(Level::Notice, &start);
        let issued = match timeout(PATIENCE, issue(&conductor, &name)).await {
            Ok(issued) => issued,
            Err(_) => Err("the authority took too long".to_owned()),
        };
        running.end(&name);
        let (level, text) = match &issued {
            Ok(()) => (Level::Notice, "Successful update of the certificate."),
            Err(why) => (Level::Error, why.as_str()),
        };
        conductor.tell(level, &format!("acme: {name}: {text}"));
        // Nobody listens when everything ends.
        let _ = news.send(News::Done(name, issued.is_ok()));
    });
}

/// Asks for a certificate, serves by it and keeps it.
async fn issue(conductor: &Conductor, name: &str) -> Result<(), String> {
    let shared = conductor.shared();
    let model = &shared.plane.model;
    let stored = model.store.certificates.get(name).ok_or("it is gone")?;
    let wanted = stored
        .subscription
        .as_ref()
        .ok_or("no authority issues it")?;
    let acme = section(model, wanted)?;
    let kept = stored.content.whole().filter(|_| acme.reuse_key);
    // (One that stands in for a certificate has a key of its own, which is better than none.)
    let key = match kept {
        Some(kept) => forge::same_key(&kept.key),
        None => forge::key(acme.key),
    };
    let key = key.map_err(|error| format!("no key: {error}"))?;
    let request = forge::request(&key, &wanted.names());
    let request = request.map_err(|error| format!("no request: {error}"))?;
    let shelf = Shelf {
        conductor,
        map: acme.map.as_deref(),
        proofs: shared.tls.proofs(),
    };
    let mut talk = Talk::begin(acme, shared.tls.client(), &shelf).await?;
    let pem = talk.obtain(wanted, &request).await?;
    let whole = assembled(name, &pem, &key)?;
    serve(conductor, name, &whole)?;
    let kept = keep(wanted, &whole);
    kept.map_err(|error| format!("it is served, but cannot be written: {error}"))?;
    // An authority that always issues such is not to be asked without a pause.
    match renewal(&whole.chain) <= now_s() {
        true => {
            Err("it is served, but to be renewed again already; is the clock right?".to_owned())
        }
        false => Ok(()),
    }
}

fn section<'a>(model: &'a Model, wanted: &Subscription) -> Result<&'a Acme, String> {
    let mut known = model.acme.iter();
    let found = known.find(|acme| acme.name == wanted.section);
    let missing = || format!("there is no section 'acme {}'", wanted.section);
    found.map(|acme| &**acme).ok_or_else(missing)
}

/// The certificate that was issued with the key that it was asked for with.
fn assembled(name: &str, pem: &[u8], key: &rcgen::KeyPair) -> Result<Certificate, String> {
    let useless = |why: &dyn std::fmt::Display| format!("the certificate is of no use: {why}");
    let mut pieces = Pieces::read(pem).map_err(|why| useless(&why))?;
    pieces.key = Some(forge::private(key));
    pieces.assemble(name).map_err(|why| useless(&why))
}

/// Presents a certificate from now on, wherever it is used.
fn serve(conductor: &Conductor, name: &str, whole: &Certificate) -> Result<(), String> {
    let whole = Arc::new(whole.clone());
    let outcome = conductor.edit(|model| {
        let is_known = model.store.certificates.contains_key(name);
        if is_known {
            model.install(name, Content::Whole(whole));
        }
    });
    outcome.map(drop).map_err(|error| error.to_string())
}

/// Writes a certificate and its key to their files, which nobody else can read.
fn keep(wanted: &Subscription, whole: &Certificate) -> io::Result<()> {
    let chain = pem::chain(&whole.chain);
    let key = pem::private_key(&whole.key);
    let path = Path::new(&wanted.path);
    match &wanted.key_path {
        Some(key_path) => disk::store(&[
            (Path::new(key_path), key.as_bytes()),
            (path, chain.as_bytes()),
        ]),
        None => {
            let mut both = Zeroizing::new(String::with_capacity(chain.len() + key.len()));
            both.push_str(&chain);
            both.push_str(&key);
            disk::store(&[(path, both.as_bytes())])
        }
    }
}

/// Where challenges are met: a map that rules look into, or handshakes.
struct Shelf<'a> {
    conductor: &'a Conductor,
    map: Option<&'a str>,
    proofs: &'a Arc<Proofs>,
}

impl Shelf<'_> {
    fn command(&self, words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut session = Session::new(AccessLevel::Admin, 0);
        self.conductor.run(Words::new(&words, None), &mut session)
    }
}

impl Stage for Shelf<'_> {
    fn show_token(&self, token: &str, thumbprint: &str) -> Result<(), String> {
        // Without a map a rule answers by itself, as an account alone can.
        let Some(map) = self.map else { return Ok(()) };
        let answer = self.command(&["add", "map", map, token, thumbprint]);
        match answer.trim() {
            "" => Ok(()),
            why => Err(format!("the map '{map}' takes no token: {why}")),
        }
    }

    fn hide_token(&self, token: &str) {
        if let Some(map) = self.map {
            self.command(&["del", "map", map, token]);
        }
    }

    fn proofs(&self) -> &Proofs {
        self.proofs
    }
}
