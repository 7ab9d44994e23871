//! Credentials of registries, from a `config.json` as docker, the kubelet, and secrets of type
//! `kubernetes.io/dockerconfigjson` use it.

use super::credential::{Credential, Secret};
use super::failure::RegistryFailure;
use super::helpers;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, STANDARD};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Maximum size; a `config.json` has a few entries.
const LONGEST_FILE: u64 = 1 << 20;

/// A parsed `config.json`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Keyring {
    /// The most specific first.
    entries: Vec<(ImageScope, Credential)>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
}

/// The images to which a credential applies.
#[derive(Clone, PartialEq, Eq, Debug)]
struct ImageScope {
    host: String,
    path: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct AuthDocument {
    auths: BTreeMap<String, AuthEntry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AuthEntry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Keyring {
    /// Reads the file. Errors do not quote its content.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let fail = |what: &str| format!("the file {} of --registry-auth {what}", path.display());
        let metadata = std::fs::metadata(path)
            .map_err(|error| fail(&format!("cannot be read: {error}; correct its path or mode")))?;
        if !metadata.is_file() {
            return Err(fail("is not a regular file"));
        }
        if metadata.len() > LONGEST_FILE {
            return Err(fail(&format!("is longer than {} KiB", LONGEST_FILE >> 10)));
        }
        let text =
            std::fs::read(path).map_err(|error| fail(&format!("cannot be read: {error}; correct its path or mode")))?;
        Self::parse(&text).map_err(|what| fail(&what))
    }

    /// Parses a `config.json`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        // The parser's message may quote a secret; its position does not.
        let document: AuthDocument = serde_json::from_slice(text).map_err(|error| {
            format!("is not a config.json of Docker (line {}); write one with `docker login`", error.line())
        })?;
        let mut entries = Vec::new();
        for (key, entry) in document.auths {
            if let Some(credential) = entry.credential().map_err(|what| format!("has {what} for {key}"))? {
                entries.push((ImageScope::parse(&key), credential));
            }
        }
        // Like the kubelet: the longest path first. A literal host is before a pattern.
        entries.sort_by_key(|(key, _)| {
            (std::cmp::Reverse(key.path.len()), key.host.contains(['*', '?', '[']), key.host.clone(), key.path.clone())
        });
        let store = document.creds_store.filter(|name| !name.is_empty());
        Ok(Self { entries, helpers: document.cred_helpers, store })
    }

    /// The credentials of a repository, in the order to try them.
    fn of(&self, host: &str, repository: &str) -> Vec<Credential> {
        let found = self.entries.iter().filter(|(key, _)| key.is_of(host, repository));
        found.map(|(_, credential)| credential.clone()).collect()
    }

    /// The helper for a host, and the host's name for that helper.
    fn helper(&self, host: &str) -> Option<(&str, String)> {
        let named = self.helpers.iter().find(|(key, _)| ImageScope::parse(key).is_of(host, ""));
        if let Some((key, helper)) = named {
            return Some((helper, key.clone()));
        }
        let name = if is_docker_hub(host) { "https://index.docker.io/v1/".to_owned() } else { host.to_owned() };
        self.store.as_deref().map(|store| (store, name))
    }
}

impl AuthEntry {
    fn credential(self) -> Result<Option<Credential>, &'static str> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = given(self.identitytoken) {
            return Ok(Some(Credential::Identity(Secret::of_file(token))));
        }
        if let Some(token) = given(self.registrytoken) {
            return Ok(Some(Credential::Bearer(Secret::of_file(token))));
        }
        if let Some(auth) = given(self.auth) {
            let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
            let decoded = engine.decode(auth.trim()).map_err(|_| "an auth that is not in base64")?;
            let text = String::from_utf8(decoded).map_err(|_| "an auth that is not in UTF-8")?;
            let (user, password) = text.split_once(':').ok_or("an auth without a colon between user and password")?;
            let password = Secret::of_file(password.trim_end_matches('\0').to_owned());
            return Ok(Some(Credential::Basic(user.to_owned(), password)));
        }
        let password = Secret::of_file(self.password.unwrap_or_default());
        Ok(given(self.username).map(|user| Credential::Basic(user, password)))
    }
}

impl ImageScope {
    fn parse(text: &str) -> Self {
        let text = text.trim();
        let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        let path = path.trim_matches('/');
        // docker wrote these paths for the two versions of the protocol.
        let path = if matches!(path, "v1" | "v2") { "" } else { path };
        Self { host: host.to_ascii_lowercase(), path: path.to_owned() }
    }

    fn is_of(&self, host: &str, repository: &str) -> bool {
        let same_host =
            hosts_match(&self.host, &host.to_ascii_lowercase()) || (is_docker_hub(&self.host) && is_docker_hub(host));
        same_host && repository.starts_with(&self.path)
    }
}

fn is_docker_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

/// Compares hosts label by label like the kubelet: `*` and `?` match within one label, and ports must be equal.
fn hosts_match(pattern: &str, host: &str) -> bool {
    let (pattern, pattern_port) = port(pattern);
    let (host, host_port) = port(host);
    let (pattern, host): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), host.split('.').collect());
    pattern_port == host_port
        && pattern.len() == host.len()
        && pattern.iter().zip(&host).all(|(pattern, label)| label_matches(pattern.as_bytes(), label.as_bytes()))
}

fn port(host: &str) -> (&str, &str) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, ""),
    }
}

fn label_matches(pattern: &[u8], label: &[u8]) -> bool {
    match (pattern, label) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=label.len()).any(|at| label_matches(rest, &label[at..])),
        ([b'?', rest @ ..], [_, label @ ..]) => label_matches(rest, label),
        ([one, rest @ ..], [other, label @ ..]) => one == other && label_matches(rest, label),
        _ => false,
    }
}

