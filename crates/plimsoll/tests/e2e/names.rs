//! Names that are resolved while the process runs: servers move with them, leave with them, and come back.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::rig::client::{Client, Response};
use crate::rig::names::{NameServer, V4, address};
use crate::rig::origin::Origin;
use crate::rig::{Rig, ask, free_address, until};

const SERVICES: u16 = 33;

/// The data of a service record that leads to an origin on this machine.
fn service(origin: &Origin, weight: u16) -> Vec<u8> {
    let mut data = vec![0, 1];
    data.extend(weight.to_be_bytes());
    data.extend(port_of(origin).to_be_bytes());
    data.extend(b"\x04host\x04test\0");
    data
}

fn port_of(origin: &Origin) -> u16 {
    let line = origin.server_line();
    let (_, port) = line.rsplit_once(':').expect("an address");
    port.trim().parse().expect("a port")
}

/// A balancer whose backend has this line, and asks that name server.
fn balancer(server: &NameServer, line: &str) -> (Rig, PathBuf) {
    let mut rig = Rig::new();
    let socket = rig.path("admin.sock");
    let text = format!(
        "global\n    nbthread 1\n    stats socket {} level admin\n\
         resolvers lab\n    nameserver one {}\n    timeout resolve 20ms\n    timeout retry 20s\n    hold nx 0s\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         frontend web\n    bind {{listen}}\n    default_backend app\n\
         backend app\n    balance roundrobin\n    {line}\n",
        socket.display(),
        server.address
    );
    rig.config_with(&text, &["-db"]);
    (rig, socket)
}

/// The address and the port of each server of the backend.
fn places(socket: &Path) -> Vec<String> {
    let table = ask(socket, "show servers state app");
    let rows = table.lines().skip(2).filter(|line| !line.is_empty());
    let place = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        format!("{}:{}", words[4], words[18])
    };
    rows.map(place).collect()
}

#[test]
fn a_server_lives_and_dies_with_its_name() {
    let server = NameServer::start(false);
    let rig = Rig::new();
    let origin = rig.origin("a");
    let port = port_of(&origin);
    let line = format!("server s app.test:{port} resolvers lab resolve-prefer ipv4 init-addr none");
    let (balancer, socket) = balancer(&server, &line);
    assert_eq!(balancer.get("/").status, 503);
    assert!(ask(&socket, "show stat app 4 -1").contains(",MAINT (resolution),"));
    server.say("app.test", V4, vec![address("127.0.0.1")]);
    assert!(until(|| balancer.get("/").status == 200));
    server.say("app.test", V4, vec![address("127.0.0.2")]);
    let moved = format!("127.0.0.2:{port}");
    assert!(until(|| places(&socket) == [moved.as_str()]));
    server.forget();
    assert!(until(
        || ask(&socket, "show stat app 4 -1").contains(",MAINT (resolution),")
    ));
    assert_eq!(balancer.get("/").status, 503);
    server.say("app.test", V4, vec![address("127.0.0.1")]);
    assert!(until(|| balancer.get("/").text() == "a"));
}

/// The number behind a name in `show resolvers`.
fn said(socket: &Path, name: &str) -> u64 {
    let table = ask(socket, "show resolvers lab");
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("Resolvers section lab"), "{table}");
    assert_eq!(lines.next(), Some(" nameserver one:"), "{table}");
    let value = lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    value.expect("a line").trim().parse().expect("a number")
}

#[test]
fn what_name_servers_say_is_counted_and_a_command_gives_another_name() {
    let server = NameServer::start(false);
    let line = "server s 127.0.0.1:80 resolvers lab resolve-prefer ipv4";
    let (_balancer, socket) = balancer(&server, line);
    assert_eq!(said(&socket, "sent"), 0, "nobody follows a name yet");
    let answer = ask(&socket, "set server app/s fqdn app.test");
    let news = "app/s changed its FQDN from (null) to app.test by 'stats socket command'\n\n";
    assert_eq!(answer, news);
    assert!(until(|| said(&socket, "nx") > 0));
    server.say("app.test", V4, vec![address("127.0.0.2")]);
    assert!(until(|| places(&socket) == ["127.0.0.2:80"]));
    assert!(ask(&socket, "show servers state app").contains(" app.test 80 "));
    assert!(until(|| said(&socket, "update") == 1));
    assert!(said(&socket, "valid") > 0 && said(&socket, "sent") > said(&socket, "nx"));
    ask(&socket, "clear counters");
    assert_eq!(said(&socket, "update"), 1, "these are maxima alone");
    ask(&socket, "clear counters all");
    assert_eq!(said(&socket, "update"), 0);
    let unknown = ask(&socket, "show resolvers bal");
    assert_eq!(unknown, "Can't find that resolvers section\n\n");
}

