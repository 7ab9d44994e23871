//! The memory of a burst of workloads is freed when they are gone: of the inventory and of the exposition, byte by byte.
//! `make soak` checks the whole process.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

#[path = "../../benches/costs/allocator.rs"]
#[allow(dead_code, clippy::cast_possible_wrap, reason = "a part of a benchmark")]
mod allocator;

use crate::common::alone::is_alone;
use crate::common::burst::objects;
use podskew::exposition::{Exposition, PublishBatch, Selection};
use podskew::inventory::{Inventory, Settings, Source};
use podskew::objects::{Resource, WatchEvent, decode_event};
use podskew::time::UnixTime;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

struct State {
    inventory: Inventory,
    exposition: Exposition,
    now: UnixTime,
}

impl State {
    fn new(now: UnixTime) -> Self {
        let sources = Resource::ALL.map(|resource| Source { resource, namespace: 0 });
        let mut inventory = Inventory::new(Settings::default(), &sources);
        for source in sources {
            inventory.begin_relist(source);
            inventory.finish_relist(source, now);
        }
        Self { inventory, exposition: Exposition::new(Selection::default(), Vec::new()), now }
    }

    fn apply(&mut self, kind: &str, namespace: &str, numbers: std::ops::Range<usize>) {
        for number in numbers {
            for (resource, object) in objects(namespace, number) {
                let line = json!({"type": kind, "object": object}).to_string();
                let resource = Resource::ALL.into_iter().find(|known| known.plural() == resource.plural()).unwrap();
                let source = Source { resource, namespace: 0 };
                match decode_event(resource, line.as_bytes()).unwrap() {
                    WatchEvent::Applied(object) => self.inventory.apply(source, &object, self.now),
                    WatchEvent::Deleted(object) => self.inventory.delete(source, &object, self.now),
                    _ => panic!("{line}"),
                }
            }
            if number % 1000 == 999 {
                self.publish();
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        let changes = self.inventory.take_changes(self.now);
        let part = PublishBatch { reports: changes.reports, gone: changes.gone };
        self.exposition.publish(part, &changes.awaiting_owner);
    }
}

#[test]
fn memory_of_a_burst_is_released() {
    if !is_alone(module_path!(), "memory_of_a_burst_is_released") {
        return;
    }
    let now = UnixTime::parse("2026-11-21T13:00:00Z").unwrap();
    let mut state = State::new(now);
    state.apply("ADDED", "stays", 0..200);
    let fresh = allocator::live();
    for round in 0..2 {
        state.apply("ADDED", "burst", 0..2000);
        // The staying workloads are replaced meanwhile, so they are stored among those that will be deleted.
        state.apply("DELETED", "stays", 0..200);
        state.apply("ADDED", "stays", 0..200);
        state.apply("ADDED", "burst", 2000..4000);
        let full = allocator::live();
        state.apply("DELETED", "burst", 0..4000);
        let after = allocator::live();
        println!("{fresh} bytes, {full} with the burst, {after} after it");
        assert!(full > 5 * fresh, "the burst is too small: {full} bytes, {fresh} before");
        assert!(after < fresh + (1 << 20), "round {round}: {after} bytes, {fresh} before and {full} with the burst");
    }
}
