//! Words about TLS on bind and server lines, in `crt-list` files and in `ssl-default-*` lines.
//!
//! The same words stand in several places; each is a row made for the place. What they mean together is found out by
//! `resolve`. What is absent: files, which resolution reads.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};

use super::acme::KeyDraft;
use super::bind::{NOWHERE, noop};
use super::value;
use crate::draft::{BindDraft, Draft, ServerDraft, Spanned};
use crate::keyword::{Keyword, Sections};
use crate::model::tls::{Ignored, Verify};
use crate::tls::{Version, errors};

/// Most certificates named on one line.
const CERTIFICATES_MAX: usize = 1_000;

/// Most protocols in one list, and the longest name of one (RFC 7301 section 3.1).
const PROTOCOLS_MAX: usize = 32;
const PROTOCOL_BYTES_MAX: usize = 255;

/// What a `crt`, `crt-list` or `default-crt` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CertificateDraft {
    /// A file, a directory, or `@STORE/NAME`.
    File(String),
    List(String),
    Default(String),
}

/// The name that a server is asked for, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SniDraft {
    Fixed(String),
    Host,
    Client,
    /// Any other expression, read when all names are known.
    Expression(String),
}

/// What one place says about TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsDraft {
    /// `ssl`.
    pub(crate) ssl: Option<Spanned<bool>>,
    /// `no-ssl` stands behind an `ssl`, which may be taken up again at run time.
    pub(crate) idle: bool,
    /// What `ssl-default-…` lines had said before this one.
    pub(crate) defaults: Option<Arc<Self>>,
    pub(crate) certificates: Vec<Spanned<CertificateDraft>>,
    pub(crate) min: Option<Spanned<Version>>,
    pub(crate) max: Option<Spanned<Version>>,
    /// `no-tlsv12` and the like.
    pub(crate) without: Vec<Version>,
    pub(crate) ciphers: Option<Spanned<String>>,
    pub(crate) cipher_suites: Option<Spanned<String>>,
    pub(crate) curves: Option<Spanned<String>>,
    pub(crate) signatures: Option<Spanned<String>>,
    pub(crate) client_signatures: Option<Spanned<String>>,
    pub(crate) alpn: Option<Spanned<Vec<Vec<u8>>>>,
    pub(crate) verify: Option<Spanned<Verify>>,
    pub(crate) ca_file: Option<Spanned<String>>,
    pub(crate) ca_verify_file: Option<Spanned<String>>,
    pub(crate) crl_file: Option<Spanned<String>>,
    pub(crate) ca_ignore: Option<Ignored>,
    pub(crate) crt_ignore: Option<Ignored>,
    pub(crate) hide_authorities: Option<bool>,
    /// Where `allow-0rtt` stands.
    pub(crate) early_data: Option<Span>,
    pub(crate) strict_sni: Option<bool>,
    pub(crate) tickets: Option<bool>,
    pub(crate) ticket_keys: Option<Spanned<String>>,
    pub(crate) client_order: Option<bool>,
    pub(crate) ca_sign_file: Option<Spanned<String>>,
    /// Where `generate-certificates` stands.
    pub(crate) generates: Option<Span>,
    /// `ocsp-update`, behind a certificate of a list.
    pub(crate) fetches: Option<bool>,
    // ---- servers
    pub(crate) sni: Option<Spanned<SniDraft>>,
    pub(crate) no_sni_auto: bool,
    pub(crate) verify_host: Option<Spanned<String>>,
    pub(crate) no_reuse: bool,
    // ---- checks
    pub(crate) check_ssl: Option<bool>,
    pub(crate) check_sni: Option<Spanned<String>>,
    pub(crate) no_check_sni_auto: bool,
    pub(crate) check_alpn: Option<Spanned<Vec<Vec<u8>>>>,
}

/// Where words about TLS may stand.
pub(super) trait HasTls: 'static {
    fn tls(&mut self) -> &mut TlsDraft;
}

impl HasTls for TlsDraft {
    fn tls(&mut self) -> &mut TlsDraft {
        self
    }
}

impl HasTls for BindDraft {
    fn tls(&mut self) -> &mut TlsDraft {
        &mut self.tls
    }
}

impl HasTls for ServerDraft {
    fn tls(&mut self) -> &mut TlsDraft {
        &mut self.tls
    }
}

