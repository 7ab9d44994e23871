//! Cache of answers of registries, with the schedule of the next requests.

use super::credential::Credential;
use super::credentials::Keyring;
use super::failure::RegistryFailure;
use super::host::Host;
use super::settings::{RegistryOptions, RegistryTimings};
use super::state::ReferenceState;
use crate::inventory::{AskedDigest, AskedImages};
use crate::report::Name;
use crate::report::digest::DigestKind;
use crate::report::registry::{Build, ImageFact, Reference, ReferenceTarget, RegistryEvidence, TagFact};
use crate::time::UnixTime;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Maximum number of facts.
const MOST_FACTS: usize = 20_000;

/// Number of references to request from a host before priorities are compared again.
const BATCH: usize = 100;

/// Consecutive failures after which a host is not asked for a while.
const MOST_FAILURES: u32 = 3;

/// A reference in use.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct CacheEntry {
    pub(super) reference: Reference,
    pub(super) running: Vec<(DigestKind, Name)>,
    pub(super) in_skew: bool,
    always: bool,
    contradicted: bool,
    due: Instant,
    pub(super) state: ReferenceState,
    /// The last digest of its tag, and since when.
    pub(super) seen: Option<(Name, UnixTime)>,
    /// When that was last confirmed.
    confirmed: Option<Instant>,
    /// Since when it is not found although it was before.
    missing: Option<(Instant, UnixTime)>,
    gone: bool,
    /// Whether no credentials were available.
    pub(super) lacks_credentials: bool,
}

#[derive(Default)]
struct Repository {
    /// Hash of the credential with which it last answered 200.
    opened_by: Option<u64>,
    waits_until: Option<Instant>,
}

#[derive(Default)]
struct HostState {
    waits_until: Option<Instant>,
    throttle: Option<Duration>,
    failures: u32,
    pulls: VecDeque<Instant>,
    /// The failure logged last.
    logged: Option<String>,
}

/// All answers and schedules.
pub(super) struct RegistryCache {
    options: RegistryOptions,
    timings: RegistryTimings,
    references: BTreeMap<Name, CacheEntry>,
    pub(super) skews: Vec<Vec<AskedDigest>>,
    pub(super) evidence: RegistryEvidence,
    /// Documents that a repository lacks, and until when not to ask for them.
    pub(super) absent: HashMap<(String, Name), Instant>,
    repositories: HashMap<(String, String), Repository>,
    hosts: HashMap<String, HostState>,
    hasher: RandomState,
    /// Number of documents learned so far.
    learned: u64,
    /// Fingerprint of the last snapshot, to detect changes.
    published: Option<Published>,
    /// Whether the images in use are known.
    updated: bool,
}

type Published = (usize, u64, HashMap<Name, TagFact>, HashMap<Name, UnixTime>);

/// The due references of one repository.
pub(super) struct Batch {
    pub(super) repository: String,
    pub(super) images: Vec<Name>,
}

impl RegistryCache {
    pub(super) fn new(options: RegistryOptions, timings: RegistryTimings) -> Self {
        Self {
            options,
            timings,
            references: BTreeMap::new(),
            skews: Vec::new(),
            evidence: RegistryEvidence::default(),
            absent: HashMap::new(),
            repositories: HashMap::new(),
            hosts: HashMap::new(),
            hasher: RandomState::new(),
            learned: 0,
            published: None,
            updated: false,
        }
    }

