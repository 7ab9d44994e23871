//! A credential for a repository.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// A credential. Its `Debug` output holds no secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Credential {
    /// A user and a password.
    Basic(String, Secret),
    /// A refresh token for the registry's token server.
    Identity(Secret),
    /// A bearer token for the registry itself.
    Bearer(Secret),
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

/// A password or token.
///
/// A helper may issue another one every time (Amazon's does), for the same account. So the hash of an issued secret is
/// always the same, and content that the account has seen can be reported as gone.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret {
    text: String,
    is_issued: bool,
}

impl Secret {
    /// A secret from a file.
    pub(super) fn of_file(text: String) -> Self {
        Self { text, is_issued: false }
    }

    /// A secret that a helper printed.
    pub(super) fn of_helper(text: String) -> Self {
        Self { text, is_issued: true }
    }
}

impl Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.is_issued, if self.is_issued { "" } else { &*self.text }).hash(state);
    }
}
