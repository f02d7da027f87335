//! One line of text to words: quotes, escapes, comments and variables.
//!
//! The rules are those of HAProxy since 2.4: a backslash escapes outside single quotes, `$` stands for a variable
//! inside double quotes only, quotes may open and close in the middle of a word, and a line has no continuation.

use crate::args::Word;
use crate::diagnostic::{Diagnostic, FileId, Kind, Span};
use crate::source::Environment;
use crate::suggest;

/// Most words on one line. HAProxy stops at 64; nothing in the grammar needs that.
pub const LINE_WORDS_MAX: usize = 4096;

/// Longest line, in bytes, before and after variables are expanded.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// What a line is read against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) environment: &'a Environment,
    /// Answers `.FILE`.
    pub(crate) path: &'a [u8],
    /// Answers `.LINE`; counted from one.
    pub(crate) line: u32,
    /// Answers `.SECTION`: its name, or its keyword when it has none, or nothing before the first.
    pub(crate) section: &'a [u8],
    /// Whether `#` starts a comment; a condition on the command line has none.
    pub(crate) comments: bool,
}

/// A stretch of one file that holds one line without its line end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineText<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) file: FileId,
    /// Where `bytes` begin in the file.
    pub(crate) start: usize,
}

impl LineText<'_> {
    /// The span of a part of the line.
    pub(crate) fn span(&self, from: usize, to: usize) -> Span {
        Span::new(self.file, self.start + from, self.start + to)
    }

    /// The span of the text between leading and trailing blanks.
    pub(crate) fn trimmed(&self) -> Span {
        let from = self.bytes.iter().take_while(|b| is_space(**b)).count();
        let blanks = self.bytes.iter().rev().take_while(|b| is_space(**b));
        let to = (self.bytes.len() - blanks.count()).max(from);
        self.span(from, to)
    }
}

/// A word that came out empty, and the variable that made it so.
#[derive(Clone, Debug)]
pub(crate) struct Hollow {
    pub(crate) span: Span,
    pub(crate) variable: Option<String>,
}

/// The words of a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    pub(crate) words: Vec<Word>,
    /// The first empty word: HAProxy refuses lines that have one, except in conditions.
    pub(crate) hollow: Option<Hollow>,
    /// Words that lack the value of a variable, which is not set, but have something else; at most [`GAPS_MAX`].
    pub(crate) gaps: Vec<Hollow>,
}

/// Most words of a line of which it is told that they lack something.
const GAPS_MAX: usize = 16;

/// Splits a line.
///
/// # Errors
/// One diagnostic: the line cannot be read beyond it.
pub(crate) fn split(
    line: LineText<'_>,
    surroundings: &Surroundings<'_>,
) -> Result<Words, Diagnostic> {
    if line.bytes.len() > LINE_BYTES_MAX {
        let message = format_args!("this line is longer than {LINE_BYTES_MAX} bytes");
        return Err(Diagnostic::error(Kind::Syntax, line.span(0, 0), message));
    }
    let mut splitter = Splitter {
        line,
        surroundings,
        at: 0,
        quote: None,
        emptiable: false,
        word: None,
        opened: None,
        blank: None,
        expanded: 0,
        out: Words::default(),
    };
    splitter.run()?;
    Ok(splitter.out)
}

/// As C's `isspace`: blank, tab, line feed, vertical tab, form feed, carriage return.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A word under construction.
#[derive(Debug)]
struct Draft {
    start: usize,
    bytes: Vec<u8>,
    quoted: bool,
}

/// The variable a reference names.
enum Reference<'a> {
    Known(&'a [u8], Vec<u8>),
    Unknown(&'a [u8]),
}

struct Splitter<'a> {
    line: LineText<'a>,
    surroundings: &'a Surroundings<'a>,
    at: usize,
    /// The quote that is open, and where.
    quote: Option<(u8, usize)>,
    /// Whether closing the quote makes a word even of nothing; a list that expands to nothing prevents it.
    emptiable: bool,
    word: Option<Draft>,
    /// The first quote since the last word ended, while there is no word yet.
    opened: Option<usize>,
    /// The first variable in the word that had nothing to give.
    blank: Option<String>,
    /// Bytes that came out of variables.
    expanded: usize,
    out: Words,
}

