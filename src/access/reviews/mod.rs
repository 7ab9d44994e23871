//! `--auth kubernetes`: the API server reviews bearer tokens, as for kube-state-metrics' `--auth-filter`.
//!
//! Verdicts are cached by the token's SHA-256. An allow of the last ten minutes stays valid while the API server does not answer:
//! otherwise `/metrics` would be gone exactly when podskew should report that the API server is.

mod api;
mod budget;
mod token;

use super::Denial;
use super::recent::Recent;
use crate::sync::lock;
use crate::time::UnixTime;
use api::{Failure, Reviewer};
use budget::Budget;
use http::StatusCode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use token::Token;
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
enum Verdict {
    Allowed,
    /// The API server does not accept the token.
    Unauthenticated,
    /// The token's owner may not get the path.
    Forbidden,
    /// There was no review, or no answer.
    Undecided,
}

/// A token's SHA-256, and the path.
type Key = ([u8; 32], &'static str);

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

struct Known {
    allowed: Recent<Key, Allow>,
    denied: Recent<Key, (Instant, Verdict)>,
    pending: HashMap<Key, watch::Receiver<Option<Verdict>>>,
    budget: Budget,
    /// Whether the last review got no answer.
    is_silent: bool,
    logged: Option<Instant>,
}

/// Reviews tokens, within a budget, and caches verdicts.
pub(super) struct Reviews {
    reviewer: Reviewer,
    known: Mutex<Known>,
}

impl Reviews {
    pub(super) fn new(client: kube::Client, audiences: Vec<String>) -> Self {
        let known = Known {
            allowed: Recent::new(REMEMBERED),
            denied: Recent::new(REMEMBERED),
            pending: HashMap::new(),
            budget: Budget::default(),
            is_silent: false,
            logged: None,
        };
        Self { reviewer: Reviewer::new(client, audiences), known: Mutex::new(known) }
    }

    /// Checks whether the owner of a token may get `path`.
    pub(super) async fn check(self: &Arc<Self>, token: Option<&str>, path: &'static str) -> Result<(), Denial> {
        let verdict = match token.and_then(Token::read) {
            Some(token) => self.judge(&token, path).await,
            None => Verdict::Unauthenticated,
        };
        match verdict {
            Verdict::Allowed => Ok(()),
            Verdict::Unauthenticated => Err(Denial {
                challenge: Some("Bearer realm=\"podskew\""),
                ..Denial::new(StatusCode::UNAUTHORIZED, "a bearer token that the API server accepts is needed")
            }),
            Verdict::Forbidden => {
                Err(Denial::new(StatusCode::FORBIDDEN, "the token's owner lacks the right to get this path"))
            }
            Verdict::Undecided => Err(undecided()),
        }
    }

    async fn judge(self: &Arc<Self>, token: &Token<'_>, path: &'static str) -> Verdict {
        let key = (token.digest, path);
        let mut pending = {
            let mut known = self.lock();
            let now = Instant::now();
            let allow = known.allowed.get(&key).copied();
            if allow.is_some_and(|allow| allow.holds(now, ALLOWED)) {
                return Verdict::Allowed;
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
                // The review runs in the background: no request waits for an API server that was silent a moment ago.
                Some(_) if was_good && known.is_silent => return Verdict::Allowed,
                Some(pending) => pending,
                None => return if was_good { Verdict::Allowed } else { Verdict::Undecided },
            }
        };
        let verdict = pending.wait_for(Option::is_some).await;
        verdict.ok().and_then(|verdict| *verdict).unwrap_or(Verdict::Undecided)
    }

    /// Starts a review in a task of its own: other requests may wait for it after the first client has gone.
    fn begin(self: &Arc<Self>, known: &mut Known, token: &Token<'_>, key: Key) -> watch::Receiver<Option<Verdict>> {
        let (sender, receiver) = watch::channel(None);
        known.pending.insert(key, receiver.clone());
        let (reviews, text, expiry) = (Arc::clone(self), token.text.to_owned(), token.expiry);
        tokio::spawn(async move {
            let mut sent = 0;
            let answer = timeout(PATIENCE, reviews.ask(text, key.1, &mut sent)).await;
            let answer = answer.unwrap_or_else(|_| Err(Failure::Silence(format!("no answer within {PATIENCE:?}"))));
            sender.send_replace(Some(reviews.end(key, expiry, answer, sent)));
        });
        receiver
    }

    async fn ask(&self, token: String, path: &str, sent: &mut usize) -> Result<Verdict, Failure> {
        self.send(sent);
        let Some(user) = self.reviewer.user(token).await? else { return Ok(Verdict::Unauthenticated) };
        self.send(sent);
        let is_allowed = self.reviewer.may_get(user, path).await?;
        Ok(if is_allowed { Verdict::Allowed } else { Verdict::Forbidden })
    }

    fn send(&self, sent: &mut usize) {
        *sent += 1;
        self.lock().budget.send(Instant::now());
    }

    fn end(&self, key: Key, expiry: Option<i64>, answer: Result<Verdict, Failure>, sent: usize) -> Verdict {
        let mut known = self.lock();
        let now = Instant::now();
        known.pending.remove(&key);
        known.budget.end(sent);
        known.is_silent = matches!(answer, Err(Failure::Silence(_)));
        match answer {
            Ok(Verdict::Allowed) => {
                known.denied.remove(&key);
                known.allowed.insert(key, Allow { confirmed: now, expiry });
                Verdict::Allowed
            }
            Ok(verdict) => {
                known.allowed.remove(&key);
                known.denied.insert(key, (now + DENIED, verdict));
                verdict
            }
            Err(failure) => {
                log(&mut known, now, &failure);
                let was_good = known.allowed.get(&key).is_some_and(|allow| allow.holds(now, ALLOWED_IN_SILENCE));
                let stays = was_good && matches!(failure, Failure::Silence(_));
                if stays { Verdict::Allowed } else { Verdict::Undecided }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

/// The denial while there is no verdict.
pub(super) fn undecided() -> Denial {
    Denial {
        retry_after: Some(Duration::from_secs(5)),
        ..Denial::new(StatusCode::SERVICE_UNAVAILABLE, "the token cannot be reviewed at the moment; try again soon")
    }
}

fn log(known: &mut Known, now: Instant, failure: &Failure) {
    if known.logged.is_some_and(|logged| now.duration_since(logged) < LOG_INTERVAL) {
        return;
    }
    known.logged = Some(now);
    match failure {
        Failure::Silence(error) => tracing::warn!(
            error,
            "token review failed, tokens that were good within {} minutes stay so",
            ALLOWED_IN_SILENCE.as_secs() / 60
        ),
        Failure::Refusal(error) => tracing::error!(
            error,
            "token review refused: give podskew's account `create` on `tokenreviews` in authentication.k8s.io and on \
             `subjectaccessreviews` in authorization.k8s.io"
        ),
    }
}
