//! What a snapshot could not read, and what is unknown because of it.

use crate::inventory::Inventory;
use crate::objects::Resource;
use crate::watch::MissingList;
use std::fmt;

/// Unread objects of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    /// Which resource.
    pub resource: Resource,
    /// Why they were not read.
    pub cause: Cause,
    /// Number of missing owners of pods; 0 if nothing names them.
    pub missing: u64,
}

/// Why objects were not read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Listing them is forbidden.
    Forbidden {
        /// The RBAC rule that would allow it.
        rule: String,
        /// Further namespaces without that rule.
        also_in: Vec<String>,
    },
    /// The API server does not serve them.
    NotServed,
    /// The dump has none.
    NotInDump,
    /// Some were read, but these are missing.
    Gone,
}

/// The gaps in a snapshot of a cluster.
pub(super) fn of_cluster(refusals: &[MissingList], namespaces: &[String], inventory: &Inventory) -> Vec<Gap> {
    let missing = inventory.missing();
    let mut gaps: Vec<Gap> = Vec::new();
    for refusal in refusals {
        let resource = refusal.source.resource;
        let cause = match &refusal.rule {
            // Pods name their CloneSet directly, and no pod names one.
            Some(_) if resource == Resource::CloneSets && !missing.contains_key(&resource) => continue,
            Some(rule) => Cause::Forbidden { rule: rule.clone(), also_in: Vec::new() },
            // Optional resources without an API have no objects.
            None if resource.is_optional() => continue,
            None => Cause::NotServed,
        };
        // One gap for all namespaces: their rules differ only in the namespace.
        match gaps.last_mut().filter(|gap| gap.resource == resource).map(|gap| &mut gap.cause) {
            Some(Cause::Forbidden { also_in, .. }) => {
                also_in.extend(namespaces.get(usize::from(refusal.source.namespace)).cloned());
            }
            Some(_) => {}
            None => gaps.push(Gap { resource, cause, missing: missing.get(&resource).copied().unwrap_or(0) }),
        }
    }
    for (resource, missing) in missing {
        if !gaps.iter().any(|gap| gap.resource == resource) {
            gaps.push(Gap { resource, cause: Cause::Gone, missing });
        }
    }
    gaps
}

/// The gaps in a dump. A resource without objects may have none in the cluster; a dump is known to be incomplete only
/// if an object names a missing one.
pub(super) fn of_dump(inventory: &Inventory) -> Vec<Gap> {
    let gap = |(resource, missing)| {
        let cause = if inventory.objects(resource) == 0 { Cause::NotInDump } else { Cause::Gone };
        Gap { resource, cause, missing }
    };
    inventory.missing().into_iter().map(gap).collect()
}

/// Facts that only nodes report.
pub(super) const OF_NODES: &str =
    "which digests name one image, on which architecture pods run, and which image a node would start";

impl Gap {
    /// The forbidden resource and the rule that would allow it, without the consequences.
    pub(super) fn refusal(&self) -> String {
        format!("{} may not be listed{}", self.resource, self.grant())
    }

    fn grant(&self) -> String {
        match &self.cause {
            Cause::Forbidden { rule, also_in } if also_in.is_empty() => format!("; grant {rule}"),
            Cause::Forbidden { rule, also_in } => format!("; grant {rule}, and the same in {}", also_in.join(", ")),
            _ => String::new(),
        }
    }

    /// What is unknown because of the gap.
    #[must_use]
    pub fn unknown(&self) -> &'static str {
        match self.resource {
            Resource::Pods => "what runs",
            Resource::Nodes => OF_NODES,
            Resource::ReplicaSets => {
                "which Deployment or Rollout pods belong to, so they are grouped by ReplicaSet; its rollout and current hash; \
                 whether a container comes from the template or was injected"
            }
            Resource::Deployments | Resource::Rollouts => "the state of their rollouts, and which hash is current",
            Resource::StatefulSets | Resource::DaemonSets | Resource::CloneSets => {
                "the state of their rollouts, which hash is current, and whether a mix is held on purpose"
            }
            Resource::ControllerRevisions => {
                "which hash of a DaemonSet is current, and whether a container of StatefulSets and DaemonSets comes from the \
                 template or was injected"
            }
        }
    }
}

/// The command that prints the missing objects. For ControllerRevisions it includes who wrote them last.
fn command(resource: Resource) -> String {
    match resource {
        Resource::ControllerRevisions => format!("kubectl get {resource} -A -o json --show-managed-fields"),
        _ if resource.is_optional() => format!("kubectl get {resource}.{} -A -o json", resource.group()),
        _ => format!("kubectl get {resource} -A -o json"),
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, cause, missing } = self;
        match cause {
            Cause::Forbidden { .. } => write!(f, "{resource} may not be listed")?,
            Cause::NotServed => write!(f, "{resource} are not served")?,
            Cause::NotInDump => write!(f, "there are no {resource} in it")?,
            Cause::Gone if *missing == 1 => write!(f, "1 of the {resource} is not there")?,
            Cause::Gone => write!(f, "{missing} of the {resource} are not there")?,
        }
        write!(f, "; not known: {}", self.unknown())?;
        match cause {
            Cause::Forbidden { .. } => f.write_str(&self.grant()),
            Cause::NotInDump => write!(f, "; add what {} prints, with another -f", command(*resource)),
            Cause::NotServed | Cause::Gone => Ok(()),
        }
    }
}
