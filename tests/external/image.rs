//! The image, without a container engine: the files that the Dockerfile copies, run like a kubelet would.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::needs::{Test, tests};
use crate::scraping::{Running, eventually};
use regex::Regex;
use simulator::{Demo, DemoConfig, Simulator, SimulatorConfig, Time, Tls};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The instructions of the Dockerfile, without comments.
fn instructions() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("Dockerfile")).unwrap().replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap()).map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// The file system of the image, as the Dockerfile's only COPY creates it.
fn file_system() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (_, arguments) in instructions().iter().filter(|(name, _)| name == "COPY") {
        let (source, target) = arguments.split_once(' ').unwrap();
        let source = source.replace("${TARGETARCH}", architecture());
        let context = root().join("target/tools/image");
        assert!(
            context.join(&source).exists(),
            "there is no {source} in {}: make tested-image-root",
            context.display()
        );
        let copied = Command::new("cp")
            .arg("-R")
            .arg(context.join(&source).join("."))
            .arg(directory.path().join(target.trim_start_matches('/')))
            .status();
        assert!(copied.unwrap().success());
    }
    directory
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn the_dockerfile_copies_and_nothing_else() {
    let names: Vec<_> = instructions().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["FROM", "ARG", "COPY", "USER", "EXPOSE", "LABEL", "ENTRYPOINT"]);
    let value = |name: &str| instructions().into_iter().find(|(found, _)| found == name).unwrap().1;
    assert_eq!(value("FROM"), "scratch");
    assert_eq!(value("USER"), "65532:65532", "a number, so that a kubelet can check that it is not root");
    assert_eq!(value("EXPOSE"), "8080");
    assert_eq!(value("ENTRYPOINT"), r#"["/podskew"]"#);
}

fn the_image_has_only_a_static_binary_and_its_files() {
    let image = file_system();
    let mut found = Vec::new();
    files(image.path(), &mut found);
    let mut names: Vec<_> =
        found.iter().map(|path| path.strip_prefix(image.path()).unwrap().to_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, [CERTIFICATES, "licenses/LICENSE", "podskew"]);
    for file in &found {
        let mode = std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
        // Every user may read it, and no user may change it.
        assert_eq!(mode, if file.ends_with("podskew") { 0o755 } else { 0o644 }, "{}", file.display());
    }
    let certificates = std::fs::read_to_string(image.path().join(CERTIFICATES)).unwrap();
    assert!(certificates.matches("BEGIN CERTIFICATE").count() > 50);
    assert!(!asks_for_a_loader(&std::fs::read(image.path().join("podskew")).unwrap()), "the binary is not static");
    assert!(asks_for_a_loader(&std::fs::read(env!("CARGO_BIN_EXE_podskew")).unwrap()), "the check itself works");
}

