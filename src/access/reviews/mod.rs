//! `--auth kubernetes`: the API server reviews bearer tokens, as for kube-state-metrics' `--auth-filter`.
//!
//! Verdicts are cached by the token's SHA-256. An allow of the last ten minutes stays valid while the API server does not answer:
//! otherwise `/metrics` would be unavailable exactly when podskew should report that the API server does not answer.

mod api;
mod budget;
mod token;

use super::Rejection;
use super::recent::LruMap;
use crate::sync::lock;
use crate::time::UnixTime;
use api::{ReviewFailure, Reviewer};
use budget::ReviewBudget;
use http::StatusCode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use token::Jwt;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Time to live of an allow.
const ALLOWED: Duration = Duration::from_secs(60);

/// Time to live of an allow while the API server does not answer.
const ALLOWED_IN_SILENCE: Duration = Duration::from_secs(600);

/// Time to live of a denial.
const DENIED: Duration = Duration::from_secs(10);

/// Capacity of each of the two caches.
const REMEMBERED: usize = 1024;

/// Timeout of both reviews together; Prometheus' default scrape timeout is ten seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Minimum interval between two log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The result of the reviews of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ReviewVerdict {
    Allowed,
    /// The API server does not accept the token.
    Unauthenticated,
    /// The token's owner may not get the path.
    Forbidden,
    /// There was no review, or no answer.
    Undecided,
}