/// `global` lines about TLS, and the sections of certificates.
#[derive(Debug, Default)]
pub(crate) struct GlobalTlsDraft {
    pub(crate) bind: Arc<TlsDraft>,
    pub(crate) server: Arc<TlsDraft>,
    pub(crate) server_verify: Option<Verify>,
    pub(crate) crt_base: Option<String>,
    pub(crate) key_base: Option<String>,
    pub(crate) ca_base: Option<String>,
    /// `ocsp-update.mode`: what counts where certificates do not say otherwise.
    pub(crate) fetches: bool,
    /// `ssl-load-extra-files`; `None`: all kinds.
    pub(crate) extra_files: Option<Vec<String>>,
    /// `ssl-load-extra-del-ext`.
    pub(crate) extra_without_extension: bool,
    pub(crate) issuers: Option<Spanned<String>>,
    pub(crate) stores: BTreeMap<String, StoreDraft>,
    /// The store being read.
    pub(crate) store: String,
    pub(crate) http_client: HttpClientDraft,
}

/// `httpclient.ssl.*`.
#[derive(Debug, Default)]
pub(crate) struct HttpClientDraft {
    pub(crate) ca_file: Option<Spanned<String>>,
    pub(crate) verify: Option<Verify>,
}

/// A `crt-store` section.
#[derive(Debug, Default)]
pub(crate) struct StoreDraft {
    pub(crate) crt_base: Option<String>,
    pub(crate) key_base: Option<String>,
    pub(crate) loads: Vec<LoadDraft>,
}

/// A `load` line.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadDraft {
    pub(crate) crt: Option<Spanned<String>>,
    pub(crate) alias: Option<String>,
    pub(crate) key: Option<Spanned<String>>,
    pub(crate) ocsp: Option<Spanned<String>>,
    pub(crate) issuer: Option<Spanned<String>>,
    pub(crate) sctl: Option<Spanned<String>>,
    pub(crate) jwt: bool,
    /// `ocsp-update`.
    pub(crate) fetches: Option<bool>,
    /// `acme`: the section of the authority that issues it.
    pub(crate) acme: Option<Spanned<String>>,
    pub(crate) domains: Vec<String>,
    pub(crate) ips: Vec<IpAddr>,
    /// `generate-dummy`: a key and a certificate are made up.
    pub(crate) dummy: bool,
    pub(crate) dummy_key: KeyDraft,
}

/// Most names of one certificate that an authority issues; they allow a hundred.
const SUBSCRIBED_NAMES_MAX: usize = 1_000;

// ---- Rows

