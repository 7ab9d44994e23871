//! Images: a registry of tags, and what each node has pulled from it.

use crate::random::digest;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A container registry: which digest a reference resolves to. Clones share one content.
///
/// A reference that nobody pushed resolves to a digest derived from its text, so that every image exists unless it was
/// removed.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    /// By reference with a tag; `None` for one that was removed.
    tags: HashMap<String, Option<String>>,
    /// References by digest whose content was removed.
    removed: HashSet<String>,
    troubles: HashMap<String, Trouble>,
    changes: u64,
}

/// What is wrong with an image that can be pulled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Its containers run, but never become Ready.
    NeverReady,
    /// Its containers exit with an error soon after their start.
    Crashes,
}

impl Registry {
    /// Lets a tag resolve to this digest from now on.
    pub fn push(&self, reference: &str, digest: &str) {
        let reference = ImageReference::parse(reference);
        let mut content = self.content();
        content.removed.remove(&reference.with_digest(digest));
        content.tags.insert(reference.tagged(), Some(digest.to_owned()));
        content.changes += 1;
    }

    /// Removes a tag, or the content of a reference by digest: it cannot be pulled any more.
    pub fn remove(&self, reference: &str) {
        let reference = ImageReference::parse(reference);
        let mut content = self.content();
        if reference.digest.is_some() {
            content.removed.insert(reference.tagged());
        } else {
            content.tags.insert(reference.tagged(), None);
        }
        content.changes += 1;
    }

    /// Sets or clears what is wrong with the image of a reference.
    pub fn set_trouble(&self, reference: &str, trouble: Option<Trouble>) {
        let reference = ImageReference::parse(reference).tagged();
        let mut content = self.content();
        match trouble {
            Some(trouble) => content.troubles.insert(reference, trouble),
            None => content.troubles.remove(&reference),
        };
        content.changes += 1;
    }

    /// The digest that a reference resolves to; `None` if it cannot be pulled.
    #[must_use]
    pub fn resolve(&self, reference: &str) -> Option<String> {
        let reference = ImageReference::parse(reference);
        let content = self.content();
        let found = match &reference.digest {
            Some(digest) => digest.clone(),
            None => match content.tags.get(&reference.tagged()) {
                Some(known) => known.clone()?,
                None => digest(&reference.tagged()),
            },
        };
        (!content.removed.contains(&reference.with_digest(&found))).then_some(found)
    }

    /// What is wrong with the image of a reference.
    pub(super) fn trouble(&self, reference: &str) -> Option<Trouble> {
        self.content().troubles.get(&ImageReference::parse(reference).tagged()).copied()
    }

    /// A number that grows with each change.
    pub(super) fn changes(&self) -> u64 {
        self.content().changes
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An image reference in its parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ImageReference {
    pub(crate) repository: String,
    tag: Option<String>,
    pub(super) digest: Option<String>,
}

impl ImageReference {
    pub(crate) fn parse(reference: &str) -> Self {
        let (name, digest) = match reference.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (reference, None),
        };
        // A colon before a slash belongs to a port.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
            _ => (name, None),
        };
        Self { repository: repository.to_owned(), tag, digest }
    }

    /// The reference by digest if it has one, else by tag; the tag defaults to `latest`.
    fn tagged(&self) -> String {
        match &self.digest {
            Some(digest) => self.with_digest(digest),
            None => format!("{}:{}", self.repository, self.tag.as_deref().unwrap_or("latest")),
        }
    }

    fn with_digest(&self, digest: &str) -> String {
        format!("{}@{digest}", self.repository)
    }

    /// What the API server sets for `imagePullPolicy` where the template says nothing.
    pub(crate) fn default_pull_policy(&self) -> &'static str {
        let latest = self.digest.is_none() && self.tag.as_deref().is_none_or(|tag| tag == "latest");
        if latest { "Always" } else { "IfNotPresent" }
    }
}

/// What the nodes have pulled: by node, which digest a reference stands for.
#[derive(Debug, Default)]
pub(super) struct ImageCaches {
    nodes: HashMap<String, HashMap<String, String>>,
}

