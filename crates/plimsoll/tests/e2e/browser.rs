//! A browser before the real binary: a page, requests side by side, and a WebSocket.
//!
//! What is proved is what the origin recorded, not what the browser shows. The page does not finish loading before all
//! is done, because the origin keeps its picture back until then; so the browser waits, and nobody sleeps.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::rig::origin::{Reply, Request};
use crate::rig::peer::require_peer;
use crate::rig::{Binary, Rig, until};

/// How many requests the page makes side by side; the even ones have a body.
const REQUESTS: usize = 6;

/// How long those bodies are: longer than any buffer on the way.
const BODY_BYTES: usize = 200_000;

/// The page; the names of the two numbers above stand for them.
const PAGE: &str = r#"<!doctype html><title>page</title><img src="/picture"><script>
async function ask(number) {
    const options = number % 2 ? {} : { method: "POST", body: "x".repeat(BODY_BYTES) };
    const response = await fetch("/ask/" + number, options);
    return await response.text();
}
async function main() {
    const numbers = Array.from({ length: REQUESTS }, (_, index) => index + 1);
    const answers = await Promise.all(numbers.map(ask));
    const scheme = location.protocol === "https:" ? "wss://" : "ws://";
    const socket = new WebSocket(scheme + location.host + "/socket");
    socket.onopen = () => socket.send(answers.join());
    socket.onmessage = event => fetch("/heard", { method: "POST", body: event.data });
}
main();
</script>"#;

fn answer(request: &Request, heard: &AtomicBool) -> Reply {
    let path = request.line.split(' ').nth(1).unwrap_or_default();
    match path {
        "/" => page(),
        "/socket" => upgrade(request),
        "/heard" => {
            heard.store(true, Ordering::SeqCst);
            Reply::ok("")
        }
        "/picture" => {
            until(|| heard.load(Ordering::SeqCst));
            Reply::ok("")
        }
        _ => Reply::ok(&format!("{path}:{}", request.body.len())),
    }
}

fn page() -> Reply {
    let text = PAGE.replace("REQUESTS", &REQUESTS.to_string());
    html(&text.replace("BODY_BYTES", &BODY_BYTES.to_string()))
}

fn html(text: &str) -> Reply {
    let length = text.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n");
    Reply::Send((head + text).into_bytes())
}

/// Accepts a WebSocket (RFC 6455 section 4.2.2) that answers each message with itself.
fn upgrade(request: &Request) -> Reply {
    let key = request.field("sec-websocket-key").unwrap_or_default();
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept(key)
    );
    Reply::Switch(head.into_bytes(), echo)
}

fn accept(key: &str) -> String {
    base64(&sha1(
        format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes(),
    ))
}

