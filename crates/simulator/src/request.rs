//! Parses a client's request from path and query.

use super::encoded::Selection;
use super::selector;
use super::status::Refusal;
use super::table::Include;
use crate::resource::Resource;
use http::Method;

/// The field selector of clients that exclude finished pods.
const UNFINISHED_PODS: [&str; 2] = ["status.phase!=Succeeded", "status.phase!=Failed"];

/// A request for objects of one resource.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) resource: Resource,
    pub(super) selection: Selection,
    pub(super) subresource: Option<Subresource>,
    pub(super) verb: Verb,
    pub(super) write: WriteOptions,
    /// The objects that a table includes beside its cells.
    pub(super) table: Include,
}

#[derive(Debug)]
pub(super) enum Verb {
    /// One object by name.
    Get(String),
    List(ListOptions),
    Watch(WatchOptions),
    Create,
    Replace(String),
    Patch(String),
    Delete(String),
}

/// A subresource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subresource {
    Status,
    Scale,
}

/// Options of write requests.
#[derive(Debug, Default)]
pub(super) struct WriteOptions {
    /// The name in `metadata.managedFields`.
    pub(super) manager: String,
    pub(super) dry_run: bool,
    /// Whether an unknown field is an error.
    pub(super) strict: bool,
    pub(super) grace_seconds: Option<u64>,
    pub(super) propagation: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct ListOptions {
    pub(super) limit: Option<usize>,
    pub(super) continue_token: Option<String>,
    pub(super) version: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct WatchOptions {
    /// `None`, or 0, is "from any point": the server begins with its current state.
    pub(super) version: Option<u64>,
    /// A streaming list: first all objects, then a bookmark that marks their end.
    pub(super) send_initial_events: bool,
    pub(super) bookmarks: bool,
    pub(super) timeout_seconds: Option<u64>,
}

/// The resource that a path names, and the rest of the path: namespace, name, subresource.
pub(super) struct Target {
    pub(super) resource: Resource,
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<Subresource>,
}

impl Target {
    /// Whether it is a single object.
    pub(super) fn is_one_object(&self) -> bool {
        self.name.is_some()
    }

    /// Parses the path; `None` if it names none of the resources.
    pub(super) fn of(path: &str) -> Option<Self> {
        Resource::ALL.into_iter().find_map(|resource| {
            let rest = path.strip_prefix(resource.api_path())?.strip_prefix('/')?;
            let parts: Vec<&str> = rest.split('/').collect();
            let (namespace, rest) = match &parts[..] {
                ["namespaces", namespace, rest @ ..] if resource.is_namespaced() => (Some(*namespace), rest),
                rest => (None, rest),
            };
            let (name, subresource) = match rest {
                [found] if *found == resource.plural() => (None, None),
                [found, name] if *found == resource.plural() => (Some(*name), None),
                [found, name, "status"] if *found == resource.plural() => (Some(*name), Some(Subresource::Status)),
                [found, name, "scale"] if *found == resource.plural() && resource.is_scalable() => {
                    (Some(*name), Some(Subresource::Scale))
                }
                _ => return None,
            };
            if name.is_some() && namespace.is_none() && resource.is_namespaced() {
                return None;
            }
            let (namespace, name) = (namespace.map(str::to_owned), name.map(str::to_owned));
            Some(Self { resource, namespace, name, subresource })
        })
    }
}

impl Request {
    /// Parses the method and the query of a request.
    pub(super) fn new(target: Target, method: &Method, query: &str) -> Result<Self, Refusal> {
        let mut selection = Selection { namespace: target.namespace, ..Selection::default() };
        let mut watch = false;
        let mut list_options = ListOptions::default();
        let mut watch_options = WatchOptions::default();
        let mut write = WriteOptions { manager: "unknown".to_owned(), ..WriteOptions::default() };
        let (mut not_older_than, mut table) = (false, Include::default());
        for (key, value) in pairs(query) {
            match key.as_str() {
                _ if value.is_empty() => {}
                "watch" => watch = is_true(&value),
                "limit" => list_options.limit = Some(number(&key, &value)?).filter(|limit| *limit > 0),
                "continue" => list_options.continue_token = Some(value),
                "resourceVersion" => {
                    let version = number(&key, &value)?;
                    list_options.version = Some(version as u64);
                    watch_options.version = Some(version as u64).filter(|version| *version > 0);
                }
                "resourceVersionMatch" => not_older_than = value == "NotOlderThan",
                "sendInitialEvents" => watch_options.send_initial_events = is_true(&value),
                "allowWatchBookmarks" => watch_options.bookmarks = is_true(&value),
                "timeoutSeconds" => watch_options.timeout_seconds = Some(number(&key, &value)? as u64),
                "fieldSelector" => select_fields(target.resource, &value, &mut selection)?,
                "labelSelector" => {
                    selection.labels = selector::labels(&value).map_err(|why| Refusal::bad_request(&why))?;
                }
                "fieldManager" => write.manager = value,
                "dryRun" => write.dry_run = true,
                "fieldValidation" => write.strict = value == "Strict",
                "gracePeriodSeconds" => write.grace_seconds = Some(number(&key, &value)? as u64),
                "includeObject" => {
                    table = match value.as_str() {
                        "Object" => Include::Object,
                        "None" => Include::None,
                        _ => Include::Metadata,
                    };
                }
                "propagationPolicy" => write.propagation = Some(value),
                _ => {}
            }
        }
        if watch_options.send_initial_events && !not_older_than {
            return Err(Refusal::bad_request("sendInitialEvents requires resourceVersionMatch=NotOlderThan"));
        }
        let verb = match (method, target.name) {
            (&Method::GET, Some(name)) => Verb::Get(name),
            (&Method::GET, None) if watch => Verb::Watch(watch_options),
            (&Method::GET, None) => Verb::List(list_options),
            (&Method::POST, None) => Verb::Create,
            (&Method::PUT, Some(name)) => Verb::Replace(name),
            (&Method::PATCH, Some(name)) => Verb::Patch(name),
            (&Method::DELETE, Some(name)) if target.subresource.is_none() => Verb::Delete(name),
            _ => return Err(Refusal::method_not_allowed()),
        };
        Ok(Self { resource: target.resource, selection, subresource: target.subresource, verb, write, table })
    }
}

/// Adds a field selector to the selection. The one that podskew uses is checked without decoding the object.
fn select_fields(resource: Resource, selector: &str, selection: &mut Selection) -> Result<(), Refusal> {
    let terms: Vec<&str> = selector.split(',').collect();
    if resource == Resource::Pods && UNFINISHED_PODS.iter().all(|term| terms.contains(term)) && terms.len() == 2 {
        selection.unfinished_only = true;
        return Ok(());
    }
    let fields = selector::fields(selector).map_err(|why| Refusal::bad_request(&why))?;
    let known = |path: &str| match path {
        "metadata.name" | "metadata.namespace" => true,
        "spec.nodeName" | "spec.schedulerName" | "spec.restartPolicy" | "status.phase" | "status.podIP" => {
            resource == Resource::Pods
        }
        "status.successful" => resource == Resource::Jobs,
        _ => resource == Resource::Events,
    };
    if let Some(unknown) = fields.iter().find(|field| !known(field.path())) {
        let path = unknown.path();
        return Err(Refusal::bad_request(&format!("field label not supported: {path}")));
    }
    selection.fields = fields;
    Ok(())
}

fn is_true(value: &str) -> bool {
    matches!(value, "true" | "1")
}

fn number(key: &str, value: &str) -> Result<usize, Refusal> {
    let refuse = |_| Refusal::bad_request(&format!("invalid value of {key}: {value:?}"));
    value.parse().map_err(refuse)
}

/// The decoded keys and values of a query.
fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_percent(key), decode_percent(value))
    })
}

