//! References to workloads, as typed: `deployment/api`, `sts/db`, `pod/web-0`.

use super::gaps::{Cause, Gap};
use crate::inventory::CustomKind;
use crate::kinds::{TemplateHistory, WorkloadKind, workload_type};
use crate::objects::Resource;
use crate::report::{Name, Workload, WorkloadReport};
use std::collections::BTreeSet;
use std::fmt;

/// Maximum number of names in an error.
const WORTH_READING: usize = 10;

/// The type for the workload of a pod.
const POD: &str = "pod";
const PODS: [&str; 2] = ["pods", "po"];

/// The types to complete where a workload may be named, with the resource of the names.
pub fn offered() -> impl Iterator<Item = (&'static str, Resource)> {
    let watched = |kind: WorkloadKind| Some((kind.label(), Resource::of_workload(kind)?));
    WorkloadKind::ALL.into_iter().filter_map(watched).chain([(POD, Resource::Pods)])
}

/// Every type that may be named, with its names in kubectl: the label `workload_type`, the kind, and aliases.
fn types() -> impl Iterator<Item = (&'static str, &'static str, &'static [&'static str])> {
    let of_kinds = WorkloadKind::ALL.into_iter().map(|kind| (kind.label(), kind.kind(), kind.aliases()));
    of_kinds.chain([(POD, POD, PODS.as_slice())])
}

/// The label `workload_type` of a typed type; `None` if there is no such type.
#[must_use]
pub fn type_named(typed: &str) -> Option<String> {
    read_type(typed, &[]).ok()
}

/// A reference to a workload, or to the workload of a pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkloadRef {
    /// The label `workload_type`; `pod` for the workload of a pod.
    pub workload_type: String,
    /// Its name.
    pub name: String,
}

/// Parses references as kubectl does: `TYPE/NAME` repeatedly, or `TYPE NAME NAME`. `kinds` are the configured kinds.
///
/// # Errors
///
/// A reference is incomplete, or its type is unknown.
pub fn named(words: &[String], kinds: &[CustomKind]) -> Result<Vec<WorkloadRef>, String> {
    let one = |kind: &str, name: &str| one(kind, name, kinds);
    if words.iter().any(|word| word.contains('/')) {
        return words
            .iter()
            .map(|word| match word.split_once('/') {
                Some((kind, name)) => one(kind, name),
                None => Err(format!("'{word}' is not TYPE/NAME as the others are; write it like deployment/{word}")),
            })
            .collect();
    }
    match words {
        [] => Ok(Vec::new()),
        [word] => Err(match read_type(word, kinds) {
            Ok(_) => format!("'{word}' names no workload; write {word}/NAME"),
            Err(_) => format!("'{word}' is not TYPE/NAME; write it like deployment/{word}"),
        }),
        [kind, names @ ..] => names.iter().map(|name| one(kind, name)).collect(),
    }
}

fn one(kind: &str, name: &str, kinds: &[CustomKind]) -> Result<WorkloadRef, String> {
    let workload_type = read_type(kind, kinds)?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(format!("'{name}' is not a name of a {kind}; a name has lower-case letters, digits, '-' and '.'"));
    }
    Ok(WorkloadRef { workload_type, name: name.to_owned() })
}

/// The label `workload_type` of a typed type, case-insensitively like kubectl.
fn read_type(typed: &str, kinds: &[CustomKind]) -> Result<String, String> {
    let lower = typed.to_ascii_lowercase();
    let (kind, group) = lower.split_once('.').unwrap_or((&lower, ""));
    let known = types().find(|(name, _, others)| *name == kind || others.contains(&kind));
    // Kubernetes up to 1.15 printed names like replicaset.extensions/web.
    let label =
        workload_type(known.map_or(kind, |(_, kind, _)| kind), if group == "extensions" { "apps" } else { group });
    match known {
        Some((known, ..)) if group.is_empty() || label == known => return Ok(known.to_owned()),
        // Kinds of other groups are written as kind and group, which kubectl accepts, too.
        _ if !kind.is_empty() && !group.is_empty() => return Ok(label),
        _ => {}
    }
    let is_it = |other: &CustomKind| {
        kind.strip_prefix(&*other.kind.to_ascii_lowercase()).is_some_and(|s| s.is_empty() || s == "s")
    };
    if let Some(found) = kinds.iter().find(|other| is_it(other)) {
        return Ok(workload_type(&found.kind, &found.group));
    }
    let known: Vec<String> = types()
        .map(|(name, _, others)| match others.get(1) {
            Some(short) => format!("{name} ({short})"),
            None => (*name).to_owned(),
        })
        .collect();
    Err(format!("'{typed}' is not a type of workload; the types are {}, and KIND.GROUP for others", known.join(", ")))
}

