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
    /// The names it is for, as they were written.
    pub names: Vec<String>,
}

impl Line {
    /// What its names mean.
    pub fn filters(&self) -> Vec<Filter> {
        self.names.iter().map(|name| Filter::read(name)).collect()
    }

    /// What it says of `ocsp-update`.
    pub fn fetches(&self) -> Option<bool> {
        self.value("ocsp-update").map(|word| word == "on")
    }

    /// What follows an option in the brackets.
    pub fn value(&self, option: &str) -> Option<&str> {
        let at = self.options.iter().rposition(|word| word == option)?;
        self.options.get(at + 1).map(String::as_str)
    }
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

/// Words in brackets, in the order in which HAProxy shows them, whatever the order they were written in.
const SHOWN: [&str; 16] = [
    "npn",
    "alpn",
    "no-alpn",
    "verify",
    "no-ca-names",
    "allow-0rtt",
    "ca-file",
    "crl-file",
    "ciphers",
    "ciphersuites",
    "curves",
    "ecdhe",
    "client-sigalgs",
    "sigalgs",
    "ssl-min-ver",
    "ssl-max-ver",
];

/// The brackets of a line as commands show them; `None`: it has none.
pub fn in_order(options: &[String], ca_base: Option<&str>) -> Option<String> {
    if options.is_empty() {
        return None;
    }
    let value = |name: &str| {
        let at = options.iter().rposition(|option| option == name)?;
        let switch = matches!(name, "no-alpn" | "no-ca-names" | "allow-0rtt");
        Some(if switch { None } else { options.get(at + 1) })
    };
    let mut shown = Vec::new();
    for name in SHOWN.iter().chain(&["ocsp-update"]) {
        match value(name) {
            None => {}
            Some(None) => shown.push((*name).to_owned()),
            Some(Some(file)) if name.ends_with("-file") => {
                let base = ca_base.filter(|_| !file.starts_with(['/', '@']));
                let base = base.map_or(String::new(), |base| format!("{base}/"));
                shown.push(format!("{name} {base}{file}"));
            }
            Some(Some(value)) => shown.push(format!("{name} {value}")),
        }
    }
    Some(format!("[{}]", shown.join(" ")))
}

/// Reads one line as a command sends it.
///
/// # Errors
/// What is wrong with it; an empty line is nothing.
pub fn parse_line(text: &str) -> Result<Option<Line>, &'static str> {
    line(1, text)
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
        names,
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
                    line.names.len(),
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
    fn options_are_shown_in_one_order() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let written = words("ssl-min-ver TLSv1.2 ca-file a.pem allow-0rtt verify none alpn h2");
        assert_eq!(
            in_order(&written, Some("/ca")).as_deref(),
            Some("[alpn h2 verify none allow-0rtt ca-file /ca/a.pem ssl-min-ver TLSv1.2]")
        );
        assert_eq!(in_order(&[], None), None);
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
