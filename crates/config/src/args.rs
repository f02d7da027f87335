//! The cursor through the words of one line, shared by keywords, actions, probes and commands.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Kind, Span};
use crate::suggest::nearest;
use crate::values::{self, AddressText, Malformed, Network, TimeUnit};

/// One word of a line after quotes, escapes and variables have been dealt with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// The word as text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Where the word stands in the file, quotes included.
    pub span: Span,
    /// Whether any part of it was quoted, escaped or came from a variable. Meaning never depends on it.
    pub quoted: bool,
    /// The exact bytes, when they are not UTF-8; read them through [`Word::bytes`].
    pub raw: Option<Box<[u8]>>,
    /// The text with `$NAME` replaced outside quotes too. Only addresses are read in this way.
    pub expanded: Option<Box<str>>,
}

impl Word {
    /// A plain word.
    pub fn new(text: impl Into<String>, span: Span) -> Self {
        Self {
            text: text.into(),
            span,
            ..Self::default()
        }
    }

    /// A word from bytes of any kind.
    pub fn from_bytes(bytes: Vec<u8>, span: Span) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::new(text, span),
            Err(error) => {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                Self {
                    raw: Some(error.into_bytes().into()),
                    ..Self::new(text, span)
                }
            }
        }
    }

    /// The word as written; configuration files are not always UTF-8.
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.text.as_bytes())
    }

    /// The word as text that loses nothing: bytes that are not UTF-8 are stood in for by characters that nobody writes.
    /// [`unspelled`] gives the bytes back, of this text or of any part of it.
    pub fn spelled(&self) -> Cow<'_, str> {
        let Some(raw) = &self.raw else {
            return Cow::Borrowed(&self.text);
        };
        let mut text = String::new();
        for chunk in raw.utf8_chunks() {
            text.push_str(chunk.valid());
            let stand_in = |byte: &u8| char::from_u32(STAND_INS + u32::from(*byte));
            text.extend(chunk.invalid().iter().filter_map(stand_in));
        }
        Cow::Owned(text)
    }
}

/// The first of 256 characters for private use that stand in for bytes, see [`Word::spelled`].
const STAND_INS: u32 = 0x10_fe00;

