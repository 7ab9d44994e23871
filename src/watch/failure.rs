//! Why an attempt failed: the reason for the counter, the message for the log, and the consequence for the next
//! attempt.

use super::connect_error;
use super::credential_error::CredentialError;
use super::framing::EventTooLong;
use crate::objects::{ApiStatus, DecodeError, decode_status};
use crate::telemetry::FailureReason;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use std::error::Error;
use std::time::Duration;

/// Upper bound for a server's `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Maximum length of a message in the log.
const LONGEST_MESSAGE: usize = 1 << 10;

/// Marks a truncated message.
const ELLIPSIS: &str = "…";

/// Why a list or a watch failed.
#[derive(Clone, Debug)]
pub(super) struct WatchFailure {
    /// The reason.
    pub(super) reason: FailureReason,
    /// The message: podskew's own, or the one of the API server's Status. Never part of an object.
    pub(super) message: String,
    /// `Retry-After` of the server.
    pub(super) retry_after: Option<Duration>,
    /// Whether the next attempt must list: the watch cannot resume.
    pub(super) relist: bool,
    /// Whether further attempts fail until the user follows the message.
    pub(super) lasting: bool,
}

impl WatchFailure {
    fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > LONGEST_MESSAGE {
            let room = LONGEST_MESSAGE - ELLIPSIS.len();
            message.truncate((0..=room).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0));
            message.push_str(ELLIPSIS);
            message.shrink_to_fit();
        }
        Self {
            reason,
            message,
            retry_after: None,
            // An unreadable line may have been any change; an expired version stays expired.
            relist: matches!(reason, FailureReason::Expired | FailureReason::TimelineLost | FailureReason::Decode),
            lasting: false,
        }
    }

    /// The API server responded with this error status.
    pub(super) fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        if let Some(advice) = connect_error::plain_on_tls(body) {
            return Self { lasting: true, ..Self::connection(advice) };
        }
        let said = decode_status(body).unwrap_or_default();
        // Kubernetes sends seconds. For the date format, which HTTP also allows, the backoff applies.
        let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let seconds = header.or(said.retry_after_seconds.map(u64::from));
        let message = if said.message.is_empty() { format!("the API server answered {status}") } else { said.message };
        Self::of_code(status.as_u16(), message, seconds)
    }

    /// The API server ended a watch with this ERROR event.
    pub(super) fn event(said: ApiStatus) -> Self {
        let code = match (said.code, said.reason.as_str()) {
            (_, "Expired" | "Gone") => 410,
            (0, _) => 500,
            (code, _) => code,
        };
        let message = if said.message.is_empty() { format!("the watch ended with code {code}") } else { said.message };
        Self::of_code(code, message, said.retry_after_seconds.map(u64::from))
    }

    fn of_code(code: u16, message: String, retry_after_seconds: Option<u64>) -> Self {
        let reason = match code {
            401 => FailureReason::Unauthorized,
            403 => FailureReason::Forbidden,
            404 => FailureReason::NotFound,
            410 => FailureReason::Expired,
            429 => FailureReason::Throttled,
            408 | 504 => FailureReason::Timeout,
            500.. => FailureReason::ServerError,
            _ => FailureReason::Rejected,
        };
        let mut failure = Self::new(reason, message);
        failure.retry_after = retry_after_seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
        // A rejected request will be rejected again. 504 also means "Too large resource version" (apiserver
        // storage/errors.go, NewTooLargeResourceVersionError): a lagging replica says so, and nothing is lost.
        failure.relist |= reason == FailureReason::Rejected;
        failure
    }

    /// No response in time.
    pub(super) fn timeout(message: impl Into<String>) -> Self {
        Self::new(FailureReason::Timeout, message)
    }

    /// The connection broke.
    pub(super) fn connection(message: impl Into<String>) -> Self {
        Self::new(FailureReason::Connection, message)
    }

    /// The API server went back to an older state.
    pub(super) fn timeline_lost(message: impl Into<String>) -> Self {
        Self::new(FailureReason::TimelineLost, message)
    }

    /// Whether the API server may be down.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self.reason, FailureReason::Timeout | FailureReason::Connection | FailureReason::ServerError)
    }

    /// An unreadable response.
    pub(super) fn unreadable(message: impl Into<String>) -> Self {
        Self::new(FailureReason::Decode, message)
    }

    /// The request failed, or the response ended early.
    pub(super) fn transport(error: &kube::Error) -> Self {
        if let Some(advice) = connect_error::tls(error) {
            return Self { lasting: true, ..Self::connection(advice) };
        }
        let mut link: Option<&(dyn Error + 'static)> = Some(error);
        let mut message = String::new();
        while let Some(cause) = link {
            if let Some(error) = cause.downcast_ref::<CredentialError>() {
                return Self::new(FailureReason::Unauthorized, error.to_string());
            }
            // kube's messages repeat those of their sources. The replaced words are hyper-util's, for a proxy's
            // response.
            let text = cause.to_string().replace("tunnel error: ", "the proxy opened no tunnel: ");
            if !message.contains(&text) {
                if !message.is_empty() {
                    message.push_str(": ");
                }
                message.push_str(&text);
            }
            link = cause.source();
        }
        Self::connection(message)
    }
}

