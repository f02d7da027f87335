//! Commands that change or tell something small: each over its socket, with its effect.

use serde_json::Value;

use crate::rig::{Rig, ask, until};

#[test]
fn computed_cookies_come_and_go() {
    let mut rig = Rig::new();
    let (one, socket) = (rig.origin("one"), rig.path("c"));
    rig.config(&format!(
        "global\n    stats socket {} level admin\ndefaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    \
         timeout server 1m\nfrontend web\n    bind {{listen}}\n    default_backend app\nbackend plain\nbackend app\n    \
         cookie SRV insert\n    {}\n",
        socket.display(),
        one.server_line(),
    ));
    let cookie = |rig: &Rig| {
        let response = rig.get("/");
        let cookie = response.field("set-cookie")?;
        // A server without a value takes the client's back.
        (!cookie.starts_with("SRV=;")).then(|| cookie.to_owned())
    };
    assert_eq!(cookie(&rig), None);
    assert_eq!(
        ask(&socket, "set dynamic-cookie-key backend app first"),
        "\n"
    );
    assert_eq!(cookie(&rig), None);
    assert_eq!(ask(&socket, "enable dynamic-cookie backend app"), "\n");
    let first = cookie(&rig).expect("a cookie");
    assert!(first.starts_with("SRV=") && first.len() >= 20, "{first}");
    assert_eq!(
        ask(&socket, "set dynamic-cookie-key backend app second"),
        "\n"
    );
    assert_ne!(cookie(&rig), Some(first));
    assert_eq!(ask(&socket, "disable dynamic-cookie backend app"), "\n");
    assert_eq!(cookie(&rig), None);
    let refused = ask(&socket, "enable dynamic-cookie backend plain");
    assert_eq!(refused, "This backend has no 'cookie' line.\n\n");
}

#[test]
fn what_was_said_of_the_configuration_is_said_again() {
    let mut rig = Rig::new();
    let socket = rig.path("c");
    rig.config(&format!(
        "global\n    stats socket {}\nfrontend web\n    mode http\n    bind {{listen}}\n    timeout client 1m\n    \
         http-request return status 200\n    log 127.0.0.1:1 local0\n    option httplog\n    monitor-uri /x\n    default_backend b\n\
         backend b\n    mode http\n    server s 127.0.0.1:9\n",
        socket.display(),
    ));
    let told = ask(&socket, "show startup-logs");
    assert!(
        told.contains("warning") && told.contains("timeout connect"),
        "{told}"
    );
}

/// The schema has all that statistics have, and requires nothing else.
#[test]
fn statistics_follow_their_schema() {
    let mut rig = Rig::new();
    let socket = rig.path("c");
    rig.config(&format!(
        "global\n    stats socket {}\nlisten web\n    mode http\n    bind {{listen}}\n    timeout client 1m\n    \
         timeout connect 20s\n    timeout server 1m\n    server s 127.0.0.1:9\n",
        socket.display(),
    ));
    let json =
        |command: &str| -> Value { serde_json::from_str(&ask(&socket, command)).expect("JSON") };
    let schema = json("show schema json");
    let definitions = &schema["definitions"];
    let allows =
        |list: &Value, word: &Value| list["enum"].as_array().expect("words").contains(word);
    let fact = |fact: &Value| {
        for name in definitions["fact"]["required"].as_array().expect("names") {
            assert!(fact.get(name.as_str().expect("a name")).is_some(), "{fact}");
        }
        for tag in ["origin", "nature", "scope"] {
            let known = &definitions["tags"]["properties"][tag];
            assert!(allows(known, &fact["tags"][tag]), "{fact}");
        }
        let kinds = definitions["typedValue"]["oneOf"]
            .as_array()
            .expect("kinds");
        let mut kinds = kinds.iter().map(|kind| &kind["properties"]["type"]);
        assert!(
            kinds.any(|kind| allows(kind, &fact["value"]["type"])),
            "{fact}"
        );
    };
    json("show info json")
        .as_array()
        .expect("facts")
        .iter()
        .for_each(fact);
    let rows = json("show stat json");
    let cells = rows
        .as_array()
        .expect("rows")
        .iter()
        .flat_map(|row| row.as_array().expect("cells"));
    for cell in cells {
        fact(cell);
        let kinds = &definitions["cell"]["allOf"][1]["properties"]["objType"];
        assert!(allows(kinds, &cell["objType"]), "{cell}");
    }
}

