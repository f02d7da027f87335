//! `h1-case-adjust`: how names of fields are written for peers that take their case seriously.

use plimsoll_config::diagnostic::{Kind, Span};
use plimsoll_wire::h1::{Spelling, SpellingError};

use super::Resolver;
use crate::draft::GlobalDraft;

impl Resolver<'_> {
    pub(super) fn spelling(&mut self, draft: &GlobalDraft) -> Spelling {
        let mut spelling = Spelling::default();
        for (from, to) in &draft.spellings {
            if let Err(complaint) = add(&mut spelling, &from.text, &to.text) {
                self.error(Kind::Invalid, from.span.to(to.span), complaint, "");
            }
        }
        if let Some(file) = &draft.spelling_file
            && let Some(content) = self.told_content(&file.value, file.span)
        {
            self.spellings_of_file(&content, (&file.value, file.span), &mut spelling);
        }
        spelling
    }

    fn spellings_of_file(
        &mut self,
        content: &[u8],
        (path, span): (&str, Span),
        spelling: &mut Spelling,
    ) {
        let text = String::from_utf8_lossy(content);
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let added = match words[..] {
                [] => continue,
                [first, ..] if first.starts_with('#') => continue,
                [from, to] => add(spelling, from, to),
                _ => Err("a line has a name and its spelling".to_owned()),
            };
            if let Err(complaint) = added {
                let message = format!("{path}:{number}: {complaint}");
                self.error(Kind::Invalid, span, message, "");
            }
        }
    }
}

fn add(spelling: &mut Spelling, from: &str, to: &str) -> Result<(), String> {
    if from.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("'{from}' has to be in lower case"));
    }
    if !from.eq_ignore_ascii_case(to) {
        return Err(format!("'{from}' and '{to}' differ in more than case"));
    }
    spelling.add(to.as_bytes()).map_err(|error| match error {
        SpellingError::NotAName => format!("'{to}' cannot be the name of a field"),
        SpellingError::Known => format!("'{from}' has a spelling already"),
    })
}
