//! Failures of requests to registries.

use std::fmt;
use std::time::Duration;

/// Why a request to a registry failed. It contains no credentials or tokens, and no URLs that contain them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegistryFailure {
    /// 401 or 403 for every credential.
    Unauthorized,
    /// 404.
    NotFound,
    /// 429, with the `Retry-After` of the registry.
    Throttled(Option<Duration>),
    /// Any other status.
    Status(u16),
    /// A forbidden address.
    Refused(String),
    /// No complete response in time.
    Timeout,
    /// The connection failed or broke.
    Connection(String),
    /// The response exceeds the maximum size.
    TooLong,
    /// The response has an unsupported format.
    Unreadable(&'static str),
    /// The content does not have the requested digest.
    Unconfirmed,
    /// The credentials are unavailable.
    NoCredentials(String),
}

impl RegistryFailure {
    /// The label `code` of a failure without a status code.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused(_) => "refused",
            _ => "connection",
        }
    }

    /// Whether the failure concerns the whole host, not only a repository.
    pub(super) fn is_of_host(&self) -> bool {
        matches!(self, Self::Timeout | Self::Connection(_) | Self::Refused(_) | Self::Throttled(_))
            || matches!(self, Self::Status(status) if *status >= 500)
    }
}

impl fmt::Display for RegistryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized => f.write_str("the registry accepts none of the credentials"),
            Self::NotFound => f.write_str("not found"),
            Self::Throttled(_) => f.write_str("too many requests"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Refused(why) => {
                write!(f, "not connected: {why}; if this is intended, give the address itself with --registry")
            }
            Self::Timeout => f.write_str("no complete answer in time"),
            Self::Connection(error) => f.write_str(error),
            Self::TooLong => f.write_str("the answer is longer than any manifest or configuration"),
            Self::Unreadable(what) => write!(f, "the registry answered with {what}"),
            Self::Unconfirmed => f.write_str("the content does not have the digest that the registry names"),
            Self::NoCredentials(why) => f.write_str(why),
        }
    }
}
