//! podskew against Debian's docker-registry: without credentials, with a password, over TLS by a private authority, and with a token
//! server. Images are pushed as docker pushes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::asked::Asked;
use crate::common::world::*;
use crate::needs::{Test, tests};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use podskew::registry::{RegistryAddress, RegistryOptions, RegistryTimings, ask_once, keep_asking};
use podskew::report::registry::{ContentChange, Sameness};
use podskew::telemetry::Telemetry;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A docker-registry that runs; it is killed when this is dropped.
struct Registry {
    process: Child,
    port: u16,
}

impl Registry {
    /// Serves the folder `storage` as the configuration adds it.
    fn start(storage: &Path, more: &str) -> Self {
        let port = free_port();
        let configuration = storage.join(format!("{port}.yml"));
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
             http:\n  addr: 127.0.0.1:{port}\n{more}",
            storage.join("data").display()
        );
        std::fs::write(&configuration, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&configuration).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process =
            command.spawn().expect("docker-registry is missing: apt-get install docker-registry apache2-utils");
        let registry = Self { process, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "docker-registry does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn options(&self, scheme: &str) -> RegistryOptions {
        let address = RegistryAddress::parse(&format!("{0}={scheme}://{0}", self.host())).unwrap();
        RegistryOptions { registries: vec![address], ..RegistryOptions::default() }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn digest_of(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Pushes to a registry that asks nobody who is there.
struct Pusher {
    client: reqwest::Client,
    base: String,
}

impl Pusher {
    fn to(registry: &Registry) -> Self {
        Self { client: reqwest::Client::new(), base: format!("http://{}/v2/web", registry.host()) }
    }

    async fn blob(&self, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let begun = self.client.post(format!("{}/blobs/uploads/", self.base)).send().await.unwrap();
        let location = begun.headers()["location"].to_str().unwrap().to_owned();
        let separator = if location.contains('?') { '&' } else { '?' };
        let put = self.client.put(format!("{location}{separator}digest={digest}")).body(bytes.to_vec()).send();
        let put = put.await.unwrap();
        assert_eq!(put.status(), 201, "{:?}", put.text().await);
        digest
    }

    async fn manifest(&self, reference: Option<&str>, media_type: &str, manifest: &Value) -> String {
        let body = manifest.to_string();
        let digest = digest_of(body.as_bytes());
        let to = format!("{}/manifests/{}", self.base, reference.unwrap_or(&digest));
        let put = self.client.put(to).header("content-type", media_type).body(body).send().await.unwrap();
        assert_eq!(put.status(), 201, "{:?}", put.text().await);
        digest
    }

    /// An image of one layer.
    async fn image(&self, tag: Option<&str>, layer: &str, compression: &str, revision: &str) -> String {
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

    /// An index of one image, with the attestation that BuildKit adds.
    async fn index(&self, tag: Option<&str>, image: &str, provenance: &str) -> String {
        let attestation = self.image(None, provenance, "none", "").await;
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": image, "size": 1, "platform": {"os": "linux", "architecture": "amd64"}},
            {"mediaType": MANIFEST, "digest": attestation, "size": 1,
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image}},
        ]});
        self.manifest(tag, INDEX, &index).await
    }

    async fn delete(&self, digest: &str) {
        let deleted = self.client.delete(format!("{}/manifests/{digest}", self.base)).send().await.unwrap();
        assert_eq!(deleted.status(), 202);
    }
}

fn web(registry: &Registry, digests: &[&str]) -> World {
    let image = format!("{}/web:1", registry.host());
    let mut world = World::new();
    world.put(&deployment(&image)).put(&replica_set("h1", &image, 1, -4000));
    for (number, digest) in digests.iter().enumerate() {
        world.put(&pod(&format!("p{number}")).image(&image).image_id(&format!("x/web@{digest}")));
    }
    world
}

/// Asks, and says how many digests there are, how they differ, and how the tag stands.
async fn look(
    registry: &Registry,
    options: &RegistryOptions,
    digests: &[&str],
) -> (u32, Option<Sameness>, Option<ContentChange>) {
    let mut world = web(registry, digests);
    let asked = world.inventory.asked_images().unwrap();
    let answers = ask_once(options, &RegistryTimings::default(), asked).await.unwrap();
    let now = world.moment();
    world.inventory.take_registry_evidence(&Arc::new(answers.evidence), now);
    let report = world.report("deployment/web");
    let registry = report.registry.as_ref().unwrap();
    let change = registry.tags.first().map(|tag| tag.change);
    (report.containers[0].distinct_digests, registry.content("app", "h1"), change)
}

