//! One configuration, the same bytes, two programs: whatever can be seen from outside is compared.
//!
//! All cases of a room share one configuration file and run at the same time, each with its own frontend, origins and
//! log receiver, once before the reference and once before ours. `DIFFERENTIAL_ONLY=NAME` runs the cases whose name
//! contains NAME and shows what both did; `PLIMSOLL_HAPROXY` names another reference.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::actor::Actor;
use crate::counts;
use crate::log::Receiver;
use crate::newer::is_newer;
use crate::origin::{Act, Asked, Origin, Script};
use crate::rig::peer::require_peer;
use crate::rig::{PLIMSOLL, Rig, free_address, run};

type Talk = Arc<dyn Fn(&mut Stage) + Send + Sync>;

/// One scene, played before two programs.
#[derive(Clone)]
pub(crate) struct Case {
    name: String,
    bind: String,
    front: String,
    back: String,
    scripts: Vec<Script>,
    talk: Talk,
    lines: Option<usize>,
    exceptions: Vec<(String, String)>,
    unordered: bool,
    refused: bool,
    instead: Option<&'static [&'static str]>,
    whichever: bool,
    counted: bool,
    plain: bool,
}

/// A case whose only origin answers every request with `ok`, until told otherwise.
pub(crate) fn case(name: impl Into<String>) -> Case {
    Case {
        name: name.into(),
        bind: String::new(),
        front: String::new(),
        back: "server s1 {s1}".to_owned(),
        scripts: Vec::new(),
        talk: Arc::new(|_| {}),
        lines: None,
        exceptions: Vec::new(),
        unordered: false,
        refused: false,
        instead: None,
        whichever: false,
        counted: false,
        plain: false,
    }
}

impl Case {
    /// Words behind the address of the frontend's bind; see [`with_certificates`].
    pub(crate) fn bind(mut self, words: &str) -> Self {
        self.bind = with_certificates(words);
        self
    }

    /// Lines of the frontend, separated by `;`, in which `{log}` is where its lines go. `{name}` is the case's name,
    /// here and in the backend.
    pub(crate) fn front(mut self, lines: &str) -> Self {
        self.front = lines.to_owned();
        self
    }

    /// Lines of the backend, separated by `;`, in which `{s1}` is the first origin's address and `{dead}` nobody's.
    pub(crate) fn back(mut self, lines: &str) -> Self {
        self.back = lines.to_owned();
        self
    }

    /// One more origin.
    pub(crate) fn origin(
        mut self,
        script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        self.scripts.push(Script::Http(Arc::new(script)));
        self
    }

    /// That origin in place of those named so far.
    pub(crate) fn origin_instead(
        mut self,
        script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        self.scripts.clear();
        self.origin(script)
    }

    /// One more origin that reads the body and sends the same bytes to every request.
    pub(crate) fn says(self, answer: &str) -> Self {
        let bytes = answer.as_bytes().to_vec();
        self.origin(move |_| vec![Act::Body, Act::Send(bytes.clone())])
    }

    /// One more origin that does the same on every connection.
    pub(crate) fn raw(
        mut self,
        script: impl Fn(usize) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        self.scripts.push(Script::Raw(Arc::new(script)));
        self
    }

    /// What the clients do.
    pub(crate) fn talk(mut self, talk: impl Fn(&mut Stage) + Send + Sync + 'static) -> Self {
        self.talk = Arc::new(talk);
        self
    }

    /// A single client that sends this, reads as many answers, and then until the end of the connection.
    pub(crate) fn sends(self, bytes: impl AsRef<[u8]>, answers: usize) -> Self {
        let bytes = bytes.as_ref().to_vec();
        self.talk(move |stage| {
            let mut client = stage.client();
            client.send(&bytes);
            for _ in 0..answers {
                client.answer();
            }
            client.finish();
            client.rest();
            stage.done(client);
        })
    }

    /// How many log lines come, where it is not one for each answer.
    pub(crate) fn lines(mut self, count: usize) -> Self {
        self.lines = Some(count);
        self
    }

    /// We differ on purpose (`docs/differences.md` says why): what the reference shows as `theirs` is `ours` here.
    pub(crate) fn except(mut self, theirs: &str, ours: &str) -> Self {
        self.exceptions.push((theirs.to_owned(), ours.to_owned()));
        self
    }

    /// The reference lets this pass; we refuse it (`docs/differences.md` says why).
    pub(crate) fn refused(mut self) -> Self {
        self.refused = true;
        self
    }

    /// We do something else on purpose: this, before anything is logged (`docs/differences.md` says why).
    pub(crate) fn instead(mut self, notes: &'static [&'static str]) -> Self {
        self.instead = Some(notes);
        self
    }

    /// Which of several connections a request takes does not matter, only how many there are.
    pub(crate) fn whichever(mut self) -> Self {
        self.whichever = true;
        self
    }

    /// What both have counted is compared as well.
    pub(crate) fn counted(mut self) -> Self {
        self.counted = true;
        self
    }

    /// Lines have no format.
    pub(crate) fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// The order of notes and lines is up to chance.
    pub(crate) fn unordered(mut self) -> Self {
        self.unordered = true;
        self
    }
}

