//! An interner: strings that many records share, each stored once.
//!
//! Records hold four-byte symbols, and removing a record needs no bookkeeping. After enough new strings the inventory
//! marks those in use, and frees the rest. Unused strings are bounded by those in use.

use super::slab::Slab;
use crate::report::Name;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Position of a string in the interner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Symbol(u32);

impl Symbol {
    /// The empty string.
    pub(super) const EMPTY: Self = Self(0);

    pub(super) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }
}

/// Maps symbols to strings, and strings to symbols.
#[derive(Debug)]
pub(super) struct Interner {
    strings: Slab<Name>,
    by_text: HashTable<u32>,
    hasher: hashbrown::DefaultHashBuilder,
    /// The string found last in each cache slot. Consecutive replicas share namespace and hash.
    recent: [(u64, Symbol); RECENT],
    /// Number of strings at which the next sweep is due.
    sweep_at: usize,
    empty: Name,
}

impl Default for Interner {
    fn default() -> Self {
        let empty = Name::from("");
        let mut strings = Slab::default();
        strings.insert(empty.clone());
        Self {
            strings,
            by_text: HashTable::new(),
            hasher: hashbrown::DefaultHashBuilder::default(),
            recent: [(0, Symbol::EMPTY); RECENT],
            sweep_at: MIN_SWEEP,
            empty,
        }
    }
}

/// Below this number of strings a sweep frees too little to matter.
const MIN_SWEEP: usize = 4096;

/// Number of cache slots for strings that are found without hashing.
const RECENT: usize = 256;

/// The last eight bytes of a string, or all of a shorter one.
fn end_of(text: &str) -> u64 {
    match text.as_bytes().last_chunk() {
        Some(end) => u64::from_le_bytes(*end),
        None => text.bytes().fold(0, |end, byte| end << 8 | u64::from(byte)),
    }
}

/// The cache slot for strings with this end.
fn cache_index(end: u64) -> usize {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    usize::try_from(end.wrapping_mul(MIX) >> (u64::BITS - RECENT.ilog2())).unwrap_or_default()
}

impl Interner {
    pub(super) fn intern(&mut self, text: &str) -> Symbol {
        if text.is_empty() {
            return Symbol::EMPTY;
        }
        let end = end_of(text);
        let index = cache_index(end);
        let (recent_end, recent) = self.recent[index];
        // The string may have been freed and its number reused: comparing the text decides.
        if recent_end == end && **self.name(recent) == *text {
            return recent;
        }
        let found = self.look_up(text);
        self.recent[index] = (end, found);
        found
    }

    fn look_up(&mut self, text: &str) -> Symbol {
        let hash = self.hasher.hash_one(text);
        let strings = &self.strings;
        if let Some(at) = self.by_text.find(hash, |at| strings.get(*at).is_some_and(|held| **held == *text)) {
            return Symbol(*at);
        }
        let at = self.strings.insert(Arc::from(text));
        let (strings, hasher) = (&self.strings, &self.hasher);
        self.by_text.insert_unique(hash, at, |at| hasher.hash_one(strings.get(*at).map_or("", |held| held)));
        Symbol(at)
    }

    /// The symbol of a known string.
    pub(super) fn find(&self, text: &str) -> Option<Symbol> {
        if text.is_empty() {
            return Some(Symbol::EMPTY);
        }
        let is_it = |at: &u32| self.strings.get(*at).is_some_and(|held| **held == *text);
        self.by_text.find(self.hasher.hash_one(text), is_it).copied().map(Symbol)
    }

    /// A hash of a string that is not kept.
    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    pub(super) fn hash(&self, text: &str) -> u32 {
        self.hasher.hash_one(text) as u32
    }

    pub(super) fn name(&self, symbol: Symbol) -> &Name {
        self.strings.get(symbol.0).unwrap_or(&self.empty)
    }

    /// Whether enough strings came since the last sweep.
    pub(super) fn wants_sweep(&self) -> bool {
        self.by_text.len() >= self.sweep_at
    }

    /// Frees every string that `mark` does not mark.
    pub(super) fn sweep(&mut self, mark: impl FnOnce(&mut dyn FnMut(Symbol))) {
        let mut used = vec![false; self.strings.end()];
        mark(&mut |symbol| {
            if let Some(used) = used.get_mut(symbol.0 as usize) {
                *used = true;
            }
        });
        if let Some(empty) = used.first_mut() {
            *empty = true;
        }
        let is_used = |at: u32| used.get(at as usize).copied().unwrap_or(false);
        self.by_text.retain(|at| is_used(*at));
        let unused: Vec<u32> = self.strings.iter().map(|(at, _)| at).filter(|at| !is_used(*at)).collect();
        for at in unused {
            self.strings.remove(at);
        }
        let (strings, hasher) = (&self.strings, &self.hasher);
        let hash = |at: &u32| hasher.hash_one(strings.get(*at).map_or("", |held| held));
        self.by_text.shrink_to(2 * self.by_text.len(), hash);
        self.sweep_at = (self.by_text.len() + self.by_text.len() / 4).max(MIN_SWEEP);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Interner, Symbol};

    #[test]
    fn one_symbol_a_string_and_freed_ones_are_used_again() {
        let mut interner = Interner::default();
        let a = interner.intern("a");
        let b = interner.intern("b");
        assert_eq!(interner.intern("a"), a);
        assert_ne!(a, b);
        assert_eq!(interner.intern(""), Symbol::EMPTY);
        interner.sweep(|mark| mark(b));
        assert_eq!(interner.len(), 1, "b");
        assert_eq!(interner.intern("c"), a, "the slot of a");
        assert_ne!(interner.intern("a"), a, "though it was there lately");
        assert_eq!(&**interner.name(b), "b");
        assert_eq!(interner.intern("b"), b);
    }
}