#[tokio::main(flavor = "current_thread")]
async fn images_are_compared_as_docker_registry_holds_them() {
    let storage = tempfile::tempdir().unwrap();
    let registry = Registry::start(storage.path(), "");
    let (pusher, options) = (Pusher::to(&registry), registry.options("http"));
    let old = pusher.image(Some("1"), "one", "gzip", "9ab04d1").await;
    assert_eq!(look(&registry, &options, &[&old]).await, (1, None, Some(ContentChange::None)));
    // Moved.
    let new = pusher.image(Some("1"), "two", "gzip", "3f2c1a9").await;
    assert_eq!(look(&registry, &options, &[&old]).await, (1, None, Some(ContentChange::Different)));
    assert_eq!(
        look(&registry, &options, &[&old, &new]).await,
        (2, Some(Sameness::Different), Some(ContentChange::Different))
    );
    // Built again: other labels, other compression, other provenance.
    let relabelled = pusher.image(Some("1"), "one", "gzip", "77c8e21").await;
    assert_eq!(
        look(&registry, &options, &[&old, &relabelled]).await,
        (2, Some(Sameness::SameContent), Some(ContentChange::Rebuilt))
    );
    let recompressed = pusher.image(Some("1"), "one", "zstd", "9ab04d1").await;
    assert_eq!(look(&registry, &options, &[&old, &recompressed]).await, (1, None, Some(ContentChange::None)));
    let first = pusher.index(None, &old, "built at 10:00").await;
    let second = pusher.index(Some("1"), &old, "built at 11:00").await;
    assert_ne!(first, second);
    assert_eq!(look(&registry, &options, &[&first, &second, &old]).await, (1, None, Some(ContentChange::None)));
}

/// A certificate for 127.0.0.1 by an authority of its own: the authority's file, and the registry's configuration.
fn tls(folder: &Path) -> (PathBuf, String) {
    let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &issuer).unwrap();
    for (name, text) in [("ca.pem", issuer.pem()), ("tls.pem", certificate.pem()), ("key.pem", key.serialize_pem())] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let [certificate, key] = ["tls.pem", "key.pem"].map(|name| folder.join(name).display().to_string());
    (folder.join("ca.pem"), format!("  tls: {{certificate: {certificate}, key: {key}}}\n"))
}

fn auth_file(folder: &Path, host: &str, password: &str) -> PathBuf {
    let path = folder.join(format!("config-{password}.json"));
    let auth = STANDARD.encode(format!("user:{password}"));
    std::fs::write(&path, json!({"auths": {host: {"auth": auth}}}).to_string()).unwrap();
    path
}

#[tokio::main(flavor = "current_thread")]
async fn a_password_and_a_private_authority_open_a_registry() {
    let storage = tempfile::tempdir().unwrap();
    let open = Registry::start(storage.path(), "");
    let digest = Pusher::to(&open).image(Some("1"), "one", "gzip", "9ab04d1").await;
    let htpasswd =
        Command::new("htpasswd").args(["-Bbn", "user", "s3cr3t"]).output().expect("apt-get install apache2-utils");
    let passwords = storage.path().join("htpasswd");
    std::fs::write(&passwords, htpasswd.stdout).unwrap();
    let (authority, tls) = tls(storage.path());
    let auth = format!("auth:\n  htpasswd: {{realm: registry, path: {}}}\n", passwords.display());
    let closed = Registry::start(storage.path(), &format!("{tls}{auth}"));
    let good = RegistryOptions {
        auth: Some(auth_file(storage.path(), &closed.host(), "s3cr3t")),
        certificates: Some(authority.clone()),
        ..closed.options("https")
    };
    assert_eq!(look(&closed, &good, &[&digest]).await, (1, None, Some(ContentChange::None)));
    let wrong = RegistryOptions { auth: Some(auth_file(storage.path(), &closed.host(), "wrong")), ..good.clone() };
    assert_eq!(look(&closed, &wrong, &[&digest]).await, (1, None, None));
    let nobody = RegistryOptions { auth: None, ..good.clone() };
    assert_eq!(look(&closed, &nobody, &[&digest]).await, (1, None, None));
    let untrusting = RegistryOptions { certificates: None, ..good };
    assert_eq!(look(&closed, &untrusting, &[&digest]).await, (1, None, None));
}

