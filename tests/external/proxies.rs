//! Proxies between podskew and the API server, with the real binary and real proxies: Debian's tinyproxy for HTTP CONNECT,
//! and microsocks for SOCKS 5.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::common;
use crate::common::exporter::fill;
use crate::common::running::{POLL_INTERVAL, Running, TIMEOUT};
use crate::needs::{Test, tests};
use simulator::{Simulator, SimulatorConfig, Tls};
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// An address that connects to this machine but is not a loopback address, so that a proxy is used for it.
const NOT_LOOPBACK: &str = "0.0.0.0";

/// An API server with TLS, and a kubeconfig for it without a loopback address.
async fn cluster() -> (Simulator, String) {
    let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec![NOT_LOOPBACK.to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &issuer).unwrap();
    let tls = Tls::from_pem(&certificate.pem(), &key.serialize_pem(), &issuer.pem()).unwrap();
    let simulator = Simulator::start(SimulatorConfig { tls: Some(tls), ..SimulatorConfig::default() }).await.unwrap();
    fill(simulator.store());
    let kubeconfig = simulator.kubeconfig().replace("127.0.0.1", NOT_LOOPBACK);
    (simulator, kubeconfig)
}

/// A running proxy; it is killed when this is dropped.
struct Proxy {
    process: Child,
    port: u16,
    _configuration: tempfile::TempDir,
}

impl Proxy {
    /// An HTTP proxy, which may require a user and a password.
    fn http(credentials: Option<(&str, &str)>) -> Self {
        let line = credentials.map(|(user, password)| format!("BasicAuth {user} {password}\n")).unwrap_or_default();
        Self::start("tinyproxy", |port, configuration| {
            let text = format!("Port {port}\nListen 127.0.0.1\nTimeout 600\nAllow 127.0.0.1\nLogLevel Connect\n{line}");
            std::fs::write(configuration, text).unwrap();
            vec!["-d".to_owned(), "-c".to_owned(), configuration.display().to_string()]
        })
    }

    /// A SOCKS 5 proxy.
    fn socks(credentials: Option<(&str, &str)>) -> Self {
        Self::start("microsocks", |port, _| {
            let mut arguments = vec!["-i".to_owned(), "127.0.0.1".to_owned(), "-p".to_owned(), port.to_string()];
            if let Some((user, password)) = credentials {
                arguments.extend(["-u", user, "-P", password].map(str::to_owned));
            }
            arguments
        })
    }