impl<'a> Splitter<'a> {
    fn run(&mut self) -> Result<(), Diagnostic> {
        while let Some(&byte) = self.line.bytes.get(self.at) {
            let quote = self.quote.map(|(quote, _)| quote);
            match byte {
                b'#' if quote.is_none() && self.surroundings.comments => break,
                b'"' if quote != Some(b'\'') => self.toggle(byte),
                b'\'' if quote != Some(b'"') => self.toggle(byte),
                b'\\' if quote != Some(b'\'') => self.escape()?,
                b'$' if quote == Some(b'"') => self.variable()?,
                _ if is_space(byte) && quote.is_none() => {
                    self.end_word(self.at)?;
                    self.at += 1;
                }
                _ => {
                    self.push(byte, self.at);
                    self.at += 1;
                }
            }
        }
        if let Some((quote, at)) = self.quote {
            let message = format_args!("this {} quote is never closed", quote_name(quote));
            let mut problem = Diagnostic::error(Kind::Syntax, self.line.span(at, at + 1), message)
                .cause(
                    "a quoted text ends on the line where it begins; lines have no continuation",
                );
            if quote == b'\'' {
                problem = problem.help(r"write \' for an apostrophe that is part of the text");
            }
            return Err(problem);
        }
        self.end_word(self.at)
    }

    fn toggle(&mut self, quote: u8) {
        if self.quote.take().is_some() {
            if self.emptiable {
                self.begin_word(self.at);
            }
        } else {
            self.quote = Some((quote, self.at));
            self.emptiable = true;
            if self.word.is_none() {
                self.opened.get_or_insert(self.at);
            }
        }
        if let Some(word) = &mut self.word {
            word.quoted = true;
        }
        self.at += 1;
    }

    fn escape(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        let in_double = self.quote.is_some();
        let next = self.line.bytes.get(start + 1).copied();
        let (byte, length) = match next {
            Some(b' ' | b'\\' | b'\'' | b'"') => (next, 2),
            Some(b'#') if self.surroundings.comments => (next, 2),
            Some(b'$') if in_double => (next, 2),
            Some(b't') => (Some(b'\t'), 2),
            Some(b'n') => (Some(b'\n'), 2),
            Some(b'r') => (Some(b'\r'), 2),
            Some(b'x') => (Some(self.hexadecimal()?), 4),
            // Anything else, such as the `\1` of a replacement, is a backslash that stands for itself.
            _ => (None, 1),
        };
        let word = self.push(byte.unwrap_or(b'\\'), start);
        word.quoted |= byte.is_some();
        self.at += length;
        Ok(())
    }

    fn hexadecimal(&self) -> Result<u8, Diagnostic> {
        let digits = self.line.bytes.get(self.at + 2..self.at + 4);
        let value = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let span = |to: usize| {
            self.line
                .span(self.at, (self.at + to).min(self.line.bytes.len()))
        };
        match value {
            Some(0) => Err(Diagnostic::error(
                Kind::Syntax,
                span(4),
                "a word cannot hold a NUL byte",
            )),
            Some(byte) => Ok(byte),
            None => {
                let message = r"two hexadecimal digits are missing after '\x'";
                Err(Diagnostic::error(Kind::Syntax, span(2), message)
                    .help(r"write for example \x0a, or \\x for a backslash and an x"))
            }
        }
    }

