//! Images: a registry with tags, and the images that each node has pulled.

use crate::nodes::{CachedImage, MOST_IMAGES};
use crate::random::digest;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A container registry: resolves references to digests. Clones share one content.
///
/// The default has only what is pushed to it.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    /// Whether a reference can be pulled although nobody pushed it.
    has_everything: bool,
    /// By reference with a tag; `None` for a removed tag.
    tags: HashMap<String, Option<String>>,
    /// By reference with a digest: whether the registry has the content.
    contents: HashMap<String, bool>,
    troubles: HashMap<String, Trouble>,
    changes: u64,
}

/// A fault of an image that can be pulled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Its containers run, but never become Ready.
    NeverReady,
    /// Its containers exit with an error soon after their start.
    Crashes,
}

impl Registry {
    /// A registry that has every image until it is removed. It resolves a tag that nobody pushed to a digest derived from
    /// its text. For fleets whose images do not matter.
    #[must_use]
    pub fn with_everything() -> Self {
        let registry = Self::default();
        registry.content().has_everything = true;
        registry
    }

    /// Makes a tag resolve to this digest. Of a reference by digest, only the content is added.
    pub fn push(&self, reference: &str, digest: &str) {
        let reference = ImageReference::parse(reference);
        let mut content = self.content();
        content.contents.insert(reference.with_digest(digest), true);
        if reference.digest.is_none() {
            content.tags.insert(reference.tagged(), Some(digest.to_owned()));
        }
        content.changes += 1;
    }

    /// Pushes an image with a digest derived from its reference, unless the reference is known.
    pub(crate) fn push_any(&self, reference: &str) {
        let parsed = ImageReference::parse(reference);
        let tagged = parsed.tagged();
        let is_known = {
            let content = self.content();
            content.has_everything || content.tags.contains_key(&tagged) || content.contents.contains_key(&tagged)
        };
        if !is_known {
            self.push(reference, &parsed.digest.unwrap_or_else(|| digest(&tagged)));
        }
    }

    /// Removes a tag, or the content of a reference by digest, so that it cannot be pulled.
    pub fn remove(&self, reference: &str) {
        let reference = ImageReference::parse(reference);
        let mut content = self.content();
        if reference.digest.is_some() {
            content.contents.insert(reference.tagged(), false);
        } else {
            content.tags.insert(reference.tagged(), None);
        }
        content.changes += 1;
    }

    /// Deletes a tag with its content, as a retention policy does.
    pub(crate) fn prune(&self, reference: &str) {
        let reference = ImageReference::parse(reference);
        let mut content = self.content();
        if let Some(Some(digest)) = content.tags.remove(&reference.tagged()) {
            content.contents.remove(&reference.with_digest(&digest));
        }
        content.changes += 1;
    }

    /// Sets or clears the fault of an image.
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
                None if content.has_everything => digest(&reference.tagged()),
                None => return None,
            },
        };
        let is_there = content.contents.get(&reference.with_digest(&found)).copied();
        is_there.unwrap_or(content.has_everything).then_some(found)
    }

    #[cfg(test)]
    pub(crate) fn tag_count(&self) -> usize {
        self.content().tags.len()
    }

    /// The fault of an image.
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

/// A parsed image reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ImageReference {
    pub(crate) repository: String,
    tag: Option<String>,
    pub(crate) digest: Option<String>,
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
    pub(crate) fn tagged(&self) -> String {
        match &self.digest {
            Some(digest) => self.with_digest(digest),
            None => format!("{}:{}", self.repository, self.tag.as_deref().unwrap_or("latest")),
        }
    }

    fn with_digest(&self, digest: &str) -> String {
        format!("{}@{digest}", self.repository)
    }

    /// The reference as containerd writes it: with a registry, a tag, and the digest if it has one.
    pub(super) fn qualified(&self) -> String {
        let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost";
        let library = match self.repository.split_once('/') {
            Some((first, _)) if is_host(first) => "",
            Some(_) => "docker.io/",
            None => "docker.io/library/",
        };
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => format!("{library}{}:{tag}@{digest}", self.repository),
            _ => format!("{library}{}", self.tagged()),
        }
    }

    /// The API server's default for `imagePullPolicy`.
    pub(crate) fn default_pull_policy(&self) -> &'static str {
        let latest = self.digest.is_none() && self.tag.as_deref().is_none_or(|tag| tag == "latest");
        if latest { "Always" } else { "IfNotPresent" }
    }
}

