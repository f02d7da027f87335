//! Stick tables: names are told apart, and what they refer to is found.

use std::collections::HashMap;

use plimsoll_config::diagnostic::{Diagnostic, Kind, Span};
use plimsoll_config::suggest::nearest;

use super::Resolver;
use crate::draft::{Draft, PeersDraft, Spanned};
use crate::stick_table::TableSpec;

/// Most tables of a configuration.
const TABLES_MAX: usize = 10_000;

impl Resolver<'_> {
    /// All tables, in the order of the text: those of `peers` sections first, as HAProxy has them.
    pub(super) fn tables(&mut self, draft: &Draft) -> Vec<TableSpec> {
        let peers = self.peers(&draft.peers);
        let shared = draft.peers.iter().flat_map(|section| &section.tables);
        let own = draft
            .proxies
            .iter()
            .filter_map(|proxy| proxy.table.as_ref());
        let mut tables: Vec<TableSpec> = Vec::new();
        let mut names: HashMap<&str, (usize, Span)> = HashMap::new();
        for table in shared.clone().chain(own.clone()) {
            let name = table.value.name.as_str();
            if tables.len() == TABLES_MAX {
                let message = format!("there are more than {TABLES_MAX} stick tables");
                self.error(Kind::Invalid, table.span, message, "");
                break;
            }
            if names.contains_key(name) {
                let message = format!("another stick table is called '{name}'");
                let help = "give one of the sections another name";
                self.error(Kind::Invalid, table.span, message, help);
                continue;
            }
            names.insert(name, (tables.len(), table.span));
            tables.push(table.value.clone());
            if let Some(section) = &table.value.peers
                && !peers.contains_key(section.as_str())
            {
                self.no_such(
                    "'peers' section",
                    section,
                    table.span,
                    peers.keys().copied(),
                );
            }
        }
        for table in shared.chain(own) {
            self.copied(table, &names, &tables);
        }
        tables
    }

    /// `write-to`: a table of the same kind that is no source itself.
    fn copied(
        &mut self,
        table: &Spanned<TableSpec>,
        names: &HashMap<&str, (usize, Span)>,
        tables: &[TableSpec],
    ) {
        let Some(name) = &table.value.write_to else {
            return;
        };
        let Some(&(index, _)) = names.get(name.as_str()) else {
            self.no_such("stick table", name, table.span, names.keys().copied());
            return;
        };
        let target = &tables[index];
        let (message, help) = if target.write_to.is_some() {
            let message = format!("the table '{name}' is written to another one itself");
            (message, "write to the last one of them")
        } else if target.key != table.value.key {
            let message = format!("the keys of '{name}' are of another type or length");
            (message, "give both tables the same type")
        } else {
            return;
        };
        self.error(Kind::Invalid, table.span, message, help);
    }

    /// `peers` sections by name; those with other machines are told that nothing reaches them.
    fn peers<'a>(&mut self, sections: &'a [PeersDraft]) -> HashMap<&'a str, &'a PeersDraft> {
        let mut peers = HashMap::new();
        for section in sections {
            if peers.insert(section.name.as_str(), section).is_some() {
                let message = format!("another 'peers' section is called '{}'", section.name);
                self.error(Kind::Invalid, section.span, message, "give it another name");
            }
            // One member is this machine.
            if section.disabled || section.members.len() < 2 {
                continue;
            }
            let members = section.members.iter().map(|member| member.value.as_str());
            let members: Vec<_> = members.collect();
            let message = format!(
                "tables of '{}' are not shared with other machines in this version",
                section.name
            );
            let warning = Diagnostic::warning(Kind::NotImplemented, section.span, message);
            let cause = format_args!("each of {} keeps its own entries", members.join(", "));
            self.report(warning.cause(cause));
        }
        peers
    }

    pub(super) fn no_such<'a>(
        &mut self,
        what: &str,
        name: &str,
        span: Span,
        known: impl Iterator<Item = &'a str>,
    ) {
        let message = format!("no {what} is called '{name}'");
        let error = Diagnostic::error(Kind::Reference, span, message);
        self.report(match nearest(name, known) {
            Some(near) => error.help(format_args!("did you mean '{near}'?")),
            None => error,
        });
    }
}
