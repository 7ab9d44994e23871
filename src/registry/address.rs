//! Decides which addresses podskew may connect to.
//!
//! A registry's answer names other hosts: realms and redirects. Neither they nor a DNS record may lead podskew to the node it
//! runs on or to a cloud's metadata service, so every address is checked after it is resolved, and podskew connects only to the checked address.

use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// Resolves a host name to addresses.
pub type Resolve = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Hosts that the user typed as an address, or as `localhost`: podskew connects to them wherever they are.
#[derive(Clone, Default, Debug)]
pub(super) struct LiteralHosts(Arc<BTreeSet<String>>);

impl LiteralHosts {
    /// The literal addresses among these hosts.
    pub(super) fn of<'a>(hosts: impl Iterator<Item = &'a str>) -> Self {
        let literal = hosts.map(bare).filter(|host| host == "localhost" || host.parse::<IpAddr>().is_ok());
        Self(Arc::new(literal.collect()))
    }

    fn contains(&self, host: &str) -> bool {
        self.0.contains(&bare(host))
    }

    /// Checks a host that is an IP address; a name is checked after it is resolved.
    pub(super) fn check(&self, host: &str) -> Result<(), String> {
        let Ok(address) = bare(host).parse::<IpAddr>() else { return Ok(()) };
        match forbidden(address) {
            Some(what) if !self.contains(host) => Err(format!("{host} is {what}")),
            _ => Ok(()),
        }
    }
}

/// A host in lower case, without the brackets of an IPv6 address.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

/// Instance metadata of AWS over IPv6.
const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The kind of an address that podskew does not connect to; `None` for a permitted address.
fn forbidden(address: IpAddr) -> Option<&'static str> {
    let address = match address.to_canonical() {
        // NAT64 leads to the IPv4 address in its last four bytes.
        IpAddr::V6(v6) if v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::from([a, b, c, d])
        }
        address => address,
    };
    let (loopback, link_local, unspecified, multicast) = match address {
        IpAddr::V4(v4) => (v4.is_loopback(), v4.is_link_local(), v4.octets()[0] == 0, v4.is_multicast()),
        IpAddr::V6(v6) => {
            (v6.is_loopback(), v6.is_unicast_link_local() || v6 == AWS_METADATA, v6.is_unspecified(), v6.is_multicast())
        }
    };
    match () {
        () if loopback => Some("a loopback address"),
        () if link_local => Some("a link-local address"),
        () if unspecified => Some("the unspecified address"),
        () if multicast || address == IpAddr::from([255; 4]) => Some("a multicast or broadcast address"),
        () => None,
    }
}

/// Resolves names to permitted addresses.
#[derive(Clone)]
pub(super) struct CheckedResolver {
    pub(super) resolve: Resolve,
    pub(super) literal_hosts: LiteralHosts,
}

impl Service<Name> for CheckedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { resolve, literal_hosts } = self.clone();
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let all = resolve(name.clone()).await?;
            if literal_hosts.contains(&name) {
                return Ok(all.into_iter());
            }
            let refused = all.iter().find_map(|address| Some((address.ip(), forbidden(address.ip())?)));
            let allowed: Vec<SocketAddr> =
                all.into_iter().filter(|address| forbidden(address.ip()).is_none()).collect();
            match refused {
                Some((address, what)) if allowed.is_empty() => {
                    Err(io::Error::new(io::ErrorKind::PermissionDenied, RefusedAddress(name, address, what)))
                }
                _ => Ok(allowed.into_iter()),
            }
        })
    }
}

/// A name that resolves to a forbidden address.
#[derive(Debug)]
pub(super) struct RefusedAddress(String, IpAddr, &'static str);

impl std::fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(name, address, what) = self;
        write!(f, "{name} resolves to {address}, {what}")
    }
}

impl std::error::Error for RefusedAddress {}

/// The system's resolver.
pub(super) fn system() -> Resolve {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }))
}

#[cfg(test)]
mod tests {
    use super::{LiteralHosts, forbidden};

    #[test]
    fn no_address_leads_to_the_node_or_its_metadata() {
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert!(forbidden(address.parse().unwrap()).is_some(), "{address}");
        }
        for address in
            ["10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd00::1", "64:ff9b::808:808", "100.64.0.1"]
        {
            assert_eq!(forbidden(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn an_address_is_connected_to_where_it_was_typed() {
        let literal_hosts = LiteralHosts::of(["localhost", "127.0.0.1", "r.example", "[::1]"].into_iter());
        assert!(
            literal_hosts.check("127.0.0.1").is_ok()
                && literal_hosts.check("[::1]").is_ok()
                && literal_hosts.contains("LOCALHOST")
        );
        assert!(literal_hosts.check("127.0.0.2").is_err() && literal_hosts.check("169.254.169.254").is_err());
        assert!(literal_hosts.check("r.example").is_ok(), "a name is checked once it is resolved");
        assert!(!literal_hosts.contains("r.example"));
    }
}
