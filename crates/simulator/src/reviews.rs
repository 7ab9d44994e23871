//! TokenReviews and SubjectAccessReviews. A table of accounts decides both; it is empty until a test fills it.

use super::answer::{Body, with_body};
use super::fault::Fault;
use super::negotiate::Form;
use super::status::Refusal;
use http::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/// The owner of a bearer token.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Account {
    /// User name, as in `system:serviceaccount:monitoring:prometheus`.
    pub user: String,
    /// Groups of the user.
    pub groups: Vec<String>,
    /// Audiences of the token. Empty simulates an API server that does not support audiences.
    pub audiences: Vec<String>,
    /// Non-resource paths that the user may `get`.
    pub paths: Vec<String>,
}

/// The accounts, and a record of the reviews.
#[derive(Default, Debug)]
pub(super) struct Reviews(Mutex<State>);

#[derive(Default, Debug)]
struct State {
    accounts: HashMap<String, Account>,
    fault: Option<Fault>,
    asked: Vec<(&'static str, Instant)>,
}

impl Reviews {
    /// Sets or removes the owner of a token.
    pub(super) fn set(&self, token: &str, account: Option<Account>) {
        let mut state = self.state();
        match account {
            Some(account) => state.accounts.insert(token.to_owned(), account),
            None => state.accounts.remove(token),
        };
    }

    pub(super) fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// Kind and time of every review so far.
    pub(super) fn asked(&self) -> Vec<(&'static str, Instant)> {
        self.state().asked.clone()
    }

    /// Records a review and returns the fault that replaces its answer.
    pub(super) fn note(&self, path: &str) -> Option<Fault> {
        let mut state = self.state();
        let kind = if path == TOKEN_REVIEWS { "TokenReview" } else { "SubjectAccessReview" };
        state.asked.push((kind, Instant::now()));
        state.fault
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Status of a TokenReview with this spec.
    fn of_token(&self, spec: &Value) -> Value {
        let state = self.state();
        let denied = json!({ "user": {}, "error": "[invalid bearer token]" });
        let Some(account) = spec["token"].as_str().and_then(|token| state.accounts.get(token)) else { return denied };
        let user = json!({ "username": account.user, "groups": account.groups, "uid": uid(account), "extra": extra() });
        let mut status = json!({ "authenticated": true, "user": user });
        if account.audiences.is_empty() {
            return status;
        }
        let default = vec![json!("https://kubernetes.default.svc")];
        let wanted = spec["audiences"].as_array().unwrap_or(&default);
        let common = wanted.iter().filter(|wanted| account.audiences.iter().any(|audience| *wanted == audience));
        let common: Vec<&Value> = common.collect();
        if common.is_empty() {
            return denied;
        }
        status["audiences"] = json!(common);
        status
    }

    /// Status of a SubjectAccessReview with this spec. The spec must repeat everything that the TokenReview returned.
    fn of_access(&self, spec: &Value) -> Value {
        let state = self.state();
        let attributes = &spec["nonResourceAttributes"];
        let is_allowed = state.accounts.values().any(|account| {
            spec["user"] == account.user.as_str()
                && spec["groups"] == json!(account.groups)
                && spec["uid"] == uid(account)
                && spec["extra"] == extra()
                && attributes["verb"] == "get"
                && account.paths.iter().any(|path| attributes["path"] == path.as_str())
        });
        json!({ "allowed": is_allowed })
    }
}

fn uid(account: &Account) -> String {
    format!("uid-of-{}", account.user)
}

fn extra() -> Value {
    json!({ "authentication.kubernetes.io/pod-name": ["prometheus-0"] })
}

/// Whether a path is that of a review.
pub(super) fn is_path(path: &str) -> bool {
    [TOKEN_REVIEWS, ACCESS_REVIEWS].contains(&path)
}

/// Answers a review: the request's object with a status.
pub(super) async fn answer<B: http_body::Body>(reviews: &Reviews, path: &str, body: B) -> Response<Body> {
    let collected = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let Ok(mut review) = serde_json::from_slice::<Value>(&collected) else {
        let refusal = Refusal::bad_request("the review is not JSON");
        return with_body(refusal.code, Form::Json, refusal.to_bytes(Form::Json));
    };
    let status =
        if path == TOKEN_REVIEWS { reviews.of_token(&review["spec"]) } else { reviews.of_access(&review["spec"]) };
    review["status"] = status;
    with_body(201, Form::Json, format!("{review}\n").into_bytes())
}
