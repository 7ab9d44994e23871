//! A summary of what an exposition reports about each workload, and assertions for every exposition.

use super::exposition::{Labels, Parsed};
use podskew::exposition::FAMILIES;
use podskew::time::UnixTime;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// An exposition, its time, and the time from which ages are counted.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub parsed: &'a Parsed,
    pub at: UnixTime,
    pub start: UnixTime,
}

/// A workload, as in labels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WorkloadName {
    pub namespace: String,
    pub workload_type: String,
    pub workload: String,
}

impl WorkloadName {
    fn of(labels: &Labels) -> Option<Self> {
        Some(Self {
            namespace: labels.get("namespace")?.clone(),
            workload_type: labels.get("workload_type")?.clone(),
            workload: labels.get("workload")?.clone(),
        })
    }
}

impl View<'_> {
    /// Every workload that has a series.
    pub fn workloads(&self) -> BTreeSet<WorkloadName> {
        self.parsed.samples.keys().filter_map(|(_, labels)| WorkloadName::of(labels)).collect()
    }

    /// A summary of all series of all workloads. An age is written as the second of its start, counted from `start`.
    pub fn summary(&self) -> String {
        self.workloads().iter().map(|workload| self.summary_of(workload)).collect()
    }

    /// State and current hash of a workload, and since when, if known.
    pub fn phase(&self, workload_type: &str, workload: &str) -> Option<(String, String)> {
        let of_name = |named: &WorkloadName| named.workload_type == workload_type && named.workload == workload;
        let named = self.workloads().into_iter().find(of_name)?;
        let infos = self.series(&named, "template_hash_info");
        let current = infos.iter().find(|(labels, _)| labels["current"] == "true");
        let current = current.map_or("nothing", |(labels, _)| &labels["pod_template_hash"]);
        let states = self.series(&named, "rollout_state");
        let state = states.first().map_or("no rollout", |(labels, _)| &labels["state"]);
        Some((format!("{state} to {current}"), self.since(self.only(&named, "rollout_age_seconds"))))
    }

    fn state(&self, named: &WorkloadName) -> String {
        let states = self.series(named, "rollout_state");
        let state = states.first().map_or("no rollout", |(labels, _)| &labels["state"]);
        format!("{state}{}", self.since(self.only(named, "rollout_age_seconds")))
    }

    fn summary_of(&self, named: &WorkloadName) -> String {
        let mut text = format!("{}/{} {}", named.workload_type, named.workload, self.state(named));
        let hashes = self.only(named, "distinct_template_hashes_per_workload").unwrap_or(-1.0);
        let mixed = self.since(self.only(named, "mixed_template_hashes_age_seconds"));
        let _ = write!(text, ", hashes {hashes}{mixed}");
        match self.only(named, "outdated_pods") {
            Some(outdated) => _ = write!(text, ", outdated {outdated}"),
            None => text.push_str(", outdated unknown"),
        }
        let pods = self.series(named, "pod_info").len();
        let _ = writeln!(text, ", pods {pods}");
        self.hashes(named, &mut text);
        self.containers(named, &mut text);
        for (labels, _) in self.series(named, "image_reference_info") {
            let (image, reference, policy) = (&labels["image"], &labels["reference"], &labels["pull_policy"]);
            let _ = writeln!(text, "  asks for {}: {image} ({reference}, {policy})", labels["container"]);
        }
        text
    }

    fn hashes(&self, named: &WorkloadName, text: &mut String) {
        let infos = self.series(named, "template_hash_info");
        for (labels, active) in self.series(named, "pods_by_template_hash") {
            let hash = &labels["pod_template_hash"];
            let of_hash = |family: &str| self.of_hash(named, family, hash);
            let _ = write!(text, "  {hash}");
            for (labels, _) in infos.iter().filter(|(labels, _)| labels["pod_template_hash"] == *hash) {
                let current = if labels["current"] == "true" { ", current" } else { "" };
                let _ = write!(text, " (revision {}{current})", labels["revision"]);
            }
            let ready = of_hash("ready_pods_by_template_hash").unwrap_or(-1.0);
            let _ = write!(text, ": {active} active, {ready} ready");
            if let Some(terminating) = of_hash("terminating_pods") {
                let _ = write!(text, ", {terminating} terminating");
            }
            text.push('\n');
        }
    }

    fn containers(&self, named: &WorkloadName, text: &mut String) {
        for (labels, digests) in self.series(named, "distinct_digests_per_workload") {
            let container = &labels["container"];
            let of_container = |family: &str| {
                let series = self.series(named, family);
                series.into_iter().filter(|(labels, _)| labels["container"] == *container).collect::<Vec<_>>()
            };
            let _ = write!(text, "  {container} ({}): digests {digests}", labels["origin"]);
            for (labels, pods) in of_container("unresolved_digest_pods") {
                let _ = write!(text, ", {pods} {}", labels["reason"]);
            }
            for (_, age) in of_container("digest_skew_age_seconds").into_iter().filter(|(_, age)| *age > 0.0) {
                let _ = write!(text, ", skewed{}", self.since(Some(age)));
            }
            let skewed = of_container("skewed_pod_info").len();
            if skewed > 0 {
                let _ = write!(text, ", skewed pods {skewed}");
            }
            text.push('\n');
            for (labels, digests) in of_container("distinct_digests_per_template_hash") {
                let hash = &labels["pod_template_hash"];
                let _ = write!(text, "    {hash} ({}): digests {digests}", labels["origin"]);
                for (labels, pods) in of_container("pods_by_digest") {
                    if labels["pod_template_hash"] == *hash {
                        let (image, digest) = (&labels["image"], &labels["digest"]);
                        let _ = write!(text, ", {pods} × {image} {}", &digest[digest.len() - 8..]);
                    }
                }
                text.push('\n');
            }
        }
    }

    /// Asserts what is true for every exposition at any time.
    pub fn holds_together(&self) {
        let replica_sets = self.workloads().into_iter().find(|named| named.workload_type == "replicaset");
        assert_eq!(replica_sets, None, "{}", self.summary());
        self.adds_up();
    }

    /// Asserts that the numbers do not contradict each other.
    pub fn adds_up(&self) {
        let mut states: BTreeMap<WorkloadName, usize> = BTreeMap::new();
        for (name, labels) in self.parsed.samples.keys() {
            if name == "podskew_rollout_state" {
                *states.entry(WorkloadName::of(labels).unwrap()).or_default() += 1;
            }
        }
        assert!(states.values().all(|states| *states == 1), "{states:?}");
        for named in self.workloads() {
            let sum = |family: &str| self.series(&named, family).iter().map(|(_, value)| value).sum::<f64>();
            let (active, terminating) = (sum("pods_by_template_hash"), sum("terminating_pods"));
            let summary = || self.summary_of(&named);
            assert_eq!(active + terminating, self.series(&named, "pod_info").len() as f64, "{}", summary());
            assert!(sum("ready_pods_by_template_hash") <= active, "{}", summary());
            assert!(sum("outdated_pods") <= active, "{}", summary());
            let current = self.series(&named, "template_hash_info");
            let current = current.iter().filter(|(labels, _)| labels["current"] == "true").count();
            assert!(current <= 1, "{}", summary());
            assert_eq!(current, self.series(&named, "outdated_pods").len(), "{}", summary());
            if named.workload_type == "deployment" {
                self.deployments_agree(&named);
            }
        }
    }

    /// Asserts that the family for Deployments agrees with the family for all workloads.
    fn deployments_agree(&self, named: &WorkloadName) {
        for (labels, digests) in self.series(named, "distinct_digests_per_workload") {
            let labels = [
                ("namespace", named.namespace.as_str()),
                ("deployment", named.workload.as_str()),
                ("container", labels["container"].as_str()),
            ];
            let of_deployment = self.parsed.value("podskew_distinct_digests_per_deployment", &labels);
            assert_eq!(of_deployment, Some(digests), "{}", self.summary_of(named));
        }
    }

    /// Maximum number of digests of one hash, over all workloads.
    pub fn most_digests_of_a_hash(&self) -> f64 {
        let of_hashes = self.parsed.series("podskew_distinct_digests_per_template_hash", &[]);
        of_hashes.into_iter().map(|(_, digests)| digests).fold(0.0, f64::max)
    }

    fn series(&self, named: &WorkloadName, family: &str) -> Vec<(&Labels, f64)> {
        let labels = [
            ("namespace", named.namespace.as_str()),
            ("workload_type", named.workload_type.as_str()),
            ("workload", named.workload.as_str()),
        ];
        self.parsed.series(&format!("podskew_{family}"), &labels)
    }

    fn of_hash(&self, named: &WorkloadName, family: &str, hash: &str) -> Option<f64> {
        let series = self.series(named, family);
        series.iter().find(|(labels, _)| labels["pod_template_hash"] == hash).map(|(_, value)| *value)
    }

    fn only(&self, named: &WorkloadName, family: &str) -> Option<f64> {
        let series = self.series(named, family);
        assert!(series.len() <= 1, "{family} {series:?}");
        series.first().map(|(_, value)| *value)
    }

    fn since(&self, age: Option<f64>) -> String {
        match age {
            Some(age) if age > 0.0 => {
                let began = f64::from(self.at.seconds()) - age - f64::from(self.start.seconds());
                format!(" since {began:+}")
            }
            _ => String::new(),
        }
    }
}