    /// Another process may take the port first, so several ports are tried.
    fn start(program: &str, arguments: impl Fn(u16, &std::path::Path) -> Vec<String>) -> Self {
        for _ in 0..5 {
            let configuration = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut process = Command::new(program)
                .args(arguments(port, &configuration.path().join("configuration")))
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("{program}: {error}; apt-get install tinyproxy-bin microsocks"));
            let begun = Instant::now();
            while process.try_wait().unwrap().is_none() && begun.elapsed() < TIMEOUT {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { process, port, _configuration: configuration };
                }
                std::thread::sleep(POLL_INTERVAL);
            }
        }
        panic!("{program} does not listen");
    }

    /// Stops it, and returns its log.
    fn log(mut self) -> String {
        self.process.kill().unwrap();
        let mut log = String::new();
        self.process.stdout.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port without a listener.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn https_proxy_leads_to_the_server_and_every_watch_goes_through_it() {
    let (simulator, kubeconfig) = cluster().await;
    let proxy = Proxy::http(None);
    let url = format!("127.0.0.1:{}", proxy.port);
    for name in ["HTTPS_PROXY", "https_proxy"] {
        let podskew = Running::start_in(&kubeconfig, &[], &[(name, &url)]);
        podskew.until_ready().await;
        assert!(podskew.log().contains(&format!("proxy=\"http://{url}\"")), "{}", podskew.log());
    }
    let port = simulator.address().port();
    let log = proxy.log();
    assert!(log.matches(&format!("CONNECT {NOT_LOOPBACK}:{port}")).count() >= 10, "{log}");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_no_proxy_covers_is_reached_without_the_proxy() {
    let (simulator, kubeconfig) = cluster().await;
    let dead = nowhere();
    let port = simulator.address().port();
    for no_proxy in ["0.0.0.0/8", "example.com, 0.0.0.0", &format!("0.0.0.0:{port}"), "*"] {
        let podskew = Running::start_in(&kubeconfig, &[], &[("HTTPS_PROXY", &dead), ("NO_PROXY", no_proxy)]);
        podskew.until_ready().await;
        assert!(!podskew.log().contains("proxy="), "{no_proxy}: {}", podskew.log());
    }
    // No proxy is used for another scheme, nor for this machine.
    let podskew = Running::start_in(&kubeconfig, &[], &[("HTTP_PROXY", &dead)]);
    podskew.until_ready().await;
    let plain = Simulator::start(SimulatorConfig::default()).await.unwrap();
    fill(plain.store());
    let podskew = Running::start_in(&plain.kubeconfig(), &[], &[("HTTPS_PROXY", &dead), ("HTTP_PROXY", &dead)]);
    podskew.until_ready().await;

    let podskew = Running::start_in(&kubeconfig, &[], &[("HTTPS_PROXY", &dead), ("NO_PROXY", "1.0.0.0/8")]);
    podskew.until("no connection", |scrape| scrape.failures("pods", "connection") >= 1.0).await;
}

/// The kubeconfig with a `proxy-url`.
fn with_proxy_url(kubeconfig: &str, url: &str) -> String {
    kubeconfig.replacen("  cluster:\n", &format!("  cluster:\n    proxy-url: \"{url}\"\n"), 1)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxys_credentials_are_sent_and_logged_nowhere() {
    let (_simulator, kubeconfig) = cluster().await;
    let credentials = Some(("some.user", "p4sswOrd"));
    for (proxy, scheme) in [(Proxy::http(credentials), "http"), (Proxy::socks(credentials), "socks5")] {
        let right = format!("{scheme}://some%2Euser:p4sswOr%64@127.0.0.1:{}", proxy.port);
        let podskew = Running::start_in(&with_proxy_url(&kubeconfig, &right), &["--log-level=trace"], &[]);
        podskew.until_ready().await;
        let wrong = format!("{scheme}://some.user:0therw1se@127.0.0.1:{}", proxy.port);
        let refused = Running::start_in(&with_proxy_url(&kubeconfig, &wrong), &["--log-level=trace"], &[]);
        let scrape = refused.until("a refusal", |scrape| scrape.failures("pods", "connection") >= 1.0).await;
        refused.until_logged(if scheme == "http" { "the proxy opened no tunnel" } else { "SOCKS" }).await;
        for text in [podskew.log(), refused.log(), scrape.text, refused.get("/").1, refused.get("/readyz").1] {
            for secret in ["p4ss", "0therw1se", "some.user", "some%2E"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_url_overrides_no_proxy_and_applies_to_plain_http() {
    let (_simulator, kubeconfig) = cluster().await;
    let plain = Simulator::start(SimulatorConfig::default()).await.unwrap();
    fill(plain.store());
    let proxy = Proxy::http(None);
    let url = format!("http://127.0.0.1:{}", proxy.port);
    for kubeconfig in [&kubeconfig, &plain.kubeconfig()] {
        let podskew = Running::start_in(&with_proxy_url(kubeconfig, &url), &[], &[("NO_PROXY", "*")]);
        podskew.until_ready().await;
    }
    let log = proxy.log();
    assert!(log.contains(&format!("CONNECT 127.0.0.1:{}", plain.address().port())), "{log}");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_cannot_be_used_ends_it_with_a_message() {
    let (_simulator, kubeconfig) = cluster().await;
    for (text, variables) in [
        (with_proxy_url(&kubeconfig, "socks4://user:p4ss@proxy"), vec![]),
        (kubeconfig.clone(), vec![("HTTPS_PROXY", "ftp://user:p4ss@proxy")]),
        (kubeconfig, vec![("HTTPS_PROXY", "http://user:p4ss@proxy:0x50")]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kubeconfig");
        std::fs::write(&file, &text).unwrap();
        for command in ["serve", "audit", "explain"] {
            let mut process = Command::new(env!("CARGO_BIN_EXE_podskew"));
            process.env_clear().envs(variables.iter().copied()).arg(command).arg("--kubeconfig").arg(&file);
            match command {
                "serve" => process.args(["--listen-address", "127.0.0.1:0"]),
                "explain" => process.arg("deployment/web"),
                _ => &mut process,
            };
            let output = process.output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{command}: {error}");
            assert!(error.contains("proxy") && error.contains("HTTPS_PROXY") || error.contains("proxy-url"), "{error}");
            assert!(!error.contains("p4ss"), "{error}");
        }
    }
}

/// The proxy resolves names. Requests that no proxy applies to are direct.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn requests_to_registries_use_the_proxy_of_the_environment() {
    use common::world::{With as _, deployment, pod, replica_set};
    use simulator::{Image, ImageRegistry, Resource};
    let registry = ImageRegistry::start(None).await.unwrap();
    let digest = registry.push("web", Some("1"), &Image::of("one"));
    let host = format!("{NOT_LOOPBACK}:{}", registry.port());
    let image = format!("{host}/web:1");
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let put = |resource, object: serde_json::Value, version| {
        simulator.store().put(resource, object.with("/apiVersion", version))
    };
    put(Resource::Deployments, deployment(&image), "apps/v1");
    put(Resource::ReplicaSets, replica_set("h1", &image, 1, -4000), "apps/v1");
    put(Resource::Pods, pod("p1").image(&image).image_id(&format!("{host}/web@{digest}")), "v1");
    let kubeconfig = simulator.temporary_kubeconfig().unwrap();
    let audited = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
        command.args(["audit", "-n", "shop", "--strict", "--registry-timeout", "5s", "--registry"]);
        command.arg(format!("{host}=http://{host}")).arg("--kubeconfig").arg(kubeconfig.path());
        let output = command.env_clear().envs(variables.iter().copied()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (http, socks) = (Proxy::http(None), Proxy::socks(None));
    for way in [format!("http://127.0.0.1:{}", http.port), format!("socks5://127.0.0.1:{}", socks.port)] {
        let (code, said) = audited(&[("HTTP_PROXY", &way)]);
        assert_eq!(code, 0, "{way}: {said}");
    }
    let log = http.log();
    assert!(log.contains(&format!("CONNECT {host}")), "{log}");
    let dead = nowhere();
    let (code, said) = audited(&[("HTTP_PROXY", &dead)]);
    assert_eq!(code, 3, "{said}");
    let (code, said) = audited(&[("HTTP_PROXY", &dead), ("NO_PROXY", "0.0.0.0/8")]);
    assert_eq!(code, 0, "{said}");
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        https_proxy_leads_to_the_server_and_every_watch_goes_through_it: [TINYPROXY],
        a_server_that_no_proxy_covers_is_reached_without_the_proxy: [],
        a_proxys_credentials_are_sent_and_logged_nowhere: [TINYPROXY, MICROSOCKS],
        proxy_url_overrides_no_proxy_and_applies_to_plain_http: [TINYPROXY],
        a_proxy_that_cannot_be_used_ends_it_with_a_message: [],
        requests_to_registries_use_the_proxy_of_the_environment: [TINYPROXY, MICROSOCKS],
    ]
}