impl WorkloadRef {
    /// The kind of the workload; `Other` for the workload of a pod.
    #[must_use]
    pub fn kind(&self) -> WorkloadKind {
        WorkloadKind::of_label(&self.workload_type)
    }

    /// Whether it names a pod.
    #[must_use]
    pub fn is_pod(&self) -> bool {
        self.workload_type == POD
    }

    /// Whether it refers to the workload of this report.
    #[must_use]
    pub fn names(&self, report: &WorkloadReport) -> bool {
        if self.is_pod() {
            return report.pods.iter().any(|pod| *pod.pod == *self.name);
        }
        *report.workload.name == *self.name && self.is_type(&report.workload.workload_type)
    }

    /// The resources that show whether the workload exists.
    fn resources(&self) -> Vec<Resource> {
        let own = Resource::of_workload(self.kind());
        let by_replica_sets = self.kind().history() == TemplateHistory::ReplicaSets;
        own.into_iter().chain(by_replica_sets.then_some(Resource::ReplicaSets)).collect()
    }

    fn is_type(&self, workload_type: &str) -> bool {
        // `clonesets.apps.kruise.io` is the plural of `cloneset.apps.kruise.io`.
        let singular = || match self.workload_type.split_once('.') {
            Some((kind, group)) => Some(format!("{}.{group}", kind.strip_suffix('s')?)),
            None => self.workload_type.strip_suffix('s').map(str::to_owned),
        };
        workload_type == self.workload_type || singular().is_some_and(|singular| singular == workload_type)
    }
}

impl fmt::Display for WorkloadRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.workload_type, self.name)
    }
}

/// Whether one of `names` refers to the workload of this report, or `names` is empty.
#[must_use]
pub fn is_any_of(names: &[WorkloadRef], report: &WorkloadReport) -> bool {
    names.is_empty() || names.iter().any(|named| named.names(report))
}

/// References that match nothing, with the existing names.
#[derive(Debug)]
pub struct NotFound {
    names: Box<[WorkloadRef]>,
    found: Vec<bool>,
    others: BTreeSet<Workload>,
    /// Pods with similar names.
    near_pods: BTreeSet<String>,
    of: Box<str>,
    /// Resources that may not be listed.
    forbidden: Box<[(Resource, String)]>,
}

impl NotFound {
    /// A state without matches.
    #[must_use]
    pub fn new(names: &[WorkloadRef]) -> Self {
        Self {
            names: names.into(),
            found: vec![false; names.len()],
            others: BTreeSet::new(),
            near_pods: BTreeSet::new(),
            of: Box::default(),
            forbidden: Box::default(),
        }
    }

    /// Records an existing workload; returns whether it is referred to.
    pub fn note(&mut self, report: &WorkloadReport) -> bool {
        let mut named = false;
        for (name, found) in self.names.iter().zip(&mut self.found) {
            if name.names(report) {
                (named, *found) = (true, true);
            }
        }
        if !named {
            self.others.insert(report.workload.clone());
        }
        for name in self.names.iter().filter(|name| name.is_pod()) {
            let near = |pod: &&Name| is_near(pod, &name.name);
            let pods = report.pods.iter().map(|pod| &pod.pod).filter(near);
            self.near_pods.extend(pods.map(|pod| format!("pod/{pod}")));
        }
        named
    }

