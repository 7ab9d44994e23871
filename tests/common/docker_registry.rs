//! Real registries, images pushed to them like docker does, and podskew's reports about them.

use super::evidence::{ask_for, change, web};
use super::registry_sink::WorldSink;
use super::world::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use podskew::registry::{RegistryAddress, RegistryOptions, RegistryTimings, keep_asking};
use podskew::report::WorkloadReport;
use podskew::report::registry::{ContentChange, Sameness};
use podskew::telemetry::Telemetry;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A running registry; it is killed when this is dropped.
pub struct RegistryServer {
    process: Child,
    port: u16,
}

impl RegistryServer {
    /// The registry in Debian.
    pub fn debian(storage: &Path, more: &str) -> Self {
        Self::start(Path::new("docker-registry"), storage, more)
    }

    /// Serves the folder `storage`; `more` is added to the configuration.
    pub fn start(program: &Path, storage: &Path, more: &str) -> Self {
        let port = free_port();
        let configuration = storage.join(format!("{port}.yml"));
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
             http:\n  addr: 127.0.0.1:{port}\n{more}",
            storage.join("data").display()
        );
        std::fs::write(&configuration, text).unwrap();
        let mut command = Command::new(program);
        command.arg("serve").arg(&configuration).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Version 3 sends traces to a collector by default.
        command.env("OTEL_TRACES_EXPORTER", "none");
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("{} does not run ({error}): apt-get install docker-registry, or make engines", program.display())
        });
        let registry = Self { process, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} does not start", program.display());
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn options(&self, scheme: &str) -> RegistryOptions {
        let address = RegistryAddress::parse(&format!("{0}={scheme}://{0}", self.host())).unwrap();
        RegistryOptions { registries: vec![address], ..RegistryOptions::default() }
    }
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn digest_of(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Pushes to a registry without authorization.
pub struct Pusher {
    client: reqwest::Client,
    base: String,
}

impl Pusher {
    pub fn to(registry: &RegistryServer) -> Self {
        Self::to_repository(registry, "web")
    }

    pub fn to_repository(registry: &RegistryServer, repository: &str) -> Self {
        Self { client: reqwest::Client::new(), base: format!("http://{}/v2/{repository}", registry.host()) }
    }

    pub async fn blob(&self, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let begun = self.client.post(format!("{}/blobs/uploads/", self.base)).send().await.unwrap();
        let location = begun.headers()["location"].to_str().unwrap().to_owned();
        let separator = if location.contains('?') { '&' } else { '?' };
        let put = self.client.put(format!("{location}{separator}digest={digest}")).body(bytes.to_vec()).send();
        let put = put.await.unwrap();
        assert_eq!(put.status(), 201, "{:?}", put.text().await);
        digest
    }

    pub async fn manifest(&self, reference: Option<&str>, media_type: &str, manifest: &Value) -> String {
        let body = manifest.to_string();
        let digest = digest_of(body.as_bytes());
        let to = format!("{}/manifests/{}", self.base, reference.unwrap_or(&digest));
        let put = self.client.put(to).header("content-type", media_type).body(body).send().await.unwrap();
        assert_eq!(put.status(), 201, "{:?}", put.text().await);
        digest
    }

    /// An image of one layer.
    pub async fn image(&self, tag: Option<&str>, layer: &str, compression: &str, revision: &str) -> String {
        let config = json!({
            "os": "linux", "architecture": "amd64", "created": "2026-11-01T10:00:00Z",
            "config": {"Cmd": ["/app"], "Labels": {"org.opencontainers.image.revision": revision}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer.as_bytes())]},
        });
        let config = self.blob(config.to_string().as_bytes()).await;
        let compressed = format!("{compression} {layer}");
        let blob = self.blob(compressed.as_bytes()).await;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 1},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": blob, "size": compressed.len()}],
        });
        self.manifest(tag, MANIFEST, &manifest).await
    }

    async fn size(&self, digest: &str) -> usize {
        let got = self.client.get(format!("{}/manifests/{digest}", self.base)).header("accept", MANIFEST).send().await;
        got.unwrap().bytes().await.unwrap().len()
    }

    /// An index of one image, with the attestation that BuildKit adds.
    pub async fn index(&self, tag: Option<&str>, image: &str, provenance: &str) -> String {
        let attestation = self.image(None, provenance, "none", "").await;
        let (size, length) = (self.size(image).await, self.size(&attestation).await);
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": image, "size": size, "platform": {"os": "linux", "architecture": "amd64"}},
            {"mediaType": MANIFEST, "digest": attestation, "size": length,
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image}},
        ]});
        self.manifest(tag, INDEX, &index).await
    }

    pub async fn delete(&self, digest: &str) {
        let deleted = self.client.delete(format!("{}/manifests/{digest}", self.base)).send().await.unwrap();
        assert_eq!(deleted.status(), 202);
    }
}

/// Asks the registry about `web:1`; returns the number of digests, how they differ, and the state of the tag.
pub async fn look(
    registry: &RegistryServer,
    options: &RegistryOptions,
    digests: &[&str],
) -> (u32, Option<Sameness>, Option<ContentChange>) {
    let report = ask(&mut web(&format!("{}/web:1", registry.host()), digests), options).await;
    let content = report.registry.as_ref().unwrap().content("app", "h1");
    (report.containers[0].distinct_digests, content, change(&report))
}

/// Asks the registries once about a world's images.
pub async fn ask(world: &mut World, options: &RegistryOptions) -> WorkloadReport {
    ask_for(world, options, &RegistryTimings::default()).await;
    world.report("deployment/web").clone()
}

