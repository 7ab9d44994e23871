//! From `tls_server_config` to a rustls configuration.

use super::certificates::ClientCertificates;
use super::document::{FileError, WithLine};
use super::pem::{Files, broken, certificates, in_file, read};
use super::settings::{TlsSettings, TlsVersion};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;

/// Builds the TLS acceptor.
pub(super) fn acceptor(settings: &TlsSettings, files: &Files) -> Result<TlsAcceptor, FileError> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = suites(&settings.cipher_suites, &provider)?;
    provider.kx_groups = groups(&settings.curves, &provider)?;
    let provider = Arc::new(provider);
    let versions = versions(settings, &provider)?;
    let own = ServerCertificate::read(settings, files)?;
    provider.key_provider.load_private_key(own.key.clone_key()).map_err(|_| {
        let in_file = in_file(&settings.key);
        settings.key.refuse(format!(
            "the private key{in_file} cannot be used: it is broken, or not an RSA, ECDSA or Ed25519 key; write one as openssl does"
        ))
    })?;
    let clients = ClientCertificates::new(settings, files, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| FileError::new(settings.line, format!("rustls cannot serve this: {error}")))?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::new(clients)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(own.chain, own.key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => settings.key.refuse(format!(
            "the private key{} does not match the certificate{}; name the key of the certificate",
            in_file(&settings.key),
            in_file(&settings.certificate)
        )),
        _ => settings.certificate.refuse(format!(
            "the certificate{} cannot be used: {}; write one as openssl does",
            in_file(&settings.certificate),
            match error {
                // The message of rustls would be about a peer's certificate.
                rustls::Error::InvalidCertificate(_) => "it is not an X.509 certificate of version 3".to_owned(),
                error => error.to_string(),
            }
        )),
    })?;
    config.ignore_client_order = settings.prefer_server_suites;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // No session resumption: scrapers keep their connections, and a resumed session would skip the verification of the client's
    // certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The server's certificate and key.
struct ServerCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ServerCertificate {
    fn read(settings: &TlsSettings, files: &Files) -> Result<Self, FileError> {
        let chain = certificates(&settings.certificate, files)?;
        let bytes = read(&settings.key, files)?;
        let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
            let in_file = in_file(&settings.key);
            let is_encrypted = bytes.windows(9).any(|window| window == b"ENCRYPTED");
            settings.key.refuse(match error {
                _ if is_encrypted => {
                    format!("the private key{in_file} is encrypted; decrypt it with `openssl pkey`")
                }
                pem::Error::NoItemsFound => {
                    format!("there is no PEM private key{in_file}; write one in PKCS#8, PKCS#1 or SEC 1")
                }
                error => broken("private key", &in_file, &error),
            })
        })?;
        Ok(Self { chain, key })
    }
}

/// Go's name of a cipher suite.
fn name_of(suite: SupportedCipherSuite) -> String {
    let name = format!("{:?}", suite.suite());
    name.strip_prefix("TLS13_").map_or_else(|| name.clone(), |rest| format!("TLS_{rest}"))
}

/// The named cipher suites in order. A list without suites of TLS 1.3 does not restrict that version, as in Go.
fn suites(names: &[WithLine<String>], provider: &CryptoProvider) -> Result<Vec<SupportedCipherSuite>, FileError> {
    let all = &provider.cipher_suites;
    let found = names.iter().map(|name| {
        all.iter().find(|suite| name_of(**suite) == name.value).copied().ok_or_else(|| {
            let known: Vec<String> = all.iter().map(|suite| name_of(*suite)).collect();
            name.refuse(format!("podskew has no cipher suite {:?}; it has {}", name.value, known.join(", ")))
        })
    });
    let mut suites = found.collect::<Result<Vec<_>, _>>()?;
    if suites.is_empty() {
        return Ok(all.clone());
    }
    if !suites.iter().any(|suite| is_tls13(*suite)) {
        suites.extend(all.iter().filter(|suite| is_tls13(**suite)));
    }
    Ok(suites)
}

fn is_tls13(suite: SupportedCipherSuite) -> bool {
    suite.tls13().is_some()
}

fn groups(
    names: &[WithLine<String>],
    provider: &CryptoProvider,
) -> Result<Vec<&'static dyn SupportedKxGroup>, FileError> {
    let all = &provider.kx_groups;
    if names.is_empty() {
        return Ok(all.clone());
    }
    let found = names.iter().map(|name| {
        let group = match name.value.as_str() {
            "X25519" => Some(rustls::NamedGroup::X25519),
            "CurveP256" => Some(rustls::NamedGroup::secp256r1),
            "CurveP384" => Some(rustls::NamedGroup::secp384r1),
            _ => None,
        };
        all.iter().find(|known| Some(known.name()) == group).copied().ok_or_else(|| {
            name.refuse(format!("podskew has no curve {:?}; it has X25519, CurveP256, CurveP384", name.value))
        })
    });
    found.collect()
}

fn versions(
    settings: &TlsSettings,
    provider: &CryptoProvider,
) -> Result<Vec<&'static SupportedProtocolVersion>, FileError> {
    let mut versions = Vec::new();
    if settings.max_version >= TlsVersion::Tls13 {
        versions.push(&rustls::version::TLS13);
    }
    let has_suites = provider.cipher_suites.iter().any(|suite| !is_tls13(*suite));
    if settings.min_version == TlsVersion::Tls12 && has_suites {
        versions.push(&rustls::version::TLS12);
    }
    if versions.is_empty() {
        let line = settings.cipher_suites.first().map_or(settings.line, |suite| suite.line);
        return Err(FileError::new(line, "cipher_suites names none of TLS 1.2, and max_version is TLS12; name one"));
    }
    Ok(versions)
}