/// The bytes of a text that [`Word::spelled`] may have given.
pub fn unspelled(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match u32::from(character).checked_sub(STAND_INS) {
            Some(byte @ 0..=255) => bytes.push(byte as u8),
            _ => bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Reads the words of one line from left to right; each reader consumes what it accepts.
#[derive(Clone, Debug)]
pub struct Args<'a> {
    words: &'a [Word],
    next: usize,
    /// The whole line, for "something is missing here".
    line: Span,
    /// Where the text before the first word ends.
    start: u32,
    warnings: Vec<Diagnostic>,
}

impl<'a> Args<'a> {
    pub fn new(words: &'a [Word], line: Span) -> Self {
        Self {
            words,
            next: 0,
            line,
            start: line.start,
            warnings: Vec::new(),
        }
    }

    /// A cursor through words that follow others of the same line, which end at `start`.
    pub fn after(words: &'a [Word], line: Span, start: u32) -> Self {
        Self {
            start,
            ..Self::new(words, line)
        }
    }

    /// The span of the line.
    pub fn line(&self) -> Span {
        self.line
    }

    pub fn is_empty(&self) -> bool {
        self.next >= self.words.len()
    }

    /// The words not read yet.
    pub fn rest(&self) -> &'a [Word] {
        &self.words[self.next.min(self.words.len())..]
    }

    /// The word that was taken last.
    pub fn last(&self) -> Option<&'a Word> {
        self.words.get(self.next.checked_sub(1)?)
    }

    pub fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.next)
    }

    /// The words read so far.
    pub fn taken(&self) -> &'a [Word] {
        &self.words[..self.next.min(self.words.len())]
    }

    /// The next word, if there is one.
    #[expect(
        clippy::should_implement_trait,
        reason = "a cursor, not an iterator: readers of several words sit beside it"
    )]
    pub fn next(&mut self) -> Option<&'a Word> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// The next word; `what` names it in the message when it is missing ("a server name").
    pub fn word(&mut self, what: &str) -> Result<&'a Word, Diagnostic> {
        match self.next() {
            Some(word) => Ok(word),
            None => Err(Diagnostic::error(
                Kind::Invalid,
                self.end(),
                format_args!("{what} is missing here"),
            )),
        }
    }

    /// Consumes the next word when it is exactly `keyword`.
    pub fn take(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.text == keyword);
        self.next += usize::from(found);
        found
    }

    /// An unsigned number within `range`.
    pub fn number(&mut self, what: &str, range: RangeInclusive<u64>) -> Result<u64, Diagnostic> {
        let word = self.word(what)?;
        match word.text.parse::<u64>() {
            Ok(number) if range.contains(&number) => Ok(number),
            Ok(number) => Err(Diagnostic::error(
                Kind::Invalid,
                word.span,
                format_args!("{what} {number} is out of range"),
            )
            .help(format_args!(
                "write a number from {} to {}",
                range.start(),
                range.end()
            ))),
            Err(_) => Err(Diagnostic::error(
                Kind::Invalid,
                word.span,
                format_args!("'{}' is not a number", word.text),
            )
            .help(format_args!(
                "{what} is a number from {} to {}",
                range.start(),
                range.end()
            ))),
        }
    }

    /// An IP address without a port.
    pub fn ip(&mut self, what: &str) -> Result<IpAddr, Diagnostic> {
        let word = self.word(what)?;
        word.text.parse().map_err(|_| {
            Diagnostic::error(
                Kind::Invalid,
                word.span,
                format_args!("'{}' is not an IP address", word.text),
            )
        })
    }

    /// A duration; a number without unit counts in `unit`, and the value is rounded up to whole units.
    ///
    /// Letters behind the unit, as in `5sec`, are a warning; see [`Args::warnings`].
    pub fn duration(&mut self, what: &str, unit: TimeUnit) -> Result<Duration, Diagnostic> {
        let word = self.word(what)?;
        let found =
            values::parse_duration(&word.text, unit).map_err(|fault| malformed(word, fault))?;
        if found.trailing > 0 {
            let meant = &word.text[..word.text.len() - found.trailing];
            let message = format_args!("'{}' is read as '{meant}'", word.text);
            self.warn(
                Diagnostic::warning(Kind::Legacy, word.span, message)
                    .cause("the units are us, ms, s, m, h and d")
                    .help(format_args!("write '{meant}'")),
            );
        }
        Ok(found.value)
    }

    /// A size in bytes within `range`.
    pub fn size(&mut self, what: &str, range: RangeInclusive<u64>) -> Result<u64, Diagnostic> {
        let word = self.word(what)?;
        let size = values::parse_size(&word.text).map_err(|fault| malformed(word, fault))?;
        if !range.contains(&size) {
            let message = format_args!("{what} '{}' is out of range", word.text);
            let (least, most) = (range.start(), range.end());
            return Err(Diagnostic::error(Kind::Invalid, word.span, message)
                .help(format_args!("write a size from {least} to {most} bytes")));
        }
        Ok(size)
    }

    /// A whole number of percent within `range`, written with its sign.
    pub fn percent(&mut self, what: &str, range: RangeInclusive<u64>) -> Result<u64, Diagnostic> {
        let word = self.word(what)?;
        let digits = word.text.strip_suffix('%');
        let number = digits.and_then(|digits| digits.parse().ok());
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let message = format_args!("'{}' is not the percentage wanted here", word.text);
                let (least, most) = (range.start(), range.end());
                Diagnostic::error(Kind::Invalid, word.span, message).help(format_args!(
                    "{what} is a whole number from {least}% to {most}%"
                ))
            })
    }

    /// `on` or `off`.
    pub fn on_off(&mut self, what: &str) -> Result<bool, Diagnostic> {
        let word = self.word(what)?;
        match word.text.as_str() {
            "on" => Ok(true),
            "off" => Ok(false),
            other => {
                let message = format_args!("'{other}' is neither 'on' nor 'off'");
                Err(Diagnostic::error(Kind::Invalid, word.span, message)
                    .help(format_args!("{what} is 'on' or 'off'")))
            }
        }
    }

    /// An address. Variables count in it even outside of quotes.
    pub fn address(&mut self, what: &str) -> Result<AddressText, Diagnostic> {
        let word = self.word(what)?;
        let text = word.expanded.as_deref().unwrap_or(&word.text);
        if word.expanded.is_some() && (text.starts_with(':') || text.ends_with(':')) {
            let message = format_args!("with its variables replaced this reads '{text}'");
            let note = Diagnostic::note(Kind::Environment, word.span, message);
            self.warn(note.cause("a variable that is not set or empty stands for nothing"));
        }
        read_address(word, text, 0)
    }

    /// One or more addresses in one word, between commas, as `bind` takes them.
    pub fn addresses(&mut self, what: &str) -> Result<Vec<AddressText>, Diagnostic> {
        let word = self.word(what)?;
        let text = word.expanded.as_deref().unwrap_or(&word.text);
        let mut offset = 0;
        text.split(',')
            .map(|part| {
                let address = read_address(word, part, offset);
                offset += part.len() + 1;
                address
            })
            .collect()
    }

    /// An IP address or network such as `10.0.0.0/8`.
    pub fn network(&mut self, what: &str) -> Result<Network, Diagnostic> {
        let word = self.word(what)?;
        Network::parse(&word.text).map_err(|fault| malformed(word, fault))
    }

    /// Notes something that is worth a warning but does not keep the line from being read.
    pub fn warn(&mut self, warning: Diagnostic) {
        self.warnings.push(warning);
    }

    /// Takes the warnings that the readers left behind; to be asked for when the line is done.
    pub fn warnings(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.warnings)
    }

    /// Goes on to the next word that is known, or nearly so, behind one that was not understood: those between may
    /// belong to it.
    pub fn resume<'k>(&mut self, known: impl Iterator<Item = &'k str> + Clone) {
        let fits = |word: &Word| {
            let text = word.text.split('(').next().unwrap_or_default();
            let spelt =
                text.len() > 2 && text.starts_with(|first: char| first.is_ascii_alphabetic());
            known.clone().any(|name| name == text)
                || (spelt && nearest(text, known.clone()).is_some())
        };
        while self.peek().is_some_and(|word| !fits(word)) {
            self.next();
        }
    }

    /// Reads what is left of the line, option by option, each with the words behind it. Behind one that is wrong the next
    /// of those `known` is looked for, so that one pass tells of all of them.
    ///
    /// # Errors
    /// The first fault; the others are told beside it, with the warnings.
    pub fn options<'k>(
        &mut self,
        known: impl Iterator<Item = &'k str> + Clone,
        mut read: impl FnMut(&'a Word, &mut Self) -> Result<(), Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let mut faults = Faults::default();
        while let Some(word) = self.next() {
            let read = read(word, self);
            faults.option(read, self, known.clone());
        }
        faults.finish()
    }

    /// An error when words are left over.
    pub fn finish(&self) -> Result<(), Diagnostic> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(Diagnostic::error(
                Kind::Invalid,
                word.span,
                format_args!("'{}' is one word too many", word.text),
            )),
        }
    }

    /// The empty span behind the last word read.
    pub fn end(&self) -> Span {
        let last = self.next.min(self.words.len());
        let end = if last == 0 {
            self.start
        } else {
            self.words[last - 1].span.end
        };
        Span {
            file: self.line.file,
            start: end,
            end,
        }
    }
}

