//! Bodies in both directions at once, between a client's stream and a server's.
//!
//! A relay never waits on one side in a way that starves the other: every poll looks at both. It holds no data of its
//! own between polls; what a slow peer has not taken waits in that peer's stream, and nothing more is read for it.

use std::rc::Rc;
use std::task::{Poll, ready};

use plimsoll_policy::bandwidth::Limits;
use plimsoll_policy::model::{Backend, Frontend};
use plimsoll_wire::head::Head;

use crate::counters::Side;
use crate::fault::Fault;
use crate::queue::Recall;
use crate::quota::Quota;
use crate::reactor::Scratch;
use crate::splice::{Conduit, Trouble};
use crate::stream::{ClientStream, End, Piece, ServerStream, StreamError};
use crate::worker::{Worker, deadline_after};

/// How long nothing has to be sent to a client that has ended its side until it is taken for gone. Some of those who only
/// half close still read.
const LEAVING_MS: u64 = 1_000;

/// Pieces moved in one direction before other tasks get their turn.
const PIECES_PER_TURN: u32 = 16;

/// The two inactivity time-outs of an exchange; `None` never expires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) client_ms: Option<u64>,
    pub(crate) server_ms: Option<u64>,
    /// What these sides take does not excuse that they say nothing (`option independent-streams`).
    pub(crate) independent: Independent,
}

/// Which sides' silence counts by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Independent {
    pub(crate) client: bool,
    pub(crate) server: bool,
}

impl Independent {
    pub(crate) fn of(frontend: &Frontend, backend: &Backend) -> Self {
        Self {
            client: frontend.independent,
            server: backend.independent,
        }
    }
}

pub(crate) struct Relay<'a, C, S> {
    worker: &'a Rc<Worker>,
    client: &'a mut C,
    server: &'a mut S,
    patience: Patience,
    /// The ways of long bodies. That of the request may be in use from before its response until after it.
    pub(crate) upload: &'a mut Conduit,
    pub(crate) download: Conduit,
    /// The request's body has been handed to the server's stream, or given up.
    pub(crate) upload_done: bool,
    /// Part of the body has been taken from the client here.
    pub(crate) upload_begun: bool,
    /// A client that ends its side is not waiting for the answer any more (`option abortonclose`).
    pub(crate) heeds_leaving: bool,
    /// Whether trailers of the request and of the response are dropped.
    pub(crate) drops_trailers: (bool, bool),
    /// Whether the server takes back its slot meanwhile.
    pub(crate) recall: Option<Recall<'a>>,
    /// How fast bodies may pass, where rules say so.
    quota: Quota<'a>,
    /// How much may be read along with a head. The same for as long as heads are waited for, since interim ones leave
    /// what follows them for the next.
    appetite: usize,
}

