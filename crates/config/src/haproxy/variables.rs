//! `setenv`, `presetenv`, `unsetenv`, `resetenv`: the keywords that change how later lines read.

use crate::args::Word;
use crate::diagnostic::{Diagnostic, Kind};
use crate::source::Environment;

/// Obeys a line when it is one of the four; other lines change nothing.
///
/// # Errors
/// When its arguments are wrong; nothing is changed then.
pub(crate) fn change(environment: &mut Environment, words: &[Word]) -> Result<(), Diagnostic> {
    let (keyword, args) = (&words[0], &words[1..]);
    match (keyword.text.as_str(), args) {
        ("setenv", [name, value]) => environment.set(variable_name(name)?, value.bytes()),
        ("presetenv", [name, value]) => {
            let name = variable_name(name)?;
            if environment.get(&name).is_none() {
                environment.set(name, value.bytes());
            }
        }
        ("setenv" | "presetenv", _) => {
            let span = args.get(2).map_or(keyword.span, |extra| extra.span);
            let message = format_args!("'{}' takes a name and a value", keyword.text);
            return Err(Diagnostic::error(Kind::Invalid, span, message)
                .help("put the value in quotes when it has several words"));
        }
        ("unsetenv", []) => {
            let message = "'unsetenv' takes the names of variables";
            return Err(Diagnostic::error(Kind::Invalid, keyword.span, message));
        }
        ("unsetenv", names) => {
            for name in names {
                environment.remove(variable_name(name)?);
            }
        }
        ("resetenv", kept) => {
            environment.retain(|name| kept.iter().any(|word| word.bytes() == name));
        }
        _ => {}
    }
    Ok(())
}

fn variable_name(word: &Word) -> Result<Vec<u8>, Diagnostic> {
    if word.bytes().contains(&b'=') {
        let message = "a variable's name cannot contain '='";
        return Err(Diagnostic::error(Kind::Invalid, word.span, message));
    }
    Ok(word.bytes().to_vec())
}
