//! gRPC between ends of Google's making: calls of all four kinds, with metadata, trailers, failures and cancellation.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::peer::require_python_module;
use crate::rig::{Rig, free_address, run};

fn certificate(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/tls");
    folder.join(name).display().to_string()
}

/// How the two ends and what is between them speak.
struct Way {
    bind: &'static str,
    server: &'static str,
    client_in_tls: bool,
    server_in_tls: bool,
}

const WAYS: [Way; 4] = [
    Way {
        bind: "proto h2",
        server: "proto h2",
        client_in_tls: false,
        server_in_tls: false,
    },
    Way {
        bind: "",
        server: "ssl verify required ca-file CRT/ca.pem sni str(www.site.test) alpn h2",
        client_in_tls: false,
        server_in_tls: true,
    },
    Way {
        bind: "ssl crt CRT/site.pem alpn h2",
        server: "proto h2",
        client_in_tls: true,
        server_in_tls: false,
    },
    Way {
        bind: "ssl crt CRT/site.pem alpn h2,http/1.1",
        server: "ssl verify required ca-file CRT/ca.pem sni req.hdr(host),field(1,:) alpn h2,http/1.1",
        client_in_tls: true,
        server_in_tls: true,
    },
];

fn peer(python: &PathBuf, role: &str, address: SocketAddr, words: &[String]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/grpc/peer.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .args([role, &address.to_string()])
        .args(words);
    command
}

#[test]
fn calls_of_every_kind_pass_in_clear_text_and_over_tls() {
    let Some(python) = require_python_module("grpc") else {
        return;
    };
    for way in WAYS {
        let mut rig = Rig::new();
        let behind = free_address();
        // One file has both the certificate and its key.
        let site = certificate("site.pem");
        let files = if way.server_in_tls {
            vec![site.clone(), site]
        } else {
            Vec::new()
        };
        rig.start(peer(&python, "serve", behind, &files), behind);
        let text = format!(
            "global\n    nbthread 2\n\
             defaults\n    mode http\n    timeout connect 20s\n    timeout client 2m\n    timeout server 2m\n\
             listen web\n    bind {{listen}} {}\n    server s {behind} {}\n",
            way.bind, way.server
        );
        let address = rig.config(&text.replace("CRT", &certificate("")));
        let files = match way.client_in_tls {
            true => vec![certificate("ca.pem"), "www.site.test".to_owned()],
            false => Vec::new(),
        };
        let outcome = run(&mut peer(&python, "call", address, &files));
        let about = format!("bind {} server {}", way.bind, way.server);
        assert_eq!(outcome.status, Some(0), "{about}: {}", outcome.stderr);
        assert_eq!(
            outcome.stdout, "all calls are as they should be\n",
            "{about}"
        );
    }
}
