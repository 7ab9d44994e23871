//! A workload whose images are in a registry, and the registry's answers about them.

use super::world::*;
use podskew::registry::{RegistryAnswers, RegistryOptions, RegistryTimings, ask_once};
use podskew::report::WorkloadReport;
use podskew::report::registry::ContentChange;
use std::sync::Arc;

/// Deployment `web` with one image, and a pod for each imageID.
pub fn web_with_ids(image: &str, image_ids: &[String]) -> World {
    let mut world = World::new();
    world.put(&deployment(image)).put(&replica_set("h1", image, 1, -4000));
    for (number, id) in image_ids.iter().enumerate() {
        world.put(&pod(&format!("p{number}")).image(image).image_id(id));
    }
    world
}

/// Deployment `web` with one image, and a pod for each digest in the image's repository.
pub fn web(image: &str, digests: &[&str]) -> World {
    let repository = image.rsplit_once(':').unwrap().0;
    let image_ids: Vec<String> = digests.iter().map(|digest| format!("{repository}@{digest}")).collect();
    web_with_ids(image, &image_ids)
}

/// Asks the registries once about a world's images, and passes it the answers.
pub async fn ask_for(world: &mut World, options: &RegistryOptions, timings: &RegistryTimings) -> RegistryAnswers {
    let asked = world.inventory.asked_images().unwrap();
    let answers = ask_once(options, timings, asked).await.unwrap();
    let now = world.moment();
    world.inventory.take_registry_evidence(&Arc::new(answers.evidence.clone()), now);
    answers
}

/// The state of the only tag of a workload.
pub fn change(report: &WorkloadReport) -> Option<ContentChange> {
    report.registry.as_ref()?.tags.first().map(|tag| tag.change)
}
