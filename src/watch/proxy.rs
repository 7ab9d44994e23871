//! Chooses the proxy for the API server, like kubectl.
//!
//! A cluster's `proxy-url` always applies. Otherwise the environment decides, as in Go's
//! `golang.org/x/net/http/httpproxy`: `HTTPS_PROXY` or `HTTP_PROXY` by the server's scheme, the lower-case names if
//! those are empty, and no proxy for hosts in `NO_PROXY` and for this machine. kube 5.0 compares `NO_PROXY` with the
//! proxy instead of the server.

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::net::IpAddr;

/// Protocol of a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Protocol {
    /// HTTP CONNECT.
    Http,
    /// The same over TLS.
    Https,
    /// SOCKS 5; the proxy resolves the server's name.
    Socks5,
}

/// A proxy. Its `Debug` output holds no credentials.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) protocol: Protocol,
    /// With a port, and without credentials.
    pub(crate) address: Uri,
    credentials: Option<(String, String)>,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.address.to_string().trim_end_matches('/'))
    }
}

/// Environment variables about proxies.
pub(crate) struct Variables<F>(pub(crate) F);

impl Proxy {
    /// Parses the proxy URL in `named_by`.
    ///
    /// # Errors
    ///
    /// The text is not the URL of a supported proxy.
    fn read(text: &str, named_by: &str) -> anyhow::Result<Self> {
        // Not quoted: it may hold a password.
        let unreadable = || {
            format!(
                "{named_by} is not the URL of a proxy; write scheme://host:port, with other characters in credentials percent-encoded"
            )
        };
        let parse = |text: &str| {
            let uri = text.parse::<Uri>().ok()?;
            (uri.scheme().is_some() && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
        };
        let uri = if text.contains("://") { parse(text) } else { parse(&format!("http://{text}")) };
        let uri = uri.with_context(unreadable)?;
        let (protocol, default_port) = match uri.scheme_str().unwrap_or_default() {
            "http" => (Protocol::Http, 80),
            "https" => (Protocol::Https, 443),
            "socks5" | "socks5h" => (Protocol::Socks5, 1080),
            scheme => bail!(
                "{named_by} names a proxy of scheme {scheme}, which podskew does not support; it supports http, https, socks5 and socks5h"
            ),
        };
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        let credentials = authority.rsplit_once('@').map(|(credentials, _)| {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
            (decoded(user), decoded(password))
        });
        let host = uri.host().unwrap_or_default();
        let port = port_of(&uri).with_context(unreadable)?.unwrap_or(default_port);
        let scheme = match protocol {
            Protocol::Http => "http",
            Protocol::Https => "https",
            Protocol::Socks5 => "socks5",
        };
        let address = format!("{scheme}://{host}:{port}").parse().with_context(unreadable)?;
        if protocol == Protocol::Socks5
            && credentials.as_ref().is_some_and(|(user, password)| user.len().max(password.len()) > 255)
        {
            bail!("{named_by} has a user or a password of more than 255 bytes, which SOCKS does not allow");
        }
        Ok(Self { protocol, address, credentials })
    }

    /// The value of `Proxy-Authorization`.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.credentials.as_ref()?;
        let mut value =
            HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// User and password.
    pub(crate) fn credentials(&self) -> Option<(String, String)> {
        self.credentials.clone()
    }
}

/// The port in a URI.
///
/// # Errors
///
/// It is out of range.
pub(super) fn port_of(uri: &Uri) -> anyhow::Result<Option<u16>> {
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
    match host_and_port.rsplit_once(':') {
        // A colon within brackets belongs to an IPv6 address.
        Some((_, port)) if !port.contains(']') && !port.is_empty() => {
            port.parse().map(Some).context("the port is not a number up to 65535")
        }
        _ => Ok(None),
    }
}

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    /// The proxy for `server`, if any.
    pub(crate) fn proxy_for(&self, server: &Uri, proxy_url: Option<&str>) -> anyhow::Result<Option<Proxy>> {
        if let Some(text) = proxy_url.map(str::trim).filter(|text| !text.is_empty()) {
            return Proxy::read(text, "the cluster's proxy-url").map(Some);
        }
        let names = if server.scheme_str() == Some("http") {
            ["HTTP_PROXY", "http_proxy"]
        } else {
            ["HTTPS_PROXY", "https_proxy"]
        };
        let Some((name, text)) = self.first(names) else { return Ok(None) };
        let no_proxy = self.first(["NO_PROXY", "no_proxy"]).map_or_else(String::new, |(_, text)| text);
        if is_covered(server, &no_proxy) {
            return Ok(None);
        }
        Proxy::read(text.trim(), name).map(Some)
    }

