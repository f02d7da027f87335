//! Diagnostics as text for people, as lines for editors, and as JSON for programs.
//!
//! What is absent: printing. Text that came from a configuration is cleared of control characters on the way, so that
//! it cannot drive the terminal.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::source::Sources;

/// How far into a line, in bytes, an excerpt may begin; what is wrong beyond is told without one.
const EXCERPT_START_MAX: usize = 4096;

/// Most bytes of a line that are shown behind the place in question.
const EXCERPT_TAIL_MAX: usize = 512;

/// How [`text`] looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether to use terminal colours.
    pub color: bool,
    /// Columns; longer excerpts are cut to show the place in question.
    pub width: usize,
    /// Most diagnostics shown; the rest is counted. Errors are shown first when not all fit.
    pub most: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            color: false,
            width: DEFAULT_TERM_WIDTH,
            most: 100,
        }
    }
}

/// Every diagnostic with its place in the file, and a line that counts them.
pub fn text(diagnostics: &[Diagnostic], sources: &Sources, style: Style) -> String {
    let renderer = match style.color {
        true => Renderer::styled(),
        false => Renderer::plain(),
    };
    let renderer = renderer.term_width(style.width);
    let mut out = String::new();
    for diagnostic in shown(diagnostics, style.most) {
        out.push_str(&excerpt(diagnostic, sources, &renderer));
        out.push_str("\n\n");
    }
    let hidden = diagnostics.len().saturating_sub(style.most);
    if hidden > 0 {
        let _ = writeln!(out, "{hidden} more");
    }
    if !diagnostics.is_empty() {
        let _ = writeln!(out, "{}", summary(diagnostics));
    }
    out
}

/// `path:line:column: severity: message`, without a line end.
pub fn one_line(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let Span { file, start, .. } = diagnostic.span;
    let path = clean(&sources.path(file).display().to_string());
    let at = sources.location(file, start);
    let (severity, message) = (diagnostic.severity.name(), clean(&diagnostic.message));
    format!("{path}:{}:{}: {severity}: {message}", at.line, at.column)
}

/// A JSON array of objects, one to a line, with the members `severity`, `kind`, `file`, `line`, `column`, `end_line`,
/// `end_column`, `message`, and `cause` and `help` where there are any. Lines and columns count from one.
pub fn json(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut out = String::from("[");
    for (index, diagnostic) in diagnostics.iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        json_object(&mut out, diagnostic, sources);
    }
    out.push_str("\n]\n");
    out
}

/// "2 errors, 1 warning", or "no problems".
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let severities = [Severity::Error, Severity::Warning, Severity::Note];
    let counts: Vec<_> = severities
        .iter()
        .filter_map(|severity| {
            let alike = diagnostics.iter().filter(|one| one.severity == *severity);
            match (alike.count(), severity.name()) {
                (0, _) => None,
                (1, name) => Some(format!("1 {name}")),
                (count, name) => Some(format!("{count} {name}s")),
            }
        })
        .collect();
    match counts.is_empty() {
        true => "no problems".to_owned(),
        false => counts.join(", "),
    }
}

/// The diagnostics to show, in their order; when there are too many, the gravest.
fn shown(diagnostics: &[Diagnostic], most: usize) -> Vec<&Diagnostic> {
    let mut chosen: Vec<_> = diagnostics.iter().enumerate().collect();
    chosen.sort_by_key(|(_, diagnostic)| std::cmp::Reverse(diagnostic.severity));
    chosen.truncate(most);
    chosen.sort_by_key(|(index, _)| *index);
    chosen
        .into_iter()
        .map(|(_, diagnostic)| diagnostic)
        .collect()
}

fn excerpt(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Note => Level::NOTE,
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let Span { file, start, end } = diagnostic.span;
    let path = clean(&sources.path(file).display().to_string());
    let at = sources.location(file, start);
    let (line, line_start) = sources.line(file, at.line);
    let from = start.saturating_sub(line_start) as usize;
    let title = level.primary_title(clean(&diagnostic.message));
    let group = if line.is_empty() || from > EXCERPT_START_MAX {
        let origin = Origin::path(path)
            .line(at.line as usize)
            .char_column(at.column as usize);
        title.element(origin)
    } else {
        let from = from.min(line.len());
        let to = (end.saturating_sub(line_start) as usize).clamp(from, line.len());
        let shown = line
            .len()
            .min(to.min(from + EXCERPT_TAIL_MAX) + EXCERPT_TAIL_MAX);
        let (shown_text, marked) = fit(&line[..shown], from..to.min(shown));
        title.element(
            Snippet::source(shown_text)
                .path(path)
                .line_start(at.line as usize)
                .annotation(AnnotationKind::Primary.span(marked)),
        )
    };
    renderer.render(&[notes(group, diagnostic)])
}

fn notes<'a>(mut group: Group<'a>, diagnostic: &Diagnostic) -> Group<'a> {
    if let Some(cause) = &diagnostic.cause {
        group = group.element(Level::NOTE.message(clean(cause)));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(clean(help)));
    }
    group
}

/// A line made fit for showing, and the place in question in it.
fn fit(line: &[u8], marked: Range<usize>) -> (String, Range<usize>) {
    let part = |bytes: &[u8]| clean(&String::from_utf8_lossy(bytes));
    let mut text = part(&line[..marked.start]);
    let start = text.len();
    text.push_str(&part(&line[marked.clone()]));
    let end = text.len();
    text.push_str(&part(&line[marked.end..]));
    (text, start..end)
}

