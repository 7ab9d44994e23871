//! The server: a listener, its connections, and controls for tests and the demo.

use super::answer::answer;
use super::body::Pace;
use super::fault::{Fault, Faults};
use super::negotiate::Form;
use super::requests::{RequestKind, Requests, SeenRequest};
use super::reviews::{Account, Reviews};
use super::store::Store;
use super::watchers::Watcher;
use crate::resource::Resource;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Configuration of a simulated API server.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// Address to listen on; port 0 for a free one.
    pub listen: SocketAddr,
    /// Interval of bookmarks for watches that asked for them. Real servers take about a minute.
    pub bookmark_interval: Duration,
    /// Number of changes of each resource that are kept for watches.
    pub history: usize,
    /// Serves HTTPS instead of HTTP.
    pub tls: Option<Tls>,
    /// Requires the current bearer token in this file for each request. The kubeconfig names the file.
    pub token_file: Option<PathBuf>,
    /// Whether Argo's Rollouts are served from the start.
    pub rollouts_served: bool,
    /// Whether protobuf is served to clients that ask for it. Custom resources and recordings are always served in JSON.
    pub protobuf_served: bool,
    /// Whether each event of a watch is written by itself, as by a real server. Otherwise one write may have several.
    pub events_one_by_one: bool,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            bookmark_interval: Duration::from_secs(60),
            history: 4096,
            tls: None,
            token_file: None,
            rollouts_served: false,
            protobuf_served: true,
            events_one_by_one: false,
        }
    }
}

/// A server certificate, and the certificate authority that a client has to trust.
#[derive(Clone)]
pub struct Tls {
    config: Arc<rustls::ServerConfig>,
    authority_pem: String,
}

impl Tls {
    /// Parses a certificate chain, its key and the certificate of the authority that signed it, all in PEM.
    pub fn from_pem(chain_pem: &str, key_pem: &str, authority_pem: &str) -> io::Result<Self> {
        let invalid = |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidInput, error.to_string());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect();
        let chain = chain.map_err(|error| invalid(&error))?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|error| invalid(&error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| invalid(&error))?;
        Ok(Self { config: Arc::new(config), authority_pem: authority_pem.to_owned() })
    }
}

impl Tls {
    /// The TLS configuration of a server.
    pub(super) fn config(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.config)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// State that all connections share.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) store: Store,
    pub(super) faults: Faults,
    pub(super) requests: Requests,
    pub(super) reviews: Reviews,
    pub(super) bookmark_interval: Duration,
    pub(super) events_one_by_one: bool,
    rollouts_served: AtomicBool,
    protobuf_served: AtomicBool,
    pub(super) pace: Arc<Pace>,
    token_file: Option<PathBuf>,
}

impl Cluster {
    pub(super) fn serves_rollouts(&self) -> bool {
        self.rollouts_served.load(Ordering::Relaxed)
    }

    /// The media type of the answer to a request; `None` if the server has none that is accepted. Discovery is JSON.
    pub(super) fn form(&self, resource: Option<Resource>, headers: &HeaderMap) -> Option<Form> {
        let Some(resource) = resource else {
            return Some(Form::Json);
        };
        let has_protobuf = self.protobuf_served.load(Ordering::Relaxed) && self.store.has_protobuf(resource);
        Form::accepted(headers, has_protobuf)
    }

    /// Whether a request has the current token. The file is read each time, so a rotated token is valid at once.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(file) = &self.token_file else {
            return true;
        };
        let expected = std::fs::read_to_string(file).unwrap_or_default();
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        !expected.trim().is_empty() && given.and_then(|value| value.strip_prefix("Bearer ")) == Some(expected.trim())
    }
}

