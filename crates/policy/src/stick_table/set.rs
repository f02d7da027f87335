//! All tables of a configuration, by name; their entries outlive it.

use std::collections::HashMap;
use std::sync::Arc;

use super::spec::TableSpec;
use super::table::Table;

/// Index of a table in [`crate::model::Model::tables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u32);

/// The tables of a plane, in the order of the model.
#[derive(Debug, Default)]
pub struct Tables {
    list: Vec<Arc<Table>>,
    names: HashMap<String, usize>,
}

impl Tables {
    /// The tables that `specs` ask for. A table of `previous` that has the same name, and whose entries mean the same,
    /// goes on, unchanged until [`Self::settle`].
    pub fn build(specs: &[TableSpec], previous: Option<&Self>) -> Self {
        let mut tables = Self::default();
        for spec in specs {
            let before = previous.and_then(|tables| tables.named(&spec.name));
            let table = match before {
                Some(table) if table.spec().is_compatible(spec) => Arc::clone(table),
                _ => Arc::new(Table::new(spec.clone())),
            };
            tables.names.insert(spec.name.clone(), tables.list.len());
            tables.list.push(table);
        }
        tables
    }

    /// The limits of the configuration that these tables were built for hold from now on.
    pub fn settle(&self, specs: &[TableSpec]) {
        for (table, spec) in self.list.iter().zip(specs) {
            table.configure(spec);
        }
    }

    /// A table of the model that these tables were built from.
    pub fn get(&self, id: TableId) -> &Arc<Table> {
        &self.list[id.0 as usize]
    }

    pub fn named(&self, name: &str) -> Option<&Arc<Table>> {
        self.names.get(name).map(|&index| &self.list[index])
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Table>> {
        self.list.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stick_table::{Data, DataSpec, Key, KeyType};

    #[test]
    fn tables_live_on_by_name() {
        let mut spec = TableSpec::new("a", KeyType::Integer, 10);
        let old = Tables::build(
            &[spec.clone(), TableSpec::new("b", KeyType::Integer, 10)],
            None,
        );
        for table in old.iter() {
            table.update(&Key::integer(1), 0, |_| {});
        }
        let used = |tables: &Tables, name| tables.named(name).map(|table| table.used(0));
        spec.size = 20;
        let specs = [TableSpec::new("c", KeyType::Integer, 10), spec.clone()];
        let new = Tables::build(&specs, Some(&old));
        // A plane that is built may never be used.
        assert_eq!(old.named("a").map(|table| table.size()), Some(10));
        new.settle(&specs);
        assert_eq!(used(&new, "a"), Some(1));
        assert_eq!(new.named("a").map(|table| table.size()), Some(20));
        assert_eq!((used(&new, "b"), used(&new, "c")), (None, Some(0)));

        spec.store(DataSpec {
            data: Data::Gpc0,
            elements: 1,
            period_ms: 0,
        });
        let changed = Tables::build(&[spec], Some(&new));
        assert_eq!(used(&changed, "a"), Some(0));
    }
}