/// The images that each node has pulled, least recently used first.
#[derive(Debug, Default)]
pub(super) struct ImageCaches {
    nodes: HashMap<String, Vec<CachedImage>>,
}

/// Why a container has no image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PullError {
    /// The registry does not have it.
    NotFound,
    /// The policy is `Never`, and the node does not have it.
    NeverPull,
}

/// The digest that a container runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pulled {
    pub(super) digest: String,
    /// Whether the pull changed the images of the node.
    pub(super) is_new: bool,
}

impl ImageCaches {
    /// Records that a node has an image. Returns whether that is new.
    pub(super) fn add(&mut self, node: &str, reference: &str, digest: &str) -> bool {
        let reference = ImageReference::parse(reference);
        let images = self.nodes.entry(node.to_owned()).or_default();
        let known = images.iter().position(|image| image.is(&reference.repository, digest));
        let mut image = match known {
            Some(index) => images.remove(index),
            None => CachedImage::new(&reference.repository, digest),
        };
        let mut is_new = known.is_none();
        if reference.digest.is_none() {
            let tag = reference.tagged();
            is_new |= !image.tags.contains(&tag);
            // On a node, a tag refers to one image only.
            for tags in images.iter_mut().map(|image| &mut image.tags).chain([&mut image.tags]) {
                tags.retain(|known| *known != tag);
            }
            image.tags.push(tag);
        }
        images.push(image);
        is_new
    }

    /// The images of a node.
    pub(super) fn of(&self, node: &str) -> &[CachedImage] {
        self.nodes.get(node).map_or(&[], Vec::as_slice)
    }

    /// Removes the least recently used images of a node, as a kubelet does when the disk is full. Images whose IDs are
    /// `in_use` stay.
    pub(super) fn collect_garbage(&mut self, node: &str, in_use: impl FnOnce() -> Vec<String>) {
        let Some(images) = self.nodes.get_mut(node).filter(|images| images.len() > MOST_IMAGES) else {
            return;
        };
        let in_use = in_use();
        let mut excess = images.len() - MOST_IMAGES;
        images.retain(|image| {
            let goes = excess > 0 && !in_use.contains(&image.id());
            excess -= usize::from(goes);
            !goes
        });
    }

    /// The digest that a container runs if it starts on a node now.
    pub(super) fn pull(
        &mut self,
        registry: &Registry,
        node: &str,
        reference: &str,
        policy: &str,
    ) -> Result<Pulled, PullError> {
        let parsed = ImageReference::parse(reference);
        let cached = self.of(node).iter().find(|image| match &parsed.digest {
            Some(digest) => image.is(&parsed.repository, digest),
            None => image.tags.contains(&parsed.tagged()),
        });
        let digest = match (policy, cached) {
            ("IfNotPresent" | "Never", Some(image)) => image.digest.clone(),
            ("Never", None) => return Err(PullError::NeverPull),
            _ => registry.resolve(reference).ok_or(PullError::NotFound)?,
        };
        let is_new = self.add(node, reference, &digest);
        Ok(Pulled { digest, is_new })
    }
}

#[cfg(test)]
mod tests {
    use super::{ImageCaches, ImageReference, MOST_IMAGES, PullError, Registry};

    const TAG: &str = "registry.example:5000/shop/web:v1";

    #[test]
    fn a_reference_has_its_parts() {
        let parse = ImageReference::parse;
        assert_eq!(parse(TAG).repository, "registry.example:5000/shop/web");
        assert_eq!(parse("registry.example:5000/shop/web").tagged(), "registry.example:5000/shop/web:latest");
        assert_eq!(parse("web:v1@sha256:00").tagged(), "web@sha256:00");
        let qualified = ["web:typo", "shop/web", TAG, "localhost/web@sha256:00"].map(|text| parse(text).qualified());
        assert_eq!(
            qualified,
            ["docker.io/library/web:typo", "docker.io/shop/web:latest", TAG, "localhost/web@sha256:00"]
        );
        let policies = ["web", "web:latest", "web:v1", "web@sha256:00"].map(|text| parse(text).default_pull_policy());
        assert_eq!(policies, ["Always", "Always", "IfNotPresent", "IfNotPresent"]);
    }