    /// Sets the images in use.
    pub(super) fn update(&mut self, asked: AskedImages) {
        let now = Instant::now();
        self.updated = true;
        let mut before = std::mem::take(&mut self.references);
        for image in asked.images {
            let Some(reference) = Reference::parse(&image.image) else { continue };
            if !self.options.registries.iter().any(|registry| registry.host == reference.host) {
                continue;
            }
            let mut entry = before.remove(&image.image).unwrap_or_else(|| CacheEntry {
                reference,
                running: Vec::new(),
                in_skew: false,
                always: false,
                contradicted: false,
                due: now,
                state: ReferenceState::Pending,
                seen: None,
                confirmed: None,
                missing: None,
                gone: false,
                lacks_credentials: false,
            });
            // A newly started image may be missing in the last answer of the registry, or be the first that differs from it.
            if (image.in_skew && !entry.in_skew) || entry.running != image.running {
                entry.due = now;
            }
            (entry.running, entry.in_skew) = (image.running, image.in_skew);
            (entry.always, entry.contradicted) = (image.always, image.contradicted);
            self.references.insert(image.image, entry);
        }
        self.skews = asked.skews;
        let used: HashSet<(&String, &String)> =
            self.references.values().map(|it| (&it.reference.host, &it.reference.repository)).collect();
        self.repositories.retain(|(host, repository), _| used.contains(&(host, repository)));
        self.absent.retain(|_, until| *until > now);
        self.forget_facts();
    }

    /// Drops unused facts once there are many.
    fn forget_facts(&mut self) {
        if self.evidence.facts.len() <= MOST_FACTS {
            return;
        }
        let tags = self.references.values().filter_map(|entry| entry.seen.as_ref()).map(|(digest, _)| digest);
        let running = self.references.values().flat_map(|entry| entry.running.iter().map(|(_, digest)| digest));
        let mut needed: HashSet<Name> = HashSet::new();
        let mut next: Vec<Name> = tags.chain(running).cloned().collect();
        while let Some(digest) = next.pop().filter(|_| needed.len() < MOST_FACTS) {
            match self.evidence.fact(&digest) {
                Some(ImageFact::Index(index)) => next.extend(index.children.iter().map(|child| child.digest.clone())),
                Some(ImageFact::Manifest(manifest)) => next.push(manifest.config.clone()),
                Some(ImageFact::Config(_)) => {}
                None => continue,
            }
            needed.insert(digest);
        }
        self.evidence.facts.retain(|digest, _| needed.contains(digest));
    }

    /// Records changed credentials: the registry may now grant what it refused, and results of other credentials do not apply.
    pub(super) fn credentials_changed(&mut self) {
        let now = Instant::now();
        self.repositories.clear();
        for entry in self.references.values_mut() {
            entry.missing = None;
            if entry.state == ReferenceState::Unauthorized {
                entry.due = now;
            }
        }
    }

    /// The due references of a host by repository, most urgent first: skews, then images pulled at each start.
    pub(super) fn due(&self, host: &Host) -> Vec<Batch> {
        let now = Instant::now();
        let waits = self.hosts.get(&host.name).and_then(|state| state.waits_until);
        if waits.is_some_and(|until| until > now) {
            return Vec::new();
        }
        let is_open = |entry: &CacheEntry| {
            let key = (entry.reference.host.clone(), entry.reference.repository.clone());
            let waits = self.repositories.get(&key).and_then(|repository| repository.waits_until);
            waits.is_none_or(|until| until <= now)
        };
        let due = self.references.iter().filter(|(_, it)| it.reference.host == host.name && it.due <= now);
        let mut due: Vec<_> = due.filter(|(_, entry)| is_open(entry)).collect();
        // Sorted by waiting time, so that a slow host leaves no reference out.
        due.sort_by_key(|(_, it)| (!it.in_skew, !it.always, it.due, &it.reference.repository));
        due.truncate(BATCH);
        let mut batches: Vec<Batch> = Vec::new();
        for (image, entry) in due {
            let repository = &entry.reference.repository;
            match batches.iter_mut().find(|batch| batch.repository == *repository) {
                Some(batch) => batch.images.push(image.clone()),
                None => batches.push(Batch { repository: repository.clone(), images: vec![image.clone()] }),
            }
        }
        batches
    }

    pub(super) fn entry(&self, image: &str) -> Option<&CacheEntry> {
        self.references.get(image)
    }

    /// Number of references of a host in each state.
    pub(super) fn states(&self, host: &str) -> [usize; ReferenceState::ALL.len()] {
        let entries = || self.references.values().filter(|entry| entry.reference.host == host);
        let state_of = |entry: &CacheEntry| match entry.state {
            ReferenceState::Answered if entry.contradicted => ReferenceState::Contradicted,
            state => state,
        };
        ReferenceState::ALL.map(|state| entries().filter(|entry| state_of(entry) == state).count())
    }

