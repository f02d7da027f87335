//! `global` words about TLS. None has an effect, because a bind or server line with `ssl` is refused.

use super::TLS;
use crate::draft::Draft;
use crate::keyword::{Keyword, Sections, Status};

/// Sorted; `tune.ssl.*` stands with the other tuning.
pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    tls(
        "ca-base",
        "DIRECTORY",
        "Where relative names of CA files begin.",
    ),
    tls(
        "crt-base",
        "DIRECTORY",
        "Where relative names of certificates begin.",
    ),
    tls(
        "issuers-chain-path",
        "DIRECTORY",
        "Certificates that complete chains.",
    ),
    tls(
        "key-base",
        "DIRECTORY",
        "Where relative names of keys begin.",
    ),
    tls("maxsslconn", "NUMBER", "Most concurrent TLS connections."),
    tls("maxsslrate", "NUMBER", "Most TLS handshakes per second."),
    tls(
        "ocsp-update.disable",
        "on|off",
        "Fetches no OCSP responses.",
    ),
    tls("ocsp-update.httpproxy", "ADDRESS", "Proxy for OCSP."),
    tls(
        "ocsp-update.maxdelay",
        "NUMBER",
        "Longest wait between OCSP responses.",
    ),
    tls(
        "ocsp-update.mindelay",
        "NUMBER",
        "Shortest wait between OCSP responses.",
    ),
    tls("ocsp-update.mode", "on|off", "Fetches OCSP responses."),
    tls(
        "ssl-default-bind-ciphers",
        "LIST",
        "Ciphers of TLS 1.2 for clients.",
    ),
    tls(
        "ssl-default-bind-ciphersuites",
        "LIST",
        "Ciphers of TLS 1.3 for clients.",
    ),
    tls(
        "ssl-default-bind-client-sigalgs",
        "LIST",
        "Signatures of client certificates.",
    ),
    tls(
        "ssl-default-bind-curves",
        "LIST",
        "Key exchanges for clients.",
    ),
    tls(
        "ssl-default-bind-options",
        "OPTION...",
        "TLS versions for clients.",
    ),
    tls(
        "ssl-default-bind-sigalgs",
        "LIST",
        "Signatures for clients.",
    ),
    tls(
        "ssl-default-server-ciphers",
        "LIST",
        "Ciphers of TLS 1.2 for servers.",
    ),
    tls(
        "ssl-default-server-ciphersuites",
        "LIST",
        "Ciphers of TLS 1.3 for servers.",
    ),
    tls(
        "ssl-default-server-client-sigalgs",
        "LIST",
        "Signatures of our certificate.",
    ),
    tls(
        "ssl-default-server-curves",
        "LIST",
        "Key exchanges for servers.",
    ),
    tls(
        "ssl-default-server-options",
        "OPTION...",
        "TLS versions for servers.",
    ),
    tls(
        "ssl-default-server-sigalgs",
        "LIST",
        "Signatures for servers.",
    ),
    tls(
        "ssl-dh-param-file",
        "FILE",
        "Parameters of finite-field key exchange.",
    ),
    tls("ssl-engine", "NAME [WORD...]", "OpenSSL engine."),
    tls(
        "ssl-load-extra-del-ext",
        "",
        "How names of extra files are formed.",
    ),
    tls(
        "ssl-load-extra-files",
        "KIND...",
        "Which extra files are loaded.",
    ),
    tls("ssl-mode-async", "", "Asynchronous TLS."),
    tls(
        "ssl-passphrase-cmd",
        "COMMAND...",
        "Program that knows pass phrases.",
    ),
    tls("ssl-propquery", "QUERY", "Choice among OpenSSL providers."),
    tls("ssl-provider", "NAME", "OpenSSL provider."),
    tls(
        "ssl-provider-path",
        "DIRECTORY",
        "Where OpenSSL providers are.",
    ),
    tls("ssl-security-level", "NUMBER", "OpenSSL security level."),
    tls(
        "ssl-server-verify",
        "none|required",
        "Whether certificates of servers are verified.",
    ),
    tls(
        "ssl-skip-self-issued-ca",
        "",
        "Leaves out self-issued CA certificates.",
    ),
];

const fn tls(name: &'static str, usage: &'static str, doc: &'static str) -> Keyword<Draft> {
    Keyword::inert(name, Sections::GLOBAL, usage, doc, Status::NoOp(TLS))
}
