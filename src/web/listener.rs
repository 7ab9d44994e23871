//! The listening address and its errors.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use tokio::net::TcpListener;

/// The address to listen on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListenAddress {
    /// All addresses of this machine, IPv6 and IPv4, on this port; only IPv4 if IPv6 is off.
    Any(u16),
    /// This address only.
    One(SocketAddr),
}

impl ListenAddress {
    /// The port; 0 for any free one.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Any(port) => port,
            Self::One(address) => address.port(),
        }
    }
}

impl Default for ListenAddress {
    fn default() -> Self {
        Self::Any(8080)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(port) => write!(f, "[::]:{port}"),
            Self::One(address) => address.fmt(f),
        }
    }
}

/// An invalid listening address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{problem}; write ADDRESS:PORT, like [::]:8080, 127.0.0.1:9100 or :8080 for every address")]
pub struct ListenAddressError {
    problem: &'static str,
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |problem| ListenAddressError { problem };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| error("a port is missing"))?;
        // `u16::from_str` accepts a sign.
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error("the port is not a number"));
        }
        let port: u16 = port.parse().map_err(|_| error("the port is not between 0 and 65535"))?;
        if host.is_empty() || host == "*" {
            return Ok(Self::Any(port));
        }
        if host == "localhost" {
            return Ok(Self::One((Ipv4Addr::LOCALHOST, port).into()));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ok(Self::Any(port)),
            Ok(address) => Ok(Self::One(address)),
            Err(_) if host.contains(':') && !host.starts_with('[') => {
                Err(error("an IPv6 address needs brackets, as in [fd00::1]:8080"))
            }
            Err(_) => Err(error("the part before the port is not an IP address")),
        }
    }
}

/// Why podskew cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", remedy(source.kind()))]
pub struct BindError {
    /// The address.
    pub address: ListenAddress,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "another process has the port; stop that process or choose another port with --listen-address"
        }
        ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose a higher one with --listen-address",
        ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; use :PORT as --listen-address for all its addresses"
        }
        _ => "choose another address with --listen-address",
    }
}

/// Starts to listen. Connections wait until the server runs.
///
/// An IPv6 wildcard socket accepts IPv4, too, unless `net.ipv6.bindv6only` is set, which is 0 by default everywhere.
///
/// # Errors
///
/// The address is taken or not available.
pub async fn bind(address: ListenAddress) -> Result<TcpListener, BindError> {
    bind_with(address, TcpListener::bind).await
}

async fn bind_with<L, F>(address: ListenAddress, mut listen: impl FnMut(SocketAddr) -> F) -> Result<L, BindError>
where
    F: Future<Output = io::Result<L>>,
{
    let listened = match address {
        ListenAddress::One(address) => listen(address).await,
        ListenAddress::Any(port) => match listen((Ipv6Addr::UNSPECIFIED, port).into()).await {
            Err(error) if is_ipv6_off(&error) => listen((Ipv4Addr::UNSPECIFIED, port).into()).await,
            listened => listened,
        },
    };
    listened.map_err(|source| BindError { address, source })
}

/// `EAFNOSUPPORT`: the kernel has no IPv6 (`ipv6.disable=1`). `EADDRNOTAVAIL`: no interface has IPv6
/// (`net.ipv6.conf.all.disable_ipv6=1`), as in most containers of an IPv4 cluster.
fn is_ipv6_off(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = if cfg!(target_os = "macos") { 47 } else { 97 };
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_the_way_people_write_them() {
        let any = |port| Ok(ListenAddress::Any(port));
        let one = |text: &str| Ok(ListenAddress::One(text.parse().expect("a socket address")));
        for (text, expected) in [
            ("[::]:8080", any(8080)),
            (":9100", any(9100)),
            ("*:9100", any(9100)),
            ("0.0.0.0:8080", one("0.0.0.0:8080")),
            ("127.0.0.1:0", one("127.0.0.1:0")),
            ("localhost:8080", one("127.0.0.1:8080")),
            ("[fd00::1]:8080", one("[fd00::1]:8080")),
        ] {
            assert_eq!(text.parse::<ListenAddress>(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_invalid_addresses_and_shows_a_valid_one() {
        for (text, problem) in [
            ("8080", "a port is missing"),
            (":", "the port is not a number"),
            (":http", "the port is not a number"),
            (":+80", "the port is not a number"),
            (":65536", "the port is not between 0 and 65535"),
            ("fd00::1:8080", "an IPv6 address needs brackets"),
            ("podskew.example.org:8080", "not an IP address"),
        ] {
            let error = text.parse::<ListenAddress>().expect_err(text).to_string();
            assert!(error.contains(problem), "{text}: {error}");
            assert!(error.contains("[::]:8080"), "{text}: {error}");
        }
    }

    async fn tried(address: ListenAddress, errno: i32) -> (Vec<String>, bool) {
        let mut tried = Vec::new();
        let result = bind_with(address, |address| {
            tried.push(address.to_string());
            async move { if address.is_ipv6() { Err(io::Error::from_raw_os_error(errno)) } else { Ok(()) } }
        })
        .await;
        (tried, result.is_ok())
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn falls_back_to_ipv4_only_where_ipv6_is_off() {
        const EAFNOSUPPORT: i32 = 97;
        const EADDRNOTAVAIL: i32 = 99;
        const EADDRINUSE: i32 = 98;
        let both = vec!["[::]:8080".to_owned(), "0.0.0.0:8080".to_owned()];
        assert_eq!(tried(ListenAddress::Any(8080), EAFNOSUPPORT).await, (both.clone(), true));
        assert_eq!(tried(ListenAddress::Any(8080), EADDRNOTAVAIL).await, (both, true));
        assert_eq!(
            tried(ListenAddress::Any(8080), EADDRINUSE).await,
            (vec!["[::]:8080".to_owned()], false),
            "a taken port is taken"
        );
        let own = ListenAddress::One("[fd00::1]:8080".parse().expect("a socket address"));
        assert_eq!(
            tried(own, EADDRNOTAVAIL).await,
            (vec!["[fd00::1]:8080".to_owned()], false),
            "who names an address means it"
        );
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = taken.local_addr().expect("an address");
        let error = bind(ListenAddress::One(address)).await.expect_err("taken").to_string();
        assert!(error.contains(&address.to_string()), "{error}");
        assert!(error.contains("--listen-address"), "{error}");
    }
}
