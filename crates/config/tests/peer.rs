//! HAProxy as a judge: both read the same random lines, and must agree on every word and every refusal.
//!
//! `.notice` makes HAProxy say what it understood. Skipped without HAProxy, unless `PLIMSOLL_REQUIRE_PEERS` is set.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use plimsoll_config::condition;
use plimsoll_config::diagnostic::Severity;
use plimsoll_config::haproxy;
use plimsoll_config::source::Environment;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

const VARIABLES: [(&str, &str); 3] = [("A", "one"), ("E", ""), ("L", "x  y")];

/// HAProxy gives up after 50 errors in a file.
const ERRORS_PER_FILE: usize = 40;

/// Whether HAProxy is there.
#[expect(clippy::print_stderr, reason = "a skip has to be seen")]
fn haproxy_installed() -> bool {
    let found = Command::new("haproxy")
        .arg("-v")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_ok() {
        return true;
    }
    let required = std::env::var_os("PLIMSOLL_REQUIRE_PEERS").is_some_and(|set| set == "1");
    assert!(
        !required,
        "haproxy is not installed, and peers are required"
    );
    eprintln!("SKIPPED: haproxy is not installed");
    false
}

fn haproxy(args: &[&str]) -> std::process::Output {
    Command::new("haproxy")
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(VARIABLES)
        .output()
        .expect("haproxy runs")
}

/// What became of each line: the message, or `None` for a refusal.
type Outcomes = BTreeMap<u32, Option<String>>;

fn ours(text: &str) -> Outcomes {
    let mut environment: Environment = VARIABLES.into_iter().collect();
    let parsed = haproxy::parse_text(
        "t.cfg",
        text,
        &mut environment,
        &support::GRAMMAR,
        &support::Claims,
    );
    let outcomes = parsed.diagnostics.iter().map(|problem| {
        let line = parsed
            .sources
            .location(problem.span.file, problem.span.start);
        let message = (problem.severity == Severity::Note).then(|| problem.message.clone());
        (line.line, message)
    });
    outcomes.collect()
}

fn theirs(text: &str, path: &Path) -> Outcomes {
    std::fs::write(path, text).expect("a temporary file can be written");
    let path = path.to_str().expect("its path is plain");
    let output = haproxy(&["-c", "-f", path]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let place = format!("parsing [{path}:");
    said.lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(&place)?;
            let (number, rest) = rest.split_once("]: ")?;
            let message = rest
                .strip_prefix('\'')
                .and_then(|rest| rest.strip_suffix("'."));
            let message = message.filter(|_| line.starts_with("[NOTICE]"));
            Some((number.parse().ok()?, message.map(str::to_owned)))
        })
        .collect()
}

fn random_lines(pattern: &str, count: usize) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::string::string_regex(pattern).expect("the pattern is valid");
    let mut line = || {
        strategy
            .new_tree(&mut runner)
            .expect("it generates")
            .current()
    };
    (0..count).map(|_| line()).collect()
}

#[test]
fn words_agree_with_haproxy() {
    if !haproxy_installed() {
        return;
    }
    // Versions differ in what a list makes of nothing, so lists have a value here.
    let pattern = r##"([ab#\[{}'\-]|\\|"|'|\$\{?(A|E|L|N|[a1.])|-d|\}| |\t|\\(x4[1a]|x|n|["'\\# $])|"\$\{[ALEN](-(d|d e)?)?\}"|"\$\{(A\[\*\]|L\[\*\]-?|[LN]\[\*\]-d( e)?)\}"){1,12}"##;
    let lines = random_lines(pattern, 3000);
    let alone = |line: &String| ours(&format!(".notice {line}\n"));
    // HAProxy prints control characters as they are; such messages cannot be told apart line by line.
    let (good, bad): (Vec<_>, Vec<_>) = lines
        .iter()
        .filter(|line| !line.contains("\\n"))
        .partition(|line| alone(line).get(&1).is_some_and(Option::is_some));
    assert!(
        good.len() > 300 && bad.len() > 300,
        "{} {}",
        good.len(),
        bad.len()
    );
    let folder = std::env::temp_dir().join(format!("plimsoll-words-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
    let path = folder.join("t.cfg");
    let mut differing = String::new();
    let files = std::iter::once(&good[..]).chain(bad.chunks(ERRORS_PER_FILE).take(15));
    for lines in files {
        let text: String = lines
            .iter()
            .map(|line| format!(".notice {line}\n"))
            .collect();
        let (ours, theirs) = (ours(&text), theirs(&text, &path));
        for (index, line) in lines.iter().enumerate() {
            let number = index as u32 + 1;
            if ours.get(&number) != theirs.get(&number) {
                let (ours, theirs) = (ours.get(&number), theirs.get(&number));
                differing.push_str(&format!("{line:?}: ours {ours:?}, HAProxy's {theirs:?}\n"));
            }
        }
    }
    std::fs::remove_dir_all(&folder).expect("the temporary folder can be removed");
    assert!(differing.is_empty(), "{differing}");
}

#[test]
fn conditions_agree_with_haproxy() {
    if !haproxy_installed() {
        return;
    }
    let pattern = r##"(!? ?([012]|-1|0x0|streq\("?\$?A"?,(one|"one"|A)\)|defined\([AN]\)|strneq\(one,\\?A\)|\(1 (&&|\|\|) 0\)|\(|junk)\)?( ?(&&|\|\|)? ?)){1,4}"##;
    let environment: Environment = VARIABLES.into_iter().collect();
    let mut differing = String::new();
    for text in random_lines(pattern, 300) {
        let ours = match condition::evaluate(&text, &support::Claims, &environment) {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(_) => 2,
        };
        let theirs = haproxy(&["-cc", &text]).status.code();
        if theirs != Some(ours) {
            differing.push_str(&format!("{text:?}: ours {ours}, HAProxy's {theirs:?}\n"));
        }
    }
    assert!(differing.is_empty(), "{differing}");
}