pub(super) fn decode_percent(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Request, Subresource, Target, Verb};
    use crate::resource::Resource;
    use http::Method;

    fn read(path: &str, query: &str) -> Option<Result<Request, u16>> {
        let target = Target::of(path)?;
        Some(Request::new(target, &Method::GET, query).map_err(|refusal| refusal.code))
    }

    #[test]
    fn reads_what_kube_asks() {
        let selector = "fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
        let query = format!("watch=true&{selector}&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion=12");
        let request = read("/api/v1/namespaces/shop/pods", &query).unwrap().unwrap();
        assert_eq!(request.resource, Resource::Pods);
        assert_eq!(request.selection.namespace.as_deref(), Some("shop"));
        assert!(request.selection.unfinished_only);
        let Verb::Watch(options) = request.verb else { unreachable!("a watch was asked for") };
        assert_eq!((options.version, options.timeout_seconds, options.bookmarks), (Some(12), Some(290), true));
    }

    #[test]
    fn refuses_unsupported_requests() {
        for path in ["/api/v1/services", "/apis/apps/v1/pods", "/api/v1/pods/a", "/api/v1/namespaces/a/pods/b/scale"] {
            assert!(read(path, "").is_none(), "{path}");
        }
        for query in ["labelSelector=a%20b", "fieldSelector=spec.replicas%3D1", "fieldSelector=a", "limit=many"] {
            assert_eq!(read("/api/v1/pods", query).unwrap().unwrap_err(), 400, "{query}");
        }
    }

    #[test]
    fn parses_requests_of_kubectl() {
        let path = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
        let request = |path: &str, method: Method, query: &str| {
            Request::new(Target::of(path).unwrap(), &method, query).map_err(|refusal| refusal.code)
        };
        let scaled = request(path, Method::PATCH, "fieldManager=kubectl-scale&dryRun=All").unwrap();
        assert_eq!(scaled.subresource, Some(Subresource::Scale));
        assert!(matches!(&scaled.verb, Verb::Patch(name) if name == "web"));
        assert_eq!((scaled.write.manager.as_str(), scaled.write.dry_run), ("kubectl-scale", true));
        assert_eq!(request(path, Method::DELETE, "").unwrap_err(), 405);
        let path = "/api/v1/namespaces/shop/pods";
        let list = request(path, Method::GET, "labelSelector=app%3Dweb&fieldSelector=spec.nodeName%3Da").unwrap();
        assert_eq!((list.selection.labels.len(), list.selection.fields.len()), (1, 1));
        assert!(request("/api/v1/nodes/a", Method::GET, "").is_ok());
    }
}
