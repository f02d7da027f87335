//! `map` and its like: the value that a file has for a key (manual, section 7.3.1).

use plimsoll_config::args::Word;
use plimsoll_config::diagnostic::Diagnostic;

use super::regsub::Template;
use super::{Convert, Row, text};
use crate::acl::file_list;
use crate::arguments::Arguments;
use crate::context::Context;
use crate::expression::Scope;
use crate::pattern::{Method, Search, Use, read_value};
use crate::value::{Type, Value};

/// What is made of the value that belongs to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Text,
    Integer,
    Address,
    /// The key as the file has it.
    Key,
    /// The value, with places for what the key's groups matched.
    Groups,
}

impl Output {
    const fn kind(self) -> Type {
        match self {
            Self::Text | Self::Key | Self::Groups => Type::Text,
            Self::Integer => Type::Integer,
            Self::Address => Type::Address,
        }
    }

    fn make(self, text: &[u8]) -> Option<Value<'static>> {
        read_value(self.kind(), text)
    }
}

macro_rules! rows {
    ($($name:literal $method:ident $output:ident,)*) => {
        &[$(Row {
            name: $name,
            usage: usage(Output::$output),
            doc: doc(Method::$method, Output::$output),
            input: Method::$method.input(),
            output: Some(Output::$output.kind()),
            read: |arguments, scope| read(arguments, scope, Method::$method, Output::$output),
        },)*]
    };
}

pub(crate) const ROWS: &[Row] = rows![
    "map" Text Text,
    "map_beg" Prefix Text,
    "map_beg_int" Prefix Integer,
    "map_beg_ip" Prefix Address,
    "map_beg_key" Prefix Key,
    "map_dir" Directory Text,
    "map_dir_int" Directory Integer,
    "map_dir_ip" Directory Address,
    "map_dir_key" Directory Key,
    "map_dom" Domain Text,
    "map_dom_int" Domain Integer,
    "map_dom_ip" Domain Address,
    "map_dom_key" Domain Key,
    "map_end" Suffix Text,
    "map_end_int" Suffix Integer,
    "map_end_ip" Suffix Address,
    "map_end_key" Suffix Key,
    "map_int" Integer Text,
    "map_int_int" Integer Integer,
    "map_int_ip" Integer Address,
    "map_int_key" Integer Key,
    "map_ip" Ip Text,
    "map_ip_int" Ip Integer,
    "map_ip_ip" Ip Address,
    "map_ip_key" Ip Key,
    "map_reg" Regex Text,
    "map_reg_int" Regex Integer,
    "map_reg_ip" Regex Address,
    "map_reg_key" Regex Key,
    "map_regm" Regex Groups,
    "map_str" Text Text,
    "map_str_int" Text Integer,
    "map_str_ip" Text Address,
    "map_str_key" Text Key,
    "map_sub" Substring Text,
    "map_sub_int" Substring Integer,
    "map_sub_ip" Substring Address,
    "map_sub_key" Substring Key,
];

const fn usage(output: Output) -> &'static str {
    match output {
        Output::Key => "FILE",
        _ => "FILE[,DEFAULT]",
    }
}

/// One sentence for each way of comparing; the name tells what comes out.
const fn doc(method: Method, output: Output) -> &'static str {
    match (method, output) {
        (_, Output::Groups) => {
            "What a map has for the first expression that matches; \\1 stands for a group of it."
        }
        (_, Output::Key) => "The key of a map that fits the value.",
        (Method::Text, _) => "What a map has for the value itself.",
        (Method::Prefix, _) => "What a map has for the longest beginning.",
        (Method::Directory, _) => "What a map has for a part between slashes.",
        (Method::Domain, _) => "What a map has for a part between dots.",
        (Method::Suffix, _) => "What a map has for an end of the value.",
        (Method::Integer, _) => "What a map has for the number, or for a range that it lies in.",
        (Method::Ip, _) => "What a map has for the smallest network around the address.",
        (Method::Regex, _) => "What a map has for the first expression that matches.",
        _ => "What a map has for a text within the value.",
    }
}

struct Map {
    search: Search,
    output: Output,
    default: Option<Value<'static>>,
}

