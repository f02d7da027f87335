//! Every input that the fuzzer was started from, or that once broke something, is read again.

mod support;

use std::path::Path;

/// Reads every file of a corpus by the body of its fuzz target.
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let path = entry.expect("the corpus can be listed").path();
        body(&std::fs::read(&path).expect("the corpus can be read"));
        files += 1;
    }
    assert!(files >= 5, "{target} has only {files} files");
}

#[test]
fn wire_h1_request() {
    replay("wire_h1_request", support::read_h1_request);
}

#[test]
fn wire_h1_response() {
    replay("wire_h1_response", support::read_h1_response);
}

#[test]
fn wire_chunks() {
    replay("wire_chunks", support::read_chunks);
}

#[test]
fn wire_proxy_protocol() {
    replay("wire_proxy_protocol", support::read_proxy_protocol);
}

#[test]
fn wire_hpack() {
    replay("wire_hpack", support::h2::read_hpack);
}

#[test]
fn wire_h2_frames() {
    replay("wire_h2_frames", support::h2::read_h2_frames);
}

#[test]
fn wire_h2_connection() {
    replay("wire_h2_connection", support::h2::read_h2_connection);
}

#[test]
fn wire_dns() {
    replay("wire_dns", support::read_dns);
}

#[test]
fn wire_tls_hello() {
    replay("wire_tls_hello", support::read_tls_hello);
}
