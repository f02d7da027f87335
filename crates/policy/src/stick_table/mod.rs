//! Stick tables: what is remembered of clients, under a key, for a while (manual, section 11).
//!
//! | look in | for |
//! |---|---|
//! | [`TableSpec`] | what a configuration says about a table |
//! | [`Table`] | the store, shared by all workers |
//! | [`Key`] | a key in the form of its table |
//! | [`Entry`] | the values of one key |
//! | [`Tracked`] | a key that a connection or request follows for its whole life |
//! | [`Counters`] | all keys that a connection or request follows |
//! | [`Reading`] | what rules may ask of an entry |
//! | [`Data`] | the kinds of values |
//! | [`Tables`] | all tables of a configuration |
//!
//! A table is cut into shards with a lock each, which is held for some tens of nanoseconds; workers meet at a lock only
//! where they count for neighbouring keys. Time is an argument everywhere. What is absent: rules and samples
//! ([`crate::sample`], [`crate::action`]), and the exchange with peers.

mod counters;
mod data;
mod entry;
mod index;
mod key;
mod rate;
mod reading;
mod set;
mod shard;
mod spec;
mod table;
mod tracked;

#[cfg(test)]
mod tests;

pub use counters::{Counters, Event, STICK_COUNTERS_DEFAULT, STICK_COUNTERS_MAX};
pub use data::{ALL, ARRAY_MAX, Data, Description, Kind};
pub use entry::Entry;
pub use key::{Key, KeyValue, castable};
pub use reading::Reading;
pub(crate) use reading::increase;
pub use set::{TableId, Tables};
pub use spec::{
    DataSpec, KEY_LENGTH_DEFAULT, KEY_LENGTH_MAX, KeyType, SIZE_MAX, ServerKey, TableSpec,
};
pub use table::{Pointer, Removal, Row, Table};
pub use tracked::Tracked;
