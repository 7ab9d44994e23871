//! The `metadata` that every object has, and the little of it that podskew reads.

use super::lenient::{FromJson, Key, Labels, Lenient, Unread, fields};
use super::{Body, Meta, Object, OwnerReference, Resource, Uid};
use crate::time::UnixTime;
use serde::de::{IgnoredAny, MapAccess, SeqAccess};
use std::borrow::Cow;

/// `M` is [`ManagedFields`] or, for a pod, whose writers nobody asks for, [`Unread`]: it is a third of the pod.
#[derive(Default)]
pub(super) struct RawMeta<'a, M = ManagedFields> {
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
    "name" => name,
    "namespace" => namespace,
    "uid" => uid,
    "resourceVersion" => resource_version,
    "generation" => generation,
    "creationTimestamp" => created,
    "deletionTimestamp" => deleted,
    "labels" => labels,
    "annotations" => annotations,
    "ownerReferences" => owners,
    "managedFields" => managed_fields,
});

impl<'a, M: Written> RawMeta<'a, M> {
    /// With what else was read of it.
    pub(super) fn object(self, resource: Resource, body: Body<'a>) -> Object<'a> {
        let uid = if self.uid.is_empty() {
            Uid::parse(&format!("{resource}/{}/{}", self.namespace, self.name))
        } else {
            Uid::parse(&self.uid)
        };
        let meta = Meta {
            name: self.name,
            namespace: self.namespace,
            uid,
            resource_version: self.resource_version,
            generation: self.generation,
            created: self.created,
            terminating: self.deleted.0,
            labels: self.labels,
            controller: self.owners.0,
            revision: self.annotations.revision,
            reused: self.annotations.reused,
            written_by_controller_manager: self.managed_fields.by_controller_manager(),
        };
        Object { meta, body }
    }
}

/// Whether there is a value at all, of whatever form.
#[derive(Default)]
struct Present(bool);

impl<'de> FromJson<'de> for Present {
    fn from_text(_: Cow<'de, str>) -> Option<Self> {
        Some(Self(true))
    }
}

/// The few annotations that podskew names; all others are skipped unread.
#[derive(Default)]
struct Annotations {
    revision: Option<u64>,
    reused: bool,
}

impl<'de> FromJson<'de> for Annotations {
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut read = Self::default();
        while let Some(Key(key)) = map.next_key()? {
            match key.as_ref() {
                "deployment.kubernetes.io/revision" | "rollout.argoproj.io/revision" => {
                    let Lenient(value) = map.next_value::<Lenient<Cow<'de, str>>>()?;
                    read.revision = value.parse().ok();
                }
                "deployment.kubernetes.io/revision-history" | "rollout.argoproj.io/revision-history" => {
                    let Lenient(value) = map.next_value::<Lenient<Cow<'de, str>>>()?;
                    read.reused = !value.is_empty();
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(read))
    }
}

/// The one owner with `controller: true`.
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
    "apiVersion" => api_version,
    "kind" => kind,
    "name" => name,
    "uid" => uid,
    "controller" => controller,
});

impl<'de> FromJson<'de> for Owners<'de> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut controller = None;
        while let Some(Lenient(owner)) = seq.next_element::<Lenient<RawOwner<'de>>>()? {
            if owner.controller {
                let group = match owner.api_version {
                    Cow::Borrowed(version) => Cow::Borrowed(version.split_once('/').map_or("", |(group, _)| group)),
                    Cow::Owned(version) => {
                        Cow::Owned(version.split_once('/').map_or("", |(group, _)| group).to_owned())
                    }
                };
                controller =
                    Some(OwnerReference { kind: owner.kind, group, name: owner.name, uid: Uid::parse(&owner.uid) });
            }
        }
        Ok(Some(Self(controller)))
    }
}

/// When kube-controller-manager last wrote.
#[derive(Default)]
pub(super) struct ManagedFields(Option<UnixTime>);

/// What is known of who wrote an object.
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
fields!('de Manager<'de> { "manager" => manager, "time" => time });

impl<'de> FromJson<'de> for ManagedFields {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut latest = None;
        while let Some(Lenient(manager)) = seq.next_element::<Lenient<Manager<'de>>>()? {
            if manager.manager == "kube-controller-manager" {
                latest = latest.max(manager.time);
            }
        }
        Ok(Some(Self(latest)))
    }
}
