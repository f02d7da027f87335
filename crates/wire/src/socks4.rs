//! SOCKS version 4: asking a proxy for a connection. Addresses of IPv4 alone; what is absent: names (4A) and `BIND`.

use std::net::SocketAddrV4;

/// Length of an answer.
pub const ANSWER_BYTES: usize = 8;

const VERSION: u8 = 4;
const CONNECT: u8 = 1;
const GRANTED: u8 = 0x5a;

/// Who asks, as HAProxy says it: proxies may know it by this name.
const USER: &[u8] = b"HAProxy\0";

/// The request for a connection to this place.
pub fn request(destination: SocketAddrV4) -> Vec<u8> {
    let mut request = vec![VERSION, CONNECT];
    request.extend_from_slice(&destination.port().to_be_bytes());
    request.extend_from_slice(&destination.ip().octets());
    request.extend_from_slice(USER);
    request
}

/// Whether an answer grants the connection.
pub fn is_granted(answer: &[u8; ANSWER_BYTES]) -> bool {
    answer[0] == 0 && answer[1] == GRANTED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers() {
        let place: SocketAddrV4 = "10.1.2.3:8080".parse().expect("an address");
        assert_eq!(
            request(place),
            *b"\x04\x01\x1f\x90\x0a\x01\x02\x03HAProxy\0"
        );
        assert!(is_granted(b"\0\x5a\0\0\0\0\0\0"));
        assert!(!is_granted(b"\0\x5b\0\0\0\0\0\0"));
        assert!(!is_granted(b"\x04\x5a\0\0\0\0\0\0"));
    }
}
