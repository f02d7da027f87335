//! The line an agent answers with: what it means, and what is said about it.
//!
//! ```text
//! line = word *( separator word ) [ separator "#" description ]       separator = " " / "," / TAB
//! word = 1*DIGIT "%" / "weight:" WEIGHT / "maxconn:" 1*DIGIT          share of the configured weight, limits
//!      / "up" / "down" / "stopped" / "fail"                           health
//!      / "ready" / "drain" / "maint"                                  what an operator could order
//! ```
//! Words come in any order and any case; of several of one sort the last counts. An unknown word is told and does not
//! keep the others from being obeyed. What is absent: the counting of health ([`crate::health`]).

/// Longest description that is passed on, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 100;

/// Highest weight, as in a configuration.
const WEIGHT_MAX: u32 = 256;

/// What an agent orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub health: Option<HealthWord>,
    pub admin: Option<AdminWord>,
    pub weight: Option<Share>,
    pub maxconn: Option<u32>,
    /// Behind `#`.
    pub description: String,
    /// The first word that means nothing.
    pub unknown: Option<String>,
    /// What is wrong with a weight or a limit.
    pub warning: Option<&'static str>,
}

/// What an agent says of health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthWord {
    Up,
    Down,
    Stopped,
    Fail,
}

impl HealthWord {
    pub fn is_up(self) -> bool {
        self == Self::Up
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Stopped => "stopped",
            Self::Fail => "fail",
        }
    }
}

/// What an agent asks for as an operator would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminWord {
    Ready,
    Drain,
    Maintenance,
}

/// A weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Per cent of the configured weight.
    Percent(u32),
    Absolute(u32),
}

impl Share {
    /// The weight of a server whose configured weight is `initial`, 0 to 256.
    pub fn of(self, initial: u32) -> u32 {
        let weight = match self {
            Self::Percent(percent) => initial.saturating_mul(percent) / 100,
            Self::Absolute(weight) => weight,
        };
        weight.min(WEIGHT_MAX)
    }
}

impl Reply {
    /// Reads a line; bytes that are not UTF-8 only ever stand in descriptions and unknown words.
    pub fn read(line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line);
        let mut reply = Self::default();
        let mut rest = &*text;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return reply;
            }
            if let Some(description) = rest.strip_prefix('#') {
                reply.description = shortened(description.trim());
                return reply;
            }
            let end = rest.find([' ', '\t', ',']).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            reply.take(word);
            rest = behind;
        }
    }

    fn take(&mut self, word: &str) {
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "up" => self.health = Some(HealthWord::Up),
            "down" => self.health = Some(HealthWord::Down),
            "stopped" => self.health = Some(HealthWord::Stopped),
            "fail" => self.health = Some(HealthWord::Fail),
            "ready" => self.admin = Some(AdminWord::Ready),
            "drain" => self.admin = Some(AdminWord::Drain),
            "maint" => self.admin = Some(AdminWord::Maintenance),
            other => self.take_number(other, word),
        }
    }

    fn take_number(&mut self, lower: &str, word: &str) {
        if let Some(limit) = lower.strip_prefix("maxconn:") {
            match number(limit) {
                Some(limit) => self.maxconn = Some(limit),
                None => self.warn("maxconn wants a number"),
            }
        } else if let Some(weight) = lower.strip_prefix("weight:") {
            self.take_weight(weight);
        } else if lower.contains('%') && lower.starts_with(|first: char| first.is_ascii_digit()) {
            self.take_weight(lower);
        } else if self.unknown.is_none() {
            self.unknown = Some(shortened(word));
        }
    }

    fn take_weight(&mut self, text: &str) {
        let share = match text.strip_suffix('%') {
            Some(percent) => number(percent).map(Share::Percent),
            None => number(text)
                .filter(|&weight| weight <= WEIGHT_MAX)
                .map(Share::Absolute),
        };
        match share {
            Some(share) => self.weight = Some(share),
            None => self.warn("a weight is a percentage, or a number from 0 to 256"),
        }
    }

    fn warn(&mut self, warning: &'static str) {
        self.warning.get_or_insert(warning);
    }

    /// What is said of the reply in a log line and in statistics; empty when there is nothing to say.
    pub fn info(&self) -> String {
        let odd = self.unknown.as_deref().or(self.warning);
        let Some(health) = self.health else {
            return match (&self.unknown, self.warning) {
                (Some(word), _) => format!("agent reports an error : {word}"),
                (None, Some(warning)) => format!("agent warns : {warning}"),
                (None, None) => String::new(),
            };
        };
        // Whatever took the server out is more important than a word that nobody knows.
        let why = match odd {
            Some(odd) if self.description.is_empty() || health.is_up() => odd,
            _ => &self.description,
        };
        match why {
            "" => format!("via agent : {}", health.word()),
            why => format!("via agent : {} ({why})", health.word()),
        }
    }
}

