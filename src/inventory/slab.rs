//! Records at stable positions, and where to find them by uid.

use crate::objects::Uid;
use hashbrown::HashTable;

/// A list whose freed places are used again. It grows by pieces: one allocation would be copied, with everybody waiting,
/// whenever it is full, and what is left of it unused would be in proportion to what is there.
#[derive(Debug)]
pub(super) struct Slab<T> {
    /// Each has room for [`PIECE`] places, and all but the last have as many.
    pieces: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
}

/// Places in a piece.
const PIECE: usize = 1024;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(at) = self.free.pop() {
            if let Some(place) = self.place_mut(at) {
                *place = Some(value);
            }
            return at;
        }
        let at = self.places();
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push(Some(value)),
            _ => {
                // A small cluster has room for what it has.
                let room = if self.pieces.is_empty() { 1 } else { PIECE };
                let mut piece = Vec::with_capacity(room);
                piece.push(Some(value));
                self.pieces.push(piece);
            }
        }
        // Four billion records would not fit into memory.
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let value = self.place_mut(at)?.take()?;
        self.free.push(at);
        Some(value)
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.pieces.get(at as usize / PIECE)?.get(at as usize % PIECE)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.place_mut(at)?.as_mut()
    }

    fn place_mut(&mut self, at: u32) -> Option<&mut Option<T>> {
        self.pieces.get_mut(at as usize / PIECE)?.get_mut(at as usize % PIECE)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.pieces.iter().flatten().zip(0..).filter_map(|(place, at)| Some((at, place.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.pieces.iter_mut().flatten().zip(0..).filter_map(|(place, at)| Some((at, place.as_mut()?)))
    }

    pub(super) fn len(&self) -> usize {
        self.places() - self.free.len()
    }

    fn places(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }
}

/// Something that goes by a uid.
pub(super) trait Identified {
    fn uid(&self) -> Uid;
}

/// A slab whose records can be found by uid. The index holds positions only: the uids stand in the records.
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

    /// The uid must not be there yet.
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
}
