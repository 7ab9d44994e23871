//! Sends HTTP requests to registries, over TLS or plain, direct or through a proxy, with limits on time and size.

use super::address::{CheckedResolver, LiteralHosts, RefusedAddress, Resolve};
use super::failure::RegistryFailure;
use crate::sync::lock;
use crate::watch::proxy::{Protocol, Proxy, Variables};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::header::{HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls;
use tower::{BoxError, Service};

/// Timeout of a complete response.
pub(super) const WHOLE_ANSWER: Duration = Duration::from_secs(30);

/// Timeout of an idle connection, which costs memory on both sides.
const IDLE: Duration = Duration::from_secs(20);

/// Maximum size of the response headers.
const LONGEST_HEAD: usize = 64 << 10;

/// Sends a request by one route.
type Send = Arc<dyn Fn(Request<Full<Bytes>>) -> BoxFuture<'static, Sent> + std::marker::Send + Sync>;
type Sent = Result<http::Response<Incoming>, hyper_util::client::legacy::Error>;

/// A complete response.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Sends requests to registries.
pub(super) struct Transport {
    tls: Arc<ClientConfig>,
    literal_hosts: LiteralHosts,
    direct: Send,
    proxied: Mutex<HashMap<String, Send>>,
    environment: fn(&str) -> Option<String>,
    deadline: Duration,
}

impl Transport {
    /// Trusts the system's certificates and `certificates`.
    pub(super) fn new(
        certificates: &[CertificateDer<'static>],
        literal_hosts: LiteralHosts,
        resolve: Resolve,
        deadline: Duration,
    ) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in certificates {
            roots.add(certificate.clone())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let tls = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
        let mut tcp =
            HttpConnector::new_with_resolver(CheckedResolver { resolve, literal_hosts: literal_hosts.clone() });
        tcp.enforce_http(false);
        let direct = over(&tls, tcp);
        let environment = |name: &str| std::env::var(name).ok();
        Ok(Self { tls, literal_hosts, direct, proxied: Mutex::default(), environment, deadline })
    }

    /// Sends `request` and reads up to `longest` bytes of the response's body.
    pub(super) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        longest: usize,
    ) -> Result<Response, RegistryFailure> {
        let until = Instant::now() + self.deadline;
        let host = request.uri().host().unwrap_or_default().to_owned();
        self.literal_hosts.check(&host).map_err(RegistryFailure::Refused)?;
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(concat!("podskew/", env!("CARGO_PKG_VERSION"))));
        let send = self.way_to(&mut request)?;
        let response = timeout_at(until, send(request)).await.map_err(|_| RegistryFailure::Timeout)?;
        let (head, mut body) = response.map_err(|error| failure(&error))?.into_parts();
        let mut read = BytesMut::new();
        while let Some(frame) = timeout_at(until, body.frame()).await.map_err(|_| RegistryFailure::Timeout)? {
            let Ok(frame) = frame.map_err(|error| RegistryFailure::Connection(text(&error)))?.into_data() else {
                continue;
            };
            if read.len() + frame.len() > longest {
                return Err(RegistryFailure::TooLong);
            }
            read.extend_from_slice(&frame);
        }
        Ok(Response { status: head.status, headers: head.headers, body: read.freeze() })
    }

    fn way_to(&self, request: &mut Request<Full<Bytes>>) -> Result<Send, RegistryFailure> {
        let proxy = Variables(self.environment).proxy_for(request.uri(), None);
        let Some(proxy) = proxy.map_err(|error| RegistryFailure::Connection(format!("{error:#}")))? else {
            return Ok(Arc::clone(&self.direct));
        };
        if request.uri().scheme_str() == Some("http") && request.uri().port().is_none() {
            // A tunnel without a port goes to port 443.
            *request.uri_mut() =
                with_port(request.uri(), 80).ok_or(RegistryFailure::Unreadable("a URL that cannot be read"))?;
        }
        let mut proxied = lock(&self.proxied);
        if let Some(known) = proxied.get(&proxy.to_string()) {
            return Ok(Arc::clone(known));
        }
        let way = self.through(&proxy);
        proxied.insert(proxy.to_string(), Arc::clone(&way));
        Ok(way)
    }

    /// The proxy resolves the names of registries; the user typed its own address.
    fn through(&self, proxy: &Proxy) -> Send {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let address = proxy.address.clone();
        match proxy.protocol {
            Protocol::Http => over(&self.tls, authorized(Tunnel::new(address, tcp), proxy)),
            Protocol::Https => {
                let builder = HttpsConnectorBuilder::new().with_tls_config((*self.tls).clone());
                let secure = builder.https_only().enable_http1().wrap_connector(tcp);
                over(&self.tls, authorized(Tunnel::new(address, secure), proxy))
            }
            Protocol::Socks5 => {
                let socks = SocksV5::new(address, tcp);
                match proxy.credentials() {
                    Some((user, password)) => over(&self.tls, socks.with_auth(user, password)),
                    None => over(&self.tls, socks),
                }
            }
        }
    }
}

fn authorized<C>(tunnel: Tunnel<C>, proxy: &Proxy) -> Tunnel<C> {
    match proxy.authorization() {
        Some(value) => tunnel.with_auth(value),
        None => tunnel,
    }
}

fn over<C>(tls: &Arc<ClientConfig>, connector: C) -> Send
where
    C: Service<Uri> + Clone + std::marker::Send + Sync + 'static,
    C::Response: hyper::rt::Read + hyper::rt::Write + Connection + Unpin + std::marker::Send + 'static,
    C::Future: std::marker::Send + 'static,
    C::Error: Into<BoxError>,
{
    let builder = HttpsConnectorBuilder::new().with_tls_config((**tls).clone());
    let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
    let client: Client<_, Full<Bytes>> = Builder::new(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(2)
        .http1_max_buf_size(LONGEST_HEAD)
        .build(connector);
    Arc::new(move |request| Box::pin(client.request(request)))
}

fn with_port(uri: &Uri, port: u16) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    let authority = parts.authority.as_ref().map_or("", http::uri::Authority::as_str);
    parts.authority = Some(format!("{}:{port}", authority.trim_end_matches(':')).parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn failure(error: &(dyn Error + 'static)) -> RegistryFailure {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        let inner = io.and_then(std::io::Error::get_ref);
        if let Some(refused) = inner.and_then(|inner| inner.downcast_ref::<RefusedAddress>()) {
            return RegistryFailure::Refused(refused.to_string());
        }
        cause = error.source();
    }
    RegistryFailure::Connection(text(error))
}

/// An error with its causes. hyper's errors contain neither headers nor URLs.
fn text(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
