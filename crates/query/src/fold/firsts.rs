//! Events by their key, of which the first one counts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What came first under each key.
#[derive(Debug)]
pub(super) struct Firsts<K, V>(BTreeMap<K, V>);

impl<K: Ord, V> Firsts<K, V> {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Keeps this, unless something is there.
    pub(super) fn add(&mut self, key: K, value: V) {
        if let Entry::Vacant(place) = self.0.entry(key) {
            place.insert(value);
        }
    }

    /// In the order of their keys.
    pub(super) fn into_ordered(self) -> impl Iterator<Item = (K, V)> {
        self.0.into_iter()
    }
}
