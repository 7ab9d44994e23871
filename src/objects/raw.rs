//! Wire format of objects and responses: the fields to read with their JSON names and protobuf numbers, and the
//! conversion into the types of this module.

use super::controllers::{self, CloneSet, ControllerRevision, DaemonSet, Deployment, Rollout, StatefulSet};
use super::lenient::{Unread, fields};
use super::metadata::{ManagedFields, RawMeta};
use super::protobuf::{FromProtobuf, ProtobufError, Value, entry, text};
use super::response::{ApiStatus, ListMeta, WatchEvent};
use super::{Body, Object, Pod, Resource, node, pod};
use std::borrow::Cow;

#[derive(Default)]
pub(super) struct RawPod<'a> {
    metadata: RawMeta<'a, Unread>,
    spec: pod::Spec<'a>,
    status: pod::Status<'a>,
}
#[derive(Default)]
pub(super) struct RawReplicaSet<'a> {
    metadata: RawMeta<'a, Unread>,
    spec: controllers::ReplicaSet<'a>,
}
#[derive(Default)]
pub(super) struct RawRevision<'a> {
    metadata: RawMeta<'a, ManagedFields>,
    data: controllers::Data<'a>,
    revision: Option<i64>,
}
#[derive(Default)]
pub(super) struct RawController<'a> {
    metadata: RawMeta<'a, Unread>,
    spec: controllers::Spec<'a>,
    status: controllers::Status<'a>,
}
#[derive(Default)]
pub(super) struct RawNode<'a> {
    metadata: RawMeta<'a, Unread>,
    status: node::Status<'a>,
}
fields!('de RawPod<'de> { "metadata" = 1 => metadata, "spec" = 2 => spec, "status" = 3 => status });
fields!('de RawNode<'de> { "metadata" = 1 => metadata, "status" = 3 => status });
fields!('de RawReplicaSet<'de> { "metadata" = 1 => metadata, "spec" = 2 => spec });
fields!('de RawRevision<'de> { "metadata" => metadata, "data" => data, "revision" => revision });
fields!('de RawController<'de> { "metadata" = 1 => metadata, "spec" = 2 => spec, "status" = 3 => status });

impl<'a> RawPod<'a> {
    pub(super) fn object(self, resource: Resource) -> Object<'a> {
        self.metadata.object(resource, Body::Pod(Pod::from_parts(self.spec, self.status)))
    }
}

impl<'a> RawNode<'a> {
    pub(super) fn object(self, resource: Resource) -> Object<'a> {
        self.metadata.object(resource, Body::Node(self.status.into()))
    }
}

impl<'a> RawReplicaSet<'a> {
    pub(super) fn object(self, resource: Resource) -> Object<'a> {
        self.metadata.object(resource, Body::ReplicaSet(self.spec))
    }
}

impl<'a> RawRevision<'a> {
    pub(super) fn object(self, resource: Resource) -> Object<'a> {
        let revision = ControllerRevision { revision: self.revision, template: self.data.spec.template };
        self.metadata.object(resource, Body::ControllerRevision(revision))
    }
}

impl<'a> RawController<'a> {
    pub(super) fn object(self, resource: Resource) -> Object<'a> {
        let body = match resource {
            Resource::StatefulSets => Body::StatefulSet(StatefulSet::from_parts(self.spec, self.status)),
            Resource::DaemonSets => Body::DaemonSet(DaemonSet::from_parts(self.spec, self.status)),
            Resource::Rollouts => Body::Rollout(Rollout::from_parts(self.spec, self.status)),
            Resource::CloneSets => Body::CloneSet(CloneSet::from_parts(self.spec, self.status)),
            _ => Body::Deployment(Deployment::from_parts(self.spec, self.status)),
        };
        self.metadata.object(resource, body)
    }
}

#[derive(Default)]
pub(super) struct BookmarkObject<'a> {
    metadata: BookmarkMeta<'a>,
}
#[derive(Default)]
struct BookmarkMeta<'a> {
    resource_version: Cow<'a, str>,
    annotations: BookmarkAnnotations<'a>,
}
#[derive(Default)]
struct BookmarkAnnotations<'a> {
    initial_events_end: Cow<'a, str>,
}
fields!('de BookmarkObject<'de> { "metadata" = 1 => metadata });
fields!('de BookmarkMeta<'de> { "resourceVersion" = 6 => resource_version, "annotations" = 12 => annotations });
fields!('de BookmarkAnnotations<'de> { "k8s.io/initial-events-end" => initial_events_end });

impl<'a> FromProtobuf<'a> for BookmarkAnnotations<'a> {
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError> {
        let (key, value) = entry(value)?;
        if key == b"k8s.io/initial-events-end" {
            self.initial_events_end = text(value);
        }
        Ok(())
    }
}

impl From<BookmarkObject<'_>> for WatchEvent<'_> {
    fn from(object: BookmarkObject<'_>) -> Self {
        Self::Bookmark {
            resource_version: object.metadata.resource_version.into_owned(),
            initial_events_end: object.metadata.annotations.initial_events_end == "true",
        }
    }
}

#[derive(Default)]
pub(super) struct RawListMeta<'a> {
    resource_version: Cow<'a, str>,
    continue_token: Cow<'a, str>,
}
fields!('de RawListMeta<'de> { "resourceVersion" = 2 => resource_version, "continue" = 3 => continue_token });

impl From<RawListMeta<'_>> for ListMeta {
    fn from(raw: RawListMeta<'_>) -> Self {
        Self { resource_version: raw.resource_version.into_owned(), continue_token: raw.continue_token.into_owned() }
    }
}

#[derive(Default)]
pub(super) struct RawApiStatus<'a> {
    /// Only in JSON; in protobuf it is in the envelope.
    pub(super) kind: Cow<'a, str>,
    code: Option<i64>,
    reason: Cow<'a, str>,
    message: Cow<'a, str>,
    details: Details,
}
#[derive(Default)]
struct Details {
    retry_after_seconds: Option<i64>,
}
fields!('de RawApiStatus<'de> {
    "kind" => kind,
    "code" = 6 => code,
    "reason" = 4 => reason,
    "message" = 3 => message,
    "details" = 5 => details,
});
fields!('de Details { "retryAfterSeconds" = 5 => retry_after_seconds });

impl From<RawApiStatus<'_>> for ApiStatus {
    fn from(raw: RawApiStatus<'_>) -> Self {
        // Go omits a zero in JSON, and writes it in protobuf.
        let seconds = raw.details.retry_after_seconds.filter(|seconds| *seconds != 0);
        Self {
            code: raw.code.and_then(|code| u16::try_from(code).ok()).unwrap_or(0),
            reason: raw.reason.into_owned(),
            message: raw.message.into_owned(),
            retry_after_seconds: seconds.and_then(|seconds| u32::try_from(seconds).ok()),
        }
    }
}
