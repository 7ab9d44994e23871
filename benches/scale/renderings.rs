//! CPU of one rendering, by the number of workloads that changed since the last one. It runs in this process.

use crate::figures::Figures;
use crate::{Outcome, progress};
use podskew::exposition::{Exposition, PublishBatch, Selection};
use podskew::inventory::{Changes, Inventory, Settings, Source};
use podskew::objects::{Object, Resource, WatchEvent, decode_event};
use podskew::time::UnixTime;
use simulator::{BulkConfig, Store, bulk};
use std::time::{Duration, Instant};

/// Numbers of changed workloads, and the figures of each.
const CHANGED: [(usize, &str); 3] = [(1, "rendering-1"), (40, "rendering-40"), (1000, "rendering-1000")];
/// Renderings of each number; the shortest counts.
const ROUNDS: u32 = 10;
/// Same as in `serve`.
const PODS_AT_ONCE: usize = 2_500;
const PODS: Source = Source { resource: Resource::Pods, namespace: 0 };

/// Inventory and exposition of a cluster, without a network.
struct Rendered {
    inventory: Inventory,
    exposition: Exposition,
    now: UnixTime,
}

/// Measures renderings in a cluster of `pods` pods.
pub(crate) fn measure(pods: u32, figures: &mut Figures) -> Outcome<()> {
    let store = Store::new(1);
    bulk(&store, &BulkConfig { pods, rolling_every: 0, ..BulkConfig::default() });
    let mut rendered = Rendered::of(&store)?;
    for (changed, name) in CHANGED {
        let step = (store.count(simulator::Resource::Pods) / changed).max(1);
        let (mut at, mut pods) = (0, Vec::new());
        store.each_line(simulator::Resource::Pods, &mut |line| {
            if at % step == 0 && pods.len() < changed {
                pods.push(line.to_vec());
            }
            at += 1;
        });
        let mut shortest = Duration::MAX;
        for round in 0..ROUNDS {
            // A pod of each workload goes, and comes back.
            for line in &pods {
                let pod = applied(Resource::Pods, line)?;
                if round % 2 == 0 {
                    rendered.inventory.delete(PODS, &pod, rendered.now);
                } else {
                    rendered.inventory.apply(PODS, &pod, rendered.now);
                }
            }
            let begun = Instant::now();
            let workloads = rendered.render()?;
            shortest = shortest.min(begun.elapsed());
            if workloads == 0 || workloads > changed {
                return Err(format!("{workloads} workloads changed instead of {changed}").into());
            }
        }
        figures.put(name, shortest.as_secs_f64() * 1e3);
        progress(&format!("rendering after changes in {changed} workloads: {shortest:?}"));
    }
    Ok(())
}

impl Rendered {
    fn of(store: &Store) -> Outcome<Self> {
        let now = UnixTime::now();
        let sources = Resource::ALL.map(|resource| Source { resource, namespace: 0 });
        let mut inventory = Inventory::new(Settings::default(), &sources);
        for source in sources {
            inventory.begin_relist(source);
            if let Some(served) =
                simulator::Resource::ALL.into_iter().find(|it| it.plural() == source.resource.plural())
            {
                store.each_line(served, &mut |line| {
                    if let Ok(object) = applied(source.resource, line) {
                        inventory.relist(source, &object, now);
                    }
                });
            }
            inventory.finish_relist(source, now);
        }
        let mut rendered = Self { inventory, exposition: Exposition::new(Selection::default(), Vec::new()), now };
        rendered.render()?;
        Ok(rendered)
    }

    /// Takes the reports of changed workloads and renders them; returns their number.
    fn render(&mut self) -> Outcome<usize> {
        self.now = self.now.plus(1);
        let mut workloads = 0;
        loop {
            let changes = self.inventory.take_some_changes(self.now, PODS_AT_ONCE);
            let Changes { complete: true, reports, gone, awaiting_owner, more, .. } = changes else {
                return Err("the initial sync is not complete".into());
            };
            workloads += reports.len();
            let part = PublishBatch { reports, gone };
            if more {
                self.exposition.prepare(&mut std::iter::once(part));
            } else {
                self.exposition.publish(part, &awaiting_owner);
                return Ok(workloads);
            }
        }
    }
}

fn applied(resource: Resource, line: &[u8]) -> Outcome<Object<'_>> {
    match decode_event(resource, line)? {
        WatchEvent::Applied(object) => Ok(object),
        _ => Err("not an object".into()),
    }
}
