//! What precedes a line on its way to a target: priority, date, host and program.

use crate::model::LogEnvelope;

use super::text::push_number;
use super::{Dates, Level, WallTime};

/// Longest host name or tag in a header, in bytes; RFC 5424 section 6 allows 255 for hosts.
const NAME_BYTES_MAX: usize = 255;

/// Who is speaking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `log-send-hostname`; without it hosts are `localhost` or missing, as the form demands.
    pub hostname: Option<String>,
    /// `log-tag`.
    pub tag: String,
    pub pid: u32,
}

/// The header of all messages that go from one proxy to one target; what never changes is already written.
#[derive(Clone, Debug)]
pub struct Header {
    envelope: LogEnvelope,
    /// The facility's share of the priority.
    facility: u16,
    /// Between the date and the message.
    speaker: Vec<u8>,
}

impl Header {
    /// A header for messages of `facility` (0 to 23; greater ones count as 23).
    pub fn new(envelope: LogEnvelope, facility: u8, identity: &Identity) -> Self {
        Self {
            envelope,
            facility: u16::from(facility.min(23)) * 8,
            speaker: speaker(envelope, identity),
        }
    }

    /// Appends the header of a message sent at `now`.
    pub fn write(&self, level: Level, now: WallTime, dates: &mut Dates, out: &mut Vec<u8>) {
        self.write_structured(level, now, b"", dates, out);
    }

    /// As [`Header::write`], with structured data where the form has room for it (RFC 5424 section 6.3).
    pub fn write_structured(
        &self,
        level: Level,
        now: WallTime,
        structured: &[u8],
        dates: &mut Dates,
        out: &mut Vec<u8>,
    ) {
        let severity = u16::from(level.number());
        match self.envelope {
            LogEnvelope::Rfc3164 | LogEnvelope::Local => {
                push_priority(out, self.facility + severity);
                dates.push_legacy(now, out);
                out.push(b' ');
            }
            LogEnvelope::Rfc5424 => {
                push_priority(out, self.facility + severity);
                out.extend_from_slice(b"1 ");
                dates.push_iso(now, out);
                out.push(b' ');
            }
            LogEnvelope::Priority => push_priority(out, self.facility + severity),
            LogEnvelope::Short => push_priority(out, severity),
            LogEnvelope::Timed => {
                push_priority(out, severity);
                dates.push_iso(now, out);
                out.push(b' ');
            }
            LogEnvelope::Iso => {
                dates.push_iso(now, out);
                out.push(b' ');
            }
            LogEnvelope::Raw => {}
        }
        out.extend_from_slice(&self.speaker);
        if self.envelope == LogEnvelope::Rfc5424 {
            let structured = structured.trim_ascii_end();
            out.extend_from_slice(if structured.is_empty() {
                b"-"
            } else {
                structured
            });
            out.push(b' ');
        }
    }
}

fn push_priority(out: &mut Vec<u8>, priority: u16) {
    out.push(b'<');
    push_number(out, priority);
    out.push(b'>');
}

fn speaker(envelope: LogEnvelope, identity: &Identity) -> Vec<u8> {
    let mut out = Vec::new();
    let tag = name(&identity.tag);
    match envelope {
        LogEnvelope::Rfc3164 | LogEnvelope::Local => {
            // RFC 3164 needs a host; the local form, which is HAProxy's default, never has one.
            if envelope == LogEnvelope::Rfc3164 {
                out.extend(name(identity.hostname.as_deref().unwrap_or("localhost")));
                out.push(b' ');
            }
            out.extend(tag);
            out.push(b'[');
            push_number(&mut out, identity.pid);
            out.extend_from_slice(b"]: ");
        }
        LogEnvelope::Rfc5424 => {
            let host = identity.hostname.as_deref().map(name);
            for word in [host.unwrap_or_default(), tag] {
                out.extend_from_slice(if word.is_empty() { b"-" } else { &word });
                out.push(b' ');
            }
            push_number(&mut out, identity.pid);
            // No message identifier.
            out.extend_from_slice(b" - ");
        }
        _ => {}
    }
    out
}

/// A name as one printable word of bounded length: a receiver splits headers at spaces.
fn name(name: &str) -> Vec<u8> {
    let bytes = name.bytes().take(NAME_BYTES_MAX);
    bytes
        .map(|byte| if byte.is_ascii_graphic() { byte } else { b'_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime {
        unix_s: 1_795_230_057,
        micros: 123_456,
    };

    fn header(envelope: LogEnvelope, hostname: Option<&str>) -> String {
        let identity = Identity {
            hostname: hostname.map(str::to_owned),
            tag: "lb".to_owned(),
            pid: 4_711,
        };
        let mut out = Vec::new();
        let header = Header::new(envelope, 16, &identity);
        header.write(Level::Info, NOW, &mut Dates::default(), &mut out);
        String::from_utf8(out).expect("headers are ASCII")
    }

    #[test]
    fn every_envelope() {
        let iso = "2026-11-21T03:00:57.123456+00:00";
        for (envelope, hostname, expected) in [
            (
                LogEnvelope::Rfc3164,
                Some("web1"),
                "<134>Nov 21 03:00:57 web1 lb[4711]: ".to_owned(),
            ),
            (
                LogEnvelope::Rfc3164,
                None,
                "<134>Nov 21 03:00:57 localhost lb[4711]: ".to_owned(),
            ),
            (
                LogEnvelope::Local,
                Some("web1"),
                "<134>Nov 21 03:00:57 lb[4711]: ".to_owned(),
            ),
            (
                LogEnvelope::Rfc5424,
                Some("web1"),
                format!("<134>1 {iso} web1 lb 4711 - - "),
            ),
            (
                LogEnvelope::Rfc5424,
                None,
                format!("<134>1 {iso} - lb 4711 - - "),
            ),
            (LogEnvelope::Priority, None, "<134>".to_owned()),
            (LogEnvelope::Short, None, "<6>".to_owned()),
            (LogEnvelope::Timed, None, format!("<6>{iso} ")),
            (LogEnvelope::Iso, None, format!("{iso} ")),
            (LogEnvelope::Raw, None, String::new()),
        ] {
            assert_eq!(header(envelope, hostname), expected, "{envelope:?}");
        }
    }

    #[test]
    fn names_stay_one_word() {
        assert_eq!(
            header(LogEnvelope::Rfc3164, Some("my host\n")),
            "<134>Nov 21 03:00:57 my_host_ lb[4711]: "
        );
    }
}
