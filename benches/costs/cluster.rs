//! The wire format: a simulated cluster, line by line, and rolling updates of it.

use super::Outcome;
use podskew::objects::Resource;
use podskew::time::UnixTime;
use serde_json::{Value, json};
use simulator::{BulkConfig, Store, Time, bulk_at};
use std::collections::{HashMap, VecDeque};

/// Old ReplicaSets per Deployment.
const HISTORY: usize = 10;

/// Pods of one update in flight at once.
const IN_FLIGHT: usize = 25;

/// A line of a watch, or a frame.
#[derive(Debug)]
pub struct Event {
    pub resource: Resource,
    pub line: Vec<u8>,
}

/// Order of the pods in a rolling update of everything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One workload after another.
    InTurn,
    /// One pod of each workload, then the next of each: everything was restarted at once.
    AtOnce,
}

/// Workloads, ReplicaSets and pods in the state that the API server has.
pub struct Cluster {
    pub now: UnixTime,
    store: Store,
    workloads: Vec<Workload>,
}

/// The remaining part of a rolling update of everything.
pub struct Update {
    /// Workload and position in it.
    pods: VecDeque<(usize, usize)>,
    revisions: Vec<Option<Revision>>,
}

struct Workload {
    deployment: String,
    /// Oldest first; the last is current.
    replica_sets: VecDeque<Value>,
    pods: Vec<String>,
    numbers: Numbers,
}

/// Generates numbers for names, uids and digests.
struct Numbers(u64);

/// Differences between the pods of the next template and the current one: text and its replacement.
struct Revision(Vec<(String, String)>);

/// The start time of every scenario, so that nothing depends on the clock.
pub fn start() -> Outcome<UnixTime> {
    Ok(UnixTime::parse("2026-11-21T12:00:00Z").ok_or("invalid time")?)
}

impl Cluster {
    /// Deployments of two containers each, and ten ReplicaSets of history.
    pub fn new(pods: u32, pods_per_deployment: u32) -> Outcome<Self> {
        Ok(Self::at(start()?, pods, pods_per_deployment))
    }

    /// The same cluster at another time: names and uids are the same, times differ.
    pub fn at(now: UnixTime, pods: u32, pods_per_deployment: u32) -> Self {
        let store = Store::new(1);
        bulk_at(
            &store,
            &BulkConfig { pods, pods_per_deployment, rolling_every: 0, ..BulkConfig::default() },
            Time::from_seconds(now.seconds().into()),
        );
        Self { now, store, workloads: Vec::new() }
    }

    /// Number of pods.
    pub fn pods(&self) -> u64 {
        self.store.count(simulator::Resource::Pods) as u64
    }

    /// Every object of a resource as a line of a streaming list.
    pub fn lines(&self, resource: Resource) -> Vec<Vec<u8>> {
        let mut lines = Vec::with_capacity(self.store.count(served(resource)));
        self.store.each_line(served(resource), &mut |line| lines.push(line.to_vec()));
        lines
    }

    /// Every object of a resource as a protobuf frame of a streaming list.
    pub fn frames(&self, resource: Resource) -> Vec<Vec<u8>> {
        let mut frames = Vec::with_capacity(self.store.count(served(resource)));
        // A frame begins with its length.
        self.store.each_frame(served(resource), &mut |frame| frames.push(frame[4..].to_vec()));
        frames
    }

    /// Begins a rolling update of every workload.
    pub fn update(&mut self, order: Order) -> Outcome<Update> {
        if self.workloads.is_empty() {
            self.workloads = workloads(&self.store)?;
        }
        let sizes = || self.workloads.iter().map(|workload| workload.pods.len()).enumerate();
        let mut pods: Vec<_> = sizes().flat_map(|(at, pods)| (0..pods).map(move |pod| (at, pod))).collect();
        if order == Order::AtOnce {
            pods.sort_by_key(|(at, pod)| (*pod, *at));
        }
        // A quarter of an hour after the last one.
        self.now = self.now.plus(900);
        Ok(Update { pods: pods.into(), revisions: sizes().map(|_| None).collect() })
    }