    fn variable(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        let bytes = self.line.bytes;
        let at = |index: usize| bytes.get(index).copied();
        let braced = at(start + 1) == Some(b'{');
        let name_start = start + 1 + usize::from(braced);
        let internal = at(name_start) == Some(b'.');
        let name_tail = name_start + usize::from(internal);
        let name_length = bytes[name_tail.min(bytes.len())..]
            .iter()
            .take_while(|byte| is_name(**byte))
            .count();
        let name = &bytes[name_start.min(bytes.len())..(name_tail + name_length).min(bytes.len())];
        if name.is_empty() || name[0].is_ascii_digit() {
            let span = self.line.span(start, name_start.min(bytes.len()));
            let message = "no variable name follows this '$'";
            return Err(Diagnostic::error(Kind::Syntax, span, message)
                .cause("inside double quotes '$' stands for a variable; names begin with a letter or '_'")
                .help(r"write \$ for a dollar sign, or put the text in single quotes"));
        }
        let reference = self.resolve(name, name_start)?;
        let mut end = name_tail + name_length;
        let list = braced && at(end) == Some(b'[');
        if list {
            if bytes.get(end..end + 3) != Some(b"[*]") {
                let span = self.line.span(end, (end + 1).min(bytes.len()));
                let message = "only '[*]' may stand here";
                return Err(Diagnostic::error(Kind::Syntax, span, message)
                    .help("write \"${NAME[*]}\" to make one word of each value in a list"));
            }
            end += 3;
        }
        let mut default = None;
        if braced {
            let brace = self.line.span(start, start + 2);
            if at(end) == Some(b'-') {
                let rest = &bytes[end + 1..];
                let length = rest.iter().position(|byte| *byte == b'}');
                let length = length.ok_or_else(|| unclosed(brace))?;
                default = Some(&rest[..length]);
                end += 1 + length;
            } else if at(end) != Some(b'}') {
                return Err(unclosed(brace));
            }
            end += 1;
        }
        self.at = end;
        self.insert(reference, default, list, start)
    }

    fn resolve(&self, name: &'a [u8], start: usize) -> Result<Reference<'a>, Diagnostic> {
        let surroundings = self.surroundings;
        Ok(match name {
            b".LINE" => Reference::Known(name, surroundings.line.to_string().into_bytes()),
            b".FILE" => Reference::Known(name, surroundings.path.to_vec()),
            b".SECTION" => Reference::Known(name, surroundings.section.to_vec()),
            [b'.', ..] => {
                let span = self.line.span(start, start + name.len());
                let text = String::from_utf8_lossy(name);
                let message = format_args!("'{text}' is no internal variable");
                return Err(Diagnostic::error(Kind::Syntax, span, message)
                    .help("the internal variables are .FILE, .LINE and .SECTION"));
            }
            _ => match surroundings.environment.get(name) {
                Some(value) => Reference::Known(name, value.to_vec()),
                None => Reference::Unknown(name),
            },
        })
    }

    /// Puts the value of a variable in place of the reference that began at `start`.
    fn insert(
        &mut self,
        reference: Reference<'_>,
        default: Option<&[u8]>,
        list: bool,
        start: usize,
    ) -> Result<(), Diagnostic> {
        self.emptiable &= !list;
        let value = match (reference, default) {
            (Reference::Known(name, value), _) => {
                if value.is_empty() && !list {
                    self.note_blank(name);
                }
                value
            }
            (Reference::Unknown(_), Some(default)) => default.to_vec(),
            (Reference::Unknown(_), None) if list => return Ok(()),
            (Reference::Unknown(name), None) => {
                // It counts as a word, an empty one when nothing else is in it.
                self.begin_word(start);
                self.note_blank(name);
                return Ok(());
            }
        };
        self.expanded += value.len();
        if self.expanded > LINE_BYTES_MAX {
            let span = self.line.span(start, self.at);
            let message =
                format_args!("variables make this line longer than {LINE_BYTES_MAX} bytes");
            return Err(Diagnostic::error(Kind::Syntax, span, message));
        }
        for byte in value {
            if list && is_space(byte) {
                self.end_word(self.at)?;
            } else {
                self.push(byte, start).quoted = true;
            }
        }
        Ok(())
    }

    fn note_blank(&mut self, name: &[u8]) {
        self.blank
            .get_or_insert_with(|| String::from_utf8_lossy(name).into_owned());
    }

    fn push(&mut self, byte: u8, start: usize) -> &mut Draft {
        let word = self.begin_word(start);
        word.bytes.push(byte);
        word
    }

    /// The word under construction; a new one began at `start`, or at the quotes before it.
    fn begin_word(&mut self, start: usize) -> &mut Draft {
        let opened = &mut self.opened;
        self.word.get_or_insert_with(|| {
            let quote = opened.take();
            Draft {
                start: quote.unwrap_or(start),
                bytes: Vec::new(),
                quoted: quote.is_some(),
            }
        })
    }

    fn end_word(&mut self, end: usize) -> Result<(), Diagnostic> {
        self.opened = None;
        let blank = self.blank.take();
        let Some(draft) = self.word.take() else {
            return Ok(());
        };
        let span = self.line.span(draft.start, end);
        if self.out.words.len() >= LINE_WORDS_MAX {
            let message = format_args!("this line has more than {LINE_WORDS_MAX} words");
            return Err(Diagnostic::error(Kind::Syntax, span, message));
        }
        if draft.bytes.is_empty() && self.out.hollow.is_none() {
            self.out.hollow = Some(Hollow {
                span,
                variable: blank.clone(),
            });
        }
        let is_unset = |name: &String| self.surroundings.environment.get(name).is_none();
        if !draft.bytes.is_empty()
            && self.out.gaps.len() < GAPS_MAX
            && let Some(name) = blank.filter(is_unset)
        {
            let variable = Some(name);
            self.out.gaps.push(Hollow { span, variable });
        }
        let mut word = Word::from_bytes(draft.bytes, span);
        word.quoted = draft.quoted;
        if word.text.contains('$') {
            word.expanded = expand_bare(&word.text, self.surroundings.environment);
        }
        self.out.words.push(word);
        Ok(())
    }
}

fn quote_name(quote: u8) -> &'static str {
    if quote == b'"' { "double" } else { "single" }
}

