//! Looks at files and at clusters, with every option at its default.

use podskew::inventory::Settings;
use podskew::registry::RegistryOptions;
use podskew::snapshot::{Looking, Place};

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
