//! Fields of an object's `metadata`.

use super::labels::Labels;
use super::lenient::{FromJson, Key, Lenient, Unread, fields};
use super::protobuf::{FromProtobuf, ProtobufError, Value, entry, read, text};
use super::{Body, Meta, Object, OwnerReference, Resource, Uid};
use crate::time::UnixTime;
use serde::de::{IgnoredAny, MapAccess, SeqAccess};
use std::borrow::Cow;

/// `M` is [`ManagedFields`] for a ControllerRevision and [`Unread`] for all others: in a pod `managedFields` are a
/// third of the bytes.
#[derive(Default)]
pub(super) struct RawMeta<'a, M> {
    name: Cow<'a, str>,
    namespace: Cow<'a, str>,
    uid: Cow<'a, str>,
    resource_version: Cow<'a, str>,
    generation: Option<i64>,
    created: Option<UnixTime>,
    deleted: Present,
    labels: Labels<'a>,
    annotations: Annotations,
    owners: Owners<'a>,
    managed_fields: M,
}
fields!('de, M RawMeta<'de, M> {
    "name" = 1 => name,
    "namespace" = 3 => namespace,
    "uid" = 5 => uid,
    "resourceVersion" = 6 => resource_version,
    "generation" = 7 => generation,
    "creationTimestamp" = 8 => created,
    "deletionTimestamp" = 9 => deleted,
    "labels" = 11 => labels,
    "annotations" = 12 => annotations,
    "ownerReferences" = 13 => owners,
    "managedFields" = 17 => managed_fields,
});

impl<'a, M: Written> RawMeta<'a, M> {
    /// Combines it with the rest of the object.
    pub(super) fn object(self, resource: Resource, body: Body<'a>) -> Object<'a> {
        let uid = if self.uid.is_empty() {
            Uid::of_name(resource, &self.namespace, &self.name)
        } else {
            Uid::parse(&self.uid)
        };
        let meta = Meta {
            name: self.name,
            namespace: self.namespace,
            uid,
            resource_version: self.resource_version,
            // Go omits a zero in JSON, and writes it in protobuf.
            generation: self.generation.filter(|generation| *generation != 0),
            created: self.created,
            terminating: self.deleted.0,
            labels: self.labels,
            controller: self.owners.0,
            revision: self.annotations.revision,
            reused: self.annotations.reused,
            scale_down_deadline: self.annotations.scale_down_deadline,
            written_by_controller_manager: self.managed_fields.by_controller_manager(),
        };
        Object { meta, body }
    }
}

/// Whether a time exists, in any format.
#[derive(Default)]
struct Present(bool);

impl<'de> FromJson<'de> for Present {
    fn from_text(_: Cow<'de, str>) -> Option<Self> {
        Some(Self(true))
    }
}

/// Go's zero time, which is `null` in JSON, is an empty message.
impl FromProtobuf<'_> for Present {
    fn merge(&mut self, value: Value<'_>) -> Result<(), ProtobufError> {
        self.0 = !value.bytes()?.is_empty();
        Ok(())
    }
}

/// Argo's `DefaultReplicaSetScaleDownDeadlineAnnotationKey` (`pkg/apis/rollouts/v1alpha1/types.go`).
const SCALE_DOWN_DEADLINE: &[u8] = b"scale-down-deadline";

/// The same with a prefix, as some installations have it.
const LONG_SCALE_DOWN_DEADLINE: &[u8] = b"argo-rollouts.argoproj.io/scale-down-deadline";

/// The annotations that podskew reads; all others are skipped.
#[derive(Default)]
struct Annotations {
    revision: Option<u64>,
    reused: bool,
    scale_down_deadline: Option<UnixTime>,
}

impl Annotations {
    /// Whether podskew reads this annotation.
    fn names(key: &[u8]) -> bool {
        matches!(
            key,
            b"deployment.kubernetes.io/revision"
                | b"rollout.argoproj.io/revision"
                | b"deployment.kubernetes.io/revision-history"
                | b"rollout.argoproj.io/revision-history"
                | SCALE_DOWN_DEADLINE
                | LONG_SCALE_DOWN_DEADLINE
        )
    }