/// Whether a program header of a 64-bit ELF file is `PT_INTERP`.
fn asks_for_a_loader(binary: &[u8]) -> bool {
    assert!(binary.starts_with(b"\x7fELF\x02\x01"));
    let number = |at: usize, bytes: usize| {
        binary[at..at + bytes].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (headers, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    (0..count).any(|header| number(headers + header * size, 4) == 3)
}

/// Runs the image like a kubelet: as user 65532, without capabilities, with a read-only root that contains nothing else.
fn start(image: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
    let mut command = Command::new("unshare");
    let confined = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && \
                    exec unshare --user --map-user=65532 --map-group=65532 --root=\"$0\" --wd=/ \"$@\"";
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").envs(environment.iter().copied());
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", confined]).arg(image).arg("/podskew");
    command.args(["--listen-address", "127.0.0.1:0"]).args(arguments);
    Running::start(&mut command, &Regex::new(r"serving http://127\.0\.0\.1:(\d+)/metrics").unwrap())
}

/// A cluster with a certificate of an authority that the kubeconfig does not contain, and that authority.
async fn cluster() -> (Simulator, String, String) {
    let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &authority).unwrap();
    let tls = Tls::from_pem(&certificate.pem(), &key.serialize_pem(), &authority.pem()).unwrap();
    let config = SimulatorConfig { tls: Some(tls), ..SimulatorConfig::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let _ = Demo::begin(simulator.store(), &DemoConfig::default(), Time::now());
    let kubeconfig = simulator.kubeconfig();
    let kubeconfig = kubeconfig.lines().filter(|line| !line.contains("certificate-authority-data"));
    let kubeconfig = kubeconfig.collect::<Vec<_>>().join("\n");
    (simulator, kubeconfig, authority.pem())
}

#[track_caller]
fn is_ready(podskew: &Running) {
    eventually("it is ready", || match podskew.get("/readyz", "*/*") {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_ready_and_scraped_over_tls_by_its_own_certificates() {
    let (_simulator, kubeconfig, authority) = cluster().await;
    let image = file_system();
    std::fs::write(image.path().join("kubeconfig"), kubeconfig).unwrap();
    let certificates = image.path().join(CERTIFICATES);
    let known = std::fs::read_to_string(&certificates).unwrap();
    std::fs::write(&certificates, format!("{known}\n{authority}")).unwrap();
    let podskew = start(image.path(), &["--kubeconfig", "/kubeconfig"], &[]);
    is_ready(&podskew);
    let (status, metrics) = podskew.get("/metrics", "text/plain").unwrap();
    assert_eq!(status, 200);
    assert!(metrics.contains("podskew_distinct_digests_per_deployment{"), "{metrics}");

    let of_process = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", podskew.id())).unwrap();
    let mounts = of_process("mounts");
    let (_, options) = mounts.lines().find_map(|line| line.split_once(" / ")).unwrap();
    assert!(options.split(' ').nth(1).unwrap().starts_with("ro,"), "{mounts}");
    let status = of_process("status");
    assert!(status.contains("\nCapEff:\t0000000000000000\n"), "{status}");
    assert!(of_process("uid_map").trim_start().starts_with("65532 "), "{}", of_process("uid_map"));
}

/// The API server from the environment, its authority and a token in the usual path, and no options.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_pod_its_service_account_is_enough() {
    let (simulator, _, authority) = cluster().await;
    let image = file_system();
    let account = image.path().join("var/run/secrets/kubernetes.io/serviceaccount");
    std::fs::create_dir_all(&account).unwrap();
    for (file, text) in [("ca.crt", &authority[..]), ("token", "a-token"), ("namespace", "podskew")] {
        std::fs::write(account.join(file), text).unwrap();
    }
    let port = simulator.address().port().to_string();
    let podskew =
        start(image.path(), &[], &[("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", &port)]);
    is_ready(&podskew);
}

/// Only the certificates in the image are trusted, none that are compiled in.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_the_image_does_not_know_is_not_trusted() {
    let (_simulator, kubeconfig, _) = cluster().await;
    let image = file_system();
    std::fs::write(image.path().join("kubeconfig"), kubeconfig).unwrap();
    let podskew = start(image.path(), &["--kubeconfig", "/kubeconfig"], &[]);
    let failures = Regex::new(r#"(?m)^podskew_watch_failures_total\{[^}]*reason="connection"[^}]*\} ([1-9])"#).unwrap();
    eventually("it fails to connect", || {
        let metrics = podskew.get("/metrics", "text/plain").map_err(|error| error.to_string())?.1;
        if failures.is_match(&metrics) { Ok(()) } else { Err(metrics) }
    });
    assert_eq!(podskew.get("/readyz", "*/*").unwrap().0, 503);
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        the_dockerfile_copies_and_nothing_else: [],
        the_image_has_only_a_static_binary_and_its_files: [IMAGE],
        it_is_ready_and_scraped_over_tls_by_its_own_certificates: [UNSHARE, IMAGE],
        in_a_pod_its_service_account_is_enough: [UNSHARE, IMAGE],
        an_authority_that_the_image_does_not_know_is_not_trusted: [UNSHARE, IMAGE],
    ]
}