/// A running API server. Dropping it closes the listener and cuts every connection.
#[derive(Debug)]
pub struct Simulator {
    cluster: Arc<Cluster>,
    config: SimulatorConfig,
    address: SocketAddr,
    cut: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Simulator {
    /// Starts an API server with an empty store.
    pub async fn start(config: SimulatorConfig) -> io::Result<Self> {
        let store = Store::new(config.history);
        Self::start_with(config, store).await
    }

    /// Starts an API server in front of a store, which may be filled already.
    pub async fn start_with(config: SimulatorConfig, store: Store) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let cluster = Arc::new(Cluster {
            store,
            faults: Faults::new(),
            requests: Requests::default(),
            reviews: Reviews::default(),
            bookmark_interval: config.bookmark_interval,
            events_one_by_one: config.events_one_by_one,
            rollouts_served: AtomicBool::new(config.rollouts_served),
            protobuf_served: AtomicBool::new(config.protobuf_served),
            pace: Arc::default(),
            token_file: config.token_file.clone(),
        });
        let cut = watch::Sender::new(());
        let tls = config.tls.as_ref().map(|tls| TlsAcceptor::from(tls.config.clone()));
        let accepting = tokio::spawn(accept(listener, tls, cluster.clone(), cut.clone()));
        Ok(Self { cluster, config, address, cut, accepting })
    }

