//! A hash of the fields of an event that podskew reads. Two events of one object with the same hash have the same effect.
//!
//! A rollout updates the status of its ReplicaSets and of its Deployment dozens of times, and each event includes the whole template.
//! podskew does not read the status of a ReplicaSet, and reads only a few status fields of a Deployment. Hashing an event costs a tenth
//! of decoding it.

use super::responses::{Unknown, event_parts};
use super::{FieldSet, ProtobufError, Value};
use crate::objects::Resource;
use crate::objects::template::HASH;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

/// Hashes of an event, to detect that it repeats the previous event of its object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventFingerprint<'a> {
    /// Hash of `metadata.uid`.
    pub object: u64,
    /// Hash of all fields that podskew reads, including the uid and excluding the version.
    pub content: u64,
    /// `metadata.resourceVersion`.
    pub resource_version: &'a str,
    /// Whether the event is a deletion.
    pub deleted: bool,
}

/// `resourceVersion` and `managedFields`.
const UNREAD_OF_METADATA: [u32; 2] = [6, 17];

impl<'a> EventFingerprint<'a> {
    /// Computes the fingerprint of an event in protobuf. `None` for bookmarks and errors, for resources whose events
    /// rarely repeat each other, and for events that cannot be read.
    #[must_use]
    pub fn of(resource: Resource, event: &'a [u8]) -> Option<Self> {
        // The same fields as in `raw` and `controllers`.
        let status = match resource {
            Resource::ReplicaSets => FieldSet::NONE,
            Resource::Deployments => FieldSet::of(&[1, 3, 4, 6]),
            _ => return None,
        };
        Self::read(resource, status, event).ok().flatten()
    }

    fn read(resource: Resource, status: FieldSet, event: &'a [u8]) -> Result<Option<Self>, ProtobufError> {
        if !super::is_event(event) {
            return Ok(None);
        }
        let (kind, object) = event_parts(event)?;
        let deleted = match kind {
            b"ADDED" | b"MODIFIED" => false,
            b"DELETED" => true,
            _ => return Ok(None),
        };
        let (mut hasher, mut uid, mut version): (_, &[u8], &[u8]) = (HASH.build_hasher(), b"", b"");
        (resource, deleted).hash(&mut hasher);
        let mut fields = Unknown::read(object)?.of_kind(resource.kind())?.fields()?;
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => {
                    let mut metadata = value.fields()?;
                    while let Some((field, value)) = metadata.next()? {
                        match (field, value) {
                            (5, Value::Bytes(bytes)) => uid = bytes,
                            (6, Value::Bytes(bytes)) => version = bytes,
                            _ => {}
                        }
                        if !UNREAD_OF_METADATA.contains(&field) {
                            (field, value).hash(&mut hasher);
                        }
                    }
                }
                3 => {
                    let mut read = value.fields()?;
                    while let Some((field, value)) = read.next_of(status)? {
                        (field, value).hash(&mut hasher);
                    }
                }
                _ => (field, value).hash(&mut hasher),
            }
        }
        let version = std::str::from_utf8(version).ok().filter(|version| !version.is_empty() && !uid.is_empty());
        Ok(version.map(|resource_version| Self {
            object: HASH.hash_one(uid),
            content: hasher.finish(),
            resource_version,
            deleted,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::EventFingerprint;
    use crate::objects::{Object, Resource, WatchEvent, decode_event};
    use simulator::{BulkConfig, Detail, Store, bulk};
    use std::collections::HashMap;

    fn decoded(resource: Resource, event: &[u8]) -> Object<'_> {
        let Ok(WatchEvent::Applied(object)) = decode_event(resource, event) else { panic!("no object") };
        object
    }

    /// In a restart as the controllers write it, two objects are equal if and only if their fingerprints are.
    #[test]
    fn equal_fingerprints_mean_equal_objects() {
        let store = Store::new(10);
        let config = BulkConfig { pods: 25, rolling_every: 0, skewed_every: 0, ..BulkConfig::default() };
        let mut fleet = bulk(&store, &config);
        fleet.update_next(Detail::Every);
        let served = [
            (Resource::ReplicaSets, simulator::Resource::ReplicaSets),
            (Resource::Deployments, simulator::Resource::Deployments),
        ];
        let mut last: HashMap<u64, (u64, Vec<u8>)> = HashMap::new();
        let (mut repeated, mut news) = ([0; 2], [0; 2]);
        while fleet.step().is_some() {
            for (index, (resource, of_store)) in served.into_iter().enumerate() {
                store.each_frame(of_store, &mut |frame| {
                    // A frame begins with its length.
                    let event = &frame[4..];
                    let fingerprint = EventFingerprint::of(resource, event).unwrap();
                    let mut object = decoded(resource, event);
                    assert_eq!(object.meta.resource_version, fingerprint.resource_version);
                    assert!(!fingerprint.deleted);
                    let known = last.insert(fingerprint.object, (fingerprint.content, event.to_vec()));
                    let Some((read, before)) = known.filter(|(_, before)| before != event) else { return };
                    let mut before = decoded(resource, &before);
                    for object in [&mut object, &mut before] {
                        object.meta.resource_version = "".into();
                    }
                    assert_eq!(read == fingerprint.content, object == before);
                    *(if read == fingerprint.content { &mut repeated[index] } else { &mut news[index] }) += 1;
                });
            }
        }
        let [of_sets, of_deployments] = repeated;
        // Of 96 and 63 changes.
        assert!(of_sets >= 60 && of_deployments >= 25, "{repeated:?}, and {news:?} that say something new");
    }

    #[test]
    fn deletions_have_their_own_fingerprint_and_other_events_have_none() {
        let store = Store::new(10);
        bulk(&store, &BulkConfig { pods: 1, rolling_every: 0, ..BulkConfig::default() });
        let mut events = Vec::new();
        store.each_frame(simulator::Resource::ReplicaSets, &mut |frame| events.push(frame[4..].to_vec()));
        let added = events.pop().unwrap();
        let fingerprint = EventFingerprint::of(Resource::ReplicaSets, &added).unwrap();
        let renamed = |kind: &[u8]| {
            let length = u8::try_from(kind.len()).unwrap();
            [&[0x0A, length], kind, &added[7..]].concat()
        };
        let deleted = renamed(b"DELETED");
        let deleted = EventFingerprint::of(Resource::ReplicaSets, &deleted).unwrap();
        assert_eq!((deleted.deleted, deleted.object), (true, fingerprint.object));
        let modified = renamed(b"MODIFIED");
        assert_eq!(
            EventFingerprint::of(Resource::ReplicaSets, &modified),
            Some(fingerprint),
            "the content is the same under any event type"
        );
        assert_eq!(EventFingerprint::of(Resource::ReplicaSets, &renamed(b"BOOKMARK")), None);
        assert_eq!(EventFingerprint::of(Resource::Deployments, &added), None, "of another kind");
        assert_eq!(EventFingerprint::of(Resource::Pods, &added), None);
        assert_eq!(EventFingerprint::of(Resource::ReplicaSets, &added[..added.len() / 2]), None);
        assert_eq!(EventFingerprint::of(Resource::ReplicaSets, b"{\"type\":\"ADDED\"}"), None);
    }
}
