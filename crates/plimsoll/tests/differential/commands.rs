//! Commands about maps, ACLs and stick tables, asked of HAProxy and of Plimsoll, with requests between them: the answers
//! of both are compared.
//!
//! `commands.txt` has one step a line: `> LINE` is a command, with a payload behind it where lines begin with `| `;
//! `? TARGET` a request from which the body is compared. `{N}` is the reference of entry N of the last list shown. A line
//! with a tab says why ours is another one, which then must differ.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::rig::{PLIMSOLL, Rig, ask, free_address, until};
use crate::stage::{reference, version};

const STEPS: &str = include_str!("commands.txt");

fn configuration(rig: &Rig, address: SocketAddr) -> String {
    let file = |name: &str, text: &str| rig.file(name, text).display().to_string();
    let names = file(
        "names",
        "# comment\n\nalpha one\nal   two words \nbeta\nalpha three\n",
    );
    // A file of its own: HAProxy's cache mixes up what `map_end` and `map_sub` find in one.
    let parts = file("parts", "alpha one\nal two\n");
    let numbers = file("numbers", "alpha 1\nbeta -2\n");
    let nets = file(
        "nets",
        "10.0.0.0/8 wide\n10.1.0.0/16 narrow\n10.1.0.0/255.0.255.0 gaps\n2001:db8::/32 six\n",
    );
    let hosts = file("hosts", "a.example\nb.example\nB.example\n");
    let regs = file("regs", "^/user/([a-z]+)/(\\d+) /u/\\2/\\1\n^/x fixed\n");
    let sizes = file("sizes", "1:9 few\n10 ten\n-5 low\n");
    let socket = rig.path("socket");
    format!(
        "global\n stats socket {socket} level admin\n\
         defaults\n mode http\n timeout client 1m\n timeout server 1m\n timeout connect 20s\n\
         frontend fe\n bind {address}\n\
         acl host hdr(host) -i -f {hosts}\n acl path_x path_beg /x /y\n acl numbered path -u 40 /z\n\
         acl empty path -f opt@{nothing}\n acl any src -f virt@any\n acl mapped path -M -f {names}\n\
         http-request set-map({numbers}) %[url_param(key)] %[url_param(value)] if {{ path /set }}\n\
         http-request del-map({numbers}) %[url_param(key)] if {{ path /del }}\n\
         http-request add-acl({hosts}) %[url_param(key)] if {{ path /add }}\n\
         http-request del-acl({hosts}) %[url_param(key)] if {{ path /drop }}\n\
         http-request track-sc0 url_param(user) table users if {{ path /track }}\n\
         http-request sc-inc-gpc0(0) if {{ path /track }}\n\
         http-request return status 200 content-type text/plain lf-string \"\
         %[url_param(key),map_str({names},-)] %[url_param(key),map_beg({names},-)] %[url_param(key),map_end({names},-)] \
         %[url_param(key),map_dom({names},-)] %[url_param(key),map_sub_key({parts})] %[url_param(key),map_str_int({numbers},7)] \
         %[url_param(ip),map_ip({nets},-)] %[url_param(key),map_regm({regs},-)] %[url_param(key),map_int({sizes},-)] \
         %[url_param(host),map_str(virt@made,-)]\" if host or path_x or numbered or empty or any or mapped or TRUE\n\
         backend srvs\n server s1 127.0.0.1:9 weight 5\n\
         backend users\n stick-table type string len 16 size 100 store gpc0,http_req_rate(10s),gpt0,server_id\n\
         backend addresses\n stick-table type ip size 100 expire 1h store conn_cnt,bytes_in_cnt,gpc(2)\n\
         backend numbers\n stick-table type integer size 100 store gpc0,gpc0_rate(1m)\n\
         backend bytes\n stick-table type binary len 4 size 100 store gpc0\n",
        socket = socket.display(),
        nothing = rig.path("nothing").display(),
    )
}