fn read(
    arguments: &mut Arguments,
    scope: &Scope<'_>,
    method: Method,
    output: Output,
) -> Result<Box<dyn Convert>, Diagnostic> {
    let name = arguments.word("the name of a file")?;
    let default = match output {
        Output::Key => None,
        _ => arguments.optional(),
    };
    let default = default.map(|text| {
        let wrong = || arguments.invalid(format_args!("the default '{text}' is of another type"));
        output.make(text.as_bytes()).ok_or_else(wrong)
    });
    let default = default.transpose()?;
    let list = file_list(&Word::new(&name, arguments.span), false, true, scope)?;
    let used = Use {
        method,
        ignore_case: false,
        values: Some(output.kind()),
        groups: output == Output::Groups,
    };
    let search = Search::new(list, used);
    let search = search.map_err(|error| arguments.invalid(format_args!("'{name}': {error}")))?;
    Ok(Box::new(Map {
        search,
        output,
        default,
    }))
}

impl Map {
    fn look_up(&self, value: Value<'_>) -> Option<Value<'static>> {
        if self.output == Output::Groups {
            let subject = value.into_text();
            let found = self.search.find_groups(&subject, |entry, groups| {
                let value = String::from_utf8_lossy(entry.value().unwrap_or_default());
                let template = Template::read(&value).ok()?;
                let mut out = Vec::new();
                template.write(groups, &mut out);
                text(out)
            });
            return found.flatten();
        }
        let found = self.search.find(value, |entry| match self.output {
            Output::Key => Some(Value::owned(entry.pattern())),
            output => output.make(entry.value().unwrap_or_default()),
        });
        found.flatten()
    }
}

impl Convert for Map {
    fn convert<'a>(&'a self, value: Value<'a>, _: &'a Context<'_>) -> Option<Value<'a>> {
        let found = self.look_up(value);
        found.or_else(|| self.default.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    fn bench() -> Bench {
        let files = plimsoll_config::source::MemoryLoader::new()
            .file("names", "# comment\n\nalpha one\nal   two words \nbeta\n")
            .file("numbers", "alpha 1\nbeta -2\n")
            .file(
                "nets",
                "10.0.0.0/8 wide\n10.1.0.0/16 narrow\n2001:db8::/32 six\n",
            )
            .file("ranges", "1:9 few\n10 ten\n")
            .file("patterns", "^/user/([a-z]+)/(\\d+) /u/\\2/\\1\n^/x fixed\n")
            .file("addresses", "alpha 192.0.2.1\n");
        Bench {
            files,
            ..Bench::default()
        }
    }

    #[test]
    fn keys_have_values() {
        let bench = bench();
        for (text, expected) in [
            ("str(alpha),map(names)", Some("one")),
            ("str(al),map_str(names)", Some("two words")),
            ("str(beta),map(names)", Some("")),
            ("str(gamma),map(names)", None),
            ("str(gamma),map(names,other)", Some("other")),
            ("str(alphabet),map_beg(names)", Some("one")),
            ("str(also),map_beg_key(names)", Some("al")),
            ("str(my-alpha),map_end(names)", Some("one")),
            ("str(/a/alpha/b),map_dir(names)", Some("one")),
            ("str(www.alpha.org),map_dom(names)", Some("one")),
            ("str(xalphax),map_sub_key(names)", Some("alpha")),
            ("str(beta),map_str_int(numbers),add(3)", Some("1")),
            ("str(zeta),map_str_int(numbers,7)", Some("7")),
            ("ipv4(10.1.2.3),map_ip(nets)", Some("narrow")),
            ("ipv4(10.2.2.3),map_ip_key(nets)", Some("10.0.0.0/8")),
            ("ipv6(2001:db8::5),map_ip(nets)", Some("six")),
            ("ipv4(11.0.0.1),map_ip(nets,none)", Some("none")),
            ("int(5),map_int(ranges)", Some("few")),
            ("int(11),map_int(ranges)", None),
            ("str(/user/joe/12),map_regm(patterns)", Some("/u/12/joe")),
            ("str(/xy),map_reg(patterns)", Some("fixed")),
            (
                "str(alpha),map_str_ip(addresses),ipmask(8)",
                Some("192.0.0.0"),
            ),
        ] {
            assert_eq!(bench.evaluate(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let bench = bench();
        for (text, part) in [
            ("str(a),map", "lacks"),
            ("str(a),map(nowhere)", "cannot be read"),
            ("str(a),map_str_int(names)", "is no sint"),
            ("str(a),map_str_int(numbers,x)", "another type"),
            ("src,map_ip(names)", "not a valid IPv4"),
            ("str(a),map_beg_key(names,x)", "too many"),
        ] {
            let error = bench.refused(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
