//! A podskew with access control: certificates, the real binary, and any kind of client.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A hash of a password, with the lowest cost.
pub fn hash(password: &[u8]) -> String {
    hash_of_cost(4, password)
}

pub fn hash_of_cost(cost: u32, password: &[u8]) -> String {
    bcrypt::hash_with_salt(password, cost, [7; 16]).unwrap().to_string()
}

/// Certificates for servers and for clients. All file names end with `.pem`.
pub struct Kit {
    pub directory: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
    stranger: CertifiedIssuer<'static, KeyPair>,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

impl Kit {
    /// `ca.pem`, `server.pem` and `server.key`; likewise `client`, `expired`, `stranger` (of another CA) and `elsewhere` (a
    /// server certificate for another host).
    pub fn new() -> Self {
        let kit = Self {
            directory: tempfile::tempdir().unwrap(),
            authority: authority("podskew's tests"),
            stranger: authority("somebody else"),
        };
        kit.write("ca.pem", &kit.authority.pem());
        kit.write("stranger-ca.pem", &kit.stranger.pem());
        kit.issue("server", &["localhost", "127.0.0.1"], VALID, false);
        kit.issue("elsewhere", &["elsewhere.example"], VALID, false);
        kit.issue("client", &["prometheus.example"], VALID, true);
        kit.issue("expired", &["prometheus.example"], [2019, 2020], true);
        let (certificate, key) = certificate(&kit.stranger, &["prometheus.example"], VALID, true);
        kit.write("stranger.pem", &certificate);
        kit.write("stranger.key", &key);
        kit
    }

    /// Writes a certificate of the authority, and its key.
    pub fn issue(&self, name: &str, names: &[&str], years: [i32; 2], is_client: bool) {
        let (certificate, key) = certificate(&self.authority, names, years, is_client);
        self.write(&format!("{name}.pem"), &certificate);
        self.write(&format!("{name}.key"), &key);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        // Replaced at once, like a mounted Secret, so that no partial file can be read.
        let draft = self.path(&format!("{name}.draft"));
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(&draft, &path).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A client that trusts the authority, with the certificate of this name, if any.
    pub fn client(&self, identity: Option<&str>) -> Tls {
        self.client_with(identity, &[&rustls::version::TLS13, &rustls::version::TLS12])
    }

    pub fn client_with(&self, identity: Option<&str>, versions: &[&'static rustls::SupportedProtocolVersion]) -> Tls {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = CertificateDer::pem_file_iter(self.path(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
            }
        };
        Tls(Arc::new(config))
    }
}

pub const VALID: [i32; 2] = [2020, 2090];

fn certificate(
    authority: &CertifiedIssuer<'static, KeyPair>,
    names: &[&str],
    years: [i32; 2],
    is_client: bool,
) -> (String, String) {
    let (uris, names): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains("://"));
    let mut parameters = CertificateParams::new(names.into_iter().map(str::to_owned).collect::<Vec<_>>()).unwrap();
    parameters.subject_alt_names.extend(uris.into_iter().map(|uri| SanType::URI(uri.try_into().unwrap())));
    [parameters.not_before, parameters.not_after] = years.map(|year| rcgen::date_time_ymd(year, 1, 1));
    let usage = if is_client { ExtendedKeyUsagePurpose::ClientAuth } else { ExtendedKeyUsagePurpose::ServerAuth };
    parameters.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    (parameters.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// The TLS configuration of a client.
#[derive(Clone)]
pub struct Tls(pub Arc<ClientConfig>);

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A connection that stays open.
pub struct Connection(Box<dyn ReadWrite + Send>);

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

impl Connection {
    /// Connects; the handshake is part of the first request.
    pub fn open(address: &str, tls: Option<&Tls>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        let Some(Tls(config)) = tls else { return Ok(Self(Box::new(stream))) };
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(Self(Box::new(StreamOwned::new(connection, stream))))
    }

    /// Sends a request, and reads the whole response. It has a length, because gzip is requested or it is short.
    pub fn ask(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n");
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        self.0.write_all(format!("{request}\r\n").as_bytes())?;
        self.0.flush()?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if self.0.read(&mut byte)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").unwrap_or_else(|| panic!("{}", answer.head)).parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let is_gzip = answer.header("content-encoding") == Some("gzip");
        answer.body = if is_gzip { gunzip(&body) } else { String::from_utf8(body).unwrap() };
        Ok(answer)
    }
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

/// `Authorization: Basic`.
pub fn basic(user: &str, password: &[u8]) -> String {
    use base64::Engine as _;
    let credentials = [user.as_bytes(), b":", password].concat();
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
}

/// A token in the form of service account tokens.
pub fn jwt(claims: &serde_json::Value) -> String {
    use base64::Engine as _;
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"RS256","kid":"k"}"#), part(&claims.to_string()), part("signature"))
}

/// A program that serves until it is dropped.
pub struct Served {
    process: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
    pub scheme: String,
    log: Arc<Mutex<String>>,
    _kubeconfig: Option<tempfile::NamedTempFile>,
}

impl Served {
    /// The real binary with this kubeconfig, ready.
    pub fn podskew(kubeconfig: &str, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self::podskew_in(kubeconfig, &arguments, &[])
    }

    /// Like [`Self::podskew`], with only these environment variables.
    pub fn podskew_in(kubeconfig: &str, arguments: &[String], variables: &[(String, String)]) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), kubeconfig).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
        command.args(["serve", "--listen-address", "127.0.0.1:0", "--kubeconfig"]).arg(file.path());
        command
            .args(arguments)
            .env_clear()
            .envs(variables.iter().cloned())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let (scheme, address) = loop {
            let line = lines.next().unwrap_or_else(|| panic!("the process ended: {}", log.lock().unwrap())).unwrap();
            note(&log, &line);
            if let Some((_, rest)) = line.split_once("serving ") {
                let (scheme, rest) = rest.split_once("://").unwrap();
                break (scheme.to_owned(), rest.split_once('/').unwrap().0.to_owned());
            }
        };
        let writer = Arc::clone(&log);
        // A full pipe would stop the process.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| note(&writer, &line)));
        Self { process, address, scheme, log, _kubeconfig: Some(file) }
    }

    /// Starts exporter-toolkit itself.
    pub fn toolkit(program: &Path, file: &Path) -> Self {
        let mut command = Command::new(program);
        let mut process = command.arg("serve").arg(file).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        Self { process, address, scheme: String::new(), log: Arc::default(), _kubeconfig: None }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The response to one GET, on a connection of its own.
    pub fn get(&self, tls: Option<&Tls>, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        Connection::open(&self.address, tls)?.ask(path, headers)
    }

    /// Only the status of one GET.
    #[track_caller]
    pub fn status(&self, tls: Option<&Tls>, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.get(tls, path, headers).unwrap_or_else(|error| panic!("{error}: {}", self.log())).status
    }

    #[track_caller]
    pub fn until_ready(&self, tls: Option<&Tls>) {
        self.eventually("ready", || self.get(tls, "/readyz", &[]).is_ok_and(|answer| answer.status == 200));
    }

    #[track_caller]
    pub fn eventually(&self, what: &str, mut found: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !found() {
            assert!(begun.elapsed() < TIMEOUT, "timeout waiting for {what}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the log contains a text.
    #[track_caller]
    pub fn until_logged(&self, text: &str) {
        self.eventually(text, || self.log().contains(text));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn note(log: &Mutex<String>, line: &str) {
    let mut log = log.lock().unwrap();
    log.push_str(line);
    log.push('\n');
}
