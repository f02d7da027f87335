//! `.if`, `.elif`, `.else`, `.endif`: which lines count.

use crate::diagnostic::{Diagnostic, Kind, Span};

/// Deepest nesting of `.if` blocks.
pub const BLOCK_DEPTH_MAX: usize = 100;

/// What one `.if … .endif` has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Branch {
    /// This branch counts.
    Taken,
    /// No branch has counted so far; the next one may.
    Waiting,
    /// A branch has counted before, or the block stands in one that does not count.
    Done,
}

#[derive(Clone, Debug)]
struct Block {
    branch: Branch,
    /// Where the block began.
    opened: Span,
    /// Where its `.else` stands.
    otherwise: Option<Span>,
}

/// The blocks that are open at a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks {
    open: Vec<Block>,
    /// Blocks opened beyond [`BLOCK_DEPTH_MAX`]; nothing in them counts.
    beyond: usize,
}

impl Blocks {
    /// Whether lines count here.
    pub(crate) fn active(&self) -> bool {
        self.beyond == 0
            && self
                .open
                .last()
                .is_none_or(|block| block.branch == Branch::Taken)
    }

    /// `.if`: opens a block. The condition is asked for only where the answer matters; one that cannot be evaluated
    /// masks the whole block, so that its error is the only one.
    pub(crate) fn begin(
        &mut self,
        at: Span,
        condition: impl FnOnce() -> Result<bool, Diagnostic>,
    ) -> Result<(), Diagnostic> {
        if self.open.len() >= BLOCK_DEPTH_MAX {
            self.beyond += 1;
            let message = format_args!("'.if' blocks are nested more than {BLOCK_DEPTH_MAX} deep");
            return Err(Diagnostic::error(Kind::Syntax, at, message));
        }
        let (branch, outcome) = if self.active() {
            decide(condition())
        } else {
            (Branch::Done, Ok(()))
        };
        self.open.push(Block {
            branch,
            opened: at,
            otherwise: None,
        });
        outcome
    }

    /// `.elif`: opens the next branch of the block.
    pub(crate) fn alternative(
        &mut self,
        at: Span,
        condition: impl FnOnce() -> Result<bool, Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let Some(block) = self.current(at, ".elif")? else {
            return Ok(());
        };
        if block.otherwise.is_some() {
            return Err(late(at, ".elif"));
        }
        match block.branch {
            Branch::Taken | Branch::Done => {
                block.branch = Branch::Done;
                Ok(())
            }
            Branch::Waiting => {
                let (branch, outcome) = decide(condition());
                block.branch = branch;
                outcome
            }
        }
    }

    /// `.else`: opens the last branch of the block.
    pub(crate) fn otherwise(&mut self, at: Span) -> Result<(), Diagnostic> {
        let Some(block) = self.current(at, ".else")? else {
            return Ok(());
        };
        if block.otherwise.is_some() {
            return Err(late(at, ".else"));
        }
        block.otherwise = Some(at);
        block.branch = match block.branch {
            Branch::Waiting => Branch::Taken,
            Branch::Taken | Branch::Done => Branch::Done,
        };
        Ok(())
    }

    /// `.endif`: closes the block.
    pub(crate) fn end(&mut self, at: Span) -> Result<(), Diagnostic> {
        if self.current(at, ".endif")?.is_some() {
            self.open.pop();
        } else {
            self.beyond -= 1;
        }
        Ok(())
    }

    /// The end of a file, where every block must be closed: the ones that are not.
    pub(crate) fn finish(&mut self) -> impl Iterator<Item = Diagnostic> {
        self.beyond = 0;
        std::mem::take(&mut self.open).into_iter().map(|block| {
            Diagnostic::error(Kind::Syntax, block.opened, "this '.if' is never closed")
                .help("write '.endif' on a line of its own where the block ends")
        })
    }

    /// The innermost block, or `None` beyond the depth that is kept.
    fn current(&mut self, at: Span, directive: &str) -> Result<Option<&mut Block>, Diagnostic> {
        if self.beyond > 0 {
            return Ok(None);
        }
        let message = format_args!("'{directive}' without an '.if' before it");
        match self.open.last_mut() {
            Some(block) => Ok(Some(block)),
            None => Err(Diagnostic::error(Kind::Syntax, at, message)),
        }
    }
}

fn decide(condition: Result<bool, Diagnostic>) -> (Branch, Result<(), Diagnostic>) {
    match condition {
        Ok(true) => (Branch::Taken, Ok(())),
        Ok(false) => (Branch::Waiting, Ok(())),
        Err(problem) => (Branch::Done, Err(problem)),
    }
}

fn late(at: Span, directive: &str) -> Diagnostic {
    let message = format_args!("'{directive}' cannot follow '.else'");
    Diagnostic::error(Kind::Syntax, at, message).cause("'.else' is the last branch of a block")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a block structure: `1`/`0` for `.if` true/false, `a`/`b` for `.elif` true/false, `e` for `.else`,
    /// `.` for `.endif`; answers with the activity after each.
    fn run(script: &str) -> (String, usize) {
        let mut blocks = Blocks::default();
        let at = Span::default();
        let mut errors = 0;
        let mut activity = String::new();
        for step in script.chars() {
            let outcome = match step {
                '1' | '0' => blocks.begin(at, || Ok(step == '1')),
                'a' | 'b' => blocks.alternative(at, || Ok(step == 'a')),
                'e' => blocks.otherwise(at),
                _ => blocks.end(at),
            };
            errors += usize::from(outcome.is_err());
            activity.push(if blocks.active() { '+' } else { '-' });
        }
        (activity, errors + blocks.finish().count())
    }

    #[test]
    fn branches() {
        let cases = [
            ("1e.", "+-+", 0),
            ("0e.", "-++", 0),
            ("0ba.", "--++", 0),
            ("0aae.", "-+--+", 0),
            ("1be.", "+--+", 0),
            ("01e.e.", "----++", 0),
            ("11e..", "++-++", 0),
            ("1", "+", 1),
            ("e.a", "+++", 3),
            ("1ee.", "+--+", 1),
            ("1ea.", "+--+", 1),
        ];
        for (script, activity, errors) in cases {
            assert_eq!(run(script), (activity.to_owned(), errors), "{script}");
        }
    }

    #[test]
    fn depth_is_bounded_and_recovers() {
        let script = "1".repeat(BLOCK_DEPTH_MAX + 2) + "e." + &".".repeat(BLOCK_DEPTH_MAX + 1);
        let (activity, errors) = run(&script);
        assert_eq!(errors, 2);
        assert!(activity.ends_with('+'));
        assert_eq!(activity.matches('-').count(), 4);
    }
}
