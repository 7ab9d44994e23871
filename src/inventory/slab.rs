//! Records at stable positions, with an index by uid.

use crate::objects::Uid;
use hashbrown::HashTable;
use std::collections::BTreeSet;

/// Values by position, in chunks. An insert takes the lowest free position, and an empty chunk is freed, so that churn
/// does not waste memory.
#[derive(Debug)]
pub(super) struct Slab<T> {
    pieces: Vec<Chunk<T>>,
    /// Chunks with a free position.
    roomy: BTreeSet<u32>,
    /// An empty chunk, kept for the next insert.
    spare: Option<u32>,
    len: usize,
}

/// A number of consecutive positions; none in a freed chunk.
#[derive(Debug)]
struct Chunk<T> {
    places: Vec<Option<T>>,
    free: Vec<u16>,
}

/// Positions per chunk, so that growing never copies all values.
const PIECE: usize = 1024;

/// There are far fewer than 2^32 values.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), roomy: BTreeSet::new(), spare: None, len: 0 }
    }
}

impl<T> Chunk<T> {
    fn is_full(&self) -> bool {
        self.free.is_empty() && self.places.len() == PIECE
    }

    fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// The position within the chunk.
    fn insert(&mut self, value: T) -> usize {
        if let Some(at) = self.free.pop() {
            self.places[usize::from(at)] = Some(value);
            return usize::from(at);
        }
        self.places.push(Some(value));
        self.places.len() - 1
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> u32 {
        let at = match self.roomy.first() {
            Some(at) => *at,
            None => self.add_piece(),
        };
        let is_only = self.pieces.len() == 1;
        let piece = &mut self.pieces[at as usize];
        if piece.places.capacity() == 0 && !is_only {
            piece.places.reserve_exact(PIECE);
        }
        let within = piece.insert(value);
        if piece.is_full() {
            self.roomy.remove(&at);
        }
        if self.spare == Some(at) {
            self.spare = None;
        }
        self.len += 1;
        number(at as usize * PIECE + within)
    }

    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let (of_piece, within) = (at as usize / PIECE, at as usize % PIECE);
        let piece = self.pieces.get_mut(of_piece)?;
        let value = piece.places.get_mut(within)?.take()?;
        self.len -= 1;
        if piece.is_full() {
            self.roomy.insert(number(of_piece));
        }
        piece.free.push(u16::try_from(within).unwrap_or_default());
        if piece.is_empty() {
            let empty = number(of_piece);
            let spare = self.spare.map_or(empty, |spare| spare.min(empty));
            if let Some(other) = self.spare.replace(spare) {
                self.give_back(other.max(empty));
            }
        }
        Some(value)
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.pieces.get(at as usize / PIECE)?.places.get(at as usize % PIECE)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.pieces.get_mut(at as usize / PIECE)?.places.get_mut(at as usize % PIECE)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let pieces = self.pieces.iter().zip((0..).step_by(PIECE));
        pieces.flat_map(|(piece, first)| {
            piece.places.iter().zip(first..).filter_map(|(place, at)| Some((at, place.as_ref()?)))
        })
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        let pieces = self.pieces.iter_mut().zip((0..).step_by(PIECE));
        pieces.flat_map(|(piece, first)| {
            piece.places.iter_mut().zip(first..).filter_map(|(place, at)| Some((at, place.as_mut()?)))
        })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All positions are below this.
    pub(super) fn end(&self) -> usize {
        self.pieces.len() * PIECE
    }

    fn add_piece(&mut self) -> u32 {
        let at = number(self.pieces.len());
        self.pieces.push(Chunk { places: Vec::new(), free: Vec::new() });
        self.roomy.insert(at);
        at
    }

    fn give_back(&mut self, at: u32) {
        self.pieces[at as usize] = Chunk { places: Vec::new(), free: Vec::new() };
        while self.pieces.last().is_some_and(|last| last.places.capacity() == 0) {
            self.pieces.pop();
            self.roomy.remove(&number(self.pieces.len()));
        }
        self.pieces.shrink_to(2 * self.pieces.len());
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
    use super::{PIECE, Slab};
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
    fn what_has_gone_leaves_at_most_one_piece_behind() {
        let mut slab = Slab::default();
        let first = slab.insert(0);
        let all: Vec<u32> = (0..20 * PIECE).map(|value| slab.insert(value)).collect();
        let held = |slab: &Slab<usize>| slab.pieces.iter().map(|piece| piece.places.capacity()).sum::<usize>();
        assert!(held(&slab) > 20 * PIECE);
        for at in all {
            slab.remove(at);
        }
        assert!(held(&slab) <= 2 * PIECE && slab.pieces.len() <= 2, "{} places", held(&slab));
        assert_eq!(slab.get(first), Some(&0));
    }
}
