//! Reads PEM from a file that a configuration names, or from the configuration itself.

use super::document::{FileError, WithLine};
use super::settings::Pem;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tokio_rustls::rustls;

/// Contents of the files that a configuration names, or the reading error.
pub(super) type Files = BTreeMap<PathBuf, Result<Vec<u8>, String>>;

/// All certificates of a PEM text; at least one.
pub(super) fn certificates(pem: &WithLine<Pem>, files: &Files) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let bytes = read(pem, files)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(pem.refuse(format!(
            "there is no PEM certificate{}; write one between BEGIN CERTIFICATE and its END",
            in_file(pem)
        ))),
        Err(error) => Err(pem.refuse(broken("certificate", &in_file(pem), &error))),
    }
}

/// ` in FILE` for a PEM file, empty for inline PEM.
pub(super) fn in_file(pem: &WithLine<Pem>) -> String {
    match &pem.value {
        Pem::File(path) => format!(" in {}", path.display()),
        Pem::Inline(_) => String::new(),
    }
}

/// Message for broken PEM. The parser's own message quotes the text, which may be a key.
pub(super) fn broken(what: &str, in_file: &str, error: &pem::Error) -> String {
    let problem = match error {
        pem::Error::MissingSectionEnd { .. } => "it has no END line, so it may be truncated",
        pem::Error::IllegalSectionStart { .. } => "its BEGIN line does not end in five dashes",
        pem::Error::Base64Decode(_) => "the text between BEGIN and END is not base64",
        _ => "it is too long",
    };
    format!("the PEM of the {what}{in_file} is broken: {problem}; write it as openssl does")
}

/// The PEM text, from its file or inline.
pub(super) fn read<'a>(pem: &'a WithLine<Pem>, files: &'a Files) -> Result<Cow<'a, [u8]>, FileError> {
    match &pem.value {
        Pem::Inline(text) => Ok(text.as_bytes().into()),
        Pem::File(path) => match files.get::<Path>(path) {
            Some(Ok(bytes)) => Ok(bytes.into()),
            Some(Err(error)) => Err(pem.refuse(format!("cannot read {}: {error}", path.display()))),
            None => Err(pem.refuse(format!("cannot read {}; name it again", path.display()))),
        },
    }
}
