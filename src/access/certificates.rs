//! Client certificates: requested in every handshake, required for each request that is not a probe.
//!
//! The kubelet has no certificate, so a handshake without one succeeds, and access is decided for each request. An invalid
//! certificate ends the handshake.

use super::document::{FileError, WithLine};
use super::pem::{Files, certificates, in_file};
use super::settings::TlsSettings;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, IpAddr, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use std::sync::Arc;
use tokio_rustls::rustls;
use webpki::EndEntityCert;

/// Verifies client certificates.
#[derive(Debug)]
pub(super) struct ClientCertificates {
    provider: Arc<CryptoProvider>,
    /// Verifies the chain. `None` accepts any certificate whose key the client proves to have.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    allowed_names: Option<Vec<String>>,
}

impl ClientCertificates {
    /// `None` if the configuration requests no client certificates.
    pub(super) fn new(
        settings: &TlsSettings,
        files: &Files,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Self>, FileError> {
        if !settings.clients.requested {
            return Ok(None);
        }
        let chain = match settings.client_ca.as_ref().filter(|_| settings.clients.verified) {
            None => None,
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem, files)? {
                    roots.add(certificate).map_err(|error| {
                        let in_file = in_file(pem);
                        pem.refuse(format!("a client CA{in_file} cannot be used: {error}; write CA certificates alone"))
                    })?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
                let verifier = verifier.allow_unauthenticated().build();
                Some(
                    verifier.map_err(|error| {
                        pem.refuse(format!("the client CAs{} cannot be used: {error}", in_file(pem)))
                    })?,
                )
            }
        };
        let allowed_names = settings.allowed_names.as_deref().map(names).transpose()?;
        Ok(Some(Self { provider: Arc::clone(provider), chain, allowed_names }))
    }

    fn is_allowed(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let Some(allowed) = &self.allowed_names else { return Ok(()) };
        let certificate = EndEntityCert::try_from(certificate)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let has = |name: &String| match IpAddr::try_from(name.as_str()) {
            Ok(address) => certificate.verify_is_valid_for_subject_name(&ServerName::IpAddress(address)).is_ok(),
            Err(_) => {
                certificate.valid_dns_names().any(|found| found == name)
                    || certificate.valid_uri_names().any(|found| found == name)
            }
        };
        if allowed.iter().any(has) {
            return Ok(());
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForName))
    }
}

/// `client_allowed_sans`.
fn names(names: &[WithLine<String>]) -> Result<Vec<String>, FileError> {
    let is_email = |name: &str| name.contains('@') && !name.contains("://");
    if let Some(email) = names.iter().find(|name| is_email(&name.value)) {
        return Err(email.refuse(
            "podskew does not compare e-mail addresses of certificates; name a DNS name, an IP address or a URI of them",
        ));
    }
    Ok(names.iter().map(|name| name.value.clone()).collect())
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if let Some(chain) = &self.chain {
            chain.verify_client_cert(certificate, intermediates, now)?;
        }
        self.is_allowed(certificate)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
