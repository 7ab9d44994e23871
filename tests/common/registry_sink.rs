//! A registry sink for a world: provides its images, and receives the registries' answers.

use super::world::World;
use podskew::inventory::{AskedImages, RegistryEvidence};
use podskew::registry::RegistrySink;
use std::sync::{Arc, Mutex};

pub struct WorldSink(pub Arc<Mutex<World>>);

impl RegistrySink for WorldSink {
    fn asked_images(&self) -> Option<AskedImages> {
        self.0.lock().unwrap().inventory.asked_images()
    }

    fn take_registry_evidence(&self, evidence: Arc<RegistryEvidence>) {
        let mut world = self.0.lock().unwrap();
        let now = world.moment();
        world.inventory.take_registry_evidence(&evidence, now);
    }
}
