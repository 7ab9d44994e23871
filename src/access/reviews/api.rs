//! The two questions to the API server: whose token is this, and may they get this path?

use http::StatusCode;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

/// Asks the API server.
pub(super) struct Reviewer {
    tokens: Api<TokenReview>,
    accesses: Api<SubjectAccessReview>,
    audiences: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The API server does not answer, or cannot at the moment.
    Silence(String),
    /// It answers that podskew may not ask, or what podskew does not understand.
    Refusal(String),
}

impl Reviewer {
    pub(super) fn new(client: kube::Client, audiences: Vec<String>) -> Self {
        Self { tokens: Api::all(client.clone()), accesses: Api::all(client), audiences }
    }

    /// Whose token it is; `None` if it is nobody's.
    pub(super) async fn user(&self, token: String) -> Result<Option<UserInfo>, Failure> {
        let audiences = (!self.audiences.is_empty()).then(|| self.audiences.clone());
        let spec = TokenReviewSpec { token, audiences };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = self.tokens.create(&PostParams::default(), &review).await.map_err(|error| failure(&error))?;
        let Some(status) = answer.status.filter(|status| status.authenticated == Some(true)) else { return Ok(None) };
        // An API server that knows nothing of audiences names none, and has compared none.
        let told = status.audiences.unwrap_or_default();
        if !self.audiences.is_empty() && !told.iter().any(|audience| self.audiences.contains(audience)) {
            return Ok(None);
        }
        Ok(status.user)
    }

    /// Whether a user may get a path.
    pub(super) async fn may_get(&self, user: UserInfo, path: &str) -> Result<bool, Failure> {
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

/// Without anything of the answer but what it says of itself: the question holds a token.
fn failure(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => {
            let code = StatusCode::from_u16(status.code).ok();
            let is_temporary = code.is_some_and(|code| code.is_server_error() || code == StatusCode::TOO_MANY_REQUESTS);
            let text = format!("{} {}", status.code, status.reason);
            if is_temporary { Failure::Silence(text) } else { Failure::Refusal(text) }
        }
        kube::Error::SerdeError(_) => Failure::Refusal("the answer cannot be read".to_owned()),
        kube::Error::Service(error) => Failure::Silence(error.to_string()),
        kube::Error::HyperError(error) => Failure::Silence(error.to_string()),
        _ => Failure::Silence("the request failed".to_owned()),
    }
}