impl From<EventTooLong> for WatchFailure {
    fn from(error: EventTooLong) -> Self {
        Self::unreadable(error.to_string())
    }
}

impl From<DecodeError> for WatchFailure {
    fn from(error: DecodeError) -> Self {
        Self::unreadable(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_RETRY_AFTER, WatchFailure};
    use crate::objects::ApiStatus;
    use crate::telemetry::FailureReason;
    use http::{HeaderMap, StatusCode};
    use std::time::Duration;

    fn refused(code: u16, body: &str) -> WatchFailure {
        WatchFailure::refused(StatusCode::from_u16(code).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn every_status_has_a_reason_and_says_whether_the_version_is_lost() {
        let cases = [
            (400, FailureReason::Rejected, true),
            (401, FailureReason::Unauthorized, false),
            (403, FailureReason::Forbidden, false),
            (404, FailureReason::NotFound, false),
            (410, FailureReason::Expired, true),
            (422, FailureReason::Rejected, true),
            (429, FailureReason::Throttled, false),
            (500, FailureReason::ServerError, false),
            (503, FailureReason::ServerError, false),
            (504, FailureReason::Timeout, false),
        ];
        for (code, reason, relist) in cases {
            let failure = refused(code, "");
            assert_eq!((failure.reason, failure.relist), (reason, relist), "{code}");
        }
    }

    #[test]
    fn the_recorded_refusals_speak_for_themselves() {
        let forbidden = refused(403, include_str!("../../tests/data/recordings/protocol/forbidden.json"));
        assert!(forbidden.message.contains("cannot list resource"), "{}", forbidden.message);
        let unauthorized = refused(401, include_str!("../../tests/data/recordings/protocol/unauthorized.json"));
        assert_eq!(unauthorized.message, "Unauthorized");
        let missing = refused(404, include_str!("../../tests/data/recordings/protocol/rollouts-missing-crd.txt"));
        assert_eq!(missing.message, "the API server answered 404 Not Found");
    }

    #[test]
    fn a_long_message_is_cut() {
        let message = |letter: &str| {
            refused(500, &format!(r#"{{"kind":"Status","message":"{}"}}"#, letter.repeat(5_000))).message
        };
        assert_eq!(message("x").len(), 1024);
        assert!(message("x").ends_with("x…"));
        let cut = message("ä");
        assert!(cut.len() <= 1024 && cut.ends_with("ä…"), "{cut}");
    }

    #[test]
    fn retry_after_is_honoured_within_reason() {
        let after = |value: &str| {
            let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, value.parse().unwrap())]);
            WatchFailure::refused(StatusCode::TOO_MANY_REQUESTS, &headers, b"").retry_after
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("999999999999"), Some(LONGEST_RETRY_AFTER));
        assert_eq!(after("Fri, 31 Dec 1999 23:59:59 GMT"), None);
        assert_eq!(refused(429, "").retry_after, None);
    }

    #[test]
    fn an_error_event_is_read_by_its_reason_first() {
        let event = |code, reason: &str| {
            WatchFailure::event(ApiStatus { code, reason: reason.to_owned(), ..ApiStatus::default() })
        };
        assert_eq!(event(410, "Expired").reason, FailureReason::Expired);
        assert_eq!(event(0, "Expired").reason, FailureReason::Expired);
        assert_eq!(event(0, "").reason, FailureReason::ServerError);
        assert_eq!(event(500, "InternalError").reason, FailureReason::ServerError);
    }

    #[test]
    fn a_credential_error_is_the_whole_message() {
        let error = super::CredentialError::new("the token file /t is empty".to_owned());
        let failure = WatchFailure::transport(&kube::Error::Service(error.into()));
        assert_eq!(
            (failure.reason, failure.message.as_str()),
            (FailureReason::Unauthorized, "the token file /t is empty")
        );
    }
}
