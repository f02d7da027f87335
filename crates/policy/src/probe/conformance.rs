//! What every kind of check must do: come to the same verdict however the answer is cut, and to one when it ends early.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::Span;
use proptest::prelude::*;

use super::*;
use crate::model::check::{CheckAction, Expectation, FieldWanted, Pattern, TextMatch, Wanted};

/// A kind, its arguments, what the server says to each thing it is told, the verdict.
type Case = (
    &'static str,
    &'static str,
    &'static [&'static [u8]],
    (Status, u32, &'static str),
);

/// At least one server that is healthy and one that is not, for every kind that looks at answers.
const CASES: &[Case] = &[
    ("check", "", &[], (Status::ConnectOk, 0, "")),
    ("tcp-check", "", &[], (Status::ConnectOk, 0, "")),
    ("agent-check", "", &[b"up 50%\n"], (Status::Checked, 0, "")),
    (
        "grpc-check",
        "",
        &[b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x07\0\0\0\0\0\x01\0\0\0\0\x02\x08\x01\
            \0\0\x0f\x01\x05\0\0\0\x01\0\x0bgrpc-status\x010"],
        (Status::ReplyOk, 0, "SERVING"),
    ),
    (
        "grpc-check",
        "a.Service",
        &[b"\0\0\0\x04\0\0\0\0\0\0\0\x10\x01\x05\0\0\0\x01\x88\0\x0bgrpc-status\x015"],
        (Status::ReplyWrong, 5, "NOT_FOUND"),
    ),
    (
        "httpchk",
        "",
        &[b"HTTP/1.1 204 No Content\r\nServer: a\r\n\r\n"],
        (Status::ReplyOk, 204, ""),
    ),
    (
        "httpchk",
        "GET /healthz HTTP/1.1 a.example",
        &[b"HTTP/1.1 503 Not Now\r\nContent-Length: 2\r\n\r\nno"],
        (Status::ReplyWrong, 503, "Not Now"),
    ),
    (
        "httpchk",
        "/x",
        &[b"SSH-2.0-OpenSSH_9.2\r\n"],
        (Status::ReplyInvalid, 0, "TCPCHK did not match content(status codes) at step 2"),
    ),
    (
        "ldap-check",
        "",
        &[b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"],
        (Status::ReplyOk, 0, "Success"),
    ),
    (
        "ldap-check",
        "",
        &[b"\x30\x0c\x02\x01\x01\x60\x07\x0a\x01\x00\x04\x00\x04\x00"],
        (Status::ReplyInvalid, 0, "Not LDAPv3 protocol"),
    ),
    (
        "mysql-check",
        "",
        &[b"\x20\x00\x00\x00\x0a10.11.6-M\x00"],
        (Status::ReplyInvalid, 0, ""),
    ),
    (
        "mysql-check",
        "",
        &[b"\x0b\x00\x00\x00\x0a10.11.6-M\x00"],
        (Status::ReplyOk, 0, "10.11.6-M"),
    ),
    (
        "mysql-check",
        "user u",
        &[b"\x05\x00\x00\x00\x0a9.1\x00\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"],
        (Status::ReplyOk, 0, "9.1"),
    ),
    (
        "mysql-check",
        "user u pre-41",
        &[b"\x05\x00\x00\x00\x0a9.1\x00\x0d\x00\x00\x02\xff\x15\x04go away, u"],
        (Status::ReplyWrong, 1045, "go away, u"),
    ),
    (
        "pgsql-check",
        "user u",
        &[b"R\x00\x00\x00\x08\x00\x00\x00\x00"],
        (Status::ReplyOk, 0, "PostgreSQL server is ok"),
    ),
    (
        "pgsql-check",
        "user u",
        &[b"E\x00\x00\x00\x0bSFATAL\x00"],
        (Status::ReplyInvalid, 0, "FATAL"),
    ),
    (
        "pgsql-check",
        "user u",
        &[b"What do you want?"],
        (Status::ReplyWrong, 0, "PostgreSQL unknown error"),
    ),
    (
        "redis-check",
        "",
        &[b"+PONG\r\n"],
        (Status::ReplyOk, 0, "Redis server is ok"),
    ),
    (
        "redis-check",
        "",
        &[b"-NOAUTH Authentication required.\r\n"],
        (Status::ReplyWrong, 0, "-NOAUTH Authentication required."),
    ),
    (
        "smtpchk",
        "",
        &[b"220 a.example\r\n", b"250 hello\r\n", b"221 farewell\r\n"],
        (Status::ReplyOk, 221, "farewell"),
    ),
    (
        "smtpchk",
        "EHLO b.example",
        &[
            b"220 a.example\r\n",
            b"250-a.example\r\n250-SIZE\r\n250 HELP\r\n",
            b"221 farewell\r\n",
        ],
        (Status::ReplyOk, 221, "farewell"),
    ),
    (
        "smtpchk",
        "HELO b.example",
        &[b"421 not today\r\n"],
        (Status::ReplyWrong, 421, "not today"),
    ),
    (
        "smtpchk",
        "",
        &[b"Good day to you\r\n"],
        (Status::ReplyInvalid, 0, "Good day to you"),
    ),
    (
        "spop-check",
        "",
        &[b"\x00\x00\x00\x36\x65\x00\x00\x00\x01\x00\x00\x07version\x08\x032.0\x0emax-frame-size\x03\xfc\xf0\x06\x0ccapabilities\x08\x00"],
        (Status::ReplyOk, 0, "SPOA server is ok"),
    ),
    (
        "spop-check",
        "",
        &[b"\x00\x00\x00\x07\x65\x00\x00\x00\x00\x00\x00"],
        (Status::ReplyInvalid, 4, "invalid frame received"),
    ),
    (
        "ssl-hello-chk",
        "",
        &[b"\x15\x03\x03\x00\x02\x02\x28"],
        (Status::TlsOk, 0, ""),
    ),
    (
        "ssl-hello-chk",
        "",
        &[b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        (Status::TlsInvalid, 0, ""),
    ),
];

/// Cases whose answer says too little to be judged before it ends.
const ENDS_BY_CLOSING: &[&str] = &["mysql-check", "redis-check"];

fn script(name: &str, line: &str) -> Script {
    let words: Vec<_> = line
        .split_whitespace()
        .map(|text| Word::new(text, Span::default()))
        .collect();
    let mut args = Args::new(&words, Span::default());
    let mut spec = (kind(name).expect("a known kind").read)(&mut args).expect("a good line");
    args.finish().expect("all words are read");
    if name == "httpchk" {
        complete_http(&mut spec);
    }
    Script::new(spec)
}

/// Plays a whole check; answers are cut into pieces of `piece` bytes. `None`: it still listens.
fn play(script: &Script, answers: &[&[u8]], piece: usize, close: bool) -> Option<Verdict> {
    let mut dialogue = script.begin(&Standing::default());
    let mut say = Vec::new();
    let mut step = dialogue.hear(Heard::Begin, &mut say);
    if let Step::Connect(_) = step {
        assert!(
            say.is_empty(),
            "nothing can be said before there is a connection"
        );
        step = dialogue.hear(Heard::Connected { http2: false }, &mut say);
    }
    for answer in answers {
        say.clear();
        for chunk in answer.chunks(piece) {
            match step {
                Step::Listen => step = dialogue.hear(Heard::Bytes(chunk), &mut say),
                _ => break,
            }
        }
    }
    if close && step == Step::Listen {
        step = dialogue.hear(Heard::Closed, &mut say);
    }
    match step {
        Step::Done(verdict) => Some(verdict),
        Step::Listen if !close => None,
        other => panic!("after the end: {other:?}"),
    }
}

#[test]
fn every_kind_is_here_sorted_and_has_cases() {
    assert!(PROBES.is_sorted_by_key(|kind| kind.name));
    for kind in PROBES {
        assert!(!kind.doc.is_empty());
        assert!(
            CASES.iter().any(|case| case.0 == kind.name),
            "{}",
            kind.name
        );
    }
}

#[test]
fn verdicts_do_not_depend_on_how_answers_are_cut() {
    for (name, line, answers, (status, code, info)) in CASES {
        let script = script(name, line);
        for piece in [usize::MAX, 3, 1] {
            let close = ENDS_BY_CLOSING.contains(name);
            let verdict = play(&script, answers, piece, close)
                .unwrap_or_else(|| panic!("{name} {line}: not at its end"));
            assert_eq!(
                (verdict.status, verdict.code),
                (*status, *code),
                "{name} {line}"
            );
            // Words may be told before all of them have come.
            if piece == usize::MAX {
                assert_eq!(
                    String::from_utf8_lossy(&verdict.info),
                    *info,
                    "{name} {line}"
                );
            }
        }
    }
}

#[test]
fn every_early_end_has_a_verdict() {
    for (name, line, answers, _) in CASES {
        let script = script(name, line);
        for turn in 0..answers.len() {
            for end in 0..answers[turn].len() {
                let mut cut = answers[..=turn].to_vec();
                cut[turn] = &answers[turn][..end];
                let verdict = play(&script, &cut, 1, true).expect("closed");
                let info = String::from_utf8_lossy(&verdict.info).into_owned();
                // The words of this kind are for whatever is not an answer, nothing included.
                let empty = cut[turn].is_empty() && *name != "pgsql-check";
                assert!(
                    !empty || info.starts_with("TCPCHK got an empty response"),
                    "{name} {line}, {end} bytes of answer {turn}: {verdict:?}"
                );
            }
        }
    }
}

#[test]
fn what_fills_the_buffer_is_judged_as_it_is() {
    for kind in PROBES
        .iter()
        .filter(|kind| kind.name.ends_with("chk") || kind.name.ends_with("-check"))
    {
        if kind.name == "tcp-check" {
            continue;
        }
        let line = if kind.usage.starts_with("user") {
            "user u"
        } else {
            ""
        };
        // Zeroes end lines, so that agents are flooded with letters.
        let flood = vec![b'A'; 2 * HEARD_BYTES_MAX];
        let verdict = play(&script(kind.name, line), &[&flood], 4_096, false);
        let verdict = verdict.unwrap_or_else(|| panic!("{} listens for ever", kind.name));
        assert!(
            !matches!(verdict.status.class(), Class::Passed),
            "{}",
            kind.name
        );
        assert!(verdict.info.len() <= INFO_BYTES_MAX);
    }
}

fn expect(wanted: Wanted) -> Expectation {
    Expectation::new(wanted)
}

fn steps(flavour: crate::model::check::Flavour, actions: Vec<CheckAction>) -> Script {
    Script::new(CheckSpec {
        flavour,
        steps: actions.into_iter().map(Into::into).collect(),
        ..CheckSpec::default()
    })
}

fn scripted(actions: Vec<CheckAction>) -> Script {
    steps(crate::model::check::Flavour::Script, actions)
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text, false).expect("a pattern")
}

#[test]
fn a_negated_expectation_is_judged_again_with_the_next() {
    let actions = |receive_min| {
        vec![
            CheckAction::Connect(Default::default()),
            CheckAction::Expect(Expectation {
                negated: true,
                receive_min,
                ..expect(Wanted::Regex(pattern("^error")))
            }),
            CheckAction::Expect(expect(Wanted::Text(b"valid".to_vec()))),
        ]
    };
    // Without a minimum the server may still say it: nothing is concluded while it can.
    assert_eq!(play(&scripted(actions(None)), &[b"valid"], 99, false), None);
    let passed = play(&scripted(actions(Some(5))), &[b"valid"], 99, false).expect("concluded");
    assert_eq!(
        (passed.status, passed.info),
        (Status::ReplyOk, b"(tcp-check)".to_vec())
    );
    // With pieces the second expectation waits, and the first sees what came later.
    let failed = play(&scripted(actions(Some(1))), &[b"e", b"rror"], 99, false).expect("concluded");
    assert_eq!(
        String::from_utf8_lossy(&failed.info),
        "TCPCHK matched unwanted content (regex) at step 2"
    );
}

#[test]
fn faults_say_where_the_script_was() {
    let connect = |port| {
        CheckAction::Connect(crate::model::check::CheckConnect {
            port,
            ..Default::default()
        })
    };
    let refused = Fault::Refused("refused".to_owned());
    let script = scripted(vec![connect(Some(80)), connect(Some(81))]);
    let mut dialogue = script.begin(&Standing::default());
    let mut say = Vec::new();
    let dial = |port| {
        Step::Connect(Dial {
            port: Some(port),
            ..Dial::default()
        })
    };
    assert_eq!(dialogue.hear(Heard::Begin, &mut say), dial(80));
    let words = |dialogue: &dyn Dialogue| String::from_utf8(dialogue.fault(&refused).info);
    assert_eq!(
        words(&*dialogue).as_deref(),
        Ok("refused at step 1 of tcp-check (connect port 80)")
    );
    assert_eq!(
        dialogue.hear(Heard::Connected { http2: false }, &mut say),
        dial(81)
    );
    assert_eq!(
        words(&*dialogue).as_deref(),
        Ok("refused at step 2 of tcp-check (connect port 81)")
    );
    let Step::Done(verdict) = dialogue.hear(Heard::Connected { http2: false }, &mut say) else {
        panic!("nothing is left to do");
    };
    assert_eq!(verdict.status, Status::ConnectOk);

    let script = scripted(vec![CheckAction::Expect(expect(Wanted::Text(
        b"hi".to_vec(),
    )))]);
    let mut dialogue = script.begin(&Standing::default());
    dialogue.hear(Heard::Begin, &mut say);
    assert_eq!(
        words(&*dialogue).as_deref(),
        Ok("refused at initial connection step of tcp-check")
    );
    dialogue.hear(Heard::Connected { http2: false }, &mut say);
    let late = dialogue.fault(&Fault::Timeout);
    assert_eq!(late.status, Status::ReplyTimeout);
    assert_eq!(
        String::from_utf8_lossy(&late.info),
        " at step 1 of tcp-check (expect string 'hi')"
    );
}

const RESPONSE: &[u8] =
    b"HTTP/1.1 404 Not Found\r\nX-Test: one, two\r\nContent-Length: 5\r\n\r\nhello";

/// The verdict on [`RESPONSE`].
fn asked(expectation: Expectation, spec: CheckSpec, standing: &Standing) -> Verdict {
    let script = Script::new(CheckSpec {
        flavour: crate::model::check::Flavour::Http,
        steps: vec![
            CheckAction::Ask(Default::default()).into(),
            CheckAction::Expect(expectation).into(),
        ],
        ..spec
    });
    let mut dialogue = script.begin(standing);
    let mut say = Vec::new();
    dialogue.hear(Heard::Begin, &mut say);
    dialogue.hear(Heard::Connected { http2: false }, &mut say);
    assert!(say.starts_with(b"OPTIONS / HTTP/1.0\r\n"));
    for &byte in RESPONSE {
        if let Step::Done(verdict) = dialogue.hear(Heard::Bytes(&[byte]), &mut say) {
            return verdict;
        }
    }
    panic!("the response is whole and nothing is concluded");
}

#[test]
fn responses_are_judged_by_status_field_and_body() {
    let field = |name: TextMatch, value: Option<TextMatch>, whole| {
        Wanted::Field(FieldWanted { name, value, whole })
    };
    let text = |text: &str| TextMatch::Exact(text.to_owned());
    let good: Vec<(Wanted, bool)> = vec![
        (Wanted::Status(vec![(200, 299), (404, 404)]), true),
        (Wanted::Status(vec![(200, 399)]), false),
        (Wanted::StatusRegex(pattern("^4")), true),
        (Wanted::Body(b"ell".to_vec()), true),
        (Wanted::Body(b"hallo".to_vec()), false),
        (Wanted::BodyRegex(pattern("^h.*o$")), true),
        (field(text("x-test"), None, false), true),
        (field(text("x-tes"), None, false), false),
        (
            field(TextMatch::Begins("X-t".to_owned()), None, false),
            true,
        ),
        (
            field(TextMatch::Ends("-TEST".to_owned()), None, false),
            true,
        ),
        (
            field(TextMatch::Contains("-t".to_owned()), None, false),
            true,
        ),
        (field(text("x-test"), Some(text("two")), false), true),
        (field(text("x-test"), Some(text("two")), true), false),
        (field(text("x-test"), Some(text("one, two")), true), true),
        (field(text("x-test"), Some(text("Two")), false), false),
        (
            field(text("x-test"), Some(TextMatch::Regex(pattern("^t"))), false),
            true,
        ),
    ];
    for (wanted, matches) in good {
        for negated in [false, true] {
            let expectation = Expectation {
                negated,
                ..expect(wanted.clone())
            };
            let verdict = asked(expectation, CheckSpec::default(), &Standing::default());
            let passed = verdict.status.class() == Class::Passed;
            assert_eq!(
                passed,
                matches != negated,
                "{wanted:?} {negated}: {verdict:?}"
            );
            assert_eq!(verdict.code, 404);
        }
    }
}

#[test]
fn four_hundred_four_may_mean_stopping() {
    let spec = CheckSpec {
        disable_on_404: true,
        ..CheckSpec::default()
    };
    let good = || expect(Wanted::Status(vec![(200, 399)]));
    let verdict = asked(good(), spec.clone(), &Standing::default());
    assert_eq!(verdict.status, Status::ReplyConditional);
    let down = Standing {
        down: true,
        ..Standing::default()
    };
    assert_eq!(asked(good(), spec, &down).status, Status::ReplyWrong);
}

#[test]
fn requests_carry_what_they_need() {
    let ask = crate::model::check::HttpAsk {
        method: "POST".to_owned(),
        target: "/x".to_owned(),
        version: "HTTP/1.1".to_owned(),
        fields: vec![("Host".to_owned(), "a".to_owned())],
        body: b"body".to_vec(),
    };
    let script = Script::new(CheckSpec {
        flavour: crate::model::check::Flavour::Http,
        steps: vec![CheckAction::Ask(ask).into()],
        send_state: true,
        ..CheckSpec::default()
    });
    assert!(script.wants_report());
    let standing = Standing {
        report: "UP 2/3".to_owned(),
        ..Standing::default()
    };
    let mut dialogue = script.begin(&standing);
    let mut say = Vec::new();
    dialogue.hear(Heard::Begin, &mut say);
    dialogue.hear(Heard::Connected { http2: false }, &mut say);
    assert_eq!(
        String::from_utf8_lossy(&say),
        "POST /x HTTP/1.1\r\nHost: a\r\nX-Haproxy-Server-State: UP 2/3\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"
    );
}

proptest! {
    #[test]
    fn no_answer_is_too_odd(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        piece in 1_usize..50,
        index in 0..CASES.len(),
    ) {
        let (name, line, ..) = CASES[index];
        let verdict = play(&script(name, line), &[&bytes], piece, true);
        prop_assert!(verdict.is_some());
    }
}
