//! Numbers, addresses and text of strangers, appended to a line without allocating.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Which bytes are written as `#` and two hexadecimal digits.
pub(crate) struct Escapes([bool; 256]);

impl Escapes {
    /// Whether this byte is to be written in digits.
    pub(crate) fn covers(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    const fn and(mut self, more: &[u8]) -> Self {
        let mut index = 0;
        while index < more.len() {
            self.0[more[index] as usize] = true;
            index += 1;
        }
        self
    }

    const fn unprintable() -> Self {
        let mut map = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            map[byte] = byte < 32 || byte > 126;
            byte += 1;
        }
        Self(map)
    }
}

/// For text that stands alone: names, cookies.
pub(crate) static PLAIN: Escapes = Escapes::unprintable();
/// For text between quotation marks, such as the request line.
pub(crate) static QUOTED: Escapes = Escapes::unprintable().and(b"\"#");
/// For captured header fields, which stand between braces and bars.
pub(crate) static CAPTURED: Escapes = Escapes::unprintable().and(b"\"#{|}");

/// Appends `text`; bytes in `escapes` become `#XX`.
pub(crate) fn push_escaped(out: &mut Vec<u8>, text: &[u8], escapes: &Escapes) {
    let mut rest = text;
    while let Some(index) = rest.iter().position(|&byte| escapes.0[usize::from(byte)]) {
        out.extend_from_slice(&rest[..index]);
        push_hex(out, rest[index]);
        rest = &rest[index + 1..];
    }
    out.extend_from_slice(rest);
}

/// `#` and two digits.
pub(crate) fn push_hex(out: &mut Vec<u8>, byte: u8) {
    let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    out.extend_from_slice(&[b'#', digits[0], digits[1]]);
}

/// Appends a number in decimal digits.
pub(crate) fn push_number(out: &mut Vec<u8>, number: impl Into<u64>) {
    let mut number = number.into();
    if number < 10 {
        out.push(b'0' + number as u8);
        return;
    }
    let mut digits = [0; 20];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends a number that may be missing, which is written as `-1`.
pub(crate) fn push_optional(out: &mut Vec<u8>, number: Option<impl Into<u64>>) {
    match number {
        Some(number) => push_number(out, number),
        None => out.extend_from_slice(b"-1"),
    }
}

/// Writes the last `place.len()` digits of `number`, with leading zeros.
pub(crate) fn put_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Appends an IP address, IPv6 in the form of RFC 5952.
pub(crate) fn push_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => push_ipv4(out, ip),
        // Writing to a vector cannot fail.
        IpAddr::V6(ip) => drop(write!(out, "{ip}")),
    }
}

fn push_ipv4(out: &mut Vec<u8>, ip: Ipv4Addr) {
    let [a, b, c, d] = ip.octets();
    push_number(out, a);
    for octet in [b, c, d] {
        out.push(b'.');
        push_number(out, octet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("only ASCII is written")
    }

    #[test]
    fn escapes() {
        let cases: [(&[u8], &Escapes, &str); 6] = [
            (b"GET /a?b=c HTTP/1.1", &QUOTED, "GET /a?b=c HTTP/1.1"),
            (b"/\"quoted\"#part", &QUOTED, "/#22quoted#22#23part"),
            (b"\x00\x1f\x7f\xff", &QUOTED, "#00#1F#7F#FF"),
            (b"{a|b}", &QUOTED, "{a|b}"),
            (b"{a|b}", &CAPTURED, "#7Ba#7Cb#7D"),
            (b"a=\"#\"\n", &PLAIN, "a=\"#\"#0A"),
        ];
        for (text, escapes, expected) in cases {
            assert_eq!(written(|out| push_escaped(out, text, escapes)), expected);
        }
    }

    #[test]
    fn missing_numbers() {
        assert_eq!(written(|out| push_optional(out, None::<u32>)), "-1");
        assert_eq!(written(|out| push_optional(out, Some(70_u32))), "70");
    }

    proptest! {
        #[test]
        fn numbers_are_as_std_writes_them(number: u64) {
            prop_assert_eq!(written(|out| push_number(out, number)), number.to_string());
        }

        #[test]
        fn addresses_are_as_std_writes_them(v4: Ipv4Addr, v6: std::net::Ipv6Addr) {
            prop_assert_eq!(written(|out| push_ip(out, v4.into())), v4.to_string());
            prop_assert_eq!(written(|out| push_ip(out, v6.into())), v6.to_string());
        }
    }
}