    /// Images without a confirmed answer.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = (&Name, &CacheEntry)> {
        self.references.iter().filter(|(_, entry)| entry.state != ReferenceState::Answered)
    }

    /// Whether the manifest of `digest` must be fetched before it is reported.
    pub(super) fn needs_manifest(&self, image: &str, digest: &str) -> bool {
        let runs = self.entry(image).is_some_and(|it| it.running.iter().any(|(_, running)| **running == *digest));
        !runs && self.evidence.fact(digest).is_none()
    }

    /// Records the digest of an image in its registry. A tag with unconfirmed content stays unknown.
    pub(super) fn resolved(&mut self, image: &str, digest: &str, credential: Option<&Credential>, now: UnixTime) {
        let is_confirmed = !self.needs_manifest(image, digest);
        let opened_by = credential.map(|credential| self.hasher.hash_one(credential));
        let Some(entry) = self.references.get_mut(image) else { return };
        let key = (entry.reference.host.clone(), entry.reference.repository.clone());
        self.repositories.entry(key).or_default().opened_by = opened_by;
        (entry.missing, entry.gone) = (None, false);
        if entry.seen.as_ref().is_none_or(|(seen, _)| **seen != *digest) {
            entry.seen = Some((Name::from(digest), now));
            entry.confirmed = None;
        }
        entry.state = if is_confirmed { ReferenceState::Answered } else { ReferenceState::Pending };
        if is_confirmed {
            entry.confirmed = Some(Instant::now());
        }
        let host = self.hosts.entry(entry.reference.host.clone()).or_default();
        (host.failures, host.throttle) = (0, None);
        self.schedule(image);
    }

    /// Records a failure to answer about an image.
    pub(super) fn failed(
        &mut self,
        image: &str,
        failure: &RegistryFailure,
        host: &Host,
        credential: Option<&Credential>,
    ) {
        let now = Instant::now();
        let by = credential.map(|credential| self.hasher.hash_one(credential));
        let Some(entry) = self.references.get_mut(image) else { return };
        let key = (entry.reference.host.clone(), entry.reference.repository.clone());
        entry.state = match failure {
            RegistryFailure::NotFound => ReferenceState::NotFound,
            RegistryFailure::Unauthorized | RegistryFailure::NoCredentials(_) => ReferenceState::Unauthorized,
            RegistryFailure::Throttled(_) => ReferenceState::Throttled,
            RegistryFailure::Unconfirmed => ReferenceState::Unconfirmed,
            _ => ReferenceState::Failed,
        };
        entry.lacks_credentials = matches!(failure, RegistryFailure::NoCredentials(_));
        let mut again = None;
        match failure {
            RegistryFailure::NotFound => {
                // An image missing on a mirror proves nothing: nodes then ask the registry itself.
                let opened_by = self.repositories.get(&key).and_then(|repository| repository.opened_by);
                let was_there = !host.is_mirrored() && opened_by.is_some() && opened_by == by;
                if was_there {
                    let (since, _) = *entry.missing.get_or_insert((now, UnixTime::now()));
                    entry.gone |= since.elapsed() >= self.timings.gone_again;
                    if entry.gone {
                        entry.state = ReferenceState::Gone;
                        entry.confirmed = Some(now);
                    } else {
                        again = Some(self.timings.gone_again.saturating_sub(since.elapsed()));
                    }
                }
            }
            RegistryFailure::Unauthorized | RegistryFailure::NoCredentials(_) => {
                self.repositories.entry(key).or_default().waits_until = Some(now + self.timings.unauthorized);
            }
            RegistryFailure::Throttled(asked) => again = Some(self.throttled(host, *asked)),
            failure if failure.is_of_host() => {
                let most = self.options.interval(&host.name, &self.timings);
                let state = self.hosts.entry(host.name.clone()).or_default();
                state.failures = state.failures.saturating_add(1);
                if let Some(beyond) = state.failures.checked_sub(MOST_FAILURES) {
                    let pause = self.timings.throttled.saturating_mul(1 << beyond.min(16)).min(most);
                    state.waits_until = Some(now + pause);
                }
            }
            _ => {}
        }
        self.schedule(image);
        if let Some((again, entry)) = again.zip(self.references.get_mut(image)) {
            entry.due = now + again;
        }
    }

    /// Schedules the next request for an image: its interval, plus or minus up to a fifth.
    fn schedule(&mut self, image: &str) {
        let spread = f64::from(u32::try_from(self.hasher.hash_one((image, Instant::now())) >> 32).unwrap_or(0));
        let Some(entry) = self.references.get_mut(image) else { return };
        let interval = match entry.reference.target {
            ReferenceTarget::Tag(_) => self.options.interval(&entry.reference.host, &self.timings),
            ReferenceTarget::Digest(_) => self.timings.pinned,
        };
        entry.due = Instant::now() + interval.mul_f64(0.8 + 0.4 * spread / f64::from(u32::MAX));
    }

    /// Whether a host must not be asked for now.
    pub(super) fn waits(&self, host: &Host) -> bool {
        let waits = self.hosts.get(&host.name).and_then(|state| state.waits_until);
        waits.is_some_and(|until| until > Instant::now())
    }

    /// Whether a host's failure, or its success (`None`), is news for the log.
    pub(super) fn is_news(&mut self, host: &Host, failure: Option<&RegistryFailure>) -> bool {
        let state = self.hosts.entry(host.name.clone()).or_default();
        let text = failure.map(ToString::to_string);
        std::mem::replace(&mut state.logged, text.clone()) != text
    }

    /// Counts a manifest fetch; returns whether it is permitted.
    pub(super) fn may_pull(&mut self, host: &Host) -> bool {
        if !host.counts_pulls() {
            return true;
        }
        let now = Instant::now();
        let pulls = &mut self.hosts.entry(host.name.clone()).or_default().pulls;
        while pulls.front().is_some_and(|at| now.duration_since(*at) > self.timings.pinned) {
            pulls.pop_front();
        }
        let may = pulls.len() < self.timings.hub_pulls;
        if may {
            pulls.push_back(now);
        }
        may
    }

    /// Records the content of a document.
    pub(super) fn learn(&mut self, digest: &str, fact: ImageFact) {
        self.evidence.facts.insert(Name::from(digest), Arc::new(fact));
        self.learned += 1;
    }

    /// Records that a repository lacks a document, or that it is unreadable.
    pub(super) fn lacks(&mut self, repository: &str, digest: &Name) {
        let until = Instant::now() + self.timings.pinned;
        self.absent.insert((repository.to_owned(), digest.clone()), until);
    }

    /// Records that a host failed to return a document.
    pub(super) fn failed_document(&mut self, failure: &RegistryFailure, host: &Host) {
        if let RegistryFailure::Throttled(asked) = failure {
            self.throttled(host, *asked);
        }
    }

    /// Pauses requests to a host for as long as it asks; returns that time.
    fn throttled(&mut self, host: &Host, asked: Option<Duration>) -> Duration {
        let (least, most) = (self.timings.throttled, self.timings.throttled_most);
        let state = self.hosts.entry(host.name.clone()).or_default();
        let doubled = state.throttle.map_or(least, |before| before.saturating_mul(2)).min(most);
        state.throttle = Some(doubled);
        let wait = asked.map_or(doubled, |asked| asked.clamp(least, most));
        state.waits_until = Some(Instant::now() + wait);
        wait
    }

    /// The snapshot, if it differs from the last one. The first one waits for an answer or failure about each image in
    /// digest skew.
    pub(super) fn changed_snapshot(&mut self) -> Option<RegistryEvidence> {
        let is_open = |entry: &CacheEntry| entry.in_skew && entry.state == ReferenceState::Pending;
        if self.published.is_none() && (!self.updated || self.references.values().any(is_open)) {
            return None;
        }
        let RegistryEvidence { tags, gone, .. } = self.tags();
        let fingerprint = (self.evidence.facts.len(), self.learned, tags, gone);
        if self.published.as_ref() == Some(&fingerprint) {
            return None;
        }
        self.published = Some(fingerprint);
        Some(self.snapshot())
    }

    /// A snapshot of everything that is recent enough.
    pub(super) fn snapshot(&self) -> RegistryEvidence {
        let mut evidence = RegistryEvidence { facts: self.evidence.facts.clone(), ..self.tags() };
        let running = self.references.values().flat_map(|entry| entry.running.iter().map(|(_, digest)| digest));
        let digests: BTreeSet<&Name> = running.chain(evidence.tags.values().map(|tag| &tag.digest)).collect();
        let builds = digests.into_iter().map(|digest| (digest.clone(), self.evidence.build(digest)));
        evidence.builds = builds.filter(|(_, build)| *build != Build::default()).collect();
        evidence
    }

    /// Tags and gone images that are recent enough.
    fn tags(&self) -> RegistryEvidence {
        let mut evidence = RegistryEvidence::default();
        for (image, entry) in &self.references {
            let interval = match entry.reference.target {
                ReferenceTarget::Tag(_) => self.options.interval(&entry.reference.host, &self.timings),
                ReferenceTarget::Digest(_) => self.timings.pinned,
            };
            let is_fresh = entry.confirmed.is_some_and(|at| at.elapsed() <= interval * 3);
            match (&entry.missing, &entry.seen, &entry.reference.target) {
                (Some((_, since)), _, _) if entry.gone && is_fresh => {
                    evidence.gone.insert(image.clone(), *since);
                }
                (_, Some((digest, since)), ReferenceTarget::Tag(_)) if is_fresh && !entry.gone => {
                    evidence.tags.insert(image.clone(), TagFact { digest: digest.clone(), since: *since });
                }
                _ => {}
            }
        }
        evidence
    }

    /// The current credentials in the file.
    pub(super) fn keyring(&self) -> Result<Keyring, String> {
        self.options.keyring()
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_FACTS, RegistryCache};
    use crate::inventory::{AskedImage, AskedImages};
    use crate::registry::{RegistryAddress, RegistryOptions, RegistryTimings};
    use crate::report::Name;
    use crate::report::digest::DigestKind;
    use crate::report::registry::{Build, ImageFact, Manifest};
    use std::time::Duration;

    fn options(interval: Option<Duration>) -> RegistryOptions {
        let registries = ["r.example", "docker.io"].map(|host| RegistryAddress::parse(host).unwrap()).into();
        RegistryOptions { registries, interval, ..RegistryOptions::default() }
    }

    #[test]
    fn unneeded_facts_are_dropped_once_there_are_many() {
        let mut cache = RegistryCache::new(options(None), RegistryTimings::default());
        let digest = |number: usize| Name::from(format!("sha256:{number:064x}"));
        for number in 0..=MOST_FACTS {
            let manifest = Manifest { config: digest(number + 1), build: Build::default() };
            cache.learn(&digest(number), ImageFact::Manifest(manifest));
        }
        let running = vec![(DigestKind::Manifest, digest(MOST_FACTS))];
        let image =
            AskedImage { image: "r.example/web:1".into(), running, in_skew: false, always: false, contradicted: false };
        cache.update(AskedImages { images: vec![image], skews: Vec::new() });
        assert_eq!(cache.evidence.facts.keys().collect::<Vec<_>>(), [&digest(MOST_FACTS)]);
    }

    #[test]
    fn docker_hub_is_asked_once_an_hour_unless_the_operator_says_otherwise() {
        let timings = RegistryTimings::default();
        let minutes = |interval: Option<Duration>| {
            ["r.example", "docker.io"].map(|host| options(interval).interval(host, &timings).as_secs() / 60)
        };
        assert_eq!(minutes(None), [15, 60]);
        assert_eq!(minutes(Some(Duration::from_secs(300))), [5, 5]);
    }
}
