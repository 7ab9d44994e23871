//! Basic authentication: users, and bcrypt hashes of their passwords.
//!
//! A bcrypt hash costs a tenth of a second, and anybody who reaches the port can request one. So podskew computes one hash at a
//! time, on a blocking thread, and limits the queue. It caches results, right and wrong apart: wrong passwords never evict a
//! right one.

use super::recent::LruMap;
use crate::sync::lock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// Highest accepted bcrypt cost: 2^14 rounds take about a second.
const HIGHEST_COST: u32 = 14;

/// Length of the queue behind the password that is being verified.
const QUEUE: usize = 16;

/// Capacity of each of the two caches.
const REMEMBERED: usize = 256;

/// User names and password hashes.
#[derive(Clone, Default)]
pub(super) struct Users(BTreeMap<String, String>);

impl Users {
    pub(super) fn insert(&mut self, name: String, hash: String) {
        self.0.insert(name, hash);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Validates a bcrypt hash; the error says what is wrong with it and the remedy.
pub(super) fn check(hash: &str) -> Result<(), String> {
    let Ok(parts) = hash.parse::<bcrypt::HashParts>() else {
        return Err("this is not a bcrypt hash of a password; create one with `htpasswd -nBC 10 USER`".to_owned());
    };
    match parts.get_cost() {
        // bcrypt itself refuses costs below 4.
        4..=HIGHEST_COST => Ok(()),
        cost => Err(format!(
            "a bcrypt cost of {cost} is outside 4 to {HIGHEST_COST}; make the hash with `htpasswd -nBC 10 USER`"
        )),
    }
}

/// The result of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PasswordCheck {
    Right,
    Wrong,
    /// The queue is full.
    Busy,
}

type Digest = [u8; 32];

/// Verifies passwords.
pub(super) struct Passwords {
    /// Random for each process, so nobody can prepare colliding passwords.
    key: hmac::Key,
    right: Mutex<LruMap<Digest, ()>>,
    wrong: Mutex<LruMap<Digest, ()>>,
    /// Permits for the running verification and the queue.
    queue: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

impl Passwords {
    /// Fails if the system has no random numbers.
    pub(super) fn new() -> Result<Self, ring::error::Unspecified> {
        Ok(Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?,
            right: Mutex::new(LruMap::new(REMEMBERED)),
            wrong: Mutex::new(LruMap::new(REMEMBERED)),
            queue: Arc::new(Semaphore::new(1 + QUEUE)),
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// Checks the credentials of an `Authorization: Basic` header.
    pub(super) async fn judge(&self, users: &Users, credentials: &str) -> PasswordCheck {
        let Some((name, password)) = decoded(credentials) else { return PasswordCheck::Wrong };
        let Some((is_user, hash)) = self.hash_for(users, &name) else { return PasswordCheck::Wrong };
        // The cache entry of an unknown name must not apply if the name becomes a user later.
        let digest = self.digest(&[&[u8::from(is_user)], &name, hash.as_bytes(), &password]);
        if lock(&self.right).get(&digest).is_some() {
            return PasswordCheck::Right;
        }
        if lock(&self.wrong).get(&digest).is_some() {
            return PasswordCheck::Wrong;
        }
        let Ok(queued) = Arc::clone(&self.queue).try_acquire_owned() else { return PasswordCheck::Busy };
        // The semaphore is never closed.
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else { return PasswordCheck::Busy };
        let hash = hash.to_owned();
        let verified = tokio::task::spawn_blocking(move || {
            // Held to the end, even if the client has gone.
            let _held = (queued, turn);
            bcrypt::verify(&password, &hash).unwrap_or(false)
        });
        let is_right = verified.await.unwrap_or(false) && is_user;
        let remembered = if is_right { &self.right } else { &self.wrong };
        lock(remembered).insert(digest, ());
        if is_right { PasswordCheck::Right } else { PasswordCheck::Wrong }
    }

    /// The hash to verify a password against, and whether the name is a user's. An unknown name always gets the hash of the same
    /// user, so response times do not reveal which names exist.
    fn hash_for<'a>(&self, users: &'a Users, name: &[u8]) -> Option<(bool, &'a str)> {
        if let Some(hash) = std::str::from_utf8(name).ok().and_then(|name| users.0.get(name)) {
            return Some((true, hash));
        }
        let digest = self.digest(&[name]);
        let number = u64::from_le_bytes(*digest.first_chunk()?);
        let count = u64::try_from(users.0.len()).ok().filter(|count| *count > 0)?;
        let index = usize::try_from(number % count).ok()?;
        users.0.values().nth(index).map(|hash| (false, hash.as_str()))
    }

    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        let mut digest = Digest::default();
        // A SHA-256 digest has exactly 32 bytes.
        for (to, from) in digest.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        digest
    }
}

fn decoded(credentials: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut name = STANDARD.decode(credentials).ok()?;
    let colon = name.iter().position(|byte| *byte == b':')?;
    let password = name.split_off(colon + 1);
    name.pop();
    Some((name, password))
}
