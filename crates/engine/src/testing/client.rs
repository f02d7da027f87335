//! Virtual clients: those that behave and judge what they get, and those that do not behave.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use super::peer::{Body, Extent, Lines, Peer, write_all};
use super::script::{Kind, Script, bytes_of, chunk, last_chunk, upload_id};
use super::stage::{Cast, MS_NS, front_door};

/// How often, and after which pause, whoever holds a body back looks for being asked.
const EXPECTANT_LOOKS_MAX: u32 = 200;
const EXPECTANT_PAUSE_NS: u64 = 10 * MS_NS;

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errand {
    pub(super) script: Script,
    pub(super) method: &'static str,
    /// Bytes of the request's body.
    pub(super) upload: usize,
    /// The body goes in chunks, not with a length.
    pub(super) chunked: bool,
    /// Behind the chunks comes a trailer.
    pub(super) trailed: bool,
    /// The body is held back until the server asks for it, or stays silent for long.
    pub(super) expects: bool,
}

impl Errand {
    pub(super) fn get(kind: Kind, id: u32, length: usize) -> Self {
        Self {
            script: Script {
                kind,
                id,
                length,
                at: 0,
            },
            method: "GET",
            upload: 0,
            chunked: false,
            trailed: false,
            expects: false,
        }
    }

    pub(super) fn post(kind: Kind, id: u32, length: usize, upload: usize) -> Self {
        Self {
            method: "POST",
            upload,
            ..Self::get(kind, id, length)
        }
    }

    fn has_upload(&self) -> bool {
        self.method == "POST" || self.method == "PUT"
    }

    /// The whole request.
    pub(super) fn request(&self) -> Vec<u8> {
        [self.head(), self.body()].concat()
    }

    fn head(&self) -> Vec<u8> {
        let framing = match (self.has_upload(), self.chunked) {
            (false, _) => String::new(),
            (true, true) if self.trailed => {
                "Transfer-Encoding: chunked\r\nX-Trailed: yes\r\n".to_owned()
            }
            (true, true) => "Transfer-Encoding: chunked\r\n".to_owned(),
            (true, false) => format!("Content-Length: {}\r\n", self.upload),
        };
        let expectation = match self.has_upload() && self.expects {
            true => "Expect: 100-continue\r\n",
            false => "",
        };
        let (method, script, upload) = (self.method, self.script, self.upload);
        format!(
            "{method} {script} HTTP/1.1\r\nHost: a\r\nX-Upload: {upload}\r\n{framing}{expectation}\r\n"
        )
        .into_bytes()
    }

    fn body(&self) -> Vec<u8> {
        let body = bytes_of(upload_id(self.script.id), self.upload);
        match (self.has_upload(), self.chunked) {
            (false, _) => Vec::new(),
            (true, false) => body,
            (true, true) => {
                let pieces = body.chunks(1 + self.upload / 3).map(chunk);
                let trailer = self.trailed.then_some(upload_id(self.script.id));
                pieces.chain([last_chunk(trailer)]).flatten().collect()
            }
        }
    }

    /// The body of the response when all goes well.
    fn expected(&self) -> Vec<u8> {
        match self.script.kind {
            _ if self.method == "HEAD" => Vec::new(),
            Kind::NoContent => Vec::new(),
            Kind::Echo => bytes_of(upload_id(self.script.id), self.upload),
            _ => self.script.body(),
        }
    }

    /// All of the request is at hand for another attempt, without a body that may still be on its way.
    fn is_replayable(&self) -> bool {
        !self.has_upload()
    }

    /// The request may be sent again when a connection that lay idle turns out to be dead.
    fn is_repeatable(&self) -> bool {
        self.method != "POST" && self.upload == 0
    }
}

/// What has come back.
#[derive(Debug)]
pub(super) struct Response {
    /// Interim responses before it, but for 100.
    pub(super) informs: u32,
    pub(super) status: u16,
    pub(super) lines: Lines,
    pub(super) body: Body,
    to_end: bool,
}

impl Response {
    /// A response whose body ends by itself, however it came.
    pub(super) fn new(informs: u32, status: u16, lines: Lines, body: Body) -> Self {
        Self {
            informs,
            status,
            lines,
            body,
            to_end: false,
        }
    }

    /// The connection goes on behind it.
    fn keeps(&self) -> bool {
        self.body.complete && !self.to_end && !self.lines.closes()
    }
}

/// Reads one response; `None` when the connection ends before it.
pub(super) async fn response(peer: &mut Peer, method: &str) -> io::Result<Option<Response>> {
    invited_response(peer, method, &Cell::default()).await
}

