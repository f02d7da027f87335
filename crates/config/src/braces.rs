//! The grammar of words and braces that `keepalived.conf` and nginx's files share.
//!
//! A statement is a list of words; it may carry a block of statements in braces. What the two languages do not share
//! is a [`Dialect`]. What is absent: includes, variables and macros, which are keywords of their languages.

mod tokens;

use crate::args::{Args, Word};
use crate::diagnostic::{Diagnostic, Diagnostics, FileId, Kind, Span};
use tokens::{Token, Tokens};

/// Deepest nesting of blocks.
pub const DEPTH_MAX: usize = 64;

/// Most words in one file.
pub const WORDS_MAX: usize = 4 << 20;

/// Longest word, in bytes.
pub const WORD_BYTES_MAX: usize = 1 << 20;

/// What ends a statement that has no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The end of the line; a block may still begin on the next one, and a backslash before it joins two lines.
    Line,
    /// A semicolon; line ends are blanks, in quotes too.
    Semicolon,
}

/// Where the two languages differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub end: End,
    /// The bytes that begin a comment.
    pub comments: &'static [u8],
    /// Whether a comment may begin in the middle of a word.
    pub comments_split_words: bool,
    /// What a backslash makes of the byte behind it. Before any other byte it stands for itself, and that byte loses
    /// its meaning.
    pub escapes: &'static [(u8, u8)],
    /// Whether a word may touch the quote that ends the one before it.
    pub words_touch: bool,
}

impl Dialect {
    /// The language of `keepalived.conf`.
    pub const KEEPALIVED: Self = Self {
        end: End::Line,
        comments: b"#!",
        comments_split_words: true,
        escapes: &[(b'#', b'#'), (b'!', b'!')],
        words_touch: true,
    };

    /// The language of `nginx.conf`.
    pub const NGINX: Self = Self {
        end: End::Semicolon,
        comments: b"#",
        comments_split_words: false,
        escapes: &[
            (b'"', b'"'),
            (b'\'', b'\''),
            (b'\\', b'\\'),
            (b'n', b'\n'),
            (b'r', b'\r'),
            (b't', b'\t'),
        ],
        words_touch: false,
    };
}

/// Words, and the block behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// At least one word.
    pub words: Vec<Word>,
    pub block: Option<Block>,
    /// From the first word to the end of the last.
    pub span: Span,
}

impl Statement {
    /// Reads the words from the first on.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.words, self.span)
    }
}

/// What stands between two braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub statements: Vec<Statement>,
    /// From brace to brace, or to the end of the file when it is never closed.
    pub span: Span,
}

/// The outcome of reading a text; parsing never fails.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub statements: Vec<Statement>,
    /// What is wrong, in the order of reading.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads one file's text, or what is left of it beyond [`crate::source::FILE_BYTES_MAX`].
pub fn parse(file: FileId, text: &[u8], dialect: &Dialect) -> Parsed {
    let text = &text[..text.len().min(crate::source::FILE_BYTES_MAX)];
    let mut parser = Parser {
        dialect,
        levels: vec![Level::default()],
        beyond: 0,
        words: Vec::new(),
        total: 0,
        diagnostics: Diagnostics::new(),
    };
    let mut tokens = Tokens::new(file, text, dialect);
    loop {
        match tokens.next() {
            Ok(Some(token)) => parser.take(token),
            Ok(None) => break,
            Err(problem) => parser.diagnostics.push(problem),
        }
        if parser.total > WORDS_MAX {
            let message = format_args!("this file has more than {WORDS_MAX} words");
            let at = tokens.place();
            parser
                .diagnostics
                .push(Diagnostic::error(Kind::Syntax, at, message));
            break;
        }
    }
    parser.finish(tokens.place())
}

/// One level of blocks: the file, or what an open brace has begun.
#[derive(Debug, Default)]
struct Level {
    statements: Vec<Statement>,
    open: Span,
}

struct Parser<'a> {
    dialect: &'a Dialect,
    /// Never empty: the first level is the file.
    levels: Vec<Level>,
    /// Open braces beyond [`DEPTH_MAX`]; what they hold is dropped.
    beyond: usize,
    /// The statement being read.
    words: Vec<Word>,
    total: usize,
    diagnostics: Diagnostics,
}

