//! What containers of many pods have in common: name, image and digest. Replicas differ in their ids and starts only, so
//! each combination is held once and a container's record is twelve bytes.

use super::intern::Symbol;
use super::slab::Slab;
use crate::report::digest::DigestKind;
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

/// What `imageID` says of a container; the digest itself stands beside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum IdentityRecord {
    NotStarted,
    NotReported,
    Unreadable,
    Known(DigestKind),
}

/// The number of a combination.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ShapeId(u32);

impl ShapeId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A container as its pod describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Described<'a> {
    pub(super) name: &'a str,
    pub(super) image: &'a str,
    pub(super) image_id: &'a str,
    /// It runs, and its node names no image.
    pub(super) runs_unnamed: bool,
    pub(super) cri_o: bool,
}

/// What a container was, and its combination.
#[derive(Default, Debug)]
struct Recent {
    name: String,
    image: String,
    image_id: String,
    runs_unnamed: bool,
    cri_o: bool,
    shape: Option<ShapeId>,
}

/// So many containers of a pod are remembered; few pods have more.
const MOST_RECENT: usize = 8;

/// All combinations in use.
#[derive(Default, Debug)]
pub(super) struct Shapes {
    /// The containers of the pod before, in their order. Replicas come one after the other, mostly, and one look saves
    /// reading an image's id and looking up four strings.
    recent: Vec<Recent>,
    slots: Slab<Shape>,
    by_shape: HashTable<u32>,
    hasher: hashbrown::DefaultHashBuilder,
}

impl Recent {
    fn described(&self) -> Described<'_> {
        Described {
            name: &self.name,
            image: &self.image,
            image_id: &self.image_id,
            runs_unnamed: self.runs_unnamed,
            cri_o: self.cri_o,
        }
    }
}

impl Shapes {
    pub(super) fn intern(&mut self, shape: Shape) -> ShapeId {
        let Self { slots, by_shape, hasher, .. } = self;
        let hash = hasher.hash_one(shape);
        if let Some(at) = by_shape.find(hash, |at| slots.get(*at) == Some(&shape)) {
            return ShapeId(*at);
        }
        let at = slots.insert(shape);
        by_shape.insert_unique(hash, at, |at| slots.get(*at).map_or(0, |shape| hasher.hash_one(shape)));
        ShapeId(at)
    }

    /// The combination of a pod's container of this place, if the pod before had the same there.
    pub(super) fn recent(&self, place: usize, described: Described<'_>) -> Option<ShapeId> {
        self.recent.get(place).filter(|recent| recent.described() == described).and_then(|recent| recent.shape)
    }

    pub(super) fn remember(&mut self, place: usize, described: Described<'_>, shape: ShapeId) {
        if place >= MOST_RECENT {
            return;
        }
        if self.recent.len() <= place {
            self.recent.resize_with(place + 1, Recent::default);
        }
        let recent = &mut self.recent[place];
        described.name.clone_into(&mut recent.name);
        described.image.clone_into(&mut recent.image);
        described.image_id.clone_into(&mut recent.image_id);
        recent.runs_unnamed = described.runs_unnamed;
        recent.cri_o = described.cri_o;
        recent.shape = Some(shape);
    }

    pub(super) fn get(&self, id: ShapeId) -> Option<&Shape> {
        self.slots.get(id.0)
    }

    /// Frees every combination that `used` does not name, and names the symbols of those that stay.
    pub(super) fn sweep(&mut self, used: impl Iterator<Item = ShapeId>, mark: &mut dyn FnMut(Symbol)) {
        self.recent.clear();
        let mut keep = vec![false; self.slots.end()];
        for id in used {
            if let Some(keep) = keep.get_mut(id.0 as usize) {
                *keep = true;
            }
        }
        let Self { slots, by_shape, hasher, .. } = self;
        by_shape.retain(|at| {
            let kept = keep.get(*at as usize).copied().unwrap_or(false);
            if !kept {
                slots.remove(*at);
            }
            kept
        });
        by_shape.shrink_to(2 * by_shape.len(), |at| slots.get(*at).map_or(0, |shape| hasher.hash_one(shape)));
        for (_, shape) in slots.iter() {
            [shape.name, shape.image, shape.digest, shape.repository].into_iter().for_each(&mut *mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Described, IdentityRecord, MOST_RECENT, Shape, Shapes, Symbol};

    const SHAPE: Shape = Shape {
        name: Symbol::EMPTY,
        image: Symbol::EMPTY,
        digest: Symbol::EMPTY,
        repository: Symbol::EMPTY,
        identity: IdentityRecord::Unreadable,
        cri_o: false,
    };
    const DESCRIBED: Described<'_> =
        Described { name: "app", image: "a:1", image_id: "x", runs_unnamed: false, cri_o: false };

    #[test]
    fn a_container_is_recognised_by_all_that_is_said_of_it() {
        let mut shapes = Shapes::default();
        let shape = shapes.intern(SHAPE);
        assert_eq!(shapes.recent(1, DESCRIBED), None);
        shapes.remember(1, DESCRIBED, shape);
        assert_eq!(shapes.recent(1, DESCRIBED), Some(shape));
        assert_eq!(shapes.recent(0, DESCRIBED), None, "another place");
        for other in [
            Described { name: "apq", ..DESCRIBED },
            Described { image: "a:2", ..DESCRIBED },
            Described { image_id: "y", ..DESCRIBED },
            Described { runs_unnamed: true, ..DESCRIBED },
            Described { cri_o: true, ..DESCRIBED },
        ] {
            assert_eq!(shapes.recent(1, other), None, "{other:?}");
        }
        shapes.remember(MOST_RECENT, DESCRIBED, shape);
        assert_eq!(shapes.recent(MOST_RECENT, DESCRIBED), None);
    }

    #[test]
    fn what_is_freed_is_not_recognised() {
        let mut shapes = Shapes::default();
        let shape = shapes.intern(SHAPE);
        shapes.remember(0, DESCRIBED, shape);
        shapes.sweep(std::iter::empty(), &mut |_| {});
        assert_eq!(shapes.recent(0, DESCRIBED), None);
    }
}
