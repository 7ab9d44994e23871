//! What the inventory is told when a resource is forbidden or not served, and when.

use crate::telemetry::FailureReason;
use std::time::Duration;
use tokio::time::Instant;

/// Why a source cannot be listed although the API server is well.
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

/// What the inventory was told last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Nothing,
    Listed,
    Refused(Refused),
}

/// Decides when a refusal is believed.
///
/// At first, at once: the first complete picture must not wait for what will not come. After a list, only when it has
/// been refused without a break for a while: an API server that starts refuses everybody until it has read its own roles,
/// and answers 404 for custom resources until it has read their definitions.
#[derive(Debug)]
pub(super) struct Answered {
    told: Told,
    refused_since: Option<Instant>,
}

impl Answered {
    pub(super) fn new() -> Self {
        Self { told: Told::Nothing, refused_since: None }
    }

    /// A list is complete.
    pub(super) fn listed(&mut self) {
        self.told = Told::Listed;
        self.refused_since = None;
    }

    /// An attempt ended in another way than by a refusal.
    pub(super) fn not_refused(&mut self) {
        self.refused_since = None;
    }

    /// An attempt was refused. Says whether the inventory has to be told so now.
    pub(super) fn refused(&mut self, refused: Refused, grace: Duration) -> bool {
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        let believed = match self.told {
            Told::Nothing => true,
            Told::Listed => since.elapsed() >= grace,
            Told::Refused(told) => told != refused,
        };
        if believed {
            self.told = Told::Refused(refused);
        }
        believed
    }

    /// Whether it was listed before, and has been refused for less than `young`.
    pub(super) fn may_be_starting(&self, young: Duration) -> bool {
        self.told == Told::Listed && self.refused_since.is_some_and(|since| since.elapsed() < young)
    }

    /// Whether the inventory knows that the source is not served.
    pub(super) fn is_not_served(&self) -> bool {
        self.told == Told::Refused(Refused::NotServed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Answered, Refused};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(300);

    #[test]
    fn a_first_refusal_is_believed_at_once_and_told_once() {
        let mut answered = Answered::new();
        assert!(answered.refused(Refused::Forbidden, LONG));
        assert!(!answered.refused(Refused::Forbidden, LONG));
        assert!(answered.refused(Refused::NotServed, LONG));
        assert!(answered.is_not_served());
    }

    #[test]
    fn a_refusal_after_a_list_is_believed_when_it_lasts() {
        let mut answered = Answered::new();
        answered.listed();
        assert!(!answered.refused(Refused::Forbidden, LONG));
        assert!(answered.refused(Refused::Forbidden, Duration::ZERO));
        answered.listed();
        assert!(!answered.refused(Refused::Forbidden, LONG), "a list in between counts again");
    }
}
