//! Asks authorities whether they vouch for certificates (`ocsp-update`), and staples what they answer.
//!
//! All of it happens on one thread, which begins when there is something to ask. What is absent: dates and messages
//! (`policy::stapling`, `policy::tls::ocsp`).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_policy::log::Level;
use plimsoll_policy::model::Model;
use plimsoll_policy::stapling::{Inquiry, Stapling, Status};
use plimsoll_policy::tls::ocsp::Response;
use plimsoll_sys::clock;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

use super::background::Background;
use super::conductor::Conductor;
use super::http_client::{Request, ask};
use crate::tls::is_sound;

/// How often dates are looked at in any case: clocks are set.
const LOOK: Duration = Duration::from_secs(60);

const NS_PER_S: u64 = 1_000_000_000;

/// Longest request that is made with GET, as caches like it (RFC 5019 section 5).
const GET_BYTES_MAX: usize = 255;

/// What the thread is told.
enum News {
    /// There is another plane.
    Plane,
    /// An operator wants the authority of this certificate asked now.
    Wanted(String),
}

/// The running thread.
pub(crate) struct Inquirer {
    news: UnboundedSender<News>,
    thread: Background,
}

impl Inquirer {
    /// Starts to ask authorities; `None` when there is none to be asked, and nobody `wants` it.
    pub(crate) fn start(
        conductor: &Arc<Conductor>,
        model: &Model,
        wants: bool,
    ) -> io::Result<Option<Self>> {
        let mut stored = model.store.certificates.values();
        if !wants && !stored.any(|stored| stored.fetches) {
            return Ok(None);
        }
        let conductor = Arc::clone(conductor);
        let (news, arriving) = unbounded_channel();
        let work = move || async move { attend(&conductor, arriving).await };
        let thread = Background::start("ocsp", work)?;
        Ok(Some(Self { news, thread }))
    }

    /// Goes on under another plane.
    pub(crate) fn adopt(&self) {
        // A thread that has ended asks nobody.
        let _ = self.news.send(News::Plane);
    }

    /// Asks the authority of a certificate now.
    pub(crate) fn inquire(&self, file: &str) {
        let _ = self.news.send(News::Wanted(file.to_owned()));
    }

