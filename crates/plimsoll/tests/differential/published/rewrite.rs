//! A configuration moved to loopback: its own addresses, servers, logs and files are replaced, its rules stay.

/// Most paths and hosts that are taken from one file.
const WORDS_MAX: usize = 12;

/// Requests for one file, shared out among its addresses.
pub(super) const REQUESTS: usize = 200;

/// A file with `{bindN}`, `{log}` and `{empty}` in place of addresses and files, and what to ask it.
pub(super) struct Published {
    pub(super) text: String,
    pub(super) binds: usize,
    pub(super) requests: Vec<String>,
}

/// Sections that stay, as far as their lines do.
const SECTIONS: [&str; 5] = ["backend", "defaults", "frontend", "listen", "userlist"];

/// First words of sections that go, with all their lines.
const GONE: [&str; 16] = [
    "acme",
    "cache",
    "crt-list",
    "crt-store",
    "dynamic-update",
    "fcgi-app",
    "global",
    "http-errors",
    "log-forward",
    "log-profile",
    "mailers",
    "peers",
    "program",
    "resolvers",
    "ring",
    "traces",
];

/// Lines about what is not there: checks, files, logs, other machines.
const DROPPED: [&str; 21] = [
    "bind-process",
    "compression",
    "dispatch",
    "email-alert",
    "errorfile",
    "errorfiles",
    "external-check",
    "filter",
    "hash-type-none",
    "http-check",
    "load-server-state-from-file",
    "log",
    "log-tag",
    "monitor-net",
    "server-state-file-name",
    "source",
    "stats",
    "tcp-check",
    "unique-id-header",
    "use-fcgi-app",
    "errorloc-none",
];

/// Options that need what is not there.
const DROPPED_OPTIONS: [&str; 11] = [
    "external-check",
    "httpchk",
    "ldap-check",
    "log-health-checks",
    "mysql-check",
    "pgsql-check",
    "redis-check",
    "smtpchk",
    "ssl-hello-chk",
    "tcp-check",
    "transparent",
];

/// Options of a server that stay, and whether a value follows.
const SERVER: [(&str, bool); 6] = [
    ("backup", false),
    ("cookie", true),
    ("disabled", false),
    ("id", true),
    ("maxconn", true),
    ("weight", true),
];

#[derive(Default)]
struct Rewriter {
    text: String,
    binds: usize,
    servers: usize,
    origin: u16,
    paths: Vec<String>,
    hosts: Vec<String>,
    /// What the file's own cookies would say.
    cookies: Vec<String>,
    cookie: Option<String>,
}

/// Moves a text to loopback; all its servers become `origin`, each under an address of its own.
pub(super) fn rewrite(text: &str, origin: u16) -> Published {
    let mut rewriter = Rewriter {
        // Without a word HAProxy balances by chance.
        text: "global\n    nbthread 1\n    maxconn 2000\ndefaults\n    balance roundrobin\n"
            .to_owned(),
        origin,
        ..Rewriter::default()
    };
    let mut kept = false;
    for line in text.replace("\\\n", " ").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(first) = words.first().filter(|word| !word.starts_with('#')) else {
            continue;
        };
        if SECTIONS.contains(first) || GONE.contains(first) && !line.starts_with([' ', '\t']) {
            kept = SECTIONS.contains(first);
            if kept {
                rewriter.section(&words);
            }
        } else if kept {
            rewriter.line(line, &words);
        }
    }
    let requests = rewriter.requests(REQUESTS.div_ceil(rewriter.binds.max(1)));
    Published {
        text: rewriter.text,
        binds: rewriter.binds,
        requests,
    }
}

impl Rewriter {
    fn push(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    fn section(&mut self, words: &[&str]) {
        let old = words[0] == "listen" && words.len() == 3 && words[2] != "from";
        self.push(&words[..if old { 2 } else { words.len() }].join(" "));
        match words[0] {
            "frontend" | "listen" => self.push("    log {log} local0"),
            "defaults" => self.push("    balance roundrobin"),
            _ => {}
        }
        if old {
            self.bind(&["bind", words[2]]);
        }
    }

    fn bind(&mut self, words: &[&str]) {
        let name = words.iter().position(|word| *word == "name");
        let name = name.and_then(|at| words.get(at + 1));
        let name = name.map(|name| format!(" name {name}")).unwrap_or_default();
        let line = format!("    bind {{bind{}}}{name}", self.binds);
        self.binds += 1;
        self.push(&line);
    }

    fn line(&mut self, line: &str, words: &[&str]) {
        let second = words.get(1).copied().unwrap_or_default();
        match words[0] {
            "bind" => self.bind(words),
            "server" | "server-template" => self.server(words),
            "default-server" => {}
            "cookie" => {
                self.cookie = Some(second.to_owned());
                self.push(&words.join(" "));
            }
            "option" | "no" if DROPPED_OPTIONS.contains(&second) => {}
            word if DROPPED.contains(&word) => {}
            "timeout" if second == "check" => {}
            // By chance, or by when the last connection is seen to have ended.
            "balance" if matches!(second, "random" | "leastconn") => {
                self.push("    balance roundrobin")
            }
            "stick-table" => self.push(&without(words, "peers").join(" ")),
            _ => {
                self.learn(words);
                let line = files(line);
                self.push(&line);
            }
        }
    }

    fn server(&mut self, words: &[&str]) {
        let address = if words[0] == "server" { 2 } else { 3 };
        let Some(options) = words.get(address + 1..) else {
            return;
        };
        let (high, low) = (self.servers / 250, self.servers % 250 + 1);
        self.servers += 1;
        let mut line = words[..address].join(" ");
        line += &format!(" 127.1.{high}.{low}:{}", self.origin);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            if let Some((_, valued)) = SERVER.iter().find(|(name, _)| name == option) {
                line += &format!(" {option}");
                if let Some(value) = options.next().filter(|_| *valued) {
                    line += &format!(" {value}");
                    if let Some(cookie) = self.cookie.as_ref().filter(|_| *option == "cookie") {
                        self.cookies.push(format!("{cookie}={value}"));
                    }
                }
            }
        }
        self.push(&format!("    {line}"));
    }