#[test]
fn a_template_takes_as_many_addresses_as_there_are() {
    let server = NameServer::start(true);
    server.say(
        "app.test",
        V4,
        vec![address("127.0.0.3"), address("127.0.0.4")],
    );
    let line = "server-template s 3 app.test:80 resolvers lab resolve-prefer ipv4 init-addr none";
    let (_balancer, socket) = balancer(&server, line);
    assert!(until(
        || places(&socket) == ["127.0.0.3:80", "127.0.0.4:80", "-:80"]
    ));
    // Whoever is still named stays, whatever the order.
    server.say(
        "app.test",
        V4,
        vec![address("127.0.0.5"), address("127.0.0.4")],
    );
    assert!(until(
        || places(&socket) == ["127.0.0.5:80", "127.0.0.4:80", "-:80"]
    ));
}

#[test]
fn services_bring_ports_and_weights() {
    let server = NameServer::start(false);
    let rig = Rig::new();
    let (a, b) = (rig.origin("a"), rig.origin("b"));
    server.say("host.test", V4, vec![address("127.0.0.1")]);
    server.say(
        "_web._tcp.test",
        SERVICES,
        vec![service(&a, 0), service(&b, 767)],
    );
    let line = "server-template s 3 _web._tcp.test resolvers lab resolve-prefer ipv4";
    let (balancer, socket) = balancer(&server, line);
    let weights = || ask(&socket, "get weight app/s1; get weight app/s2");
    assert!(until(
        || weights().contains("1 (initial 1)") && weights().contains("3 (initial 1)")
    ));
    let answers: Vec<_> = (0..8).map(|_| balancer.get("/").text()).collect();
    let of_a = answers.iter().filter(|text| *text == "a").count();
    assert_eq!((of_a, answers.len()), (2, 8), "{answers:?}");
    server.say("_web._tcp.test", SERVICES, vec![service(&b, 767)]);
    assert!(until(|| ask(&socket, "show stat app 4 -1")
        .contains(",s1,")
        && (0..4).all(|_| balancer.get("/").text() == "b")));
}

/// A balancer whose rules ask for the name in `X-Host`, and whose server is wherever the client is taken to want to go.
fn asking(server: &NameServer, origin: &Origin) -> (Rig, SocketAddr) {
    let mut rig = Rig::new();
    let stream = free_address();
    let text = format!(
        "resolvers lab\n    nameserver one {}\n    resolve_retries 1\n    timeout retry 20s\n    hold valid 1m\n\
         defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         frontend web\n    bind {{listen}}\n    \
         http-request do-resolve(txn.ip,lab,ipv4) req.hdr(x-host)\n    \
         http-request return status 404 unless {{ var(txn.ip) -m found }}\n    \
         http-request set-dst var(txn.ip)\n    http-request set-dst-port req.hdr(x-port)\n    \
         default_backend anywhere\n\
         backend anywhere\n    http-reuse always\n    server clear 0.0.0.0\n\
         frontend stream\n    mode tcp\n    bind {stream}\n    tcp-request inspect-delay 1m\n    \
         tcp-request content do-resolve(txn.ip,lab,ipv4) req.hdr(x-host) if HTTP\n    \
         tcp-request content reject unless {{ var(txn.ip) -m found }}\n    \
         tcp-request content set-dst var(txn.ip)\n    default_backend there\n\
         backend there\n    mode tcp\n    server s 0.0.0.0:{}\n",
        server.address,
        port_of(origin),
    );
    rig.config_with(&text, &["-db"]);
    (rig, stream)
}

fn ask_for(client: &mut Client, host: &str, origin: &Origin) -> Response {
    let port = port_of(origin);
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: rig\r\nX-Host: {host}\r\nX-Port: {port}\r\n\r\n"
    ));
    client.response()
}

#[test]
fn rules_find_servers_by_the_names_that_requests_bring() {
    let server = NameServer::start(false);
    server.say("a.test", V4, vec![address("127.0.0.1")]);
    let rig = Rig::new();
    let (a, b) = (rig.origin("a"), rig.origin("b"));
    let (balancer, stream) = asking(&server, &a);
    let mut client = balancer.client();
    // Idle connections lead to where their clients wanted to go, and serve nobody else.
    for origin in [&a, &b, &a, &b] {
        let expected = if std::ptr::eq(origin, &a) { "a" } else { "b" };
        assert_eq!(ask_for(&mut client, "A.test", origin).text(), expected);
    }
    assert_eq!((a.connections(), b.connections()), (1, 1));
    assert_eq!(ask_for(&mut client, "nobody.test", &a).status, 404);
    assert_eq!(ask_for(&mut client, "", &a).status, 404);
    // What was answered is used again, and what was not is asked for anew.
    server.forget();
    server.say("nobody.test", V4, vec![address("127.0.0.1")]);
    assert_eq!(ask_for(&mut client, "a.test", &a).status, 200);
    assert_eq!(ask_for(&mut client, "nobody.test", &b).text(), "b");
    let mut client = Client::connect(stream);
    assert_eq!(ask_for(&mut client, "a.test", &a).text(), "a");
    let mut client = Client::connect(stream);
    client.send("GET / HTTP/1.1\r\nHost: rig\r\nX-Host: other.test\r\n\r\n");
    assert!(client.is_closed());
}
