//! Lists of certificates (`crt-list`): one certificate a line, with options of its own and the names it is for.
//!
//! `FILE [\[OPTION...\]] [[!]NAME...]`; `#` begins a comment (HAProxy's manual, section 11.1).

use super::names::Filter;

/// Most lines of one list.
pub const LINES_MAX: usize = 100_000;

/// Most names on one line.
const FILTERS_MAX: usize = 10_000;

/// A line that names a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counted from 1.
    pub number: usize,
    pub file: String,
    pub options: Vec<String>,
    pub filters: Vec<Filter>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    pub number: usize,
    pub what: &'static str,
}

/// Reads a list; wrong lines are told and left out.
pub fn parse(text: &str) -> (Vec<Line>, Vec<LineError>) {
    let (mut lines, mut errors) = (Vec::new(), Vec::new());
    for (index, text) in text.lines().enumerate() {
        let number = index + 1;
        if lines.len() == LINES_MAX {
            let what = "the list is too long";
            errors.push(LineError { number, what });
            break;
        }
        match line(number, text) {
            Ok(line) => lines.extend(line),
            Err(what) => errors.push(LineError { number, what }),
        }
    }
    (lines, errors)
}

fn line(number: usize, text: &str) -> Result<Option<Line>, &'static str> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let (file, rest) = match text.find([' ', '\t', '[']) {
        Some(end) => (&text[..end], text[end..].trim_start()),
        None => (text, ""),
    };
    if file.is_empty() {
        return Err("the name of a file is missing");
    }
    let (options, names) = match rest.strip_prefix('[') {
        Some(open) => open.split_once(']').ok_or("']' is missing")?,
        None => ("", rest),
    };
    let words = |text: &str| -> Vec<String> {
        let words = text.split_whitespace();
        words.map(str::to_owned).collect()
    };
    let names = words(names);
    if names.len() > FILTERS_MAX {
        return Err("there are too many names");
    }
    if names.iter().any(|name| name.contains(['[', ']'])) {
        return Err("a bracket stands among the names");
    }
    Ok(Some(Line {
        number,
        file: file.to_owned(),
        options: words(options),
        filters: names.iter().map(|name| Filter::read(name)).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_three_parts() {
        let text = "# certificates\n\n a.pem\nb.pem [alpn h2 ssl-min-ver TLSv1.3] *.b.org !x.b.org\nc.pem[verify none]\nd.pem d.org\n";
        let (lines, errors) = parse(text);
        assert_eq!(errors, []);
        let brief: Vec<_> = lines
            .iter()
            .map(|line| {
                (
                    line.number,
                    line.file.as_str(),
                    line.options.join(" "),
                    line.filters.len(),
                )
            })
            .collect();
        assert_eq!(
            brief,
            [
                (3, "a.pem", String::new(), 0),
                (4, "b.pem", "alpn h2 ssl-min-ver TLSv1.3".to_owned(), 2),
                (5, "c.pem", "verify none".to_owned(), 0),
                (6, "d.pem", String::new(), 1),
            ]
        );
    }

    #[test]
    fn wrong_lines_are_told() {
        let (lines, errors) = parse("a.pem [alpn h2\n[x]\nb.pem b.org [c]\n");
        assert_eq!(lines, []);
        assert_eq!(
            errors.iter().map(|error| error.number).collect::<Vec<_>>(),
            [1, 2, 3]
        );
    }
}
