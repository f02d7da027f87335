//! A line of the runtime API: commands between `;`, words between blanks, `\` before what is meant literally.

/// Longest line that a connection may send, in bytes.
pub const LINE_BYTES_MAX: usize = 16 << 10;

/// Longest payload, in bytes: a file of authorities fits.
pub const PAYLOAD_BYTES_MAX: usize = 128 << 10;

/// Commands on one line beyond which the rest is refused.
pub const COMMANDS_MAX: usize = 128;

/// Words of one command beyond which the rest is left out.
pub const WORDS_MAX: usize = 64;

/// A line cut into commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The words of each command; a command may have none.
    pub commands: Vec<Vec<String>>,
    /// The last command is followed by lines of its own, up to one that equals this.
    pub payload_end: Option<String>,
}

/// Cuts a line without its end. What is not UTF-8 is replaced, so that no command sees it.
pub fn parse(bytes: &[u8]) -> Line {
    let text = String::from_utf8_lossy(bytes);
    let mut line = Line::default();
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    // An escape anywhere in the last word makes it mean itself.
    let mut plain = true;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if word.is_none() && !is_blank(letter) {
            plain = true;
        }
        match letter {
            '\\' => {
                plain = false;
                let literal = letters.next().unwrap_or('\\');
                word.get_or_insert_default().push(literal);
            }
            blank if is_blank(blank) => finish(&mut word, &mut words),
            ';' => {
                finish(&mut word, &mut words);
                line.commands.push(std::mem::take(&mut words));
                if line.commands.len() == COMMANDS_MAX {
                    return line;
                }
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    finish(&mut word, &mut words);
    line.payload_end = words
        .last()
        .filter(|_| plain)
        .and_then(|word| word.strip_prefix("<<"))
        .map(str::to_owned);
    if line.payload_end.is_some() {
        words.pop();
    }
    line.commands.push(words);
    line
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r')
}

fn finish(word: &mut Option<String>, words: &mut Vec<String>) {
    if let Some(word) = word.take()
        && words.len() < WORDS_MAX
    {
        words.push(word);
    }
}

/// The words of one command, taken one after the other, and its payload.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    words: &'a [String],
    payload: Option<&'a str>,
}

impl<'a> Words<'a> {
    pub fn new(words: &'a [String], payload: Option<&'a str>) -> Self {
        Self { words, payload }
    }

    /// The next word, which stays.
    pub fn peek(&self) -> Option<&'a str> {
        self.words.first().map(String::as_str)
    }

    /// The next word.
    #[expect(clippy::should_implement_trait, reason = "a cursor, not an iterator")]
    pub fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// The lines that followed the command.
    pub fn payload(&self) -> Option<&'a str> {
        self.payload
    }

    /// The words not taken yet.
    pub fn all(&self) -> &'a [String] {
        self.words
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.words = self.words.get(count..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn commands(text: &str) -> Vec<Vec<String>> {
        parse(text.as_bytes()).commands
    }

    #[test]
    fn lines_are_cut() {
        for (text, expected) in [
            ("", &[&[][..]][..]),
            (";", &[&[], &[]]),
            ("show info", &[&["show", "info"]]),
            ("  show \t info \r", &[&["show", "info"]]),
            (
                "show info;show stat",
                &[&["show", "info"], &["show", "stat"]],
            ),
            (r"echo a\ b\;c\\d", &[&["echo", r"a b;c\d"]]),
            ("echo \\", &[&["echo", "\\"]]),
        ] {
            assert_eq!(commands(text), expected, "{text}");
        }
    }

    #[test]
    fn payloads_are_announced_by_the_last_word() {
        for (text, end) in [
            ("add map x <<", Some("")),
            ("add map x <<%EOF", Some("%EOF")),
            ("add << x", None),
            (r"echo \<<", None),
            ("show info; add x <<", Some("")),
        ] {
            let line = parse(text.as_bytes());
            assert_eq!(line.payload_end.as_deref(), end, "{text}");
            let last = line.commands.last().expect("a command");
            let left = last.iter().any(|word| word.starts_with("<<"));
            assert_eq!(left, end.is_none(), "{text}");
        }
    }

    #[test]
    fn caps_hold() {
        assert_eq!(commands(&";".repeat(10_000)).len(), COMMANDS_MAX);
        assert_eq!(commands(&"a ".repeat(10_000))[0].len(), WORDS_MAX);
    }

    proptest! {
        #[test]
        fn anything_is_cut_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let line = parse(&bytes);
            prop_assert!(!line.commands.is_empty() && line.commands.len() <= COMMANDS_MAX);
        }

        /// Escaping every letter makes one word of any text.
        #[test]
        fn escapes_restore_the_text(text in "[a-z ;<]{1,20}") {
            let escaped: String = text.chars().flat_map(|letter| ['\\', letter]).collect();
            prop_assert_eq!(commands(&escaped), vec![vec![text]]);
        }
    }
}
