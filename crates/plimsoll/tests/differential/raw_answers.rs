//! `tcp-response content`: what servers say first, judged before clients hear of it.

use crate::origin::Act;
use crate::stage::{Case, case, get, ok, play};

/// A server of TCP that says this to a client that says that.
fn banner(name: &str, rules: &str, acts: fn() -> Vec<Act>) -> Case {
    case(name)
        .front("mode tcp;option tcplog")
        .back(&format!("mode tcp;{rules};server s1 {{s1}}"))
        .raw(move |_| acts())
        .talk(|stage| {
            let mut client = stage.client();
            client.send("hello");
            client.rest();
            stage.done(client);
        })
        .lines(1)
}

/// Before it has heard anything.
fn says_first() -> Vec<Act> {
    vec![Act::Send(b"220 ready".to_vec()), Act::Close]
}

fn says() -> Vec<Act> {
    vec![Act::Read(5), Act::Send(b"220 ready".to_vec()), Act::Close]
}

/// In two pieces, the second when the first has been judged.
fn says_slowly() -> Vec<Act> {
    vec![
        Act::Read(5),
        Act::Send(b"22".to_vec()),
        Act::Pause(100),
        Act::Send(b"0 ready".to_vec()),
        Act::Close,
    ]
}

#[test]
fn banners_are_judged() {
    let delayed = "tcp-response inspect-delay 2s";
    play(vec![
        banner("banner-accept", "tcp-response content accept", says),
        banner("banner-reject", "tcp-response content reject", says_first),
        banner("banner-close", "tcp-response content close", says_first),
        banner(
            "banner-silent-drop",
            "tcp-response content silent-drop",
            || {
                vec![
                    Act::Send(b"220 ready".to_vec()),
                    Act::Pause(100),
                    Act::Close,
                ]
            },
        )
        // Who writes to a connection that was dropped before is told so.
        .talk(|stage| {
            let mut client = stage.client();
            client.rest();
            stage.done(client);
        }),
        banner(
            "banner-labels",
            "tcp-response content set-tos 0x10;tcp-response content set-mark 7;\
            tcp-response content set-fc-tos 8;tcp-response content set-fc-mark 9",
            says,
        ),
        banner(
            "banner-awaited",
            &format!(
                "{delayed};tcp-response content accept if {{ res.payload(0,3) -m str 220 }};tcp-response content reject"
            ),
            says_slowly,
        ),
        banner(
            "banner-refused",
            &format!(
                "{delayed};tcp-response content reject unless {{ res.payload(0,3) -m str 250 }}"
            ),
            says_slowly,
        ),
        banner(
            "banner-refused-late",
            &format!("{delayed};tcp-response content reject if {{ res.payload(0,3) -m str 220 }}"),
            says_slowly,
        ),
        banner(
            "banner-closed-late",
            &format!("{delayed};tcp-response content close if {{ res.payload(0,3) -m str 220 }}"),
            says_slowly,
        ),
        banner(
            "banner-none",
            "tcp-response inspect-delay 300ms;tcp-response content accept if { res.payload(0,3) -m str 220 };tcp-response content reject",
            || vec![Act::Read(5), Act::Hold],
        ),
        banner(
            "banner-ended",
            &format!(
                "{delayed};tcp-response content accept if {{ res.payload(0,3) -m str 220 }};tcp-response content reject"
            ),
            || vec![Act::Read(5), Act::Close],
        ),
        banner(
            "banner-reset",
            &format!(
                "{delayed};tcp-response content accept if {{ res.payload(0,3) -m str 220 }};tcp-response content reject"
            ),
            || vec![Act::Read(5), Act::Reset],
        ),
        banner(
            "banner-var",
            "tcp-response content set-var(txn.a) res.len;tcp-response content reject if { var(txn.a) -m int gt 5 }",
            says,
        ),
    ]);
}

/// A client that asks and stays.
fn stays(case: Case) -> Case {
    case.talk(|stage| {
        let mut client = stage.client();
        client.send(get("/"));
        client.answer();
        client.rest();
        stage.done(client);
    })
    .lines(1)
}

#[test]
fn answers_are_judged_before_rules_of_http() {
    let http = |name: &str, rules: &str| {
        case(name)
            .says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok")
            .back(&format!("{rules};server s1 {{s1}}"))
    };
    play(vec![
        http("content-accept", "tcp-response content accept").sends(get("/"), 1),
        stays(http("content-reject", "tcp-response content reject")),
        stays(http(
            "content-reject-if",
            "tcp-response inspect-delay 2s;tcp-response content reject if { res.hdr(x-a) b }",
        ))
        .except("-1/N 200 N", "-1/N -1 N"),
        stays(http("content-drop", "tcp-response content silent-drop")),
        stays(http("content-close", "tcp-response content close")),
        http(
            "content-labels",
            "tcp-response content set-tos 0x10;tcp-response content set-mark 7",
        )
        .sends(get("/").repeat(2), 2),
        stays(
            case("content-close-long")
                .origin(|_| vec![Act::Send(ok(&"x".repeat(100_000)))])
                .back("tcp-response content close;server s1 {s1}"),
        ),
    ]);
}
