//! Parser for the messages with which the API server refuses to create a pod: it finds the quota, policy or object that they name.
//!
//! The messages are those of Kubernetes 1.25 to 1.37 (`plugin/pkg/admission`, `staging/src/k8s.io/apiserver/pkg/admission/plugin`) and
//! of the webhooks of Kyverno and Gatekeeper. Only names leave this file. A message may contain any text, and must not reach a metric.

/// Why the API server refused a pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denial<'m> {
    /// A `ResourceQuota` of this name is exceeded.
    Quota(&'m str),
    /// A `ResourceQuota` of this name requires requests or limits that the pod does not set.
    QuotaDemands(&'m str),
    /// The namespace's `LimitRange`.
    LimitRange,
    /// The namespace's Pod Security level, as in `restricted:latest`.
    PodSecurity(&'m str),
    /// A policy of this name, of an admission webhook or a `ValidatingAdmissionPolicy`.
    Policy(&'m str),
    /// An admission webhook of this name.
    Webhook(&'m str),
    /// An admission webhook of this name does not answer.
    WebhookFails(&'m str),
    /// An object that the pod names does not exist: its kind and its name.
    Missing(&'static str, &'m str),
    /// Something else, or something whose name cannot be read.
    Other,
}

impl<'m> Denial<'m> {
    /// Reads a message of the condition `ReplicaFailure`.
    pub fn parse(message: &'m str) -> Self {
        // A message may quote another, so the outermost cause comes first.
        let webhook_denies =
            || after(message, "admission webhook \"").filter(|_| message.contains("denied the request"));
        if let Some(webhook) = after(message, "failed calling webhook \"") {
            return named(webhook, '"').map_or(Self::Other, Self::WebhookFails);
        }
        if let Some(webhook) = webhook_denies() {
            let policy = policy(message).map(Self::Policy);
            return policy.or_else(|| named(webhook, '"').map(Self::Webhook)).unwrap_or(Self::Other);
        }
        if let Some(policy) = after(message, "ValidatingAdmissionPolicy '") {
            return named(policy, '\'').map_or(Self::Other, Self::Policy);
        }
        if let Some(quota) = after(message, "exceeded quota: ") {
            return named(quota, ',').map_or(Self::Other, Self::Quota);
        }
        if let Some(quota) = after(message, "failed quota: ") {
            return named(quota, ':').map_or(Self::Other, Self::QuotaDemands);
        }
        if let Some(level) = after(message, "violates PodSecurity \"") {
            return named(level, '"').map_or(Self::Other, Self::PodSecurity);
        }
        if LIMITS.iter().any(|words| message.contains(words)) {
            return Self::LimitRange;
        }
        for (words, end, kind) in MISSING {
            if let Some(name) = after(message, words).filter(|rest| rest.contains("not found")) {
                return named(name, end).map_or(Self::Other, |name| Self::Missing(kind, name));
            }
        }
        match after(message, "no PriorityClass with name ") {
            Some(name) => named(name, ' ').map_or(Self::Other, |name| Self::Missing("PriorityClass", name)),
            None => Self::Other,
        }
    }
}

/// Returns the part of a message that names the quota, policy or object; empty if none is found. [`Denial::parse`] returns the same for
/// both texts.
#[must_use]
pub fn named_in(message: &str) -> String {
    match Denial::parse(message) {
        Denial::Quota(name) => format!("exceeded quota: {name},"),
        Denial::QuotaDemands(name) => format!("failed quota: {name}:"),
        Denial::LimitRange => "maximum usage per Pod is exceeded".to_owned(),
        Denial::PodSecurity(level) => format!("violates PodSecurity \"{level}\""),
        Denial::Policy(name) => format!("ValidatingAdmissionPolicy '{name}'"),
        Denial::Webhook(name) => format!("admission webhook \"{name}\" denied the request"),
        Denial::WebhookFails(name) => format!("failed calling webhook \"{name}\""),
        Denial::Missing("PriorityClass", name) => format!("no PriorityClass with name {name} was found"),
        Denial::Missing("RuntimeClass", name) => format!("RuntimeClass \"{name}\" not found"),
        Denial::Missing(_, name) => format!("serviceaccount \"{name}\" not found"),
        Denial::Other => String::new(),
    }
}

/// Phrases of a `LimitRange`'s messages (`plugin/pkg/admission/limitranger/admission.go`).
const LIMITS: [&str; 3] = [" usage per Container is ", " usage per Pod is ", " max limit to request ratio per "];

/// Messages about missing objects: the words before the name, the character after it, and the object's kind.
const MISSING: [(&str, char, &str); 2] =
    [("serviceaccount \"", '"', "ServiceAccount"), ("RuntimeClass \"", '"', "RuntimeClass")];

/// Returns the policy that a webhook's message names: Gatekeeper's constraint, or the first of Kyverno's policies.
fn policy(message: &str) -> Option<&str> {
    if let Some(constraint) = after(message, "denied the request: [") {
        return named(constraint, ']');
    }
    let policies = after(message, "following policies")?.trim_start();
    named(policies, ':')
}

fn after<'m>(message: &'m str, words: &str) -> Option<&'m str> {
    message.split_once(words).map(|(_, rest)| rest)
}

/// Returns the name at the start of `text`, up to `end`. Messages are truncated, so a name without `end` is ignored, and so is one
/// that the API server would reject.
fn named(text: &str, end: char) -> Option<&str> {
    let (name, _) = text.split_once(end)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/".contains(&byte);
    let is_name = !name.is_empty() && name.len() <= 253 && !name.starts_with('-') && name.bytes().all(plain);
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{Denial, named_in};

    #[test]
    fn a_refusal_is_parsed_for_the_name_in_it() {
        for (message, expected) in [
            (
                "pods \"web-\" is forbidden: exceeded quota: compute, requested: limits.cpu=1, used: limits.cpu=3, limited: limits.cpu=3",
                Denial::Quota("compute"),
            ),
            (
                "pods \"web-7d9c-x\" is forbidden: failed quota: compute: must specify limits.cpu for: app; requests.cpu for: app",
                Denial::QuotaDemands("compute"),
            ),
            (
                "pods \"web-x\" is forbidden: [maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Pod is 1Gi, but limit is 2Gi]",
                Denial::LimitRange,
            ),
            (
                "pods \"web-x\" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000",
                Denial::LimitRange,
            ),
            (
                "pods \"web-x\" is forbidden: violates PodSecurity \"restricted:v1.30\": allowPrivilegeEscalation != false (container \"app\" must set securityContext.allowPrivilegeEscalation=false)",
                Denial::PodSecurity("restricted:v1.30"),
            ),
            (
                "pods \"web-x\" is forbidden: ValidatingAdmissionPolicy 'no-latest' with binding 'no-latest-shop' denied request: latest is not allowed",
                Denial::Policy("no-latest"),
            ),
            (
                "admission webhook \"validation.gatekeeper.sh\" denied the request: [must-have-owner] you must provide labels: {\"owner\"}",
                Denial::Policy("must-have-owner"),
            ),
            (
                "admission webhook \"validate.kyverno.svc-fail\" denied the request: \n\nresource Pod/shop/web-x was blocked due to the following policies \n\nrequire-limits:\n  validate-resources: 'validation error: CPU and memory limits are required'",
                Denial::Policy("require-limits"),
            ),
            (
                "admission webhook \"pods.shop.example\" denied the request: no [owner] label",
                Denial::Webhook("pods.shop.example"),
            ),
            (
                "admission webhook \"pods.shop.example\" denied the request without explanation",
                Denial::Webhook("pods.shop.example"),
            ),
            (
                "Internal error occurred: failed calling webhook \"pods.shop.example\": failed to call webhook: Post \"https://shop.shop.svc:443/?timeout=10s\": context deadline exceeded",
                Denial::WebhookFails("pods.shop.example"),
            ),
            (
                "pods \"web-x\" is forbidden: error looking up service account shop/web: serviceaccount \"web\" not found",
                Denial::Missing("ServiceAccount", "web"),
            ),
            (
                "pods \"web-x\" is forbidden: no PriorityClass with name gold was found",
                Denial::Missing("PriorityClass", "gold"),
            ),
            (
                "pods \"web-x\" is forbidden: pod rejected: RuntimeClass \"gvisor\" not found",
                Denial::Missing("RuntimeClass", "gvisor"),
            ),
            ("the server is currently unable to handle the request", Denial::Other),
            ("", Denial::Other),
        ] {
            assert_eq!(Denial::parse(message), expected, "{message}");
            let names = named_in(message);
            assert_eq!(Denial::parse(&names), expected, "{names}");
        }
    }

    /// Truncated names, and names that the API server would reject, are ignored.
    #[test]
    fn only_whole_and_plain_names_are_read() {
        for message in [
            "pods \"web-\" is forbidden: exceeded quota: comp",
            "exceeded quota: , requested",
            "exceeded quota: $(id), requested",
            "exceeded quota: --all, requested",
            "exceeded quota: a b, requested",
            "violates PodSecurity \"restr",
            "failed calling webhook \"\": x",
        ] {
            assert_eq!(Denial::parse(message), Denial::Other, "{message}");
        }
        let long = format!("exceeded quota: {}, requested", "q".repeat(254));
        assert_eq!(Denial::parse(&long), Denial::Other);
    }
}
