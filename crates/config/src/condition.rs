//! Conditions: what `.if` and the command line's `-cc` ask.
//!
//! What is absent: the answers. Which features there are and which version is claimed comes from [`Conditions`].

mod version;

use crate::args::Word;
use crate::diagnostic::{Diagnostic, FileId, Kind, Span};
use crate::haproxy::words::{self, LineText, Surroundings};
use crate::source::Environment;
use crate::suggest;

pub use version::{LibraryVersion, Version};

/// Deepest nesting of parentheses.
pub const CONDITION_DEPTH_MAX: usize = 100;

/// What the program says of itself when a condition asks. Everything but the version defaults to "no".
pub trait Conditions {
    /// The HAProxy version that is claimed.
    fn version(&self) -> Version;

    /// Whether a feature such as `OPENSSL` is built in.
    fn feature(&self, _name: &str) -> bool {
        false
    }

    /// Whether an option such as `SPLICE` is enabled at run time.
    fn enabled(&self, _option: &str) -> bool {
        false
    }

    /// The name of the TLS library.
    fn ssl_library(&self) -> Option<&str> {
        None
    }

    /// The OpenSSL version that is claimed; without one, both comparisons are false.
    fn openssl_version(&self) -> Option<LibraryVersion> {
        None
    }

    /// The AWS-LC interface number; without one, both comparisons are false.
    fn awslc_api(&self) -> Option<u32> {
        None
    }

    /// Whether the TLS library runs in FIPS mode.
    fn fips_mode(&self) -> bool {
        false
    }
}

/// Evaluates a condition given as one text, as `-cc` does. Quotes and variables are read as in a file; `#` starts no
/// comment. An empty condition is false.
///
/// # Errors
/// When it cannot be read or names an unknown predicate. The span counts the bytes of `text`, in file 0.
pub fn evaluate(
    text: &str,
    conditions: &dyn Conditions,
    environment: &Environment,
) -> Result<bool, Diagnostic> {
    let line = LineText {
        bytes: text.as_bytes(),
        file: FileId(0),
        start: 0,
    };
    let surroundings = Surroundings {
        environment,
        path: b"",
        line: 1,
        section: b"",
        comments: false,
    };
    let words = words::split(line, &surroundings)?.words;
    evaluate_words(&words, line.span(0, 0), conditions, environment)
}

/// Evaluates the words behind `.if`, joined by single blanks. `before` is the empty span they follow.
pub(crate) fn evaluate_words(
    words: &[Word],
    before: Span,
    conditions: &dyn Conditions,
    environment: &Environment,
) -> Result<bool, Diagnostic> {
    let mut text = Vec::new();
    let mut starts = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            text.push(b' ');
        }
        starts.push(text.len());
        text.extend_from_slice(word.bytes());
    }
    if text.is_empty() {
        return Ok(false);
    }
    let mut evaluator = Evaluator {
        text: &text,
        at: 0,
        depth: 0,
        conditions,
        environment,
    };
    evaluator.whole().map_err(|fault| {
        let word = starts.partition_point(|start| *start <= fault.at);
        let span = word
            .checked_sub(1)
            .map_or(before, |index| words[index].span);
        let problem = Diagnostic::error(fault.kind, span, fault.message);
        match fault.help {
            Some(help) => problem.help(help),
            None => problem,
        }
    })
}

#[derive(Clone, Copy, Debug)]
enum Predicate {
    AwsLcAtLeast,
    AwsLcBefore,
    Defined,
    Enabled,
    Feature,
    FipsMode,
    OpensslAtLeast,
    OpensslBefore,
    SslLibraryName,
    Equal,
    Unequal,
    Contains,
    VersionAtLeast,
    VersionBefore,
}

/// Every predicate and how many arguments it takes.
const PREDICATES: &[(&str, usize, Predicate)] = &[
    ("awslc_api_atleast", 1, Predicate::AwsLcAtLeast),
    ("awslc_api_before", 1, Predicate::AwsLcBefore),
    ("defined", 1, Predicate::Defined),
    ("enabled", 1, Predicate::Enabled),
    ("feature", 1, Predicate::Feature),
    ("fips_mode", 0, Predicate::FipsMode),
    ("openssl_version_atleast", 1, Predicate::OpensslAtLeast),
    ("openssl_version_before", 1, Predicate::OpensslBefore),
    ("ssllib_name_startswith", 1, Predicate::SslLibraryName),
    ("streq", 2, Predicate::Equal),
    ("strneq", 2, Predicate::Unequal),
    ("strstr", 2, Predicate::Contains),
    ("version_atleast", 1, Predicate::VersionAtLeast),
    ("version_before", 1, Predicate::VersionBefore),
];