    #[test]
    fn only_always_pulls_an_image_that_the_node_has() {
        let registry = Registry::default();
        let mut caches = ImageCaches::default();
        registry.push(TAG, "sha256:01");
        assert_eq!(caches.pull(&registry, "a", TAG, "Never"), Err(PullError::NeverPull));
        assert_eq!(caches.pull(&registry, "a", TAG, "IfNotPresent").unwrap().digest, "sha256:01");
        registry.push(TAG, "sha256:02");
        for policy in ["IfNotPresent", "Never"] {
            assert_eq!(caches.pull(&registry, "a", TAG, policy).unwrap().digest, "sha256:01");
        }
        assert_eq!(caches.pull(&registry, "b", TAG, "IfNotPresent").unwrap().digest, "sha256:02");
        assert_eq!(caches.pull(&registry, "a", TAG, "Always").unwrap().digest, "sha256:02");
        registry.remove(TAG);
        assert_eq!(caches.pull(&registry, "a", TAG, "Always"), Err(PullError::NotFound));
        assert_eq!(caches.pull(&registry, "a", TAG, "IfNotPresent").unwrap().digest, "sha256:02");
    }

    #[test]
    fn a_digest_gives_exactly_that_content() {
        let registry = Registry::with_everything();
        let mut caches = ImageCaches::default();
        registry.push(TAG, "sha256:02");
        let pinned = "registry.example:5000/shop/web@sha256:01";
        assert_eq!(caches.pull(&registry, "a", pinned, "IfNotPresent").unwrap().digest, "sha256:01");
        registry.remove(pinned);
        assert_eq!(caches.pull(&registry, "a", pinned, "IfNotPresent").unwrap().digest, "sha256:01", "the node has it");
        assert_eq!(caches.pull(&registry, "b", pinned, "IfNotPresent"), Err(PullError::NotFound));
        registry.push(TAG, "sha256:01");
        assert_eq!(caches.pull(&registry, "b", pinned, "IfNotPresent").unwrap().digest, "sha256:01");
    }
    #[test]
    fn a_registry_has_pushed_images_and_one_with_everything_has_all() {
        let (registry, everything) = (Registry::default(), Registry::with_everything());
        let pinned = "registry.example:5000/shop/web@sha256:01";
        assert_eq!((registry.resolve(TAG), registry.resolve(pinned)), (None, None));
        assert_eq!(everything.resolve(pinned).as_deref(), Some("sha256:01"));
        let derived = everything.resolve(TAG).unwrap();
        registry.push_any(TAG);
        assert_eq!(registry.resolve(TAG), Some(derived));
        registry.push(TAG, "sha256:01");
        registry.push_any(TAG);
        registry.push(TAG, "sha256:02");
        assert_eq!(registry.resolve(TAG).as_deref(), Some("sha256:02"));
        assert_eq!(registry.resolve(pinned).as_deref(), Some("sha256:01"), "the tag has moved, the content is there");
        registry.push_any("registry.example:5000/shop/web@sha256:03");
        assert_eq!(registry.resolve("registry.example:5000/shop/web:v2@sha256:03").as_deref(), Some("sha256:03"));
        registry.prune(TAG);
        assert_eq!((registry.resolve(TAG), registry.resolve(pinned).as_deref()), (None, Some("sha256:01")));
        everything.remove(TAG);
        assert_eq!(everything.resolve(TAG), None);
    }

    #[test]
    fn a_node_keeps_images_in_use_and_those_used_last() {
        let mut caches = ImageCaches::default();
        let tag = |number: usize| format!("registry.example/app:v{number}");
        for number in 0..MOST_IMAGES {
            assert!(caches.add("a", &tag(number), &format!("sha256:{number:02}")));
        }
        assert!(!caches.add("a", &tag(0), "sha256:00"), "it has it");
        assert!(caches.add("a", &tag(98), "sha256:98"));
        assert!(caches.add("a", &tag(99), "sha256:99"));
        caches.collect_garbage("a", || vec!["registry.example/app@sha256:01".to_owned()]);
        let left: Vec<&str> = caches.of("a").iter().map(|image| &*image.digest).collect();
        assert_eq!(left.len(), MOST_IMAGES);
        assert_eq!(left[..2], ["sha256:01", "sha256:04"], "{left:?}");
        assert_eq!(left[left.len() - 3..], ["sha256:00", "sha256:98", "sha256:99"]);
        // A tag that moves leaves the older image untagged.
        assert!(caches.add("a", &tag(1), "sha256:77"));
        assert_eq!(caches.of("a")[0].tags, Vec::<String>::new());
    }
}
