//! `log-profile` sections: other log lines for some steps (manual, section 8.3.5); and `log-steps`.

use plimsoll_config::args::{Args, Word};
use plimsoll_config::diagnostic::{Diagnostic, Kind};

use super::{check_name, value};
use crate::draft::{Draft, LogProfileDraft, LogStepDraft};
use crate::keyword::{Keyword, Sections};
use crate::log::{STEPS, Step, Steps};

const LOG_PROFILE: Sections = Sections::LOG_PROFILE;

/// Most `log-profile` sections.
const PROFILES_MAX: usize = 1_024;

pub(super) const KEYWORDS: &[Keyword<Draft>] = &[
    Keyword::new(
        "log-steps",
        Sections::FRONT,
        "all|STEP[,STEP...]",
        "When to log: accept, request, connect, response, close.",
        steps,
    ),
    Keyword::new(
        "log-tag",
        LOG_PROFILE,
        "TAG",
        "Name of the program in the lines of this profile.",
        |args, draft| {
            section(draft).tag = Some(value::text(args, "a tag")?);
            Ok(())
        },
    ),
    Keyword::new(
        "on",
        LOG_PROFILE,
        "STEP [drop] [format FORMAT] [sd FORMAT]",
        "The line of a step: accept, request, connect, response, close, error, any, or that of a rule set with do-log.",
        on,
    ),
];

/// `log-profile NAME`.
pub(super) fn open(draft: &mut Draft, args: &mut Args<'_>) -> Result<(), Diagnostic> {
    let word = args.word("a name");
    let mut section = LogProfileDraft::default();
    let mut again = false;
    if let Ok(word) = word {
        section.name.clone_from(&word.text);
        let mut known = draft.log_profiles.iter();
        again = known.any(|known| known.name == word.text);
    }
    if draft.log_profiles.len() < PROFILES_MAX {
        draft.log_profiles.push(section);
    } else {
        let message = format_args!("there are more than {PROFILES_MAX} log profiles");
        return Err(Diagnostic::error(Kind::Invalid, draft.keyword, message));
    }
    let word = word?;
    check_name(word)?;
    if again {
        let message = format_args!("another log profile is called '{}'", word.text);
        return Err(
            Diagnostic::error(Kind::Invalid, word.span, message).help("give this one another name")
        );
    }
    args.finish()
}

/// The section being read.
fn section(draft: &mut Draft) -> &mut LogProfileDraft {
    if draft.log_profiles.is_empty() {
        draft.log_profiles.push(LogProfileDraft::default());
    }
    let last = draft.log_profiles.len() - 1;
    &mut draft.log_profiles[last]
}

fn step(word: &Word, text: &str) -> Result<Step, Diagnostic> {
    let found = STEPS.binary_search_by_key(&text, |(name, _)| name);
    found.map(|place| STEPS[place].1).map_err(|_| {
        let names = STEPS.iter().map(|(name, _)| *name);
        value::unknown(&Word::new(text, word.span), "a step of logs", names)
    })
}

fn on(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("a step such as close")?;
    let step = step(word, &word.text)?;
    let mut read = LogStepDraft {
        drops: args.take("drop"),
        ..LogStepDraft::default()
    };
    let mut some = read.drops;
    loop {
        let place = if args.take("format") {
            &mut read.format
        } else if args.take("sd") {
            &mut read.structured
        } else {
            break;
        };
        *place = Some(args.word("a format")?.clone());
        (read.drops, some) = (false, true);
    }
    if !some {
        let error = Diagnostic::error(Kind::Invalid, args.end(), "what is written is missing");
        return Err(error.help("write 'drop', 'format FORMAT' or 'sd FORMAT'"));
    }
    let known = &mut section(draft).steps;
    match known.iter_mut().find(|(known, _)| *known == step) {
        None => known.push((step, read)),
        // A later line for the same step adds to what the one before says.
        Some((_, before)) => {
            before.drops = read.drops;
            before.format = read.format.or_else(|| before.format.take());
            before.structured = read.structured.or_else(|| before.structured.take());
        }
    }
    args.finish()
}

/// `log-steps`.
fn steps(args: &mut Args<'_>, draft: &mut Draft) -> Result<(), Diagnostic> {
    let word = args.word("steps such as accept,close")?;
    let mut steps = Steps::default();
    if word.text == "all" {
        steps = Steps::ALL;
    } else {
        for name in word.text.split(',') {
            let step = step(word, name)?;
            if steps.with(step) == Steps::default() {
                let message = format_args!("no line is written by itself at '{name}'");
                let error = Diagnostic::error(Kind::Invalid, word.span, message);
                return Err(error.help("write accept, request, connect, response or close"));
            }
            steps = steps.with(step);
        }
    }
    draft.settings().front.log.steps = Some(steps);
    args.finish()
}
