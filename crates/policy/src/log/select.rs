//! Whether a line is written, when, at which level, and which targets take it.

use crate::model::{LogFormat, LogSample, LogSettings, LogTarget, Mode};

use super::{Cause, Level, Origin, Record};

/// When a session or an exchange is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// When it begins; nothing but its addresses is known.
    Accept,
    /// A request is there.
    Request,
    /// The server of an HTTP request is connected.
    Connect,
    /// As soon as the server is connected (TCP) or has answered (HTTP): `option logasap`.
    Answer,
    End,
}

/// What a line of this moment owes its being to.
pub fn origin(moment: Moment, mode: Mode) -> Origin {
    match (moment, mode) {
        (Moment::Accept, _) => Origin::Accept,
        (Moment::Request, _) => Origin::Request,
        (Moment::Connect, _) | (Moment::Answer, Mode::Tcp) => Origin::Connect,
        (Moment::Answer, Mode::Http) => Origin::Response,
        (Moment::End, _) => Origin::Close,
    }
}

/// Whether a line is written at this moment.
pub fn is_due(settings: &LogSettings, at: Moment, mode: Mode) -> bool {
    if settings.targets.is_empty() {
        return false;
    }
    match settings.steps {
        Some(steps) => steps.include(origin(at, mode)),
        None => moment(settings) == at,
    }
}

/// When lines of these settings are written, unless `log-steps` says otherwise.
pub fn moment(settings: &LogSettings) -> Moment {
    match settings.format {
        LogFormat::Connect => Moment::Accept,
        _ if settings.as_soon_as_possible => Moment::Answer,
        _ => Moment::End,
    }
}

/// Whether `record` is what `option dontlog-normal` keeps and `option log-separate-errors` raises: an error, a retry,
/// a redispatch or a 5xx status.
pub fn is_abnormal(record: &Record<'_>) -> bool {
    record.redispatched
        || record.termination.is_error()
        || (record.termination.cause == Cause::Normal && record.retries > 0)
        || (record.mode == Mode::Http && record.status.is_some_and(|status| status >= 500))
}

/// The level at which `record` is logged; `None`: not at all.
///
/// `ignore_empty` is the frontend's `option dontlognull`.
pub fn traffic_level(
    settings: &LogSettings,
    ignore_empty: bool,
    record: &Record<'_>,
) -> Option<Level> {
    if settings.targets.is_empty() {
        return None;
    }
    match settings.steps {
        // At accept nothing can be known of what is normal or empty.
        None if moment(settings) == Moment::Accept => return Some(Level::Info),
        Some(_) if record.origin != Origin::Close => {}
        // Who has reached a server was no probe; as soon as that is told, bytes have not been counted yet.
        _ if settings.as_soon_as_possible && record.timers.connect_ms.is_some() => {}
        _ if ignore_empty && record.bytes_received == 0 && !record.spoke => return None,
        _ => {}
    }
    match is_abnormal(record) {
        true if settings.separate_errors => Some(Level::Error),
        false if settings.skip_normal => None,
        _ => Some(Level::Info),
    }
}

/// The level under which `target` takes a message of `level`; `None`: it takes no message so unimportant.
///
/// Sampling is not asked: whoever counts messages asks [`sample_takes`] next.
pub fn admit(target: &LogTarget, level: Level) -> Option<Level> {
    let number = level.number();
    (number <= target.level_max).then(|| Level::from_number(number.max(target.level_min)))
}

/// Whether a sample takes the message at `position`, counted from 0 over all messages the target admitted.
pub fn sample_takes(sample: &LogSample, position: u64) -> bool {
    let index = position % u64::from(sample.period.max(1)) + 1;
    sample
        .ranges
        .iter()
        .any(|&(low, high)| (u64::from(low)..=u64::from(high)).contains(&index))
}
