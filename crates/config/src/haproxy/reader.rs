//! Files to a document, line by line, with everything that is wrong on the way.

use std::ffi::OsStr;
use std::path::Path;

use super::blocks::Blocks;
use super::words::{self, LineText, Surroundings, Words};
use super::{Grammar, Line, Parsed, Section, variables};
use crate::args::Word;
use crate::condition::{self, Conditions};
use crate::diagnostic::{Diagnostic, Diagnostics, FileId, Kind, Severity, Span};
use crate::source::{Environment, FILE_BYTES_MAX, FILES_MAX, Loader, TEXT_BYTES_MAX};
use crate::{suggest, template};

/// Most words in a configuration.
pub const WORDS_MAX: usize = 4 << 20;

/// Most bytes that variables may add to a configuration, all lines together.
pub const EXPANDED_BYTES_MAX: usize = 64 << 20;

pub(crate) struct Reader<'a> {
    environment: &'a mut Environment,
    grammar: &'a Grammar,
    conditions: &'a dyn Conditions,
    parsed: Parsed,
    diagnostics: Diagnostics,
    blocks: Blocks,
    /// Whether a section of this file is open.
    in_section: bool,
    scope: Option<Word>,
    /// Whether a placeholder of this file was reported.
    template: bool,
    text_bytes: usize,
    words: usize,
    expanded_bytes: usize,
    /// Whether a total cap was hit, which ends the reading.
    full: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        environment: &'a mut Environment,
        grammar: &'a Grammar,
        conditions: &'a dyn Conditions,
    ) -> Self {
        Self {
            environment,
            grammar,
            conditions,
            parsed: Parsed::default(),
            diagnostics: Diagnostics::new(),
            blocks: Blocks::default(),
            in_section: false,
            scope: None,
            template: false,
            text_bytes: 0,
            words: 0,
            expanded_bytes: 0,
            full: false,
        }
    }

    /// Reads a file, or the `.cfg` files of a directory.
    pub(crate) fn root(&mut self, root: &Path, loader: &dyn Loader) {
        match loader.list(root) {
            Ok(None) => self.file(root, loader),
            Ok(Some(mut entries)) => {
                entries.retain(|entry| is_part(entry));
                entries.sort();
                for entry in &entries {
                    self.file(entry, loader);
                }
                if entries.is_empty() {
                    let message = "this directory has no file whose name ends in '.cfg'";
                    self.unreadable(root, Kind::Environment, message);
                }
            }
            Err(error) => self.unreadable(root, Kind::Environment, &error.to_string()),
        }
    }

    pub(crate) fn finish(self) -> Parsed {
        Parsed {
            diagnostics: self.diagnostics.into_vec(),
            ..self.parsed
        }
    }

    fn file(&mut self, path: &Path, loader: &dyn Loader) {
        if self.full {
            return;
        }
        if self.parsed.sources.len() >= FILES_MAX {
            self.full = true;
            let message = format!("a configuration cannot have more than {FILES_MAX} files");
            return self.unreadable(path, Kind::Invalid, &message);
        }
        let text = match loader.read(path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("this file cannot be read: {error}");
                return self.unreadable(path, Kind::Environment, &message);
            }
        };
        self.text_bytes += text.len();
        if text.len() > FILE_BYTES_MAX || self.text_bytes > TEXT_BYTES_MAX {
            self.full = true;
            let message = format!(
                "the configuration is too large: the limits are {FILE_BYTES_MAX} bytes in a file, and \
                 {TEXT_BYTES_MAX} bytes in all"
            );
            return self.unreadable(path, Kind::Syntax, &message);
        }
        let file = self.parsed.sources.add(path, text.clone());
        self.in_section = false;
        self.scope = None;
        self.template = false;
        self.lines(file, &text);
        for problem in self.blocks.finish().collect::<Vec<_>>() {
            // Where reading stopped early, the end of a block may lie in what was not read.
            if !self.full {
                self.report(problem);
            }
        }
    }

    fn lines(&mut self, file: FileId, text: &[u8]) {
        let mut start = self.byte_order_mark(file, text);
        for (index, whole) in text[start..]
            .split_inclusive(|byte| *byte == b'\n')
            .enumerate()
        {
            let (bytes, complete) = match whole.strip_suffix(b"\n") {
                Some(bytes) => (bytes, true),
                None => (whole, false),
            };
            let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
            let line = LineText { bytes, file, start };
            if let Err(problem) = self.line(line, index as u32 + 1) {
                self.report(problem);
            }
            start += whole.len();
            if self.full {
                return;
            }
            if !complete {
                let end = Span::new(file, start, start);
                self.report(
                    Diagnostic::warning(Kind::Legacy, end, "the last line has no line end")
                        .cause("HAProxy refuses such a file, because it may have been cut short")
                        .help("end the file with a line end"),
                );
            }
        }
    }

    /// The length of a mark that some editors put before UTF-8 text, with a warning when it is there.
    fn byte_order_mark(&mut self, file: FileId, text: &[u8]) -> usize {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        if !text.starts_with(MARK) {
            return 0;
        }
        let span = Span::new(file, 0, MARK.len());
        let message = "this file begins with a byte order mark";
        self.report(
            Diagnostic::warning(Kind::Legacy, span, message)
                .cause("HAProxy takes it for a part of the first word")
                .help("save the file as UTF-8 without a byte order mark"),
        );
        MARK.len()
    }

    fn line(&mut self, line: LineText<'_>, number: u32) -> Result<(), Diagnostic> {
        printable(line)?;
        let indent = line.bytes.iter().take_while(|byte| words::is_space(**byte));
        if line.bytes.get(indent.count()) == Some(&b'[') {
            return self.scope(line);
        }
        let words = self.split(line, number)?;
        let Some(first) = words.words.first() else {
            return Ok(());
        };
        if first.text.starts_with('.') {
            return self.directive(&words.words);
        }
        if !self.blocks.active() {
            return Ok(());
        }
        if first.text.is_empty() {
            let message = "this line has no effect, because its first word is empty";
            let note = Diagnostic::note(Kind::NoEffect, line.trimmed(), message);
            self.report(note);
            return Ok(());
        }
        if let Some(hollow) = &words.hollow {
            return Err(words::hollow_error(hollow, self.environment));
        }
        for gap in &words.gaps {
            self.report(words::gap_note(gap));
        }
        self.no_continuation(line, &words.words);
        self.placeholder(line, &words.words)?;
        self.statement(words.words)
    }

    fn split(&mut self, line: LineText<'_>, number: u32) -> Result<Words, Diagnostic> {
        let sources = &self.parsed.sources;
        let section = match self.parsed.document.sections.last() {
            Some(section) if self.in_section => section.name().unwrap_or(&section.keyword).bytes(),
            _ => b"",
        };
        let surroundings = Surroundings {
            environment: self.environment,
            path: sources.path(line.file).as_os_str().as_encoded_bytes(),
            line: number,
            section,
            comments: true,
        };
        let words = words::split(line, &surroundings)?;
        self.words += words.words.len();
        let expanded = words.words.iter().map(expanded_bytes).sum::<usize>();
        self.expanded_bytes += expanded.saturating_sub(line.bytes.len());
        if self.words > WORDS_MAX || self.expanded_bytes > EXPANDED_BYTES_MAX {
            self.full = true;
            let message = format_args!(
                "the configuration is too large: the limits are {WORDS_MAX} words, and \
                 {EXPANDED_BYTES_MAX} bytes from variables"
            );
            return Err(Diagnostic::error(Kind::Syntax, line.trimmed(), message));
        }
        Ok(words)
    }

    /// A line that is neither empty nor a directive: the start of a section, or a part of one.
    fn statement(&mut self, mut words: Vec<Word>) -> Result<(), Diagnostic> {
        let span = words[0].span.to(words[words.len() - 1].span);
        if self.grammar.sections.contains(&words[0].text.as_str()) {
            let args = words.split_off(1);
            let keyword = words.remove(0);
            self.in_section = true;
            self.parsed.document.sections.push(Section {
                scope: self.scope.clone(),
                keyword,
                args,
                lines: Vec::new(),
                span,
            });
            return Ok(());
        }
        let in_section = self.in_section;
        let section = self.parsed.document.sections.last_mut();
        let Some(section) = section.filter(|_| in_section) else {
            return Err(self.homeless(&words[0]));
        };
        words.shrink_to_fit();
        let changes = section.keyword.text == self.grammar.environment_section;
        section.lines.push(Line { words, span });
        if changes && let Some(line) = section.lines.last() {
            variables::change(self.environment, &line.words)?;
        }
        Ok(())
    }

    fn homeless(&self, word: &Word) -> Diagnostic {
        let message = format_args!("'{}' stands outside of any section", word.text);
        let problem = Diagnostic::error(Kind::Unknown, word.span, message);
        if self.diagnostics.is_full() {
            return problem;
        }
        match suggest::nearest(&word.text, self.grammar.sections.iter().copied()) {
            Some(near) => problem.help(format_args!("did you mean the section '{near}'?")),
            None => problem.help(format_args!(
                "begin a section before it: {}",
                self.grammar.sections.join(", ")
            )),
        }
    }

    /// `[name]`: the scope of the sections that follow.
    fn scope(&mut self, line: LineText<'_>) -> Result<(), Diagnostic> {
        if !self.blocks.active() {
            return Ok(());
        }
        let span = line.trimmed();
        let from = span.start as usize - line.start;
        let text = &line.bytes[from..from + (span.end - span.start) as usize];
        let close = text.iter().position(|byte| *byte == b']');
        let name = close.map_or(&[][..], |close| &text[1..close]);
        let behind = close.map_or(&[][..], |close| &text[close + 1..]);
        let behind = behind.iter().find(|byte| !words::is_space(**byte));
        if name.is_empty() || behind.is_some_and(|byte| *byte != b'#') {
            return Err(
                Diagnostic::error(Kind::Syntax, span, "a scope is a name in brackets")
                    .help("write '[name]' on a line of its own"),
            );
        }
        if !self.grammar.scopes {
            let message = "a scope has no effect in this file";
            self.report(Diagnostic::warning(Kind::NoEffect, span, message));
            return Ok(());
        }
        self.scope = Some(Word::from_bytes(name.to_vec(), span));
        Ok(())
    }

    fn directive(&mut self, words: &[Word]) -> Result<(), Diagnostic> {
        let (directive, args) = (&words[0], &words[1..]);
        let (conditions, environment) = (self.conditions, &*self.environment);
        let end = Span {
            start: directive.span.end,
            ..directive.span
        };
        let ask = || condition::evaluate_words(args, end, conditions, environment);
        match directive.text.as_str() {
            ".if" => return self.blocks.begin(directive.span, ask),
            ".elif" => return self.blocks.alternative(directive.span, ask),
            ".else" => self.blocks.otherwise(directive.span)?,
            ".endif" => self.blocks.end(directive.span)?,
            _ if !self.blocks.active() => return Ok(()),
            _ => return self.message(directive, args),
        }
        match args.first().filter(|extra| !extra.text.is_empty()) {
            None => Ok(()),
            Some(extra) => {
                let message = format_args!("nothing may follow '{}' on its line", directive.text);
                Err(Diagnostic::error(Kind::Syntax, extra.span, message))
            }
        }
    }

    /// `.notice`, `.warning`, `.alert`, `.diag`: something the author of the file wants said.
    fn message(&mut self, directive: &Word, args: &[Word]) -> Result<(), Diagnostic> {
        const DIRECTIVES: [&str; 8] = [
            ".if", ".elif", ".else", ".endif", ".notice", ".warning", ".alert", ".diag",
        ];
        let name = directive.text.as_str();
        let severity = match name {
            ".notice" | ".diag" => Severity::Note,
            ".warning" => Severity::Warning,
            ".alert" => Severity::Error,
            _ => {
                let message = format_args!("'{name}' is no directive");
                let problem = Diagnostic::error(Kind::Unknown, directive.span, message);
                return Err(match suggest::nearest(name, DIRECTIVES) {
                    Some(near) => problem.help(format_args!("did you mean '{near}'?")),
                    None => {
                        problem.help(format_args!("the directives are {}", DIRECTIVES.join(", ")))
                    }
                });
            }
        };
        if let Some(extra) = args.get(1).filter(|extra| !extra.text.is_empty()) {
            let message = format_args!("'{name}' takes one message");
            return Err(Diagnostic::error(Kind::Syntax, extra.span, message)
                .help("put the message in quotes when it has several words"));
        }
        if name == ".diag" && !self.grammar.diagnose {
            return Ok(());
        }
        let text = args.first().map_or("", |word| word.text.as_str());
        let span = args.first().map_or(directive.span, |word| word.span);
        let note = Diagnostic::note(Kind::Advice, span, text);
        self.report(Diagnostic { severity, ..note });
        Ok(())
    }

    /// Refuses a line that is a statement of a template engine, and says once when one has a placeholder.
    fn placeholder(&mut self, line: LineText<'_>, words: &[Word]) -> Result<(), Diagnostic> {
        let end = words
            .last()
            .map_or(0, |word| word.span.end as usize - line.start);
        let Some((part, statement)) = template::find(&line.bytes[..end]) else {
            return Ok(());
        };
        let span = line.span(part.start, part.end);
        if statement {
            let message = "this line belongs to a template engine, not to a configuration";
            return Err(Diagnostic::error(Kind::Syntax, span, message).help(template::HELP));
        }
        if !std::mem::replace(&mut self.template, true) {
            let note = Diagnostic::note(Kind::Advice, span, template::MESSAGE);
            self.report(note.help(template::HELP));
        }
        Ok(())
    }

    /// Says so when a line seems to go on behind a backslash.
    fn no_continuation(&mut self, line: LineText<'_>, words: &[Word]) {
        let end = line.bytes.len();
        let backslashes = line.bytes.iter().rev().take_while(|byte| **byte == b'\\');
        let touches = |word: &Word| word.span.end == line.span(end, end).end;
        if backslashes.count() % 2 == 0 || !words.last().is_some_and(touches) {
            return;
        }
        let span = line.span(end - 1, end);
        let message = "this backslash is taken as it is, and the line ends here";
        self.report(
            Diagnostic::note(Kind::Advice, span, message)
                .cause("lines have no continuation")
                .help("write the whole statement on one line"),
        );
    }

    fn unreadable(&mut self, path: &Path, kind: Kind, message: &str) {
        let file = self.parsed.sources.add(path, Vec::new());
        self.report(Diagnostic::error(kind, Span::new(file, 0, 0), message));
    }

    fn report(&mut self, problem: Diagnostic) {
        self.diagnostics.push(problem);
    }
}