    fn first(&self, names: [&'static str; 2]) -> Option<(&'static str, String)> {
        names.into_iter().find_map(|name| Some((name, (self.0)(name).filter(|text| !text.is_empty())?)))
    }
}

/// Whether `server` is reached without a proxy.
fn is_covered(server: &Uri, no_proxy: &str) -> bool {
    let host = server.host().unwrap_or_default().to_ascii_lowercase();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let default_port = if server.scheme_str() == Some("http") { 80 } else { 443 };
    let port = server.port_u16().unwrap_or(default_port).to_string();
    let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    let entries = no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase());
    entries.filter(|entry| !entry.is_empty()).any(|entry| covers(&entry, host, ip, &port))
}

/// Whether an entry of `NO_PROXY` covers a host.
fn covers(entry: &str, host: &str, ip: Option<IpAddr>, port: &str) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(network) = entry.parse::<IpNet>() {
        return ip.is_some_and(|ip| network.contains(&ip));
    }
    let (name, wanted_port) = split_port(entry);
    if !wanted_port.is_empty() && wanted_port != port {
        return false;
    }
    if let Ok(wanted) = name.parse::<IpAddr>() {
        return ip == Some(wanted.to_canonical());
    }
    // An IP address is never part of a domain.
    if name.is_empty() || ip.is_some() {
        return false;
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|before| before.ends_with('.')),
    }
}