/// A token's SHA-256, and the path.
type CacheKey = ([u8; 32], &'static str);

#[derive(Clone, Copy)]
struct Allow {
    confirmed: Instant,
    /// In seconds since 1970.
    expiry: Option<i64>,
}

impl Allow {
    fn holds(&self, now: Instant, length: Duration) -> bool {
        let has_expired = self.expiry.is_some_and(|expiry| i64::from(UnixTime::now().seconds()) >= expiry);
        !has_expired && now.duration_since(self.confirmed) < length
    }
}

struct VerdictCache {
    allowed: LruMap<CacheKey, Allow>,
    denied: LruMap<CacheKey, (Instant, ReviewVerdict)>,
    pending: HashMap<CacheKey, watch::Receiver<Option<ReviewVerdict>>>,
    budget: ReviewBudget,
    /// Whether the last review got no answer.
    is_silent: bool,
    logged: Option<Instant>,
}

/// Reviews tokens, within a budget, and caches verdicts.
pub(super) struct Reviews {
    reviewer: Reviewer,
    known: Mutex<VerdictCache>,
}

impl Reviews {
    pub(super) fn new(client: kube::Client, audiences: Vec<String>) -> Self {
        let known = VerdictCache {
            allowed: LruMap::new(REMEMBERED),
            denied: LruMap::new(REMEMBERED),
            pending: HashMap::new(),
            budget: ReviewBudget::default(),
            is_silent: false,
            logged: None,
        };
        Self { reviewer: Reviewer::new(client, audiences), known: Mutex::new(known) }
    }

    /// Checks whether the owner of a token may get `path`.
    pub(super) async fn check(self: &Arc<Self>, token: Option<&str>, path: &'static str) -> Result<(), Rejection> {
        let verdict = match token.and_then(Jwt::read) {
            Some(token) => self.judge(&token, path).await,
            None => ReviewVerdict::Unauthenticated,
        };
        match verdict {
            ReviewVerdict::Allowed => Ok(()),
            ReviewVerdict::Unauthenticated => Err(Rejection {
                challenge: Some("Bearer realm=\"podskew\""),
                ..Rejection::new(StatusCode::UNAUTHORIZED, "a bearer token that the API server accepts is needed")
            }),
            ReviewVerdict::Forbidden => {
                Err(Rejection::new(StatusCode::FORBIDDEN, "the token's owner lacks the right to get this path"))
            }
            ReviewVerdict::Undecided => Err(undecided()),
        }
    }

    async fn judge(self: &Arc<Self>, token: &Jwt<'_>, path: &'static str) -> ReviewVerdict {
        let key = (token.digest, path);
        let mut pending = {
            let mut known = self.lock();
            let now = Instant::now();
            let allow = known.allowed.get(&key).copied();
            if allow.is_some_and(|allow| allow.holds(now, ALLOWED)) {
                return ReviewVerdict::Allowed;
            }
            if let Some((_, verdict)) = known.denied.get(&key).copied().filter(|(until, _)| now < *until) {
                return verdict;
            }
            let was_good = allow.is_some_and(|allow| allow.holds(now, ALLOWED_IN_SILENCE));
            let mut pending = known.pending.get(&key).cloned();
            if pending.is_none() && known.budget.begin(was_good, now) {
                pending = Some(self.begin(&mut known, token, key));
            }
            match pending {
                // The review runs in the background: no request waits for an API server that did not answer a moment ago.
                Some(_) if was_good && known.is_silent => return ReviewVerdict::Allowed,
                Some(pending) => pending,
                None => return if was_good { ReviewVerdict::Allowed } else { ReviewVerdict::Undecided },
            }
        };
        let verdict = pending.wait_for(Option::is_some).await;
        verdict.ok().and_then(|verdict| *verdict).unwrap_or(ReviewVerdict::Undecided)
    }

    /// Starts a review in a task of its own: other requests may wait for it after the first client has gone.
    fn begin(
        self: &Arc<Self>,
        known: &mut VerdictCache,
        token: &Jwt<'_>,
        key: CacheKey,
    ) -> watch::Receiver<Option<ReviewVerdict>> {
        let (sender, receiver) = watch::channel(None);
        known.pending.insert(key, receiver.clone());
        let (reviews, text, expiry) = (Arc::clone(self), token.text.to_owned(), token.expiry);
        tokio::spawn(async move {
            let mut sent = 0;
            let answer = timeout(PATIENCE, reviews.ask(text, key.1, &mut sent)).await;
            let answer =
                answer.unwrap_or_else(|_| Err(ReviewFailure::Silence(format!("no answer within {PATIENCE:?}"))));
            sender.send_replace(Some(reviews.end(key, expiry, answer, sent)));
        });
        receiver
    }

    async fn ask(&self, token: String, path: &str, sent: &mut usize) -> Result<ReviewVerdict, ReviewFailure> {
        self.send(sent);
        let Some(user) = self.reviewer.user(token).await? else { return Ok(ReviewVerdict::Unauthenticated) };
        self.send(sent);
        let is_allowed = self.reviewer.may_get(user, path).await?;
        Ok(if is_allowed { ReviewVerdict::Allowed } else { ReviewVerdict::Forbidden })
    }

    fn send(&self, sent: &mut usize) {
        *sent += 1;
        self.lock().budget.send(Instant::now());
    }

    fn end(
        &self,
        key: CacheKey,
        expiry: Option<i64>,
        answer: Result<ReviewVerdict, ReviewFailure>,
        sent: usize,
    ) -> ReviewVerdict {
        let mut known = self.lock();
        let now = Instant::now();
        known.pending.remove(&key);
        known.budget.end(sent);
        known.is_silent = matches!(answer, Err(ReviewFailure::Silence(_)));
        match answer {
            Ok(ReviewVerdict::Allowed) => {
                known.denied.remove(&key);
                known.allowed.insert(key, Allow { confirmed: now, expiry });
                ReviewVerdict::Allowed
            }
            Ok(verdict) => {
                known.allowed.remove(&key);
                known.denied.insert(key, (now + DENIED, verdict));
                verdict
            }
            Err(failure) => {
                log(&mut known, now, &failure);
                let was_good = known.allowed.get(&key).is_some_and(|allow| allow.holds(now, ALLOWED_IN_SILENCE));
                let stays = was_good && matches!(failure, ReviewFailure::Silence(_));
                if stays { ReviewVerdict::Allowed } else { ReviewVerdict::Undecided }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VerdictCache> {
        lock(&self.known)
    }
}

/// The denial while there is no verdict.
pub(super) fn undecided() -> Rejection {
    Rejection {
        retry_after: Some(Duration::from_secs(5)),
        ..Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "the token cannot be reviewed at the moment; try again soon")
    }
}

fn log(known: &mut VerdictCache, now: Instant, failure: &ReviewFailure) {
    if known.logged.is_some_and(|logged| now.duration_since(logged) < LOG_INTERVAL) {
        return;
    }
    known.logged = Some(now);
    match failure {
        ReviewFailure::Silence(error) => tracing::warn!(
            error,
            "token review failed, tokens that were accepted within {} minutes stay valid",
            ALLOWED_IN_SILENCE.as_secs() / 60
        ),
        ReviewFailure::Refusal(error) => tracing::error!(
            error,
            "token review refused: give podskew's account `create` on `tokenreviews` in authentication.k8s.io and on \
             `subjectaccessreviews` in authorization.k8s.io"
        ),
    }
}