/// What is wrong with the options of one line. The first fault is what reading the line fails by; the others are told
/// beside it, with the warnings.
#[derive(Debug, Default)]
pub struct Faults {
    first: Option<Diagnostic>,
}

impl Faults {
    /// Notes a fault.
    pub fn note(&mut self, fault: Diagnostic, args: &mut Args<'_>) {
        match self.first {
            None => self.first = Some(fault),
            Some(_) => args.warn(fault),
        }
    }

    /// Notes what came of reading one option; behind one that is wrong, the next of those `known` is looked for.
    pub fn option<'k>(
        &mut self,
        read: Result<(), Diagnostic>,
        args: &mut Args<'_>,
        known: impl Iterator<Item = &'k str> + Clone,
    ) {
        if let Err(fault) = read {
            self.note(fault, args);
            args.resume(known);
        }
    }

    /// # Errors
    /// The first fault, where there was one.
    pub fn finish(self) -> Result<(), Diagnostic> {
        self.first.map_or(Ok(()), Err)
    }
}

fn read_address(word: &Word, text: &str, offset: usize) -> Result<AddressText, Diagnostic> {
    let span = blamed(word, offset..offset + text.len());
    AddressText::parse(text, span).map_err(|mut fault| {
        fault.at = fault.at.start + offset..fault.at.end + offset;
        let problem = malformed(word, fault);
        match &word.expanded {
            None => problem,
            // Most likely one of its variables is not set.
            Some(expanded) => Diagnostic {
                kind: Kind::Environment,
                ..problem.cause(format_args!(
                    "with its variables replaced it reads '{expanded}'"
                ))
            },
        }
    })
}

