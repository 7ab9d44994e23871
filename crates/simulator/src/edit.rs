//! Writes of clients: create, replace, three kinds of patch, scale and delete.

use super::answer::{Body, with_body};
use super::defaults;
use super::negotiate::Form;
use super::random::Random;
use super::request::{Request, Subresource, Verb, WriteOptions};
use super::scale;
use super::server::Cluster;
use super::status::Refusal;
use super::store::CreateError;
use super::strategic;
use super::write::{Part, Writer, begin_deletion, new_object, settle};
use crate::resource::Resource;
use crate::time::Time;
use http::Response;
use serde_json::{Value, json};

/// Grace period of a pod if neither the pod nor the request has one.
const GRACE_SECONDS: u64 = 30;

/// Answers a write request.
pub(super) fn answer(
    cluster: &Cluster,
    request: &Request,
    content_type: &str,
    body: &[u8],
) -> Result<Response<Body>, Refusal> {
    let edit = Edit { cluster, request, options: &request.write, body, now: Time::now() };
    match &request.verb {
        Verb::Create | Verb::Replace(_) if content_type != "application/json" => {
            Err(Refusal::unsupported_media_type(content_type, "application/json"))
        }
        Verb::Create => Ok(json_answer(201, &edit.create(&read(body)?)?)),
        Verb::Replace(name) => {
            let wanted = read(body)?;
            edit.change(name, |object| {
                *object = wanted.clone();
                Ok(())
            })
        }
        Verb::Patch(name) => {
            let patch = Patch::read(content_type, body, request)?;
            edit.change(name, |object| patch.apply(object))
        }
        Verb::Delete(name) => edit.delete(name, &if body.is_empty() { json!({}) } else { read(body)? }),
        Verb::Get(_) | Verb::List(_) | Verb::Watch(_) => Err(Refusal::method_not_allowed()),
    }
}

struct Edit<'a> {
    cluster: &'a Cluster,
    request: &'a Request,
    options: &'a WriteOptions,
    body: &'a [u8],
    now: Time,
}

