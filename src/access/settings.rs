//! Parser of a web configuration file in the format of exporter-toolkit 0.19. It reads no other file.
//!
//! The toolkit ignores some settings that have no effect. This parser refuses them: such a file looks safer than it is.
//! docs/security.md lists every difference.

use super::document::{FileError, WithLine, YamlKey, YamlNode};
use super::duration;
use super::passwords::{self, Users};
use http::{HeaderName, HeaderValue};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The content of a file.
#[derive(Debug, Default)]
pub(super) struct WebConfig {
    pub(super) tls: Option<TlsSettings>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) users: Users,
    pub(super) rate: Option<RateLimit>,
}

/// `tls_server_config`.
#[derive(Debug)]
pub(super) struct TlsSettings {
    pub(super) certificate: WithLine<Pem>,
    pub(super) key: WithLine<Pem>,
    pub(super) clients: ClientAuthType,
    pub(super) client_ca: Option<WithLine<Pem>>,
    pub(super) allowed_names: Option<Vec<WithLine<String>>>,
    pub(super) min_version: TlsVersion,
    pub(super) max_version: TlsVersion,
    pub(super) cipher_suites: Vec<WithLine<String>>,
    pub(super) curves: Vec<WithLine<String>>,
    pub(super) prefer_server_suites: bool,
    /// Where `tls_server_config` begins.
    pub(super) line: u64,
}

/// PEM data: a path, or the text itself.
#[derive(Clone)]
pub(super) enum Pem {
    File(PathBuf),
    Inline(String),
}

/// Go's `ClientAuthType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ClientAuthType {
    pub(super) requested: bool,
    pub(super) required: bool,
    pub(super) verified: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum TlsVersion {
    Tls12,
    Tls13,
}

/// `rate_limit`: one request per `interval`, and bursts of up to `burst` requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RateLimit {
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Inline(_) => f.write_str("(inline)"),
        }
    }
}

impl WebConfig {
    /// Parses `text`; relative paths in it start at `directory`, as in the toolkit.
    pub(super) fn read(text: &str, directory: &Path) -> Result<Self, FileError> {
        let mut settings = Self::default();
        for (key, node) in YamlNode::read(text)?.map("the file")? {
            match key.name.as_str() {
                "tls_server_config" => settings.tls = tls(&key, node, directory)?,
                "http_server_config" => settings.headers = http(node)?,
                "basic_auth_users" => settings.users = users(node)?,
                "rate_limit" => settings.rate = rate(&key, node)?,
                _ => return Err(unknown(&key, "", &TOP)),
            }
        }
        Ok(settings)
    }

    /// The files that the configuration names.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let tls = self.tls.iter();
        tls.flat_map(|tls| [Some(&tls.certificate), Some(&tls.key), tls.client_ca.as_ref()]).flatten().filter_map(
            |pem| match &pem.value {
                Pem::File(path) => Some(path.as_path()),
                Pem::Inline(_) => None,
            },
        )
    }
}

const TOP: [&str; 4] = ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"];

fn unknown(key: &YamlKey, of: &str, known: &[&str]) -> FileError {
    let message = format!("podskew does not know {:?}{of}; it knows {}", key.name, known.join(", "));
    FileError::new(key.line, message)
}

/// The fields of `tls_server_config` before validation.
#[derive(Default)]
struct Fields {
    certificate: Option<WithLine<Pem>>,
    key: Option<WithLine<Pem>>,
    client_ca: Option<WithLine<Pem>>,
    client_auth: Option<WithLine<String>>,
    allowed_names: Option<WithLine<Vec<WithLine<String>>>>,
    min_version: Option<WithLine<TlsVersion>>,
    max_version: Option<WithLine<TlsVersion>>,
    cipher_suites: Vec<WithLine<String>>,
    curves: Vec<WithLine<String>>,
    prefer_server_suites: Option<bool>,
}

const TLS: [&str; 13] = [
    "cert_file",
    "key_file",
    "cert",
    "key",
    "client_auth_type",
    "client_ca_file",
    "client_ca",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "curve_preferences",
    "prefer_server_cipher_suites",
];