/// Where a case is played: one program's frontend with its origins.
pub(crate) struct Stage {
    address: SocketAddr,
    pub(crate) origins: Vec<Origin>,
    clients: u8,
    notes: Vec<String>,
    answers: usize,
    log: Receiver,
}

impl Stage {
    pub(crate) fn client(&mut self) -> Actor {
        self.clients += 1;
        Actor::connect(char::from(b'a' + (self.clients - 1) % 26), self.address)
    }

    /// Where clients that are programs of their own connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Something that such a client has seen.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Waits for the first line in the log.
    pub(crate) fn wait_for_line(&self) {
        self.log.wait();
    }

    /// A client's part is over; its connection ends with it.
    pub(crate) fn done(&mut self, mut client: Actor) {
        self.notes.append(&mut client.notes);
        self.answers += client.answers;
    }
}

/// One program's set for one case.
struct Set {
    stage: Stage,
}

impl Set {
    fn prepare(case: &Case) -> Self {
        let scripts = match case.scripts.is_empty() {
            true => vec![Script::Http(Arc::new(|_| {
                vec![Act::Body, Act::Send(ok("ok"))]
            }))],
            false => case.scripts.clone(),
        };
        let origins = scripts
            .into_iter()
            .enumerate()
            .map(|(index, script)| Origin::start(&format!("s{}", index + 1), script))
            .collect();
        Self {
            stage: Stage {
                address: free_address(),
                origins,
                clients: 0,
                notes: Vec::new(),
                answers: 0,
                log: Receiver::start(),
            },
        }
    }

    /// The configuration of the case's frontend and backend.
    fn sections(&self, case: &Case) -> String {
        let name = &case.name;
        let mut back = case.back.clone();
        for (index, origin) in self.stage.origins.iter().enumerate() {
            back = back.replace(&format!("{{s{}}}", index + 1), &origin.address.to_string());
        }
        if back.contains("{dead}") {
            back = back.replace("{dead}", &free_address().to_string());
        }
        let indent = |lines: &str| lines.replace(';', "\n    ").replace("{name}", name);
        format!(
            "frontend fe-{name}{}\n    bind {} {}\n    log {} local0\n    {}\n    default_backend be-{name}\n\
             backend be-{name}\n    {}\n",
            if case.plain { " from plain" } else { "" },
            self.stage.address,
            case.bind,
            self.stage.log.address(),
            indent(&case.front).replace("{log}", &self.stage.log.address().to_string()),
            indent(&back),
        )
    }

    /// Plays the clients' part; what was seen, and how many log lines are due.
    fn play(&mut self, case: &Case) -> usize {
        (case.talk)(&mut self.stage);
        case.lines.unwrap_or(self.stage.answers)
    }

    fn transcript(mut self, case: &Case, lines: usize, control: &Path) -> Vec<String> {
        let mut log = self.stage.log.lines(lines);
        let mut transcript = std::mem::take(&mut self.stage.notes);
        for origin in &self.stage.origins {
            let mut notes = origin.notes();
            if case.whichever {
                notes.iter_mut().for_each(hide_connection);
            }
            if case.unordered {
                notes.sort();
            }
            transcript.append(&mut notes);
        }
        if case.unordered {
            log.sort();
        }
        transcript.append(&mut log);
        if case.counted {
            transcript.append(&mut counts::of(control, &case.name));
        }
        transcript
    }
}

/// Words in which `CRT/` is where the certificates that all tests share are.
pub(crate) fn with_certificates(words: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/tests/tls/");
    words.replace("CRT/", folder)
}

/// An answer of 200 with that body.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A request without a body.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

const PREFACE: &str = "global\n    nbthread 1\n    maxconn 2000\n    stats socket CONTROL level admin\n\
    \x20   expose-experimental-directives\n\
    \x20   h1-case-adjust x-name X-NaMe\n    h1-case-adjust content-length CONTENT-LENGTH\n\
    userlist nobody\n    user none insecure-password none\n\
    defaults plain\n    mode http\n    timeout client 4s\n\
    defaults\n    mode http\n    option httplog\n    timeout connect 2s\n    timeout client 4s\n    timeout server 4s\n";

/// How often those that differ are played again, by themselves. What differs because the machine was busy, so that a
/// timeout struck on one side, agrees in one of the plays; what differs by nature never does.
const REPLAYS: usize = 2;