/// Compares images that were pushed, moved, and rebuilt with other labels, compression and provenance.
pub async fn images_are_compared(registry: &RegistryServer) {
    let (pusher, options) = (Pusher::to(registry), registry.options("http"));
    let old = pusher.image(Some("1"), "one", "gzip", "9ab04d1").await;
    assert_eq!(look(registry, &options, &[&old]).await, (1, None, Some(ContentChange::None)));
    // Moved.
    let new = pusher.image(Some("1"), "two", "gzip", "3f2c1a9").await;
    assert_eq!(look(registry, &options, &[&old]).await, (1, None, Some(ContentChange::Different)));
    assert_eq!(
        look(registry, &options, &[&old, &new]).await,
        (2, Some(Sameness::Different), Some(ContentChange::Different))
    );
    // Built again: other labels, other compression, other provenance.
    let relabelled = pusher.image(Some("1"), "one", "gzip", "77c8e21").await;
    assert_eq!(
        look(registry, &options, &[&old, &relabelled]).await,
        (2, Some(Sameness::SameContent), Some(ContentChange::Rebuilt))
    );
    let recompressed = pusher.image(Some("1"), "one", "zstd", "9ab04d1").await;
    assert_eq!(look(registry, &options, &[&old, &recompressed]).await, (1, None, Some(ContentChange::None)));
    let first = pusher.index(None, &old, "built at 10:00").await;
    let second = pusher.index(Some("1"), &old, "built at 11:00").await;
    assert_ne!(first, second);
    assert_eq!(look(registry, &options, &[&first, &second, &old]).await, (1, None, Some(ContentChange::None)));
}

/// Intervals that are short enough for a test.
pub fn quick() -> RegistryTimings {
    let milliseconds = Duration::from_millis;
    RegistryTimings {
        refresh: milliseconds(30),
        tick: milliseconds(20),
        interval: milliseconds(200),
        gone_again: milliseconds(400),
        ..RegistryTimings::default()
    }
}

/// A podskew that asks continuously about a world's images until it is dropped.
pub struct Following {
    pub world: Arc<Mutex<World>>,
    pub telemetry: Telemetry,
    _tasks: tokio::task::JoinSet<()>,
}

impl Following {
    pub fn start(world: World, options: &RegistryOptions) -> Self {
        let world = Arc::new(Mutex::new(world));
        let telemetry = Telemetry::new().unwrap();
        let hosts: Vec<&str> = options.registries.iter().map(|it| it.host.as_str()).collect();
        let health = telemetry.registries(&hosts).unwrap();
        let tasks = keep_asking(options, &quick(), Arc::new(WorldSink(Arc::clone(&world))), &health).unwrap();
        Self { world, telemetry, _tasks: tasks }
    }

    pub async fn until(&self, what: &str, seen: impl Fn(&WorkloadReport) -> bool) {
        let begun = Instant::now();
        while !seen(self.world.lock().unwrap().report("deployment/web")) {
            assert!(begun.elapsed() < Duration::from_secs(30), "timeout waiting for {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Number of references in this state.
    pub fn references(&self, state: &str) -> f64 {
        let families = self.telemetry.gather();
        let of_references = families.iter().filter(|family| family.name() == "podskew_registry_references");
        let metrics = of_references.flat_map(prometheus::proto::MetricFamily::get_metric);
        let in_state = metrics.filter(|metric| metric.get_label().iter().any(|label| label.value() == state));
        in_state.map(|metric| metric.get_gauge().get_value()).sum()
    }
}

pub fn is_gone(report: &WorkloadReport) -> bool {
    report.registry.as_ref().is_some_and(|registry| !registry.gone.is_empty())
}

/// Checks that podskew reports an image that is deleted while it runs.
pub async fn a_deleted_image_is_gone(registry: &RegistryServer) {
    let pusher = Pusher::to(registry);
    let digest = pusher.image(Some("1"), "one", "gzip", "9ab04d1").await;
    let world = web(&format!("{}/web:1", registry.host()), &[&digest]);
    let following = Following::start(world, &registry.options("http"));
    following.until("the tag", |report| change(report) == Some(ContentChange::None)).await;
    pusher.delete(&digest).await;
    following.until("its end", is_gone).await;
}

/// A certificate authority and a certificate for this name: the authority's file, and the registry's configuration.
pub fn tls(folder: &Path, name: &str) -> (PathBuf, String) {
    let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &issuer).unwrap();
    for (name, text) in [("ca.pem", issuer.pem()), ("tls.pem", certificate.pem()), ("key.pem", key.serialize_pem())] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let [certificate, key] = ["tls.pem", "key.pem"].map(|name| folder.join(name).display().to_string());
    (folder.join("ca.pem"), format!("  tls: {{certificate: {certificate}, key: {key}}}\n"))
}

/// Configuration that makes a registry require this user and password.
pub fn htpasswd(folder: &Path, user: &str, password: &str) -> String {
    let made = Command::new("htpasswd").args(["-Bbn", user, password]).output();
    let made = made.unwrap_or_else(|error| panic!("htpasswd does not run ({error}): apt-get install apache2-utils"));
    let path = folder.join("htpasswd");
    std::fs::write(&path, made.stdout).unwrap();
    format!("auth:\n  htpasswd: {{realm: registry, path: {}}}\n", path.display())
}

pub fn auth_file(folder: &Path, host: &str, password: &str) -> PathBuf {
    let path = folder.join(format!("config-{password}.json"));
    let auth = STANDARD.encode(format!("user:{password}"));
    std::fs::write(&path, json!({"auths": {host: {"auth": auth}}}).to_string()).unwrap();
    path
}
