//! States of references.

/// State of a reference: label `state` of `podskew_registry_references`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum ReferenceState {
    /// Not asked or not confirmed yet.
    Pending,
    /// Its digest is known.
    Answered,
    /// Gone from the registry.
    Gone,
    /// 404.
    NotFound,
    /// 401 or 403.
    Unauthorized,
    /// 429.
    Throttled,
    /// The content does not have its digest.
    Unconfirmed,
    /// Any other failure.
    Failed,
    /// The registry answered, but nodes resolve the tag elsewhere.
    Contradicted,
}

impl ReferenceState {
    pub(super) const ALL: [Self; 9] = [
        Self::Pending,
        Self::Answered,
        Self::Gone,
        Self::NotFound,
        Self::Unauthorized,
        Self::Throttled,
        Self::Unconfirmed,
        Self::Failed,
        Self::Contradicted,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Answered => "answered",
            Self::Gone => "gone",
            Self::NotFound => "not_found",
            Self::Unauthorized => "unauthorized",
            Self::Throttled => "throttled",
            Self::Unconfirmed => "unconfirmed",
            Self::Failed => "failed",
            Self::Contradicted => "contradicted",
        }
    }
}
