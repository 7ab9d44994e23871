//! Name, image and digest that containers of many pods share. Replicas differ only in their ids and starts, so each
//! identity is stored once and a container's record has twelve bytes.

use super::intern::Symbol;
use super::slab::Slab;
use crate::report::digest::DigestKind;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The part of a container's record that replicas share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct ContainerIdentity {
    pub(super) name: Symbol,
    pub(super) image: Symbol,
    pub(super) digest: Symbol,
    pub(super) repository: Symbol,
    pub(super) image_id: ImageIdRecord,
    pub(super) cri_o: bool,
}

/// The kind of a container's `imageID`; the digest is stored beside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum ImageIdRecord {
    NotStarted,
    NotReported,
    Unreadable,
    Known(DigestKind),
}

/// Position of an identity in [`IdentityTable`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct IdentityId(u32);

impl IdentityId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A container as its pod describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct DescribedContainer<'a> {
    pub(super) name: &'a str,
    pub(super) image: &'a str,
    pub(super) image_id: &'a str,
    /// It runs, but its node reports no imageID.
    pub(super) runs_unnamed: bool,
    pub(super) cri_o: bool,
}

/// A container and its identity.
#[derive(Default, Debug)]
struct RecentContainer {
    name: String,
    image: String,
    image_id: String,
    runs_unnamed: bool,
    cri_o: bool,
    identity: Option<IdentityId>,
}

/// Number of containers of a pod to remember; few pods have more.
const MOST_RECENT: usize = 8;

/// All identities in use.
#[derive(Default, Debug)]
pub(super) struct IdentityTable {
    /// The containers of the previous pod, in order. Replicas often come one after another, and a match saves parsing
    /// an image id and four string lookups.
    recent: Vec<RecentContainer>,
    slots: Slab<ContainerIdentity>,
    by_identity: HashTable<u32>,
    hasher: hashbrown::DefaultHashBuilder,
}

impl RecentContainer {
    fn described(&self) -> DescribedContainer<'_> {
        DescribedContainer {
            name: &self.name,
            image: &self.image,
            image_id: &self.image_id,
            runs_unnamed: self.runs_unnamed,
            cri_o: self.cri_o,
        }
    }
}

impl IdentityTable {
    pub(super) fn intern(&mut self, identity: ContainerIdentity) -> IdentityId {
        let Self { slots, by_identity, hasher, .. } = self;
        let hash = hasher.hash_one(identity);
        if let Some(at) = by_identity.find(hash, |at| slots.get(*at) == Some(&identity)) {
            return IdentityId(*at);
        }
        let at = slots.insert(identity);
        by_identity.insert_unique(hash, at, |at| slots.get(*at).map_or(0, |identity| hasher.hash_one(identity)));
        IdentityId(at)
    }

    /// Returns the identity of the container at this position, if the previous pod had the same there.
    pub(super) fn recent(&self, position: usize, described: DescribedContainer<'_>) -> Option<IdentityId> {
        self.recent.get(position).filter(|recent| recent.described() == described).and_then(|recent| recent.identity)
    }

    pub(super) fn remember(&mut self, position: usize, described: DescribedContainer<'_>, identity: IdentityId) {
        if position >= MOST_RECENT {
            return;
        }
        if self.recent.len() <= position {
            self.recent.resize_with(position + 1, RecentContainer::default);
        }
        let recent = &mut self.recent[position];
        described.name.clone_into(&mut recent.name);
        described.image.clone_into(&mut recent.image);
        described.image_id.clone_into(&mut recent.image_id);
        recent.runs_unnamed = described.runs_unnamed;
        recent.cri_o = described.cri_o;
        recent.identity = Some(identity);
    }

    pub(super) fn get(&self, id: IdentityId) -> Option<&ContainerIdentity> {
        self.slots.get(id.0)
    }

    /// Frees every identity that is not in `used`, and marks the symbols of the others.
    pub(super) fn sweep(&mut self, used: impl Iterator<Item = IdentityId>, mark: &mut dyn FnMut(Symbol)) {
        self.recent.clear();
        let mut keep = vec![false; self.slots.end()];
        for id in used {
            if let Some(keep) = keep.get_mut(id.0 as usize) {
                *keep = true;
            }
        }
        let Self { slots, by_identity, hasher, .. } = self;
        by_identity.retain(|at| {
            let kept = keep.get(*at as usize).copied().unwrap_or(false);
            if !kept {
                slots.remove(*at);
            }
            kept
        });
        by_identity
            .shrink_to(2 * by_identity.len(), |at| slots.get(*at).map_or(0, |identity| hasher.hash_one(identity)));
        for (_, identity) in slots.iter() {
            [identity.name, identity.image, identity.digest, identity.repository].into_iter().for_each(&mut *mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ContainerIdentity, DescribedContainer, IdentityTable, ImageIdRecord, MOST_RECENT, Symbol};

    const IDENTITY: ContainerIdentity = ContainerIdentity {
        name: Symbol::EMPTY,
        image: Symbol::EMPTY,
        digest: Symbol::EMPTY,
        repository: Symbol::EMPTY,
        image_id: ImageIdRecord::Unreadable,
        cri_o: false,
    };
    const DESCRIBED: DescribedContainer<'_> =
        DescribedContainer { name: "app", image: "a:1", image_id: "x", runs_unnamed: false, cri_o: false };

    #[test]
    fn a_container_is_recognised_by_all_of_its_fields() {
        let mut identities = IdentityTable::default();
        let identity = identities.intern(IDENTITY);
        assert_eq!(identities.recent(1, DESCRIBED), None);
        identities.remember(1, DESCRIBED, identity);
        assert_eq!(identities.recent(1, DESCRIBED), Some(identity));
        assert_eq!(identities.recent(0, DESCRIBED), None, "another position");
        for other in [
            DescribedContainer { name: "apq", ..DESCRIBED },
            DescribedContainer { image: "a:2", ..DESCRIBED },
            DescribedContainer { image_id: "y", ..DESCRIBED },
            DescribedContainer { runs_unnamed: true, ..DESCRIBED },
            DescribedContainer { cri_o: true, ..DESCRIBED },
        ] {
            assert_eq!(identities.recent(1, other), None, "{other:?}");
        }
        identities.remember(MOST_RECENT, DESCRIBED, identity);
        assert_eq!(identities.recent(MOST_RECENT, DESCRIBED), None);
    }

    #[test]
    fn freed_identities_are_not_recognised() {
        let mut identities = IdentityTable::default();
        let identity = identities.intern(IDENTITY);
        identities.remember(0, DESCRIBED, identity);
        identities.sweep(std::iter::empty(), &mut |_| {});
        assert_eq!(identities.recent(0, DESCRIBED), None);
    }
}
