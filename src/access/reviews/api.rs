//! The two requests to the API server: `TokenReview` and `SubjectAccessReview`.

use http::StatusCode;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

/// The client of the review APIs.
pub(super) struct Reviewer {
    tokens: Api<TokenReview>,
    accesses: Api<SubjectAccessReview>,
    audiences: Vec<String>,
}

/// Why a review has no verdict.
#[derive(Debug)]
pub(super) enum ReviewFailure {
    /// No answer, or a temporary error: 5xx or 429.
    Silence(String),
    /// Any other error, such as a missing right of podskew's account.
    Refusal(String),
}

impl Reviewer {
    pub(super) fn new(client: kube::Client, audiences: Vec<String>) -> Self {
        Self { tokens: Api::all(client.clone()), accesses: Api::all(client), audiences }
    }

    /// The owner of a token; `None` if the API server does not accept the token.
    pub(super) async fn user(&self, token: String) -> Result<Option<UserInfo>, ReviewFailure> {
        let audiences = (!self.audiences.is_empty()).then(|| self.audiences.clone());
        let spec = TokenReviewSpec { token, audiences };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = self.tokens.create(&PostParams::default(), &review).await.map_err(|error| failure(&error))?;
        let Some(status) = answer.status.filter(|status| status.authenticated == Some(true)) else { return Ok(None) };
        // An API server that does not support audiences returns none, and has not compared any.
        let audiences = status.audiences.unwrap_or_default();
        if !self.audiences.is_empty() && !audiences.iter().any(|audience| self.audiences.contains(audience)) {
            return Ok(None);
        }
        Ok(status.user)
    }

    /// Whether a user may `get` a non-resource path.
    pub(super) async fn may_get(&self, user: UserInfo, path: &str) -> Result<bool, ReviewFailure> {
        let attributes = NonResourceAttributes { path: Some(path.to_owned()), verb: Some("get".to_owned()) };
        let spec = SubjectAccessReviewSpec {
            extra: user.extra,
            groups: user.groups,
            non_resource_attributes: Some(attributes),
            resource_attributes: None,
            uid: user.uid,
            user: user.username,
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = self.accesses.create(&PostParams::default(), &review).await.map_err(|error| failure(&error))?;
        Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

/// Maps an error to its code and reason. Nothing else is kept: the request holds a token.
fn failure(error: &kube::Error) -> ReviewFailure {
    match error {
        kube::Error::Api(status) => {
            let code = StatusCode::from_u16(status.code).ok();
            let is_temporary = code.is_some_and(|code| code.is_server_error() || code == StatusCode::TOO_MANY_REQUESTS);
            let text = format!("{} {}", status.code, status.reason);
            if is_temporary { ReviewFailure::Silence(text) } else { ReviewFailure::Refusal(text) }
        }
        kube::Error::SerdeError(_) => ReviewFailure::Refusal("the answer cannot be read".to_owned()),
        kube::Error::Service(error) => ReviewFailure::Silence(error.to_string()),
        kube::Error::HyperError(error) => ReviewFailure::Silence(error.to_string()),
        _ => ReviewFailure::Silence("the request failed".to_owned()),
    }
}