fn unclosed(span: Span) -> Diagnostic {
    Diagnostic::error(Kind::Syntax, span, "this '{' is never closed")
        .help("write \"${NAME}\" or, with a value for when it is not set, \"${NAME-value}\"")
}

/// The message for a word that came out empty.
pub(crate) fn hollow_error(hollow: &Hollow, environment: &Environment) -> Diagnostic {
    let Some(name) = &hollow.variable else {
        return Diagnostic::error(Kind::Invalid, hollow.span, "this argument is empty")
            .cause("an empty argument would end the line and hide what follows it");
    };
    let state = match environment.get(name) {
        Some(_) => "empty",
        None => "not set",
    };
    let message = format_args!("variable '{name}' is {state}, which leaves this argument empty");
    let known: Vec<_> = environment
        .iter()
        .filter_map(|(name, _)| std::str::from_utf8(name).ok())
        .collect();
    let help = match suggest::nearest(name, known).filter(|near| near != name) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!(
            "set '{name}' before the start; \"${{{name}-value}}\" has a default for when it is not set, and \
             \"${{{name}[*]}}\" drops an argument that is empty"
        ),
    };
    Diagnostic::error(Kind::Environment, hollow.span, message).help(help)
}

/// What is said of a word that lacks the value of a variable.
pub(crate) fn gap_note(gap: &Hollow) -> Diagnostic {
    let name = gap.variable.as_deref().unwrap_or_default();
    let message = format_args!("variable '{name}' is not set, and nothing stands for it here");
    let note = Diagnostic::note(Kind::Environment, gap.span, message);
    note.help(format_args!("set '{name}' before the start, or write \"${{{name}-value}}\", or \"${{{name}-}}\" for nothing"))
}

