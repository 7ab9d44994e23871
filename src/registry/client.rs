//! Requests manifests and configurations from a registry, with authentication and redirects.

use super::challenge::{Challenge, challenge};
use super::credential::Credential;
use super::credentials::{Opening, RegistryCredentials, basic};
use super::document::{ACCEPTED, has_digest, sha256};
use super::failure::RegistryFailure;
use super::host::Host;
use super::transport::{Response, Transport};
use crate::telemetry::RegistryHealth;
use crate::time::UnixTime;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Maximum size of a manifest and of a configuration.
const LONGEST_DOCUMENT: usize = 4 << 20;

/// Maximum size of a token server's response, and of an error.
const LONGEST_TOKEN: usize = 64 << 10;

/// Maximum number of redirects.
const REDIRECTS: usize = 3;

/// A client of registries.
pub(super) struct Client {
    pub(super) transport: Transport,
    pub(super) health: Option<RegistryHealth>,
}

/// A session with one repository: credentials and token.
pub(super) struct Session<'c> {
    client: &'c Client,
    host: &'c Host,
    repository: String,
    credentials: Vec<Credential>,
    /// Why further credentials are unavailable.
    without: Option<String>,
    /// The credential that is tried.
    at: usize,
    authorization: Option<HeaderValue>,
    /// Whether the registry accepted the authorization before: an expired token is then renewed.
    worked: bool,
    /// The registry's last challenge.
    challenge: Option<Challenge>,
}

/// A resolved reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Resolved {
    pub(super) digest: String,
    /// The manifest, if the response included it; it has this digest.
    pub(super) body: Option<(Bytes, String)>,
}

impl<'c> Session<'c> {
    pub(super) async fn open(
        client: &'c Client,
        credentials: &RegistryCredentials,
        host: &'c Host,
        repository: &str,
    ) -> Result<Self, RegistryFailure> {
        let Opening { credentials, without } = credentials.of(host.credentials_of(), repository).await?;
        let (repository, authorization, challenge) = (repository.to_owned(), None, None);
        Ok(Self { client, host, repository, credentials, without, at: 0, authorization, worked: false, challenge })
    }

    /// The credential of the last response.
    pub(super) fn credential(&self) -> Option<&Credential> {
        self.credentials.get(self.at)
    }

    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    /// Requests the digest of a tag or digest, without the content.
    pub(super) async fn head(&mut self, reference: &str) -> Result<Resolved, RegistryFailure> {
        let path = format!("manifests/{reference}");
        if !self.host.needs_get.load(Ordering::Relaxed) {
            let answer = self.ask(&Method::HEAD, &path).await;
            match answer {
                Ok(answer) => match digest_header(&answer.headers) {
                    Some(digest) => {
                        check_kind(&answer.headers)?;
                        return Ok(Resolved { digest, body: None });
                    }
                    None if self.host.counts_pulls() => {
                        return Err(RegistryFailure::Unreadable("no digest of a manifest"));
                    }
                    None => {}
                },
                Err(RegistryFailure::Status(405 | 501)) if !self.host.counts_pulls() => {}
                Err(failure) => return Err(failure),
            }
            self.host.needs_get.store(true, Ordering::Relaxed);
        }
        let answer = self.ask(&Method::GET, &path).await?;
        check_kind(&answer.headers)?;
        let digest = digest_header(&answer.headers).unwrap_or_else(|| sha256(&answer.body));
        if !has_digest(&answer.body, &digest) {
            return Err(RegistryFailure::Unconfirmed);
        }
        Ok(Resolved { digest, body: Some((answer.body, content_type(&answer.headers))) })
    }

    /// Requests the manifest or index with a digest, and its media type.
    pub(super) async fn manifest(&mut self, digest: &str) -> Result<(Bytes, String), RegistryFailure> {
        let answer = self.ask(&Method::GET, &format!("manifests/{digest}")).await?;
        if !has_digest(&answer.body, digest) {
            return Err(RegistryFailure::Unconfirmed);
        }
        let content_type = content_type(&answer.headers);
        Ok((answer.body, content_type))
    }

    /// Requests a configuration.
    pub(super) async fn config(&mut self, digest: &str) -> Result<Bytes, RegistryFailure> {
        let answer = self.ask(&Method::GET, &format!("blobs/{digest}")).await?;
        if has_digest(&answer.body, digest) { Ok(answer.body) } else { Err(RegistryFailure::Unconfirmed) }
    }

