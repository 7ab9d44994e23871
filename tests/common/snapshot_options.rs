//! Looks at files and at clusters, with every option at its default.

use podskew::inventory::Settings;
use podskew::registry::RegistryOptions;
use podskew::snapshot::{SnapshotOptions, SnapshotSource};

pub fn snapshot_options(source: SnapshotSource) -> SnapshotOptions {
    SnapshotOptions {
        source,
        settings: Settings::default(),
        selector: None,
        needs_pods: true,
        nodes: false,
        registry: RegistryOptions::default(),
    }
}
