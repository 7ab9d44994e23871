//! Why there is no credential.

/// Why there is no credential. It quotes none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct CredentialError(String);

impl CredentialError {
    pub(super) fn new(message: String) -> Self {
        Self(message)
    }
}