/// A row for any place.
const fn word<D: HasTls>(
    name: &'static str,
    usage: &'static str,
    doc: &'static str,
    read: fn(&mut Args<'_>, &mut D) -> Result<(), Diagnostic>,
) -> Keyword<D> {
    Keyword::new(name, NOWHERE, usage, doc, read)
}

/// A row without arguments.
const fn switch<D: HasTls>(
    name: &'static str,
    doc: &'static str,
    set: fn(&mut D, bool),
) -> Keyword<D> {
    Keyword {
        negatable: false,
        ..Keyword::switch(name, NOWHERE, doc, set)
    }
}

const NO_EARLY: &str =
    "servers are sent requests behind the handshake, which costs one round trip and no replays";

/// On server lines.
pub(super) const ALLOW_0RTT: Keyword<ServerDraft> = noop(
    "allow-0rtt",
    "",
    "Sends data before the handshake ends.",
    NO_EARLY,
);

pub(super) const fn allow_0rtt<D: HasTls>() -> Keyword<D> {
    word(
        "allow-0rtt",
        "",
        "Accepts requests before the handshake ends, of clients that resume a session.",
        |args, draft| {
            draft.tls().early_data = Some(args.end());
            Ok(())
        },
    )
}

pub(super) const fn alpn<D: HasTls>() -> Keyword<D> {
    word(
        "alpn",
        "PROTOCOLS",
        "Protocols offered, the most wanted first.",
        |args, draft| {
            draft.tls().alpn = Some(protocols(args)?);
            Ok(())
        },
    )
}

pub(super) const fn no_alpn<D: HasTls>() -> Keyword<D> {
    word("no-alpn", "", "Offers no protocols.", |args, draft| {
        draft.tls().alpn = Some(Spanned::new(Vec::new(), args.end()));
        Ok(())
    })
}

pub(super) const fn npn<D: HasTls>() -> Keyword<D> {
    noop(
        "npn",
        "PROTOCOLS",
        "Protocols by an extension of the past.",
        "'alpn' has taken its place everywhere",
    )
}

pub(super) const fn ca_file<D: HasTls>() -> Keyword<D> {
    word(
        "ca-file",
        "FILE",
        "Authorities that are believed.",
        |args, draft| {
            draft.tls().ca_file = Some(spanned(args, "a file of authorities")?);
            Ok(())
        },
    )
}

pub(super) const fn ca_verify_file<D: HasTls>() -> Keyword<D> {
    word(
        "ca-verify-file",
        "FILE",
        "Authorities that are believed but not named to clients.",
        |args, draft| {
            draft.tls().ca_verify_file = Some(spanned(args, "a file of authorities")?);
            Ok(())
        },
    )
}

pub(super) const fn crl_file<D: HasTls>() -> Keyword<D> {
    word(
        "crl-file",
        "FILE",
        "Certificates that have been revoked.",
        |args, draft| {
            draft.tls().crl_file = Some(spanned(args, "a file of revocation lists")?);
            Ok(())
        },
    )
}

pub(super) const fn ca_ignore_err<D: HasTls>() -> Keyword<D> {
    word(
        "ca-ignore-err",
        "all|LIST",
        "Errors of authorities that are overlooked.",
        |args, draft| {
            draft.tls().ca_ignore = Some(ignored(args)?);
            Ok(())
        },
    )
}

pub(super) const fn crt_ignore_err<D: HasTls>() -> Keyword<D> {
    word(
        "crt-ignore-err",
        "all|LIST",
        "Errors of clients' certificates that are overlooked.",
        |args, draft| {
            draft.tls().crt_ignore = Some(ignored(args)?);
            Ok(())
        },
    )
}

pub(super) const fn ciphers<D: HasTls>() -> Keyword<D> {
    word(
        "ciphers",
        "LIST",
        "Cipher suites of TLS 1.2.",
        |args, draft| {
            draft.tls().ciphers = Some(spanned(args, "a list of cipher suites")?);
            Ok(())
        },
    )
}

pub(super) const fn ciphersuites<D: HasTls>() -> Keyword<D> {
    word(
        "ciphersuites",
        "LIST",
        "Cipher suites of TLS 1.3.",
        |args, draft| {
            draft.tls().cipher_suites = Some(spanned(args, "a list of cipher suites")?);
            Ok(())
        },
    )
}

pub(super) const fn sigalgs<D: HasTls>() -> Keyword<D> {
    word("sigalgs", "LIST", "Signature algorithms.", |args, draft| {
        draft.tls().signatures = Some(spanned(args, "a list of signature algorithms")?);
        Ok(())
    })
}

pub(super) const fn client_sigalgs<D: HasTls>() -> Keyword<D> {
    word(
        "client-sigalgs",
        "LIST",
        "Signature algorithms of clients' certificates.",
        |args, draft| {
            draft.tls().client_signatures = Some(spanned(args, "a list of signature algorithms")?);
            Ok(())
        },
    )
}

pub(super) const fn curves<D: HasTls>(name: &'static str) -> Keyword<D> {
    word(name, "LIST", "Groups for key exchange.", |args, draft| {
        draft.tls().curves = Some(spanned(args, "a list of curves")?);
        Ok(())
    })
}

pub(super) const fn crt<D: HasTls>() -> Keyword<D> {
    word(
        "crt",
        "FILE",
        "A certificate with its key, or a directory of such.",
        |args, draft| certificate(args, draft.tls(), CertificateDraft::File),
    )
}

pub(super) const fn crt_list<D: HasTls>() -> Keyword<D> {
    word(
        "crt-list",
        "FILE",
        "A list of certificates, with options and names.",
        |args, draft| certificate(args, draft.tls(), CertificateDraft::List),
    )
}

pub(super) const fn default_crt<D: HasTls>() -> Keyword<D> {
    word(
        "default-crt",
        "FILE",
        "The certificate for clients whose name has none.",
        |args, draft| certificate(args, draft.tls(), CertificateDraft::Default),
    )
}

/// `force-tlsv12` and the like.
macro_rules! versions {
    ($($force:ident $force_name:literal $no:ident $no_name:literal $version:ident;)*) => {$(
        pub(super) const fn $force<D: HasTls>() -> Keyword<D> {
            word($force_name, "", "Offers one version alone.", |args, draft| {
                let only = Some(Spanned::new(Version::$version, args.end()));
                let tls = draft.tls();
                (tls.min, tls.max) = (only.clone(), only);
                Ok(())
            })
        }

        pub(super) const fn $no<D: HasTls>() -> Keyword<D> {
            switch($no_name, "Does not offer a version.", |draft, _| {
                draft.tls().without.push(Version::$version);
            })
        }
    )*};
}

versions! {
    force_sslv3 "force-sslv3" no_sslv3 "no-sslv3" Ssl30;
    force_tlsv10 "force-tlsv10" no_tlsv10 "no-tlsv10" Tls10;
    force_tlsv11 "force-tlsv11" no_tlsv11 "no-tlsv11" Tls11;
    force_tlsv12 "force-tlsv12" no_tlsv12 "no-tlsv12" Tls12;
    force_tlsv13 "force-tlsv13" no_tlsv13 "no-tlsv13" Tls13;
}

pub(super) const fn ssl_min_ver<D: HasTls>() -> Keyword<D> {
    word(
        "ssl-min-ver",
        "VERSION",
        "Oldest version offered.",
        |args, draft| {
            draft.tls().min = Some(version(args)?);
            Ok(())
        },
    )
}

pub(super) const fn ssl_max_ver<D: HasTls>() -> Keyword<D> {
    word(
        "ssl-max-ver",
        "VERSION",
        "Newest version offered.",
        |args, draft| {
            draft.tls().max = Some(version(args)?);
            Ok(())
        },
    )
}

pub(super) const fn ktls<D: HasTls>() -> Keyword<D> {
    noop(
        "ktls",
        "on|off",
        "TLS in the kernel.",
        "records are made here",
    )
}

pub(super) const fn no_ca_names<D: HasTls>() -> Keyword<D> {
    switch(
        "no-ca-names",
        "Does not name authorities to clients.",
        |draft, on| {
            draft.tls().hide_authorities = Some(on);
        },
    )
}

pub(super) const fn ca_sign_file<D: HasTls>() -> Keyword<D> {
    word(
        "ca-sign-file",
        "FILE",
        "The authority that signs certificates made on the fly.",
        |args, draft| {
            draft.tls().ca_sign_file = Some(spanned(args, "a certificate with its key")?);
            Ok(())
        },
    )
}

pub(super) const fn generate_certificates<D: HasTls>() -> Keyword<D> {
    word(
        "generate-certificates",
        "",
        "Makes certificates for names that have none.",
        |args, draft| {
            draft.tls().generates = Some(args.end());
            Ok(())
        },
    )
}

pub(super) const fn strict_sni<D: HasTls>() -> Keyword<D> {
    switch(
        "strict-sni",
        "Refuses clients whose name has no certificate.",
        |draft, on| {
            draft.tls().strict_sni = Some(on);
        },
    )
}

pub(super) const fn no_strict_sni<D: HasTls>() -> Keyword<D> {
    switch("no-strict-sni", "Undoes 'strict-sni'.", |draft, on| {
        draft.tls().strict_sni = Some(!on)
    })
}

pub(super) const fn tls_tickets<D: HasTls>() -> Keyword<D> {
    switch("tls-tickets", "Resumption by tickets.", |draft, on| {
        draft.tls().tickets = Some(on)
    })
}

pub(super) const fn no_tls_tickets<D: HasTls>() -> Keyword<D> {
    switch(
        "no-tls-tickets",
        "No resumption by tickets.",
        |draft, on| draft.tls().tickets = Some(!on),
    )
}

pub(super) const fn tls_ticket_keys<D: HasTls>() -> Keyword<D> {
    word(
        "tls-ticket-keys",
        "FILE",
        "Keys of tickets, shared between processes.",
        |args, draft| {
            draft.tls().ticket_keys = Some(spanned(args, "a file of keys")?);
            Ok(())
        },
    )
}

pub(super) const fn prefer_client_ciphers<D: HasTls>() -> Keyword<D> {
    switch(
        "prefer-client-ciphers",
        "The client's order of suites counts.",
        |draft, on| {
            draft.tls().client_order = Some(on);
        },
    )
}

pub(super) const fn ssl<D: HasTls>() -> Keyword<D> {
    word("ssl", "", "Speaks TLS.", |args, draft| {
        let tls = draft.tls();
        tls.ssl = Some(Spanned::new(true, args.end()));
        tls.idle = false;
        Ok(())
    })
}

pub(super) const fn no_ssl<D: HasTls>() -> Keyword<D> {
    word("no-ssl", "", "Undoes 'ssl'.", |args, draft| {
        let tls = draft.tls();
        tls.idle |= tls.ssl.as_ref().is_some_and(|ssl| ssl.value);
        tls.ssl = Some(Spanned::new(false, args.end()));
        Ok(())
    })
}

pub(super) const VERIFY_CLIENT: &[(&str, Verify)] = &[
    ("none", Verify::None),
    ("optional", Verify::Optional),
    ("required", Verify::Required),
];
pub(super) const VERIFY_SERVER: &[(&str, Verify)] =
    &[("none", Verify::None), ("required", Verify::Required)];

pub(super) const fn verify_client<D: HasTls>() -> Keyword<D> {
    word(
        "verify",
        "none|optional|required",
        "Whether clients show certificates.",
        |args, draft| {
            let span = value::place(args);
            let verify = value::choice(args, "a way of verifying", VERIFY_CLIENT)?;
            draft.tls().verify = Some(Spanned::new(verify, span));
            Ok(())
        },
    )
}

pub(super) const fn verify_server<D: HasTls>() -> Keyword<D> {
    word(
        "verify",
        "none|required",
        "Whether the server's certificate is checked.",
        |args, draft| {
            let span = value::place(args);
            let verify = value::choice(args, "a way of verifying", VERIFY_SERVER)?;
            draft.tls().verify = Some(Spanned::new(verify, span));
            Ok(())
        },
    )
}

pub(super) const fn verify_host<D: HasTls>() -> Keyword<D> {
    word(
        "verifyhost",
        "NAME",
        "The name on the server's certificate.",
        |args, draft| {
            draft.tls().verify_host = Some(spanned(args, "a name")?);
            Ok(())
        },
    )
}

pub(super) const fn sni<D: HasTls>() -> Keyword<D> {
    word(
        "sni",
        "EXPRESSION",
        "The name the server is asked for.",
        |args, draft| {
            let word = args.word("an expression")?;
            draft.tls().sni = Some(Spanned::new(name_rule(word), word.span));
            Ok(())
        },
    )
}

pub(super) const fn sni_auto<D: HasTls>(name: &'static str, off: bool) -> Keyword<D> {
    let doc = "The server is asked for the host of the request.";
    match off {
        false => switch(name, doc, |draft, _| draft.tls().no_sni_auto = false),
        true => switch(name, doc, |draft, _| draft.tls().no_sni_auto = true),
    }
}

pub(super) const fn ssl_reuse<D: HasTls>(name: &'static str, off: bool) -> Keyword<D> {
    let doc = "Sessions with the server are resumed.";
    match off {
        false => switch(name, doc, |draft, _| draft.tls().no_reuse = false),
        true => switch(name, doc, |draft, _| draft.tls().no_reuse = true),
    }
}

pub(super) const fn renegotiate<D: HasTls>(name: &'static str) -> Keyword<D> {
    noop(
        name,
        "",
        "Handshakes within a connection.",
        "TLS 1.3 has none, and the TLS library refuses them in TLS 1.2",
    )
}

pub(super) const fn check_ssl<D: HasTls>(name: &'static str, off: bool) -> Keyword<D> {
    let doc = "Checks speak TLS.";
    match off {
        false => switch(name, doc, |draft, _| draft.tls().check_ssl = Some(true)),
        true => switch(name, doc, |draft, _| draft.tls().check_ssl = Some(false)),
    }
}

pub(super) const fn check_sni<D: HasTls>() -> Keyword<D> {
    word(
        "check-sni",
        "NAME",
        "The name that checks ask for.",
        |args, draft| {
            draft.tls().check_sni = Some(spanned(args, "a name")?);
            Ok(())
        },
    )
}

pub(super) const fn check_sni_auto<D: HasTls>(name: &'static str, off: bool) -> Keyword<D> {
    let doc = "Checks ask for the host that they name.";
    match off {
        false => switch(name, doc, |draft, _| draft.tls().no_check_sni_auto = false),
        true => switch(name, doc, |draft, _| draft.tls().no_check_sni_auto = true),
    }
}

pub(super) const fn check_alpn<D: HasTls>() -> Keyword<D> {
    word(
        "check-alpn",
        "PROTOCOLS",
        "Protocols that checks offer.",
        |args, draft| {
            draft.tls().check_alpn = Some(protocols(args)?);
            Ok(())
        },
    )
}

/// The words of `ssl-default-bind-options`, sorted.
pub(super) const BIND_DEFAULTS: &[Keyword<TlsDraft>] = &[
    force_sslv3(),
    force_tlsv10(),
    force_tlsv11(),
    force_tlsv12(),
    force_tlsv13(),
    no_sslv3(),
    no_strict_sni(),
    no_tls_tickets(),
    no_tlsv10(),
    no_tlsv11(),
    no_tlsv12(),
    no_tlsv13(),
    prefer_client_ciphers(),
    ssl_max_ver(),
    ssl_min_ver(),
    strict_sni(),
    tls_tickets(),
];

/// The words of `ssl-default-server-options`, sorted.
pub(super) const SERVER_DEFAULTS: &[Keyword<TlsDraft>] = &[
    force_sslv3(),
    force_tlsv10(),
    force_tlsv11(),
    force_tlsv12(),
    force_tlsv13(),
    renegotiate("no-renegotiate"),
    ssl_reuse("no-ssl-reuse", true),
    no_sslv3(),
    no_tls_tickets(),
    no_tlsv10(),
    no_tlsv11(),
    no_tlsv12(),
    no_tlsv13(),
    renegotiate("renegotiate"),
    ssl_max_ver(),
    ssl_min_ver(),
    tls_tickets(),
];

/// The words in the brackets of a `crt-list`, sorted.
pub(crate) const LIST_OPTIONS: &[Keyword<TlsDraft>] = &[
    allow_0rtt(),
    alpn(),
    ca_file(),
    ca_verify_file(),
    ciphers(),
    ciphersuites(),
    client_sigalgs(),
    crl_file(),
    curves("curves"),
    curves("ecdhe"),
    file_beside("issuer", "A file with the certificate of its issuer."),
    file_beside("key", "A file with its key."),
    no_alpn(),
    no_ca_names(),
    npn(),
    file_beside("ocsp", "A file with what its authority says of it."),
    word(
        "ocsp-update",
        "on|off",
        "Has the authority vouch for the certificate again and again.",
        |args, draft| {
            draft.fetches = Some(args.on_off("whether responses are fetched")?);
            Ok(())
        },
    ),
    file_beside("sctl", "A file with timestamps of public logs."),
    sigalgs(),
    ssl_max_ver(),
    ssl_min_ver(),
    verify_client(),
];

/// A file that belongs to the certificate of a list's line, which reads it itself: [`crt_list::Line::value`].
const fn file_beside(name: &'static str, doc: &'static str) -> Keyword<TlsDraft> {
    word(name, "FILE", doc, |args, _| args.word("a file").map(|_| ()))
}

// ---- Readers

fn spanned(args: &mut Args<'_>, what: &str) -> Result<Spanned<String>, Diagnostic> {
    let word = args.word(what)?;
    Ok(Spanned::new(word.text.clone(), word.span))
}

fn version(args: &mut Args<'_>) -> Result<Spanned<Version>, Diagnostic> {
    let word = args.word("a version")?;
    match Version::named(&word.text) {
        Some(version) => Ok(Spanned::new(version, word.span)),
        None => {
            let names = Version::ALL.iter().map(|version| version.name());
            Err(value::unknown(word, "a version of TLS", names))
        }
    }
}

fn certificate(
    args: &mut Args<'_>,
    tls: &mut TlsDraft,
    make: fn(String) -> CertificateDraft,
) -> Result<(), Diagnostic> {
    let file = spanned(args, "a file")?;
    if tls.certificates.len() == CERTIFICATES_MAX {
        let message = format_args!("more than {CERTIFICATES_MAX} certificates on one line");
        return Err(Diagnostic::error(Kind::Invalid, file.span, message).help("write a 'crt-list'"));
    }
    let made = Spanned::new(make(file.value), file.span);
    tls.certificates.push(made);
    Ok(())
}

/// `h2,http/1.1`.
pub(super) fn protocols(args: &mut Args<'_>) -> Result<Spanned<Vec<Vec<u8>>>, Diagnostic> {
    let word = args.word("a list of protocols")?;
    let invalid = |message: &str| Err(Diagnostic::error(Kind::Invalid, word.span, message));
    let mut protocols = Vec::new();
    for name in word.bytes().split(|byte| *byte == b',') {
        match name.len() {
            0 => return invalid("a protocol has no name"),
            1..=PROTOCOL_BYTES_MAX => protocols.push(name.to_vec()),
            _ => return invalid("the name of a protocol has at most 255 bytes"),
        }
        if protocols.len() > PROTOCOLS_MAX {
            return invalid("there are too many protocols");
        }
    }
    Ok(Spanned::new(protocols, word.span))
}

/// The highest number that an error may have.
const ERROR_MAX: u32 = 255;

/// `all`, or numbers and names of errors.
fn ignored(args: &mut Args<'_>) -> Result<Ignored, Diagnostic> {
    let word = args.word("a list of errors")?;
    if word.text == "all" {
        return Ok(Ignored::All);
    }
    let mut numbers = Vec::new();
    for name in word.text.split(',') {
        let written = || name.parse().ok().filter(|number| *number <= ERROR_MAX);
        let number = errors::number(name).or_else(written);
        let Some(number) = number else {
            let message = format_args!("'{name}' is not an error of certificates");
            let error = Diagnostic::error(Kind::Invalid, word.span, message);
            return Err(error.help(
                "write all, numbers, or OpenSSL's names such as X509_V_ERR_CERT_HAS_EXPIRED",
            ));
        };
        numbers.push(number);
    }
    numbers.sort_unstable();
    Ok(Ignored::These(numbers))
}

/// The name that a server is asked for; the usual expressions need no evaluation.
fn name_rule(word: &Word) -> SniDraft {
    let text = word.text.as_str();
    let constant = text
        .strip_prefix("str(")
        .and_then(|rest| rest.strip_suffix(')'))
        .filter(|name| !name.contains(['\\', ',', '(', ')']));
    if let Some(name) = constant {
        return SniDraft::Fixed(name.trim_matches(['"', '\'']).to_owned());
    }
    match text.to_ascii_lowercase().as_str() {
        "req.hdr(host)"
        | "hdr(host)"
        | "req.fhdr(host)"
        | "req.hdr(host),field(1,:)"
        | "hdr(host),field(1,:)"
        | "req.hdr(host),host_only"
        | "hdr(host),host_only" => SniDraft::Host,
        "ssl_fc_sni" => SniDraft::Client,
        _ => SniDraft::Expression(text.to_owned()),
    }
}

// ---- Sections of certificates

const STORE: Sections = Sections::CRT_STORE;

/// The lines of `crt-store` sections.
pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "crt-base",
        STORE,
        "DIRECTORY",
        "Where relative names of certificates begin.",
        |args, draft| {
            store(draft).crt_base = Some(value::text(args, "a directory")?);
            Ok(())
        },
    ),
    Keyword::new(
        "key-base",
        STORE,
        "DIRECTORY",
        "Where relative names of keys begin.",
        |args, draft| {
            store(draft).key_base = Some(value::text(args, "a directory")?);
            Ok(())
        },
    ),
    Keyword::new(
        "load",
        STORE,
        "crt FILE [OPTION...]",
        "A certificate with its key.",
        |args, draft| {
            let loaded = load(args)?;
            let store = store(draft);
            if store.loads.len() == LOADS_MAX {
                let message = format_args!("a store has more than {LOADS_MAX} certificates");
                return Err(Diagnostic::error(Kind::Invalid, args.line(), message));
            }
            store.loads.push(loaded);
            Ok(())
        },
    ),
];

