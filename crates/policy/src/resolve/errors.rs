//! Answers to errors: files are read, sections looked up, formats understood.

use std::collections::HashMap;

use plimsoll_config::args::Args;
use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::suggest::nearest;

use super::Resolver;
use crate::action::{self, Words, answer};
use crate::context::Phase;
use crate::draft::{ErrorAnswerDraft, ErrorFileDraft, ProxyDraft, RuleDraft};
use crate::expression::Scope;
use crate::model::ErrorFile;
use crate::rule::{Place, Rule};

/// Largest file that answers an error, in bytes.
const ERROR_FILE_BYTES_MAX: usize = 256 << 10;

impl Resolver<'_> {
    /// The `http-errors` sections by name.
    pub(super) fn http_errors(
        &mut self,
        sections: &[ProxyDraft],
    ) -> HashMap<String, Vec<ErrorFile>> {
        let mut known: HashMap<String, Vec<ErrorFile>> = HashMap::new();
        for section in sections {
            let files = known.entry(section.name.clone()).or_default();
            for draft in &section.settings.error_files {
                if let (Some(status), ErrorAnswerDraft::File(path)) = (draft.status, &draft.answer)
                    && let Some(content) = self.page(&path.value, path.span)
                {
                    put(files, ErrorFile::new(status, content));
                }
            }
        }
        known
    }

    /// What answers the errors of a proxy.
    pub(super) fn error_files(
        &mut self,
        drafts: &[ErrorFileDraft],
        scope: &Scope<'_>,
    ) -> Vec<ErrorFile> {
        let mut files = Vec::new();
        for draft in drafts {
            match (draft.status, &draft.answer) {
                (Some(status), ErrorAnswerDraft::File(path)) => {
                    if let Some(content) = self.page(&path.value, path.span) {
                        put(&mut files, ErrorFile::new(status, content));
                    }
                }
                (Some(status), ErrorAnswerDraft::Location { code, url }) => {
                    let reason = if *code == 303 { "See Other" } else { "Found" };
                    let text = format!(
                        "HTTP/1.1 {code} {reason}\r\ncache-control: no-cache\r\ncontent-length: 0\r\nlocation: {url}\r\n\r\n"
                    );
                    put(&mut files, ErrorFile::new(status, text.into_bytes()));
                }
                (Some(status), ErrorAnswerDraft::Composed(line)) => match composed(line, scope) {
                    Ok(rule) => {
                        let composed = Some(rule);
                        put(
                            &mut files,
                            ErrorFile {
                                composed,
                                ..ErrorFile::new(status, Vec::new())
                            },
                        );
                    }
                    Err(error) => {
                        if self.told.insert(error.span) {
                            self.report(error);
                        }
                    }
                },
                (_, ErrorAnswerDraft::Section { name, statuses }) => {
                    let Some(section) = scope.http_errors.get(&name.value) else {
                        if self.told.insert(name.span) {
                            let error = missing(&name.value, scope);
                            self.report(Diagnostic {
                                span: name.span,
                                ..error
                            });
                        }
                        continue;
                    };
                    let wanted = section
                        .iter()
                        .filter(|file| statuses.is_empty() || statuses.contains(&file.status));
                    wanted.for_each(|file| put(&mut files, file.clone()));
                }
                (None, _) => {}
            }
        }
        files
    }

    /// The response that a file holds; what is wrong with it is told once.
    fn page(&mut self, path: &str, span: Span) -> Option<Vec<u8>> {
        let content = self.told_content(path, span)?;
        match answer::check_page(&content) {
            Ok(()) => Some(content),
            Err(fault) => self.lacks(span, format!("'{path}' {fault}")),
        }
    }

    /// The content of a file; what is wrong with it is told once.
    pub(super) fn told_content(&mut self, path: &str, span: Span) -> Option<Vec<u8>> {
        match self.content(path) {
            Ok(content) => Some(content),
            Err(complaint) => self.lacks(span, complaint),
        }
    }

    /// Tells once what is wrong with a file: the line that names it may stand in `defaults`.
    fn lacks<T>(&mut self, span: Span, complaint: String) -> Option<T> {
        if self.told.insert(span) {
            self.error(Kind::Environment, span, complaint, "");
        }
        None
    }

    /// The content of a file, which is read once.
    fn content(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let files = self.context.files;
        let read = || match files.read(path.as_ref()) {
            Ok(content) if content.len() <= ERROR_FILE_BYTES_MAX => Ok(content),
            Ok(_) => Err(format!(
                "'{path}' is longer than {ERROR_FILE_BYTES_MAX} bytes"
            )),
            Err(error) => Err(format!("'{path}' cannot be read: {error}")),
        };
        self.files
            .entry(path.to_owned())
            .or_insert_with(read)
            .clone()
    }
}

/// The section that `name` does not name.
pub(crate) fn missing(name: &str, scope: &Scope<'_>) -> Diagnostic {
    let message = format_args!("no 'http-errors' section is called '{name}'");
    let error = Diagnostic::error(Kind::Reference, Default::default(), message);
    match nearest(name, scope.http_errors.keys().map(String::as_str)) {
        Some(near) => error.help(format_args!("did you mean '{near}'?")),
        None => error,
    }
}

/// Of several answers to one status the last counts.
fn put(files: &mut Vec<ErrorFile>, file: ErrorFile) {
    files.retain(|known| known.status != file.status);
    files.push(file);
}

/// `http-error status STATUS …`.
fn composed(line: &RuleDraft, scope: &Scope<'_>) -> Result<Rule, Diagnostic> {
    // Errors come before and behind the response of a server.
    let scope = Scope {
        any_time: true,
        ..scope.at(Phase::Request)
    };
    let mut args = Args::after(&line.words, line.line, line.keyword_span.end);
    let name = plimsoll_config::args::Word::new(line.keyword, line.keyword_span);
    let mut words = Words {
        name: &name,
        args: &mut args,
    };
    let action = action::read_error(&mut words, &scope)?;
    args.finish()?;
    let warnings = args.warnings();
    scope.captures.borrow_mut().warnings.extend(warnings);
    let words = line.words.iter().map(|word| word.text.as_str());
    let text = words.fold(line.keyword.to_owned(), |text, word| text + " " + word);
    // What answers an error did not cause it: it is no rule that decides.
    Ok(Rule::new(&text, None, action, Place::default()))
}