/// A token server that knows one user, as distribution's specification has it.
async fn token_server(key: EcdsaKeyPair, certificate: Vec<u8>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let signer = Arc::new((key, certificate));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let signer = Arc::clone(&signer);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap();
                let is_known = head.contains(&format!("Basic {}", STANDARD.encode("user:s3cr3t")));
                let is_asked =
                    head.contains("scope=repository%3Aweb%3Apull") && head.contains("service=podskew%2Dtest");
                let answer = if is_known && is_asked {
                    let body = json!({"token": token(&signer.0, &signer.1), "expires_in": 300}).to_string();
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
                } else {
                    "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
                };
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

/// A token that opens the repository `web` for pulling.
fn token(key: &EcdsaKeyPair, certificate: &[u8]) -> String {
    let now = podskew::time::UnixTime::now().seconds();
    let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(certificate)]});
    let claims = json!({
        "iss": "podskew-test", "sub": "user", "aud": "podskew-test", "exp": now + 300, "nbf": now - 60, "iat": now - 60,
        "jti": "1", "access": [{"type": "repository", "name": "web", "actions": ["pull"]}],
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = key.sign(&ring::rand::SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::main(flavor = "current_thread")]
async fn a_token_server_opens_a_registry() {
    let storage = tempfile::tempdir().unwrap();
    let open = Registry::start(storage.path(), "");
    let pusher = Pusher::to(&open);
    let old = pusher.image(Some("1"), "one", "gzip", "9ab04d1").await;
    pusher.image(Some("1"), "two", "gzip", "3f2c1a9").await;
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["token".to_owned()]).unwrap().self_signed(&key).unwrap();
    let bundle = storage.path().join("tokens.pem");
    std::fs::write(&bundle, certificate.pem()).unwrap();
    let random = ring::rand::SystemRandom::new();
    let signing = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &random).unwrap();
    let port = token_server(signing, certificate.der().to_vec()).await;
    let auth = format!(
        "auth:\n  token: {{realm: \"http://127.0.0.1:{port}/token\", service: podskew-test, issuer: podskew-test, rootcertbundle: {}}}\n",
        bundle.display()
    );
    let closed = Registry::start(storage.path(), &auth);
    let good =
        RegistryOptions { auth: Some(auth_file(storage.path(), &closed.host(), "s3cr3t")), ..closed.options("http") };
    assert_eq!(look(&closed, &good, &[&old]).await, (1, None, Some(ContentChange::Different)));
    let wrong = RegistryOptions { auth: Some(auth_file(storage.path(), &closed.host(), "wrong")), ..good };
    assert_eq!(look(&closed, &wrong, &[&old]).await, (1, None, None));
}

#[tokio::main(flavor = "current_thread")]
async fn an_image_that_is_deleted_is_gone() {
    let storage = tempfile::tempdir().unwrap();
    let registry = Registry::start(storage.path(), "");
    let pusher = Pusher::to(&registry);
    let digest = pusher.image(Some("1"), "one", "gzip", "9ab04d1").await;
    let world = Arc::new(Mutex::new(web(&registry, &[&digest])));
    let milliseconds = Duration::from_millis;
    let timings = RegistryTimings {
        refresh: milliseconds(30),
        tick: milliseconds(20),
        interval: milliseconds(200),
        gone_again: milliseconds(400),
        ..RegistryTimings::default()
    };
    let options = registry.options("http");
    let telemetry = Telemetry::new().unwrap();
    let health = telemetry.registries(&[&registry.host()]).unwrap();
    let _tasks = keep_asking(&options, &timings, Arc::new(Asked(Arc::clone(&world))), &health).unwrap();
    let until = async |what: &str, seen: &dyn Fn(&podskew::report::WorkloadReport) -> bool| {
        let begun = Instant::now();
        while !seen(world.lock().unwrap().report("deployment/web")) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what} does not come");
            tokio::time::sleep(milliseconds(20)).await;
        }
    };
    until("the tag", &|report| report.registry.as_ref().is_some_and(|it| !it.tags.is_empty())).await;
    pusher.delete(&digest).await;
    until("its end", &|report| report.registry.as_ref().is_some_and(|it| !it.gone.is_empty())).await;
}

/// The tests, and what each needs.
pub fn tests() -> Vec<Test> {
    tests![
        images_are_compared_as_docker_registry_holds_them: [DOCKER_REGISTRY],
        a_password_and_a_private_authority_open_a_registry: [DOCKER_REGISTRY, HTPASSWD],
        a_token_server_opens_a_registry: [DOCKER_REGISTRY],
        an_image_that_is_deleted_is_gone: [DOCKER_REGISTRY],
    ]
}
