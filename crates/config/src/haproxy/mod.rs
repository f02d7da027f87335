//! The grammar of `haproxy.cfg`: sections that begin with a known word, lines of words below them.
//!
//! The parser knows the section names it is given, the directives that begin with a dot, and the four words that
//! change variables, because all of these decide how later lines read. It knows no other keyword.

mod blocks;
mod reader;
mod variables;
pub(crate) mod words;

use std::path::PathBuf;

use crate::args::{Args, Word};
use crate::condition::Conditions;
#[cfg(doc)]
use crate::diagnostic::DIAGNOSTICS_MAX;
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::source::{Environment, Loader, MemoryLoader, Sources};

pub use blocks::BLOCK_DEPTH_MAX;
pub use reader::{EXPANDED_BYTES_MAX, WORDS_MAX};
pub use words::{LINE_BYTES_MAX, LINE_WORDS_MAX};

/// What the parser must know of the language.
#[derive(Clone, Copy, Debug)]
pub struct Grammar {
    /// The words that begin a section.
    pub sections: &'static [&'static str],
    /// The section whose `setenv`, `presetenv`, `unsetenv` and `resetenv` change variables.
    pub environment_section: &'static str,
    /// Whether `[name]` lines open a scope, as in SPOE files; elsewhere they are reported.
    pub scopes: bool,
    /// Whether `.diag` messages are shown.
    pub diagnose: bool,
}

/// A whole configuration: every line that is not masked by a condition, in the order of reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    pub sections: Vec<Section>,
}

/// A section keyword, its arguments, and the lines below it.
///
/// Sections of one name are not merged, and a file always begins outside of any section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The `[scope]` the section stands in, when the grammar has scopes.
    pub scope: Option<Word>,
    /// The word that began the section.
    pub keyword: Word,
    /// The words behind it: a name, `from` and so on.
    pub args: Vec<Word>,
    /// The lines of the section.
    pub lines: Vec<Line>,
    /// The section's first line.
    pub span: Span,
}

impl Section {
    /// Reads the arguments of the section's own line.
    pub fn args(&self) -> Args<'_> {
        Args::after(&self.args, self.span, self.keyword.span.end)
    }

    /// The first argument, where most sections have their name.
    pub fn name(&self) -> Option<&Word> {
        self.args.first()
    }
}

/// One line of a section; it has at least one word, and no empty ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub words: Vec<Word>,
    /// From the first word to the end of the last.
    pub span: Span,
}

impl Line {
    /// Reads the line from its first word on.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.words, self.span)
    }
}

/// The outcome of reading a configuration; parsing never fails.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub document: Document,
    /// The files that spans point into.
    pub sources: Sources,
    /// What is wrong, in the order of reading; at most [`DIAGNOSTICS_MAX`] and one that counts the rest.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// Whether anything keeps the configuration from being loaded.
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }
}

/// Reads files and directories, in the order given, into one document.
///
/// Of a directory, the files ending in `.cfg` are read in the order of their names; those that begin with a dot are
/// left out. `environment` is what the variables refer to, and is changed by the configuration.
pub fn parse(
    roots: &[PathBuf],
    loader: &dyn Loader,
    environment: &mut Environment,
    grammar: &Grammar,
    conditions: &dyn Conditions,
) -> Parsed {
    let mut reader = reader::Reader::new(environment, grammar, conditions);
    for root in roots {
        reader.root(root, loader);
    }
    reader.finish()
}

/// Reads one text as if it were a file called `name`.
pub fn parse_text(
    name: &str,
    text: impl Into<Vec<u8>>,
    environment: &mut Environment,
    grammar: &Grammar,
    conditions: &dyn Conditions,
) -> Parsed {
    let loader = MemoryLoader::new().file(name, text);
    parse(
        &[PathBuf::from(name)],
        &loader,
        environment,
        grammar,
        conditions,
    )
}