fn malformed(word: &Word, fault: Malformed) -> Diagnostic {
    let problem = Diagnostic::error(Kind::Invalid, blamed(word, fault.at), fault.message);
    match fault.help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// The span of a part of a word; the whole word when its text differs from what the file says.
fn blamed(word: &Word, part: Range<usize>) -> Span {
    let verbatim = !word.quoted
        && word.raw.is_none()
        && word.expanded.is_none()
        && (word.span.end - word.span.start) as usize == word.text.len();
    if !verbatim {
        return word.span;
    }
    let start = word.span.start as usize;
    Span::new(word.span.file, start + part.start, start + part.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::FileId;

    fn words(text: &str) -> Vec<Word> {
        let mut start = 0;
        text.split(' ')
            .map(|word| {
                let span = Span::new(FileId(0), start, start + word.len());
                start += word.len() + 1;
                Word::new(word, span)
            })
            .collect()
    }

    fn args(words: &[Word]) -> Args<'_> {
        Args::new(words, words[0].span.to(words[words.len() - 1].span))
    }

    #[test]
    fn readers_consume_what_they_accept() {
        let words = words("x 30s 16k 50% on 10.0.0.0/8 :80,:81-82 h:1");
        let mut args = args(&words);
        assert!(args.take("x") && !args.take("x"));
        let half_minute = Duration::from_secs(30);
        assert_eq!(
            args.duration("time", TimeUnit::Milliseconds),
            Ok(half_minute)
        );
        assert_eq!(args.size("size", 1..=1 << 20), Ok(16384));
        assert_eq!(args.percent("share", 0..=100), Ok(50));
        assert_eq!(args.on_off("switch"), Ok(true));
        assert_eq!(args.network("network").unwrap().prefix_bits, 8);
        let binds = args.addresses("address").unwrap();
        assert_eq!(binds[1].port, values::Port::Range(81, 82));
        assert_eq!((binds[1].span.start, binds[1].span.end), (32, 38));
        assert_eq!(
            args.address("address").unwrap().port,
            values::Port::Fixed(1)
        );
        assert_eq!(args.finish(), Ok(()));
        let missing = args.word("a name").unwrap_err();
        assert_eq!((missing.span.start, missing.span.end), (42, 42));
    }

    #[test]
    fn errors_point_into_plain_words_and_at_others_as_a_whole() {
        let mut list = words("a 1.2.3.4:http");
        let problem = {
            let mut args = args(&list);
            args.next();
            args.address("address").unwrap_err()
        };
        assert_eq!((problem.span.start, problem.span.end), (10, 14));
        list[1].quoted = true;
        let mut args = args(&list);
        args.next();
        let problem = args.address("address").unwrap_err();
        assert_eq!((problem.span.start, problem.span.end), (2, 14));
    }

    #[test]
    fn unset_variables_in_addresses_are_the_environments_fault() {
        let mut list = words("fd@${x}");
        list[0].expanded = Some("fd@".into());
        let problem = args(&list).address("address").unwrap_err();
        assert_eq!(problem.kind, Kind::Environment);
        list[0].expanded = Some("fd@7".into());
        let address = args(&list).address("address").unwrap();
        assert_eq!(address.host, values::Host::Descriptor(7));
    }

    #[test]
    fn spelled_out_units_are_a_warning() {
        let list = words("5sec");
        let mut args = args(&list);
        let found = args.duration("time", TimeUnit::Milliseconds);
        assert_eq!(found, Ok(Duration::from_secs(5)));
        let warnings = args.warnings();
        assert_eq!(warnings[0].message, "'5sec' is read as '5s'");
        assert_eq!(args.warnings(), []);
    }
}