    /// Ends the thread; what is being asked is broken off.
    pub(crate) fn stop(&self) {
        self.thread.stop();
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

async fn attend(conductor: &Conductor, mut arriving: UnboundedReceiver<News>) {
    loop {
        // One after the other: authorities are not to be asked about thousands of certificates at once.
        let next = match due(conductor) {
            Due::Now(inquiry) => {
                make(conductor, inquiry).await;
                Duration::ZERO
            }
            Due::In(wait) => wait,
        };
        tokio::select! {
            biased;
            news = arriving.recv() => match news {
                Some(News::Wanted(file)) => wanted(conductor, &file).await,
                Some(News::Plane) => {}
                None => return,
            },
            () = sleep(next) => {}
        }
    }
}

/// What is to be done next.
enum Due {
    Now(Inquiry),
    In(Duration),
}

/// The inquiry that has waited longest, if one is due.
fn due(conductor: &Conductor) -> Due {
    let desk = conductor.desk();
    let plane = desk.plane();
    let settings = &plane.model.global.stapling;
    if settings.disabled {
        return Due::In(LOOK);
    }
    let now_s = now_s();
    let due_s = |inquiry: &Inquiry| plane.inquiries.due_s(inquiry, settings, now_s);
    let all = Inquiry::all(&plane.model).into_iter();
    let all = all.filter_map(|inquiry| Some((due_s(&inquiry)?, inquiry)));
    match all.min_by_key(|(due_s, _)| *due_s) {
        Some((due_s, inquiry)) if due_s <= now_s => Due::Now(inquiry),
        Some((due_s, _)) => {
            let left = Duration::from_secs(due_s.abs_diff(now_s));
            Due::In(left.min(LOOK))
        }
        None => Due::In(LOOK),
    }
}

/// Seconds since 1970.
fn now_s() -> i64 {
    (clock::wall_ns() / NS_PER_S) as i64
}

async fn wanted(conductor: &Conductor, file: &str) {
    let inquiry = Inquiry::about(&conductor.desk().plane().model, file);
    // What is gone in the meantime is nobody's any more.
    if let Ok(inquiry) = inquiry {
        make(conductor, inquiry).await;
    }
}

/// Asks an authority, staples its answer, and logs what came of it.
async fn make(conductor: &Conductor, inquiry: Inquiry) {
    let desk = conductor.desk();
    let inquiries = Arc::clone(&desk.plane().inquiries);
    if !inquiries.begin(&inquiry.id) {
        return;
    }
    let settings = desk.plane().model.global.stapling.clone();
    let outcome = vouch(conductor, &inquiry, &settings).await;
    let level = if outcome.is_ok() {
        Level::Notice
    } else {
        Level::Warning
    };
    let record = inquiries.end(&inquiry.id, outcome, &settings, now_s());
    let why = match record.detail.as_str() {
        "" => String::new(),
        detail => format!(" ({detail})"),
    };
    let text = format!(
        "<OCSP-UPDATE> {} {} \"{}{why}\" {} {}",
        inquiry.file,
        record.status as u8,
        record.status.text(),
        record.failures,
        record.successes
    );
    conductor.tell(level, &text);
}

/// Asks, judges and staples; until when the answer holds.
async fn vouch(
    conductor: &Conductor,
    inquiry: &Inquiry,
    settings: &Stapling,
) -> Result<i64, (Status, String)> {
    let body = fetch(conductor, inquiry, settings).await?;
    let wrong = |why: &str| (Status::Check, why.to_owned());
    let response = Response::read(&body).map_err(wrong)?;
    let now_s = now_s();
    if !response.is_about(&inquiry.id) {
        return Err(wrong("it is about another certificate"));
    }
    if !response.is_signed(&inquiry.issuer, now_s, &is_sound) {
        return Err(wrong("the authority has not signed it"));
    }
    response.is_usable(now_s).map_err(wrong)?;
    let until_s = response.holds_until_s().unwrap_or(now_s);
    let stapled = conductor.edit(|model| model.staple(&response, &body));
    match stapled {
        Ok(_) => Ok(until_s),
        Err(error) => Err((Status::Insertion, error.to_string())),
    }
}

/// What the responder answers, in DER.
async fn fetch(
    conductor: &Conductor,
    inquiry: &Inquiry,
    settings: &Stapling,
) -> Result<Vec<u8>, (Status, String)> {
    let shared = conductor.shared();
    let request = inquiry.id.request();
    let encoded = escaped(&data_encoding::BASE64.encode(&request));
    let (url, content) = match encoded.len() <= GET_BYTES_MAX {
        true => (
            format!("{}/{encoded}", inquiry.url.trim_end_matches('/')),
            None,
        ),
        false => (
            inquiry.url.clone(),
            Some(("application/ocsp-request", request.as_slice())),
        ),
    };
    let request = Request {
        method: if content.is_none() { "GET" } else { "POST" },
        url: &url,
        content,
        proxy: settings.proxy.as_deref(),
    };
    let failed = |why: String| (Status::Http, why);
    let answer = ask(shared.tls.client(), request).await.map_err(failed)?;
    if answer.status != 200 {
        return Err(failed(format!("status {}", answer.status)));
    }
    let kind = answer.field("Content-Type").unwrap_or_default();
    if !kind.starts_with("application/ocsp-response") {
        return Err((Status::Kind, String::new()));
    }
    Ok(answer.body)
}

/// Base64 as a part of a path.
fn escaped(base64: &str) -> String {
    let mut path = String::with_capacity(base64.len());
    for letter in base64.chars() {
        match letter {
            '+' => path.push_str("%2B"),
            '/' => path.push_str("%2F"),
            '=' => path.push_str("%3D"),
            letter => path.push(letter),
        }
    }
    path
}
