//! Requests that come before the end of the handshake (0-RTT): what of them is served when, and that nothing is served twice.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::rig::frames::frame;
use crate::rig::origin::Origin;
use crate::rig::{DEADLINE, Rig, free_address, pem};

/// What the server is told of each request.
const TOLD: &str = "http-request wait-for-handshake if { path_beg /wait }\n    \
    http-request set-header x-early %[ssl_fc_early_rcvd]/%[ssl_fc_has_early]";

/// A client that remembers sessions.
struct Guest {
    config: Arc<ClientConfig>,
}

impl Guest {
    /// With a certificate for `localhost` that it believes in, in the rig's file `site.pem`.
    fn new(rig: &Rig, protocols: &[&str]) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
        let text = pem("CERTIFICATE", made.cert.der())
            + &pem("PRIVATE KEY", &made.signing_key.serialize_der());
        rig.file("site.pem", &text);
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        let mut config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.enable_early_data = true;
        config.resumption = Resumption::in_memory_sessions(8);
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        Self {
            config: Arc::new(config),
        }
    }

    /// The first words of a connection, with as much of `early` as may come early.
    fn begin(&self, early: &[u8]) -> (ClientConnection, Vec<u8>) {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name).expect("begun");
        if let Some(mut data) = connection.early_data() {
            data.write_all(early).expect("room");
        }
        let mut flight = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut flight).expect("memory");
        }
        (connection, flight)
    }

    /// Asks for a path behind the handshake, and stays until the server closes; also what allows to come back.
    fn visit(&self, address: SocketAddr, path: &str) -> String {
        let (connection, flight) = self.begin(b"");
        Call::new(address, connection, &flight).ask(path)
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// A connection that has sent its first words.
struct Call {
    connection: ClientConnection,
    stream: TcpStream,
}

impl Call {
    fn new(address: SocketAddr, connection: ClientConnection, flight: &[u8]) -> Self {
        let mut stream = connect(address);
        stream.write_all(flight).expect("sent");
        Self { connection, stream }
    }

    fn ask(mut self, path: &str) -> String {
        self.say(get(path).as_bytes());
        self.read().1
    }

    /// Ends the handshake and says something behind it.
    fn say(&mut self, bytes: &[u8]) {
        let mut stream = rustls::Stream::new(&mut self.connection, &mut self.stream);
        stream.write_all(bytes).expect("sent");
    }

    /// Ends the handshake and reads so many bytes.
    fn hear<const BYTES: usize>(&mut self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let mut stream = rustls::Stream::new(&mut self.connection, &mut self.stream);
        stream.read_exact(&mut bytes).expect("so much");
        bytes
    }

    /// Ends the handshake and reads to the end; whether what came early was taken, and the answer.
    fn read(mut self) -> (bool, String) {
        let mut answer = Vec::new();
        rustls::Stream::new(&mut self.connection, &mut self.stream)
            .read_to_end(&mut answer)
            .expect("an answer with a proper end");
        let taken = self.connection.is_early_data_accepted();
        (taken, String::from_utf8_lossy(&answer).into_owned())
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    stream
}

fn text(bind: &str, origin: &Origin) -> String {
    format!(
        "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         frontend web\n    bind {{listen}} {bind}\n    {TOLD}\n    default_backend app\n\
         backend app\n    {}\n",
        origin.server_line()
    )
}

/// A site with its server, and a client that believes in it.
struct Site {
    origin: Origin,
    guest: Guest,
    address: SocketAddr,
    _rig: Rig,
}

impl Site {
    /// `SITE` in the words of the bind is the certificate; the client offers these protocols.
    fn new(bind: &str, protocols: &[&str]) -> Self {
        Self::with(bind, protocols, |text| text)
    }

    /// The same with a changed configuration.
    fn with(bind: &str, protocols: &[&str], change: impl Fn(String) -> String) -> Self {
        let mut rig = Rig::new();
        let origin = rig.origin("a");
        let guest = Guest::new(&rig, protocols);
        let certificate = rig.path("site.pem").display().to_string();
        let text = text(&bind.replace("SITE", &certificate), &origin);
        let address = rig.config(&change(text));
        Self {
            origin,
            guest,
            address,
            _rig: rig,
        }
    }

    /// What the server was told: of each request the path, what samples said of early data, and `Early-Data`.
    fn assert_told(&self, expected: &[&str]) {
        let told = self.origin.requests();
        let told = told.iter().map(|request| {
            let path = request.line.split(' ').nth(1).unwrap_or_default();
            let field = |name| request.field(name).unwrap_or("-");
            format!("{path} {} {}", field("x-early"), field("early-data"))
        });
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn requests_are_served_before_the_handshake_ends_and_never_twice() {
    let site = Site::new("ssl crt SITE allow-0rtt", &[]);
    let (guest, address) = (&site.guest, site.address);
    assert!(guest.visit(address, "/first").starts_with("HTTP/1.1 200"));
    let (connection, flight) = guest.begin(get("/early").as_bytes());
    let call = Call::new(address, connection, &flight);
    // The client has said nothing more so far.
    site.origin.wait_for_requests(2);
    // Somebody who has recorded its words says them again. The server's part of a handshake is all there is.
    let mut replay = connect(address);
    replay.write_all(&flight).expect("sent");
    assert_eq!(replay.read(&mut [0; 1]).expect("a server hello"), 1);
    let (taken, answer) = call.read();
    assert!(taken && answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(guest.visit(address, "/after").starts_with("HTTP/1.1 200"));
    site.assert_told(&["/first 0/0 -", "/early 1/1 1", "/after 0/0 -"]);
}

#[test]
fn rules_wait_for_the_handshake() {
    let site = Site::new("ssl crt SITE allow-0rtt", &[]);
    let (guest, address) = (&site.guest, site.address);
    guest.visit(address, "/first");
    let (connection, flight) = guest.begin(get("/wait").as_bytes());
    let call = Call::new(address, connection, &flight);
    guest.visit(address, "/between");
    let (taken, answer) = call.read();
    assert!(taken && answer.starts_with("HTTP/1.1 200"), "{answer}");
    site.assert_told(&["/first 0/0 -", "/between 0/0 -", "/wait 1/0 -"]);
}

/// The first words of HTTP/2, and a request for each path.
fn frames(paths: &[&str]) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, b""));
    for (index, path) in paths.iter().enumerate() {
        let mut block = b"\x82\x86\x41\x01a\x04".to_vec();
        block.push(u8::try_from(path.len()).expect("a short path"));
        block.extend(path.as_bytes());
        let stream = u32::try_from(2 * index + 1).expect("few paths");
        bytes.extend(frame(1, 5, stream, &block));
    }
    bytes
}

#[test]
fn streams_wait_each_on_its_own() {
    let site = Site::new("ssl crt SITE alpn h2 allow-0rtt", &["h2"]);
    let (guest, address) = (&site.guest, site.address);
    let (connection, flight) = guest.begin(b"");
    let mut first = Call::new(address, connection, &flight);
    first.say(&frames(&["/first"]));
    first.hear::<9>();
    site.origin.wait_for_requests(1);
    let (connection, flight) = guest.begin(&frames(&["/wait", "/early"]));
    let mut call = Call::new(address, connection, &flight);
    site.origin.wait_for_requests(2);
    call.hear::<9>();
    assert!(call.connection.is_early_data_accepted());
    site.origin.wait_for_requests(3);
    site.assert_told(&["/first 0/0 -", "/early 1/1 1", "/wait 1/0 -"]);
}

/// A handshake that can no longer end is not waited for, whatever time there is.
#[test]
fn streams_do_not_wait_for_clients_that_have_left() {
    let bind = "ssl crt SITE alpn h2 allow-0rtt";
    let site = Site::with(bind, &["h2"], |text| text.replace(" 1m", " 1h"));
    let (guest, address) = (&site.guest, site.address);
    let (connection, flight) = guest.begin(b"");
    let mut first = Call::new(address, connection, &flight);
    first.say(&frames(&["/first"]));
    first.hear::<9>();
    let (_, flight) = guest.begin(&frames(&["/wait"]));
    let mut stream = connect(address);
    stream.write_all(&flight).expect("sent");
    stream.shutdown(Shutdown::Write).expect("shut");
    stream.read_to_end(&mut Vec::new()).expect("the end");
    site.origin.wait_for_requests(1);
    site.assert_told(&["/first 0/0 -"]);
}

/// What another listener remembers is nothing here: the client sends its request once more behind the handshake.
#[test]
fn sessions_of_others_are_good_for_nothing_early() {
    let bind = "ssl crt SITE allow-0rtt";
    let other = free_address();
    let site = Site::new(&format!("{bind}\n    bind {other} {bind}"), &[]);
    site.guest.visit(site.address, "/first");
    let (connection, flight) = site.guest.begin(get("/early").as_bytes());
    let mut call = Call::new(other, connection, &flight);
    call.say(get("/again").as_bytes());
    let (taken, answer) = call.read();
    assert!(!taken && answer.starts_with("HTTP/1.1 200"), "{answer}");
    site.assert_told(&["/first 0/0 -", "/again 0/0 -"]);
}

/// Where it is not safe nobody is told that anything may come early.
#[test]
fn nothing_is_taken_early_where_that_is_not_safe() {
    for (bind, in_tcp_mode) in [
        ("ssl crt SITE", false),
        (
            "ssl crt SITE allow-0rtt verify optional ca-file SITE",
            false,
        ),
        ("ssl crt SITE allow-0rtt", true),
    ] {
        let site = Site::with(bind, &[], |text| match in_tcp_mode {
            true => text.replace("mode http", "mode tcp").replace(TOLD, ""),
            false => text,
        });
        let (connection, flight) = site.guest.begin(b"");
        let mut first = Call::new(site.address, connection, &flight);
        first.say(get("/first").as_bytes());
        assert_eq!(&first.hear::<12>(), b"HTTP/1.1 200");
        let (mut connection, _) = site.guest.begin(b"");
        assert!(connection.early_data().is_none(), "{bind}");
    }
}
