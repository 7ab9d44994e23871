//! Looks at files and at clusters, with every option at its default.

use podskew::inventory::Settings;
use podskew::look::{Looking, Place};
use podskew::registry::RegistryOptions;

pub fn looking(place: Place) -> Looking {
    Looking {
        place,
        settings: Settings::default(),
        selector: None,
        needs_pods: true,
        nodes: false,
        registry: RegistryOptions::default(),
    }
}
