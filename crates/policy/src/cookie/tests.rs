//! Cookies on their way in and out, mode by mode.

use super::*;
use crate::model::{ServerAddress, ServerPort};

const NOW_S: u64 = 1_700_000_000;

fn servers() -> Vec<Server> {
    let address = ServerAddress::Inet {
        ip: "127.0.0.1".parse().unwrap(),
        port: ServerPort::Fixed(80),
    };
    let server = |name: &str, cookie: Option<&str>| Server {
        cookie: cookie.map(str::to_owned),
        ..Server::new(name, address.clone())
    };
    // The second is down; the fourth shares its cookie.
    vec![
        server("one", Some("s1")),
        server("two", Some("s2")),
        server("none", None),
        server("spare", Some("s2")),
    ]
}

fn spec(mode: CookieMode) -> CookieSpec {
    CookieSpec {
        name: "SRV".into(),
        mode,
        ..CookieSpec::default()
    }
}

fn head(fields: &[(&str, &str)]) -> Head {
    let mut head = Head {
        status: 200,
        ..Head::default()
    };
    for (name, value) in fields {
        assert!(head.add(name.as_bytes(), value.as_bytes()));
    }
    head
}

/// Reads a request; returns the letters, the server, and the field as it goes on.
fn read(
    spec: &CookieSpec,
    cookie: &str,
    change: fn(&mut Asked<'_>),
) -> (CookieFacts, Option<u32>, Option<String>) {
    let servers = servers();
    let mut asked = Asked {
        servers: &servers,
        keeps_clients: &|id| id != ServerId(1),
        force: false,
        ignore: false,
        assigned: false,
        unix_s: NOW_S,
    };
    change(&mut asked);
    let mut head = head(&[("cookie", cookie)]);
    let (facts, server) = spec.read_request(&mut head, &asked);
    let left = head
        .value(b"cookie")
        .map(|value| String::from_utf8_lossy(value).into_owned());
    (facts, server.map(|id| id.0), left)
}

#[test]
fn requests_lead_to_their_server() {
    use CookieMode::{Insert, Passive, Prefix};
    let insert = spec(Insert);
    for (cookie, letter, server) in [
        ("a=1", 'N', None),
        ("SRV=s1", 'V', Some(0)),
        ("a=1; SRV=s1; b=2", 'V', Some(0)),
        ("srv=s1", 'N', None),
        ("SRV=", 'I', None),
        ("SRV=s9", 'I', None),
        // One is down, another of the same cookie is not.
        ("SRV=s2", 'V', Some(3)),
        ("SRV=s1; SRV=s2", 'U', Some(0)),
    ] {
        let (facts, found, left) = read(&insert, cookie, |_| {});
        let shown = char::from(facts.seen.letter());
        assert_eq!(
            (shown, found, left.as_deref()),
            (letter, server, Some(cookie)),
            "{cookie}"
        );
    }
    let down = |asked: &mut Asked<'_>| asked.keeps_clients = &|_| false;
    let (facts, found, _) = read(&insert, "SRV=s2", down);
    assert_eq!(
        (facts.seen, found, facts.direct),
        (CookieSeen::Down, None, false)
    );
    let (facts, found, _) = read(&insert, "SRV=s2", |asked| {
        asked.keeps_clients = &|_| false;
        asked.force = true;
    });
    assert_eq!(
        (facts.seen, found, facts.direct),
        (CookieSeen::Down, Some(1), true)
    );
    let (facts, found, _) = read(&insert, "SRV=s1", |asked| asked.ignore = true);
    assert_eq!((facts.seen, found), (CookieSeen::Unused, None));
    let (facts, found, left) = read(&spec(Prefix), "a=1; SRV=s1~x=y; b=2", |_| {});
    assert_eq!((facts.seen, found), (CookieSeen::Valid, Some(0)));
    assert_eq!(left.as_deref(), Some("a=1; SRV=x=y; b=2"));
    let (facts, found, _) = read(&spec(Passive), "SRV=s1", |_| {});
    assert_eq!((facts.seen, found), (CookieSeen::Unchecked, Some(0)));
}

#[test]
fn indirect_cookies_are_for_us_alone() {
    let indirect = CookieSpec {
        indirect: true,
        ..spec(CookieMode::Insert)
    };
    for (cookie, left) in [
        ("SRV=s1", None),
        ("a=1; SRV=s1", Some("a=1")),
        ("SRV=s1; a=1", Some("a=1")),
        ("a=1; SRV=s1; b=2", Some("a=1; b=2")),
    ] {
        assert_eq!(
            read(&indirect, cookie, |_| {}).2.as_deref(),
            left,
            "{cookie}"
        );
    }
}

#[test]
fn cookies_grow_old() {
    let limited = CookieSpec {
        idle_s_max: 60,
        life_s_max: 600,
        ..spec(CookieMode::Insert)
    };
    let dated = |last_s: u64, first_s: u64| {
        let mut text = b"SRV=s1|".to_vec();
        date::write(last_s, &mut text);
        text.push(b'|');
        date::write(first_s, &mut text);
        String::from_utf8(text).unwrap()
    };
    for (last_s, first_s, seen, found) in [
        (NOW_S - 30, NOW_S - 300, CookieSeen::Valid, Some(0)),
        (NOW_S - 90, NOW_S - 300, CookieSeen::Expired, None),
        (NOW_S - 30, NOW_S - 900, CookieSeen::Old, None),
        (NOW_S + 90_000, NOW_S - 300, CookieSeen::Expired, None),
    ] {
        let (facts, server, _) = read(&limited, &dated(last_s, first_s), |_| {});
        assert_eq!((facts.seen, server), (seen, found), "{last_s} {first_s}");
    }
}

/// Writes a response of the first server, or of another; returns the letter and the fields.
fn written(
    spec: &CookieSpec,
    fields: &[(&str, &str)],
    server: usize,
    mut facts: CookieFacts,
) -> (char, Vec<String>) {
    let mut head = head(fields);
    assert!(spec.write_response(&mut head, b"GET", &servers()[server], &mut facts, NOW_S));
    let values = head
        .fields()
        .filter(|(name, _)| *name == b"set-cookie" || *name == b"cache-control");
    let values = values.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
    (char::from(facts.set.letter()), values.collect())
}

/// Checks what is shown in the log and which fields a response has afterwards.
#[track_caller]
fn check(
    spec: &CookieSpec,
    fields: &[(&str, &str)],
    server: usize,
    facts: CookieFacts,
    letter: char,
    expected: &[&str],
) {
    let (shown, values) = written(spec, fields, server, facts);
    assert_eq!(
        (shown, values.iter().map(String::as_str).collect::<Vec<_>>()),
        (letter, expected.to_vec())
    );
}

#[test]
fn responses_get_their_cookie() {
    use CookieMode::{Insert, Passive, Prefix, Rewrite};
    let fresh = CookieFacts {
        set: CookieSet::None,
        ..CookieFacts::default()
    };
    let direct = CookieFacts {
        direct: true,
        ..fresh
    };
    let own = [("set-cookie", "SRV=x; path=/a")];
    let other = [("set-cookie", "a=SRV; SRV=1")];
    let insert = spec(Insert);
    check(&insert, &[], 0, fresh, 'I', &["SRV=s1; path=/"]);
    check(&insert, &[], 0, direct, 'N', &[]);
    check(&insert, &own, 0, fresh, 'I', &["SRV=s1; path=/"]);
    check(&insert, &own, 0, direct, 'D', &[]);
    check(
        &insert,
        &other,
        0,
        fresh,
        'I',
        &["a=SRV; SRV=1", "SRV=s1; path=/"],
    );
    let gone = "SRV=; Expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/";
    check(&insert, &[], 2, fresh, 'I', &[gone]);
    check(&spec(Rewrite), &own, 0, fresh, 'R', &["SRV=s1; path=/a"]);
    check(&spec(Rewrite), &[], 0, fresh, 'N', &[]);
    check(&spec(Prefix), &own, 0, fresh, 'R', &["SRV=s1~x; path=/a"]);
    check(
        &spec(Passive),
        &own,
        0,
        CookieFacts::default(),
        '-',
        &["SRV=x; path=/a"],
    );
}

#[test]
fn options_decide_whether_a_cookie_is_given() {
    use CookieMode::Insert;
    let fresh = CookieFacts {
        set: CookieSet::None,
        ..CookieFacts::default()
    };
    let own = [("set-cookie", "SRV=x; path=/a")];
    let insert = spec(Insert);
    let preserving = CookieSpec {
        preserve: true,
        ..spec(Insert)
    };
    check(&preserving, &own, 0, fresh, 'P', &["SRV=x; path=/a"]);
    let posted = CookieSpec {
        post_only: true,
        ..spec(Insert)
    };
    check(&posted, &[], 0, fresh, 'N', &[]);
    let ignored = CookieFacts {
        ignored: true,
        ..fresh
    };
    check(&insert, &own, 0, ignored, 'N', &["SRV=x; path=/a"]);
    let whole = CookieSpec {
        no_cache: true,
        attributes: "; domain=.a.example; HttpOnly; Secure".into(),
        ..spec(Insert)
    };
    let text = "SRV=s1; path=/; domain=.a.example; HttpOnly; Secure";
    check(&whole, &[("etag", "1")], 0, fresh, 'I', &[text, "private"]);
    check(
        &whole,
        &[("expires", "0"), ("pragma", "no-cache")],
        0,
        fresh,
        'I',
        &[text],
    );
}

#[test]
fn dates_are_given_renewed_and_taken_back() {
    let limited = CookieSpec {
        idle_s_max: 60,
        life_s_max: 600,
        ..spec(CookieMode::Insert)
    };
    let known = CookieFacts {
        direct: true,
        set: CookieSet::None,
        first_s: NOW_S - 300,
        last_s: NOW_S - 30,
        ..CookieFacts::default()
    };
    let (letter, values) = written(&limited, &[], 0, known);
    let dates: Vec<_> = values[0].split(['|', ';']).skip(1).take(2).collect();
    assert_eq!(letter, 'U');
    assert_eq!(date::read(dates[0].as_bytes()), (NOW_S + 3) & !3);
    assert_eq!(date::read(dates[1].as_bytes()), NOW_S - 300);
    let (letter, values) = written(&spec(CookieMode::Insert), &[], 0, known);
    assert_eq!(
        (letter, values.as_slice()),
        ('U', &["SRV=s1; path=/".to_owned()][..])
    );
}
