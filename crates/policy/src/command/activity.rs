//! `show activity`: what each worker has done and what it had no room for; `show refusals`: what was wrong with messages.

use super::{Answer, Command, Session, Words};
use crate::model::AccessLevel;
use crate::stats::format::write;
use crate::stats::{View, Vitals};

pub(super) const ACTIVITY: Command = Command {
    path: &["show", "activity"],
    access: AccessLevel::Operator,
    usage: "show activity [-1|0|<thread>]",
    doc: "what workers have done, as of the last second: all of them, their sum (0) or one",
    run: activity,
};

pub(super) const REFUSALS: Command = Command {
    path: &["show", "refusals"],
    access: AccessLevel::Operator,
    usage: "show refusals",
    doc: "messages that were not acceptable, by sender and fault",
    run: refusals,
};

/// One number of every worker.
type Read = fn(&Vitals) -> u64;

/// The lines, under HAProxy's names where there is one.
const LINES: [(&str, Read); 13] = [
    ("tasksw", |vitals| vitals.polls),
    ("loops", |vitals| vitals.turns),
    ("poll_io", |vitals| vitals.events),
    ("tasks", |vitals| vitals.tasks),
    ("run_queue", |vitals| vitals.runnable),
    ("pipes", |vitals| vitals.pipes),
    ("pipes_idle", |vitals| vitals.pipes_idle),
    ("accept_pauses", |vitals| vitals.accept_pauses),
    ("tasks_refused", |vitals| vitals.tasks_refused),
    ("sockets_refused", |vitals| vitals.sockets_refused),
    ("pipes_refused", |vitals| vitals.pipes_refused),
    ("cpust_ms_tot", |vitals| vitals.busy_ms),
    ("avg_cpu_pct", |vitals| vitals.busy_percent.into()),
];

/// Numbers of which workers have a mean, not a sum.
const MEANS: [&str; 1] = ["avg_cpu_pct"];

fn activity(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let workers = view.sums.vitals();
    let thread = match words.next() {
        None | Some("-1") => None,
        Some(word) => match word.parse::<usize>() {
            Ok(thread) if thread <= workers.len() => Some(thread),
            _ => return Err("Expects a thread's number, 0 for the sum of all, or -1.".into()),
        },
    };
    let now = view.now.wall_ms;
    let up_ms = now.saturating_sub(view.process.started_ms);
    let mut text = format!("thread_id: 1 (1..{})\n", view.process.workers);
    for (name, ms) in [("date_now", now), ("uptime_now", up_ms)] {
        let (seconds, rest_ms) = (ms / 1_000, ms % 1_000);
        write(
            &mut text,
            format_args!("{name}: {seconds}.{rest_ms:03}000\n"),
        );
    }
    for (name, read) in LINES {
        let numbers: Vec<u64> = workers.iter().map(read).collect();
        let count = if MEANS.contains(&name) {
            numbers.len() as u64
        } else {
            1
        };
        let all = numbers.iter().sum::<u64>() / count.max(1);
        write(&mut text, format_args!("{name}: "));
        match thread {
            Some(thread @ 1..) => write(&mut text, format_args!("{}", numbers[thread - 1])),
            Some(_) => write(&mut text, format_args!("{all}")),
            None => {
                write(&mut text, format_args!("{all} ["));
                for number in numbers {
                    write(&mut text, format_args!(" {number}"));
                }
                text.push_str(" ]");
            }
        }
        text.push('\n');
    }
    Ok(text)
}

fn refusals(_: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let mut text = "# side fault count\n".to_owned();
    for refusal in view.sums.refusals() {
        let (side, fault, count) = (refusal.side, refusal.fault, refusal.count);
        write(&mut text, format_args!("{side} {fault} {count}\n"));
    }
    Ok(text)
}