/// What a program answers to each step.
fn answers(program: &Path) -> Vec<(String, String)> {
    let address = free_address();
    let mut rig = Rig::new();
    let text = configuration(&rig, address);
    rig.serve(program, &text, address);
    let folder = rig.path("");
    let folder = folder.display().to_string();
    let (mut answers, mut references) = (Vec::new(), Vec::<String>::new());
    let mut changed = false;
    let mut lines = STEPS.lines().peekable();
    while let Some(line) = lines.next() {
        let step = line.split('\t').next().unwrap_or_default();
        let mut step = step.replace("DIR/", &folder);
        for (number, reference) in references.iter().enumerate() {
            step = step.replace(&format!("{{{number}}}"), reference);
        }
        let answer = if let Some(command) = step.strip_prefix("> ") {
            let mut text = command.to_owned();
            while let Some(more) = lines.next_if(|line| line.starts_with("| ")) {
                // Writing into a String cannot fail.
                let _ = write!(text, "\n{}", &more[2..]);
            }
            if text != command {
                text.push('\n');
            }
            let answer = settled(&rig.path("socket"), &text);
            if answer.contains("0x") {
                references = answer.lines().filter_map(reference_of).collect();
            }
            plain(&answer, &folder, changed)
        } else if let Some(target) = step.strip_prefix("? ") {
            rig.get(target).text()
        } else {
            continue;
        };
        answers.push((line.to_owned(), answer));
        changed |= line.starts_with("> add");
    }
    answers
}

/// The answer to a command. A request that has been answered may hold its entries of tables for a moment more.
fn settled(socket: &Path, text: &str) -> String {
    let mut answer = String::new();
    until(|| {
        answer = ask(socket, text);
        !(text.starts_with("show table ") && answer.contains(" use=1"))
    });
    answer
}

/// The reference at the beginning of a line.
fn reference_of(line: &str) -> Option<String> {
    let word = line.split([' ', ':']).next()?;
    word.starts_with("0x").then(|| word.to_owned())
}

/// The answer without what is chance: references, times, folders.
fn plain(answer: &str, folder: &str, changed: bool) -> String {
    let mut lines = Vec::new();
    let answer = answer.replace(folder, "DIR/");
    // What HAProxy has for its own client.
    for line in answer.lines().filter(|line| !line.contains("'httpclient'")) {
        let words = line.split(' ').map(|word| match word.split_once('=') {
            // A request may not have ended yet when its client has read the answer.
            Some(("exp" | "shard" | "use", _)) => String::new(),
            // HAProxy's count goes astray with changes that fail, and with those of entries that are used twice.
            Some(("entry_cnt", _)) if changed => "entry_cnt=".to_owned(),
            _ if word.starts_with("0x") => {
                "0x".to_owned() + if word.ends_with(':') { ":" } else { "" }
            }
            _ => word.to_owned(),
        });
        lines.push(words.collect::<Vec<_>>().join(" "));
    }
    // Entries of tables are in no order that means anything.
    if lines
        .first()
        .is_some_and(|line| line.starts_with("# table: "))
    {
        lines[1..].sort_unstable();
    }
    lines.join("\n")
}

#[test]
fn commands_have_the_same_answers() {
    let Some(reference) = reference() else { return };
    let version = version(&reference);
    if version.0 < 3 {
        eprintln!("SKIPPED: HAProxy {version:?} lacks commands that 3.x has");
        return;
    }
    let (theirs, ours) = (answers(&reference), answers(Path::new(PLIMSOLL)));
    let mut differing = Vec::new();
    for ((line, their), (_, our)) in theirs.iter().zip(&ours) {
        match line.split_once('\t') {
            None if their != our => differing.push(format!("{line}:\n{their}\nours:\n{our}")),
            Some((step, reason)) if their == our => {
                differing.push(format!("{step} no longer differs ({reason}): {our:?}"));
            }
            _ => {}
        }
    }
    let (count, all) = (differing.len(), theirs.len());
    assert!(
        differing.is_empty(),
        "{count} of {all} differ\n{}",
        differing.join("\n\n")
    );
    assert!(all >= 150, "only {all} steps were compared");
}