    /// The next events, empty at the end: seven for each replaced pod, and those of the owners.
    pub fn next(&mut self, update: &mut Update) -> Outcome<Vec<Event>> {
        let mut events = Vec::new();
        let mut stages = Vec::with_capacity(IN_FLIGHT);
        let mut ended = Vec::new();
        for (at, pod) in update.pods.drain(..IN_FLIGHT.min(update.pods.len())) {
            let workload = &mut self.workloads[at];
            if update.revisions[at].is_none() {
                update.revisions[at] = Some(workload.begin(self.now, &mut events)?);
            }
            if let Some(revision) = &update.revisions[at] {
                stages.push(workload.replace(pod, revision, self.now)?);
            }
            if pod + 1 == workload.pods.len() {
                workload.end(&mut ended);
            }
        }
        for stage in 0..7 {
            let lines = stages.iter_mut().map(|of_pod| std::mem::take(&mut of_pod[stage]));
            events.extend(lines.map(|line| Event { resource: Resource::Pods, line }));
        }
        events.append(&mut ended);
        Ok(events)
    }

    /// The first events of a rolling update of every workload.
    pub fn first_events(&mut self, order: Order, most: usize) -> Outcome<Vec<Event>> {
        let mut update = self.update(order)?;
        let mut events = Vec::with_capacity(most);
        while events.len() < most {
            let more = self.next(&mut update)?;
            if more.is_empty() {
                break;
            }
            events.extend(more);
        }
        events.truncate(most);
        Ok(events)
    }
}

impl Workload {
    /// The new template: a new ReplicaSet and the changed Deployment.
    fn begin(&mut self, now: UnixTime, events: &mut Vec<Event>) -> Outcome<Revision> {
        let set = self.replica_sets.back().ok_or("a Deployment without a ReplicaSet")?;
        let pod: Value = serde_json::from_str(self.pods.first().ok_or("a Deployment without pods")?)?;
        let hash = text(set, "/metadata/labels/pod-template-hash")?.to_owned();
        let uid = text(set, "/metadata/uid")?.to_owned();
        let image = text(set, "/spec/template/spec/containers/0/image")?.to_owned();
        let (_, digest) = text(&pod, "/status/containerStatuses/0/imageID")?.split_once('@').ok_or("no digest")?;
        let number: u64 = text(set, "/metadata/annotations/deployment.kubernetes.io~1revision")?.parse()?;
        let digest = digest.to_owned();
        let (repository, _) = image.rsplit_once(':').ok_or("no tag")?;
        let revision = Revision(vec![
            (hash.clone(), format!("{:0>10}", self.numbers.letters(9))),
            (uid, self.numbers.uid()),
            (image.clone(), format!("{repository}:v{}.{}.0", number, number % 7)),
            (
                digest,
                format!(
                    "sha256:{}{}{}{}",
                    self.numbers.hex(),
                    self.numbers.hex(),
                    self.numbers.hex(),
                    self.numbers.hex()
                ),
            ),
        ]);
        let revised = |number: u64| format!("\"deployment.kubernetes.io/revision\":\"{number}\"");
        let created = |set: &Value| text(set, "/metadata/creationTimestamp").map(str::to_owned);
        let made = revision.of(&set.to_string()).replace(&revised(number), &revised(number + 1));
        let made: Value = serde_json::from_str(&made.replace(&created(set)?, &rfc3339(now)?))?;
        events.push(Event { resource: Resource::ReplicaSets, line: line("ADDED", &made.to_string()) });
        self.replica_sets.push_back(made);

        let deployment = revision.of(&self.deployment).replace(&revised(number), &revised(number + 1));
        let generation = |number: u64| format!("eneration\":{number},");
        self.deployment = deployment.replace(&generation(number), &generation(number + 1));
        events.push(Event { resource: Resource::Deployments, line: line("MODIFIED", &self.deployment) });
        Ok(revision)
    }

