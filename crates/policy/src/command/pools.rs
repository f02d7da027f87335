//! `show pools`: memory that is kept for the next request.

use super::{Answer, Command, Session, Words};
use crate::model::AccessLevel;
use crate::stats::format::write;
use crate::stats::{Spare, View};

pub(super) const SHOW: Command = Command {
    path: &["show", "pools"],
    access: AccessLevel::User,
    usage: "show pools [byname|bysize|byusage] [match <pfx>] [<n>]",
    doc: "memory that workers keep for the next request, as it was within the last second",
    run: show,
};

const WRONG: &str = "Expects either 'byname', 'bysize', 'byusage', 'match <pfx>', 'detailed', or a max number of output \
                     lines.";

fn show(words: &mut Words<'_>, view: View<'_>, _: &mut Session) -> Answer {
    let mut spares = view.sums.spares();
    let mut lines_max = usize::MAX;
    while let Some(word) = words.next() {
        match word {
            "byname" => spares.sort_by_key(|spare| spare.name),
            "bysize" => spares.sort_by_key(|spare| std::cmp::Reverse(size(spare))),
            "byusage" => spares.sort_by_key(|spare| std::cmp::Reverse(spare.bytes)),
            "detailed" => {}
            "match" if !words.is_empty() => {
                let start = words.next().unwrap_or_default();
                spares.retain(|spare| spare.name.starts_with(start));
            }
            number => lines_max = number.parse().map_err(|_| WRONG)?,
        }
    }
    let mut text = "Dumping pools usage.\n".to_owned();
    spares.truncate(lines_max);
    let (mut bytes, mut spare_bytes) = (0, 0);
    for spare in &spares {
        // A connection at rest is in use as its peer sees it; the rest waits to be used.
        let used = if spare.is_open() { spare.count } else { 0 };
        let cached = spare.count - used;
        bytes += spare.bytes;
        spare_bytes += if used > 0 { 0 } else { spare.bytes };
        write(
            &mut text,
            format_args!(
                "  - Pool {} ({} bytes/8) : {} allocated ({} bytes), {used} used (~{cached} by thread caches), needed_avg 0, \
                 0 failures, {} users\n",
                spare.name,
                size(spare),
                spare.count,
                spare.bytes,
                view.process.workers,
            ),
        );
    }
    write(
        &mut text,
        format_args!(
            "Total: {} pools, {bytes} bytes allocated, {} used (~{spare_bytes} by thread caches).\n",
            spares.len(),
            bytes - spare_bytes,
        ),
    );
    Ok(text)
}

/// The size of one: the mean, where they differ.
fn size(spare: &Spare) -> u64 {
    spare.bytes.checked_div(spare.count).unwrap_or(0)
}
