//! A configured registry.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep_until};

/// `--registry HOST[=URL]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RegistryAddress {
    /// The host in image references, with its port.
    pub host: String,
    /// URL to send requests to, without a trailing slash: scheme, host and port.
    pub url: String,
}

impl RegistryAddress {
    /// Reads `HOST` or `HOST=URL`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "write a registry like registry.example, or registry.example=https://mirror.example:5000";
        let (host, url) = text.split_once('=').map_or((text, None), |(host, url)| (host, Some(url)));
        let host = host.trim().to_ascii_lowercase();
        let is_authority = |text: &str| {
            let authority: Result<http::uri::Authority, _> = text.parse();
            let has_port = |it: &http::uri::Authority| !it.as_str().ends_with(':') && port_is_valid(it.as_str());
            authority.is_ok_and(|it| !text.contains('@') && !it.host().is_empty() && has_port(&it))
        };
        if !is_authority(&host) {
            return Err(format!("'{host}' is not a host; {FORM}"));
        }
        let host = if host == "index.docker.io" { "docker.io".to_owned() } else { host };
        let Some(url) = url else {
            let asked = if host == "docker.io" { "registry-1.docker.io" } else { &host };
            return Ok(Self { url: format!("https://{asked}"), host });
        };
        let Some((scheme, rest)) =
            url.trim().split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        else {
            return Err(format!("the URL begins with neither https:// nor http://; {FORM}"));
        };
        if rest.contains('@') {
            return Err("the URL holds credentials; put them into the file of --registry-auth".to_owned());
        }
        let authority = rest.trim_end_matches('/').to_ascii_lowercase();
        if authority.contains(['/', '?', '#']) || !is_authority(&authority) {
            return Err(format!("the URL has more than a host and a port; {FORM}"));
        }
        Ok(Self { url: format!("{scheme}://{authority}"), host })
    }

    /// Host and port of that URL.
    pub(super) fn authority(&self) -> &str {
        self.url.split_once("://").map_or(&*self.url, |(_, authority)| authority)
    }

    /// Whether requests go elsewhere, such as to a mirror.
    pub(super) fn is_mirrored(&self) -> bool {
        let own = if self.host == "docker.io" { "registry-1.docker.io" } else { &self.host };
        self.authority() != own
    }
}

fn port_is_valid(authority: &str) -> bool {
    match authority.rsplit_once(':') {
        Some((_, port)) if !port.contains(']') => port.parse::<u16>().is_ok(),
        _ => true,
    }
}

impl fmt::Display for RegistryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.host, self.url)
    }
}

/// A registry, and how fast it may be asked.
pub(super) struct Host {
    pub(super) name: String,
    address: RegistryAddress,
    /// Whether its responses to HEAD have no digest.
    pub(super) needs_get: AtomicBool,
    /// Limits concurrent requests.
    pub(super) slots: Semaphore,
    pause: Duration,
    next: Mutex<Instant>,
}

/// Maximum number of concurrent requests to one host.
pub(super) const MAX_HOST_REQUESTS: usize = 2;

impl Host {
    /// `pause` is the interval between two requests.
    pub(super) fn new(address: RegistryAddress, pause: Duration) -> Self {
        Self {
            name: address.host.clone(),
            address,
            needs_get: AtomicBool::new(false),
            slots: Semaphore::new(MAX_HOST_REQUESTS),
            pause,
            next: Mutex::new(Instant::now()),
        }
    }

    pub(super) fn base(&self) -> &str {
        &self.address.url
    }

    /// Whether the user typed plain HTTP.
    pub(super) fn is_plain(&self) -> bool {
        self.address.url.starts_with("http://")
    }

    /// The host whose credentials to use. A mirror does not get the credentials of the registry that it mirrors.
    pub(super) fn credentials_of(&self) -> &str {
        if self.address.is_mirrored() { self.address.authority() } else { &self.name }
    }

    pub(super) fn is_mirrored(&self) -> bool {
        self.address.is_mirrored()
    }

    /// Whether fetching a manifest counts against a limit, as on Docker Hub.
    pub(super) fn counts_pulls(&self) -> bool {
        self.address.authority() == "registry-1.docker.io"
    }

    /// Waits for the next request's turn.
    pub(super) async fn pace(&self) {
        let turn = {
            let mut next = self.next.lock().await;
            let turn = (*next).max(Instant::now());
            *next = turn + self.pause;
            turn
        };
        sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::RegistryAddress;

    #[test]
    fn a_registry_is_a_host_and_where_to_ask() {
        for (text, expected, mirrored) in [
            ("registry.example", "registry.example=https://registry.example", false),
            ("docker.io", "docker.io=https://registry-1.docker.io", false),
            ("index.docker.io", "docker.io=https://registry-1.docker.io", false),
            ("docker.io=https://mirror.example/", "docker.io=https://mirror.example", true),
            ("localhost:5000=http://localhost:5000", "localhost:5000=http://localhost:5000", false),
            ("[::1]:5000=http://[::1]:5000", "[::1]:5000=http://[::1]:5000", false),
        ] {
            let read = RegistryAddress::parse(text).unwrap();
            assert_eq!((read.to_string().as_str(), read.is_mirrored()), (expected, mirrored), "{text}");
        }
    }

    #[test]
    fn invalid_registries_are_refused_with_a_valid_form() {
        for text in [
            "",
            "a b",
            "https://r.example",
            "r.example=ftp://x",
            "r.example=x",
            "r.example=https://x/v2",
            "r.example/team",
            "r.example=https://user:pw@x",
            "u@r.example",
            "r.example:x",
            "r.example=https://x:99999",
            "r.example=https://",
        ] {
            let error = RegistryAddress::parse(text).expect_err(text);
            assert!(!error.contains("pw") && error.len() > 20, "{text}: {error}");
        }
    }
}
