//! Decides when the inventory learns that a resource is forbidden or not served.

use super::timings::Timings;
use crate::telemetry::FailureReason;
use std::time::Duration;
use tokio::time::Instant;

/// Why a source cannot be listed although the API server works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    Forbidden,
    NotServed,
}

impl Refused {
    pub(super) fn from_reason(reason: FailureReason) -> Option<Self> {
        match reason {
            FailureReason::Forbidden => Some(Self::Forbidden),
            FailureReason::NotFound => Some(Self::NotServed),
            _ => None,
        }
    }
}

/// What was last reported to the inventory about a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LastOutcome {
    Nothing,
    Listed,
    Refused(Refused),
}

/// Decides when a refusal counts as permanent, which is called settled.
///
/// A starting API server refuses everything with 403 until it has read its own roles, for a second up to half a minute.
/// It answers 404 for custom resources until it has read their definitions. So a first 403 settles when it is repeated
/// after the server allowed another resource of the same scope, or when it lasts. A first 404 settles at once, because
/// the initial sync must not wait for a missing resource. After a list, either settles only after it has lasted without
/// interruption.
#[derive(Debug)]
pub(super) struct AuthorizationTracker {
    reported: LastOutcome,
    refused_since: Option<(Refused, Instant)>,
}

impl AuthorizationTracker {
    pub(super) fn new() -> Self {
        Self { reported: LastOutcome::Nothing, refused_since: None }
    }

    /// Records a completed list.
    pub(super) fn listed(&mut self) {
        self.reported = LastOutcome::Listed;
        self.refused_since = None;
    }

    /// Records an attempt that ended without a refusal.
    pub(super) fn not_refused(&mut self) {
        self.refused_since = None;
    }

    /// Records the refusal of a request that was sent at `asked`. `other_allowed_since` is since when the server has
    /// allowed another resource of the same scope. Returns whether to report it to the inventory now.
    pub(super) fn refused(
        &mut self,
        refused: Refused,
        asked: Instant,
        other_allowed_since: Option<Instant>,
        timings: &Timings,
        now: Instant,
    ) -> bool {
        let before = self.refused_since.filter(|(before, _)| *before == refused);
        let (_, since) = *self.refused_since.insert(before.unwrap_or((refused, now)));
        let believed = match (self.reported, refused) {
            (LastOutcome::Nothing, Refused::Forbidden) => {
                let is_settled = before.is_some() && other_allowed_since.is_some_and(|allowed| allowed < asked);
                is_settled || now - since >= timings.forbidden_settles
            }
            (LastOutcome::Nothing, Refused::NotServed) => true,
            (LastOutcome::Listed, _) | (LastOutcome::Refused(Refused::NotServed), Refused::Forbidden) => {
                now - since >= timings.refusal_grace
            }
            (LastOutcome::Refused(reported), _) => reported != refused,
        };
        if believed {
            self.reported = LastOutcome::Refused(refused);
        }
        believed
    }

    /// Whether a first 403 has not settled yet.
    pub(super) fn is_unsettled(&self) -> bool {
        self.reported == LastOutcome::Nothing
    }

    /// Whether the server served the resource before, and has refused it for less than `young`.
    pub(super) fn may_be_starting(&self, young: Duration, now: Instant) -> bool {
        let answers = match self.reported {
            LastOutcome::Nothing => false,
            LastOutcome::Listed => true,
            LastOutcome::Refused(reported) => self.refused_since.is_some_and(|(refused, _)| refused != reported),
        };
        answers && self.refused_since.is_some_and(|(_, since)| now - since < young)
    }

    /// Whether the inventory knows that the source is not served.
    pub(super) fn is_not_served(&self) -> bool {
        self.reported == LastOutcome::Refused(Refused::NotServed)
    }
}

#[cfg(test)]
mod tests {
    use super::Refused::{Forbidden, NotServed};
    use super::{AuthorizationTracker, Refused, Timings};
    use std::time::Duration;
    use tokio::time::Instant;

    /// A source and its refusals, second by second.
    struct Scene {
        answered: AuthorizationTracker,
        began: Instant,
    }

    impl Scene {
        fn new() -> Self {
            Self { answered: AuthorizationTracker::new(), began: Instant::now() }
        }

        fn at(&self, second: u64) -> Instant {
            self.began + Duration::from_secs(second)
        }

        /// Whether a refusal settles; another resource was allowed at second `other`.
        fn believes(&mut self, refused: Refused, second: u64, other: Option<u64>) -> bool {
            let now = self.at(second);
            let other = other.map(|second| self.at(second));
            self.answered.refused(refused, now, other, &Timings::default(), now)
        }

        fn may_be_starting(&self, second: u64) -> bool {
            self.answered.may_be_starting(Duration::from_secs(30), self.at(second))
        }
    }

    #[test]
    fn a_first_403_settles_when_it_is_repeated_after_another_resource_was_allowed() {
        let mut scene = Scene::new();
        assert!(!scene.believes(Forbidden, 1, None));
        assert!(!scene.believes(Forbidden, 2, None), "nothing else was allowed");
        assert!(!scene.believes(Forbidden, 3, Some(3)), "not after it was");
        assert!(scene.answered.is_unsettled());
        assert!(scene.believes(Forbidden, 4, Some(3)));
        assert!(!scene.believes(Forbidden, 5, Some(3)), "it is reported once");
        assert!(!scene.answered.is_unsettled());
    }

    #[test]
    fn a_first_403_is_not_settled_by_one_refusal_beside_what_was_allowed_before() {
        let mut scene = Scene::new();
        assert!(!scene.believes(Forbidden, 1, Some(0)));
        scene.answered.not_refused();
        assert!(!scene.believes(Forbidden, 2, Some(0)), "another failure came between");
        assert!(scene.believes(Forbidden, 3, Some(0)));
    }

    #[test]
    fn a_first_403_settles_after_a_minute_in_any_case() {
        let mut scene = Scene::new();
        assert!(!scene.believes(Forbidden, 0, None));
        assert!(!scene.believes(Forbidden, 59, None));
        assert!(scene.believes(Forbidden, 60, None));
        assert!(scene.believes(NotServed, 61, None), "it is another refusal");
    }

    #[test]
    fn a_first_404_is_believed_at_once_and_a_403_behind_it_when_it_lasts() {
        let mut scene = Scene::new();
        assert!(scene.believes(NotServed, 0, None));
        assert!(scene.answered.is_not_served());
        assert!(!scene.believes(NotServed, 1, None), "it is reported once");
        assert!(!scene.believes(Forbidden, 3_600, None), "the server restarts");
        assert!(scene.may_be_starting(3_629) && !scene.may_be_starting(3_630));
        assert!(scene.answered.is_not_served());
        assert!(!scene.believes(NotServed, 3_660, None));
        assert!(!scene.may_be_starting(3_661));
        assert!(!scene.believes(Forbidden, 4_000, None));
        assert!(!scene.believes(Forbidden, 4_299, None));
        assert!(scene.believes(Forbidden, 4_300, None));
    }

    #[test]
    fn a_refusal_after_a_list_is_believed_when_it_lasts() {
        for refused in [Forbidden, NotServed] {
            let mut scene = Scene::new();
            scene.answered.listed();
            assert!(!scene.believes(refused, 0, Some(0)));
            assert!(!scene.believes(refused, 299, Some(0)));
            scene.answered.listed();
            assert!(!scene.believes(refused, 300, Some(0)), "a list in between counts again");
            assert!(scene.believes(refused, 600, Some(0)));
        }
    }
}