fn tls(section: &YamlKey, node: YamlNode, directory: &Path) -> Result<Option<TlsSettings>, FileError> {
    let mut fields = Fields::default();
    let entries = node.map("tls_server_config")?;
    let mut says_something = false;
    for (key, node) in entries {
        let name = key.name.as_str();
        says_something |= !node.is_null();
        match name {
            "cert_file" => once(&mut fields.certificate, file(node, name, directory)?, name, "cert")?,
            "cert" => once(&mut fields.certificate, inline(node, name)?, name, "cert_file")?,
            "key_file" => once(&mut fields.key, file(node, name, directory)?, name, "key")?,
            "key" => once(&mut fields.key, inline(node, name)?, name, "key_file")?,
            "client_ca_file" => once(&mut fields.client_ca, file(node, name, directory)?, name, "client_ca")?,
            "client_ca" => once(&mut fields.client_ca, inline(node, name)?, name, "client_ca_file")?,
            "client_auth_type" => fields.client_auth = node.text(name)?,
            "client_allowed_sans" if node.is_null() => {}
            "client_allowed_sans" => {
                fields.allowed_names = Some(WithLine { line: key.line, value: texts(node, name)? });
            }
            "min_version" => fields.min_version = version(node, name)?,
            "max_version" => fields.max_version = version(node, name)?,
            "cipher_suites" => fields.cipher_suites = texts(node, name)?,
            "curve_preferences" => fields.curves = texts(node, name)?,
            "prefer_server_cipher_suites" => {
                fields.prefer_server_suites = node.boolean(name)?.map(|line| line.value);
            }
            _ => return Err(unknown(&key, " in tls_server_config", &TLS)),
        }
    }
    // An empty section means plain HTTP, as in the toolkit.
    if says_something { complete(fields, section.line).map(Some) } else { Ok(None) }
}

fn complete(fields: Fields, line: u64) -> Result<TlsSettings, FileError> {
    let missing = |message: &str| FileError::new(line, message);
    let Some(certificate) = fields.certificate else {
        return Err(missing("tls_server_config has no certificate; name one with cert_file, or write it below cert"));
    };
    let Some(key) = fields.key else {
        return Err(missing("tls_server_config has no private key; name one with key_file, or write it below key"));
    };
    let clients = clients(fields.client_auth.as_ref())?;
    if let Some(ca) = &fields.client_ca
        && !clients.verified
    {
        return Err(ca.refuse(
            "this client CA verifies no clients; add client_auth_type: RequireAndVerifyClientCert, or remove the CA",
        ));
    }
    if clients.verified && fields.client_ca.is_none() {
        let line = fields.client_auth.as_ref().map_or(line, |auth| auth.line);
        return Err(FileError::new(
            line,
            "without a client CA, the certificate of any public CA would be accepted; add client_ca_file",
        ));
    }
    let allowed_names = match fields.allowed_names {
        Some(names) if names.value.is_empty() => {
            return Err(names.refuse("client_allowed_sans is empty, so nobody could get in; name one, or remove it"));
        }
        Some(names) if !clients.requested => {
            return Err(names.refuse(
                "client_allowed_sans has no effect unless client certificates are requested; add client_auth_type",
            ));
        }
        names => names.map(|names| names.value),
    };
    let min_version = fields.min_version.as_ref().map_or(TlsVersion::Tls12, |version| version.value);
    let max_version = fields.max_version.as_ref().map_or(TlsVersion::Tls13, |version| version.value);
    if let Some(min) = &fields.min_version
        && min.value > max_version
    {
        return Err(min.refuse("min_version is above max_version, so no version is left; lower it"));
    }
    Ok(TlsSettings {
        certificate,
        key,
        clients,
        client_ca: fields.client_ca,
        allowed_names,
        min_version,
        max_version,
        cipher_suites: fields.cipher_suites,
        curves: fields.curves,
        prefer_server_suites: fields.prefer_server_suites.unwrap_or(true),
        line,
    })
}

/// Sets a field, and refuses a second value under the field's other name.
fn once<T>(
    slot: &mut Option<WithLine<T>>,
    found: Option<WithLine<T>>,
    name: &str,
    other: &str,
) -> Result<(), FileError> {
    let Some(found) = found else { return Ok(()) };
    if slot.is_some() {
        return Err(found.refuse(format!("both {other} and {name} are given; keep one of them")));
    }
    *slot = Some(found);
    Ok(())
}

fn file(node: YamlNode, name: &str, directory: &Path) -> Result<Option<WithLine<Pem>>, FileError> {
    let text = node.text(name)?;
    Ok(text.map(|WithLine { line, value }| WithLine { line, value: Pem::File(directory.join(value)) }))
}

fn inline(node: YamlNode, name: &str) -> Result<Option<WithLine<Pem>>, FileError> {
    Ok(node.text(name)?.map(|WithLine { line, value }| WithLine { line, value: Pem::Inline(value) }))
}

fn texts(node: YamlNode, name: &str) -> Result<Vec<WithLine<String>>, FileError> {
    let nodes = node.list(name)?.into_iter();
    nodes
        .map(|node| {
            let line = node.line;
            node.text(name)?.ok_or_else(|| FileError::new(line, format!("a value of {name} is empty; remove it")))
        })
        .collect()
}

fn version(node: YamlNode, name: &str) -> Result<Option<WithLine<TlsVersion>>, FileError> {
    let Some(text) = node.text(name)? else { return Ok(None) };
    let value = match text.value.as_str() {
        "TLS12" => TlsVersion::Tls12,
        "TLS13" => TlsVersion::Tls13,
        old @ ("TLS10" | "TLS11") => {
            return Err(text.refuse(format!("podskew does not speak {old}, which is broken; write TLS12 or TLS13")));
        }
        _ => return Err(text.refuse(format!("{name} is not a TLS version; write TLS12 or TLS13"))),
    };
    Ok(Some(WithLine { line: text.line, value }))
}

