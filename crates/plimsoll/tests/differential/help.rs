//! Every command that HAProxy's `help` lists is a command here, or says why it is none.

use plimsoll_policy::command::{ABSENT, COMMANDS};

use crate::rig::{Rig, ask, free_address};
use crate::stage::reference;

#[test]
fn every_command_is_known() {
    let Some(reference) = reference() else { return };
    let address = free_address();
    let mut rig = Rig::new();
    let text = format!(
        "global\n stats socket {} level admin\ndefaults\n mode http\n timeout client 5s\n timeout server 5s\n \
         timeout connect 5s\nlisten web\n bind {address}\n",
        rig.path("socket").display(),
    );
    rig.serve(&reference, &text, address);
    let help = ask(
        &rig.path("socket"),
        "expert-mode on; experimental-mode on; help",
    );
    let usages = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once(':'));
    // The help of 2.6 misspells 'new ssl crl-file'.
    let usages = usages.map(|(usage, _)| usage.trim());
    let usages: Vec<_> = usages
        .filter(|usage| !usage.starts_with("new ssl crlfile"))
        .collect();
    assert!(usages.len() >= 80, "{help}");
    let paths = COMMANDS.iter().map(|command| command.path);
    let paths: Vec<_> = paths
        .chain(ABSENT.iter().map(|absent| absent.path))
        .collect();
    let unknown = usages.into_iter().filter(|usage| {
        let words: Vec<_> = usage
            .split(' ')
            .take_while(|word| !word.starts_with(['<', '[', '{', '(', '?']))
            .filter(|word| !word.is_empty())
            .collect();
        // Some lists leave out what follows, and some of ours have a command for each word that may follow.
        !paths
            .iter()
            .any(|path| words.starts_with(path) || path.starts_with(&words))
    });
    let unknown: Vec<_> = unknown.collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}
