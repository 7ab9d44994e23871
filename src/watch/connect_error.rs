//! Explains problems of a kubeconfig, of credentials or of a TLS connection, with remedies.
//!
//! No message quotes a kubeconfig or the input or output of a credential plugin: any of it may be a secret.

use crate::time::UnixTime;
use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{AuthInfo, Kubeconfig, KubeconfigError};
use std::error::Error;
use std::io;
use std::path::Path;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{AlertDescription, CertificateError, InvalidMessage};

/// Go's response to a request without TLS on a TLS port.
const PLAIN_ON_TLS: &[u8] = b"Client sent an HTTP request to an HTTPS server";

/// An unreadable kubeconfig.
pub(super) fn unread(file: &Path, error: &io::Error) -> anyhow::Error {
    let is_set = std::env::var_os("PODSKEW_KUBECONFIG").is_some_and(|named| named == file.as_os_str());
    let variable = if is_set { ", which PODSKEW_KUBECONFIG names" } else { "" };
    anyhow!("cannot read the kubeconfig {}{variable}: {error}", file.display())
}

/// A file that is not a kubeconfig. The parser's message may quote lines with a token.
pub(super) fn no_kubeconfig(file: &Path, error: Option<&KubeconfigError>) -> anyhow::Error {
    let location = match error {
        Some(KubeconfigError::Parse(error)) => error.location().filter(|location| location.line() > 0),
        _ => None,
    };
    let location = location.map(|location| format!(" (line {}, column {})", location.line(), location.column()));
    anyhow!(
        "{} is not a kubeconfig: it is not the YAML that kubectl writes{}; kubectl config view --kubeconfig {} reads it too",
        file.display(),
        location.unwrap_or_default(),
        file.display()
    )
}

/// Describes what the context refers to and the files lack; `None` if nothing is missing.
pub(super) fn missing(kubeconfig: &Kubeconfig, context: &str, names: &str) -> Option<String> {
    let found = kubeconfig.contexts.iter().find(|named| named.name == context)?.context.as_ref()?;
    let there_are = |names: Vec<&str>| match names.as_slice() {
        [] => "there is none".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    };
    let clusters: Vec<&str> = kubeconfig.clusters.iter().map(|cluster| &*cluster.name).collect();
    if !clusters.contains(&&*found.cluster) {
        let cluster = &found.cluster;
        return Some(format!(
            "context \"{context}\" names the cluster \"{cluster}\", which is missing in {names}; {}",
            there_are(clusters)
        ));
    }
    None
}

/// Describes an expired client certificate of a user, for which API servers respond only with 401.
pub(super) fn expired(user: &AuthInfo, now: UnixTime) -> Option<String> {
    let pem = STANDARD.decode(user.client_certificate_data.as_ref()?).ok()?;
    let certificate = CertificateDer::from_pem_slice(&pem).ok()?;
    let end = not_after(&certificate)?;
    (end < now).then(|| format!("whose client certificate expired on {}; renew it", day(end)))
}

fn day(moment: UnixTime) -> String {
    let moment = jiff::Timestamp::from_second(i64::from(moment.seconds())).unwrap_or_default();
    moment.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// End of a certificate's validity (RFC 5280, 4.1): certificate, its first element, and of that the fifth, or the
/// fourth without a version.
fn not_after(certificate: &[u8]) -> Option<UnixTime> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let of = |wanted: u8, (tag, content, _): (u8, _, _)| (tag == wanted).then_some(content);
    let mut rest = of(SEQUENCE, element(of(SEQUENCE, element(certificate)?)?)?)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (tag, time, _) = element(element(of(SEQUENCE, element(rest)?)?)?.2)?;
    let text = std::str::from_utf8(time).ok().filter(|text| text.is_ascii())?;
    let (year, rest) = match tag {
        // UTCTime has two digits for the years 1950 to 2049, GeneralizedTime four.
        0x17 => {
            let (year, rest) = text.split_at_checked(2)?;
            (if year < "50" { format!("20{year}") } else { format!("19{year}") }, rest)
        }
        0x18 => text.split_at_checked(4).map(|(year, rest)| (year.to_owned(), rest))?,
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2);
    UnixTime::parse(&format!("{year}-{}-{}T{}:{}:{}Z", two(0)?, two(2)?, two(4)?, two(6)?, two(8)?))
}

