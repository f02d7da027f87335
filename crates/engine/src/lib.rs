//! Where things happen: the reactor, workers, listeners, sessions, exchanges and tunnels.
//!
//! The way of a connection: [`listener`] accepts it, [`session`] serves it, [`exchange`] carries each request through
//! [`dispatch`], [`pool`] and [`relay`], [`tunnel`] relays what has no messages, [`account`] counts and logs the end.
//! [`Engine`] starts and stops the workers that do all this.
//!
//! What is absent: the parsing of bytes (`wire`), the choice of servers (`policy`), system calls (`sys`).
#![forbid(unsafe_code)]

mod account;
pub mod control;
mod counters;
mod dispatch;
mod engine;
mod exchange;
mod fault;
mod gate;
mod h1;
mod h2;
mod inbox;
mod inspection;
mod listener;
mod lookup;
mod observe;
mod orders;
mod pool;
mod proxy_protocol;
mod queue;
mod quota;
pub mod reactor;
mod relay;
mod reply;
mod roster;
mod rules;
mod session;
mod sockets;
mod socks;
mod spares;
mod specimens;
mod splice;
mod stories;
mod stream;
mod tables;
mod tcp;
#[cfg(test)]
mod testing;
mod tls;
mod tracking;
mod transport;
mod tunnel;
mod upgrade;
mod upstream;
mod vitals;
mod worker;

pub use control::conductor::{Loaded, Loader, Outcome};
pub use counters::Side;
pub use engine::{Engine, Handle, ListenError, Options, Settle, StartError};
pub use tls::SetupError;
pub use tls::forge::dummy as dummy_certificate;
