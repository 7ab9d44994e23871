//! One look at a cluster, or at what kubectl printed of one: every object into an inventory once, and what could not be seen.
//!
//! `audit`, `explain` and `diff` begin here, and take from here the reports of the workloads that were asked for.

mod files;
pub mod formats;
mod gaps;
mod reduce;
mod registry;
mod selector;
mod sink;
mod watched;
mod workload_ref;

pub use gaps::{Cause, Gap};
pub use selector::Selector;
pub use watched::WatchedSnapshot;
pub use workload_ref::{NotFound, WorkloadRef, is_any_of, named, offered, type_named};

use crate::inventory::{Inventory, Settings, Source};
use crate::objects::Resource;
use crate::registry::RegistryOptions;
use crate::report::history::History;
use crate::report::{Workload, WorkloadReport};
use crate::time::{ObservationTime, UnixTime};
use crate::watch::{self, Connected, Connection, Timings};
use sink::SnapshotSink;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// So many pods' reports are in memory at once: about two megabytes.
const PODS_AT_ONCE: usize = 10_000;

/// Sees every object as it came, before it is cut down to what podskew keeps. Whoever shows more of an object than a report
/// has keeps what it needs of it, and nothing else.
pub type RawObserver = Arc<dyn Fn(Resource, &[u8]) + Send + Sync>;

/// Where to look, and at what.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// Where.
    pub place: SnapshotSource,
    /// What counts.
    pub settings: Settings,
    /// Only workloads with such labels.
    pub selector: Option<Selector>,
    /// Whether a file without pods is refused.
    pub needs_pods: bool,
    /// Whether nodes are asked what they say of images.
    pub nodes: bool,
    /// Which registries are asked.
    pub registry: RegistryOptions,
}

/// Where to look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SnapshotSource {
    /// At a cluster.
    Cluster {
        /// How to reach it.
        connection: Connection,
        /// In which namespaces.
        namespaces: Namespaces,
    },
    /// At files of one cluster at one moment.
    Dump {
        /// Files, folders and archives; `-` is standard input.
        files: Vec<PathBuf>,
        /// The only namespaces that count; empty for all that they hold.
        namespaces: Vec<String>,
        /// When they were taken, if somebody said it.
        taken: Option<UnixTime>,
    },
}

/// In which namespaces to look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Namespaces {
    /// In the one that kubectl would look in: the context's, or the pod's own.
    OfContext,
    /// In these.
    These(Vec<String>),
    /// In all.
    All,
}

impl Namespaces {
    /// The names to list in; none for all at once.
    #[must_use]
    pub fn names(&self, connected: &Connected) -> Vec<String> {
        match self {
            Self::OfContext => vec![connected.namespace.clone()],
            Self::These(names) => names.clone(),
            Self::All => Vec::new(),
        }
    }
}

/// What was seen.
#[derive(Debug)]
pub struct Snapshot {
    inventory: Inventory,
    /// The workloads that the selector chose; without one, all.
    chosen: Option<HashSet<Workload>>,
    /// When.
    pub taken: ObservationTime,
    /// What was looked at, for people: `namespace shop of https://…`, `dump.json`.
    pub of: String,
    /// What could not be seen, and what is unknown because of it.
    pub gaps: Vec<Gap>,
    /// Whether it is a list of pods and nothing else.
    pub pods_only: bool,
    /// Whether ControllerRevisions of a file came without managedFields, which tell when a rollback to one of them began.
    pub unwritten_revisions: bool,
    /// Why nothing is known of nodes, although they are asked.
    pub without_nodes: Option<String>,
    /// What registries were asked and did not say.
    pub without_registry: Option<String>,
    /// The cluster that was looked at.
    pub connected: Option<Connected>,
}

/// Looks.
pub async fn take_snapshot(options: &SnapshotOptions, observer: Option<RawObserver>) -> anyhow::Result<Snapshot> {
    match &options.place {
        SnapshotSource::Cluster { connection, namespaces } => {
            let connected = watch::connect(connection).await?;
            let namespaces = namespaces.names(&connected);
            let snapshot = list_cluster(&connected, &namespaces, options, observer, Timings::for_snapshot()).await?;
            Ok(Snapshot { connected: Some(connected), ..snapshot })
        }
        SnapshotSource::Dump { files, namespaces, taken } => {
            let mut snapshot = files::read_files(options, files, namespaces, *taken, observer)?;
            snapshot.ask_registries(&options.registry).await?;
            Ok(snapshot)
        }
    }
}

