//! Interface between the server and the page.

use super::ListenAddress;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::{HeaderName, HeaderValue, StatusCode};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Where to serve the page.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum PageAddress {
    /// Beside the metrics.
    #[default]
    Main,
    /// Nowhere.
    Off,
    /// On its own address.
    Own(ListenAddress),
}

impl fmt::Display for PageAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main => f.write_str("on"),
            Self::Off => f.write_str("off"),
            Self::Own(address) => address.fmt(f),
        }
    }
}

impl FromStr for PageAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "on" | "true" => Ok(Self::Main),
            "off" | "false" => Ok(Self::Off),
            _ => {
                text.parse().map(Self::Own).map_err(|error| format!("it is neither on nor off nor an address: {error}"))
            }
        }
    }
}

/// Answers requests for the page and the API.
pub trait Pages: Send + Sync + 'static {
    /// Whether to answer requests for this host; `None` for a request without one.
    fn serves_host(&self, host: Option<&str>) -> bool;

    /// Answers a request. It may wait for a thread.
    fn answer(self: Arc<Self>, request: PageRequest) -> BoxFuture<'static, PageResponse>;

    /// An event stream from now on (`text/event-stream`); `None` if none is available.
    fn events(&self) -> Option<BoxStream<'static, Bytes>>;
}

/// A request that access control admitted.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The raw path, percent-encoded.
    pub path: String,
    /// The raw query; empty without one.
    pub query: String,
    /// All `If-None-Match` values.
    pub if_none_match: Option<String>,
    /// Whether the client takes gzip.
    pub gzip: bool,
}

/// A response.
#[derive(Clone, Debug)]
pub struct PageResponse {
    /// Status code.
    pub status: StatusCode,
    /// Header fields beside those of every page.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body.
    pub body: Bytes,
}

/// Path of the event stream.
pub(super) const EVENTS: &str = "/events";

/// The route pattern of a path that [`Pages`] answers, for which `--auth kubernetes` checks access; `None` for any other path.
pub(super) fn pattern(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix('/')?;
    match path.split_once('/') {
        None => matches!(path, "" | "image" | "events").then_some("/"),
        Some(("workload" | "node" | "static", rest)) => (!rest.is_empty()).then_some("/"),
        Some(("api", rest)) => (rest == "v1" || rest.starts_with("v1/")).then_some("/api/v1"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{EVENTS, pattern};

    #[test]
    fn every_path_has_the_pattern_of_its_route() {
        for (path, expected) in [
            ("/", Some("/")),
            ("/workload/shop/deployment/web", Some("/")),
            ("/node/a", Some("/")),
            ("/image", Some("/")),
            (EVENTS, Some("/")),
            ("/static/page.css", Some("/")),
            ("/api/v1/summary", Some("/api/v1")),
            ("/api/v1", Some("/api/v1")),
            ("/api/v10", None),
            ("/api", None),
            ("//", None),
            ("/workload", None),
            ("/workload/", None),
            ("/image/x", None),
            ("/metrics", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(pattern(path), expected, "{path}");
        }
    }
}