    /// Its URL: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.config.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The address that it listens on. To start a server again after [`Simulator::shutdown`], use [`Simulator::start_with`]
    /// with the same address and the same store.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A kubeconfig file for this server. The namespace of its context is `default`.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        let mut text = String::from("apiVersion: v1\nkind: Config\ncurrent-context: simulator\nclusters:\n");
        let _ = writeln!(text, "- name: simulator\n  cluster:\n    server: {}", self.url());
        if let Some(tls) = &self.config.tls {
            let authority = STANDARD.encode(&tls.authority_pem);
            let _ = writeln!(text, "    certificate-authority-data: {authority}");
        }
        text.push_str("contexts:\n- name: simulator\n  context:\n    cluster: simulator\n    user: simulator\n");
        text.push_str("users:\n- name: simulator\n  user:");
        match &self.config.token_file {
            // A JSON string is also a YAML string, for any path.
            Some(file) => {
                let _ = writeln!(text, "\n    tokenFile: {}", json!(file));
            }
            None => text.push_str(" {}\n"),
        }
        text
    }

    /// Writes [`Simulator::kubeconfig`] to a file.
    pub fn write_kubeconfig(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, self.kubeconfig())
    }

    /// Writes it to a temporary file, which only this user can read and which is removed when it is dropped.
    pub fn temporary_kubeconfig(&self) -> io::Result<NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix("simulator-").suffix(".kubeconfig").tempfile()?;
        file.write_all(self.kubeconfig().as_bytes())?;
        Ok(file)
    }

    /// The objects that it serves. Clones share its content.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.cluster.store
    }

    /// Injects a fault until the faults are cleared; without a resource, for all of them and for discovery.
    pub fn inject(&self, resource: Option<Resource>, fault: Fault) {
        self.cluster.faults.add(resource, fault, None);
    }

    /// Injects a fault for the next `times` requests.
    pub fn inject_times(&self, resource: Option<Resource>, fault: Fault, times: u32) {
        if times > 0 {
            self.cluster.faults.add(resource, fault, Some(times));
        }
    }

    /// Switches all faults off.
    pub fn clear_faults(&self) {
        self.cluster.faults.clear();
    }

    /// Closes every connection at once; the listener stays.
    pub fn cut_connections(&self) {
        self.cut.send_replace(());
    }

    /// Simulates a restore from a backup: versions are older, the history is empty, connections are closed. The objects
    /// stay as they are, or are replaced by the given ones.
    pub fn restart_with_older_versions(&self, objects: Option<Vec<(Resource, Value)>>) {
        self.cut_connections();
        self.cluster.store.restore((self.cluster.store.version() / 2).max(1), objects);
    }

    /// Installs or removes the CustomResourceDefinition of Argo Rollouts. Removing it closes connections, as the API server
    /// ends the watches of a removed resource.
    pub fn set_rollouts_served(&self, served: bool) {
        let before = self.cluster.rollouts_served.swap(served, Ordering::Relaxed);
        if before && !served {
            self.cut_connections();
        }
    }

    /// Serves protobuf to clients that ask for it, or only JSON. Running responses do not change.
    pub fn set_protobuf_served(&self, served: bool) {
        self.cluster.protobuf_served.store(served, Ordering::Relaxed);
    }

    /// Limits the rate of all lists and watches together, in bytes per second, from now on; `None` for no limit.
    pub fn set_pace(&self, bytes_a_second: Option<u32>) {
        self.cluster.pace.set(bytes_a_second.map(f64::from));
    }

    /// Number of changes that the slowest open watch has not been sent yet. If changes are made faster, and exceed the
    /// history of the store, the watch expires.
    #[must_use]
    pub fn unsent_changes(&self) -> usize {
        let unsent = |watcher: &Arc<Watcher>| self.cluster.store.count_since(watcher.resource, watcher.seen());
        self.cluster.store.watchers().all().iter().map(unsent).max().unwrap_or(0)
    }

    /// Expires every open watch, and returns when its client has relisted and watches again.
    pub async fn relist(&self) {
        let resources: Vec<Resource> =
            self.cluster.store.watchers().all().iter().map(|watcher| watcher.resource).collect();
        let expired: Vec<Weak<Watcher>> = self.cluster.store.watchers().all().iter().map(Arc::downgrade).collect();
        for resource in &resources {
            self.inject_times(Some(*resource), Fault::WatchExpires, 1);
        }
        loop {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let open = self.cluster.store.watchers().all();
            let is_back = |resource: &Resource| {
                let live = open.iter().filter(|watcher| watcher.resource == *resource && watcher.is_live());
                live.count() >= resources.iter().filter(|known| *known == resource).count()
            };
            if expired.iter().all(|watcher| watcher.strong_count() == 0) && resources.iter().all(is_back) {
                return;
            }
        }
    }

    /// Number of requests of one kind for a resource, including refused ones.
    #[must_use]
    pub fn request_count(&self, resource: Resource, kind: RequestKind) -> usize {
        self.cluster.requests.count(resource, kind)
    }

    /// The latest requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.cluster.requests.latest()
    }

    /// Sets or removes the owner of a bearer token in reviews. Requests themselves need no token.
    pub fn set_account(&self, token: &str, account: Option<Account>) {
        self.cluster.reviews.set(token, account);
    }

    /// Injects a fault for reviews only.
    pub fn set_review_fault(&self, fault: Option<Fault>) {
        self.cluster.reviews.set_fault(fault);
    }

    /// Kind and time of every review so far.
    #[must_use]
    pub fn reviews(&self) -> Vec<(&'static str, Instant)> {
        self.cluster.reviews.asked()
    }

    /// Clears the record and the counters of requests.
    pub fn forget_requests(&self) {
        self.cluster.requests.forget();
    }

    /// Stops listening and closes every connection; returns when the port is free.
    pub async fn shutdown(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_connections();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, cluster: Arc<Cluster>, cut: watch::Sender<()>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Probably out of file descriptors: some will become free.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let mut is_cut = cut.subscribe();
        let (tls, cluster) = (tls.clone(), cluster.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection(stream, tls, cluster) => {}
                _ = is_cut.changed() => {}
            }
        });
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, cluster: Arc<Cluster>) {
    match tls {
        None => serve(stream, cluster).await,
        Some(acceptor) => {
            // A client that does not trust the certificate closes the connection. That is not an error here.
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, cluster).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, cluster: Arc<Cluster>) {
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let cluster = cluster.clone();
        async move { Ok::<_, Infallible>(answer(cluster, request).await) }
    });
    // A closed connection ends with an error that nobody needs.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
