//! Records at stable positions, with an index by uid.

use crate::objects::Uid;
use hashbrown::HashTable;
use std::collections::BTreeSet;

/// Values by position, in chunks. An insert takes the lowest free position, and an empty chunk is freed, so that churn
/// does not waste memory.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// Chunks with a free position.
    roomy: BTreeSet<u32>,
    /// An empty chunk, kept for the next insert.
    spare: Option<u32>,
    len: usize,
}

/// A number of consecutive positions; none in a freed chunk.
#[derive(Debug)]
struct Chunk<T> {
    positions: Vec<Option<T>>,
    free: Vec<u16>,
}

/// Positions per chunk, so that growing never copies all values.
const CHUNK: usize = 1024;

/// There are far fewer than 2^32 values.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), roomy: BTreeSet::new(), spare: None, len: 0 }
    }
}

impl<T> Chunk<T> {
    fn is_full(&self) -> bool {
        self.free.is_empty() && self.positions.len() == CHUNK
    }

    fn is_empty(&self) -> bool {
        self.free.len() == self.positions.len()
    }

    /// The position within the chunk.
    fn insert(&mut self, value: T) -> usize {
        if let Some(at) = self.free.pop() {
            self.positions[usize::from(at)] = Some(value);
            return usize::from(at);
        }
        self.positions.push(Some(value));
        self.positions.len() - 1
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> u32 {
        let at = match self.roomy.first() {
            Some(at) => *at,
            None => self.add_chunk(),
        };
        let is_only = self.chunks.len() == 1;
        let chunk = &mut self.chunks[at as usize];
        if chunk.positions.capacity() == 0 && !is_only {
            chunk.positions.reserve_exact(CHUNK);
        }
        let within = chunk.insert(value);
        if chunk.is_full() {
            self.roomy.remove(&at);
        }
        if self.spare == Some(at) {
            self.spare = None;
        }
        self.len += 1;
        number(at as usize * CHUNK + within)
    }

    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let (chunk_at, within) = (at as usize / CHUNK, at as usize % CHUNK);
        let chunk = self.chunks.get_mut(chunk_at)?;
        let value = chunk.positions.get_mut(within)?.take()?;
        self.len -= 1;
        if chunk.is_full() {
            self.roomy.insert(number(chunk_at));
        }
        chunk.free.push(u16::try_from(within).unwrap_or_default());
        if chunk.is_empty() {
            let empty = number(chunk_at);
            let spare = self.spare.map_or(empty, |spare| spare.min(empty));
            if let Some(other) = self.spare.replace(spare) {
                self.give_back(other.max(empty));
            }
        }
        Some(value)
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.chunks.get(at as usize / CHUNK)?.positions.get(at as usize % CHUNK)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.chunks.get_mut(at as usize / CHUNK)?.positions.get_mut(at as usize % CHUNK)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let chunks = self.chunks.iter().zip((0..).step_by(CHUNK));
        chunks.flat_map(|(chunk, first)| {
            chunk.positions.iter().zip(first..).filter_map(|(value, at)| Some((at, value.as_ref()?)))
        })
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        let chunks = self.chunks.iter_mut().zip((0..).step_by(CHUNK));
        chunks.flat_map(|(chunk, first)| {
            chunk.positions.iter_mut().zip(first..).filter_map(|(value, at)| Some((at, value.as_mut()?)))
        })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All positions are below this.
    pub(super) fn end(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    fn add_chunk(&mut self) -> u32 {
        let at = number(self.chunks.len());
        self.chunks.push(Chunk { positions: Vec::new(), free: Vec::new() });
        self.roomy.insert(at);
        at
    }

    fn give_back(&mut self, at: u32) {
        self.chunks[at as usize] = Chunk { positions: Vec::new(), free: Vec::new() };
        while self.chunks.last().is_some_and(|last| last.positions.capacity() == 0) {
            self.chunks.pop();
            self.roomy.remove(&number(self.chunks.len()));
        }
        self.chunks.shrink_to(2 * self.chunks.len());
    }
}

/// A record with a uid.
pub(super) trait Identified {
    fn uid(&self) -> Uid;
}

/// A slab with an index by uid. The index holds positions only: the uids are in the records.
#[derive(Debug)]
pub(super) struct ByUid<T> {
    records: Slab<T>,
    index: HashTable<u32>,
}

impl<T> Default for ByUid<T> {
    fn default() -> Self {
        Self { records: Slab::default(), index: HashTable::new() }
    }
}

impl<T: Identified> ByUid<T> {
    pub(super) fn find(&self, uid: Uid) -> Option<u32> {
        let is_it = |at: &u32| self.records.get(*at).is_some_and(|record| record.uid() == uid);
        self.index.find(uid.bits(), is_it).copied()
    }

    /// Adds a record with a new uid.
    pub(super) fn insert(&mut self, record: T) -> u32 {
        let bits = record.uid().bits();
        let at = self.records.insert(record);
        let records = &self.records;
        self.index.insert_unique(bits, at, |at| records.get(*at).map_or(0, |record| record.uid().bits()));
        at
    }

    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let bits = self.records.get(at)?.uid().bits();
        if let Ok(entry) = self.index.find_entry(bits, |other| *other == at) {
            entry.remove();
        }
        self.records.remove(at)
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.records.get(at)
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.records.get_mut(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.records.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.records.iter_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns memory that the index does not need; it keeps room to double.
    pub(super) fn shrink(&mut self) {
        let records = &self.records;
        self.index.shrink_to(2 * self.index.len(), |at| records.get(*at).map_or(0, |record| record.uid().bits()));
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Slab};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn a_slab_is_a_map_with_numbers_of_its_own(steps in proptest::collection::vec(0_u32..6000, 0..4000)) {
            let (mut slab, mut map) = (Slab::default(), BTreeMap::new());
            for (value, step) in steps.into_iter().enumerate() {
                if step.is_multiple_of(3) {
                    prop_assert_eq!(slab.remove(step / 3), map.remove(&(step / 3)));
                } else {
                    let at = slab.insert(value);
                    prop_assert_eq!(map.insert(at, value), None);
                }
                prop_assert_eq!(slab.len(), map.len());
            }
            prop_assert!(slab.iter().map(|(at, value)| (at, *value)).eq(map.iter().map(|(at, value)| (*at, *value))));
            prop_assert!(map.iter().all(|(at, value)| slab.get(*at) == Some(value) && (*at as usize) < slab.end()));
        }
    }

    #[test]
    fn removed_values_leave_at_most_one_chunk() {
        let mut slab = Slab::default();
        let first = slab.insert(0);
        let all: Vec<u32> = (0..20 * CHUNK).map(|value| slab.insert(value)).collect();
        let held = |slab: &Slab<usize>| slab.chunks.iter().map(|chunk| chunk.positions.capacity()).sum::<usize>();
        assert!(held(&slab) > 20 * CHUNK);
        for at in all {
            slab.remove(at);
        }
        assert!(held(&slab) <= 2 * CHUNK && slab.chunks.len() <= 2, "{} positions", held(&slab));
        assert_eq!(slab.get(first), Some(&0));
    }
}
