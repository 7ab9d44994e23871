//! Images in the demo's registry: two images of `shop/web`, whose tag was pushed again, and two builds of `internal/wiki`
//! that differ only in their provenance. For all other images, the registry has only the tag and the digest.

use super::controllers::Registry;
use super::image_registry::{Image, ImageRegistry, Platform};
use super::random::digest;
use super::store::Store;
use crate::resource::Resource;
use serde_json::Value;

/// The registry that the demo's images name.
pub const DEMO_REGISTRY: &str = "registry.example";

/// Seed for the digest that newer pods of `shop/web` run.
pub(super) const PUSHED_AGAIN: &str = "web, pushed again under the same tag";

const WEB: &str = "shop/web";
const WIKI: &str = "internal/wiki";

/// Pushes the images, and sets their digests in the pods' status.
pub(super) fn push(images: &ImageRegistry, store: &Store) {
    let web = |layer: &str, revision: &str, created: &str, tag: Option<&str>| {
        let label = |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
        let source = label("source", "https://github.com/podskew/example-shop");
        let labels = vec![label("revision", revision), source];
        let image = Image { labels, created: created.to_owned(), ..Image::of(layer) };
        let child = images.push(WEB, None, &image);
        images.push_index(WEB, tag, &[(Platform::AMD64, child)], Some(revision))
    };
    let old = web("web, as it was", "9ab04d1c62d1ae2f37b0a9e1a5f1c7f0d3e4b5a6", "2026-11-01T09:12:44Z", None);
    let new = web(
        "web, with a new checkout",
        "3f2c1a9e8d7b6a5c4f3e2d1c0b9a8f7e6d5c4b3a",
        "2026-11-02T16:40:03Z",
        Some("production-latest"),
    );
    let wiki = images.push(WIKI, None, &Image::of("wiki"));
    let built = |tag, provenance| images.push_index(WIKI, tag, &[(Platform::AMD64, wiki.clone())], Some(provenance));
    let (first, second) = (built(None, "built on 28 Oct"), built(Some("latest"), "built again on 29 Oct"));

    let pushed_again = digest(PUSHED_AGAIN);
    run(store, WEB, |_, before| if before == pushed_again { new.clone() } else { old.clone() });
    run(store, WIKI, |number, _| if number == 0 { first.clone() } else { second.clone() });
}

/// Makes the registry resolve every other tag as the simulated nodes do.
pub(super) fn follow(images: &ImageRegistry, registry: Registry) {
    images.set_resolver(move |repository, tag| registry.resolve(&format!("{DEMO_REGISTRY}/{repository}:{tag}")));
}

/// Replaces the digests in the status of a repository's pods. `digest` gets the pod's number and its previous digest.
fn run(store: &Store, repository: &str, digest: impl Fn(usize, &str) -> String) {
    let of_repository = format!("{DEMO_REGISTRY}/{repository}@");
    let mut number = 0;
    for mut pod in store.list(Resource::Pods) {
        let statuses = pod.pointer_mut("/status/containerStatuses").and_then(Value::as_array_mut);
        let mut image_ids = statuses.into_iter().flatten().map(|status| &mut status["imageID"]);
        let Some(image_id) = image_ids.find(|id| id.as_str().is_some_and(|id| id.starts_with(&of_repository))) else {
            continue;
        };
        let before = image_id.as_str().unwrap_or_default().strip_prefix(&of_repository).unwrap_or_default();
        *image_id = format!("{of_repository}{}", digest(number, before)).into();
        store.put(Resource::Pods, pod);
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{DEMO_REGISTRY, PUSHED_AGAIN};
    use crate::image_registry::ImageRegistry;
    use crate::random::digest;
    use crate::resource::Resource;
    use crate::store::Store;
    use crate::time::Time;
    use crate::{Demo, DemoConfig};
    use std::collections::BTreeMap;

    /// Five pods of the first build and three of the second, which the tag points to, and two builds of the wiki.
    #[tokio::test]
    async fn the_exhibits_run_images_of_the_registry() {
        let images = ImageRegistry::start(None).await.unwrap();
        let store = Store::new(1000);
        let demo = Demo::begin_with(&store, &DemoConfig { workloads: 0, pods: 0 }, Time::now(), &images);
        let mut ran: BTreeMap<String, usize> = BTreeMap::new();
        for pod in store.list(Resource::Pods) {
            let id = pod.pointer("/status/containerStatuses/0/imageID").and_then(|id| id.as_str()).unwrap_or_default();
            if id.starts_with("registry.example/shop/web@") || id.starts_with("registry.example/internal/wiki@") {
                *ran.entry(id.to_owned()).or_default() += 1;
            }
        }
        let mut counts: Vec<usize> = ran.values().copied().collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 1, 3, 5], "{ran:?}");
        assert!(!ran.keys().any(|id| id.ends_with(&digest(PUSHED_AGAIN))));
        // A pod that starts now runs the digest in the registry.
        let now = demo.registry().resolve(&format!("{DEMO_REGISTRY}/shop/web:production-latest")).unwrap();
        assert_eq!(ran[&format!("{DEMO_REGISTRY}/shop/web@{now}")], 3);
    }
}
