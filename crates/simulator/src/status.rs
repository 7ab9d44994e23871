//! Errors of the API server: `kind: Status`, worded as in the recordings.

use super::defaults::Invalid;
use super::encoded::Names;
use super::negotiate::Form;
use super::protobuf;
use super::request::{Request, Subresource, Verb};
use super::watch::event;
use serde_json::{Value, json};

const NAMES: Names = Names { kind: "Status", api_version: "v1", list_kind: "" };

/// Several errors in the form of Go's aggregate.
fn listed(invalid: &[Invalid]) -> String {
    match invalid {
        [one] => one.to_string(),
        several => format!("[{}]", several.iter().map(Invalid::to_string).collect::<Vec<_>>().join(", ")),
    }
}

fn causes(invalid: &[Invalid]) -> Value {
    let cause = |it: &Invalid| json!({"reason": it.reason, "message": it.message, "field": it.field});
    invalid.iter().map(cause).collect()
}

/// An error, sent as an HTTP response or as an ERROR event.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) body: Value,
}

impl Refusal {
    fn new(code: u16, reason: &str, message: &str) -> Self {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code,
        });
        Self { code, body }
    }

    fn with_details(mut self, details: Value) -> Self {
        self.body["details"] = details;
        self
    }

    /// The error for a plain HTTP status.
    pub(super) fn of_status(code: u16, request: Option<&Request>) -> Self {
        match code {
            401 => Self::unauthorized(),
            403 => Self::forbidden(request),
            429 => Self::too_many_requests(1),
            500 => Self::new(500, "InternalError", "Internal error occurred: etcdserver: request timed out"),
            503 => Self::new(503, "ServiceUnavailable", "apiserver is shutting down").with_details(json!({})),
            504 => Self::new(504, "Timeout", "request did not complete within the allotted timeout")
                .with_details(json!({})),
            other => Self::new(other, "Unknown", "the server reported a problem"),
        }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    fn forbidden(request: Option<&Request>) -> Self {
        let Some(request) = request else {
            return Self::new(
                403,
                "Forbidden",
                "forbidden: User \"system:serviceaccount:podskew:podskew\" cannot get path",
            );
        };
        let (plural, group) = (request.resource.plural(), request.resource.group());
        let verb = match request.verb {
            Verb::Get(_) => "get",
            Verb::List(_) => "list",
            Verb::Watch(_) => "watch",
            Verb::Create => "create",
            Verb::Replace(_) => "update",
            Verb::Patch(_) => "patch",
            Verb::Delete(_) => "delete",
        };
        let scope = match &request.selection.namespace {
            Some(namespace) => format!("in the namespace \"{namespace}\""),
            None => "at the cluster scope".to_owned(),
        };
        let name = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let mut details = json!({"kind": plural});
        if !group.is_empty() {
            details["group"] = group.into();
        }
        let message = format!(
            "{name} is forbidden: User \"system:serviceaccount:podskew:podskew\" cannot {verb} resource \"{plural}\" in API \
             group \"{group}\" {scope}"
        );
        Self::new(403, "Forbidden", &message).with_details(details)
    }

    pub(super) fn too_many_requests(retry_after_seconds: u32) -> Self {
        Self::new(429, "TooManyRequests", "too many requests, please try again later")
            .with_details(json!({"retryAfterSeconds": retry_after_seconds}))
    }

    pub(super) fn bad_request(message: &str) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn not_found(request: &Request, name: &str) -> Self {
        Self::of_object(request, name, (404, "NotFound"), "not found")
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).with_details(json!({}))
    }

    pub(super) fn already_exists(request: &Request, name: &str) -> Self {
        Self::of_object(request, name, (409, "AlreadyExists"), "already exists")
    }

    /// Admission refuses the object for this reason.
    pub(super) fn forbidden_object(request: &Request, name: &str, why: &str) -> Self {
        Self::of_object(request, name, (403, "Forbidden"), &format!("is forbidden: {why}"))
    }

    /// Another writer was faster, or another object has this name now.
    pub(super) fn conflict(request: &Request, name: &str) -> Self {
        let qualified = Self::qualified(request);
        let message = format!(
            "Operation cannot be fulfilled on {qualified} \"{name}\": the object has been modified; please apply your \
             changes to the latest version and try again"
        );
        Self::new(409, "Conflict", &message)
            .with_details(json!({"name": name, "group": request.resource.group(), "kind": request.resource.plural()}))
    }

    /// The object is invalid, for one or several causes.
    pub(super) fn invalid(request: &Request, name: &str, invalid: &[Invalid]) -> Self {
        let (kind, group) = match request.subresource {
            Some(Subresource::Scale) => ("Scale", "autoscaling"),
            _ => (request.resource.kind(), request.resource.group()),
        };
        let kind_and_group = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        Self::new(422, "Invalid", &format!("{kind_and_group} \"{name}\" is invalid: {}", listed(invalid)))
            .with_details(json!({"name": name, "group": group, "kind": kind, "causes": causes(invalid)}))
    }

    /// The patched object cannot be decoded.
    pub(super) fn invalid_patch(patch: &str, why: &str) -> Self {
        let invalid = [Invalid::value("patch", json!(patch), why)];
        Self::new(422, "Invalid", &format!(" \"\" is invalid: {}", listed(&invalid)))
            .with_details(json!({"causes": causes(&invalid)}))
    }

    /// A JSON patch that does not fit the object.
    pub(super) fn unprocessable(why: &str) -> Self {
        Self::new(422, "Invalid", &format!("the server rejected our request due to an error in our request: {why}"))
            .with_details(json!({}))
    }

    pub(super) fn unsupported_media_type(content_type: &str, accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format ({content_type}) - accepted media types include: {accepted}"
        );
        Self::new(415, "UnsupportedMediaType", &message)
    }

    fn qualified(request: &Request) -> String {
        let (plural, group) = (request.resource.plural(), request.resource.group());
        if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
    }

    fn of_object(request: &Request, name: &str, (code, reason): (u16, &str), what: &str) -> Self {
        let details = json!({"name": name, "group": request.resource.group(), "kind": request.resource.plural()});
        Self::new(code, reason, &format!("{} \"{name}\" {what}", Self::qualified(request))).with_details(details)
    }

    /// The version from which a watch should start is no longer in the history.
    pub(super) fn version_too_old(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", &format!("too old resource version: {asked} ({oldest})"))
    }

    /// The list of a continue token is gone; the returned token continues at the current version.
    pub(super) fn continue_expired(token: &str) -> Self {
        let mut refusal = Self::new(
            410,
            "Expired",
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
             results. Continuing with the provided token results in an inconsistent list - objects that were created, \
             modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        );
        refusal.body["metadata"] = json!({"continue": token});
        refusal
    }

    /// The version has not been reached by this server.
    pub(super) fn version_too_new(asked: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        Self::new(504, "Timeout", &message).with_details(json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }))
    }

    /// The server's etcd cannot report the progress of a watch.
    pub(super) fn streaming_list_unsupported() -> Self {
        Self::new(
            500,
            "InternalError",
            "a watch stream was requested by the client but the required storage feature RequestWatchProgress is disabled",
        )
    }

    /// The server does not know streaming lists.
    pub(super) fn streaming_list_invalid(request: &Request) -> Self {
        let plural = request.resource.plural();
        let problem = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        let message = format!("ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: {problem}");
        let causes = json!([{
            "reason": "FieldValueForbidden", "message": format!("Forbidden: {problem}"), "field": "sendInitialEvents"
        }]);
        Self::new(422, "Invalid", &message)
            .with_details(json!({"group": "meta.k8s.io", "kind": "ListOptions", "name": plural, "causes": causes}))
    }

    /// The client accepts none of the server's media types.
    pub(super) fn not_acceptable() -> Self {
        let accepted = "application/json, application/vnd.kubernetes.protobuf";
        Self::new(406, "NotAcceptable", &format!("only the following media types are accepted: {accepted}"))
    }

    /// As the body of a response.
    pub(super) fn to_bytes(&self, form: Form) -> Vec<u8> {
        // Every error can be encoded.
        let encoded = (form == Form::Protobuf).then(|| protobuf::message(NAMES.kind, &self.body).unwrap_or_default());
        match encoded {
            None => format!("{}\n", self.body).into_bytes(),
            Some(content) => {
                let mut out = Vec::new();
                protobuf::whole(&NAMES, content.len(), &mut out, |out| out.extend_from_slice(&content));
                out
            }
        }
    }

    /// As an event of a watch.
    pub(super) fn to_event(&self, form: Form) -> Vec<u8> {
        event("ERROR", form, &NAMES, &self.body)
    }
}
