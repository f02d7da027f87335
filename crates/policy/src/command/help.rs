//! `help`, and what is said to words that name no command.

use super::{Answer, COMMANDS, Command, Session, Words};
use crate::model::AccessLevel;
use crate::stats::View;
use crate::stats::format::write;

pub(super) const HELP: Command = Command {
    path: &["help"],
    access: AccessLevel::User,
    usage: "help [<command>]",
    doc: "list all commands, or those that match",
    run: help,
};

/// Width of the usage in lists.
const USAGE_WIDTH: usize = 40;

/// Commands that are named at the end of every list.
const ALWAYS: [&str; 3] = ["help", "prompt", "quit"];

/// Guesses shown for an unknown word.
const GUESSES_MAX: usize = 5;

fn help(words: &mut Words<'_>, _: View<'_>, session: &mut Session) -> Answer {
    let asked = words.all();
    let matches = |command: &&Command| {
        asked.iter().all(|word| {
            command
                .path
                .iter()
                .any(|part| part.starts_with(word.as_str()))
        })
    };
    let mut text = session.severity.advice().to_owned();
    text.push_str("The following commands are valid at this level:\n");
    list(COMMANDS.iter().filter(matches), &mut text);
    Ok(text)
}

/// The answer to words that name no command: those that look like them.
pub(super) fn unknown(words: &[String]) -> String {
    let first = words.first().map_or("", String::as_str);
    let begun = (1..=words.len())
        .rev()
        .map(|length| beginning_with(&words[..length]))
        .find(|found| !found.is_empty());
    let found = begun.unwrap_or_else(|| resembling(words));
    let mut text = if found.is_empty() {
        format!("Unknown command: '{first}'. Please enter one of the following commands only:\n")
    } else {
        format!(
            "Unknown command: '{first}', but maybe one of the following ones is a better match:\n"
        )
    };
    list(found.into_iter(), &mut text);
    text
}

fn beginning_with(words: &[String]) -> Vec<&'static Command> {
    let begins = |command: &&Command| {
        command.path.len() >= words.len()
            && words
                .iter()
                .zip(command.path)
                .all(|(word, part)| word == part)
    };
    COMMANDS.iter().filter(begins).collect()
}

/// Commands of whose path most words are meant.
fn resembling(words: &[String]) -> Vec<&'static Command> {
    let parts = || COMMANDS.iter().flat_map(|command| command.path).copied();
    let meant: Vec<_> = words
        .iter()
        .filter_map(|word| plimsoll_config::suggest::nearest(word, parts()))
        .collect();
    let score = |command: &Command| {
        let known = command.path.iter();
        known.filter(|part| meant.contains(part)).count()
    };
    let best = COMMANDS.iter().map(score).max().unwrap_or(0);
    COMMANDS
        .iter()
        .filter(|command| best > 0 && score(command) == best)
        .take(GUESSES_MAX)
        .collect()
}

fn list(commands: impl Iterator<Item = &'static Command>, text: &mut String) {
    let (always, sometimes): (Vec<_>, Vec<_>) = COMMANDS
        .iter()
        .partition(|command| ALWAYS.contains(&command.path[0]));
    let wanted: Vec<_> = commands.map(|command| command.path).collect();
    let listed = sometimes
        .into_iter()
        .filter(|command| wanted.contains(&command.path));
    for command in listed.chain(always) {
        write(
            text,
            format_args!("  {:<USAGE_WIDTH$}: {}\n", command.usage, command.doc),
        );
    }
}
