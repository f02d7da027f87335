//! Paths through certificates that `tests/tls` holds, with signatures that are taken as told.

use super::*;

fn file(name: &str) -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/tests/tls/");
    let pem = std::fs::read(format!("{folder}{name}")).expect("a certificate for tests");
    certificate::authorities(&pem).expect("PEM")
}

/// A moment when the certificates for tests are valid.
fn valid_s(der: &[u8]) -> i64 {
    let parsed = certificate::parse(der).expect("a certificate");
    parsed.validity().not_before.timestamp() + 1
}

fn ask(own: &[u8], anchors: &[Vec<u8>], now_s: i64, purpose: Purpose, sound: bool) -> Judgement {
    let question = Question {
        own,
        chain: Vec::new(),
        anchors: anchors.iter().map(Vec::as_slice).collect(),
        lists: Vec::new(),
        now_s,
        purpose,
    };
    judge(&question, &|signed| {
        assert!(!signed.key.is_empty() && !signed.signature.is_empty());
        sound
    })
}

#[test]
fn a_path_leads_to_an_authority_or_is_told_why_not() {
    let (site, client, other) = (
        &file("site.pem")[0],
        &file("client.pem")[0],
        file("self.pem"),
    );
    let authority = file("ca.pem");
    let now_s = valid_s(client)
        .max(valid_s(site))
        .max(valid_s(&authority[0]));
    let numbers = |judgement: Judgement| -> Vec<(u32, u32)> {
        let faults = judgement.faults.iter();
        faults.map(|fault| (fault.number, fault.depth)).collect()
    };
    let believed = ask(client, &authority, now_s, Purpose::Client, true);
    assert_eq!(believed.root.as_deref(), Some(authority[0].as_slice()));
    assert_eq!(numbers(believed), []);
    let forged = ask(client, &authority, now_s, Purpose::Client, false);
    assert_eq!(numbers(forged), [(number::BAD_SIGNATURE, 0)]);
    let stranger = ask(client, &other, now_s, Purpose::Client, true);
    assert_eq!(
        numbers(stranger),
        [(number::NO_LOCAL_ISSUER, 0), (number::LEAF_ALONE, 0)]
    );
    let alone = ask(
        &other[0],
        &authority,
        valid_s(&other[0]),
        Purpose::Server,
        true,
    );
    assert_eq!(numbers(alone), [(number::SELF_SIGNED, 0)]);
    let pinned = ask(&other[0], &other, valid_s(&other[0]), Purpose::Server, true);
    assert_eq!(numbers(pinned), []);
    let early = ask(client, &authority, 0, Purpose::Client, true);
    let expected = [(number::NOT_YET_VALID, 1), (number::NOT_YET_VALID, 0)];
    assert_eq!(numbers(early), expected);
    let late = ask(client, &authority, i64::MAX, Purpose::Client, true);
    assert_eq!(numbers(late), [(number::EXPIRED, 1), (number::EXPIRED, 0)]);
}

#[test]
fn without_its_list_nobody_is_known_not_to_be_revoked() {
    let (client, authority) = (&file("client.pem")[0], file("ca.pem"));
    let question = Question {
        own: client,
        chain: Vec::new(),
        anchors: authority.iter().map(Vec::as_slice).collect(),
        lists: vec![b"no list"],
        now_s: valid_s(client),
        purpose: Purpose::Client,
    };
    let faults = judge(&question, &|_| true).faults;
    let expected = Fault {
        number: number::NO_REVOCATION_LIST,
        depth: 0,
    };
    assert_eq!(faults, [expected]);
}

#[test]
fn names_fit_whole_or_by_one_label() {
    let site = &file("site.pem")[0];
    let parsed = certificate::parse(site).expect("a certificate");
    for (host, fits) in [
        ("site.test", true),
        ("SITE.test", true),
        ("a.site.test", true),
        ("a.b.site.test", false),
        (".site.test", false),
        ("other.test", false),
    ] {
        assert_eq!(is_for(&parsed, host), fits, "{host}");
    }
}

#[test]
fn any_bytes_are_a_fault_and_no_panic() {
    let client = &file("client.pem")[0];
    for end in 0..client.len() {
        let judgement = ask(&client[..end], &[], 0, Purpose::Client, true);
        assert!(!judgement.faults.is_empty());
        let _ = element(&client[end..]);
    }
}
