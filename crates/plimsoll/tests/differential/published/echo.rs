//! An origin that answers with what it was asked, under as many addresses as there are servers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

/// Longest body that is read, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Starts it on all of loopback; its port. The address that a connection came to tells which server was chosen.
pub(super) fn start() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    port
}

fn serve(mut stream: TcpStream) {
    let (Ok(copy), Ok(own)) = (stream.try_clone(), stream.local_addr()) else {
        return;
    };
    let mut reader = BufReader::new(copy);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        let (mut is_head, mut closes) = (false, false);
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) => {}
            }
            is_head |= head.is_empty() && line.starts_with("HEAD ");
            match line.to_ascii_lowercase().trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap_or(0),
                Some(("connection", "close")) => closes = true,
                _ => {}
            }
            head += &line;
        }
        let mut body = vec![0; length.min(BODY_BYTES_MAX)];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let echo = format!("{}\n{head}{}", own.ip(), String::from_utf8_lossy(&body));
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nServer: echo\r\nContent-Length: {}\r\n\r\n",
            echo.len()
        );
        if !is_head {
            answer += &echo;
        }
        // Through a tunnel the client's own wish comes here.
        if stream.write_all(answer.as_bytes()).is_err() || closes {
            return;
        }
    }
}