    /// Replaces one pod; returns the events.
    fn replace(&mut self, pod: usize, revision: &Revision, now: UnixTime) -> Outcome<[Vec<u8>; 7]> {
        let old: Value = serde_json::from_str(&self.pods[pod])?;
        let name = text(&old, "/metadata/name")?;
        let (_, suffix) = name.rsplit_once('-').ok_or("no suffix")?;
        let new_suffix = format!("{:0>5}{pod:x}", self.numbers.letters(4));
        let mut new = revision.of(&self.pods[pod]);
        for (from, to) in [
            (format!("-{suffix}\""), format!("-{new_suffix}\"")),
            (text(&old, "/metadata/uid")?.to_owned(), self.numbers.uid()),
            (text(&old, "/metadata/creationTimestamp")?.to_owned(), rfc3339(now)?),
        ] {
            new = new.replace(&from, &to);
        }
        let running: Value = serde_json::from_str(&new)?;

        let mut scheduled = running.clone();
        scheduled["status"] = json!({"phase": "Pending", "qosClass": "Burstable", "conditions": [
            {"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": rfc3339(now)?}]});
        let mut created = scheduled.clone();
        created["status"] = json!({"phase": "Pending", "qosClass": "Burstable"});
        if let Some(spec) = created["spec"].as_object_mut() {
            spec.remove("nodeName");
        }
        let mut starting = running.clone();
        starting["status"]["phase"] = "Pending".into();
        not_ready(&mut starting, &json!({"waiting": {"reason": "ContainerCreating"}}));
        for status in starting["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
            status["imageID"] = "".into();
            status["started"] = false.into();
        }

        let mut terminating = old;
        terminating["metadata"]["deletionTimestamp"] = rfc3339(now.plus(30))?.into();
        terminating["metadata"]["deletionGracePeriodSeconds"] = 30.into();
        let mut stopped = terminating.clone();
        not_ready(&mut stopped, &json!({"terminated": {"exitCode": 0, "finishedAt": rfc3339(now)?}}));
        let stopped = stopped.to_string();
        self.pods[pod] = new;
        Ok([
            line("ADDED", &created.to_string()),
            line("MODIFIED", &scheduled.to_string()),
            line("MODIFIED", &starting.to_string()),
            line("MODIFIED", &running.to_string()),
            line("MODIFIED", &terminating.to_string()),
            line("MODIFIED", &stopped),
            line("DELETED", &stopped),
        ])
    }

    /// Scales the old ReplicaSet to zero, and deletes the oldest one.
    fn end(&mut self, events: &mut Vec<Event>) {
        if let Some(old) = self.replica_sets.iter_mut().rev().nth(1) {
            for field in ["/spec/replicas", "/status/replicas", "/status/readyReplicas", "/status/availableReplicas"] {
                if let Some(count) = old.pointer_mut(field) {
                    *count = 0.into();
                }
            }
            events.push(Event { resource: Resource::ReplicaSets, line: line("MODIFIED", &old.to_string()) });
        }
        if self.replica_sets.len() > HISTORY + 1
            && let Some(oldest) = self.replica_sets.pop_front()
        {
            events.push(Event { resource: Resource::ReplicaSets, line: line("DELETED", &oldest.to_string()) });
        }
    }
}

impl Numbers {
    /// 64 pseudorandom bits, the same in every run (`SplitMix64` by Steele, Lea and Flood).
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn hex(&mut self) -> String {
        format!("{:016x}", self.number())
    }

    fn letters(&mut self, count: usize) -> String {
        let number = self.number();
        (0..count).map(|at| char::from(b"bcdfghjklmnpqrst"[(number >> (4 * at) & 15) as usize])).collect()
    }