/// Why a container has no image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PullError {
    /// The registry does not have it.
    NotFound,
    /// The policy is `Never`, and the node does not have it.
    NeverPull,
}

impl ImageCaches {
    /// Notes that a node has an image.
    pub(super) fn add(&mut self, node: &str, reference: &str, digest: &str) {
        let reference = ImageReference::parse(reference);
        let cache = self.nodes.entry(node.to_owned()).or_default();
        cache.insert(reference.with_digest(digest), digest.to_owned());
        cache.insert(reference.tagged(), digest.to_owned());
    }

    /// The digest that a container started now on a node runs.
    pub(super) fn pull(
        &mut self,
        registry: &Registry,
        node: &str,
        reference: &str,
        policy: &str,
    ) -> Result<String, PullError> {
        let tagged = ImageReference::parse(reference).tagged();
        let cached = self.nodes.get(node).and_then(|cache| cache.get(&tagged)).cloned();
        match (policy, cached) {
            ("IfNotPresent" | "Never", Some(digest)) => Ok(digest),
            ("Never", None) => Err(PullError::NeverPull),
            _ => {
                let digest = registry.resolve(reference).ok_or(PullError::NotFound)?;
                self.add(node, reference, &digest);
                Ok(digest)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ImageCaches, ImageReference, PullError, Registry};

    const TAG: &str = "registry.example:5000/shop/web:v1";

    #[test]
    fn a_reference_has_its_parts() {
        let parse = ImageReference::parse;
        assert_eq!(parse(TAG).repository, "registry.example:5000/shop/web");
        assert_eq!(parse("registry.example:5000/shop/web").tagged(), "registry.example:5000/shop/web:latest");
        assert_eq!(parse("web:v1@sha256:00").tagged(), "web@sha256:00");
        let policies = ["web", "web:latest", "web:v1", "web@sha256:00"].map(|text| parse(text).default_pull_policy());
        assert_eq!(policies, ["Always", "Always", "IfNotPresent", "IfNotPresent"]);
    }

    #[test]
    fn only_always_asks_the_registry_for_what_the_node_has() {
        let registry = Registry::default();
        let mut caches = ImageCaches::default();
        registry.push(TAG, "sha256:01");
        assert_eq!(caches.pull(&registry, "a", TAG, "Never"), Err(PullError::NeverPull));
        assert_eq!(caches.pull(&registry, "a", TAG, "IfNotPresent").unwrap(), "sha256:01");
        registry.push(TAG, "sha256:02");
        for policy in ["IfNotPresent", "Never"] {
            assert_eq!(caches.pull(&registry, "a", TAG, policy).unwrap(), "sha256:01");
        }
        assert_eq!(caches.pull(&registry, "b", TAG, "IfNotPresent").unwrap(), "sha256:02");
        assert_eq!(caches.pull(&registry, "a", TAG, "Always").unwrap(), "sha256:02");
        registry.remove(TAG);
        assert_eq!(caches.pull(&registry, "a", TAG, "Always"), Err(PullError::NotFound));
        assert_eq!(caches.pull(&registry, "a", TAG, "IfNotPresent").unwrap(), "sha256:02");
    }

    #[test]
    fn a_digest_gives_exactly_that_content() {
        let registry = Registry::default();
        let mut caches = ImageCaches::default();
        registry.push(TAG, "sha256:02");
        let pinned = "registry.example:5000/shop/web@sha256:01";
        assert_eq!(caches.pull(&registry, "a", pinned, "IfNotPresent").unwrap(), "sha256:01");
        registry.remove(pinned);
        assert_eq!(caches.pull(&registry, "a", pinned, "IfNotPresent").unwrap(), "sha256:01", "the node has it");
        assert_eq!(caches.pull(&registry, "b", pinned, "IfNotPresent"), Err(PullError::NotFound));
        registry.push(TAG, "sha256:01");
        assert_eq!(caches.pull(&registry, "b", pinned, "IfNotPresent").unwrap(), "sha256:01");
    }
}
