//! The whole proxy in a simulated world: listeners, sessions, pools, queues and tunnels on one thread, with virtual
//! clients and origins as tasks beside them.
//!
//! [`stage`] sets the proxy up and looks for what is left when everybody has gone; [`script`] says what an origin
//! is to do, in the request's own target, so that a client knows what it may get; [`peer`] reads and writes
//! messages in its own plain way, independent of the parsers under test. The other files are the tests, by subject.
//!
//! Every run follows from its seed: `SEED=17 cargo test -p plimsoll-engine --lib testing` plays that one again.
//!
//! What is absent: the kernel (see `tests/soak.rs`), log lines, and more than one worker.

mod cases;
mod changes;
mod client;
mod deadlines;
mod floods;
mod http2;
mod origin;
mod peer;
mod queueing;
mod script;
mod seeds;
mod stage;
mod streams;
mod tracking;
mod tunnels;
mod upgrades;