    /// Sends a request with one credential after another, until the registry accepts one.
    async fn ask(&mut self, method: &Method, path: &str) -> Result<Response, RegistryFailure> {
        loop {
            let answer = self.follow(method, path).await?;
            match answer.status {
                StatusCode::OK => {
                    self.worked = true;
                    return Ok(answer);
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.authorize(&answer).await?,
                StatusCode::NOT_FOUND => return Err(RegistryFailure::NotFound),
                StatusCode::TOO_MANY_REQUESTS => return Err(RegistryFailure::Throttled(retry_after(&answer.headers))),
                status => return Err(RegistryFailure::Status(status.as_u16())),
            }
        }
    }

    /// Switches to the next authorization after a refusal.
    async fn authorize(&mut self, refusal: &Response) -> Result<(), RegistryFailure> {
        let is_expired = self.worked && refusal.status == StatusCode::UNAUTHORIZED;
        self.worked = false;
        if self.authorization.take().is_some() && !is_expired {
            self.at += 1;
        }
        // A 403 has no challenge, but another credential may still be accepted.
        self.challenge = challenge(&refusal.headers).or(self.challenge.take());
        let Some(challenge) = self.challenge.clone() else { return Err(self.refused()) };
        while let Some(credential) = self.credentials.get(self.at).cloned() {
            match self.authorization(&challenge, &credential).await {
                Ok(value) => {
                    let mut value = HeaderValue::try_from(value).map_err(|_| RegistryFailure::Unauthorized)?;
                    value.set_sensitive(true);
                    self.authorization = Some(value);
                    return Ok(());
                }
                Err(RegistryFailure::Unauthorized) => self.at += 1,
                Err(failure) => return Err(failure),
            }
        }
        Err(self.refused())
    }

    fn refused(&self) -> RegistryFailure {
        match &self.without {
            Some(without) => {
                RegistryFailure::NoCredentials(format!("the registry asks for credentials, and {without}"))
            }
            None => RegistryFailure::Unauthorized,
        }
    }

    async fn authorization(&self, challenge: &Challenge, credential: &Credential) -> Result<String, RegistryFailure> {
        match (challenge, credential) {
            (_, Credential::Bearer(token)) => Ok(format!("Bearer {}", &**token)),
            (Challenge::Basic, Credential::Basic(user, password)) => Ok(basic(user, password)),
            (Challenge::Basic, _) => Err(RegistryFailure::Unauthorized),
            (Challenge::Bearer { realm, service }, credential) => {
                Ok(format!("Bearer {}", self.token(realm, service.as_deref(), credential).await?))
            }
        }
    }

    /// Requests a token for this repository from the registry's token server.
    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        credential: &Credential,
    ) -> Result<String, RegistryFailure> {
        let realm: Uri = realm.parse().map_err(|_| RegistryFailure::Unreadable("a realm that is not a URL"))?;
        self.check(&realm)?;
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut query = format!("scope={}", encode(&format!("repository:{}:pull", self.repository)));
        if let Some(service) = service {
            query.push_str("&service=");
            query.push_str(&encode(service));
        }
        let request = if let Credential::Identity(token) = credential {
            query.push_str("&grant_type=refresh_token&client_id=podskew&refresh_token=");
            query.push_str(&encode(token));
            Request::post(realm)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Full::new(Bytes::from(query)))
        } else {
            let own = realm.query().map(|own| format!("{own}&")).unwrap_or_default();
            let authority = realm.authority().map_or("", http::uri::Authority::as_str);
            let scheme = realm.scheme_str().unwrap_or("https");
            let request = Request::get(format!("{scheme}://{authority}{}?{own}{query}", realm.path()));
            let request = match credential {
                Credential::Basic(user, password) => {
                    let mut value =
                        HeaderValue::try_from(basic(user, password)).map_err(|_| RegistryFailure::Unauthorized)?;
                    value.set_sensitive(true);
                    request.header(AUTHORIZATION, value)
                }
                _ => request,
            };
            request.body(Full::default())
        };
        let request = request.map_err(|_| RegistryFailure::Unreadable("a realm that is not a URL"))?;
        let answer = self.send(request, LONGEST_TOKEN).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::TOO_MANY_REQUESTS => return Err(RegistryFailure::Throttled(retry_after(&answer.headers))),
            status if status.is_client_error() => return Err(RegistryFailure::Unauthorized),
            status => return Err(RegistryFailure::Status(status.as_u16())),
        }
        let token: TokenResponse = serde_json::from_slice(&answer.body)
            .map_err(|_| RegistryFailure::Unreadable("something that is not a token"))?;
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        given(token.token).or(given(token.access_token)).ok_or(RegistryFailure::Unreadable("no token"))
    }

    /// Sends a request and follows redirects. Credentials are never sent to another host.
    async fn follow(&self, method: &Method, path: &str) -> Result<Response, RegistryFailure> {
        let base = self.host.base();
        let unreadable = RegistryFailure::Unreadable("a URL that cannot be read");
        let mut uri: Uri = format!("{base}/v2/{}/{path}", self.repository).parse().map_err(|_| unreadable.clone())?;
        let own = uri.authority().cloned();
        for _ in 0..=REDIRECTS {
            self.check(&uri)?;
            let mut request = Request::builder().method(method).uri(uri.clone());
            for accepted in ACCEPTED {
                request = request.header(ACCEPT, accepted);
            }
            if let Some(authorization) = self.authorization.as_ref().filter(|_| uri.authority() == own.as_ref()) {
                request = request.header(AUTHORIZATION, authorization);
            }
            let request = request.body(Full::default()).map_err(|_| unreadable.clone())?;
            let answer = self.send(request, LONGEST_DOCUMENT).await?;
            if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
            uri = location.and_then(|location| resolved(&uri, location)).ok_or(unreadable.clone())?;
        }
        Err(RegistryFailure::Unreadable("more than three redirects"))
    }

    /// Plain HTTP is allowed only if the user typed it for the registry.
    fn check(&self, uri: &Uri) -> Result<(), RegistryFailure> {
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.host.is_plain() => Ok(()),
            _ => Err(RegistryFailure::Refused(format!(
                "{} of the registry {} is not reached over https",
                uri.host().unwrap_or("a URL"),
                self.host.name
            ))),
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>, longest: usize) -> Result<Response, RegistryFailure> {
        self.host.pace().await;
        let answer = self.client.transport.send(request, longest).await;
        if let Some(health) = &self.client.health {
            let code = answer
                .as_ref()
                .map_or_else(|failure| failure.code().to_owned(), |answer| answer.status.as_str().to_owned());
            let remaining = answer.as_ref().ok().and_then(|answer| remaining(&answer.headers));
            let succeeded = answer.as_ref().is_ok_and(|answer| answer.status == StatusCode::OK);
            health.asked(&self.host.name, &code, succeeded, remaining);
        }
        answer
    }
}

