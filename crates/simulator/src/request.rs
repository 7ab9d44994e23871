//! What a client asks for, read from path and query.

use super::encoded::Selection;
use super::status::Refusal;
use crate::resource::Resource;

/// The one field selector the simulator knows, in the order podskew writes it.
const UNFINISHED_PODS: [&str; 2] = ["status.phase!=Succeeded", "status.phase!=Failed"];

/// A request for objects of one resource.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) resource: Resource,
    pub(super) selection: Selection,
    pub(super) verb: Verb,
}

#[derive(Debug)]
pub(super) enum Verb {
    /// One object by its name.
    Get(String),
    List(ListOptions),
    Watch(WatchOptions),
}

#[derive(Debug, Default)]
pub(super) struct ListOptions {
    pub(super) limit: Option<usize>,
    pub(super) continue_token: Option<String>,
    pub(super) version: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct WatchOptions {
    /// None, or 0, is "from any point": the server begins with what it has.
    pub(super) version: Option<u64>,
    /// A streaming list: everything first, then a bookmark that says so.
    pub(super) send_initial_events: bool,
    pub(super) bookmarks: bool,
    pub(super) timeout_seconds: Option<u64>,
}

/// Which resource a path names, and what is left of the path: `namespaces/NS`, and a name.
pub(super) struct Target {
    pub(super) resource: Resource,
    namespace: Option<String>,
    name: Option<String>,
}

impl Target {
    /// Whether it is one object and not all of them.
    pub(super) fn is_one_object(&self) -> bool {
        self.name.is_some()
    }

    /// Reads the path; `None` if it names none of the resources.
    pub(super) fn of(path: &str) -> Option<Self> {
        Resource::ALL.into_iter().find_map(|resource| {
            let rest = path.strip_prefix(resource.api_path())?.strip_prefix('/')?;
            let parts: Vec<&str> = rest.split('/').collect();
            let plural = resource.plural();
            let (namespace, name) = match parts[..] {
                [found] if found == plural => (None, None),
                ["namespaces", namespace, found] if found == plural => (Some(namespace), None),
                ["namespaces", namespace, found, name] if found == plural => (Some(namespace), Some(name)),
                _ => return None,
            };
            Some(Self { resource, namespace: namespace.map(str::to_owned), name: name.map(str::to_owned) })
        })
    }
}

impl Request {
    /// Reads the query of a request.
    pub(super) fn new(target: Target, query: &str) -> Result<Self, Refusal> {
        let mut selection = Selection { namespace: target.namespace, unfinished_only: false };
        let mut watch = false;
        let mut list_options = ListOptions::default();
        let mut watch_options = WatchOptions::default();
        let mut not_older_than = false;
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
                "fieldSelector" => selection.unfinished_only = selects_unfinished(target.resource, &value)?,
                "labelSelector" => return Err(Refusal::bad_request("the simulator serves no label selectors")),
                _ => {}
            }
        }
        if watch_options.send_initial_events && !not_older_than {
            return Err(Refusal::bad_request("sendInitialEvents requires resourceVersionMatch=NotOlderThan"));
        }
        let verb = match (watch, target.name) {
            (_, Some(name)) => Verb::Get(name),
            (true, None) => Verb::Watch(watch_options),
            (false, None) => Verb::List(list_options),
        };
        Ok(Self { resource: target.resource, selection, verb })
    }
}

fn selects_unfinished(resource: Resource, selector: &str) -> Result<bool, Refusal> {
    let known = resource == Resource::Pods && selector.split(',').all(|term| UNFINISHED_PODS.contains(&term));
    if known && UNFINISHED_PODS.iter().all(|term| selector.contains(term)) {
        Ok(true)
    } else {
        Err(Refusal::bad_request(&format!("the simulator serves no field selector {selector:?}")))
    }
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
    use super::{Request, Target, Verb};
    use crate::resource::Resource;

    fn read(path: &str, query: &str) -> Option<Result<Request, u16>> {
        let target = Target::of(path)?;
        Some(Request::new(target, query).map_err(|refusal| refusal.code))
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
    fn refuses_what_it_cannot_serve() {
        assert!(read("/api/v1/services", "").is_none());
        assert!(read("/apis/apps/v1/pods", "").is_none());
        assert_eq!(read("/api/v1/pods", "labelSelector=a%3Db").unwrap().unwrap_err(), 400);
        assert_eq!(read("/api/v1/pods", "fieldSelector=spec.nodeName%3Da").unwrap().unwrap_err(), 400);
        assert_eq!(read("/api/v1/pods", "limit=many").unwrap().unwrap_err(), 400);
    }
}
