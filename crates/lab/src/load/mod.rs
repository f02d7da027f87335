//! The load generator behind `plimsoll load`.
//!
//! - [`target`]: what is asked; [`profile`]: how much, over time; [`plan`]: everything a person said;
//! - `worker`: one thread's event loop; `reply`: reading answers;
//! - [`report`]: the outcome, for people and for programs.
//!
//! It speaks HTTP/1.1 and bare TCP. It is built to disturb what it measures as little as possible:
//! one thread per `-t`, epoll, no allocation per request, no lock, one clock read at either end.
//! It lacks TLS, HTTP/2 and pipelining.

pub mod plan;
pub mod profile;
mod reply;
pub mod report;
pub mod target;
mod worker;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use plimsoll_sys::clock::monotonic_ns;
use plimsoll_sys::limit::raise_descriptor_limit;

pub use self::plan::Options;
use self::plan::Plan;
use self::report::{Report, Second};
use self::worker::{Ending, Message, Worker};
use crate::statistics::Interval;

/// Descriptors beside the connections: those of threads, files, the terminal.
const DESCRIPTORS_SPARE: u64 = 64;
/// Most seconds listed one by one in a report; later ones are only part of the sums.
const SECONDS_MAX: usize = 24 * 3600;
/// Between the last thread's start and the first request.
const HEAD_START_NS: u64 = 2_000_000;

/// Carries out what `options` ask for; returns when it is done or soon after `stop` was set.
/// `observe` sees each second as soon as all threads have passed it.
///
/// # Errors
/// When the options contradict each other, the target cannot be reached at the start, or the
/// machine does not grant the descriptors. Failures later on are results and not errors.
pub fn run(
    options: &Options,
    stop: &AtomicBool,
    observe: &mut dyn FnMut(&Second),
) -> anyhow::Result<Report> {
    let plan = Plan::new(options).map_err(|message| anyhow!(message))?;
    let wanted = plan.connections as u64 + DESCRIPTORS_SPARE;
    let granted = raise_descriptor_limit(wanted).context("cannot raise the descriptor limit")?;
    if granted < wanted {
        bail!(
            "{} connections need {wanted} descriptors and the limit is {granted}: raise `ulimit -n`",
            plan.connections
        );
    }
    let address = reach(options, &plan)?;
    let workers = (0..plan.threads)
        .map(|number| Worker::new(&plan, number, address))
        .collect::<Result<Vec<_>, _>>()
        .context("cannot prepare a thread")?;
    let (sender, messages) = mpsc::channel();
    let begin_ns = monotonic_ns() + HEAD_START_NS;
    thread::scope(|scope| {
        for (number, worker) in workers.into_iter().enumerate() {
            let sender = sender.clone();
            thread::Builder::new()
                .name(format!("load-{number}"))
                .spawn_scoped(scope, move || {
                    let ending = worker.run(begin_ns, stop, &sender);
                    let _ = sender.send(Message::End(ending));
                })?;
        }
        drop(sender);
        collect(options, &plan, &messages, observe)
    })
}

/// Finds the address of the target that takes connections: names like `localhost` have several.
fn reach(options: &Options, plan: &Plan) -> anyhow::Result<SocketAddr> {
    let authority = &options.target.authority;
    let addresses = options
        .target
        .resolve()
        .map_err(|message| anyhow!(message))?;
    let mut refusal = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, plan.timeout.max(Duration::from_secs(1))) {
            Ok(_) => return Ok(address),
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        Some(error) => Err(anyhow!("cannot connect to {authority}: {error}")),
        None => Err(anyhow!("{authority} has no address")),
    }
}

/// Adds up what the threads tell, second by second.
fn collect(
    options: &Options,
    plan: &Plan,
    messages: &Receiver<Message>,
    observe: &mut dyn FnMut(&Second),
) -> anyhow::Result<Report> {
    let mut pending: BTreeMap<usize, (usize, Interval)> = BTreeMap::new();
    let mut report = Report::new(options, plan);
    for message in messages {
        match message {
            Message::Interval(number, interval) => {
                let (told, sum) = pending.entry(number).or_default();
                *told += 1;
                sum.add(&interval);
                let complete = *told == plan.threads;
                if complete && let Some((_, interval)) = pending.remove(&number) {
                    take_second(&mut report, number, interval, observe);
                }
            }
            Message::End(ending) => {
                let Ending {
                    unfinished,
                    unsent,
                    elapsed_ns,
                } = ending.context("a thread of the load generator gave up")?;
                report.unfinished += unfinished;
                report.unsent += unsent;
                report.elapsed = report.elapsed.max(Duration::from_nanos(elapsed_ns));
            }
        }
    }
    // Threads may end at different seconds, which leaves the last ones told by some only.
    for (number, (_, interval)) in pending {
        take_second(&mut report, number, interval, observe);
    }
    Ok(report)
}

fn take_second(
    report: &mut Report,
    number: usize,
    interval: Interval,
    observe: &mut dyn FnMut(&Second),
) {
    report.total.add(&interval);
    let second = Second { number, interval };
    observe(&second);
    if report.seconds.len() < SECONDS_MAX {
        report.seconds.push(second.row());
    }
}