/// The credentials to try for a repository.
pub(super) struct Opening {
    /// In the order in which they are tried; at least [`Credential::Anonymous`].
    pub(super) credentials: Vec<Credential>,
    /// The message if a helper has no credentials, with the remedy. Amazon's helper reports this for every error.
    pub(super) without: Option<String>,
}

/// The credentials of one pass: the file is read once, and a helper asked once for each host.
pub(super) struct RegistryCredentials {
    keyring: Keyring,
    helpers: Option<PathBuf>,
    asked: tokio::sync::Mutex<HashMap<String, Result<Credential, RegistryFailure>>>,
}

impl RegistryCredentials {
    pub(super) fn new(keyring: Keyring, helpers: Option<PathBuf>) -> Self {
        Self { keyring, helpers, asked: tokio::sync::Mutex::default() }
    }

    /// Returns the credentials for a repository of `host`.
    pub(super) async fn of(&self, host: &str, repository: &str) -> Result<Opening, RegistryFailure> {
        let mut found = self.keyring.of(host, repository);
        let mut without = None;
        if let Some((helper, name)) = self.keyring.helper(host) {
            let mut asked = self.asked.lock().await;
            let answer = if let Some(answer) = asked.get(&name) {
                answer.clone()
            } else {
                let answer = match &self.helpers {
                    Some(folder) => helpers::get(folder, helper, &name).await.map_err(RegistryFailure::NoCredentials),
                    None => Err(RegistryFailure::NoCredentials(format!(
                        "the file of --registry-auth names the credential helper {helper}, and --registry-helpers names no \
                         folder that holds it"
                    ))),
                };
                asked.insert(name, answer.clone());
                answer
            };
            match answer {
                Ok(Credential::Anonymous) => {
                    without =
                        Some(format!("the credential helper {helper} has none for {host}; run it by hand to see why"));
                }
                Ok(credential) => found.push(credential),
                // The credentials in the file are tried anyway.
                Err(failure) if found.is_empty() => return Err(failure),
                Err(_) => {}
            }
        }
        if found.is_empty() {
            found.push(Credential::Anonymous);
        }
        Ok(Opening { credentials: found, without })
    }

    /// Whether both were read from the same file.
    pub(super) fn is_same_file(&self, keyring: &Keyring) -> bool {
        self.keyring == *keyring
    }
}

/// The `Authorization` header for a user name and password.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[cfg(test)]
mod tests {
    use super::{Credential, Keyring, Secret};
    use serde_json::json;

    fn users(keyring: &Keyring, host: &str, repository: &str) -> Vec<String> {
        let user = |credential: Credential| match credential {
            Credential::Basic(user, password) => format!("{user}:{}", &*password),
            other => format!("{other:?}"),
        };
        keyring.of(host, repository).into_iter().map(user).collect()
    }

    #[test]
    fn the_longest_path_comes_first_and_several_are_tried() {
        let text = json!({"auths": {
            "r.example": {"auth": "aG9zdDpw"},
            "https://r.example/team/": {"username": "team", "password": "p"},
            "r.example/team/web": {"username": "web", "password": "p"},
            "*.example": {"username": "glob", "password": "p"},
            "r.example:5000": {"username": "port", "password": "p"},
            "https://index.docker.io/v1/": {"identitytoken": "t"},
        }});
        let keyring = Keyring::parse(text.to_string().as_bytes()).unwrap();
        assert_eq!(users(&keyring, "r.example", "team/web"), ["web:p", "team:p", "host:p", "glob:p"]);
        assert_eq!(users(&keyring, "r.example", "other"), ["host:p", "glob:p"]);
        assert_eq!(users(&keyring, "r.example:5000", "team/web"), ["port:p"]);
        assert_eq!(users(&keyring, "a.b.example", "x"), [""; 0], "a star is one label");
        assert_eq!(users(&keyring, "docker.io", "library/nginx"), ["Identity"]);
        assert_eq!(users(&keyring, "registry.example.evil", "x"), [""; 0]);
    }

    #[test]
    fn a_helper_is_that_of_the_host_before_that_of_all() {
        let text = json!({"credHelpers": {"1.dkr.ecr.eu.amazonaws.com": "ecr-login"}, "credsStore": "desktop"});
        let keyring = Keyring::parse(text.to_string().as_bytes()).unwrap();
        let helper = |host: &str| keyring.helper(host).map(|(helper, name)| (helper.to_owned(), name));
        let named = |helper: &str, name: &str| Some((helper.to_owned(), name.to_owned()));
        assert_eq!(helper("1.dkr.ecr.eu.amazonaws.com"), named("ecr-login", "1.dkr.ecr.eu.amazonaws.com"));
        assert_eq!(helper("r.example"), named("desktop", "r.example"));
        assert_eq!(helper("docker.io"), named("desktop", "https://index.docker.io/v1/"));
    }

    #[test]
    fn errors_do_not_quote_secrets() {
        for text in [
            "s3cr3t",
            r#"{"auths":{"r":{"auth":"s3cr3t!"}}}"#,
            r#"{"auths":{"r":{"auth":"czNjcjN0"}}}"#,
            r#"{"auths":{"r":{"auth":["s3cr3t"]}}}"#,
            r#"{"auths":"s3cr3t"}"#,
        ] {
            let error = Keyring::parse(text.as_bytes()).expect_err(text);
            assert!(!error.contains("s3cr3t") && !error.contains("czNjcjN0"), "{error}");
        }
        let debug = format!("{:?}", Credential::Basic("user".to_owned(), Secret::of_file("s3cr3t".to_owned())));
        assert!(!debug.contains("s3cr3t"), "{debug}");
        assert_eq!(Keyring::parse(b"{}").unwrap(), Keyring::default());
    }
}
