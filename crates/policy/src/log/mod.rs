//! What is written about traffic and events, and to whom.
//!
//! | look in | for |
//! |---|---|
//! | [`Record`] | what a session or an exchange knows at its end |
//! | [`format`], [`format_error`] | its line, field for field as HAProxy writes it |
//! | [`Termination`] | how it ended, in two or four letters, and what they mean |
//! | [`traffic_level`], [`admit`] | whether it is logged at all, at which level, by which target |
//! | [`Profile`], [`Steps`] | other lines for some moments, and which moments there are |
//! | [`Header`] | what precedes a line on its way to a syslog server |
//! | [`Dates`] | dates as text, made once per second |
//!
//! What is absent: sockets, clocks, queues (the engine's log sink has them), and the language of custom formats.

mod date;
mod header;
mod level;
mod line;
mod profile;
mod record;
mod select;
mod termination;
pub(crate) mod text;

pub(crate) use date::Civil;
pub use date::{Dates, WallTime};
pub use header::{Header, Identity};
pub use level::Level;
pub use line::{format, format_error};
pub use profile::{Override, Profile, STEPS, Step, Steps};
pub use record::{
    Endpoint, Event, Load, Origin, Queued, Record, RequestLine, Timers, Times, elapsed_ms,
};
pub use select::{Moment, admit, is_abnormal, is_due, moment, origin, sample_takes, traffic_level};
pub use termination::{Cause, CookieSeen, CookieSet, MEANINGS, Meaning, Phase, Termination};
