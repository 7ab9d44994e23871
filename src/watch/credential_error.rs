//! The error for unavailable credentials.

/// Why credentials are unavailable. The message does not quote a credential.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct CredentialError(String);

impl CredentialError {
    pub(super) fn new(message: String) -> Self {
        Self(message)
    }
}
