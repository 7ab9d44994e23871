//! podskew without its network: from lines of a watch to a scrape's response, with each stage counted.

use super::Outcome;
use super::cluster::{Cluster, Event};
use super::meter::Meter;
use podskew::exposition::{Encoding, Exposition, Format, PublishBatch, Selection};
use podskew::inventory::{Changes, Inventory, Settings, Source};
use podskew::objects::{Resource, WatchEvent, decode_event};
use podskew::time::UnixTime;

/// Same as in `serve`.
const PODS_AT_ONCE: usize = 2_500;

/// Events between two renderings in a busy cluster.
pub const EVENTS_A_SECOND: usize = 500;

/// Inventory, exposition and their time.
pub struct Podskew {
    pub now: UnixTime,
    pub inventory: Inventory,
    pub exposition: Exposition,
}

/// The source of a resource.
pub fn source(resource: Resource) -> Source {
    Source { resource, namespace: 0 }
}

impl Podskew {
    /// An empty state.
    pub fn new(now: UnixTime) -> Self {
        let inventory = Inventory::new(Settings::default(), &Resource::ALL.map(source));
        Self { now, inventory, exposition: Exposition::new(Selection::default(), Vec::new()) }
    }

    /// Lists everything, as initial list or relist; counted per pod.
    pub fn list(&mut self, cluster: &Cluster, stage: &str, meter: &mut Meter) -> Outcome<()> {
        let mut unread = 0;
        for resource in Resource::ALL {
            let lines = cluster.lines(resource);
            meter.run(stage, 0, || {
                self.inventory.begin_relist(source(resource));
                for line in &lines {
                    match decode_event(resource, line) {
                        Ok(WatchEvent::Applied(object)) => self.inventory.relist(source(resource), &object, self.now),
                        _ => unread += 1,
                    }
                }
                self.inventory.finish_relist(source(resource), self.now);
            });
        }
        meter.add(stage, self.inventory.objects(Resource::Pods));
        if unread > 0 { Err(format!("{unread} objects cannot be read").into()) } else { Ok(()) }
    }

    /// Decodes an event and applies it; returns false if it is unreadable.
    pub fn take(&mut self, event: &Event) -> bool {
        match decode_event(event.resource, &event.line) {
            Ok(WatchEvent::Applied(object)) => self.inventory.apply(source(event.resource), &object, self.now),
            Ok(WatchEvent::Deleted(object)) => self.inventory.delete(source(event.resource), &object, self.now),
            Ok(WatchEvent::Bookmark { .. }) => {}
            Ok(WatchEvent::Error(_)) | Err(_) => return false,
        }
        true
    }

    /// Reports and renders as `serve` does, in two stages; returns the number of reported workloads and pods.
    pub fn render(&mut self, reporting: &str, rendering: &str, meter: &mut Meter) -> Outcome<(u64, u64)> {
        let (mut workloads, mut pods) = (0, 0);
        loop {
            let changes = meter.run(reporting, 0, || self.inventory.take_some_changes(self.now, PODS_AT_ONCE));
            let Changes { complete, reports, gone, awaiting_owner, more, .. } = changes;
            if !complete {
                return Err("the initial sync is not complete".into());
            }
            workloads += reports.len() as u64;
            pods += reports.iter().map(|report| report.pods.len() as u64).sum::<u64>();
            // Freed within the stage that consumes it.
            let (exposition, part) = (&self.exposition, PublishBatch { reports, gone });
            if more {
                meter.run(rendering, 0, move || exposition.prepare(&mut std::iter::once(part)));
            } else {
                meter.run(rendering, 0, move || exposition.publish(part, &awaiting_owner));
                return Ok((workloads, pods));
            }
        }
    }

    /// One second of a busy cluster: its events, counted per pod event, then the reports of their workloads.
    pub fn second(&mut self, events: &[Event], name: &str, meter: &mut Meter) -> Outcome<Seen> {
        let mut read = true;
        let mut pod_events = 0;
        for run in events.chunk_by(|a, b| a.resource == b.resource) {
            if run[0].resource == Resource::Pods {
                pod_events += run.len() as u64;
                let stage = format!("{name}: event");
                read &= meter.run(&stage, run.len() as u64, || run.iter().all(|event| self.take(event)));
            } else {
                read &= run.iter().all(|event| self.take(event));
            }
        }
        if !read {
            return Err("an event cannot be read".into());
        }
        self.now = self.now.plus(1);
        let (workloads, pods) = self.render(&format!("{name}: report"), &format!("{name}: render"), meter)?;
        Ok(Seen { seconds: 1, pod_events, workloads, pods })
    }

    /// A rolling update, second by second.
    pub fn churn(&mut self, events: &[Event], name: &str, meter: &mut Meter) -> Outcome<Seen> {
        let mut all = Seen::default();
        for events in events.chunks(EVENTS_A_SECOND) {
            let second = self.second(events, name, meter)?;
            all.seconds += 1;
            all.pod_events += second.pod_events;
            all.workloads += second.workloads;
            all.pods += second.pods;
        }
        Ok(all)
    }

    /// A complete scrape; returns its number of bytes.
    pub fn scrape(&self, encoding: Encoding) -> usize {
        let answer = self.exposition.picture().answer(&[], Format::Text, encoding, self.now);
        answer.map(|frame| frame.len()).sum()
    }
}

/// Counts of events and reports.
#[derive(Clone, Copy, Default)]
pub struct Seen {
    pub seconds: u64,
    pub pod_events: u64,
    pub workloads: u64,
    /// Pods of these workloads.
    pub pods: u64,
}
