//! Host names of the page (`--page-host`). They prevent DNS rebinding: another site's name that resolves to podskew's
//! address is rejected.

use std::net::{IpAddr, Ipv6Addr};

/// Parses a host name without a port.
///
/// # Errors
///
/// The text is not a host name.
pub fn host(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it))
    };
    let name = text.trim_end_matches('.');
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(
            "it is not a host name; write one without scheme, port and path, as in podskew.example.org".to_owned()
        );
    }
    Ok(name.to_ascii_lowercase())
}

/// Whether to answer a request for `host`. Without configured names, all are accepted. localhost and IP
/// addresses are always accepted, because another site cannot use them as its name.
#[must_use]
pub fn is_served(configured: &[String], host: Option<&str>) -> bool {
    if configured.is_empty() {
        return true;
    }
    let Some(host) = host else { return false };
    let (name, is_bracketed) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => (address, true),
        None => (host.rsplit_once(':').map_or(host, |(name, _)| name), false),
    };
    if is_bracketed {
        return name.parse::<Ipv6Addr>().is_ok();
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.parse::<IpAddr>().is_ok() || configured.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::{host, is_served};

    #[test]
    fn names_are_compared_without_port_and_case() {
        let configured = [host("Podskew.example.org").unwrap()];
        for good in [
            "podskew.example.org",
            "PODSKEW.example.org:8080",
            "podskew.example.org.",
            "localhost",
            "localhost:8080",
            "127.0.0.1:8080",
            "10.1.2.3",
            "[::1]:8080",
            "[fd00::1]",
        ] {
            assert!(is_served(&configured, Some(good)), "{good}");
        }
        for bad in ["evil.example", "podskew.example.org.evil.example", "", ":8080", "[evil]", "127.0.0.1.evil.example"]
        {
            assert!(!is_served(&configured, Some(bad)), "{bad}");
        }
        assert!(!is_served(&configured, None) && is_served(&[], None) && is_served(&[], Some("evil.example")));
    }

    #[test]
    fn invalid_host_names_are_refused() {
        for bad in ["", "https://podskew.example", "podskew.example:80", "a b", "x/y", "*.example", "a..b"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