    /// Takes paths and hosts from conditions, so that requests meet them.
    fn learn(&mut self, words: &[&str]) {
        let mut pattern = None;
        for word in words {
            if word.starts_with("path") || word.starts_with("url") {
                pattern = Some((false, word.contains("_end")));
            } else if word.contains("hdr") && word.to_ascii_lowercase().contains("(host)") {
                pattern = Some((true, false));
            } else if matches!(*word, "{" | "}" | "if" | "unless" | "or" | "||") {
                pattern = None;
            } else if let Some((is_host, is_end)) = pattern.filter(|_| !word.starts_with('-')) {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
                if !word.bytes().all(plain) {
                    continue;
                }
                match is_host {
                    true => self.hosts.push(word.trim_start_matches('.').to_owned()),
                    false if is_end => self.paths.push(format!("/x{word}")),
                    false => self
                        .paths
                        .push(format!("/{}", word.trim_start_matches('/'))),
                }
            }
        }
    }

    /// As many requests as told for each of its addresses: paths, hosts and kinds in an order that mixes them.
    fn requests(&self, count: usize) -> Vec<String> {
        let chosen = |words: &[String], usual: &str| {
            let mut chosen = vec![usual.to_owned()];
            for word in words {
                if !chosen.contains(word) && chosen.len() <= WORDS_MAX {
                    chosen.push(word.clone());
                }
            }
            chosen
        };
        let (paths, hosts) = (chosen(&self.paths, "/"), chosen(&self.hosts, "example.org"));
        let cookies = chosen(&self.cookies, "a=b; c=d");
        let request = |index: usize| {
            let mut mix = index;
            let mut next = |count: usize| {
                let digit = mix % count;
                mix = mix / count + index;
                digit
            };
            let (path, host) = (&paths[next(paths.len())], &hosts[next(hosts.len())]);
            let cookie = &cookies[next(cookies.len())];
            let (method, rest) = match next(8) {
                0 => ("GET", String::new()),
                1 => ("GET", format!("Cookie: {cookie}\r\n")),
                2 => ("HEAD", "X-Forwarded-For: 192.0.2.7\r\n".to_owned()),
                3 => (
                    "GET",
                    "X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-Proto: https\r\n".to_owned(),
                ),
                4 => ("OPTIONS", "Origin: https://example.org\r\n".to_owned()),
                5 => (
                    "GET",
                    "Upgrade-Insecure-Requests: 1\r\nAccept-Encoding: gzip\r\n".to_owned(),
                ),
                6 => ("DELETE", "Authorization: Basic YTpi\r\n".to_owned()),
                _ => (
                    "POST",
                    "Content-Length: 7\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                        .to_owned(),
                ),
            };
            let body = if method == "POST" { "a=1&b=2" } else { "" };
            let query = if next(4) == 0 { "?q=1&x=y" } else { "" };
            format!(
                "{method} {path}{query} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: probe/1.0\r\nAccept: */*\r\n\
                 Connection: close\r\n{rest}\r\n{body}"
            )
        };
        (0..count).map(request).collect()
    }
}

/// The words without one and its value.
fn without<'a>(words: &[&'a str], name: &str) -> Vec<&'a str> {
    match words.iter().position(|word| *word == name) {
        None => words.to_vec(),
        Some(at) => [&words[..at], words.get(at + 2..).unwrap_or_default()].concat(),
    }
}

/// Files of patterns and maps become one that is empty.
fn files(line: &str) -> String {
    let mut out = String::new();
    let mut behind_flag = false;
    for (index, word) in line.split(' ').enumerate() {
        if index > 0 {
            out.push(' ');
        }
        match word {
            _ if behind_flag && !word.is_empty() => {
                out += "{empty}";
                behind_flag = false;
            }
            "-f" => {
                behind_flag = true;
                out += word;
            }
            _ => out += &map(word),
        }
    }
    out
}

/// `map_str(/a/file,x)` with another file.
fn map(word: &str) -> String {
    let Some(start) = word.find("map") else {
        return word.to_owned();
    };
    let Some(open) = word[start..].find('(').map(|open| start + open + 1) else {
        return word.to_owned();
    };
    let length = word[open..].find([',', ')']).unwrap_or(word.len() - open);
    format!("{}{{empty}}{}", &word[..open], map(&word[open + length..]))
}