impl<'a, C: ClientStream, S: ServerStream> Relay<'a, C, S> {
    pub(crate) fn new(
        worker: &'a Rc<Worker>,
        client: &'a mut C,
        server: &'a mut S,
        (upload, upload_done): (&'a mut Conduit, bool),
        patience: Patience,
    ) -> Self {
        let now_ns = worker.reactor.now_ns();
        if upload.moved_ns == 0 {
            upload.moved_ns = now_ns;
        }
        Self {
            appetite: client.appetite(),
            worker,
            client,
            server,
            patience,
            upload,
            download: Conduit::since(now_ns),
            upload_done,
            upload_begun: false,
            heeds_leaving: false,
            drops_trailers: (false, false),
            recall: None,
            quota: Quota::default(),
        }
    }

    /// Uploads until the next response head is there; its first body bytes lie in the returned buffer.
    pub(crate) fn poll_head(&mut self, head: &mut Head) -> Poll<Result<(Scratch, Piece), Fault>> {
        let upload = self.poll_upload();
        let mut scratch = self.worker.reactor.scratch();
        // Even when sending failed: a server may answer and close before it has read everything.
        let window = self.appetite.min(scratch.len());
        match self.server.poll_response(head, &mut scratch[..window]) {
            Poll::Ready(Ok(piece)) => return Poll::Ready(Ok((scratch, piece))),
            Poll::Ready(Err(error)) => {
                return Poll::Ready(Err(self.server_fault(&error)));
            }
            Poll::Pending => {}
        }
        match upload {
            Poll::Ready(Err(Fault::ClientClosed)) => Poll::Ready(Err(Fault::GaveUp)),
            Poll::Ready(Err(fault)) => Poll::Ready(Err(fault)),
            Poll::Ready(Ok(())) if self.heeds_leaving && self.client.poll_gone().is_ready() => {
                Poll::Ready(Err(Fault::GaveUp))
            }
            Poll::Ready(Ok(())) => self.wait(self.server_speaks_ns(), Fault::ServerTimeout),
            Poll::Pending => self.wait_for_upload(),
        }
    }

    /// Downloads the rest of the response, `done` when the head brought all of it, and finishes the upload.
    pub(crate) fn poll_bodies(&mut self, done: &mut bool) -> Poll<Result<(), Fault>> {
        let upload = self.poll_upload();
        match self.poll_download(done) {
            Poll::Ready(Ok(())) => return self.poll_leftover(upload),
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
            Poll::Pending => {}
        }
        if let Poll::Ready(Err(fault)) = upload
            && !fault.is_servers()
        {
            return Poll::Ready(Err(fault));
        }
        let server_ns = self.server_speaks_ns();
        if self.patience.independent.client && upload.is_pending() && !self.server_is_slow() {
            let client_ns = self.client_speaks_ns();
            if client_ns < server_ns {
                return self.wait(client_ns, Fault::ClientTimeout);
            }
        }
        if self.client_is_slow() {
            return self.wait(self.client_takes_ns(), Fault::ClientTimeout);
        }
        if self.heeds_leaving && self.upload_done && self.client.poll_gone().is_ready() {
            let leaves_ns = self.moved_ns().saturating_add(LEAVING_MS * 1_000_000);
            if leaves_ns < server_ns {
                return self.wait(leaves_ns, Fault::ClientClosed);
            }
        }
        self.wait(server_ns, Fault::ServerTimeout)
    }

    /// The response is complete before the request: the rest still goes to the server, so that both connections can
    /// be used again, unless the client's ends anyway or the server takes no more.
    fn poll_leftover(&mut self, upload: Poll<Result<(), Fault>>) -> Poll<Result<(), Fault>> {
        match upload {
            Poll::Ready(Err(fault)) if !fault.is_servers() => Poll::Ready(Err(fault)),
            Poll::Ready(_) => Poll::Ready(Ok(())),
            Poll::Pending if self.client.closes() => Poll::Ready(Ok(())),
            Poll::Pending => self.wait_for_upload(),
        }
    }

    /// Passes an interim response on.
    pub(crate) fn inform(&mut self, head: &Head) -> Result<(), StreamError> {
        self.client.inform(head)
    }

    fn poll_upload(&mut self) -> Poll<Result<(), Fault>> {
        for _ in 0..PIECES_PER_TURN {
            let drained = ready!(self.upload.poll_drain(self.server));
            drained.map_err(|trouble| self.upload_fault(&trouble))?;
            if self.upload.take_end() {
                self.upload_done = true;
                self.server
                    .send(&[], End::Done, None)
                    .map_err(|error| self.server_fault(&error))?;
            }
            if self.upload_done {
                return self
                    .server
                    .poll_flush()
                    .map_err(|error| self.server_fault(&error));
            }
            let room =
                ready!(self.server.poll_room()).map_err(|error| self.server_fault(&error))?;
            if !self.quota.applies(true)
                && self.upload.is_open(self.worker, self.client, self.server)
            {
                let filled = ready!(self.upload.poll_fill(self.client, self.server));
                filled.map_err(|trouble| self.upload_fault(&trouble))?;
                self.upload_begun = true;
                self.upload.moved_ns = self.worker.reactor.now_ns();
                continue;
            }
            let mut scratch = self.worker.reactor.scratch();
            let room = ready!(self.poll_quota(true, room.min(scratch.len())));
            let piece = ready!(self.client.poll_body(&mut scratch[..room]))
                .map_err(|error| self.client_fault(&error))?;
            self.upload_begun = true;
            self.upload_done = piece.last;
            self.upload.copied(piece.range.len(), room);
            self.passed(true, piece.range.len());
            self.upload.moved_ns = self.worker.reactor.now_ns();
            let end = End::of(&piece);
            let trailers = self.client.request_trailers();
            let trailers = trailers.filter(|_| !self.drops_trailers.0);
            self.server
                .send(&scratch[piece.range], end, trailers)
                .map_err(|error| self.server_fault(&error))?;
        }
        self.worker.reactor.wake(self.worker.reactor.current());
        Poll::Pending
    }

    fn poll_download(&mut self, done: &mut bool) -> Poll<Result<(), Fault>> {
        for _ in 0..PIECES_PER_TURN {
            let drained = ready!(self.download.poll_drain(self.client));
            drained.map_err(|trouble| self.download_fault(&trouble))?;
            if self.download.take_end() {
                *done = true;
                self.client
                    .send(&[], End::Done, None)
                    .map_err(|error| self.client_fault(&error))?;
            }
            if *done {
                return self
                    .client
                    .poll_flush()
                    .map_err(|error| self.client_fault(&error));
            }
            let room =
                ready!(self.client.poll_room()).map_err(|error| self.client_fault(&error))?;
            if !self.quota.applies(false)
                && self.download.is_open(self.worker, self.server, self.client)
            {
                let filled = ready!(self.download.poll_fill(self.server, self.client));
                filled.map_err(|trouble| self.download_fault(&trouble))?;
                self.download.moved_ns = self.worker.reactor.now_ns();
                continue;
            }
            let mut scratch = self.worker.reactor.scratch();
            let room = ready!(self.poll_quota(false, room.min(scratch.len())));
            let piece = ready!(self.server.poll_body(&mut scratch[..room]))
                .map_err(|error| self.server_fault(&error))?;
            *done = piece.last;
            self.download.copied(piece.range.len(), room);
            self.passed(false, piece.range.len());
            self.download.moved_ns = self.worker.reactor.now_ns();
            let end = End::of(&piece);
            let trailers = self.server.response_trailers();
            let trailers = trailers.filter(|_| !self.drops_trailers.1);
            self.client
                .send(&scratch[piece.range], end, trailers)
                .map_err(|error| self.client_fault(&error))?;
        }
        self.worker.reactor.wake(self.worker.reactor.current());
        Poll::Pending
    }

    /// Has limits apply, also to so many bytes that the server has been sent already.
    pub(crate) fn limit(&mut self, limits: Option<&'a mut Limits>, sent_bytes: usize) {
        self.quota = Quota::new(limits);
        self.passed(true, sent_bytes);
    }

    /// How many bytes may pass in one direction, of so many. Whoever has to wait for more is not silent.
    fn poll_quota(&mut self, upload: bool, room: usize) -> Poll<usize> {
        let reactor = &self.worker.reactor;
        let quota = self.quota.poll(reactor, upload, room);
        if quota.is_pending() {
            let way = match upload {
                true => &mut self.upload,
                false => &mut self.download,
            };
            way.moved_ns = reactor.now_ns();
        }
        quota
    }

    fn passed(&mut self, upload: bool, bytes: usize) {
        self.quota.passed(&self.worker.reactor, upload, bytes);
    }

    /// When something moved last, in either direction.
    fn moved_ns(&self) -> u64 {
        self.upload.moved_ns.max(self.download.moved_ns)
    }

    /// When a time-out ends that began with the last movement, or where `alone` with that of its own direction.
    fn ends_ns(&self, alone: bool, own: &Conduit, after_ms: Option<u64>) -> u64 {
        let since_ns = if alone { own.moved_ns } else { self.moved_ns() };
        deadline_after(since_ns, after_ms)
    }

    fn client_speaks_ns(&self) -> u64 {
        let alone = self.patience.independent.client;
        self.ends_ns(alone, self.upload, self.patience.client_ms)
    }

    fn client_takes_ns(&self) -> u64 {
        let alone = self.patience.independent.client;
        self.ends_ns(alone, &self.download, self.patience.client_ms)
    }

    fn server_speaks_ns(&self) -> u64 {
        let alone = self.patience.independent.server;
        self.ends_ns(alone, &self.download, self.patience.server_ms)
    }

    fn server_takes_ns(&self) -> u64 {
        let alone = self.patience.independent.server;
        self.ends_ns(alone, self.upload, self.patience.server_ms)
    }

    /// Bytes for the client are waiting: it is the client that we wait for, not the server.
    fn client_is_slow(&self) -> bool {
        self.client.is_backlogged() || self.download.held_bytes() > 0
    }

    /// The same of the server.
    fn server_is_slow(&self) -> bool {
        self.server.is_backlogged() || self.upload.held_bytes() > 0
    }

    /// The upload stands still: because of the server when it does not take what it is given, else of the client.
    fn wait_for_upload<T>(&mut self) -> Poll<Result<T, Fault>> {
        match self.server_is_slow() {
            true => self.wait(self.server_takes_ns(), Fault::ServerTimeout),
            false => self.wait(self.client_speaks_ns(), Fault::ClientTimeout),
        }
    }

    fn upload_fault(&self, trouble: &Trouble) -> Fault {
        match trouble {
            Trouble::Source(error) => self.client_fault(error),
            Trouble::Sink(error) => self.server_fault(error),
        }
    }

    fn download_fault(&self, trouble: &Trouble) -> Fault {
        match trouble {
            Trouble::Source(error) => self.server_fault(error),
            Trouble::Sink(error) => self.client_fault(error),
        }
    }

    fn client_fault(&self, error: &StreamError) -> Fault {
        if let Some(name) = error.refusal() {
            self.worker.tables().counters.refuse(Side::Client, name);
        }
        Fault::of_client(error)
    }

    fn server_fault(&self, error: &StreamError) -> Fault {
        if let Some(name) = error.refusal() {
            self.worker.tables().counters.refuse(Side::Server, name);
        }
        Fault::of_server(error, self.server.answered())
    }

    fn wait<T>(&self, deadline_ns: u64, fault: Fault) -> Poll<Result<T, Fault>> {
        if let Some(fault) = self.recall.and_then(Recall::fault) {
            return Poll::Ready(Err(fault));
        }
        if self.worker.reactor.now_ns() >= deadline_ns {
            return Poll::Ready(Err(fault));
        }
        self.worker.reactor.wake_at(deadline_ns);
        Poll::Pending
    }
}
