//! Connection errors of podskew: kubeconfigs, credentials and real TLS handshakes that fail, each with the remedy.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::command::Ended;
use crate::common::running::Running;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use simulator::{Fault, Simulator, SimulatorConfig, Tls};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for a name, valid from one year to another, and its key.
fn certificate(authority: &Authority, name: &str, years: [i32; 2]) -> (String, String) {
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
    [parameters.not_before, parameters.not_after] = years.map(|year| rcgen::date_time_ymd(year, 1, 1));
    let key = KeyPair::generate().unwrap();
    (parameters.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

const VALID: [i32; 2] = [2020, 2090];
const PAST: [i32; 2] = [2019, 2020];

/// A simulated API server with TLS, whose kubeconfig trusts `trusted`.
async fn server((certificate, key): &(String, String), trusted: &str) -> Simulator {
    let tls = Tls::from_pem(certificate, key, trusted).unwrap();
    Simulator::start(SimulatorConfig { tls: Some(tls), ..SimulatorConfig::default() }).await.unwrap()
}

/// Runs podskew with a kubeconfig, and only with `PATH` of this process's environment.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ended { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Checks that an audit with this kubeconfig fails soon, with these words.
#[track_caller]
fn fails(kubeconfig: &str, words: &[&str]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), kubeconfig).unwrap();
    let begun = Instant::now();
    let ended = run(&["audit", "-A", "--kubeconfig", file.path().to_str().unwrap()], &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is missing in: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("s3cr3t"), "{}", ended.stderr);
    assert!(begun.elapsed() < Duration::from_secs(10), "a permanent error is not retried: {:?}", begun.elapsed());
    ended.stderr
}