/// Splits off the first DER element: tag, content, and the rest.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (digits, behind) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(digits, _)| digits.len() <= 4)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = behind;
    }
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
}

/// The remedy for a connection that fails for good because of TLS.
pub(super) fn tls(error: &kube::Error) -> Option<String> {
    let mut link: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = link {
        if let Some(error) = held(cause).downcast_ref::<rustls::Error>() {
            return of_tls(error);
        }
        // hyper's error for a TLS alert from a server that expects TLS.
        if cause.to_string().contains("invalid HTTP version parsed") {
            return Some(
                "the server does not answer in HTTP; if it speaks TLS, its address in the kubeconfig has to begin with \
                 https://"
                    .to_owned(),
            );
        }
        link = cause.source();
    }
    None
}

/// The error inside an I/O error, which may be another I/O error. It is not part of the chain of causes; only its own
/// causes are.
fn held<'e>(cause: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => held(inner),
        None => cause,
    }
}

/// The remedy for a server that reports over HTTP that it expects TLS.
pub(super) fn plain_on_tls(body: &[u8]) -> Option<&'static str> {
    memchr::memmem::find(body, PLAIN_ON_TLS).map(
        |_| "the API server speaks HTTPS and received an HTTP request; its address in the kubeconfig has to begin with https://",
    )
}

fn of_tls(error: &rustls::Error) -> Option<String> {
    Some(match error {
        rustls::Error::InvalidCertificate(error) => of_certificate(error),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak HTTPS; if it speaks HTTP, its address in the kubeconfig has to begin with http://"
                .to_owned()
        }
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateExpired => {
                "the API server refuses the client certificate: it has expired, or the server's clock is wrong; renew the \
                 client certificate of the kubeconfig"
                    .to_owned()
            }
            AlertDescription::UnknownCA => {
                "the API server refuses the client certificate: it does not trust the authority that signed it; is this the \
                 kubeconfig of another cluster?"
                    .to_owned()
            }
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError => {
                format!("the API server refuses the client certificate ({alert:?}); renew that of the kubeconfig")
            }
            AlertDescription::CertificateRequired => {
                "the API server asks for a client certificate, and the kubeconfig's user has none".to_owned()
            }
            AlertDescription::UnrecognisedName => {
                "the API server has no certificate for this name; set tls-server-name in the kubeconfig's cluster".to_owned()
            }
            _ => return None,
        },
        _ => return None,
    })
}

fn of_certificate(error: &CertificateError) -> String {
    let clock = "renew it, or set this machine's clock right";
    let moment = |time: &rustls::pki_types::UnixTime| {
        UnixTime::from_seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)).map(day).unwrap_or_default()
    };
    match error {
        // Authorities of different clusters may have one name, such as "kubernetes"; then only the signature differs.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the API server's certificate is self-signed, or signed by an authority that is not trusted here; put the \
             certificate of the cluster's authority into certificate-authority-data of the kubeconfig's cluster"
                .to_owned()
        }
        CertificateError::Expired => format!("the API server's certificate has expired; {clock}"),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the API server's certificate expired on {}; {clock}", moment(not_after))
        }
        CertificateError::NotValidYet => format!("the API server's certificate is not valid yet; {clock}"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the API server's certificate is not valid before {}; {clock}", moment(not_before))
        }
        CertificateError::NotValidForName => {
            "the API server's certificate is for another name than that of its address in the kubeconfig; take a name that \
             it has, or set tls-server-name"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the API server's certificate is not for {}, but for {}; take such a name as the address in the kubeconfig, or \
             set tls-server-name",
            expected.to_str(),
            if presented.is_empty() { "no name at all".to_owned() } else { presented.join(", ") }
        ),
        // The message comes from the verifying library and holds no secret.
        error if format!("{error:?}").contains("CaUsedAsEndEntity") => {
            "the API server presents the certificate of an authority, self-signed perhaps, and not one of its own; give it \
             a certificate that an authority signed, and put that authority into certificate-authority-data"
                .to_owned()
        }
        error => format!(
            "the API server's certificate is not accepted ({error}); check that certificate-authority-data in the kubeconfig \
             belongs to this cluster"
        ),
    }
}