/// What is wrong with a condition, and at which byte of the joined text.
#[derive(Debug)]
struct Fault {
    at: usize,
    kind: Kind,
    message: String,
    help: Option<String>,
}

impl Fault {
    fn new(at: usize, kind: Kind, message: impl Into<String>) -> Self {
        Self {
            at,
            kind,
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Reads and evaluates in one go. The whole text is always read, so that an error is found whatever comes before it,
/// but a predicate is only asked where its answer counts.
struct Evaluator<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    conditions: &'a dyn Conditions,
    environment: &'a Environment,
}

impl Evaluator<'_> {
    fn whole(&mut self) -> Result<bool, Fault> {
        let answer = self.any(true)?;
        match self.text.get(self.at) {
            None => Ok(answer),
            Some(byte) => {
                let rest = String::from_utf8_lossy(&self.text[self.at..]);
                let message = match byte {
                    b')' => "this ')' closes nothing".to_owned(),
                    _ => format!("'{rest}' cannot follow a condition"),
                };
                Err(Fault::new(self.at, Kind::Syntax, message)
                    .help("join conditions by '&&' or '||'"))
            }
        }
    }

    /// `all || all …`; `matters` is false where the answer is already known.
    fn any(&mut self, matters: bool) -> Result<bool, Fault> {
        let mut answer = self.all(matters)?;
        while self.take(b"||") {
            answer |= self.all(matters && !answer)?;
        }
        Ok(answer)
    }

    /// `term && term …`
    fn all(&mut self, matters: bool) -> Result<bool, Fault> {
        let mut answer = self.term(matters)?;
        while self.take(b"&&") {
            answer &= self.term(matters && answer)?;
        }
        Ok(answer)
    }

    fn term(&mut self, matters: bool) -> Result<bool, Fault> {
        self.skip_blanks();
        let mut negated = false;
        while self.take(b"!") {
            negated = !negated;
        }
        self.skip_blanks();
        let answer = if let Some(number) = self.integer() {
            number
        } else if self.text.get(self.at) == Some(&b'(') {
            self.parenthesis(matters)?
        } else {
            self.predicate(matters)?
        };
        self.skip_blanks();
        Ok(answer != negated)
    }

    /// An integer as C writes them, true when it is not zero.
    fn integer(&mut self) -> Option<bool> {
        let rest = &self.text[self.at..];
        let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
        let digits = &rest[sign..];
        let hexadecimal =
            matches!(digits, [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit());
        let (prefix, is_digit): (_, fn(&u8) -> bool) = match digits {
            _ if hexadecimal => (2, u8::is_ascii_hexdigit),
            [b'0', ..] => (0, |digit| matches!(digit, b'0'..=b'7')),
            _ => (0, u8::is_ascii_digit),
        };
        let digits = &digits[prefix..];
        let length = digits.iter().take_while(|digit| is_digit(digit)).count();
        if length == 0 {
            return None;
        }
        self.at += sign + prefix + length;
        Some(digits[..length].iter().any(|digit| *digit != b'0'))
    }

    fn parenthesis(&mut self, matters: bool) -> Result<bool, Fault> {
        let opened = self.at;
        if self.depth >= CONDITION_DEPTH_MAX {
            let message = format!("parentheses are nested more than {CONDITION_DEPTH_MAX} deep");
            return Err(Fault::new(opened, Kind::Syntax, message));
        }
        self.depth += 1;
        self.at += 1;
        let answer = self.any(matters)?;
        self.depth -= 1;
        if !self.take(b")") {
            return Err(Fault::new(opened, Kind::Syntax, "this '(' is never closed"));
        }
        Ok(answer)
    }

    fn predicate(&mut self, matters: bool) -> Result<bool, Fault> {
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count();
        let name = String::from_utf8_lossy(&rest[..length]);
        if name.is_empty() {
            let message = match rest.first() {
                None => "a condition is missing here".to_owned(),
                Some(_) => format!(
                    "no condition begins with '{}'",
                    String::from_utf8_lossy(rest)
                ),
            };
            return Err(Fault::new(start, Kind::Syntax, message)
                .help("a condition is a number, a predicate such as defined(NAME), or text in parentheses"));
        }
        let Some((name, wanted, predicate)) = PREDICATES.iter().find(|(known, ..)| *known == name)
        else {
            let fault = Fault::new(start, Kind::Unknown, format!("'{name}' is no predicate"));
            return Err(
                match suggest::nearest(&name, PREDICATES.iter().map(|(name, ..)| *name)) {
                    Some(near) => fault.help(format!("did you mean '{near}'?")),
                    None => {
                        fault.help("compare texts by streq(\"$A\",text); any number but 0 is true")
                    }
                },
            );
        };
        self.at += length;
        let args = self.arguments()?;
        if args.len() != *wanted {
            let plural = if *wanted == 1 { "" } else { "s" };
            let message = format!("'{name}' takes {wanted} argument{plural}");
            return Err(Fault::new(start, Kind::Invalid, message));
        }
        if matters {
            self.ask(*predicate, &args, start)
        } else {
            Ok(false)
        }
    }

    fn ask(&self, predicate: Predicate, args: &[Vec<u8>], start: usize) -> Result<bool, Fault> {
        let conditions = self.conditions;
        let text = |index: usize| String::from_utf8_lossy(&args[index]);
        let version = || {
            Version::parse(&text(0)).ok_or_else(|| {
                let message = format!("'{}' is no version", text(0));
                Fault::new(start, Kind::Invalid, message).help("write for example 2.8 or 3.0-dev1")
            })
        };
        let library = || {
            LibraryVersion::parse(&text(0)).ok_or_else(|| {
                let message = format!("'{}' is no version of a TLS library", text(0));
                Fault::new(start, Kind::Invalid, message).help("write for example 1.1.1w or 3.0.2")
            })
        };
        let interface = || {
            text(0).parse::<u32>().map_err(|_| {
                let message = format!("'{}' is no interface number", text(0));
                Fault::new(start, Kind::Invalid, message)
            })
        };
        Ok(match predicate {
            Predicate::AwsLcAtLeast => {
                let wanted = interface()?;
                conditions.awslc_api().is_some_and(|api| api >= wanted)
            }
            Predicate::AwsLcBefore => {
                let wanted = interface()?;
                conditions.awslc_api().is_some_and(|api| api < wanted)
            }
            Predicate::Defined => self.environment.get(&args[0]).is_some(),
            Predicate::Enabled => conditions.enabled(&text(0)),
            Predicate::Feature => conditions.feature(&text(0)),
            Predicate::FipsMode => conditions.fips_mode(),
            Predicate::OpensslAtLeast => {
                let wanted = library()?;
                conditions
                    .openssl_version()
                    .is_some_and(|version| version >= wanted)
            }
            Predicate::OpensslBefore => {
                let wanted = library()?;
                conditions
                    .openssl_version()
                    .is_some_and(|version| version < wanted)
            }
            Predicate::SslLibraryName => conditions
                .ssl_library()
                .is_some_and(|library| library.as_bytes().starts_with(&args[0])),
            Predicate::Equal => args[0] == args[1],
            Predicate::Unequal => args[0] != args[1],
            Predicate::Contains => contains(&args[0], &args[1]),
            Predicate::VersionAtLeast => conditions.version() >= version()?,
            Predicate::VersionBefore => conditions.version() < version()?,
        })
    }

    /// `(a,b)`: the arguments, or none without parentheses. Blanks belong to the arguments.
    fn arguments(&mut self) -> Result<Vec<Vec<u8>>, Fault> {
        let opened = self.at;
        let mut args = Vec::new();
        if self.text.get(self.at) != Some(&b'(') {
            return Ok(args);
        }
        let mut arg = Vec::new();
        let mut quote = None;
        self.at += 1;
        while let Some(&byte) = self.text.get(self.at) {
            self.at += 1;
            match byte {
                b'"' | b'\'' if quote == Some(byte) => quote = None,
                b'"' | b'\'' if quote.is_none() => quote = Some(byte),
                b'\\' if quote != Some(b'\'') => arg.push(self.escaped()),
                b',' if quote.is_none() => args.push(std::mem::take(&mut arg)),
                b')' if quote.is_none() => {
                    if !args.is_empty() || !arg.is_empty() || self.at > opened + 2 {
                        args.push(arg);
                    }
                    return Ok(args);
                }
                _ => arg.push(byte),
            }
        }
        let message = match quote {
            Some(_) => "a quote in these arguments is never closed",
            None => "the '(' of these arguments is never closed",
        };
        Err(Fault::new(opened, Kind::Syntax, message))
    }

    /// The byte that an escape behind a backslash stands for; any other backslash stands for itself.
    fn escaped(&mut self) -> u8 {
        let byte = match self.text.get(self.at) {
            Some(byte @ (b'\\' | b' ' | b'"' | b'\'')) => *byte,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            _ => return b'\\',
        };
        self.at += 1;
        byte
    }

    /// Consumes `token` and the blanks before it.
    fn take(&mut self, token: &[u8]) -> bool {
        self.skip_blanks();
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn skip_blanks(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Claims;

    impl Conditions for Claims {
        fn version(&self) -> Version {
            Version::development(3, 5, 5)
        }

        fn feature(&self, name: &str) -> bool {
            name == "OPENSSL"
        }

        fn enabled(&self, option: &str) -> bool {
            option == "SPLICE"
        }

        fn ssl_library(&self) -> Option<&str> {
            Some("OpenSSL 3.0.2")
        }

        fn openssl_version(&self) -> Option<LibraryVersion> {
            Some(LibraryVersion::new(3, 0, 2))
        }
    }

    fn ask(text: &str) -> Result<bool, Diagnostic> {
        let environment: Environment = [("A", "1"), ("E", ""), ("S", "x y")].into_iter().collect();
        evaluate(text, &Claims, &environment)
    }

    #[test]
    fn conditions_are_answered() {
        let cases = [
            ("", false),
            ("  ", false),
            ("0", false),
            ("00", false),
            ("0x0", false),
            ("0x1f", true),
            ("-1000 && 200", true),
            ("!0", true),
            ("! ! 1", true),
            ("1&&!0", true),
            ("0 && 1 || 1", true),
            ("1 || 1 && 0", true),
            ("(1 || 1) && 0", false),
            ("!(0||(1&&0))", true),
            ("\"$E\"", false),
            ("\"${NONE}\"", false),
            ("\"$A\"", true),
            ("defined(A) && !defined(NONE)", true),
            ("streq(\"$S\",'x y')", true),
            ("streq(a, a)", false),
            ("strneq(a,b)", true),
            ("streq(\\\"a,b\\\",'\"a,b\"')", true),
            ("strstr(abc,bc)", true),
            ("strstr(abc,cb)", false),
            ("strstr(abc,)", true),
            ("feature(OPENSSL) && !feature(QUIC)", true),
            ("enabled(SPLICE)", true),
            ("fips_mode() || fips_mode", false),
            ("version_atleast(v3.5-dev3)", true),
            ("version_atleast(3.5)", false),
            ("version_before(3.5)", true),
            ("openssl_version_atleast(1.1.1w)", true),
            ("openssl_version_before(3.0.2)", false),
            ("ssllib_name_startswith(OpenSSL)", true),
            ("awslc_api_atleast(1) || awslc_api_before(9)", false),
        ];
        for (text, expected) in cases {
            assert_eq!(ask(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors_name_the_word_and_the_way_out() {
        let cases = [
            ("200rrr", 0, "cannot follow"),
            ("!(0))", 0, "closes nothing"),
            ("(1", 0, "never closed"),
            ("1 &&", 2, "missing"),
            ("1 && || 0", 5, "no condition begins"),
            ("0 && nonsense(a)", 5, "no predicate"),
            ("streq(a)", 0, "takes 2 arguments"),
            ("streq(a,b,c)", 0, "takes 2 arguments"),
            ("feature", 0, "takes 1 argument"),
            ("streq(a,\"a)", 8, "double quote"),
            ("streq(a,b", 0, "never closed"),
            ("version_atleast(x)", 0, "no version"),
            ("1 # comment", 2, "cannot follow"),
        ];
        for (text, start, message) in cases {
            let problem = ask(text).expect_err(text);
            assert!(
                problem.message.contains(message),
                "{text}: {}",
                problem.message
            );
            assert_eq!(problem.span.start, start, "{text}");
        }
        assert_eq!(
            ask("defind(A)").unwrap_err().help.unwrap(),
            "did you mean 'defined'?"
        );
    }

    #[test]
    fn every_predicate_has_an_answer() {
        for (name, wanted, _) in PREDICATES {
            let args = vec!["1"; *wanted].join(",");
            assert!(ask(&format!("{name}({args})")).is_ok(), "{name}");
        }
    }

    #[test]
    fn every_predicate_is_in_the_manual() {
        let manual = include_str!("../../../docs/configuration-language.md");
        for (name, ..) in PREDICATES {
            assert!(manual.contains(&format!("`{name}(")), "{name}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(ask(&nested(CONDITION_DEPTH_MAX)), Ok(true));
        assert!(ask(&nested(CONDITION_DEPTH_MAX + 1)).is_err());
        assert!(ask(&"(".repeat(100_000)).is_err());
        assert_eq!(ask(&format!("{}1", "!".repeat(100_001))), Ok(false));
    }
}
