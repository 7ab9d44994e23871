//! Reduces the content of files to one cluster at one moment.
//!
//! The newest of several copies of an object counts, and a watch may have seen its deletion. Kind, namespace, name and
//! uid together identify an object. If a uid is missing, or was replaced by a value that other objects share, the name
//! alone identifies it, for the objects that it owns, too. Two different objects of one name are of two clusters or two
//! moments, and then a report on both together would be wrong.
//!
//! Only a few words per object are kept here: the object itself is in the inventory.

use crate::objects::{Body, Object, Resource, Uid, text_member};
use crate::snapshot::formats::ObjectOrigin;
use anyhow::bail;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};
use std::borrow::Cow;

/// Everything read about every object.
#[derive(Default)]
pub(super) struct Reduction {
    /// By name: the state of its first uid.
    first: HashMap<Uid, LatestObject>,
    /// By name: the states of all further uids.
    further: HashMap<Uid, Vec<LatestObject>>,
    /// Owners that other objects name, by name and uid.
    owners: HashMap<Uid, OwnerName>,
    /// Uids that are not UUIDs, as text.
    texts: HashMap<Uid, Box<str>>,
    /// Objects with several uids, as text: `pod shop/web-0`.
    names: HashMap<Uid, String>,
    /// Number of objects read.
    pieces: u32,
}

/// The newest state of an object.
#[derive(Clone, Copy, Debug)]
struct LatestObject {
    uid: Uid,
    /// `resourceVersion`; 0 if unknown.
    version: u64,
    /// Its position among all objects read.
    piece: u32,
    /// Number of its file.
    file: u32,
    resource: Resource,
    state: ObjectState,
    is_event: bool,
    traits: Traits,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ObjectState {
    /// It exists.
    Live,
    /// It exists, and is terminating or finished.
    Ending,
    /// A watch saw its deletion.
    Gone,
}

/// Facts about an object that the inventory does not keep.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Traits {
    /// It wants pods.
    pub(super) wants_pods: bool,
    /// It is a ControllerRevision without a write time.
    pub(super) unwritten: bool,
    /// It is in a namespace that was not selected.
    pub(super) left_out: bool,
}

/// An owner, as other objects name it.
#[derive(Clone, Copy, Debug)]
struct OwnerName {
    name: Uid,
    uid: Uid,
}

/// What to do with an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MergeStep {
    /// Add it.
    Put,
    /// Replace an older copy.
    Replace,
    /// Remove it.
    Remove,
    /// Ignore it: a newer state is known.
    Nothing,
}

/// Corrections after everything was read.
#[derive(Default, Debug)]
pub(super) struct Corrections {
    /// Objects that are another copy of one that counts.
    pub(super) remove: Vec<(Resource, Uid)>,
    /// Owners as they are named, with the objects of the same name.
    pub(super) adopt: Vec<(Uid, Uid)>,
}

/// Summary of all existing objects.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Summary {
    pub(super) pods: u64,
    pub(super) wants_pods: bool,
    pub(super) unwritten: bool,
}

/// The value of a missing uid.
const MISSING: Uid = Uid::NONE;

impl LatestObject {
    /// Whether it is newer than `other`. Events of one file are in order.
    fn follows(&self, other: &Self) -> bool {
        let in_order = self.is_event && other.is_event && self.file == other.file;
        if in_order || self.version == 0 || other.version == 0 || self.version == other.version {
            self.piece > other.piece
        } else {
            self.version > other.version
        }
    }
}

impl Reduction {
    /// Sets the identity of an object and its owner in the inventory: equal if kind, namespace, name and uid are.
    /// Returns the identity of its name, and its own uid.
    pub(super) fn identify(&mut self, resource: Resource, object: &mut Object<'_>, json: &[u8]) -> (Uid, Uid) {
        let meta = &mut object.meta;
        let name = Uid::of_name(resource, &meta.namespace, &meta.name);
        let uid = if meta.uid == name { MISSING } else { meta.uid };
        if uid != MISSING && !uid.is_uuid() {
            let text = || text_member(json, &["metadata", "uid"]).unwrap_or("unreadable").into();
            self.texts.entry(uid).or_insert_with(text);
        }
        meta.uid = name.with(uid);
        if let Some(owner) = &mut meta.controller {
            let group = if owner.group == "extensions" { "apps" } else { &owner.group };
            let owner_name = match Resource::of_group(group, &owner.kind) {
                Some(resource) => Uid::of_name(resource, &meta.namespace, &owner.name),
                None => Uid::parse(&format!("{}.{group}/{}/{}", owner.kind, meta.namespace, owner.name)),
            };
            if owner.group == "extensions" {
                owner.group = Cow::Borrowed("apps");
            }
            let uid = if owner.uid == Uid::parse("") { MISSING } else { owner.uid };
            owner.uid = owner_name.with(uid);
            self.owners.entry(owner.uid).or_insert(OwnerName { name: owner_name, uid });
        }
        (name, uid)
    }