    fn take(&mut self, key: &[u8], value: &str) {
        if key.ends_with(SCALE_DOWN_DEADLINE) {
            // An empty deadline was withdrawn: nothing keeps these pods.
            let over = || value.is_empty().then_some(UnixTime::FIRST);
            self.scale_down_deadline = UnixTime::parse(value).or_else(over);
        } else if key.ends_with(b"-history") {
            self.reused = !value.is_empty();
        } else {
            self.revision = value.parse().ok();
        }
    }
}

impl<'de> FromJson<'de> for Annotations {
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut read = Self::default();
        while let Some(Key(key)) = map.next_key()? {
            if Self::names(key.as_bytes()) {
                let Lenient(value) = map.next_value::<Lenient<Cow<'de, str>>>()?;
                read.take(key.as_bytes(), &value);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Some(read))
    }
}

impl FromProtobuf<'_> for Annotations {
    fn merge(&mut self, value: Value<'_>) -> Result<(), ProtobufError> {
        let (key, value) = entry(value)?;
        if Self::names(key) {
            self.take(key, &text(value));
        }
        Ok(())
    }
}

/// The API group of an `apiVersion`; empty for the core group. Clients up to Kubernetes 1.15 name Deployments,
/// ReplicaSets and DaemonSets by `extensions/v1beta1`, and owner references keep that name.
pub(super) fn group(api_version: &str) -> &str {
    match api_version.split_once('/').map_or("", |(group, _)| group) {
        "extensions" => "apps",
        group => group,
    }
}

/// The owner with `controller: true`.
#[derive(Default)]
struct Owners<'a>(Option<OwnerReference<'a>>);

#[derive(Default)]
struct RawOwner<'a> {
    api_version: Cow<'a, str>,
    kind: Cow<'a, str>,
    name: Cow<'a, str>,
    uid: Cow<'a, str>,
    controller: bool,
}
fields!('de RawOwner<'de> {
    "apiVersion" = 5 => api_version,
    "kind" = 1 => kind,
    "name" = 3 => name,
    "uid" = 4 => uid,
    "controller" = 6 => controller,
});

impl<'a> Owners<'a> {
    fn take(&mut self, owner: RawOwner<'a>) {
        if !owner.controller {
            return;
        }
        let group = match owner.api_version {
            Cow::Borrowed(version) => Cow::Borrowed(group(version)),
            Cow::Owned(version) => Cow::Owned(group(&version).to_owned()),
        };
        self.0 = Some(OwnerReference { kind: owner.kind, group, name: owner.name, uid: Uid::parse(&owner.uid) });
    }
}

impl<'de> FromJson<'de> for Owners<'de> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut owners = Self::default();
        while let Some(Lenient(owner)) = seq.next_element::<Lenient<RawOwner<'de>>>()? {
            owners.take(owner);
        }
        Ok(Some(owners))
    }
}

impl<'a> FromProtobuf<'a> for Owners<'a> {
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError> {
        self.take(read(value)?);
        Ok(())
    }
}

/// When kube-controller-manager last wrote the object.
#[derive(Default)]
pub(super) struct ManagedFields(Option<UnixTime>);

/// What is known about writers of an object.
pub(super) trait Written {
    fn by_controller_manager(&self) -> Option<UnixTime>;
}

impl Written for ManagedFields {
    fn by_controller_manager(&self) -> Option<UnixTime> {
        self.0
    }
}

impl Written for Unread {
    fn by_controller_manager(&self) -> Option<UnixTime> {
        None
    }
}

#[derive(Default)]
struct Manager<'a> {
    manager: Cow<'a, str>,
    time: Option<UnixTime>,
}
fields!('de Manager<'de> { "manager" = 1 => manager, "time" = 4 => time });

impl ManagedFields {
    fn take(&mut self, manager: &Manager<'_>) {
        if manager.manager == "kube-controller-manager" {
            self.0 = self.0.max(manager.time);
        }
    }
}

impl<'de> FromJson<'de> for ManagedFields {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut latest = Self::default();
        while let Some(Lenient(manager)) = seq.next_element::<Lenient<Manager<'de>>>()? {
            latest.take(&manager);
        }
        Ok(Some(latest))
    }
}

impl FromProtobuf<'_> for ManagedFields {
    fn merge(&mut self, value: Value<'_>) -> Result<(), ProtobufError> {
        self.take(&read(value)?);
        Ok(())
    }
}