impl Edit<'_> {
    fn writer(&self) -> Writer<'_> {
        Writer { manager: &self.options.manager, now: self.now }
    }

    fn namespace(&self) -> &str {
        self.request.selection.namespace.as_deref().unwrap_or_default()
    }

    fn create(&self, wanted: &Value) -> Result<Value, Refusal> {
        let resource = self.request.resource;
        let mut object = wanted.clone();
        self.is_of_kind(&object)?;
        let version = self.cluster.store.version();
        let metadata = &mut object["metadata"];
        if let Some(prefix) = metadata["generateName"].as_str().filter(|_| metadata["name"].is_null()) {
            metadata["name"] = format!("{prefix}{}", Random::of(&format!("{prefix}{version}")).suffix()).into();
        }
        if resource.is_namespaced() {
            let namespace = metadata["namespace"].as_str().unwrap_or(self.namespace());
            if namespace != self.namespace() {
                return Err(Refusal::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
            metadata["namespace"] = self.namespace().into();
        }
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        let uid = Random::of(&format!("{} {}/{name} {version}", resource.kind(), self.namespace())).uid();
        defaults::fill(resource, &mut object);
        self.has_known_fields(&object)?;
        self.is_valid(&name, &object, None)?;
        new_object(resource, &mut object, &uid, self.writer());
        if self.options.dry_run {
            return Ok(object);
        }
        let refuse = |why: CreateError| match why {
            CreateError::Exists => Refusal::already_exists(self.request, &name),
            CreateError::ExceededQuota { .. } => Refusal::forbidden_object(self.request, &name, &why.to_string()),
        };
        let version = self.cluster.store.create(resource, object).map_err(refuse)?;
        let mut object = self.cluster.store.get(resource, self.namespace(), &name).unwrap_or_default();
        object["metadata"]["resourceVersion"] = version.to_string().into();
        Ok(object)
    }

    /// Changes an object or its subresource. Starts again whenever another writer was faster.
    fn change(
        &self,
        name: &str,
        mut change: impl FnMut(&mut Value) -> Result<(), Refusal>,
    ) -> Result<Response<Body>, Refusal> {
        let (resource, mut refusal, mut dry) = (self.request.resource, None, None);
        let written = self.cluster.store.update(resource, self.namespace(), name, |object| {
            let changed = self.changed(name, object, &mut change);
            match changed {
                Err(why) => {
                    refusal = Some(why);
                    false
                }
                Ok(wanted) if self.options.dry_run => {
                    dry = Some(wanted);
                    false
                }
                Ok(wanted) => {
                    let differs = *object != wanted;
                    *object = wanted;
                    differs
                }
            }
        });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let written = written.ok_or_else(|| Refusal::not_found(self.request, name))?;
        let written = dry.unwrap_or(written);
        let scaled = self.request.subresource == Some(Subresource::Scale);
        Ok(json_answer(200, &if scaled { scale::of(resource, &written) } else { written }))
    }

    /// The object after the change.
    fn changed(
        &self,
        name: &str,
        object: &Value,
        change: &mut impl FnMut(&mut Value) -> Result<(), Refusal>,
    ) -> Result<Value, Refusal> {
        let (resource, request) = (self.request.resource, self.request);
        let mut wanted = object.clone();
        let part = match request.subresource {
            Some(Subresource::Scale) => {
                let mut scale = scale::of(resource, object);
                change(&mut scale)?;
                self.is_current(&scale, object, name)?;
                let applied = scale::apply(&scale, &mut wanted);
                applied.map_err(|invalid| Refusal::invalid(request, name, &[invalid]))?;
                Part::Object
            }
            Some(Subresource::Status) => {
                change(&mut wanted)?;
                self.is_current(&wanted, object, name)?;
                Part::Status
            }
            None => {
                change(&mut wanted)?;
                self.is_current(&wanted, object, name)?;
                self.is_of_kind(&wanted)?;
                self.has_known_fields(&wanted)?;
                defaults::fill(resource, &mut wanted);
                Part::Object
            }
        };
        self.is_valid(name, &wanted, Some(object))?;
        let mut settled = object.clone();
        settle(resource, &mut settled, wanted, part, self.writer());
        Ok(settled)
    }

    /// Checks that the version and the UID in a write, if any, are those of the current object.
    fn is_current(&self, wanted: &Value, object: &Value, name: &str) -> Result<(), Refusal> {
        let differs = |field: &str| {
            let asked = wanted["metadata"][field].as_str().filter(|asked| !asked.is_empty());
            asked.is_some_and(|asked| object["metadata"][field] != asked)
        };
        if differs("resourceVersion") || differs("uid") {
            return Err(Refusal::conflict(self.request, name));
        }
        Ok(())
    }

    /// Checks that an object can be decoded and is valid; `before` is the object that it replaces.
    fn is_valid(&self, name: &str, object: &Value, before: Option<&Value>) -> Result<(), Refusal> {
        let resource = self.request.resource;
        defaults::is_one(resource, object).map_err(|why| self.undecodable(&why))?;
        let invalid = defaults::check(resource, object, before);
        if invalid.is_empty() { Ok(()) } else { Err(Refusal::invalid(self.request, name, &invalid)) }
    }

    fn has_known_fields(&self, object: &Value) -> Result<(), Refusal> {
        let unknown = self.options.strict.then(|| defaults::unknown_field(self.request.resource, object)).flatten();
        unknown
            .map_or(Ok(()), |field| Err(self.undecodable(&format!("strict decoding error: unknown field {field:?}"))))
    }

    /// The error for an object that cannot be decoded: 422 for a patch, 400 for any other write.
    fn undecodable(&self, why: &str) -> Refusal {
        match &self.request.verb {
            Verb::Patch(_) => Refusal::invalid_patch(&String::from_utf8_lossy(self.body), why),
            _ => Refusal::bad_request(why),
        }
    }

    fn is_of_kind(&self, object: &Value) -> Result<(), Refusal> {
        let (kind, version) = (self.request.resource.kind(), self.request.resource.api_version());
        if object["kind"] == kind && object["apiVersion"] == version {
            return Ok(());
        }
        let found = format!("{} in {}", object["kind"], object["apiVersion"]);
        Err(Refusal::bad_request(&format!("{kind} in version \"{version}\" cannot be handled as {found}")))
    }

    fn delete(&self, name: &str, options: &Value) -> Result<Response<Body>, Refusal> {
        let (store, resource, namespace) = (&self.cluster.store, self.request.resource, self.namespace());
        let object = store.get(resource, namespace, name).ok_or_else(|| Refusal::not_found(self.request, name))?;
        if options["preconditions"]["uid"].as_str().is_some_and(|uid| object["metadata"]["uid"] != uid) {
            return Err(Refusal::conflict(self.request, name));
        }
        let dry_run = self.options.dry_run || options["dryRun"].as_array().is_some_and(|all| !all.is_empty());
        let grace = options["gracePeriodSeconds"].as_u64().or(self.options.grace_seconds);
        let grace = grace.or_else(|| object["spec"]["terminationGracePeriodSeconds"].as_u64()).unwrap_or(GRACE_SECONDS);
        let ends_slowly = resource == Resource::Pods && grace > 0 && object["spec"]["nodeName"].is_string();
        if ends_slowly {
            let grace = u32::try_from(grace).unwrap_or(u32::MAX);
            let ending = if dry_run {
                Some(object)
            } else {
                store.update(resource, namespace, name, |object| begin_deletion(object, grace, self.now))
            };
            return Ok(json_answer(200, &ending.ok_or_else(|| Refusal::not_found(self.request, name))?));
        }
        if !dry_run {
            let policy = options["propagationPolicy"].as_str().or(self.options.propagation.as_deref());
            if policy == Some("Orphan") || options["orphanDependents"] == true {
                self.orphan_dependents(&object["metadata"]["uid"]);
            }
            store.delete(resource, namespace, name);
        }
        let details = json!({
            "name": name, "group": resource.group(), "kind": resource.plural(), "uid": object["metadata"]["uid"],
        });
        Ok(json_answer(
            200,
            &json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
            }),
        ))
    }

    fn orphan_dependents(&self, uid: &Value) {
        let store = &self.cluster.store;
        for resource in Resource::ALL {
            for object in store.list(resource) {
                let owners = object["metadata"]["ownerReferences"].as_array();
                if owners.is_none_or(|owners| owners.iter().all(|owner| owner["uid"] != *uid)) {
                    continue;
                }
                let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
                store.update(resource, text("namespace"), text("name"), |object| {
                    if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
                        owners.retain(|owner| owner["uid"] != *uid);
                    }
                    true
                });
            }
        }
    }
}