#[test]
fn memory_that_is_kept_is_told() {
    let mut rig = Rig::new();
    let (one, socket) = (rig.origin("one"), rig.path("c"));
    rig.config(&format!(
        "global\n    stats socket {}\nlisten web\n    mode http\n    bind {{listen}}\n    timeout client 1m\n    \
         timeout connect 20s\n    timeout server 1m\n    http-reuse always\n    {}\n",
        socket.display(),
        one.server_line(),
    ));
    assert_eq!(rig.get("/").status, 200);
    let mut told = String::new();
    let kept = until(|| {
        told = ask(&socket, "show pools");
        let has = |name: &str| {
            told.lines()
                .any(|line| line.contains(name) && !line.contains(": 0 allocated"))
        };
        has("Pool head ") && has("Pool idle_conn ")
    });
    assert!(kept, "{told}");
}

#[test]
fn counters_that_cannot_be_read_are_told_and_left_out() {
    for (text, problem) in [
        (
            Some("GIF89a"),
            "line 1: it does not begin as a file of counters does",
        ),
        (
            Some("#fe guid,stot,\n? ?\nfe:1,41,\n"),
            "line 2: it does not begin with a guid",
        ),
        (None, "no counters from "),
    ] {
        let mut rig = Rig::new();
        let (file, socket) = (rig.path("stats"), rig.path("c"));
        if let Some(text) = text {
            rig.file("stats", text);
        }
        rig.config(&format!(
            "global\n    stats socket {}\n    stats-file {}\nfrontend web\n    mode http\n    guid fe:1\n    \
             bind {{listen}}\n    timeout client 1m\n    http-request return status 204\n",
            socket.display(),
            file.display(),
        ));
        assert!(
            until(|| rig.binary().said().contains(problem)),
            "{}",
            rig.binary().said()
        );
        assert_eq!(rig.get("/").status, 204);
        let dumped = ask(&socket, "dump stats-file");
        let count = dumped.lines().find_map(|line| line.strip_prefix("fe:1,"));
        let count = count.and_then(|line| line.split(',').next()?.parse::<u64>().ok());
        let least = if text.is_some_and(|text| text.contains("41")) {
            42
        } else {
            1
        };
        let count = count.expect("a line");
        assert!((least..least + 9).contains(&count), "{dumped}");
        // What is recalled has happened to another process, and is no rate of this one.
        let stat = ask(&socket, "show stat");
        let line = stat
            .lines()
            .find(|line| line.starts_with("web,FRONTEND"))
            .expect("a row");
        let rate_max: u64 = line
            .split(',')
            .nth(35)
            .expect("a column")
            .parse()
            .expect("a number");
        assert!(rate_max < 40, "{line}");
    }
}

#[test]
fn connections_stay_open_with_a_prompt_or_without() {
    let mut rig = Rig::new();
    let socket = rig.path("c");
    rig.config(&format!(
        "global\n    stats socket {}\nfrontend web\n    mode http\n    bind {{listen}}\n    timeout client 1m\n    \
         http-request return status 204\n",
        socket.display(),
    ));
    let said = ask(&socket, "prompt i\necho a\nquit\n");
    assert_eq!(said, "\na\n\n");
    let said = ask(&socket, "prompt\necho a\nprompt timed\necho b\nquit\n");
    assert!(said.starts_with("\n> a\n\n> \n[0:00:00:"), "{said}");
    assert!(said.contains("]> b\n\n[0:00:00:"), "{said}");
}
