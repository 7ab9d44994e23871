//! A credential for a repository.

use std::fmt;

/// A credential. Its `Debug` output holds no secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Credential {
    /// A user and a password.
    Basic(String, String),
    /// A refresh token for the registry's token server.
    Identity(String),
    /// A bearer token for the registry itself.
    Bearer(String),
    /// No credential.
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
