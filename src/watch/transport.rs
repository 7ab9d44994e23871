//! The HTTP client of the API server.
//!
//! It consists of the layers of kube's own client, with podskew's credentials and every kind of proxy.

use super::credentials::Credentials;
use super::proxy::{Protocol, Proxy};
use anyhow::anyhow;
use http::header::USER_AGENT;
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ConfigExt as _};
use std::time::Duration;
use tower::filter::AsyncFilterLayer;
use tower::{BoxError, Layer as _, Service};

/// Timeout for a TCP and TLS connection, through a proxy, too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long sending a request may stall.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A client with podskew's timeouts and user agent. It has no read timeout, which would end quiet watches, because each
/// wait has its own deadline. It does not retry, because podskew counts and logs each failure.
///
/// Must be called within a tokio runtime.
pub(super) fn client(
    mut config: Config,
    credentials: Credentials,
    proxy: Option<Proxy>,
) -> anyhow::Result<kube::Client> {
    let name = HeaderValue::from_static(concat!("podskew/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, name));
    if config.cluster_url.scheme() == Some(&Scheme::HTTP) {
        // Otherwise kube reads all certificates of the system: hundreds of files that are not needed.
        config.root_cert.get_or_insert_default();
        // A tunnel without a port goes to port 443.
        if proxy.is_some() && config.cluster_url.port().is_none() {
            config.cluster_url = with_port(&config.cluster_url, 80)?;
        }
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let Some(proxy) = proxy else { return with_connector(&config, credentials, tcp) };
    let address = proxy.address.clone();
    match proxy.protocol {
        Protocol::Http => with_connector(&config, credentials, authorized(Tunnel::new(address, tcp), &proxy)),
        Protocol::Https => {
            let tls = config.rustls_https_connector_with_connector(tcp)?;
            with_connector(&config, credentials, authorized(Tunnel::new(address, tls), &proxy))
        }
        Protocol::Socks5 => {
            let socks = SocksV5::new(address, tcp);
            let socks = match proxy.credentials() {
                Some((user, password)) => socks.with_auth(user, password),
                None => socks,
            };
            with_connector(&config, credentials, socks)
        }
    }
}

fn authorized<C>(tunnel: Tunnel<C>, proxy: &Proxy) -> Tunnel<C> {
    match proxy.authorization() {
        Some(value) => tunnel.with_auth(value),
        None => tunnel,
    }
}

fn with_connector<C>(config: &Config, credentials: Credentials, connector: C) -> anyhow::Result<kube::Client>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: hyper::rt::Read + hyper::rt::Write + Connection + Unpin + Send + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let tls = config.rustls_https_connector_with_connector(connector).map_err(|error| anyhow!(error))?;
    let mut connector = TimeoutConnector::new(tls);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_write_timeout(Some(WRITE_TIMEOUT));
    let http: Client<_, Body> = Builder::new(TokioExecutor::new()).build(connector);
    let headers = config.extra_headers_layer()?.layer(http);
    let authorized = AsyncFilterLayer::new(credentials).layer(headers);
    Ok(kube::Client::new(config.base_uri_layer().layer(authorized), config.default_namespace.clone()))
}

fn with_port(uri: &Uri, port: u16) -> anyhow::Result<Uri> {
    let mut parts = uri.clone().into_parts();
    let authority = parts.authority.as_ref().map_or("", http::uri::Authority::as_str);
    parts.authority = Some(format!("{}:{port}", authority.trim_end_matches(':')).parse()?);
    Ok(Uri::from_parts(parts)?)
}

/// A URL without credentials, to show.
pub(super) fn without_credentials(uri: &Uri) -> String {
    let host = uri.authority().map_or("", |authority| {
        let text = authority.as_str();
        text.rsplit_once('@').map_or(text, |(_, host)| host)
    });
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("https"), uri.path())
}