impl Parser<'_> {
    fn take(&mut self, token: Token) {
        match token {
            Token::Word(word) => {
                self.total += 1;
                self.words.push(word);
            }
            Token::Open(at) => self.open(at),
            Token::Close(at) => self.close(at),
            Token::End(at) => self.end(at),
        }
    }

    /// A semicolon or, where it counts, a line end.
    fn end(&mut self, at: Span) {
        if self.words.is_empty() && self.dialect.end == End::Semicolon {
            let message = "a statement is missing before this ';'";
            self.error(at, message);
        }
        self.flush(None);
    }

    fn open(&mut self, at: Span) {
        if self.words.is_empty() {
            // On a line of its own, the brace belongs to the statement before it.
            let reopened = match self.dialect.end {
                End::Line if self.beyond == 0 => self.reopen(),
                _ => false,
            };
            if !reopened && self.beyond == 0 {
                self.error(at, "this '{' follows no word");
            }
        }
        if self.levels.len() > DEPTH_MAX || self.beyond > 0 {
            if self.beyond == 0 {
                let message = format!("blocks are nested more than {DEPTH_MAX} deep");
                self.error(at, &message);
            }
            self.beyond += 1;
            self.words.clear();
            return;
        }
        self.flush(Some(at));
        self.levels.push(Level {
            statements: Vec::new(),
            open: at,
        });
    }

    /// Takes the words of the last statement back, when it has no block yet.
    fn reopen(&mut self) -> bool {
        let Some(level) = self.levels.last_mut() else {
            return false;
        };
        match level.statements.pop_if(|last| last.block.is_none()) {
            Some(last) => self.words = last.words,
            None => return false,
        }
        true
    }

    fn close(&mut self, at: Span) {
        self.expect_end();
        self.flush(None);
        if self.beyond > 0 {
            self.beyond -= 1;
        } else if self.levels.len() == 1 {
            self.error(at, "this '}' closes nothing");
        } else {
            self.fold(at);
        }
    }

    /// Reports a statement that should have been ended by a semicolon.
    fn expect_end(&mut self) {
        let last = self.words.last().map(|word| word.span);
        if let Some(last) = last.filter(|_| self.dialect.end == End::Semicolon) {
            let after = Span {
                start: last.end,
                ..last
            };
            self.error(after, "a ';' is missing here");
        }
    }

    /// Makes the innermost level the block of the statement that began it.
    fn fold(&mut self, at: Span) {
        let Some(level) = self.levels.pop() else {
            return;
        };
        let span = level.open.to(at);
        let owner = self.levels.last_mut();
        if let Some(owner) = owner.and_then(|owner| owner.statements.last_mut()) {
            owner.block = Some(Block {
                statements: level.statements,
                span,
            });
        }
    }

    /// Ends the statement being read. A block that follows always finds a statement to belong to.
    fn flush(&mut self, block: Option<Span>) {
        let mut words = std::mem::take(&mut self.words);
        if self.beyond > 0 {
            return;
        }
        words.shrink_to_fit();
        let span = match (words.first(), words.last(), block) {
            (Some(first), Some(last), _) => first.span.to(last.span),
            (_, _, Some(at)) => at,
            _ => return,
        };
        if let Some(level) = self.levels.last_mut() {
            level.statements.push(Statement {
                words,
                block: None,
                span,
            });
        }
    }

    fn finish(mut self, end: Span) -> Parsed {
        self.expect_end();
        self.flush(None);
        while self.levels.len() > 1 {
            let open = self.levels[self.levels.len() - 1].open;
            self.error(open, "this '{' is never closed");
            self.fold(end);
        }
        let mut statements = self.levels.swap_remove(0).statements;
        drop_nameless(&mut statements);
        Parsed {
            statements,
            diagnostics: self.diagnostics.into_vec(),
        }
    }

    fn error(&mut self, at: Span, message: &str) {
        self.diagnostics
            .push(Diagnostic::error(Kind::Syntax, at, message));
    }
}