/// Plays all cases before both programs and compares.
///
/// # Panics
/// When anything differs.
pub(crate) fn play(cases: Vec<Case>) {
    let Some(reference) = reference() else { return };
    let version = version(&reference);
    let only = env::var("DIFFERENTIAL_ONLY").ok();
    let cases: Vec<Case> = cases
        .into_iter()
        .filter(|case| {
            only.as_ref().is_none_or(|only| case.name.contains(only))
                && (version.0 >= 3 || !is_newer(&case.name))
        })
        .collect();
    if cases.is_empty() {
        return;
    }
    let count = cases.len();
    let mut differing = play_both(&reference, cases);
    for _ in 0..REPLAYS {
        if !differing.is_empty() {
            let again = differing.into_iter().map(|(case, _)| case);
            differing = play_both(&reference, again.collect());
        }
    }
    let differences: Vec<_> = differing.into_iter().map(|(_, text)| text).collect();
    assert!(
        differences.is_empty(),
        "{} of {count} cases differ from HAProxy {version:?}\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// Plays cases before both; those that differ, and how.
fn play_both(reference: &Path, cases: Vec<Case>) -> Vec<(Case, String)> {
    let (theirs, ours) = thread::scope(|scope| {
        let theirs = scope.spawn(|| play_before(reference, &cases));
        let ours = scope.spawn(|| play_before(Path::new(PLIMSOLL), &cases));
        (theirs.join(), ours.join())
    });
    let theirs = theirs.expect("the reference plays");
    let ours = ours.expect("ours plays");
    let played = cases.into_iter().zip(theirs).zip(ours);
    let differing = played.filter_map(|((case, theirs), ours)| {
        let expected = expected(&case, theirs);
        if env::var_os("DIFFERENTIAL_ONLY").is_some() {
            eprintln!("== {}\n{}", case.name, ours.join("\n"));
        }
        let agrees = match case.refused {
            true => !is_refusal(&expected) && is_refusal(&ours),
            false => match case.instead {
                Some(notes) => expected != ours && ours.iter().take(notes.len()).eq(notes),
                None => expected == ours,
            },
        };
        let text = (!agrees).then(|| difference(&case, &expected, &ours))?;
        Some((case, text))
    });
    differing.collect()
}

pub(crate) fn reference() -> Option<PathBuf> {
    match env::var_os("PLIMSOLL_HAPROXY") {
        Some(path) => Some(path.into()),
        None => require_peer("haproxy"),
    }
}

/// Major and minor number, as in `HAProxy version 2.6.12-1`.
pub(crate) fn version(program: &Path) -> (u32, u32) {
    let said = run(Command::new(program).arg("-v")).stdout;
    let mut numbers = said
        .split_whitespace()
        .nth(2)
        .unwrap_or_default()
        .split(['.', '-'])
        .map_while(|number| number.parse().ok());
    numbers.next().zip(numbers.next()).unwrap_or_default()
}

fn play_before(program: &Path, cases: &[Case]) -> Vec<Vec<String>> {
    let sets: Vec<Set> = cases.iter().map(Set::prepare).collect();
    let sections: String = sets
        .iter()
        .zip(cases)
        .map(|(set, case)| set.sections(case))
        .collect();
    let mut rig = Rig::new();
    // Whether the program is there is asked at an address of its own, and so in nobody's log.
    let ready = free_address();
    let control = rig.path("control.sock");
    let preface = PREFACE.replace("CONTROL", &control.display().to_string());
    let text = format!("{preface}{sections}frontend ready\n    bind {ready}\n");
    rig.serve(program, &text, ready);
    thread::scope(|scope| {
        let plays: Vec<_> = sets
            .into_iter()
            .zip(cases)
            .map(|(mut set, case)| {
                let control = &control;
                scope.spawn(move || {
                    let lines = set.play(case);
                    set.transcript(case, lines, control)
                })
            })
            .collect();
        let transcript = |play: thread::ScopedJoinHandle<'_, _>| match play.join() {
            Ok(transcript) => transcript,
            Err(_) => vec!["the case could not be played".to_owned()],
        };
        plays.into_iter().map(transcript).collect()
    })
}

fn expected(case: &Case, mut theirs: Vec<String>) -> Vec<String> {
    for (from, to) in &case.exceptions {
        for note in &mut theirs {
            *note = note.replace(from, to);
        }
    }
    theirs
}

/// Turns `s1#4 GET …` into `s1 GET …`.
fn hide_connection(note: &mut String) {
    if let Some((name, rest)) = note.split_once('#') {
        let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        *note = format!("{name}{rest}");
    }
}

/// Whether the first thing that the client saw was an error.
fn is_refusal(transcript: &[String]) -> bool {
    let first = transcript.first().map(String::as_str).unwrap_or_default();
    first.starts_with("a: HTTP/1.1 4") || first.starts_with("a: HTTP/1.1 5")
}

fn difference(case: &Case, theirs: &[String], ours: &[String]) -> String {
    let mut text = format!("---- {}\n", case.name);
    for index in 0..theirs.len().max(ours.len()) {
        let (their, our) = (theirs.get(index), ours.get(index));
        if their == our {
            text += &format!("    {}\n", their.map_or("", String::as_str));
            continue;
        }
        for (who, note) in [("theirs", their), ("ours  ", our)] {
            text += &format!("{who}: {}\n", note.map_or("-", String::as_str));
        }
    }
    text
}

/// A moment for things to be on their way, in cases where their order is no matter of correctness but of comparing.
pub(crate) fn moment() {
    thread::sleep(Duration::from_millis(30));
}
