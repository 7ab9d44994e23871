//! podskew with Debian's docker-registry: without credentials, with a password, over TLS with a private authority, and with
//! a token server. Images are pushed like docker does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::docker_registry::{
    Following, Pusher, RegistryServer, a_deleted_image_is_gone, auth_file, free_port, htpasswd, images_are_compared,
    look, quick, tls,
};
use crate::common::evidence::{change, web};
use crate::common::http::request_head;
use crate::common::world::*;
use crate::needs::{Test, tests};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use podskew::registry::RegistryOptions;
use podskew::report::registry::ContentChange;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use simulator::{Resource, Simulator, SimulatorConfig};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

#[tokio::main(flavor = "current_thread")]
async fn images_in_docker_registry_are_compared() {
    let storage = tempfile::tempdir().unwrap();
    images_are_compared(&RegistryServer::debian(storage.path(), "")).await;
}

#[tokio::main(flavor = "current_thread")]
async fn an_image_that_is_deleted_is_gone() {
    let storage = tempfile::tempdir().unwrap();
    a_deleted_image_is_gone(&RegistryServer::debian(storage.path(), "")).await;
}

#[tokio::main(flavor = "current_thread")]
async fn a_password_and_a_private_authority_open_a_registry() {
    let storage = tempfile::tempdir().unwrap();
    let open = RegistryServer::debian(storage.path(), "");
    let digest = Pusher::to(&open).image(Some("1"), "one", "gzip", "9ab04d1").await;
    let auth = htpasswd(storage.path(), "user", "s3cr3t");
    let (authority, tls) = tls(storage.path(), "127.0.0.1");
    let closed = RegistryServer::debian(storage.path(), &format!("{tls}{auth}"));
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

/// The kubelet replaces the folder of a mounted secret: `..data` is a link to a folder with a date as its name.
#[tokio::main(flavor = "current_thread")]
async fn a_password_that_changes_in_a_mounted_secret_is_used_while_podskew_runs() {
    let storage = tempfile::tempdir().unwrap();
    let open = RegistryServer::debian(storage.path(), "");
    let digest = Pusher::to(&open).image(Some("1"), "one", "gzip", "9ab04d1").await;
    let closed = RegistryServer::debian(storage.path(), &htpasswd(storage.path(), "user", "n3w"));
    let mount = tempfile::tempdir().unwrap();
    let swap = |date: &str, password: &str| {
        let folder = mount.path().join(date);
        std::fs::create_dir(&folder).unwrap();
        std::fs::rename(auth_file(&folder, &closed.host(), password), folder.join("config.json")).unwrap();
        let next = mount.path().join("..data_tmp");
        std::os::unix::fs::symlink(date, &next).unwrap();
        std::fs::rename(next, mount.path().join("..data")).unwrap();
    };
    swap("..2026_12_01_10_00_00.1", "0ld");
    let auth = mount.path().join("config.json");
    std::os::unix::fs::symlink("..data/config.json", &auth).unwrap();
    let options = RegistryOptions { auth: Some(auth), ..closed.options("http") };
    let world = web(&format!("{}/web:1", closed.host()), &[&digest]);
    let following = Following::start(world, &options);
    following.until("a refusal", |_| following.references("unauthorized") > 0.0).await;
    tokio::time::sleep(quick().interval * 2).await;
    following.until("nothing", |report| change(report).is_none()).await;
    swap("..2026_12_01_11_00_00.2", "n3w");
    following.until("the tag", |report| change(report) == Some(ContentChange::None)).await;
}

/// A token server with one user, as in distribution's specification.
async fn token_server(key: EcdsaKeyPair, certificate: Vec<u8>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let signer = Arc::new((key, certificate));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let signer = Arc::clone(&signer);
            tokio::spawn(async move {
                let Some(head) = request_head(&mut stream).await else { return };
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

/// A token for pulling from the repository `web`.
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
    let open = RegistryServer::debian(storage.path(), "");
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
    let closed = RegistryServer::debian(storage.path(), &auth);
    let good =
        RegistryOptions { auth: Some(auth_file(storage.path(), &closed.host(), "s3cr3t")), ..closed.options("http") };
    assert_eq!(look(&closed, &good, &[&old]).await, (1, None, Some(ContentChange::Different)));
    let wrong = RegistryOptions { auth: Some(auth_file(storage.path(), &closed.host(), "wrong")), ..good };
    assert_eq!(look(&closed, &wrong, &[&old]).await, (1, None, None));
}

/// The child processes of `parent`, with their states.
fn children(parent: u32) -> Vec<(u32, char)> {
    let stat = |entry: std::io::Result<std::fs::DirEntry>| {
        let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let (state, of) = (fields.next()?.chars().next()?, fields.next()?.parse::<u32>().ok()?);
        (of == parent).then_some((id, state))
    };
    std::fs::read_dir("/proc").unwrap().filter_map(stat).collect()
}

/// A process that ends with its handle.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In a container podskew is process 1, which adopts orphans of a helper.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn podskew_as_process_one_reaps_orphans_of_helpers() {
    use std::os::unix::fs::PermissionsExt as _;
    let storage = tempfile::tempdir().unwrap();
    let open = RegistryServer::debian(storage.path(), "");
    let digest = Pusher::to(&open).image(Some("1"), "one", "gzip", "9ab04d1").await;
    let closed = RegistryServer::debian(storage.path(), &htpasswd(storage.path(), "user", "s3cr3t"));
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let image = format!("{}/web:1", closed.host());
    let store = simulator.store();
    store.put(Resource::Deployments, deployment(&image).with("/apiVersion", "apps/v1"));
    store.put(Resource::ReplicaSets, replica_set("h1", &image, 1, -4000).with("/apiVersion", "apps/v1"));
    store.put(Resource::Pods, pod("p0").image(&image).image_id(&format!("x/web@{digest}")).with("/apiVersion", "v1"));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    simulator.write_kubeconfig(&at("kubeconfig")).unwrap();
    // A changed file makes podskew run the helper again.
    let write = |number: usize| {
        let others = json!({format!("r{number}.example"): {"username": "user", "password": "x"}});
        let text = json!({"credHelpers": {closed.host(): "messy"}, "auths": others}).to_string();
        std::fs::write(at("next.json"), text).unwrap();
        std::fs::rename(at("next.json"), at("config.json")).unwrap();
    };
    write(0);
    let helper = at("docker-credential-messy");
    let printed = r#"{"ServerURL":"x","Username":"user","Secret":"s3cr3t"}"#;
    let script = format!(
        "#!/bin/sh\n/bin/sleep 1000 > /dev/null &\n(/bin/sleep 1000 > /dev/null &)\necho run >> {}\nprintf '{printed}'\n",
        at("runs").display()
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--pid", "--fork", "--kill-child", env!("CARGO_BIN_EXE_podskew"), "serve"]);
    command.args(["--registry-interval", "1s", "--registry", &format!("{0}=http://{0}", closed.host())]);
    command.args(["--listen-address", &format!("127.0.0.1:{}", free_port())]).arg("--kubeconfig").arg(at("kubeconfig"));
    command.arg("--registry-auth").arg(at("config.json")).arg("--registry-helpers").arg(folder.path());
    let unshare = command.stderr(Stdio::null()).spawn().expect("unshare is missing: apt-get install util-linux");
    let mut unshare = Started(unshare);
    let begun = Instant::now();
    let runs = || std::fs::read_to_string(at("runs")).unwrap_or_default().lines().count();
    for number in 1..=3 {
        while runs() < number {
            assert!(begun.elapsed() < Duration::from_secs(60), "the helper ran {} times", runs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        write(number);
    }
    let podskew = children(unshare.0.id())[0].0;
    let begun = Instant::now();
    loop {
        let left = children(podskew);
        if left.is_empty() {
            break;
        }
        // One run may be in progress.
        assert!(begun.elapsed() < Duration::from_secs(30) && left.len() < 6, "{left:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(unshare.0.try_wait().unwrap().is_none(), "podskew still runs");
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        images_in_docker_registry_are_compared: [DOCKER_REGISTRY],
        a_password_and_a_private_authority_open_a_registry: [DOCKER_REGISTRY, HTPASSWD],
        a_password_that_changes_in_a_mounted_secret_is_used_while_podskew_runs: [DOCKER_REGISTRY, HTPASSWD],
        a_token_server_opens_a_registry: [DOCKER_REGISTRY],
        an_image_that_is_deleted_is_gone: [DOCKER_REGISTRY],
        podskew_as_process_one_reaps_orphans_of_helpers: [DOCKER_REGISTRY, HTPASSWD, UNSHARE],
    ]
}
