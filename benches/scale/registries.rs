//! Cost of registries: podskew with `--registry` and one without, on the same cluster; and an hour of requests, compressed.
//!
//! Four registries have 500 repositories of ten tags each, and one of the four always fails at random.

use crate::cluster::Cluster;
use crate::figures::{Figures, percentile};
use crate::podskew::Podskew;
use crate::scrapes::scrape;
use crate::{Outcome, progress};
use podskew::inventory::{AskedImage, AskedImages, RegistryEvidence};
use podskew::registry::{RegistryAddress, RegistryOptions, RegistrySink, RegistryTimings, keep_asking};
use podskew::report::{DigestKind, Name};
use podskew::telemetry::Telemetry;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Number of references.
const REFERENCES: u32 = 5_000;
/// The last registry fails.
const REGISTRIES: u32 = 4;
/// Interval between two requests for a tag. The default of 15 minutes would take too long.
const INTERVAL: Duration = Duration::from_secs(180);
const SCRAPES: usize = 1_000;
/// One of this many tags moves.
const MOVED: usize = 100;
/// Speed of the compressed hour.
const COMPRESSION: u32 = 60;

/// Measures memory, scrapes and requests, and an hour of compressed time.
pub(crate) fn measure(cluster: &mut Cluster, figures: &mut Figures) -> Outcome<()> {
    let file = tempfile::NamedTempFile::new()?;
    let hosts = cluster.put_registries(REFERENCES, REGISTRIES, file.path())?;
    let without = Podskew::start(cluster, &[])?;
    let p99_without = p99(&without)?;
    let rest_without = without.process.settled_mib()?;
    drop(without);

    let addresses: Vec<String> = hosts.iter().map(|host| format!("{host}=http://{host}")).collect();
    let mut arguments = vec!["--registry-interval".to_owned(), format!("{}s", INTERVAL.as_secs())];
    arguments.extend(addresses.iter().flat_map(|address| ["--registry".to_owned(), address.clone()]));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let with = Podskew::start(cluster, &arguments)?;
    // The first pass is the busiest: ten requests a second for each host.
    let p99_with = p99(&with)?;
    let healthy = REFERENCES / REGISTRIES * (REGISTRIES - 1);
    let begun = Instant::now();
    while with.answered_references()? < f64::from(healthy) {
        if begun.elapsed() > Duration::from_secs(400) {
            return Err("the registries did not answer within 400 seconds".into());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    let first_pass = begun.elapsed().as_secs_f64();
    cluster.requests_to_registries()?;
    let (before, begun) = (with.process.cpu_seconds()?, Instant::now());
    std::thread::sleep(INTERVAL);
    let counted = cluster.requests_to_registries()?;
    let (seconds, spent) = (begun.elapsed().as_secs_f64(), with.process.cpu_seconds()? - before);
    let planned = f64::from(healthy) * seconds / INTERVAL.as_secs_f64();
    let asked: f64 = counted[..counted.len() - 1].iter().sum();
    let rest = with.process.settled_mib()?;
    let moved = with.moved_tags()?;
    figures.put("registry-rest", rest - rest_without);
    figures.put("registry-p99", p99_with);
    figures.put("registry-p99-without", p99_without);
    figures.put("registry-share", spent / seconds * 100.0);
    figures.put("registry-requests", asked / planned);
    figures.put("registry-moved", f64::from(moved));
    progress(&format!(
        "{REFERENCES} references: {rest:.1} MiB over {rest_without:.1}, first pass {first_pass:.0} s, {asked} requests of {planned:.0} \
         planned, {} to the one that fails",
        counted[counted.len() - 1]
    ));
    drop(with);
    hour(cluster, &hosts, file.path(), figures)
}

fn p99(podskew: &Podskew) -> Outcome<f64> {
    let mut connection = podskew.connect()?;
    connection.get("/metrics", Some("gzip"))?;
    let (mut times, _) = scrape(&mut connection, Some("gzip"), SCRAPES)?;
    Ok(percentile(&mut times, 99))
}

/// The running digests, and what was learned from registries.
struct Sink {
    running: Vec<(Name, Name)>,
    /// Tags that really move.
    movers: HashSet<Name>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    tags: usize,
    /// Tags that were reported as moved, and were not.
    falsely: HashSet<Name>,
    truly: HashSet<Name>,
    gone: HashSet<Name>,
}

impl RegistrySink for Sink {
    fn asked_images(&self) -> Option<AskedImages> {
        let image = |(image, digest): &(Name, Name)| AskedImage {
            image: image.clone(),
            running: vec![(DigestKind::Manifest, digest.clone())],
            in_skew: false,
            always: false,
            contradicted: false,
        };
        Some(AskedImages { images: self.running.iter().map(image).collect(), skews: Vec::new() })
    }

    fn take_registry_evidence(&self, evidence: Arc<RegistryEvidence>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.tags = evidence.tags.len();
        seen.gone.extend(evidence.gone.keys().cloned());
        for (image, running) in &self.running {
            if evidence.tags.get(image).is_some_and(|tag| tag.digest != *running) {
                let of = if self.movers.contains(image) { &mut seen.truly } else { &mut seen.falsely };
                of.insert(image.clone());
            }
        }
    }
}

/// An hour of requests in a minute. After half of it some tags move.
fn hour(cluster: &mut Cluster, hosts: &[String], references: &std::path::Path, figures: &mut Figures) -> Outcome<()> {
    let text = std::fs::read_to_string(references)?;
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let running: Vec<(Name, Name)> = lines.map(|(image, digest)| (Name::from(image), Name::from(digest))).collect();
    let failing = &hosts[hosts.len() - 1];
    let movers: HashSet<Name> = running.iter().step_by(MOVED).map(|(image, _)| image.clone()).collect();
    let found: Vec<Name> = movers.iter().filter(|image| !image.starts_with(&**failing)).cloned().collect();
    let sink = Arc::new(Sink { running, movers, seen: Mutex::default() });
    let timings = RegistryTimings::default().compressed(COMPRESSION);
    let registries: Result<Vec<_>, String> =
        hosts.iter().map(|host| RegistryAddress::parse(&format!("{host}=http://{host}"))).collect();
    let options = RegistryOptions { registries: registries?, ..RegistryOptions::default() };
    let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let health = Telemetry::new()?.registries(&names)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let counted = runtime.block_on(async {
        let _tasks = keep_asking(&options, &timings, Arc::clone(&sink), &health)?;
        let seen = || sink.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let healthy = usize::try_from(REFERENCES / REGISTRIES * (REGISTRIES - 1))?;
        while seen().tags < healthy {
            if begun.elapsed() > Duration::from_secs(120) {
                return Err(format!("{} of {healthy} tags are known after two minutes", seen().tags).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cluster.requests_to_registries()?;
        let half = Duration::from_secs(1800) / COMPRESSION;
        tokio::time::sleep(half).await;
        cluster.move_tags(MOVED)?;
        tokio::time::sleep(half).await;
        cluster.requests_to_registries()
    })?;
    let seen = sink.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let asked: f64 = counted[..counted.len() - 1].iter().sum();
    let planned = f64::from(REFERENCES / REGISTRIES * (REGISTRIES - 1)) * 4.0;
    let truly = found.iter().filter(|image| seen.truly.contains(*image)).count();
    figures.put("hour-moved", seen.falsely.len() as f64 + seen.gone.len() as f64);
    figures.put("hour-found", truly as f64 / found.len() as f64 * 100.0);
    figures.put("hour-requests", asked / planned);
    progress(&format!(
        "an hour: {asked} requests of {planned} planned, {truly} of {} moves found, {} seen falsely, {} falsely gone",
        found.len(),
        seen.falsely.len(),
        seen.gone.len()
    ));
    Ok(())
}
