//! Feeds a recording into an inventory line by line, in order, and renders after each line.

use super::exposition::Parsed;
use super::summary::View;
use super::world::source;
use podskew::exposition::{Encoding, Exposition, Format, PublishBatch, Selection};
use podskew::inventory::{Inventory, Settings, Source};
use podskew::objects::{Object, Resource, WatchEvent, decode_event};
use podskew::time::UnixTime;
use serde_json::Value;
use simulator::Recording;
use std::collections::BTreeMap;

/// Path of a file of a recording.
pub fn path(scenario: &str) -> String {
    format!("{}/tests/data/recordings/{scenario}", env!("CARGO_MANIFEST_DIR"))
}

/// One line of a recording.
#[derive(Clone)]
pub struct Line {
    pub at: f64,
    pub resource: Resource,
    /// The event, or `None` at the end of the initial list.
    event: Option<String>,
}

/// The objects that exist after some lines of a tape.
#[derive(Default)]
pub struct Cluster {
    objects: BTreeMap<(Resource, String), Value>,
}

impl Cluster {
    pub fn take(&mut self, line: &Line) {
        let Some(event) = &line.event else { return };
        let mut event: Value = serde_json::from_str(event).unwrap();
        let mut object = event["object"].take();
        let key = (line.resource, object["metadata"]["uid"].to_string());
        match event["type"].as_str().unwrap() {
            "ADDED" | "MODIFIED" => {
                // A list has the kind once for all items. Here each object needs it.
                object["kind"] = kind(line.resource).into();
                self.objects.insert(key, object);
            }
            "DELETED" => _ = self.objects.remove(&key),
            _ => {}
        }
    }

    pub fn objects(&self) -> Vec<Value> {
        self.objects.values().cloned().collect()
    }
}

/// A recording as loaded from its file.
pub struct Tape {
    pub lines: Vec<Line>,
    pub start: UnixTime,
}

impl Tape {
    pub fn load(scenario: &str) -> Self {
        let text = std::fs::read_to_string(path(&format!("{scenario}.jsonl"))).unwrap();
        let start = Recording::parse(&text).unwrap().start();
        let mut at = 0.0;
        let lines = text.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            // The line at the end of a list has no time of its own.
            at = line["at"].as_f64().unwrap_or(at);
            let plural = line["resource"].as_str().unwrap();
            let resource = Resource::ALL.into_iter().find(|resource| resource.plural() == plural).unwrap();
            Line { at, resource, event: line.get("event").map(Value::to_string) }
        });
        Self { lines: lines.collect(), start: UnixTime::from_seconds(start.seconds()).unwrap() }
    }

    /// The same recording with the watch of one resource this many seconds behind the others.
    pub fn with_lag(mut self, resource: Resource, seconds: f64) -> Self {
        for line in self.lines.iter_mut().filter(|line| line.resource == resource) {
            line.at += seconds;
        }
        self.lines.sort_by(|a, b| a.at.total_cmp(&b.at));
        self
    }

    /// Whether it has any object of a resource.
    pub fn has(&self, resource: Resource) -> bool {
        self.lines.iter().any(|line| line.resource == resource && line.event.is_some())
    }

    /// Plays everything, and calls `look` after each line.
    pub fn play(&self, mut look: impl FnMut(f64, View<'_>)) {
        let mut player = Player::new(self.start);
        for line in &self.lines {
            player.play(line);
            let parsed = player.look();
            look(line.at, View { parsed: &parsed, at: player.now, start: self.start });
        }
    }
}

/// Plays lines into an inventory and an exposition.
pub struct Player {
    start: UnixTime,
    pub now: UnixTime,
    inventory: Inventory,
    exposition: Exposition,
    listed: Vec<Resource>,
    begun: Vec<Resource>,
}