/// Most certificates of one store.
const LOADS_MAX: usize = 100_000;

/// The store being read.
fn store(draft: &mut Draft) -> &mut StoreDraft {
    let tls = &mut draft.global.tls;
    tls.stores.entry(tls.store.clone()).or_default()
}

/// `crt-store [NAME]`.
pub(super) fn open_store(draft: &mut Draft, args: &mut Args<'_>) -> Result<(), Diagnostic> {
    let name = args.next().map(|word| word.text.clone());
    draft.global.tls.store = name.unwrap_or_default();
    args.finish()
}

/// An `ssl-f-use` line.
#[derive(Clone, Debug)]
pub(crate) struct CertificateUse {
    pub(crate) load: LoadDraft,
    /// What the brackets of a list would have.
    pub(crate) options: Vec<String>,
    pub(crate) span: Span,
}

/// `ssl-f-use crt FILE [key FILE] … [acme SECTION domains NAME,…] [OPTION…]`.
pub(super) fn certificate_use(args: &mut Args<'_>) -> Result<CertificateUse, Diagnostic> {
    let (mut load, mut options, mut span) = (LoadDraft::default(), Vec::new(), None);
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "crt" => {
                let file = spanned(args, "a file")?;
                span = Some(file.span);
                load.crt = Some(file);
            }
            "key" => load.key = Some(spanned(args, "a file")?),
            "ocsp" => load.ocsp = Some(spanned(args, "a file")?),
            "issuer" => load.issuer = Some(spanned(args, "a file")?),
            "sctl" => load.sctl = Some(spanned(args, "a file")?),
            "ocsp-update" => load.fetches = Some(args.on_off("whether responses are fetched")?),
            "acme" => load.acme = Some(spanned(args, "an 'acme' section")?),
            "domains" => load.domains = listed(args, "names", |name| Some(name.to_owned()))?,
            "ips" => load.ips = listed(args, "addresses", |ip| ip.parse().ok())?,
            "allow-0rtt" | "no-alpn" | "no-ca-names" => options.push(word.text.clone()),
            option => {
                options.push(option.to_owned());
                options.extend(args.next().map(|value| value.text.clone()));
            }
        }
    }
    let missing = || Diagnostic::error(Kind::Invalid, args.end(), "'crt FILE' is missing");
    let span = span.ok_or_else(missing)?;
    Ok(CertificateUse {
        load,
        options,
        span,
    })
}