async fn audit_fails(kubeconfig: String, words: &'static [&'static str]) {
    tokio::task::spawn_blocking(move || fails(&kubeconfig, words)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_server_certificate_is_reported_with_reason_and_remedy() {
    let (ours, other) = (authority("kubernetes"), authority("another"));
    let good = certificate(&ours, "127.0.0.1", VALID);

    let simulator = server(&good, &other.pem()).await;
    let unknown = &[
        "cannot list pods",
        "self-signed, or signed by an authority that is not trusted",
        "certificate-authority-data",
    ];
    audit_fails(simulator.kubeconfig(), unknown).await;
    // An authority with the same name, as kubeadm uses.
    let simulator = server(&good, &authority("kubernetes").pem()).await;
    audit_fails(simulator.kubeconfig(), unknown).await;

    let mut parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let alone = parameters.self_signed(&key).unwrap();
    let simulator = server(&(alone.pem(), key.serialize_pem()), &ours.pem()).await;
    audit_fails(simulator.kubeconfig(), unknown).await;
    // An authority's certificate that is served directly, and trusted.
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let alone = parameters.self_signed(&key).unwrap();
    let simulator = server(&(alone.pem(), key.serialize_pem()), &alone.pem()).await;
    audit_fails(simulator.kubeconfig(), &["the certificate of an authority", "give it a certificate"]).await;

    let simulator = server(&certificate(&ours, "127.0.0.1", PAST), &ours.pem()).await;
    audit_fails(simulator.kubeconfig(), &["certificate expired on 2020-01-01 00:00 UTC", "renew it", "clock"]).await;
    let simulator = server(&certificate(&ours, "127.0.0.1", [2080, 2090]), &ours.pem()).await;
    audit_fails(simulator.kubeconfig(), &["not valid before 2080-01-01", "clock"]).await;
    let simulator = server(&certificate(&ours, "api.example.org", VALID), &ours.pem()).await;
    audit_fails(simulator.kubeconfig(), &["is not for 127.0.0.1, but for", "api.example.org", "tls-server-name"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_and_http_are_distinguished() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let kubeconfig = simulator.kubeconfig().replace("http://", "https://");
    audit_fails(kubeconfig, &["does not speak HTTPS", "http://"]).await;
    let ours = authority("kubernetes");
    let simulator = server(&certificate(&ours, "127.0.0.1", VALID), &ours.pem()).await;
    let kubeconfig = simulator.kubeconfig().replace("https://", "http://");
    audit_fails(kubeconfig, &["https://", "does not answer in HTTP"]).await;
}

/// A server that requires a client certificate of an authority for each connection.
async fn demanding(certificate: &(String, String), clients: &Authority) -> std::net::SocketAddr {
    let provider = Arc::new(crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(clients.pem().as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let chain = vec![CertificateDer::from_pem_slice(certificate.0.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(certificate.1.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read_u8().await;
                }
            });
        }
    });
    address
}

fn with_client(server: &str, trusted: &Authority, client: Option<&(String, String)>) -> String {
    let folder = tempfile::tempdir().unwrap().keep();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name).display().to_string()
    };
    let user = client.map_or("{}".to_owned(), |(certificate, key)| {
        format!(r#"{{"client-certificate": "{}", "client-key": "{}"}}"#, file("crt", certificate), file("key", key))
    });
    let authority = file("ca", &trusted.pem());
    format!(
        r#"{{"current-context": "c", "contexts": [{{"name": "c", "context": {{"cluster": "c", "user": "u"}}}}],
            "clusters": [{{"name": "c", "cluster": {{"server": "{server}", "certificate-authority": "{authority}"}}}}],
            "users": [{{"name": "u", "user": {user}}}]}}"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_client_certificate_is_reported_with_reason_and_remedy() {
    let ours = authority("kubernetes");
    let address = demanding(&certificate(&ours, "127.0.0.1", VALID), &ours).await;
    let url = format!("https://{address}");
    let old = certificate(&ours, "me", PAST);
    audit_fails(
        with_client(&url, &ours, Some(&old)),
        &["refuses the client certificate: it has expired", "whose client certificate expired on 2020-01-01 00:00 UTC"],
    )
    .await;
    let foreign = certificate(&authority("another"), "me", VALID);
    audit_fails(with_client(&url, &ours, Some(&foreign)), &["refuses the client certificate", "of another cluster?"])
        .await;
    audit_fails(with_client(&url, &ours, None), &["asks for a client certificate", "has none"]).await;

    // An API server accepts the connection and responds with 401.
    let simulator = server(&certificate(&ours, "127.0.0.1", VALID), &ours.pem()).await;
    simulator.inject(None, Fault::Status(401));
    audit_fails(
        with_client(&simulator.url(), &ours, Some(&old)),
        &["whose client certificate expired on 2020-01-01 00:00 UTC; renew it", "log in again"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_and_the_probe_report_it() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let podskew = Running::start_with(&simulator.kubeconfig().replace("http://", "https://"), &[]);
    podskew.until_logged("the server does not speak HTTPS").await;
    podskew.until_answered("/readyz", |status, body| status == 503 && body.contains("pods: unreachable: ")).await;
    podskew.until_answered("/", |_, body| body.contains("<li>pods: unreachable: ")).await;
    for (code, word) in [(401, "pods: unauthorized: "), (403, "pods: forbidden: ")] {
        simulator.clear_faults();
        simulator.inject(None, Fault::Status(code));
        let podskew = Running::start(&simulator, &[]);
        podskew.until_answered("/readyz", |status, body| status == 503 && body.contains(word)).await;
        podskew.until_answered("/", |_, body| body.contains(word)).await;
    }
}

const KUBECONFIG: &str = r#"{
    "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": USER}]
}"#;

fn with_user(user: &str) -> String {
    KUBECONFIG.replace("USER", user)
}