/// Digits alone; a limit of ten digits or a percentage beyond 32 bits is no number.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(DESCRIPTION_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_in_any_order_case_and_number() {
        let up = Reply {
            health: Some(HealthWord::Up),
            weight: Some(Share::Percent(50)),
            ..Reply::default()
        };
        for line in [
            "up 50%",
            "50% UP",
            "up,50%",
            " \tup\t,, 50%  ",
            "down 10% Up 50%",
        ] {
            assert_eq!(Reply::read(line.as_bytes()), up, "{line}");
        }
        let all = Reply::read(b"75%,maxconn:30,maint,down # cooling down, wait");
        assert_eq!(all.weight, Some(Share::Percent(75)));
        assert_eq!(all.maxconn, Some(30));
        assert_eq!(all.admin, Some(AdminWord::Maintenance));
        assert_eq!(all.health, Some(HealthWord::Down));
        assert_eq!(all.description, "cooling down, wait");
        assert_eq!(all.info(), "via agent : down (cooling down, wait)");
        let words = [
            ("ready", AdminWord::Ready),
            ("drain", AdminWord::Drain),
            ("maint", AdminWord::Maintenance),
        ];
        for (word, admin) in words {
            assert_eq!(Reply::read(word.as_bytes()).admin, Some(admin));
        }
        for word in [HealthWord::Stopped, HealthWord::Fail] {
            assert_eq!(Reply::read(word.word().as_bytes()).health, Some(word));
        }
        assert_eq!(Reply::read(b""), Reply::default());
    }

    #[test]
    fn odd_words_are_told_and_the_rest_is_obeyed() {
        let odd = Reply::read(b"hello 30% world");
        assert_eq!(odd.weight, Some(Share::Percent(30)));
        assert_eq!(odd.info(), "agent reports an error : hello");
        assert_eq!(Reply::read(b"up hello").info(), "via agent : up (hello)");
        assert_eq!(
            Reply::read(b"down hello # disk").info(),
            "via agent : down (disk)"
        );
        assert_eq!(
            Reply::read(b"down hello").info(),
            "via agent : down (hello)"
        );
        for line in [
            "weight:300",
            "5%x",
            "maxconn:",
            "maxconn:-1",
            "99999999999%",
        ] {
            let reply = Reply::read(line.as_bytes());
            assert!(
                reply.info().starts_with("agent warns : "),
                "{line}: {reply:?}"
            );
            assert_eq!((reply.weight, reply.maxconn), (None, None), "{line}");
        }
    }

    #[test]
    fn shares_of_weights() {
        let cases = [
            (Share::Percent(75), 100, 75),
            (Share::Percent(0), 100, 0),
            (Share::Percent(50), 1, 0),
            (Share::Percent(200), 200, 256),
            (Share::Percent(u32::MAX), 256, 256),
            (Share::Absolute(12), 100, 12),
        ];
        for (share, initial, weight) in cases {
            assert_eq!(share.of(initial), weight, "{share:?} of {initial}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_survived(line in proptest::collection::vec(any::<u8>(), 0..400)) {
            let reply = Reply::read(&line);
            prop_assert!(reply.description.len() <= DESCRIPTION_BYTES_MAX);
            prop_assert!(reply.info().len() <= 2 * DESCRIPTION_BYTES_MAX);
        }
    }
}
