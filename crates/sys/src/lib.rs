//! Every system call and every line of `unsafe`.
//!
//! Safe, thin functions over what the kernel offers; Linux only. Each does one call (or one fixed sequence), takes
//! and returns owned descriptors, and never decides anything. What a request is, when to wait and what to retry are
//! questions of `engine`.
//!
//! | look in | for |
//! |---|---|
//! | [`address`] | where a socket listens or connects: internet, unix path, abstract name |
//! | [`listen`], [`connect`] | making stream sockets, with their options |
//! | [`socket`] | receiving, sending, closing, asking |
//! | [`datagram`] | log lines to UDP and unix datagram sockets |
//! | [`epoll`], [`event_fd`], [`timer_fd`] | waiting, waking a waiter from another thread or at a moment |
//! | [`pipe`] | moving bytes between sockets inside the kernel |
//! | [`handover`] | listening sockets on their way to another process |
//! | [`clock`], [`cpu`], [`limit`] | time, cores and processor time, descriptor limit |
//! | [`signal`], [`process`], [`user`], [`capability`] | living as a service |
//! | [`program`] | running other programs |

pub mod address;
pub mod capability;
pub mod clock;
pub mod connect;
pub mod cpu;
pub mod datagram;
pub mod epoll;
pub mod event_fd;
pub mod handover;
pub mod limit;
pub mod listen;
pub mod pipe;
pub mod process;
pub mod program;
pub mod signal;
pub mod socket;
pub mod timer_fd;
pub mod user;

mod option;

pub use address::Address;
pub use connect::ConnectOptions;
pub use listen::{ListenOptions, is_exhausted};
pub use socket::Keepalive;