/// As [`response`]; `invited` is set when the server asks for the request's body.
async fn invited_response(
    peer: &mut Peer,
    method: &str,
    invited: &Cell<bool>,
) -> io::Result<Option<Response>> {
    let mut informs = 0;
    loop {
        let Some(lines) = peer.head().await? else {
            assert_eq!(
                informs, 0,
                "the connection ended behind an interim response"
            );
            return Ok(None);
        };
        let status = lines
            .first
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse::<u16>().ok())
            .unwrap_or_else(|| panic!("{lines:?}"));
        if status == 100 {
            invited.set(true);
            continue;
        }
        if status < 200 && status != 101 {
            informs += 1;
            continue;
        }
        let extent = match (lines.is_chunked(), lines.length()) {
            _ if method == "HEAD" || matches!(status, 101 | 204 | 304) => Extent::Bytes(0),
            (true, None) => Extent::Chunks,
            (false, Some(length)) => Extent::Bytes(length),
            (false, None) => Extent::ToEnd,
            (true, Some(_)) => panic!("both framings in {lines:?}"),
        };
        let body = peer.body(extent).await;
        return Ok(Some(Response {
            informs,
            status,
            lines,
            body,
            to_end: extent == Extent::ToEnd,
        }));
    }
}

/// What a client must put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mood {
    /// Connections fail, so any response may be cut short or be an error of the proxy's own.
    pub(super) foul: bool,
    /// Origins close connections while these lie idle.
    pub(super) restless: bool,
}

/// How a client that behaves goes about its errands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    OneByOne,
    /// All requests at once.
    Pipelined,
    /// A connection for each, half-closed behind the request.
    HalfClosed,
    /// One by one, reading little at a time.
    Slow,
}