/// A token server's response.
#[derive(Deserialize)]
struct TokenResponse {
    token: Option<String>,
    access_token: Option<String>,
}

/// The target of a redirect: an absolute URL, or a path.
fn resolved(from: &Uri, location: &str) -> Option<Uri> {
    if location.contains("://") {
        return location.parse().ok();
    }
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{scheme}://{rest}").parse().ok();
    }
    let path = if location.starts_with('/') {
        location.to_owned()
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{location}")
    };
    format!("{scheme}://{authority}{path}").parse().ok()
}

/// The digest header of a response, if valid.
fn digest_header(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("docker-content-digest")?.to_str().ok()?;
    let is_digest = crate::report::digest::ImageId::parse(&format!("r@{text}")).is_some_and(|it| it.digest == text);
    is_digest.then(|| text.to_owned())
}

fn content_type(headers: &HeaderMap) -> String {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Rejects schema 1, into which some registries convert manifests: nodes do not have its digest.
fn check_kind(headers: &HeaderMap) -> Result<(), RegistryFailure> {
    if content_type(headers).starts_with("application/vnd.docker.distribution.manifest.v1") {
        return Err(RegistryFailure::Unreadable("a manifest of schema 1"));
    }
    Ok(())
}

/// Parses seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let moment = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let until = UnixTime::from_seconds(moment.as_second())?;
    Some(Duration::from_secs(u64::from(until.since(UnixTime::now()))))
}

/// `ratelimit-remaining: 76;w=21600`.
fn remaining(headers: &HeaderMap) -> Option<u32> {
    let text = headers.get("ratelimit-remaining")?.to_str().ok()?;
    text.split(';').next()?.trim().parse().ok()
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{resolved, retry_after};
    use crate::time::UnixTime;
    use http::{HeaderMap, HeaderValue, Uri};
    use std::time::Duration;

    #[test]
    fn redirects_lead_where_their_location_says() {
        let from: Uri = "https://r.example/v2/a/blobs/x".parse().unwrap();
        for (location, expected) in [
            ("https://b.example/y?z=1", "https://b.example/y?z=1"),
            ("/y", "https://r.example/y"),
            ("y", "https://r.example/v2/a/blobs/y"),
            ("//b.example/y", "https://b.example/y"),
        ] {
            assert_eq!(resolved(&from, location).unwrap().to_string(), expected, "{location}");
        }
        assert_eq!(resolved(&from, "https://[bad"), None);
    }

    #[test]
    fn retry_after_is_a_number_or_a_moment() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", HeaderValue::from_str(text).unwrap());
            retry_after(&headers)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("99999999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = jiff::Timestamp::from_second(i64::from(UnixTime::now().seconds()) + 100).unwrap();
        let text = later.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let read_later = read(&text).unwrap();
        assert!((90..=100).contains(&read_later.as_secs()), "{text}: {read_later:?}");
        for text in ["", "-1", "soon", "1.5"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
