//! Speaking to the person at the terminal, or to the script behind the pipe.
//!
//! A reader that went away (`plimsoll check … | head`) is no reason to fail, so errors of writing are dropped here
//! and nowhere else.

use std::io::{self, IsTerminal as _, Write as _};

/// Writes the result of a command to standard output.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a message about the work to standard error.
pub(crate) fn report(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes one line, prefixed by the program's name, to standard error.
pub(crate) fn complain(text: &str) {
    report(&format!("plimsoll: {text}\n"));
}

/// Whether colours are wanted on standard output: a terminal reads it, and `NO_COLOR` is not set.
pub(crate) fn color_on_stdout() -> bool {
    io::stdout().is_terminal() && is_color_wanted()
}

/// The same for standard error.
pub(crate) fn color_on_stderr() -> bool {
    io::stderr().is_terminal() && is_color_wanted()
}

fn is_color_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