/// Sends every text message back, and ends with the first frame of another kind (RFC 6455 section 5.2).
fn echo(reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> io::Result<()> {
    const FINAL_TEXT: u8 = 0x81;
    while reader.fill_buf()?.first() == Some(&FINAL_TEXT) {
        let mut head = [0; 2];
        reader.read_exact(&mut head)?;
        let length = match head[1] & 0x7f {
            126 => {
                let mut long = [0; 2];
                reader.read_exact(&mut long)?;
                usize::from(u16::from_be_bytes(long))
            }
            127 => return Err(io::ErrorKind::FileTooLarge.into()),
            short => usize::from(short),
        };
        let mut mask = [0; 4];
        reader.read_exact(&mut mask)?;
        let mut message = vec![0; length];
        reader.read_exact(&mut message)?;
        for (byte, key) in message.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        // A server's frames are not masked.
        let mut frame = vec![FINAL_TEXT];
        match u8::try_from(message.len()) {
            Ok(short @ 0..126) => frame.push(short),
            _ => {
                frame.push(126);
                frame.extend((message.len() as u16).to_be_bytes());
            }
        }
        frame.extend(message);
        writer.write_all(&frame)?;
    }
    Ok(())
}

/// SHA-1 (FIPS 180-4), which the handshake of WebSockets asks for.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut words: Vec<u32> = block
            .chunks(4)
            .map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
            .collect();
        for at in 16..80 {
            let word = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
            words.push(word.rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (round, word) in words.into_iter().enumerate() {
            let (mixed, constant) = match round {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let first = [mixed, e, constant, word]
                .into_iter()
                .fold(a.rotate_left(5), u32::wrapping_add);
            (a, b, c, d, e) = (first, a, b.rotate_left(30), c, d);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = group
            .iter()
            .chain([0; 3].iter())
            .take(3)
            .fold(0, |number, byte| number << 8 | usize::from(*byte));
        for place in 0..4 {
            let digit = DIGITS[number >> (18 - 6 * place) & 63] as char;
            text.push(if place > group.len() { '=' } else { digit });
        }
    }
    text
}

#[test]
fn the_handshake_of_the_standard() {
    assert_eq!(
        accept("dGhlIHNhbXBsZSBub25jZQ=="),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
}

/// Has a browser load a page, whoever has signed its certificate, and waits until it has told what it was to find out.
fn browse(rig: &Rig, chromium: &Path, url: &str, heard: &AtomicBool) {
    let mut command = Command::new(chromium);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--disable-quic", "--no-first-run", "--disable-sync"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args([
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--timeout=60000",
        ])
        .arg(format!("--user-data-dir={}", rig.path("profile").display()))
        .arg(format!("--screenshot={}", rig.path("page.png").display()))
        .args(["--ignore-certificate-errors", url])
        .env("HOME", rig.path("home"));
    let mut browser = Binary::start(command);
    let done = until(|| heard.load(Ordering::SeqCst) || !browser.is_running());
    assert!(done && heard.load(Ordering::SeqCst), "{}", browser.said());
    assert!(browser.wait().success(), "{}", browser.said());
    assert!(rig.path("page.png").is_file(), "{}", browser.said());
}

#[test]
fn a_browser_loads_a_page_and_talks_over_a_websocket() {
    let Some(chromium) = require_peer("chromium") else {
        return;
    };
    let mut rig = Rig::new();
    let heard = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&heard);
    let origin = rig.origin_with("a", move |request| answer(request, &told));
    let address = rig.config(&format!(
        "defaults\n    mode http\n    timeout connect 20s\n    timeout client 2m\n    timeout server 2m\n\
         listen web\n    bind {{listen}}\n    {}\n",
        origin.server_line()
    ));
    browse(&rig, &chromium, &format!("http://{address}/"), &heard);
    all_was_done(&origin.requests());
}

#[test]
fn a_browser_does_all_of_it_on_one_connection_of_http2_over_tls() {
    let Some(chromium) = require_peer("chromium") else {
        return;
    };
    let mut rig = Rig::new();
    let heard = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&heard);
    let origin = rig.origin_with("a", move |request| answer(request, &told));
    let certificate = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/tls/site.pem");
    let address = rig.config(&format!(
        "defaults\n    mode http\n    timeout connect 20s\n    timeout client 2m\n    timeout server 2m\n\
         listen web\n    bind {{listen}} ssl crt {}\n    \
         http-request set-header X-Client \"%[src_port] %[ssl_fc_alpn] %[ssl_fc_protocol]\"\n    {}\n",
        certificate.display(),
        origin.server_line()
    ));
    browse(&rig, &chromium, &format!("https://{address}/"), &heard);
    let requests = origin.requests();
    all_was_done(&requests);
    let clients: HashSet<_> = requests
        .iter()
        .map(|request| request.field("x-client").unwrap_or_default())
        .collect();
    assert_eq!(clients.len(), 1, "{clients:?}");
    assert!(
        clients.iter().all(|client| client.ends_with(" h2 TLSv1.3")),
        "{clients:?}"
    );
}