    /// Records an object; returns what to do with it.
    pub(super) fn take(
        &mut self,
        (name, uid): (Uid, Uid),
        (resource, object): (Resource, &Object<'_>),
        (change, file): (ObjectOrigin, u32),
        traits: Traits,
    ) -> MergeStep {
        self.pieces += 1;
        let is_done = matches!(&object.body, Body::Pod(pod) if pod.finished);
        let new = LatestObject {
            uid,
            version: object.meta.resource_version.parse().unwrap_or(0),
            piece: self.pieces,
            file,
            resource,
            state: match change {
                ObjectOrigin::Deleted => ObjectState::Gone,
                ObjectOrigin::Listed | ObjectOrigin::Applied if object.meta.terminating || is_done => {
                    ObjectState::Ending
                }
                ObjectOrigin::Listed | ObjectOrigin::Applied => ObjectState::Live,
            },
            is_event: change != ObjectOrigin::Listed,
            traits,
        };
        let first_word = if new.state == ObjectState::Gone { MergeStep::Nothing } else { MergeStep::Put };
        let known = match self.first.entry(name) {
            Entry::Vacant(vacant) => {
                vacant.insert(new);
                return first_word;
            }
            Entry::Occupied(first) if first.get().uid == uid => first.into_mut(),
            Entry::Occupied(_) => {
                let further = self.further.entry(name).or_default();
                let Some(at) = further.iter().position(|known| known.uid == uid) else {
                    further.push(new);
                    let of = || format!("{} {}/{}", resource.kind(), object.meta.namespace, object.meta.name);
                    self.names.entry(name).or_insert_with(of);
                    return first_word;
                };
                &mut further[at]
            }
        };
        if !new.follows(known) {
            return MergeStep::Nothing;
        }
        match (std::mem::replace(known, new).state, new.state) {
            (ObjectState::Gone, ObjectState::Gone) => MergeStep::Nothing,
            (_, ObjectState::Gone) => MergeStep::Remove,
            (ObjectState::Gone, _) => MergeStep::Put,
            _ => MergeStep::Replace,
        }
    }

    /// Summarizes the final state.
    pub(super) fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        let all = self.first.values().chain(self.further.values().flatten());
        for known in all.filter(|known| known.state != ObjectState::Gone && !known.traits.left_out) {
            summary.pods += u64::from(known.resource == Resource::Pods);
            summary.wants_pods |= known.traits.wants_pods;
            summary.unwritten |= known.traits.unwritten;
        }
        summary
    }

    /// Returns the corrections.
    ///
    /// # Errors
    ///
    /// The objects are not of one cluster at one moment.
    pub(super) fn finish(&self) -> anyhow::Result<Corrections> {
        let mut corrections = Corrections::default();
        let mut unresolved: Vec<(&Uid, &OwnerName)> =
            self.owners.iter().filter(|(_, owner)| self.is_unresolved(owner)).collect();
        if self.further.is_empty() && unresolved.is_empty() {
            return Ok(corrections);
        }
        // Sorted, so that the same files give the same message.
        unresolved.sort_unstable_by_key(|(id, _)| **id);
        let mut several: Vec<(&Uid, &Vec<LatestObject>)> = self.further.iter().collect();
        several.sort_unstable_by_key(|(_, further)| further.first().map(|known| known.piece));
        let redacted = self.redacted();
        let mut last_words = HashMap::new();
        for (name, further) in several {
            let mut all: Vec<&LatestObject> = self.first.get(name).into_iter().chain(further).collect();
            all.sort_unstable_by_key(|known| known.piece);
            let mut live =
                all.iter().filter(|known| known.state == ObjectState::Live && !redacted.contains(&known.uid));
            if let (Some(one), Some(other)) = (live.next(), live.next()) {
                bail!(
                    "{} is in it with uid {} and with uid {}: that is two clusters, or one at two moments, and no verdict on both \
                     together would be true; name the files of one of them",
                    self.names.get(name).map_or("an object", String::as_str),
                    self.uid(one.uid),
                    self.uid(other.uid)
                );
            }
            if !all.iter().any(|known| redacted.contains(&known.uid)) {
                continue;
            }
            // By name they are copies of one object.
            let Some(last) = all.iter().copied().reduce(|last, known| if known.follows(last) { known } else { last })
            else {
                continue;
            };
            last_words.insert(*name, last.uid);
            let others = all.iter().filter(|known| known.uid != last.uid && known.state != ObjectState::Gone);
            corrections.remove.extend(others.map(|known| (known.resource, name.with(known.uid))));
        }
        for (id, owner) in unresolved {
            let Some(first) = self.first.get(&owner.name) else { continue };
            let uid = last_words.get(&owner.name).copied().unwrap_or(first.uid);
            // All uids of Kubernetes are UUIDs. If one uid is a UUID and the other is not, the other was replaced.
            let replaced = owner.uid.is_uuid() != uid.is_uuid();
            if uid != owner.uid && (replaced || redacted.contains(&owner.uid) || redacted.contains(&uid)) {
                corrections.adopt.push((*id, owner.name.with(uid)));
            }
        }
        Ok(corrections)
    }

    /// Whether an object with an owner's name exists that is not known to be the owner.
    fn is_unresolved(&self, owner: &OwnerName) -> bool {
        let first = self.first.get(&owner.name);
        first.is_some_and(|first| first.uid != owner.uid || self.further.contains_key(&owner.name))
    }

    /// Uids that identify nothing: the missing one, and those that several names share.
    fn redacted(&self) -> HashSet<Uid> {
        let mut names = HashMap::with_capacity(self.first.len());
        let mut redacted = HashSet::from([MISSING]);
        let all = self.first.iter().map(|(name, known)| (known.uid, *name));
        let all = all.chain(self.further.iter().flat_map(|(name, all)| all.iter().map(|known| (known.uid, *name))));
        let all = all.chain(self.owners.values().map(|owner| (owner.uid, owner.name)));
        for (uid, name) in all {
            if *names.entry(uid).or_insert(name) != name {
                redacted.insert(uid);
            }
        }
        redacted
    }

    /// A uid as text.
    fn uid(&self, uid: Uid) -> String {
        self.texts.get(&uid).map_or_else(|| uid.to_string(), ToString::to_string)
    }
}