/// Text without control characters other than tab and line feed.
fn clean(text: &str) -> String {
    let unsafe_to_show = |c: char| {
        let turns_text = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns_text || (c.is_control() && c != '\t' && c != '\n')
    };
    text.replace(unsafe_to_show, "\u{fffd}")
}

fn json_object(out: &mut String, diagnostic: &Diagnostic, sources: &Sources) {
    let Span { file, start, end } = diagnostic.span;
    let path = sources.path(file).display().to_string();
    let (from, to) = (sources.location(file, start), sources.location(file, end));
    let mut member = |name: &str, value: &str| {
        out.push_str(if name == "severity" { "{" } else { "," });
        json_string(out, name);
        out.push(':');
        out.push_str(value);
    };
    let quoted = |text: &str| {
        let mut out = String::with_capacity(text.len() + 2);
        json_string(&mut out, text);
        out
    };
    member("severity", &quoted(diagnostic.severity.name()));
    member("kind", &quoted(diagnostic.kind.name()));
    member("file", &quoted(&path));
    member("line", &from.line.to_string());
    member("column", &from.column.to_string());
    member("end_line", &to.line.to_string());
    member("end_column", &to.column.to_string());
    member("message", &quoted(&diagnostic.message));
    if let Some(cause) = &diagnostic.cause {
        member("cause", &quoted(cause));
    }
    if let Some(help) = &diagnostic.help {
        member("help", &quoted(help));
    }
    out.push('}');
}

/// A JSON string (RFC 8259, section 7).
fn json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{FileId, Kind};

    fn sources(text: impl Into<Vec<u8>>) -> Sources {
        let mut sources = Sources::new();
        sources.add("dir/a.cfg", text.into());
        sources
    }

    fn problem(start: usize, end: usize) -> Diagnostic {
        let span = Span::new(FileId(0), start, end);
        Diagnostic::error(Kind::Unknown, span, "'bnid' is no keyword")
            .cause("a frontend knows other words")
            .help("did you mean 'bind'?")
    }

    #[test]
    fn text_shows_place_cause_and_help() {
        let sources = sources("frontend web\n    bnid :80\n");
        let expected = "\
error: 'bnid' is no keyword
 --> dir/a.cfg:2:5
  |
2 |     bnid :80
  |     ^^^^
  |
  = note: a frontend knows other words
  = help: did you mean 'bind'?

1 error
";
        assert_eq!(
            text(&[problem(17, 21)], &sources, Style::default()),
            expected
        );
        let one = one_line(&problem(17, 21), &sources);
        assert_eq!(one, "dir/a.cfg:2:5: error: 'bnid' is no keyword");
    }

    #[test]
    fn what_a_file_says_cannot_drive_the_terminal() {
        let sources = sources(b"x\x1b[31m\xff\xe2\x80\xae y\n".to_vec());
        let mut problem = problem(1, 6);
        problem.message.push_str("\x1b[2J\u{202e}");
        problem.help = Some("\x07".to_owned());
        let style = Style::default();
        for shown in [
            text(&[problem.clone()], &sources, style),
            one_line(&problem, &sources),
        ] {
            assert!(!shown.contains(['\x1b', '\x07', '\u{202e}']), "{shown:?}");
        }
        assert!(!json(&[problem], &sources).contains(['\x1b', '\x07']));
    }

    #[test]
    fn places_at_the_edges_are_shown() {
        let long = format!("{}\nx", "a\u{e9}".repeat(50_000));
        let cases = [
            (String::new(), 0, 0),
            ("abc".to_owned(), 3, 3),
            ("abc\n".to_owned(), 4, 4),
            ("abc\n".to_owned(), 90, 99),
            ("a\r\nb".to_owned(), 1, 3),
            ("a\r\nb".to_owned(), 2, 4),
            ("\u{e9}\u{e9}".to_owned(), 1, 3),
            (long.clone(), 0, 150_000),
            (long, 90_000, 90_001),
        ];
        for (source, start, end) in cases {
            let sources = sources(source.clone());
            let shown = text(&[problem(start, end)], &sources, Style::default());
            assert!(shown.contains("dir/a.cfg:"), "{start}..{end}: {shown}");
            assert!(shown.len() < 4000, "{start}..{end}: {}", shown.len());
        }
    }

    #[test]
    fn the_gravest_are_shown_when_not_all_fit() {
        let sources = sources("abc\n");
        let warning = Diagnostic::warning(Kind::Advice, Span::default(), "minor");
        let all = [warning.clone(), problem(0, 1), warning];
        let style = Style {
            most: 1,
            ..Style::default()
        };
        let shown = text(&all, &sources, style);
        assert!(
            shown.contains("bnid") && !shown.contains("minor"),
            "{shown}"
        );
        assert!(shown.ends_with("2 more\n1 error, 2 warnings\n"), "{shown}");
    }

    #[test]
    fn json_can_be_read_back() {
        let sources = sources("ab \"c\"\n");
        let mut odd = problem(3, 6);
        odd.message = "a \"quote\", a \\ and\na \u{1}".to_owned();
        odd.help = None;
        let expected = "[\n{\"severity\":\"error\",\"kind\":\"unknown\",\"file\":\"dir/a.cfg\",\"line\":1,\"column\":4,\
            \"end_line\":1,\"end_column\":7,\"message\":\"a \\\"quote\\\", a \\\\ and\\na \\u0001\",\
            \"cause\":\"a frontend knows other words\"}\n]\n";
        assert_eq!(json(&[odd], &sources), expected);
        assert_eq!(json(&[], &sources), "[\n]\n");
    }
}