/// Looks at a cluster that is connected to.
pub async fn list_cluster(
    connected: &Connected,
    namespaces: &[String],
    options: &SnapshotOptions,
    observer: Option<RawObserver>,
    timings: Timings,
) -> anyhow::Result<Snapshot> {
    let seen = Arc::new(SnapshotSink::new(options, &watch::sources(namespaces), observer));
    let refusals = watch::list_once(connected, namespaces, &seen, timings).await?;
    let of = match namespaces {
        [] => format!("all namespaces of {}", connected.server),
        [namespace] => format!("namespace {namespace} of {}", connected.server),
        namespaces => format!("namespaces {} of {}", namespaces.join(", "), connected.server),
    };
    let mut snapshot = seen.finish(of, ObservationTime::now());
    let unseen = refusals.iter().filter(|refusal| refusal.source.resource == Resource::ReplicaSets);
    for refusal in unseen {
        snapshot.withdraw_owners_of_replica_sets(refusal.source.namespace);
    }
    snapshot.gaps = gaps::of_cluster(&refusals, namespaces, &snapshot.inventory);
    if options.nodes
        && let Some(asked) = snapshot.inventory.asked()
    {
        match watch::list_nodes(connected, asked, timings).await {
            Ok(evidence) => snapshot.inventory.take_evidence(Arc::new(evidence), snapshot.taken.at),
            Err(why) => snapshot.without_nodes = Some(format!("{why}; not known: {}", gaps::OF_NODES)),
        }
    }
    // Only kubectl leaves managedFields out. What a cluster's objects lack, nobody can ask for.
    snapshot.unwritten_revisions = false;
    snapshot.ask_registries(&options.registry).await?;
    Ok(snapshot)
}

impl Snapshot {
    /// Without ReplicaSets nothing ties Deployments and Rollouts to their pods: what could be said of them would be wrong.
    /// Their pods are grouped by the ReplicaSet that they name.
    fn withdraw_owners_of_replica_sets(&mut self, namespace: u8) {
        for resource in [Resource::Deployments, Resource::Rollouts] {
            self.inventory.forbid(Source { resource, namespace }, self.taken.at);
        }
    }

    /// Asks registries, if any are listed, and takes over what they say.
    pub async fn ask_registries(&mut self, options: &RegistryOptions) -> anyhow::Result<()> {
        if let Some(asked) = self.inventory.asked_images().filter(|_| options.is_on()) {
            let (evidence, note) = registry::ask(options, asked).await?;
            self.inventory.take_registry_evidence(&evidence, self.taken.at);
            self.without_registry = note;
        }
        Ok(())
    }

    /// Hands out the report of each workload that was chosen, once. Only a portion of them is ever in memory.
    pub fn reports(&mut self, each: &mut dyn FnMut(WorkloadReport)) {
        loop {
            let changes = self.inventory.take_some_changes(self.taken.at, PODS_AT_ONCE);
            for report in changes.reports {
                if self.chosen.as_ref().is_none_or(|chosen| chosen.contains(&report.workload)) {
                    each(report);
                }
            }
            if !changes.more {
                return;
            }
        }
    }

    /// How many pods were left out because their controller is a core object that runs nothing, as on the host of a virtual cluster.
    #[must_use]
    pub fn placeholders(&self) -> u64 {
        self.inventory.placeholders()
    }

    /// How many objects of a resource were seen.
    #[must_use]
    pub fn objects(&self, resource: Resource) -> u64 {
        self.inventory.objects(resource)
    }

    /// The history of a workload that was reported.
    #[must_use]
    pub fn history(&self, workload: &Workload) -> Option<History> {
        self.inventory.history(workload)
    }

    /// The reports of the workloads that are named. One that is not there is an error that says what is.
    pub fn find(&mut self, names: &[WorkloadRef]) -> Result<Vec<WorkloadReport>, NotFound> {
        let mut found = Vec::new();
        let mut missing = NotFound::new(names);
        self.reports(&mut |report| {
            if missing.note(&report) {
                found.push(report);
            }
        });
        missing.or_all_found(&self.of, &self.gaps).map(|()| found)
    }
}
