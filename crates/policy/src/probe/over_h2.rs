//! HTTP checks over HTTP/2: requests written for HTTP/1 become streams, and what servers answer reads as HTTP/1 again.
//!
//! Steps of checks are about requests and responses, whatever carries them; so scripts know one form alone. What is
//! absent: more than one request on a connection, which no script makes.

use plimsoll_wire::h1::{Limits, Parse, request};
use plimsoll_wire::h2::{Config, Connection, Key, Read, Role};
use plimsoll_wire::head::Head;

/// A connection that speaks HTTP/2.
#[derive(Debug)]
pub(super) struct Carrier {
    machine: Connection<()>,
    stream: Option<Key>,
}

impl Carrier {
    pub(super) fn new() -> Self {
        Self {
            machine: Connection::new(Role::Client, Config::default()),
            stream: None,
        }
    }

    /// Takes a request as HTTP/1 has it, body and all; says whether it can be asked.
    pub(super) fn ask(&mut self, text: &[u8]) -> bool {
        let mut head = Head::default();
        let Ok(Parse::Complete(bytes)) = request::parse(text, &mut head, &Limits::default()) else {
            return false;
        };
        let body = &text[bytes..];
        self.stream = self.machine.open(&head, b"http", body.is_empty());
        match self.stream {
            Some(key) if !body.is_empty() => {
                // The first window of every stream has room for what a step may say.
                self.machine.send_data(key, body, true);
                true
            }
            opened => opened.is_some(),
        }
    }

    /// Takes in bytes of the server and appends what they answer; whether that was the end.
    pub(super) fn hear(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> bool {
        // Clocks are for budgets over time, and a check is short.
        if self.machine.receive(bytes, 0, &mut Head::default).is_err() {
            return true;
        }
        while self.machine.next_event().is_some() {}
        let Some(key) = self.stream else {
            return false;
        };
        while let Some(head) = self.machine.take_head(key) {
            // Interim heads are followed by others.
            if head.status >= 200 {
                write_head(&head, answer);
            }
        }
        let mut chunk = [0; 1024];
        loop {
            match self.machine.read(key, &mut chunk) {
                Read::Data { bytes, end } => {
                    answer.extend_from_slice(&chunk[..bytes]);
                    if end || bytes == 0 {
                        return end;
                    }
                }
                Read::Pending => return false,
                Read::Reset(_) => return true,
            }
        }
    }

    /// Moves what is to be sent to `say`.
    pub(super) fn send(&mut self, say: &mut Vec<u8>) {
        say.append(self.machine.output());
        self.machine.output_taken();
    }
}

/// The head of a response whose body goes on to the end of the connection, unless it says how long it is.
fn write_head(head: &Head, answer: &mut Vec<u8>) {
    let line = format!("HTTP/1.1 {} \r\n", head.status);
    answer.extend_from_slice(line.as_bytes());
    for (name, value) in head.fields() {
        answer.extend_from_slice(name);
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use plimsoll_wire::h1::response::{self, Asked};
    use plimsoll_wire::h2::Event;

    use super::*;

    /// A server of one request: what it was asked, with the body, and what it sends.
    fn serve(asked: &[u8], text: &[u8], body: &[u8]) -> (Head, Vec<u8>, Vec<u8>) {
        let mut server = Connection::<()>::new(Role::Server, Config::default());
        server
            .receive(asked, 0, &mut Head::default)
            .expect("a good client");
        let Some(Event::Request(key)) = server.next_event() else {
            panic!("a request is expected");
        };
        let request = server.take_head(key).expect("its head");
        let mut said = vec![0; 64];
        if let Read::Data { bytes, .. } = server.read(key, &mut said) {
            said.truncate(bytes);
        }
        let mut head = Head::default();
        response::parse(text, &mut head, &Limits::default(), Asked::by(&request))
            .expect("a good response");
        server.send_head(key, &head, body.is_empty());
        server.send_data(key, body, true);
        (request, said, std::mem::take(server.output()))
    }

    #[test]
    fn requests_become_streams_and_answers_read_as_http1() {
        let mut carrier = Carrier::new();
        let mut say = Vec::new();
        assert!(carrier.ask(
            b"PUT /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
        ));
        carrier.send(&mut say);
        let text = b"HTTP/1.1 404 Gone\r\nServer: s\r\nContent-Length: 4\r\n\r\n";
        let (request, said, answered) = serve(&say, text, b"none");
        assert_eq!(
            (request.method(), request.target()),
            (&b"PUT"[..], &b"/x"[..])
        );
        assert_eq!(request.value(b"connection"), None);
        assert_eq!(said, b"hi");
        let (mut heard, mut ended) = (Vec::new(), false);
        // Byte by byte, as a slow network has it.
        for byte in answered.chunks(1) {
            assert!(!ended, "nothing follows the end");
            ended = carrier.hear(byte, &mut heard);
        }
        assert!(ended);
        let heard = String::from_utf8(heard).expect("a text");
        assert_eq!(
            heard.to_lowercase(),
            "http/1.1 404 \r\nserver: s\r\ncontent-length: 4\r\n\r\nnone"
        );
    }

    #[test]
    fn what_is_no_request_is_not_asked_and_what_is_no_answer_ends_it() {
        let mut carrier = Carrier::new();
        assert!(!carrier.ask(b"GET / HTTP/1.1\r\n"));
        assert!(carrier.ask(b"GET / HTTP/1.1\r\n\r\n"));
        assert!(carrier.hear(b"HTTP/1.1 400 Bad request\r\n\r\n", &mut Vec::new()));
    }
}