#[test]
fn a_credential_plugin_is_named_with_the_way_to_install_it() {
    let exec = |command: &str, rest: &str| {
        with_user(&format!(
            r#"{{"exec": {{"apiVersion": "client.authentication.k8s.io/v1", "command": "{command}",
                "interactiveMode": "Never", "env": [{{"name": "TOKEN", "value": "s3cr3t"}}] {rest}}}}}"#
        ))
    };
    let hint = r#", "installHint": "Install it:\n  gcloud components install gke-gcloud-auth-plugin""#;
    fails(
        &exec("no-such-plugin", hint),
        &[
            "the credential plugin no-such-plugin of the kubeconfig cannot be run",
            "gcloud components install gke-gcloud-auth-plugin",
        ],
    );
    fails(
        &exec("no-such-plugin", ""),
        &["the credential plugin no-such-plugin of the kubeconfig cannot be run", "add the directory", "PATH"],
    );
    fails(&exec("sh", r#", "args": ["-c", "echo s3cr3t; exit 3"]"#), &["credential plugin sh", "exit status: 3"]);
    fails(&exec("echo", r#", "args": ["s3cr3t"]"#), &["credential plugin echo", "not an ExecCredential"]);
}

#[test]
fn auth_providers_of_the_past_name_their_successor() {
    let provider =
        |name: &str| with_user(&format!(r#"{{"auth-provider": {{"name": "{name}", "config": {{"x": "s3cr3t"}}}}}}"#));
    fails(&provider("gcp"), &["auth-provider gcp", "gke-gcloud-auth-plugin", "get-credentials"]);
    fails(&provider("azure"), &["auth-provider azure", "kubelogin convert-kubeconfig"]);
    fails(&provider("wheel"), &["auth-provider wheel", "credential plugin"]);
}

#[test]
fn a_kubeconfig_that_cannot_be_used_says_where_it_is_wrong() {
    fails("", &["is empty", "--kubeconfig"]);
    fails("\n# nothing\n", &["is empty"]);
    fails("apiVersion: v1\nkind: Config\n", &["is empty: it has no cluster"]);
    let broken =
        "apiVersion: v1\nclusters:\n- name: c\n  cluster: {server: 'http://x'\nusers:\n- user: {token: s3cr3t}\n";
    fails(broken, &["is not a kubeconfig", "line 5"]);
    fails("apiVersion: v1\n\tkind: Config\nusers: s3cr3t\n", &["is not a kubeconfig", "line "]);
    fails("users: [{name: u, user: s3cr3t}]\n", &["is not a kubeconfig", "line 1"]);
    let cluster = with_user("{}").replace(r#""cluster": "c", "user""#, r#""cluster": "gone", "user""#);
    fails(&cluster, &["context \"c\" names the cluster \"gone\"", "there are: c"]);
}

#[test]
fn an_invalid_address_is_reported_before_any_request() {
    let server = |address: &str| with_user("{}").replace("http://127.0.0.1:1", address);
    for address in ["ftp://127.0.0.1", "https://user:s3cr3t@", "ht tp://x", ""] {
        fails(&server(address), &["cannot be used", "is not an address", "https://HOST:PORT"]);
    }
    // Like with kubectl, a server without a scheme is HTTP.
    fails(&server("127.0.0.1:1"), &["cannot look at http://127.0.0.1:1/"]);
    let ca = with_user("{}")
        .replace(r#""http://127.0.0.1:1""#, r#""https://127.0.0.1:1", "certificate-authority": "/no/ca""#);
    fails(&ca, &["/no/ca", "certificate-authority", "No such file"]);
    fails(&with_user(r#"{"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}"#), &["has no command"]);
}

#[test]
fn several_kubeconfigs_are_distinguished_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let context = file(
        "context",
        r#"{"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}"#,
    );
    let cluster = file("cluster", r#"{"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}]}"#);
    let user = file("user", r#"{"users": [{"name": "u", "user": {}}]}"#);
    let broken = file("broken", "clusters:\n- {\n");
    let empty = file("empty", "");
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    let audit = |files: &[&str], context: &[&str], words: &[&str]| {
        let arguments = [&["audit", "-A"], context].concat();
        let ended = run(&arguments, &[("KUBECONFIG", &files.join(":"))]);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{word:?} is missing in: {}", ended.stderr);
        }
    };
    // Together they name a server that does not exist.
    audit(
        &[&context, &missing, &empty, &cluster, &user],
        &[],
        &["cannot look at http://127.0.0.1:1/", "cannot list pods"],
    );
    audit(&[&context, &user], &[], &["the cluster \"c\"", "context", "user", "there is none"]);
    audit(&[&context, &broken], &[], &["broken is not a kubeconfig", "line"]);
    audit(
        &[&context, &cluster, &user, &missing],
        &["--context", "prod"],
        &["no context \"prod\"", "missing too", "there are: c"],
    );
    audit(&[&empty], &[], &["empty is empty"]);
}

#[test]
fn a_context_of_the_environment_is_named_by_its_variable() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), with_user("{}")).unwrap();
    let ended = run(&["audit"], &[("PODSKEW_KUBECONFIG", file.path().to_str().unwrap()), ("PODSKEW_CONTEXT", "gone")]);
    assert!(ended.code == 2 && ended.stderr.contains("PODSKEW_CONTEXT"), "{}", ended.stderr);
    let ended = run(&["audit"], &[("PODSKEW_KUBECONFIG", "/nowhere")]);
    let said = "cannot read the kubeconfig /nowhere, which PODSKEW_KUBECONFIG names: No such file";
    assert!(ended.code == 2 && ended.stderr.contains(said), "{}", ended.stderr);
    let typed = run(&["audit", "--kubeconfig", "/typed"], &[("PODSKEW_KUBECONFIG", "/nowhere")]);
    assert!(typed.stderr.contains("cannot read the kubeconfig /typed: No such file"), "{}", typed.stderr);
}