/// Host and port of an entry. An IPv6 address with a port is in brackets.
fn split_port(entry: &str) -> (&str, &str) {
    if let Some((host, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':').unwrap_or(""));
    }
    match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port),
        _ => (entry, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::{Protocol, Variables};
    use http::Uri;

    fn proxy(server: &str, proxy_url: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let value = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let server: Uri = server.parse().unwrap();
        let found = Variables(value).proxy_for(&server, proxy_url);
        found.map(|proxy| proxy.map(|proxy| proxy.address.to_string())).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn the_environment_decides_by_the_servers_scheme() {
        let both = [("HTTPS_PROXY", "http://secure:3128"), ("HTTP_PROXY", "plain")];
        assert_eq!(proxy("https://k8s:6443", None, &both), Ok(Some("http://secure:3128/".to_owned())));
        assert_eq!(proxy("http://k8s:8080", None, &both), Ok(Some("http://plain:80/".to_owned())));
        let lower = [("https_proxy", "socks5h://s"), ("HTTPS_PROXY", "")];
        assert_eq!(proxy("https://k8s", None, &lower), Ok(Some("socks5://s:1080/".to_owned())));
        assert_eq!(proxy("https://k8s", None, &[]), Ok(None));
    }

    #[test]
    fn proxy_url_applies_regardless_of_no_proxy() {
        let covered = [("NO_PROXY", "*"), ("HTTPS_PROXY", "http://other")];
        let expected = Ok(Some("https://named:443/".to_owned()));
        assert_eq!(proxy("https://localhost:6443", Some("https://named"), &covered), expected);
        assert_eq!(proxy("https://localhost:6443", Some(""), &covered), Ok(None));
    }

    /// Cases of Go's `httpproxy/proxy_test.go` and its documentation.
    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        let cases = [
            ("https://localhost:6443", "", true),
            ("https://127.0.0.3", "", true),
            ("https://[::1]:6443", "", true),
            ("https://10.0.0.1", "", false),
            ("https://k8s.example.com", "*", true),
            ("https://k8s.example.com", "other.com, *", true),
            ("https://k8s.example.com", "example.com", true),
            ("https://K8S.EXAMPLE.com", "Example.COM", true),
            ("https://example.com", "example.com", true),
            ("https://example.com", ".example.com", false),
            ("https://k8s.example.com", ".example.com", true),
            ("https://k8s.example.com", "*.example.com", true),
            ("https://example.com", "*.example.com", false),
            ("https://badexample.com", "example.com", false),
            ("https://example.com.evil", "example.com", false),
            ("https://k8s.example.com:6443", "example.com:6443", true),
            ("https://k8s.example.com:6443", "example.com:443", false),
            ("https://k8s.example.com", "example.com:443", true),
            ("http://k8s.example.com", "example.com:80", true),
            ("https://10.1.2.3", "10.0.0.0/8", true),
            ("https://11.1.2.3", "10.0.0.0/8", false),
            ("https://10.1.2.3:6443", "10.1.2.3", true),
            ("https://10.1.2.3:6443", "10.1.2.3:6443", true),
            ("https://10.1.2.3:6443", "10.1.2.3:443", false),
            ("https://10.1.2.3", "3", false),
            ("https://[fd00::1]:6443", "fd00::1", true),
            ("https://[fd00::1]:6443", "[fd00::1]:6443", true),
            ("https://[fd00::1]:6443", "fd00::/16", true),
            ("https://[fe80::1]:6443", "fd00::/16", false),
            ("https://k8s.example.com", " , ,example.com ", true),
            ("https://k8s.example.com", ":6443", false),
            ("https://k8s.example.com", "example.com example.org", false),
        ];
        for (server, no_proxy, covered) in cases {
            let variables = [("HTTPS_PROXY", "http://p:1"), ("HTTP_PROXY", "http://p:1"), ("no_proxy", no_proxy)];
            let expected = if covered { None } else { Some("http://p:1/".to_owned()) };
            assert_eq!(proxy(server, None, &variables), Ok(expected), "{server} with NO_PROXY={no_proxy:?}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_shown_nowhere() {
        let value = |_: &str| Some("http://us%40er:p%3Aass@proxy:3128".to_owned());
        let server: Uri = "https://k8s".parse().unwrap();
        let proxy = Variables(|name: &str| (name == "HTTPS_PROXY").then(|| value(name)).flatten());
        let proxy = proxy.proxy_for(&server, None).unwrap().unwrap();
        assert_eq!(proxy.protocol, Protocol::Http);
        assert_eq!(proxy.address.to_string(), "http://proxy:3128/");
        assert_eq!(proxy.credentials(), Some(("us@er".to_owned(), "p:ass".to_owned())));
        assert_eq!(proxy.authorization().unwrap().to_str().unwrap(), "Basic dXNAZXI6cDphc3M=");
    }

    #[test]
    fn an_invalid_proxy_is_reported_without_its_credentials() {
        for text in
            ["http://u:s3cr3t@[bad", "http://u:s3cr3t@p:99999", "http://u:s3cr3t#x@p", "ftp://u:s3cr3t@p", "socks4://p"]
        {
            let error = proxy("https://k8s", None, &[("HTTPS_PROXY", text)]).expect_err(text);
            assert!(error.contains("HTTPS_PROXY") && !error.contains("s3cr3t"), "{text}: {error}");
        }
        let unused = [("HTTPS_PROXY", "ftp://p"), ("NO_PROXY", "k8s")];
        assert_eq!(proxy("https://k8s", None, &unused), Ok(None), "an unused variable is not validated");
    }
}