/// The page has asked for everything, and has sent on what it heard.
fn all_was_done(requests: &[Request]) {
    let of = |path: &str| {
        let line = |request: &&Request| request.line.split(' ').nth(1) == Some(path);
        requests.iter().find(line)
    };
    let answers: Vec<_> = (1..=REQUESTS)
        .map(|number| {
            let path = format!("/ask/{number}");
            let request = of(&path).unwrap_or_else(|| panic!("no request for {path}"));
            let length = if number % 2 == 0 { BODY_BYTES } else { 0 };
            assert_eq!(request.body.len(), length, "{path}");
            format!("{path}:{length}")
        })
        .collect();
    let socket = of("/socket").expect("a WebSocket");
    assert_eq!(socket.field("upgrade"), Some("websocket"));
    let echo = of("/heard").expect("an echo");
    assert_eq!(String::from_utf8_lossy(&echo.body), answers.join(","));
}

/// Looks at the statistics page on a screen as narrow as a phone's, sends its form, and reads its tables for programs.
const VISITOR: &str = r#"<!doctype html><title>visitor</title><body><img src="/picture"><script>
async function main() {
    // The first check takes its time.
    while (!/<svg class=checks[^>]*><rect/.test(await (await fetch("/stats;norefresh")).text())) {}
    const page = await fetch("/stats");
    const frame = document.createElement("iframe");
    frame.style = "width: 360px; height: 640px; border: 0";
    frame.srcdoc = await page.text();
    await new Promise(done => { frame.onload = done; document.body.append(frame); });
    const inner = frame.contentDocument;
    const root = inner.documentElement;
    // Beside a bar for scrolling, perhaps.
    const fits = root.clientWidth <= 360 && root.scrollWidth <= root.clientWidth;
    const drawn = ["svg.checks rect", "td[data-n=Weight] meter", "td[data-n=Share] meter"]
        .every(chart => inner.querySelector(chart).getBoundingClientRect().width > 0);
    const latency = inner.querySelector("svg.times").getBoundingClientRect().width;
    const backups = [...inner.querySelectorAll("th small")].map(mark => mark.textContent).join();
    const refresh = inner.querySelector("meta[http-equiv=refresh]").content;
    const box = inner.querySelector("input[type=checkbox][value=a]");
    const form = box.form;
    box.checked = true;
    form.querySelector("select").value = "drain";
    const sent = await fetch("/stats", { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const after = (await sent.text()).includes("DRAIN");
    const lines = (await (await fetch("/stats;csv")).text()).split("\n");
    const status = lines.find(line => line.startsWith("app,a,")).split(",")[17];
    const rows = (await (await fetch("/stats;json")).json()).length;
    const found = [fits, drawn, latency, backups, refresh, page.headers.get("refresh"), sent.redirected, after, status, rows];
    await fetch("/heard", { method: "POST", body: found.join(" ") });
}
main().catch(error => fetch("/heard", { method: "POST", body: String(error) }));
</script>"#;

#[test]
fn the_statistics_page_fits_a_phone_and_does_as_its_form_says() {
    let Some(chromium) = require_peer("chromium") else {
        return;
    };
    let mut rig = Rig::new();
    let heard = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&heard);
    let origin = rig.origin_with("a", move |request| match request.line.split(' ').nth(1) {
        Some("/") => html(VISITOR),
        _ => answer(request, &told),
    });
    let address = rig.config(&format!(
        "defaults\n    mode http\n    timeout connect 20s\n    timeout client 2m\n    timeout server 2m\n\
         frontend web\n    bind {{listen}}\n    stats uri /stats\n    stats refresh 30s\n    stats admin if TRUE\n    default_backend site\n\
         backend site\n    server origin {}\n\
         backend app\n    {}\n    server b {} backup weight 30 check inter 100ms\n",
        origin.address,
        origin.server_line(),
        origin.address,
    ));
    browse(&rig, &chromium, &format!("http://{address}/"), &heard);
    let requests = origin.requests();
    let found = requests
        .iter()
        .find(|request| request.line.contains("/heard"));
    let found = String::from_utf8_lossy(&found.expect("it told").body).into_owned();
    // No wider than the screen; both ways of refreshing; sent once, shown anew; four proxies' rows: web, site with a server,
    // app with two.
    assert_eq!(found, "true true 60 backup 30 30 true true DRAIN 6");
}