/// Whether a file in a directory is part of the configuration.
fn is_part(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    path.extension() == Some(OsStr::new("cfg")) && !name.starts_with(b".")
}

fn expanded_bytes(word: &Word) -> usize {
    word.text.len()
        + word.raw.as_ref().map_or(0, |raw| raw.len())
        + word.expanded.as_ref().map_or(0, |text| text.len())
}

/// Refuses the two bytes that would hide the rest of a line from HAProxy; in a comment, a carriage return hides nothing.
fn printable(line: LineText<'_>) -> Result<(), Diagnostic> {
    let comment = line.bytes.trim_ascii_start().starts_with(b"#");
    let hidden = |byte: &u8| *byte == 0 || (*byte == b'\r' && !comment);
    let Some(at) = line.bytes.iter().position(hidden) else {
        return Ok(());
    };
    let span = line.span(at, at + 1);
    if line.bytes[at] == 0 {
        let message = "a NUL byte stands in this line";
        return Err(Diagnostic::error(Kind::Syntax, span, message)
            .cause("this may be no text file, or one in an encoding such as UTF-16"));
    }
    if line.bytes[at..].iter().all(|byte| words::is_space(*byte)) {
        return Ok(());
    }
    let message = "a carriage return stands in the middle of this line";
    Err(Diagnostic::error(Kind::Syntax, span, message)
        .cause("HAProxy would take it for the end of the line and ignore what follows")
        .help("end every line with a line feed"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{parse, parse_text};
    use super::*;
    use crate::condition::Version;
    use crate::source::MemoryLoader;

    struct Claims;

    impl Conditions for Claims {
        fn version(&self) -> Version {
            Version::development(3, 5, 5)
        }

        fn feature(&self, name: &str) -> bool {
            name == "OPENSSL"
        }
    }

    const GRAMMAR: Grammar = Grammar {
        sections: &["global", "defaults", "frontend", "backend", "listen"],
        environment_section: "global",
        scopes: false,
        diagnose: false,
    };

    fn read(text: &str) -> Parsed {
        parse_text("t.cfg", text, &mut Environment::new(), &GRAMMAR, &Claims)
    }

    /// Sections as `keyword arg: line; line`.
    fn outline(parsed: &Parsed) -> Vec<String> {
        let join = |words: &[Word]| {
            let texts: Vec<_> = words.iter().map(|word| word.text.as_str()).collect();
            texts.join(" ")
        };
        let sections = parsed.document.sections.iter();
        sections
            .map(|section| {
                let lines: Vec<_> = section.lines.iter().map(|line| join(&line.words)).collect();
                let args = join(&section.args);
                format!("{} {args}: {}", section.keyword.text, lines.join("; "))
            })
            .collect()
    }

    #[test]
    fn sections_and_lines() {
        let parsed =
            read("# c\nglobal\n  daemon\n\nfrontend web\r\n\tbind :80\r\n\tmode http\nbackend b\n");
        let expected = [
            "global : daemon",
            "frontend web: bind :80; mode http",
            "backend b: ",
        ];
        assert_eq!(outline(&parsed), expected);
        assert_eq!(parsed.diagnostics, []);
        let bind = &parsed.document.sections[1].lines[0];
        assert_eq!(parsed.sources.slice(bind.span), "bind :80");
    }

    #[test]
    fn variables_change_while_reading_but_only_in_global() {
        let parsed = read(
            "global\nsetenv A 1\npresetenv A 2\npresetenv B 3\nx \"$A$B\"\nunsetenv A\ny \"${A-no}\"\n\
             resetenv B\nz \"${A-no}$B\"\nfrontend f\nsetenv B 9\nw \"$B\"\n",
        );
        let outline = outline(&parsed);
        assert!(outline[0].contains("; x 13;"), "{outline:?}");
        assert!(outline[0].contains("; y no;"), "{outline:?}");
        assert!(outline[0].contains("; z no3"), "{outline:?}");
        assert!(outline[1].contains("; w 3"), "{outline:?}");
        assert_eq!(parsed.diagnostics, []);
    }

    #[test]
    fn files_start_outside_of_sections_and_directories_are_sorted() {
        let loader = MemoryLoader::new()
            .file("d/2.cfg", "backend b\n x\n")
            .file("d/1.cfg", "frontend f\n y\n")
            .file("d/.hidden.cfg", "oops\n")
            .file("d/readme", "oops\n")
            .file("last.cfg", " z\n");
        let roots = ["d", "last.cfg", "gone.cfg"].map(PathBuf::from);
        let parsed = parse(&roots, &loader, &mut Environment::new(), &GRAMMAR, &Claims);
        assert_eq!(outline(&parsed), ["frontend f: y", "backend b: x"]);
        let kinds: Vec<_> = parsed
            .diagnostics
            .iter()
            .map(|problem| problem.kind)
            .collect();
        assert_eq!(kinds, [Kind::Unknown, Kind::Environment]);
        let gone = parsed.diagnostics[1].span.file;
        assert_eq!(parsed.sources.path(gone), Path::new("gone.cfg"));
    }

    #[test]
    fn variables_cannot_fill_the_memory() {
        let mut text = "global\nsetenv A xxxxxxxxxxxxxxxx\n".to_owned();
        text.push_str(&"setenv A \"$A$A\"\n".repeat(14));
        text.push_str(&"x \"$A\"\n".repeat(1000));
        let parsed = read(&text);
        let last = parsed.diagnostics.last().expect("the cap is reported");
        assert!(last.message.contains("too large"), "{}", last.message);
    }

    #[test]
    fn scopes_and_diagnosis_are_for_grammars_that_ask() {
        let grammar = Grammar {
            sections: &["agent"],
            scopes: true,
            diagnose: true,
            ..GRAMMAR
        };
        let text = "agent a\n[first]\nagent b\n[second]\nagent c\n.diag \"seen\"\n";
        let parsed = parse_text("t.cfg", text, &mut Environment::new(), &grammar, &Claims);
        let scopes = parsed.document.sections.iter();
        let scopes: Vec<_> = scopes
            .map(|section| section.scope.as_ref().map(|scope| scope.text.as_str()))
            .collect();
        assert_eq!(scopes, [None, Some("first"), Some("second")]);
        assert_eq!(parsed.diagnostics[0].message, "seen");
    }

    #[test]
    fn files_are_bounded() {
        let huge = vec![b'\n'; FILE_BYTES_MAX + 1];
        let loader = MemoryLoader::new()
            .file("huge.cfg", huge)
            .file("next.cfg", "global\n");
        let roots = ["huge.cfg", "next.cfg"].map(PathBuf::from);
        let parsed = parse(&roots, &loader, &mut Environment::new(), &GRAMMAR, &Claims);
        assert!(parsed.has_errors());
        assert!(parsed.diagnostics[0].message.contains("too large"));
        assert!(parsed.document.sections.is_empty());
    }
}