/// Removes the statements without words, which stood in for what owns a stray block; each was reported.
fn drop_nameless(statements: &mut Vec<Statement>) {
    statements.retain(|statement| !statement.words.is_empty());
    for statement in statements {
        if let Some(block) = &mut statement.block {
            drop_nameless(&mut block.statements);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as one line: words joined by blanks, blocks in braces, statements ended by `;`.
    fn outline(statements: &[Statement]) -> String {
        let mut out = String::new();
        for statement in statements {
            let words: Vec<_> = statement
                .words
                .iter()
                .map(|word| word.text.as_str())
                .collect();
            out.push_str(&words.join(" "));
            match &statement.block {
                Some(block) => out.push_str(&format!("{{{}}}", outline(&block.statements))),
                None => out.push(';'),
            }
        }
        out
    }

    fn check(dialect: &Dialect, cases: &[(&str, &str, usize)]) {
        for (text, tree, errors) in cases {
            let parsed = parse(FileId(0), text.as_bytes(), dialect);
            assert_eq!(outline(&parsed.statements), *tree, "{text}");
            assert_eq!(
                parsed.diagnostics.len(),
                *errors,
                "{text}: {:?}",
                parsed.diagnostics
            );
        }
    }

    #[test]
    fn keepalived() {
        check(
            &Dialect::KEEPALIVED,
            &[
                ("", "", 0),
                ("a b\nc\n", "a b;c;", 0),
                ("a b", "a b;", 0),
                ("a b {\n  c d\n}\ne\n", "a b{c d;}e;", 0),
                ("a\n{\n\n c\n}\n", "a{c;}", 0),
                ("a{\n}\n", "a{}", 0),
                ("a { b }\n", "a{b;}", 0),
                ("a { b { c\r\n }\r\n }\r\n", "a{b{c;}}", 0),
                ("! note\n a # note\n b!note\n", "a;b;", 0),
                ("a \"x y # z\" 'q r'\n", "a x y # z q r;", 0),
                (r"a b\#c \!d e\f", r"a b#c !d e\f;", 0),
                ("a \\\n  b\nc\n", "a b;c;", 0),
                ("a; b\n", "a; b;", 0),
                ("a ${x} y\n", "a ${x} y;", 0),
                ("a \"b\nc\n", "a;c;", 1),
                ("a {\n b\n", "a{b;}", 1),
                ("a\n}\nb\n", "a;b;", 1),
                ("{\n a\n}\nb\n", "b;", 1),
                ("a {\n}\n{\n}\n", "a{}", 1),
                ("a {{ b }} {{c}}/24\n{{ d\n", "a {{ b }} {{c}} /24{}", 4),
            ],
        );
    }

    #[test]
    fn nginx() {
        check(
            &Dialect::NGINX,
            &[
                ("a b;c;", "a b;c;", 0),
                ("a\n  b\n  c;\n", "a b c;", 0),
                (
                    "http { server { listen 80; } }",
                    "http{server{listen 80;}}",
                    0,
                ),
                ("a b{c;}", "a b{c;}", 0),
                ("a # note;\n b;", "a b;", 0),
                ("a b#c;", "a b#c;", 0),
                ("a \"x;y\" 'q {\n}';", "a x;y q {\n};", 0),
                (r#"a "\"b\n" c\ d;"#, "a \"b\n c\\ d;", 0),
                ("a ${x} b${y}c;", "a ${x} b${y}c;", 0),
                ("a ~ ^/x(y|z)$;", "a ~ ^/x(y|z)$;", 0),
                ("a it's;", "a it's;", 0),
                ("a", "a;", 1),
                ("a { b }", "a{b;}", 1),
                (";", "", 1),
                ("a;;", "a;", 1),
                ("a \"b\"c;", "a b c;", 1),
                ("if ($a = \"b\") { c; }", "if ($a = b ){c;}", 0),
                ("a \"b", "a;", 2),
                ("a {", "a{}", 1),
                ("}", "", 1),
                ("{ a; } b;", "b;", 1),
                ("a; { b; }", "a;", 1),
            ],
        );
    }

    #[test]
    fn spans_point_at_words_and_blocks() {
        let parsed = parse(FileId(0), b"a \"b c\" {\n d;\n}", &Dialect::NGINX);
        let statement = &parsed.statements[0];
        assert_eq!((statement.span.start, statement.span.end), (0, 7));
        assert_eq!(
            (statement.words[1].span.start, statement.words[1].span.end),
            (2, 7)
        );
        let block = statement.block.as_ref().unwrap();
        assert_eq!((block.span.start, block.span.end), (8, 15));
    }

    #[test]
    fn depth_is_bounded() {
        let nested =
            |depth: usize| format!("{}{}", "a {\n".repeat(depth), "}\n".repeat(depth)) + "b\n";
        for (depth, errors) in [(DEPTH_MAX, 0), (DEPTH_MAX + 3, 1), (100_000, 1)] {
            let parsed = parse(FileId(0), nested(depth).as_bytes(), &Dialect::KEEPALIVED);
            assert_eq!(parsed.diagnostics.len(), errors, "{depth}");
            assert_eq!(parsed.statements.len(), 2, "{depth}");
        }
    }
}
