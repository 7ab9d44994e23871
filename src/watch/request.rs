//! URLs of requests to the API server.

use super::backoff::between;
use super::timings::Timings;
use crate::objects::Resource;
use std::fmt::Write as _;
use std::time::Duration;

/// One resource, in one namespace or in all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) resource: Resource,
    pub(super) namespace: Option<String>,
}

impl Target {
    /// A watch that begins with every object and a closing bookmark.
    ///
    /// Without `resourceVersion` the state is at least as new as the request, as in client-go's reflector. With `0`, as
    /// in kube, a server may send its cache, and behind a load balancer that may be older than what podskew has
    /// reported.
    ///
    /// `timeoutSeconds` covers the list and the watch after it; `length` is the time of both.
    pub(super) fn streaming_list(&self, length: Duration) -> String {
        self.query(&[
            ("watch", "true"),
            ("sendInitialEvents", "true"),
            ("resourceVersionMatch", "NotOlderThan"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", &length.as_secs().to_string()),
        ])
    }

    /// One page of a list. Without `resourceVersion` the first page is the newest state; with `0` the server would
    /// ignore the limit and send everything in one body.
    pub(super) fn page(&self, limit: u32, continue_token: &str) -> String {
        let limit = limit.to_string();
        if continue_token.is_empty() {
            self.query(&[("limit", &limit)])
        } else {
            self.query(&[("limit", &limit), ("continue", continue_token)])
        }
    }

    /// A list of one object, to read the newest version. Any object suffices, so there is no selector.
    pub(super) fn newest(&self) -> String {
        self.uri(&[("limit", "1")])
    }

    /// A list from the server's cache, in one body. It costs etcd nothing.
    pub(super) fn cached(&self) -> String {
        self.query(&[("resourceVersion", "0")])
    }

    /// A watch of changes after `version`, for whole seconds.
    pub(super) fn watch(&self, version: &str, length: Duration) -> String {
        self.query(&[
            ("watch", "true"),
            ("resourceVersion", version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", &length.as_secs().to_string()),
        ])
    }

    /// The RBAC rule that allows these verbs, in words.
    pub(super) fn rule(&self, verbs: &[&str]) -> String {
        let scope = match &self.namespace {
            Some(namespace) => format!("a Role in namespace {namespace}"),
            None => "a ClusterRole".to_owned(),
        };
        format!(
            "{scope} with {{apiGroups: [\"{}\"], resources: [\"{}\"], verbs: {verbs:?}}}",
            self.resource.group(),
            self.resource.plural()
        )
    }

    fn query(&self, parameters: &[(&str, &str)]) -> String {
        let selector = self.resource.field_selector().map(|selector| ("fieldSelector", selector));
        let parameters: Vec<_> = parameters.iter().copied().chain(selector).collect();
        self.uri(&parameters)
    }

    fn uri(&self, parameters: &[(&str, &str)]) -> String {
        let mut uri = self.resource.api_path().to_owned();
        if let Some(namespace) = &self.namespace {
            uri.push_str("/namespaces/");
            escape(&mut uri, namespace);
        }
        uri.push('/');
        uri.push_str(self.resource.plural());
        for (position, (name, value)) in parameters.iter().enumerate() {
            uri.push(if position == 0 { '?' } else { '&' });
            uri.push_str(name);
            uri.push('=');
            escape(&mut uri, value);
        }
        uri
    }
}

/// The requested duration of a watch, in whole seconds.
pub(super) fn watch_length(timings: &Timings) -> Duration {
    let least = timings.watch_length;
    Duration::from_secs(between(least, least + least / 5).as_secs().max(1))
}

/// Appends `text` with everything but RFC 3986's unreserved characters percent-encoded.
fn escape(uri: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            uri.push(char::from(byte));
        } else {
            // Infallible: writing to a `String`.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, Timings};
    use crate::objects::Resource;
    use std::time::Duration;

    fn target(resource: Resource, namespace: Option<&str>) -> Target {
        Target { resource, namespace: namespace.map(str::to_owned) }
    }

    #[test]
    fn pages() {
        assert_eq!(
            target(Resource::Pods, None).page(500, ""),
            "/api/v1/pods?limit=500&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed"
        );
        assert_eq!(
            target(Resource::ReplicaSets, Some("shop")).page(500, "a+b/c=="),
            "/apis/apps/v1/namespaces/shop/replicasets?limit=500&continue=a%2Bb%2Fc%3D%3D"
        );
        assert_eq!(target(Resource::Rollouts, None).page(1, ""), "/apis/argoproj.io/v1alpha1/rollouts?limit=1");
        assert_eq!(target(Resource::Pods, Some("shop")).newest(), "/api/v1/namespaces/shop/pods?limit=1");
    }

    #[test]
    fn watches() {
        let second = Duration::from_secs(1);
        assert_eq!(
            target(Resource::DaemonSets, None).watch("1053", second),
            "/apis/apps/v1/daemonsets?watch=true&resourceVersion=1053&allowWatchBookmarks=true&timeoutSeconds=1"
        );
        assert_eq!(
            target(Resource::DaemonSets, None).streaming_list(second),
            "/apis/apps/v1/daemonsets?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
             &allowWatchBookmarks=true&timeoutSeconds=1"
        );
    }

    #[test]
    fn a_watch_lasts_four_to_five_minutes() {
        for _ in 0..100 {
            let seconds = super::watch_length(&Timings::default()).as_secs();
            assert!((240..=290).contains(&seconds), "{seconds}");
        }
    }

    #[test]
    fn the_rule_can_be_copied() {
        assert_eq!(
            target(Resource::Pods, None).rule(&["list", "watch"]),
            r#"a ClusterRole with {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}"#
        );
        assert_eq!(
            target(Resource::Rollouts, Some("shop")).rule(&["list"]),
            r#"a Role in namespace shop with {apiGroups: ["argoproj.io"], resources: ["rollouts"], verbs: ["list"]}"#
        );
    }
}
