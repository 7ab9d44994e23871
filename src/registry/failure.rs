//! Why a registry gave no answer that counts.

use std::fmt;
use std::time::Duration;

/// Why a registry gave no answer that counts. Nothing of it holds credentials, tokens or URLs with either.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegistryFailure {
    /// 401 or 403 to every credential there is.
    Unauthorized,
    /// 404.
    NotFound,
    /// 429, and after how long to ask again where the registry says it.
    Throttled(Option<Duration>),
    /// Any other status.
    Status(u16),
    /// An address that no registry is asked at.
    Refused(String),
    /// No complete answer in time.
    Timeout,
    /// No connection, or one that broke.
    Connection(String),
    /// More bytes than any manifest or configuration has.
    TooLong,
    /// An answer of a form that podskew does not read.
    Unreadable(&'static str),
    /// Content that does not have the digest that it was asked by.
    Unconfirmed,
    /// The credentials could not be obtained.
    NoCredentials(String),
}

impl RegistryFailure {
    /// The value of the label `code` where no status tells it.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused(_) => "refused",
            _ => "connection",
        }
    }

    /// Whether it says that the host cannot be reached, and not only one repository.
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
                write!(f, "not connected: {why}; name the address itself with --registry if it is meant")
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
