//! Why pods are not Ready, as text and JSON.

use crate::report::facts::WaitingFacts;
use serde::Serialize;

/// One reason why a pod is not Ready.
#[derive(PartialEq, Eq, Serialize, Debug)]
pub(super) struct Reason<'a> {
    /// The container; `None` if the pod itself waits.
    container: Option<&'a str>,
    /// Kubernetes' reason, like `ImagePullBackOff`, or podskew's own.
    #[serde(rename = "reason")]
    word: String,
    /// The API's message.
    message: Option<&'a str>,
}

impl<'a> Reason<'a> {
    pub(super) fn of(waiting: &'a WaitingFacts) -> Self {
        let known = |text: &'a str| (!text.is_empty()).then_some(text);
        Self { container: known(&waiting.container), word: reason(waiting), message: known(&waiting.message) }
    }
}

fn reason(waiting: &WaitingFacts) -> String {
    let reason = match &*waiting.reason {
        "not_ready" => "running and not ready",
        "init_container_failed" => "failed",
        "" => {
            if waiting.exit_code.is_some() {
                "terminated"
            } else {
                "waiting"
            }
        }
        reason => reason,
    };
    match waiting.exit_code {
        Some(code) => format!("{reason} (exit code {code})"),
        None => reason.to_owned(),
    }
}

/// `container web: ImagePullBackOff, container proxy: running and not ready`.
#[must_use]
pub fn in_words(reasons: &[WaitingFacts]) -> String {
    let words = reasons.iter().map(|waiting| match &*waiting.container {
        "" => reason(waiting),
        container => format!("container {container}: {}", reason(waiting)),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::in_words;
    use crate::report::facts::WaitingFacts;

    #[test]
    fn reasons_include_their_containers() {
        let waiting = |container: &str, reason: &str, exit_code| WaitingFacts {
            container: container.into(),
            reason: reason.into(),
            exit_code,
            message: "".into(),
        };
        let all = [
            waiting("app", "ImagePullBackOff", None),
            waiting("app", "not_ready", None),
            waiting("app", "OOMKilled", Some(137)),
            waiting("app", "", Some(1)),
            waiting("migrate", "init_container_failed", Some(3)),
            waiting("", "Unschedulable", None),
        ];
        let expected = "container app: ImagePullBackOff, container app: running and not ready, container app: OOMKilled (exit code 137), \
                        container app: terminated (exit code 1), container migrate: failed (exit code 3), Unschedulable";
        assert_eq!(in_words(&all), expected);
    }
}
