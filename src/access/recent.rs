//! A cache of bounded size that evicts the least recently used entry.

use std::collections::HashMap;
use std::hash::Hash;

/// A map with at most `capacity` entries.
pub(super) struct LruMap<K, V> {
    capacity: usize,
    entries: HashMap<K, Entry<V>>,
    uses: u64,
}

struct Entry<V> {
    used: u64,
    value: V,
}

impl<K: Eq + Hash + Copy, V> LruMap<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, entries: HashMap::new(), uses: 0 }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.uses;
        Some(&mut entry.value)
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Inserts an entry. A full cache scans all entries for the oldest: each insertion follows a password's hash or a request to
    /// the API server, which cost far more.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key);
            oldest.and_then(|oldest| self.entries.remove(&oldest));
        }
        self.uses += 1;
        self.entries.insert(key, Entry { used: self.uses, value });
    }
}

#[cfg(test)]
mod tests {
    use super::LruMap;

    #[test]
    fn the_least_recently_used_entry_is_evicted() {
        let mut recent = LruMap::new(2);
        recent.insert(1, 'a');
        recent.insert(2, 'b');
        assert_eq!(recent.get(&1), Some(&mut 'a'));
        recent.insert(3, 'c');
        assert_eq!((recent.get(&1).copied(), recent.get(&2).copied()), (Some('a'), None));
        recent.insert(3, 'd');
        assert_eq!((recent.get(&1).copied(), recent.get(&3).copied()), (Some('a'), Some('d')));
        recent.remove(&3);
        assert_eq!(recent.get(&3), None);
    }
}
