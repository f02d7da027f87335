//! Commands about the connection they come through.

use plimsoll_config::values::{self, TimeUnit};

use super::{Answer, Command, Refusal, Session, Words};
use crate::model::{AccessLevel, Severity};
use crate::stats::View;
use crate::stats::format::write;

pub(super) const ECHO: Command = Command {
    path: &["echo"],
    access: AccessLevel::User,
    usage: "echo <text>",
    doc: "answer with the same words",
    run: |words, _, _| Ok(words.all().join(" ") + "\n"),
};

pub(super) const PROMPT: Command = Command {
    path: &["prompt"],
    access: AccessLevel::User,
    usage: "prompt [help | n | i | p | timed]*",
    doc: "show a prompt and stay connected, or stop doing so",
    run: prompt,
};

pub(super) const QUIT: Command = Command {
    path: &["quit"],
    access: AccessLevel::User,
    usage: "quit",
    doc: "disconnect",
    run: |_, _, session| {
        session.ended = true;
        Ok(String::new())
    },
};

pub(super) const USER: Command = Command {
    path: &["user"],
    access: AccessLevel::User,
    usage: "user",
    doc: "lower this connection's level to user",
    run: |_, _, session| lower(session, AccessLevel::User),
};

pub(super) const OPERATOR: Command = Command {
    path: &["operator"],
    access: AccessLevel::Operator,
    usage: "operator",
    doc: "lower this connection's level to operator",
    run: |_, _, session| lower(session, AccessLevel::Operator),
};

pub(super) const EXPERT: Command = Command {
    path: &["expert-mode"],
    access: AccessLevel::Admin,
    usage: "expert-mode [on|off]",
    doc: "allow commands that may do harm",
    run: |words, _, session| switch(words, "expert-mode", &mut session.expert),
};

pub(super) const EXPERIMENTAL: Command = Command {
    path: &["experimental-mode"],
    access: AccessLevel::Admin,
    usage: "experimental-mode [on|off]",
    doc: "allow commands that are not finished",
    run: |words, _, session| switch(words, "experimental-mode", &mut session.experimental),
};

pub(super) const SEVERITY: Command = Command {
    path: &["set", "severity-output"],
    access: AccessLevel::User,
    usage: "set severity-output none|number|string",
    doc: "whether what went wrong begins with its level of syslog, as [3] or [err]",
    run: |words, _, session| {
        session.severity = match words.next() {
            Some("none") => Severity::None,
            Some("number") => Severity::Number,
            Some("string") => Severity::Word,
            _ => return Err("one of 'none', 'number', 'string' is a required argument".into()),
        };
        Ok(String::new())
    },
};

pub(super) const TIMEOUT: Command = Command {
    path: &["set", "timeout"],
    access: AccessLevel::User,
    usage: "set timeout cli <seconds>",
    doc: "how long this connection may be silent",
    run: timeout,
};

pub(super) const LEVEL: Command = Command {
    path: &["show", "cli", "level"],
    access: AccessLevel::User,
    usage: "show cli level",
    doc: "this connection's level",
    run: |_, _, session| {
        let (severity, level) = (session.severity.advice(), session.level.name());
        Ok(format!("{severity}{level}\n"))
    },
};

pub(super) const SOCKETS: Command = Command {
    path: &["show", "cli", "sockets"],
    access: AccessLevel::Operator,
    usage: "show cli sockets",
    doc: "the command sockets and their levels",
    run: sockets,
};

fn prompt(words: &mut Words<'_>, _: View<'_>, session: &mut Session) -> Answer {
    let (mut mode, mut timed) = (None, false);
    while let Some(word) = words.next() {
        match word {
            "n" => mode = Some((false, false)),
            "i" => mode = Some((true, false)),
            "p" => mode = Some((true, true)),
            "timed" => timed = true,
            "help" => return Ok(PROMPT_HELP.to_owned()),
            _ => {
                return Err(Refusal(format!(
                    "Unknown mode '{word}': try 'prompt help'."
                )));
            }
        }
    }
    session.timed ^= timed;
    let turn = timed || !session.prompts;
    (session.interactive, session.prompts) = mode.unwrap_or((turn, turn));
    Ok(String::new())
}

/// What is shown where a line is awaited.
pub fn prompt_text(session: &Session, uptime_s: u64) -> String {
    if !session.timed {
        return "> ".to_owned();
    }
    let (days, hours) = (uptime_s / 86_400, uptime_s / 3_600 % 24);
    let (minutes, seconds) = (uptime_s / 60 % 60, uptime_s % 60);
    format!("[{days}:{hours:02}:{minutes:02}:{seconds:02}]> ")
}

const PROMPT_HELP: &str = "\
  n : no prompt, and the connection ends after a line
  i : the connection stays open
  p : the connection stays open and shows a prompt
  timed : the prompt tells how long the process has been running, or no longer
  without a word, 'p' and 'n' take turns
";

fn lower(session: &mut Session, level: AccessLevel) -> Answer {
    session.level = session.level.min(level);
    Ok(String::new())
}

fn switch(words: &mut Words<'_>, mode: &str, on: &mut bool) -> Answer {
    match words.next() {
        None => {
            let state = if *on { "ON" } else { "OFF" };
            return Ok(format!("{mode} is {state}\n"));
        }
        Some(word) => *on = word == "on",
    }
    Ok(String::new())
}

fn timeout(words: &mut Words<'_>, _: View<'_>, session: &mut Session) -> Answer {
    if words.next() != Some("cli") {
        return Err("'set timeout' only supports 'cli'.".into());
    }
    let text = words.next().ok_or("Expects an integer value.")?;
    let read = values::parse_duration(text, TimeUnit::Seconds).ok();
    let time = read.filter(|time| time.trailing == 0 && !time.value.is_zero());
    let time = time.ok_or("Invalid timeout value.")?.value;
    session.timeout_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Ok(String::new())
}

fn sockets(_: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let mut text = "# socket lvl processes\n".to_owned();
    for socket in &view.model().global.stats_sockets {
        let (address, level) = (socket.address.named(), socket.level.name());
        write(&mut text, format_args!("{address} {level} all\n"));
    }
    Ok(text)
}
