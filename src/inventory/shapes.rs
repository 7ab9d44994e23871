//! What containers of many pods have in common: name, image and digest. Replicas differ in their ids and starts only, so
//! each combination is held once and a container's record is twelve bytes.

use super::intern::Symbol;
use super::records::IdentityRecord;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// A combination.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Shape {
    pub(super) name: Symbol,
    pub(super) image: Symbol,
    pub(super) digest: Symbol,
    pub(super) repository: Symbol,
    pub(super) identity: IdentityRecord,
    pub(super) cri_o: bool,
}

/// The number of a combination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ShapeId(u32);

/// All combinations in use.
#[derive(Default, Debug)]
pub(super) struct Shapes {
    slots: Vec<Shape>,
    free: Vec<u32>,
    by_shape: HashTable<u32>,
    hasher: hashbrown::DefaultHashBuilder,
}

impl Shapes {
    pub(super) fn intern(&mut self, shape: Shape) -> ShapeId {
        let Self { slots, free, by_shape, hasher } = self;
        let hash = hasher.hash_one(shape);
        if let Some(at) = by_shape.find(hash, |at| slots.get(*at as usize) == Some(&shape)) {
            return ShapeId(*at);
        }
        let at = if let Some(at) = free.pop() {
            slots[at as usize] = shape;
            at
        } else {
            slots.push(shape);
            u32::try_from(slots.len() - 1).unwrap_or(u32::MAX)
        };
        by_shape.insert_unique(hash, at, |at| slots.get(*at as usize).map_or(0, |shape| hasher.hash_one(shape)));
        ShapeId(at)
    }

    pub(super) fn get(&self, id: ShapeId) -> Option<&Shape> {
        self.slots.get(id.0 as usize)
    }

    /// Frees every combination that `used` does not name, and names the symbols of those that stay.
    pub(super) fn sweep(&mut self, used: impl Iterator<Item = ShapeId>, mark: &mut dyn FnMut(Symbol)) {
        let mut keep = vec![false; self.slots.len()];
        for id in used {
            if let Some(keep) = keep.get_mut(id.0 as usize) {
                *keep = true;
            }
        }
        let Self { slots, free, by_shape, .. } = self;
        by_shape.retain(|at| {
            let kept = keep.get(*at as usize).copied().unwrap_or(false);
            if !kept {
                free.push(*at);
            }
            kept
        });
        for shape in slots.iter().zip(keep).filter_map(|(shape, keep)| keep.then_some(shape)) {
            [shape.name, shape.image, shape.digest, shape.repository].into_iter().for_each(&mut *mark);
        }
    }
}