impl Player {
    pub fn new(start: UnixTime) -> Self {
        let sources: Vec<Source> = Resource::ALL.into_iter().map(source).collect();
        let mut inventory = Inventory::new(Settings::default(), &sources);
        for optional in Resource::ALL.into_iter().filter(|resource| resource.is_optional()) {
            inventory.not_served(source(optional), start);
        }
        let exposition = Exposition::new(Selection::default(), Vec::new());
        Self { start, now: start, inventory, exposition, listed: Vec::new(), begun: Vec::new() }
    }

    pub fn play(&mut self, line: &Line) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a recording")]
        let at = line.at as u32;
        self.now = self.now.max(self.start.plus(at));
        let (resource, from) = (line.resource, source(line.resource));
        if !self.begun.contains(&resource) {
            self.begun.push(resource);
            self.inventory.begin_relist(from);
        }
        let Some(event) = &line.event else {
            self.listed.push(resource);
            return self.inventory.finish_relist(from, self.now);
        };
        let listing = !self.listed.contains(&resource);
        match decode_event(resource, event.as_bytes()).unwrap() {
            WatchEvent::Applied(object) if listing => self.inventory.relist(from, &object, self.now),
            WatchEvent::Applied(object) => self.inventory.apply(from, &object, self.now),
            WatchEvent::Deleted(object) => self.inventory.delete(from, &object, self.now),
            WatchEvent::Bookmark { .. } => {}
            WatchEvent::Error(status) => panic!("{status:?}"),
        }
    }

    /// Lists everything at once, like a podskew that has just started.
    pub fn list(&mut self, objects: &[Value]) {
        for resource in Resource::ALL.into_iter().filter(|resource| !resource.is_optional()) {
            self.inventory.begin_relist(source(resource));
            for object in objects.iter().filter(|object| object["kind"] == kind(resource)) {
                let line = serde_json::json!({"type": "ADDED", "object": object}).to_string();
                let event = decode_event(resource, line.as_bytes()).unwrap();
                let WatchEvent::Applied(object) = event else { panic!("{line}") };
                let object: Object<'_> = object;
                self.inventory.relist(source(resource), &object, self.now);
            }
            self.inventory.finish_relist(source(resource), self.now);
        }
    }

    /// Applies an added or changed object.
    pub fn apply(&mut self, object: &Value) {
        self.event("MODIFIED", object);
    }

    /// Applies a deletion.
    pub fn delete(&mut self, object: &Value) {
        self.event("DELETED", object);
    }

    fn event(&mut self, kind: &str, object: &Value) {
        let resource = Resource::ALL.into_iter().find(|resource| object["kind"] == self::kind(*resource)).unwrap();
        let line = serde_json::json!({"type": kind, "object": object}).to_string();
        match decode_event(resource, line.as_bytes()).unwrap() {
            WatchEvent::Applied(object) => self.inventory.apply(source(resource), &object, self.now),
            WatchEvent::Deleted(object) => self.inventory.delete(source(resource), &object, self.now),
            other => panic!("{other:?}"),
        }
    }

    /// Renders the current exposition.
    pub fn look(&mut self) -> Parsed {
        let changes = self.inventory.take_changes(self.now);
        if changes.complete {
            self.exposition
                .publish(PublishBatch { reports: changes.reports, gone: changes.gone }, &changes.awaiting_owner);
        }
        let answer = self.exposition.picture().answer(&[], Format::Text, Encoding::Identity, self.now);
        Parsed::read(&String::from_utf8(answer.flatten().collect()).unwrap())
    }
}

fn kind(resource: Resource) -> &'static str {
    match resource {
        Resource::Pods => "Pod",
        Resource::ReplicaSets => "ReplicaSet",
        Resource::Deployments => "Deployment",
        Resource::StatefulSets => "StatefulSet",
        Resource::DaemonSets => "DaemonSet",
        Resource::ControllerRevisions => "ControllerRevision",
        Resource::Rollouts => "Rollout",
        Resource::CloneSets => "CloneSet",
        Resource::Nodes => "Node",
    }
}
