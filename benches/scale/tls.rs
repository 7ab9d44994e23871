//! Cost of TLS: the same podskew on the same cluster, with a web configuration file.

use crate::Outcome;
use crate::cluster::Cluster;
use crate::figures::{Figures, percentile};
use crate::http::Connection;
use crate::podskew::{BINARY, free_port};
use crate::process::Process;
use crate::scrapes::{COUNT, put_times, scrape};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::rustls;

const HANDSHAKES: usize = 100;

/// Measures 200 scrapes over one connection, handshakes, and settled memory.
pub(crate) fn measure(cluster: &Cluster, figures: &mut Figures) -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    for (name, text) in [
        ("tls.crt", certified.cert.pem()),
        ("tls.key", certified.signing_key.serialize_pem()),
        ("web.yaml", "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n".to_owned()),
    ] {
        std::fs::write(directory.path().join(name), text)?;
    }
    let config = client(certified.cert.der())?;
    let host = format!("127.0.0.1:{}", free_port()?);
    let mut command = Command::new(BINARY);
    command.args(["serve", "--log-level", "error", "--listen-address", &host, "--kubeconfig"]);
    command.arg(cluster.kubeconfig.path()).arg("--web-config-file").arg(directory.path().join("web.yaml"));
    let process = Process::start(&mut command)?;
    until_ready(&host, &config)?;

    let mut connection = Connection::open_tls(&host, &config)?;
    connection.get("/metrics", Some("gzip"))?;
    figures.put("tls-steady", process.settled_mib()?);
    let before = process.cpu_seconds()?;
    let (times, _) = scrape(&mut connection, Some("gzip"), COUNT)?;
    figures.put("cpu-tls-gzip", (process.cpu_seconds()? - before) / COUNT as f64 * 1000.0);
    put_times(times, ["tls-gzip-p50", "tls-gzip-p99", "tls-gzip-max"], figures);

    let mut handshakes = Vec::with_capacity(HANDSHAKES);
    for _ in 0..HANDSHAKES {
        let begun = Instant::now();
        Connection::open_tls(&host, &config)?.get("/livez", None)?;
        handshakes.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    figures.put("tls-handshake", percentile(&mut handshakes, 50));
    Ok(())
}

fn client(certificate: &CertificateDer<'static>) -> Outcome<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn until_ready(host: &str, config: &Arc<ClientConfig>) -> Outcome<()> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(600) {
        let answer = Connection::open_tls(host, config).and_then(|mut connection| connection.get("/readyz", None));
        if answer.is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("https://{host}/readyz is not 200 after ten minutes").into())
}
