//! The scenarios to measure.

use super::cluster::{Cluster, Event, Order, recordings, start};
use super::figures::WIRE_BYTES;
use super::meter::Meter;
use super::podskew::{EVENTS_A_SECOND, Podskew, source};
use super::{Outcome, callgrind};
use podskew::exposition::Encoding;
use podskew::objects::{Resource, decode_event};
use std::collections::BTreeMap;
use std::hint::black_box;

/// Pods of a small and of a large cluster.
const SMALL: u32 = 2_000;
const LARGE: u32 = 20_000;

/// Replicas of one large Deployment, and in total of the small ones that it is compared with.
const ONE: u32 = 5_000;
const EACH: u32 = 25;

/// Pod events of a rolling update to measure: its first ten seconds.
const EVENTS: usize = 5_000;

/// Number of rolling updates of everything after which memory must be back at its initial level.
const UPDATES: u32 = 10;

/// Costs by stage: allocations always, instructions under callgrind.
pub fn stages(meter: &mut Meter) -> Outcome<()> {
    for (pods, name) in [(SMALL, "2000 pods"), (LARGE, "20000 pods")] {
        let mut cluster = Cluster::new(pods, EACH)?;
        let events = cluster.first_events(Order::InTurn, EVENTS)?;
        callgrind::watch(true);
        of_size(&cluster, &events, name, meter)?;
        callgrind::watch(false);
    }
    for (each, order, name) in
        [(ONE, Order::InTurn, "one workload"), (EACH, Order::InTurn, "in turn"), (EACH, Order::AtOnce, "at once")]
    {
        let mut cluster = Cluster::new(ONE, each)?;
        let events = cluster.first_events(order, EVENTS)?;
        let mut podskew = Podskew::new(cluster.now);
        let mut unmetered = Meter::default();
        podskew.list(&cluster, "", &mut unmetered)?;
        podskew.render("", "", &mut unmetered)?;
        callgrind::watch(true);
        // Counted per event, so that the three stages can be added.
        let seen = podskew.churn(&events, name, meter)?;
        callgrind::watch(false);
        meter.add(&format!("{name}: report"), seen.pod_events);
        meter.add(&format!("{name}: render"), seen.pod_events);
        meter.add(&format!("{name}: pods reported a second"), seen.pods / seen.seconds.max(1));
    }
    recorded(meter)
}

/// A cluster of one size: initial list, relist, scrapes, and the start of a rolling update.
fn of_size(cluster: &Cluster, events: &[Event], name: &str, meter: &mut Meter) -> Outcome<()> {
    let stage = |stage: &str| format!("{name}: {stage}");
    let mut podskew = Podskew::new(cluster.now);
    let mut pods = cluster.lines(Resource::Pods);
    pods.truncate(SMALL as usize);
    let mut decode = |what: &str, resource, events: &[Vec<u8>]| -> Outcome<()> {
        let decode = || events.iter().all(|event| black_box(decode_event(resource, event)).is_ok());
        if meter.run(&stage(what), events.len() as u64, decode) {
            return Ok(());
        }
        Err(format!("{what}: an object cannot be read").into())
    };
    decode("decode", Resource::Pods, &pods)?;
    if cluster.pods() == u64::from(SMALL) {
        decode("decode, protobuf", Resource::Pods, &cluster.frames(Resource::Pods))?;
        decode("decode a ReplicaSet", Resource::ReplicaSets, &cluster.lines(Resource::ReplicaSets))?;
        decode("decode a ReplicaSet, protobuf", Resource::ReplicaSets, &cluster.frames(Resource::ReplicaSets))?;
    }
    meter.add(WIRE_BYTES, pods.iter().map(|line| line.len() as u64).sum());
    podskew.list(cluster, &stage("first list"), meter)?;
    let (_, pods) = podskew.render(&stage("first report"), &stage("first render"), meter)?;
    meter.add(&stage("first report"), pods);
    meter.add(&stage("first render"), pods);
    if cluster.pods() == u64::from(SMALL) {
        podskew.list(cluster, &stage("relist"), meter)?;
    }
    for (encoding, name) in [(Encoding::Gzip, "scrape, gzip"), (Encoding::Identity, "scrape, plain")] {
        let bytes = meter.run(&stage(name), 1, || podskew.scrape(encoding));
        meter.add(&format!("{}, length", stage(name)), bytes as u64);
    }
    let seen = podskew.churn(events, name, meter)?;
    meter.add(&stage("report"), seen.workloads);
    meter.add(&stage("render"), seen.workloads);
    Ok(())
}

/// Pod events of a real API server.
fn recorded(meter: &mut Meter) -> Outcome<()> {
    let recordings = recordings()?;
    callgrind::watch(true);
    for lines in recordings {
        let mut podskew = Podskew::new(start()?);
        for optional in [Resource::Rollouts, Resource::CloneSets] {
            podskew.inventory.not_served(source(optional), podskew.now);
        }
        let mut listed = Vec::new();
        for (resource, event) in lines {
            match event {
                None => listed.push(resource),
                // The initial list in the recording is not counted.
                Some(event) if listed.contains(&resource) && resource == Resource::Pods => {
                    meter.run("recorded: event", 1, || podskew.take(&event));
                }
                Some(event) => _ = podskew.take(&event),
            }
        }
    }
    callgrind::watch(false);
    Ok(())
}

/// Bytes in use: per pod, and after rolling updates.
pub fn memory() -> Outcome<BTreeMap<String, f64>> {
    let mut figures = BTreeMap::new();
    for pods in [SMALL, LARGE] {
        let mut cluster = Cluster::new(pods, EACH)?;
        let mut meter = Meter::default();
        let mut figure = |what: &str, bytes: i64| {
            figures.insert(format!("{pods} pods: {what}, bytes a pod"), bytes as f64 / f64::from(pods));
        };
        let mut podskew = Podskew::new(cluster.now);
        podskew.list(&cluster, "list", &mut meter)?;
        figure("peak of the first list", meter.peak);
        figure("inventory", meter.kept());
        let inventory = meter.kept();
        podskew.render("report", "render", &mut meter)?;
        figure("exposition", meter.kept() - inventory);
        let steady = meter.kept();
        if pods == SMALL {
            for _ in 0..UPDATES {
                update(&mut cluster, &mut podskew, &mut meter)?;
            }
            let later = meter.kept() as f64 / steady as f64;
            figures.insert(format!("{pods} pods: memory after {UPDATES} rolling updates, over that before"), later);
        } else {
            // The same pods with later start times, so that all have changed.
            let other = Cluster::at(cluster.now.plus(60), pods, EACH);
            podskew.list(&other, "list", &mut meter)?;
            figure("peak of a relist in which everything differs", meter.peak);
        }
    }
    Ok(figures)
}

/// A whole rolling update of everything.
fn update(cluster: &mut Cluster, podskew: &mut Podskew, meter: &mut Meter) -> Outcome<()> {
    let mut update = cluster.update(Order::AtOnce)?;
    podskew.now = podskew.now.max(cluster.now);
    let mut events = Vec::new();
    loop {
        let more = cluster.next(&mut update)?;
        if more.is_empty() || events.len() >= EVENTS_A_SECOND {
            podskew.second(&events, "update", meter)?;
            events.clear();
        }
        if more.is_empty() {
            break;
        }
        events.extend(more);
    }
    // A quiet hour.
    podskew.now = podskew.now.plus(3600);
    podskew.render("report", "render", meter)?;
    let pods = podskew.inventory.objects(Resource::Pods);
    if pods == cluster.pods() { Ok(()) } else { Err(format!("{pods} pods are left of {}", cluster.pods()).into()) }
}