    /// # Errors
    ///
    /// A reference matched nothing in `of`.
    pub fn or_all_found(mut self, of: &str, gaps: &[Gap]) -> Result<(), Self> {
        self.of = of.into();
        let forbidden = gaps.iter().filter(|gap| matches!(gap.cause, Cause::Forbidden { .. }));
        self.forbidden = forbidden.map(|gap| (gap.resource, gap.refusal())).collect();
        if self.found.iter().all(|found| *found) { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = self.names.iter().zip(&self.found).filter(|(_, found)| !**found).map(|(name, _)| name);
        for (at, name) in missing.enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            let of_workload = if name.is_pod() { " of a workload" } else { "" };
            let needed = name.resources();
            if let Some((_, refusal)) = self.forbidden.iter().find(|(resource, _)| needed.contains(resource)) {
                write!(f, "cannot tell whether there is a {name} in {}: {refusal}", self.of)?;
                continue;
            }
            write!(f, "there is no {name}{of_workload} in {}; ", self.of)?;
            let typed = |workload: &&Workload| format!("{}/{}", workload.workload_type, workload.name);
            let alike = |workload: &&Workload| {
                // A pod that was replaced meanwhile has the name of its workload. So has a ReplicaSet with a
                // Deployment.
                let is_of_it = (name.is_pod() || name.kind() == WorkloadKind::ReplicaSet)
                    && name.name.strip_prefix(&*workload.name).is_some_and(|rest| rest.starts_with('-'));
                is_of_it || (!name.is_pod() && is_near(&workload.name, &name.name))
            };
            let of_type = |workload: &&Workload| name.is_type(&workload.workload_type);
            let all = |choose: &dyn Fn(&&Workload) -> bool| -> BTreeSet<String> {
                self.others.iter().filter(|workload| choose(workload)).map(|workload| typed(&workload)).collect()
            };
            let mut near = all(&|workload| alike(workload));
            if name.is_pod() {
                near.extend(self.near_pods.iter().cloned());
            }
            let same_type = all(&|workload| of_type(workload));
            match (near.is_empty(), same_type.is_empty(), self.others.is_empty()) {
                (false, ..) => write!(f, "did you mean {}?", listed(&near, " or "))?,
                (_, false, _) => write!(f, "there are: {}", listed(&same_type, ", "))?,
                (.., false) => write!(f, "there are: {}", listed(&all(&|_| true), ", "))?,
                (.., true) => {
                    f.write_str("there are no workloads; name another namespace with -n, or read all with -A")?;
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for NotFound {}

fn listed(names: &BTreeSet<String>, between: &str) -> String {
    let shown: Vec<&str> = names.iter().take(WORTH_READING).map(String::as_str).collect();
    let more = names.len().saturating_sub(WORTH_READING);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join(between))
}

/// Whether `name` may have been meant by `typed`.
fn is_near(name: &str, typed: &str) -> bool {
    name.starts_with(typed) || (name.len().abs_diff(typed.len()) <= 2 && strsim::levenshtein(name, typed) <= 2)
}

#[cfg(test)]
mod tests {
    use super::named;
    use crate::inventory::CustomKind;

    fn read(words: &[&str]) -> Result<Vec<String>, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let kinds = [("Workflow", "argoproj.io"), ("Service", "")];
        let kinds = kinds.map(|(kind, group)| CustomKind { kind: kind.to_owned(), group: group.to_owned() });
        named(&words, &kinds).map(|names| names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn types_go_by_every_name_that_kubectl_knows() {
        for (typed, expected) in [
            ("deploy/api", "deployment/api"),
            ("Deployment/api", "deployment/api"),
            ("deployments.apps/api", "deployment/api"),
            ("sts/db", "statefulset/db"),
            ("DS/agent", "daemonset/agent"),
            ("rs/web-1", "replicaset/web-1"),
            ("ro/shop", "rollout/shop"),
            ("rollouts.argoproj.io/shop", "rollout/shop"),
            ("po/web-0.a", "pod/web-0.a"),
            ("clonesets.apps.kruise.io/x", "cloneset.apps.kruise.io/x"),
            ("clone/x", "cloneset.apps.kruise.io/x"),
            ("replicaset.extensions/x", "replicaset/x"),
            ("daemonset.apps/x", "daemonset/x"),
            ("ds.extensions/x", "daemonset/x"),
            ("job.batch/x", "job/x"),
            ("experiment/x", "experiment/x"),
            ("experiments.argoproj.io/x", "experiment/x"),
            ("experiment.kubeflow.org/x", "experiment.kubeflow.org/x"),
            ("statefulset.apps.kruise.io/x", "statefulset.apps.kruise.io/x"),
            ("sts.apps.kruise.io/x", "statefulset.apps.kruise.io/x"),
            ("workflow.argoproj.io/x", "workflow/x"),
            ("workflows/x", "workflow/x"),
            ("service/x", "service/x"),
        ] {
            assert_eq!(read(&[typed]), Ok(vec![expected.to_owned()]), "{typed}");
        }
        assert_eq!(read(&["deploy", "api", "web"]).unwrap(), ["deployment/api", "deployment/web"]);
        assert_eq!(read(&["deploy/api", "sts/db"]).unwrap(), ["deployment/api", "statefulset/db"]);
        assert_eq!(read(&[]), Ok(vec![]));
    }

    #[test]
    fn invalid_references_are_refused_with_valid_ones() {
        for (words, expected) in [
            (&["node/api"][..], "deployment (deploy), statefulset (sts), daemonset (ds), rollout (ro)"),
            (&["node/api"], "replicationcontroller (rc), job, pod (po)"),
            (&["deployment"], "write deployment/NAME"),
            (&["api"], "like deployment/api"),
            (&["deploy/"], "is not a name of a deploy"),
            (&["deploy/Api"], "lower-case"),
            (&["deploy/a/b"], "is not a name"),
            (&["deploy/api", "web"], "like deployment/web"),
            (&["/api"], "is not a type"),
        ] {
            let error = read(words).unwrap_err();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }
}