/// The text with `$NAME` and `${NAME}` replaced wherever they stand, unset ones by nothing, as addresses want it;
/// `None` when there is nothing to replace or it would exceed [`LINE_BYTES_MAX`].
fn expand_bare(text: &str, environment: &Environment) -> Option<Box<str>> {
    let mut out = String::new();
    let mut rest = text;
    let mut found = false;
    while let Some(dollar) = rest.find('$') {
        let after = &rest[dollar + 1..];
        let braced = after.starts_with('{');
        let name = &after[usize::from(braced)..];
        let length = name.bytes().take_while(|byte| is_name(*byte)).count();
        let closes = !braced || name[length..].starts_with('}');
        out.push_str(&rest[..dollar]);
        if length == 0 || !closes {
            out.push('$');
            rest = after;
        } else {
            found = true;
            if let Some(value) = environment.get(&name[..length]) {
                out.push_str(&String::from_utf8_lossy(value));
            }
            rest = &name[length + usize::from(braced)..];
        }
        if out.len() > LINE_BYTES_MAX {
            return None;
        }
    }
    out.push_str(rest);
    found.then(|| out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        [
            ("A", "one"),
            ("EMPTY", ""),
            ("LIST", " x y  z "),
            ("Q", "a'b\"c#d\\e$A"),
        ]
        .into_iter()
        .collect()
    }

    fn words(text: &str) -> Result<Words, Diagnostic> {
        let environment = environment();
        let surroundings = Surroundings {
            environment: &environment,
            path: b"dir/a.cfg",
            line: 7,
            section: b"web",
            comments: true,
        };
        let line = LineText {
            bytes: text.as_bytes(),
            file: FileId(0),
            start: 100,
        };
        split(line, &surroundings)
    }

    fn texts(text: &str) -> Vec<String> {
        let words = words(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
        words.words.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn quotes_escapes_and_comments() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  \t ", &[]),
            ("a b", &["a", "b"]),
            ("\ta\t \u{b}b  ", &["a", "b"]),
            ("a # b", &["a"]),
            ("a#b", &["a"]),
            (r"a\#b '#' #c", &["a#b", "#"]),
            (r"a\ b", &["a b"]),
            (r#""a b"c' d'"#, &["a bc d"]),
            (r#"'a"b' "c'd""#, &["a\"b", "c'd"]),
            (r#"\"a\" \'b\'"#, &["\"a\"", "'b'"]),
            (r"'a\n' a\n \t \r", &["a\\n", "a\n", "\t", "\r"]),
            (r#"\x41 "\x4a" '\x41'"#, &["A", "J", r"\x41"]),
            (r"\1 \z \$A \", &[r"\1", r"\z", r"\$A", r"\"]),
            (r#""\1\"\\""#, &["\\1\"\\"]),
            (r#""" ''"#, &["", ""]),
            (r#"a"" b"#, &["a", "b"]),
            ("caf\u{e9} \u{2603}", &["caf\u{e9}", "\u{2603}"]),
        ];
        for (text, expected) in cases {
            assert_eq!(texts(text), *expected, "{text}");
        }
    }

    #[test]
    fn variables() {
        let cases: &[(&str, &[&str])] = &[
            (r#""$A" $A '$A' ${A}"#, &["one", "$A", "$A", "${A}"]),
            (r#"x"$A"y"${A}z""#, &["xoneyonez"]),
            (
                r#""$A_" "${A}_" "${NONE-dflt}" "${A-dflt}""#,
                &["", "one_", "dflt", "one"],
            ),
            (r#""${NONE-a b}""#, &["a b"]),
            (r#""${NONE-}" "${EMPTY-x}" "$EMPTY""#, &["", "", ""]),
            (r#"a "${LIST[*]}" b"#, &["a", "x", "y", "z", "b"]),
            (r#"p"${LIST[*]}"q"#, &["p", "x", "y", "z", "q"]),
            (
                r#"a "${EMPTY[*]}" "${NONE[*]}" "${NONE[*]-v w}""#,
                &["a", "v", "w"],
            ),
            (r#""$LIST""#, &[" x y  z "]),
            (r#""$Q""#, &["a'b\"c#d\\e$A"]),
            (r#""\$A" "\x24A""#, &["$A", "$A"]),
            (r#""${.LINE}:$.FILE:${.SECTION}""#, &["7:dir/a.cfg:web"]),
        ];
        for (text, expected) in cases {
            assert_eq!(texts(text), *expected, "{text}");
        }
    }

    #[test]
    fn spans_include_quotes_and_errors_point_at_the_cause() {
        let found = words(r#"  ab "c d"e '' "${LIST[*]}""#).unwrap();
        let spans: Vec<_> = found
            .words
            .iter()
            .map(|word| (word.span.start - 100, word.span.end - 100))
            .collect();
        assert_eq!(
            spans,
            [(2, 4), (5, 11), (12, 14), (16, 26), (16, 26), (16, 26)]
        );
        let cases = [
            ("a \"b", 2, "double quote"),
            ("a 'b\"", 2, "single quote"),
            (r"a\x4", 1, "hexadecimal"),
            (r"\x4g", 0, "hexadecimal"),
            (r"\x00", 0, "NUL"),
            ("\"a $\"", 3, "no variable name"),
            ("\"$1\"", 1, "no variable name"),
            ("\"${\"", 1, "no variable name"),
            ("\"$", 1, "no variable name"),
            ("\"${A\"", 1, "never closed"),
            ("\"${A-b\"", 1, "never closed"),
            ("\"${A[1]}\"", 4, "[*]"),
            ("\"${A[*", 4, "[*]"),
            ("\"${.NOW}\"", 3, ".NOW"),
        ];
        for (text, start, message) in cases {
            let problem = words(text).expect_err(text);
            assert_eq!(problem.span.start - 100, start, "{text}");
            assert!(
                problem.message.contains(message),
                "{text}: {}",
                problem.message
            );
        }
    }

    #[test]
    fn empty_words_are_remembered_with_their_variable() {
        let gaps = |text: &str| words(text).unwrap().gaps.len();
        assert_eq!(
            gaps("a \"$NONE:80\" \"x$NONE\" \"$EMPTY.\" \"${NONE-}y\" '$NONE'"),
            2
        );
        let hollow = |text: &str| words(text).unwrap().hollow;
        assert!(hollow("a b").is_none());
        assert!(hollow("a ''").unwrap().variable.is_none());
        assert_eq!(hollow("a \"$EMPTY\"").unwrap().variable.unwrap(), "EMPTY");
        assert!(hollow("a \"$EMPTY.\"").is_none());
        assert_eq!(hollow("a \"$NONE\" ''").unwrap().variable.unwrap(), "NONE");
        assert!(hollow("\"${NONE[*]}\"").is_none());
        let problem = hollow_error(&hollow("\"$EMPTI\"").unwrap(), &environment());
        assert_eq!(problem.help.unwrap(), "did you mean 'EMPTY'?");
    }

    #[test]
    fn lines_are_bounded() {
        assert!(words(&"a ".repeat(LINE_WORDS_MAX)).is_ok());
        assert!(words(&"a ".repeat(LINE_WORDS_MAX + 1)).is_err());
        assert!(words(&"a".repeat(LINE_BYTES_MAX + 1)).is_err());
        let references = "$Q".repeat(LINE_BYTES_MAX / 11 + 1);
        assert!(words(&format!("\"{references}\"")).is_err());
    }

    #[test]
    fn addresses_see_variables_outside_quotes() {
        let environment = environment();
        let cases = [
            ("fd@${A}", Some("fd@one")),
            ("$A:$NONE:80", Some("one::80")),
            ("a$", None),
            ("${A", None),
            ("plain", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                expand_bare(text, &environment).as_deref(),
                expected,
                "{text}"
            );
        }
        let found = words("bind fd@${A} x").unwrap();
        assert_eq!(found.words[1].text, "fd@${A}");
        assert_eq!(found.words[1].expanded.as_deref(), Some("fd@one"));
    }
}