    fn uid(&mut self) -> String {
        let digits = self.hex() + &self.hex();
        [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
    }
}

impl Revision {
    fn of(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }
}

/// The Deployments of a store with their ReplicaSets and pods.
fn workloads(store: &Store) -> Outcome<Vec<Workload>> {
    let owner = |object: &Value| text(object, "/metadata/ownerReferences/0/uid").map(str::to_owned);
    let mut sets: HashMap<String, Vec<Value>> = HashMap::new();
    for set in store.list(simulator::Resource::ReplicaSets) {
        sets.entry(owner(&set)?).or_default().push(set);
    }
    // As text: parsing 20 000 pods takes longer than the measured work.
    let mut pods: HashMap<String, Vec<String>> = HashMap::new();
    store.each_line(simulator::Resource::Pods, &mut |line| {
        let text = String::from_utf8_lossy(line);
        let object = text.split_once(r#","object":"#).and_then(|(_, object)| object.trim_end().strip_suffix('}'));
        let references = object.and_then(|object| object.split_once("\"ownerReferences\":"));
        let uid = references.and_then(|(_, rest)| rest.split_once("\"uid\":\"")?.1.split_once('"'));
        if let (Some(object), Some((uid, _))) = (object, uid) {
            pods.entry(uid.to_owned()).or_default().push(object.to_owned());
        }
    });
    let mut workloads = Vec::new();
    for (deployment, numbers) in store.list(simulator::Resource::Deployments).into_iter().zip(1_u64..) {
        let mut sets = sets.remove(text(&deployment, "/metadata/uid")?).ok_or("a Deployment without ReplicaSets")?;
        let revision = |set: &Value| {
            let text = text(set, "/metadata/annotations/deployment.kubernetes.io~1revision");
            text.ok().and_then(|text| text.parse::<u64>().ok())
        };
        sets.sort_by_key(revision);
        let current = text(sets.last().ok_or("no ReplicaSet")?, "/metadata/uid")?;
        let pods = pods.remove(current).ok_or("a Deployment without pods")?;
        workloads.push(Workload {
            deployment: deployment.to_string(),
            replica_sets: sets.into(),
            pods,
            numbers: Numbers(numbers << 32),
        });
    }
    Ok(workloads)
}

/// The simulator's name of a resource.
fn served(resource: Resource) -> simulator::Resource {
    match resource {
        Resource::Pods => simulator::Resource::Pods,
        Resource::ReplicaSets => simulator::Resource::ReplicaSets,
        Resource::Deployments => simulator::Resource::Deployments,
        Resource::StatefulSets => simulator::Resource::StatefulSets,
        Resource::DaemonSets => simulator::Resource::DaemonSets,
        Resource::ControllerRevisions => simulator::Resource::ControllerRevisions,
        Resource::Rollouts => simulator::Resource::Rollouts,
        Resource::CloneSets => simulator::Resource::CloneSets,
        Resource::Nodes => simulator::Resource::Nodes,
    }
}

fn not_ready(pod: &mut Value, state: &Value) {
    for status in pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
        status["ready"] = false.into();
        status["state"] = state.clone();
    }
    for condition in pod["status"]["conditions"].as_array_mut().into_iter().flatten() {
        if matches!(condition["type"].as_str(), Some("Ready" | "ContainersReady")) {
            condition["status"] = "False".into();
        }
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> Outcome<&'a str> {
    Ok(object.pointer(pointer).and_then(Value::as_str).ok_or_else(|| format!("an object without {pointer}"))?)
}

fn line(kind: &str, object: &str) -> Vec<u8> {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}").into_bytes()
}

fn rfc3339(moment: UnixTime) -> Outcome<String> {
    Ok(jiff::Timestamp::from_second(i64::from(moment.seconds()))?.to_string())
}

/// A line of a recording: an event, or the end of the list of a resource.
pub type Line = (Resource, Option<Event>);

/// Every line of the recordings in `tests/data`, by recording.
pub fn recordings() -> Outcome<Vec<Vec<Line>>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recordings");
    let mut files: Vec<_> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let mut recordings = Vec::with_capacity(files.len());
    for file in files {
        let mut lines = Vec::new();
        for line in std::fs::read_to_string(&file)?.lines() {
            let parsed: Value = serde_json::from_str(line)?;
            let plural = text(&parsed, "/resource")?;
            let resource = Resource::ALL.into_iter().find(|resource| resource.plural() == plural);
            let resource = resource.ok_or("an unknown resource")?;
            // The bytes as the server sent them, with the fields in its order.
            let event = line.split_once(r#","event":"#).map(|(_, event)| &event[..event.len() - 1]);
            lines.push((resource, event.map(|event| Event { resource, line: event.as_bytes().to_vec() })));
        }
        recordings.push(lines);
    }
    Ok(recordings)
}
