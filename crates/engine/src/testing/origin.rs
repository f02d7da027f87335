//! An origin that plays the script of each request.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::peer::{Extent, Lines, Peer};
use super::script::{Kind, Script, bytes_of, chunk, upload_id};
use super::stage::{Cast, MS_NS, SECOND_NS};
use crate::reactor::Socket;

/// Longer than any time-out: an origin that never answers.
const SILENCE_NS: u64 = 500 * SECOND_NS;

/// How often each request has arrived at any origin.
#[derive(Clone, Default)]
pub(super) struct Register(Rc<RefCell<BTreeMap<u32, u32>>>);

impl Register {
    /// How often it has arrived, this time included.
    fn note(&self, id: u32) -> u32 {
        let mut arrivals = self.0.borrow_mut();
        let count = arrivals.entry(id).or_default();
        *count += 1;
        *count
    }

    pub(super) fn arrivals(&self, id: u32) -> u32 {
        self.0.borrow().get(&id).copied().unwrap_or(0)
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(cast: Cast, socket: Rc<Socket>, register: Register) {
    let mut peer = Peer::new(cast, socket);
    while let Ok(Some(request)) = peer.head().await {
        match answer(&mut peer, &request, &register).await {
            Ok(Next::Request) => {}
            Ok(Next::Close) | Err(_) => return,
            Ok(Next::Reset) => return peer.reset(),
        }
    }
}

enum Next {
    Request,
    Close,
    Reset,
}

async fn answer(peer: &mut Peer, request: &Lines, register: &Register) -> io::Result<Next> {
    let mut words = request.first.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    assert_eq!(words.next(), Some("HTTP/1.1"), "{request:?}");
    let script = Script::parse(target);
    let arrivals = register.note(script.id);
    let response = script.response(method == "HEAD");
    let last = request.closes();
    if script.kind != Kind::Early && request.expects() {
        peer.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    match script.kind {
        Kind::Again if arrivals == 1 => {
            read_upload(peer, request, &script).await?;
            return Ok(Next::Close);
        }
        Kind::Again if arrivals == 2 => {
            read_upload(peer, request, &script).await?;
            peer.write(&script.unavailable()).await?;
        }
        Kind::Early => {
            peer.write(&response).await?;
            read_upload(peer, request, &script).await?;
        }
        Kind::Echo => echo(peer, request).await?,
        kind => {
            read_upload(peer, request, &script).await?;
            match kind {
                Kind::Slow => write_slowly(peer, &response).await?,
                Kind::StallAt => {
                    peer.write(&response[..script.at.min(response.len() - 1)])
                        .await?;
                    peer.cast.sleep(SILENCE_NS).await;
                }
                Kind::ResetAt | Kind::CloseAt => {
                    peer.write(&response[..script.at.min(response.len() - 1)])
                        .await?;
                    return Ok(if kind == Kind::ResetAt {
                        Next::Reset
                    } else {
                        Next::Close
                    });
                }
                Kind::Silent => peer.cast.sleep(SILENCE_NS).await,
                _ => peer.write(&response).await?,
            }
        }
    }
    match script.kind {
        Kind::UntilClose | Kind::CloseAfter | Kind::Garbage => Ok(Next::Close),
        Kind::StallAt | Kind::Silent => Ok(Next::Close),
        Kind::CloseLate => {
            peer.cast.sleep(script.at as u64 * 1_000).await;
            Ok(Next::Close)
        }
        _ if last => Ok(Next::Close),
        _ => Ok(Next::Request),
    }
}

fn extent(request: &Lines) -> Extent {
    match (request.is_chunked(), request.length()) {
        (true, None) => Extent::Chunks,
        (false, length) => Extent::Bytes(length.unwrap_or(0)),
        (true, Some(_)) => panic!("both framings in {request:?}"),
    }
}

/// Reads what is uploaded; all of it must be there, and be what the client meant to send.
async fn read_upload(peer: &mut Peer, request: &Lines, script: &Script) -> io::Result<()> {
    let body = peer.body(extent(request)).await;
    if !body.complete {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let length = request
        .value("x-upload")
        .map_or(0, |value| value.parse().expect("a number"));
    assert!(
        body.bytes == bytes_of(upload_id(script.id), length),
        "the upload of {script} changed on its way"
    );
    let promised = request.value("x-trailed").map(|_| upload_id(script.id));
    assert_eq!(body.trailer, promised, "the trailer of {script}'s upload");
    Ok(())
}

/// Sends back what comes while it comes.
async fn echo(peer: &mut Peer, request: &Lines) -> io::Result<()> {
    let target = request.first.split(' ').nth(1).unwrap_or("");
    let id = Script::parse(target).id;
    let head = format!("HTTP/1.1 200 OK\r\nX-Script: {id}\r\nTransfer-Encoding: chunked\r\n\r\n");
    peer.write(head.as_bytes()).await?;
    let mut left = match extent(request) {
        Extent::Bytes(count) => Some(count),
        _ => None,
    };
    loop {
        let piece = match &mut left {
            Some(0) => break,
            Some(left) => {
                let piece = peer.take((*left).min(777)).await?;
                *left -= piece.len();
                piece
            }
            None => peer.chunk().await?,
        };
        if piece.is_empty() {
            break;
        }
        peer.write(&chunk(&piece)).await?;
    }
    peer.write(b"0\r\n\r\n").await
}

async fn write_slowly(peer: &Peer, response: &[u8]) -> io::Result<()> {
    for piece in response.chunks(response.len().div_ceil(4).max(1)) {
        peer.cast.sleep(150 * MS_NS).await;
        peer.write(piece).await?;
    }
    Ok(())
}