fn load(args: &mut Args<'_>) -> Result<LoadDraft, Diagnostic> {
    let mut load = LoadDraft::default();
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "crt" => load.crt = Some(spanned(args, "a file")?),
            "key" => load.key = Some(spanned(args, "a file")?),
            "ocsp" => load.ocsp = Some(spanned(args, "a file")?),
            "issuer" => load.issuer = Some(spanned(args, "a file")?),
            "sctl" => load.sctl = Some(spanned(args, "a file")?),
            "alias" => load.alias = Some(value::text(args, "a name")?),
            "ocsp-update" => load.fetches = Some(args.on_off("whether responses are fetched")?),
            "jwt" => load.jwt = args.on_off("whether tokens are verified with it")?,
            "acme" => load.acme = Some(spanned(args, "an 'acme' section")?),
            "domains" => load.domains = listed(args, "names", |name| Some(name.to_owned()))?,
            "ips" => load.ips = listed(args, "addresses", |ip| ip.parse().ok())?,
            "generate-dummy" => load.dummy = args.on_off("whether a certificate is made up")?,
            "keytype" => load.dummy_key.read_type(args)?,
            "bits" => load.dummy_key.read_bits(args)?,
            "curves" => load.dummy_key.read_curve(args)?,
            _ => {
                let known = [
                    "acme",
                    "alias",
                    "bits",
                    "crt",
                    "curves",
                    "domains",
                    "generate-dummy",
                    "ips",
                    "issuer",
                    "jwt",
                    "key",
                    "keytype",
                    "ocsp",
                    "ocsp-update",
                    "sctl",
                ];
                return Err(value::unknown(
                    word,
                    "an option of 'load'",
                    known.into_iter(),
                ));
            }
        }
    }
    if load.crt.is_none() {
        let error = Diagnostic::error(Kind::Invalid, args.end(), "'crt FILE' is missing");
        return Err(error);
    }
    Ok(load)
}

/// Words between commas.
fn listed<T>(
    args: &mut Args<'_>,
    what: &str,
    read: fn(&str) -> Option<T>,
) -> Result<Vec<T>, Diagnostic> {
    let word = args.word(what)?;
    let written = word.text.split(',').filter(|part| !part.is_empty());
    let read: Option<Vec<T>> = written.take(SUBSCRIBED_NAMES_MAX).map(read).collect();
    read.filter(|all| !all.is_empty()).ok_or_else(|| {
        let message = format_args!("'{}' are no {what} between commas", word.text);
        Diagnostic::error(Kind::Invalid, word.span, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted() {
        for rows in [BIND_DEFAULTS, SERVER_DEFAULTS, LIST_OPTIONS] {
            assert!(rows.is_sorted_by(|a, b| a.name < b.name));
        }
    }
}
