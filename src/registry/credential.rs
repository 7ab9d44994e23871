//! What opens a repository.

use std::fmt;

/// What opens a repository. What it shows of itself holds no secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Credential {
    /// A user and a password.
    Basic(String, String),
    /// A refresh token, which the registry's token server takes.
    Identity(String),
    /// A bearer token for the registry itself.
    Bearer(String),
    /// None.
    Anonymous,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic(..) => "Basic",
            Self::Identity(_) => "Identity",
            Self::Bearer(_) => "Bearer",
            Self::Anonymous => "Anonymous",
        })
    }
}