const PATCHES: &str =
    "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json";

/// A patch, by its media type.
enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
}

impl Patch {
    fn read(content_type: &str, body: &[u8], request: &Request) -> Result<Self, Refusal> {
        match content_type {
            "application/json-patch+json" => {
                serde_json::from_slice(body).map(Self::Json).map_err(|error| Refusal::bad_request(&error.to_string()))
            }
            "application/merge-patch+json" => read(body).map(Self::Merge),
            // There is no type of a custom resource that would define how to merge its lists.
            "application/strategic-merge-patch+json" if !request.resource.is_custom() => {
                read(body).map(Self::Strategic)
            }
            other => Err(Refusal::unsupported_media_type(other, PATCHES)),
        }
    }

    fn apply(&self, object: &mut Value) -> Result<(), Refusal> {
        match self {
            Self::Json(patch) => {
                json_patch::patch(object, patch).map_err(|error| Refusal::unprocessable(&error.to_string()))
            }
            Self::Merge(patch) => {
                json_patch::merge(object, patch);
                Ok(())
            }
            Self::Strategic(patch) => strategic::merge(object, patch).map_err(|why| Refusal::bad_request(&why)),
        }
    }
}

fn read(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(&format!("couldn't get JSON: {error}")))
}

fn json_answer(code: u16, object: &Value) -> Response<Body> {
    with_body(code, Form::Json, format!("{object}\n").into_bytes())
}
