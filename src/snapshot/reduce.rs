//! Reduces what files say to one cluster at one moment.
//!
//! Of several copies of an object the newest counts, and a watch may have seen it go. What an object is, is its kind, namespace,
//! name and uid together. Where a uid is missing or was replaced by something that others have too, the name tells alone, for
//! those that it owns as well. Two objects of one name that are two all the same come of two clusters or of two moments, and
//! nothing that could be said of both together would be true.
//!
//! Kept are a few words of each object, never the object: it is in the inventory already.

use crate::objects::{Body, Object, Resource, Uid, text_member};
use crate::snapshot::formats::ObjectOrigin;
use anyhow::bail;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};
use std::borrow::Cow;

/// Everything that was said of every object.
#[derive(Default)]
pub(super) struct Reduction {
    /// By name: what was said of it, by its first uid.
    first: HashMap<Uid, LatestObject>,
    /// By name: the same for every further uid.
    further: HashMap<Uid, Vec<LatestObject>>,
    /// What others name as their owner, by name and uid together.
    owners: HashMap<Uid, OwnerName>,
    /// The uids that are no UUIDs, as they were written.
    texts: HashMap<Uid, Box<str>>,
    /// What goes by several uids, as it is written: `pod shop/web-0`.
    names: HashMap<Uid, String>,
    /// How many pieces came.
    pieces: u32,
}

/// The last word on an object.
#[derive(Clone, Copy, Debug)]
struct LatestObject {
    uid: Uid,
    /// 0 where it is not known.
    version: u64,
    /// When it came, of all that came.
    piece: u32,
    /// In which file.
    file: u32,
    resource: Resource,
    state: ObjectState,
    is_event: bool,
    traits: Traits,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ObjectState {
    /// It is there.
    Live,
    /// It is there, and on its way out or done.
    Ending,
    /// A watch saw it go.
    Gone,
}

/// What a look has to know of an object, beside what the inventory knows.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Traits {
    /// It asks for pods.
    pub(super) wants_pods: bool,
    /// It is a ControllerRevision, and nothing says when it was written.
    pub(super) unwritten: bool,
    /// It does not count: it is of a namespace that nobody asked for.
    pub(super) left_out: bool,
}

/// An owner as others name it.
#[derive(Clone, Copy, Debug)]
struct OwnerName {
    name: Uid,
    uid: Uid,
}

/// What is to be done with a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MergeStep {
    /// It is the first word on its object.
    Put,
    /// It is the last word on an object that is there.
    Replace,
    /// The object is gone.
    Remove,
    /// Something newer is known.
    Nothing,
}

/// What has to be put right once everything was read.
#[derive(Default, Debug)]
pub(super) struct Corrections {
    /// Objects that were another copy of one that counts.
    pub(super) remove: Vec<(Resource, Uid)>,
    /// Owners as they are named, and the objects that they are.
    pub(super) adopt: Vec<(Uid, Uid)>,
}

/// What a look has to know of everything that is there.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Summary {
    pub(super) pods: u64,
    pub(super) wants_pods: bool,
    pub(super) unwritten: bool,
}

/// What stands for a uid that is not there.
const MISSING: Uid = Uid::NONE;

impl LatestObject {
    /// Whether it is the later word on its object. Within the events of one file their order tells.
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
    /// Gives an object and its owner what they go by in the inventory: the same where kind, namespace, name and uid are the same.
    /// Returns its name and its own uid.
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

    /// Takes a piece, and says what it changes.
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

    /// What is there in the end.
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

    /// What has to be put right, or why it is not one cluster at one moment.
    pub(super) fn finish(&self) -> anyhow::Result<Corrections> {
        let mut corrections = Corrections::default();
        let mut unresolved: Vec<(&Uid, &OwnerName)> =
            self.owners.iter().filter(|(_, owner)| self.is_unresolved(owner)).collect();
        if self.further.is_empty() && unresolved.is_empty() {
            return Ok(corrections);
        }
        // The same files say the same, whatever the order of the tables.
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
            // By their name they are copies of one.
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
            // Kubernetes' own are all UUIDs: of one that is and one that is not, one was replaced.
            let replaced = owner.uid.is_uuid() != uid.is_uuid();
            if uid != owner.uid && (replaced || redacted.contains(&owner.uid) || redacted.contains(&uid)) {
                corrections.adopt.push((*id, owner.name.with(uid)));
            }
        }
        Ok(corrections)
    }

    /// Whether something of an owner's name is there, and it is not known to be the owner.
    fn is_unresolved(&self, owner: &OwnerName) -> bool {
        let first = self.first.get(&owner.name);
        first.is_some_and(|first| first.uid != owner.uid || self.further.contains_key(&owner.name))
    }

    /// The uids that identify nothing: the missing one, and those that stand on several names.
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

    /// A uid as it was written.
    fn uid(&self, uid: Uid) -> String {
        self.texts.get(&uid).map_or_else(|| uid.to_string(), ToString::to_string)
    }
}
