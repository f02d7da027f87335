//! Frames (RFC 9113 sections 4 and 6): their heads, and the small ones written whole.

use super::error::Code;

/// What a client sends first (section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's head.
pub const HEAD_BYTES: usize = 9;

/// The frame size that needs no agreement (section 4.2).
pub const FRAME_BYTES_DEFAULT: usize = 16_384;

/// The largest frame size that can be agreed on.
pub const FRAME_BYTES_MAX: usize = (1 << 24) - 1;

/// The largest stream identifier, and the largest window.
pub const NUMBER_MAX: u32 = (1 << 31) - 1;

/// Frame types (section 6).
pub mod kind {
    pub const DATA: u8 = 0x0;
    pub const HEADERS: u8 = 0x1;
    pub const PRIORITY: u8 = 0x2;
    pub const RST_STREAM: u8 = 0x3;
    pub const SETTINGS: u8 = 0x4;
    pub const PUSH_PROMISE: u8 = 0x5;
    pub const PING: u8 = 0x6;
    pub const GOAWAY: u8 = 0x7;
    pub const WINDOW_UPDATE: u8 = 0x8;
    pub const CONTINUATION: u8 = 0x9;
}

/// Frame flags. Which one a bit is depends on the type.
pub mod flag {
    pub const END_STREAM: u8 = 0x1;
    pub const ACK: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// Settings (section 6.5.2, and RFC 8441 section 3).
pub mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 0x1;
    pub const ENABLE_PUSH: u16 = 0x2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub const MAX_FRAME_SIZE: u16 = 0x5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 0x6;
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
}

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl FrameHead {
    /// Reads the head at the start of `bytes`, if all of it is there. The reserved bit is ignored.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, e, f, g, h] = bytes.first_chunk::<HEAD_BYTES>()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes([e, f, g, h]) & NUMBER_MAX,
        })
    }

    /// Appends the head to `out`.
    pub fn write(self, out: &mut Vec<u8>) {
        let [_, a, b, c] = (self.length as u32).to_be_bytes();
        let [e, f, g, h] = self.stream.to_be_bytes();
        out.extend_from_slice(&[a, b, c, self.kind, self.flags, e, f, g, h]);
    }

    /// Whether a flag is set.
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends `SETTINGS`.
pub fn settings(pairs: &[(u16, u32)], out: &mut Vec<u8>) {
    small(kind::SETTINGS, 0, 0, 6 * pairs.len(), out);
    for (setting, value) in pairs {
        out.extend_from_slice(&setting.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends the acknowledgement of `SETTINGS`.
pub fn settings_ack(out: &mut Vec<u8>) {
    small(kind::SETTINGS, flag::ACK, 0, 0, out);
}

/// Appends `PING`, or the answer to one.
pub fn ping(ack: bool, payload: [u8; 8], out: &mut Vec<u8>) {
    small(kind::PING, u8::from(ack) * flag::ACK, 0, 8, out);
    out.extend_from_slice(&payload);
}

/// Appends `WINDOW_UPDATE`; stream 0 is the connection.
pub fn window_update(stream: u32, increment: u32, out: &mut Vec<u8>) {
    small(kind::WINDOW_UPDATE, 0, stream, 4, out);
    out.extend_from_slice(&increment.to_be_bytes());
}

/// Appends `RST_STREAM`.
pub fn reset(stream: u32, code: Code, out: &mut Vec<u8>) {
    small(kind::RST_STREAM, 0, stream, 4, out);
    out.extend_from_slice(&code.0.to_be_bytes());
}

/// Appends `GOAWAY`.
pub fn go_away(last: u32, code: Code, out: &mut Vec<u8>) {
    small(kind::GOAWAY, 0, 0, 8, out);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
}

fn small(kind: u8, flags: u8, stream: u32, length: usize, out: &mut Vec<u8>) {
    FrameHead {
        length,
        kind,
        flags,
        stream,
    }
    .write(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back() {
        let head = FrameHead {
            length: 0x01_0203,
            kind: kind::DATA,
            flags: flag::END_STREAM | flag::PADDED,
            stream: 0x7fff_fffe,
        };
        let mut out = Vec::new();
        head.write(&mut out);
        assert_eq!(FrameHead::read(&out), Some(head));
        assert_eq!(FrameHead::read(&out[..8]), None);
        assert!(head.has(flag::PADDED) && !head.has(flag::END_HEADERS));
        out[5] |= 0x80;
        assert_eq!(FrameHead::read(&out), Some(head));
    }

    #[test]
    fn small_frames_are_laid_out_as_the_rfc_has_them() {
        let mut out = Vec::new();
        settings(&[(setting::MAX_FRAME_SIZE, 16_384)], &mut out);
        settings_ack(&mut out);
        ping(true, *b"12345678", &mut out);
        window_update(3, 5, &mut out);
        reset(1, Code::CANCEL, &mut out);
        go_away(7, Code::ENHANCE_YOUR_CALM, &mut out);
        let expected: &[&[u8]] = &[
            b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0",
            b"\0\0\0\x04\x01\0\0\0\0",
            b"\0\0\x08\x06\x01\0\0\0\x0012345678",
            b"\0\0\x04\x08\0\0\0\0\x03\0\0\0\x05",
            b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
            b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x07\0\0\0\x0b",
        ];
        assert_eq!(out, expected.concat());
    }
}