fn clients(text: Option<&WithLine<String>>) -> Result<ClientAuthType, FileError> {
    let (requested, required, verified) = match text.map_or("", |text| text.value.as_str()) {
        "" | "NoClientCert" => (false, false, false),
        "RequestClientCert" => (true, false, false),
        // The toolkit keeps the shorter name for old files.
        "RequireAnyClientCert" | "RequireClientCert" => (true, true, false),
        "VerifyClientCertIfGiven" => (true, false, true),
        "RequireAndVerifyClientCert" => (true, true, true),
        _ => {
            let line = text.map_or(1, |text| text.line);
            return Err(FileError::new(
                line,
                "this is not a client_auth_type; write RequireAndVerifyClientCert, VerifyClientCertIfGiven, \
                 RequireAnyClientCert, RequestClientCert or NoClientCert",
            ));
        }
    };
    Ok(ClientAuthType { requested, required, verified })
}

fn http(node: YamlNode) -> Result<Vec<(HeaderName, HeaderValue)>, FileError> {
    let mut headers = Vec::new();
    for (key, node) in node.map("http_server_config")? {
        match key.name.as_str() {
            "http2" => {
                if let Some(http2) = node.boolean("http2")?.filter(|http2| http2.value) {
                    return Err(http2.refuse("podskew speaks only HTTP/1.1; write http2: false, or remove it"));
                }
            }
            "headers" => {
                for (key, node) in node.map("headers")? {
                    headers.extend(header(&key, node)?);
                }
            }
            _ => return Err(unknown(&key, " in http_server_config", &["http2", "headers"])),
        }
    }
    Ok(headers)
}

/// The headers that a file may set and their allowed values; an empty list allows any value.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

/// `None` for a blank header.
fn header(key: &YamlKey, node: YamlNode) -> Result<Option<(HeaderName, HeaderValue)>, FileError> {
    let Some((name, values)) = HEADERS.iter().find(|(name, _)| *name == key.name) else {
        return Err(unknown(key, " among the headers that can be set", &HEADERS.map(|(name, _)| name)));
    };
    let line = node.line;
    let Some(text) = node.text(name)? else {
        return if values.is_empty() {
            Ok(None)
        } else {
            Err(FileError::new(line, format!("{name} is blank; write {}, or remove it", values.join(" or "))))
        };
    };
    if !values.is_empty() && !values.contains(&text.value.as_str()) {
        return Err(text.refuse(format!("this is not a value of {name}; write {}", values.join(" or "))));
    }
    let header = HeaderName::from_bytes(name.as_bytes()).ok();
    // `HeaderValue` refuses line breaks, which would begin another header.
    let value = HeaderValue::from_str(&text.value).ok();
    header.zip(value).map(Some).ok_or_else(|| {
        text.refuse(format!("{name} contains a character that no header may contain, such as a line break; remove it"))
    })
}

fn users(node: YamlNode) -> Result<Users, FileError> {
    let mut users = Users::default();
    for (key, node) in node.map("basic_auth_users")? {
        if key.name.contains(':') {
            return Err(FileError::new(
                key.line,
                "a user's name contains a colon, which would end the name in a request; remove it",
            ));
        }
        let line = node.line;
        let hash = node.text("a password's hash")?.map(|text| text.value).unwrap_or_default();
        passwords::check(&hash).map_err(|message| FileError::new(line, message))?;
        users.insert(key.name, hash);
    }
    Ok(users)
}

fn rate(section: &YamlKey, node: YamlNode) -> Result<Option<RateLimit>, FileError> {
    let (mut interval, mut burst) = (None, None);
    for (key, node) in node.map("rate_limit")? {
        match key.name.as_str() {
            "interval" => interval = node.text("interval")?,
            "burst" => burst = node.text("burst")?,
            _ => return Err(unknown(&key, " in rate_limit", &["interval", "burst"])),
        }
    }
    let burst = match burst {
        None => None,
        Some(text) => Some(WithLine {
            line: text.line,
            value: text.value.parse::<u32>().map_err(|_| text.refuse("burst is not a number; write one, as in 20"))?,
        }),
    };
    let Some(interval) = interval else { return Ok(None) };
    let duration = duration::parse(&interval.value).ok_or_else(|| {
        interval.refuse("interval is not a Go duration; write a number and a unit, as in 500ms, 1s or 1m30s")
    })?;
    if duration.is_zero() {
        return Ok(None);
    }
    match burst {
        Some(burst) if burst.value > 0 => Ok(Some(RateLimit { interval: duration, burst: burst.value })),
        Some(burst) => Err(burst.refuse("a burst of 0 allows no requests; write 1 or more")),
        None => {
            Err(FileError::new(section.line, "rate_limit has no burst, so no request gets in; add one of 1 or more"))
        }
    }
}
