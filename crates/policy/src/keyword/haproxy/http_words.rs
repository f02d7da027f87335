//! Words that are about messages of HTTP: a proxy that relays bytes has no use for them, and is told so when it is known
//! what it does.

use crate::draft::Draft;
use crate::keyword::Sections;

use super::Polarity;

/// Their names, beside those that begin with `stats`. (`cookie`, `option forwardfor` and rules are told of elsewhere.)
const WORDS: &[&str] = &[
    "monitor-uri",
    "option accept-unsafe-violations-in-http-request",
    "option accept-unsafe-violations-in-http-response",
    "option checkcache",
    "option disable-h2-upgrade",
    "option forwarded",
    "option http-buffer-request",
    "option http-drop-request-trailers",
    "option http-drop-response-trailers",
    "option http-ignore-probes",
    "option http-no-delay",
    "option http-pretend-keepalive",
    "option http-use-proxy-header",
    "option idle-close-on-response",
    "option prefer-last-server",
];

/// Keeps the place of such a word until the mode of the proxy is known; `no` takes it back.
pub(super) fn note(draft: &mut Draft, name: &'static str) {
    let is_proxy = draft.section.is_some_and(|it| it.meets(Sections::PROXY));
    let is_about_messages = name.starts_with("stats ") || WORDS.binary_search(&name).is_ok();
    if !is_proxy || !is_about_messages {
        return;
    }
    let (place, is_set) = (draft.keyword, draft.polarity == Polarity::Plain);
    let words = &mut draft.settings().http_words;
    words.retain(|(known, _)| *known != name);
    if is_set {
        words.push((name, place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyword::haproxy::keywords;

    #[test]
    fn words_are_sorted_and_known() {
        assert!(WORDS.windows(2).all(|pair| pair[0] < pair[1]));
        for word in WORDS {
            assert!(keywords().any(|row| row.name == *word), "{word}");
        }
    }
}