/// Runs errands and judges every response.
pub(super) async fn behave(cast: Cast, errands: Vec<Errand>, manner: Manner, mood: Mood) {
    let mut errands = VecDeque::from(errands);
    while !errands.is_empty() {
        let socket = match cast.dial(&front_door()).await {
            Ok(socket) => socket,
            Err(_) if mood.foul => {
                errands.pop_front();
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let mut peer = Peer::new(cast.clone(), socket);
        if manner == Manner::Slow {
            peer.pause_ns = 20 * MS_NS;
        }
        if manner == Manner::Pipelined {
            pipeline(&mut peer, &mut errands, mood).await;
        } else {
            one_by_one(&mut peer, &mut errands, manner, mood).await;
        }
    }
}

async fn one_by_one(peer: &mut Peer, errands: &mut VecDeque<Errand>, manner: Manner, mood: Mood) {
    while let Some(errand) = errands.pop_front() {
        let shut = manner == Manner::HalfClosed;
        let heard = if errand.expects && errand.has_upload() {
            let invited = Rc::new(Cell::new(false));
            send_when_asked(peer, &errand, shut, Rc::clone(&invited));
            invited_response(peer, errand.method, &invited).await
        } else {
            send(peer, errand.request(), shut);
            response(peer, errand.method).await
        };
        if !judge(&errand, heard, mood) || manner == Manner::HalfClosed {
            return;
        }
    }
}

async fn pipeline(peer: &mut Peer, errands: &mut VecDeque<Errand>, mood: Mood) {
    let requests: Vec<u8> = errands.iter().flat_map(Errand::request).collect();
    send(peer, requests, false);
    for errand in errands.drain(..) {
        let heard = response(peer, errand.method).await;
        if !judge(&errand, heard, mood) {
            assert!(mood.foul, "{errand:?} ended the connection");
            return;
        }
    }
}

/// Writes beside the reading, as a client must that uploads much.
fn send(peer: &Peer, bytes: Vec<u8>, shut: bool) {
    let socket = Rc::clone(&peer.socket);
    peer.cast.enter(async move {
        // The reader sees what becomes of a connection that does not take all of it.
        if write_all(&socket, &bytes).await.is_ok() && shut {
            let _ = socket.shutdown_write();
        }
    });
}

/// Writes the head, and the body once it is asked for. A server that says nothing for long gets it all the same, as RFC
/// 9110 section 10.1.1 has it.
fn send_when_asked(peer: &Peer, errand: &Errand, shut: bool, invited: Rc<Cell<bool>>) {
    let (socket, cast) = (Rc::clone(&peer.socket), peer.cast.clone());
    let (head, body) = (errand.head(), errand.body());
    peer.cast.enter(async move {
        if write_all(&socket, &head).await.is_err() {
            return;
        }
        for _ in 0..EXPECTANT_LOOKS_MAX {
            if invited.get() {
                break;
            }
            cast.sleep(EXPECTANT_PAUSE_NS).await;
        }
        if write_all(&socket, &body).await.is_ok() && shut {
            let _ = socket.shutdown_write();
        }
    });
}

/// Whether the response is one that this errand may get; returns whether the connection goes on.
pub(super) fn judge(errand: &Errand, heard: io::Result<Option<Response>>, mood: Mood) -> bool {
    let response = match heard {
        Ok(Some(response)) => response,
        Ok(None) | Err(_) if mood.foul => return false,
        nothing => panic!("{errand:?} has got no response: {nothing:?}"),
    };
    let seen = || {
        let (status, body) = (response.status, &response.body);
        let (length, complete) = (body.bytes.len(), body.complete);
        format!(
            "{errand:?}: {status}, {length} bytes, complete: {complete}, {:?}",
            response.lines
        )
    };
    let Some(id) = response.lines.value("x-script") else {
        let own = [502, 503, 504].contains(&response.status);
        assert!(own, "{}", seen());
        assert!(response.body.complete || mood.foul, "{}", seen());
        assert!(
            mood.foul || may_be_refused(errand, response.status, mood),
            "{}",
            seen()
        );
        return response.keeps();
    };
    assert_eq!(
        id,
        errand.script.id.to_string(),
        "another's response for {}",
        seen()
    );
    if errand.script.kind == Kind::Again && response.status == 503 {
        assert!(!errand.is_replayable() || mood.foul, "{}", seen());
        return response.keeps();
    }
    let expected = errand.expected();
    assert!(
        expected.starts_with(&response.body.bytes),
        "foreign bytes for {}",
        seen()
    );
    let whole = response.body.complete && response.body.bytes.len() == expected.len();
    assert!(
        whole || !response.body.complete || response.to_end,
        "too short, but ended: {}",
        seen()
    );
    if !mood.foul && errand.script.kind.is_honest() {
        assert!(whole, "{}", seen());
        let informs = u32::from(errand.script.kind == Kind::Interim);
        assert_eq!(response.informs, informs, "{}", seen());
        let named = errand.script.kind == Kind::Trailers && errand.method != "HEAD";
        let trailer = named.then_some(errand.script.id);
        assert_eq!(response.body.trailer, trailer, "{}", seen());
    }
    // Whoever is answered before all is said must expect that nobody listens any more.
    response.keeps() && errand.script.kind != Kind::Early
}

/// Whether the proxy may answer so itself in a world where connections hold.
fn may_be_refused(errand: &Errand, status: u16, mood: Mood) -> bool {
    match errand.script.kind {
        Kind::Again => status == 502 && !errand.is_replayable(),
        Kind::Silent => status == 504,
        Kind::StallAt => matches!(status, 502 | 504),
        kind if kind.is_honest() => status == 502 && mood.restless && !errand.is_repeatable(),
        _ => status == 502,
    }
}

/// How a client leaves that does not behave.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leave {
    Close,
    Reset,
    /// Half-closes in the middle and never reads.
    Mute,
}

/// Sends the first `count` bytes of `bytes`, stays for a while, and leaves.
pub(super) async fn vanish(cast: Cast, bytes: Vec<u8>, count: usize, stay_ns: u64, leave: Leave) {
    let Ok(socket) = cast.dial(&front_door()).await else {
        return;
    };
    let peer = Peer::new(cast.clone(), socket);
    let _ = peer.write(&bytes[..count.min(bytes.len())]).await;
    if matches!(leave, Leave::Mute) {
        let _ = peer.socket.shutdown_write();
    }
    cast.sleep(stay_ns).await;
    if matches!(leave, Leave::Reset) {
        peer.reset();
    }
}

/// Sends what is not HTTP, and must be told so.
pub(super) async fn babble(cast: Cast, bytes: &'static [u8], mood: Mood) {
    let socket = match cast.dial(&front_door()).await {
        Ok(socket) => socket,
        Err(_) if mood.foul => return,
        Err(error) => panic!("{error}"),
    };
    let mut peer = Peer::new(cast, socket);
    let _ = peer.write(bytes).await;
    match response(&mut peer, "GET").await {
        Ok(Some(response)) => assert_eq!(response.status, 400, "{response:?}"),
        other => assert!(mood.foul, "{other:?}"),
    }
}