/// The first difference between the metrics of a podskew that has run for long and those of one that has just started. Only
/// ages may be greater.
pub fn disagreement(known: &Parsed, fresh: &Parsed) -> Option<String> {
    // A remedy depends on other metrics, and on what was seen Ready before.
    let names = FAMILIES.iter().map(|family| family.name).filter(|name| *name != "podskew_remedy_info");
    let families: BTreeSet<&str> = names.collect();
    let of_workloads = |parsed: &Parsed| {
        let samples = parsed.samples.iter().filter(|((name, _), _)| families.contains(name.as_str()));
        samples.map(|(series, value)| (series.clone(), *value)).collect::<BTreeMap<_, _>>()
    };
    let (mut known, fresh) = (of_workloads(known), of_workloads(fresh));
    for (series, value) in fresh {
        match known.remove(&series) {
            Some(age) if series.0.ends_with("_age_seconds") && age >= value => {}
            // A rollout is counted when it ends.
            Some(count) if series.0 == "podskew_rollouts_total" && count >= value => {}
            Some(same) if same == value => {}
            other => return Some(format!("{series:?} is {other:?}, and {value} in a fresh one")),
        }
    }
    // A podskew that has just started cannot know that a template without pods was Ready before, nor how a rollout went.
    known.retain(|(name, _), _| name != "podskew_rollback_target_info" && !name.starts_with("podskew_last_rollout_"));
    known.first_key_value().map(|(series, value)| format!("{series:?} is {value}, and absent in a fresh one"))
}

/// Replaces each start time in a summary by the fact that there is one.
pub fn ageless(summary: &str) -> String {
    let mut parts = summary.split(" since ");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        text.push_str(" for a while");
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')));
    }
    text
}
