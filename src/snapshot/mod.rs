//! A snapshot of a cluster, or of files that kubectl printed: adds every object to an inventory once, and notes what
//! could not be read.
//!
//! `audit`, `explain` and `diff` start here, and read the reports of the selected workloads.

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

/// Number of pods whose reports are in memory at once, about 2 MB.
const PODS_AT_ONCE: usize = 10_000;

/// Receives every object as received, before it is reduced to what podskew keeps. A command that shows more of an object
/// keeps only what it needs.
pub type RawObserver = Arc<dyn Fn(Resource, &[u8]) + Send + Sync>;

/// Source and selection of a snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// Source.
    pub source: SnapshotSource,
    /// Which objects count.
    pub settings: Settings,
    /// Selects workloads by their labels.
    pub selector: Option<Selector>,
    /// Whether a file without pods is an error.
    pub needs_pods: bool,
    /// Whether to list nodes as evidence.
    pub nodes: bool,
    /// Which registries to ask.
    pub registry: RegistryOptions,
}

/// Source of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SnapshotSource {
    /// A cluster.
    Cluster {
        /// How to connect.
        connection: Connection,
        /// Namespaces to list.
        namespaces: Namespaces,
    },
    /// Files of one cluster at one moment.
    Dump {
        /// Files, folders and archives; `-` is standard input.
        files: Vec<PathBuf>,
        /// Namespaces to include; empty for all.
        namespaces: Vec<String>,
        /// When the files were written, if the user gave it.
        taken: Option<UnixTime>,
    },
}

/// Namespaces to list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Namespaces {
    /// kubectl's default: the namespace of the context, or of the pod.
    OfContext,
    /// These namespaces.
    These(Vec<String>),
    /// All namespaces.
    All,
}

impl Namespaces {
    /// The namespaces to list; empty for all at once.
    #[must_use]
    pub fn names(&self, connected: &Connected) -> Vec<String> {
        match self {
            Self::OfContext => vec![connected.namespace.clone()],
            Self::These(names) => names.clone(),
            Self::All => Vec::new(),
        }
    }
}

/// A snapshot.
#[derive(Debug)]
pub struct Snapshot {
    inventory: Inventory,
    /// The workloads that the selector chooses; `None` without a selector.
    chosen: Option<HashSet<Workload>>,
    /// When the snapshot was taken.
    pub taken: ObservationTime,
    /// Name of the source for people: `namespace shop of https://…`, `dump.json`.
    pub of: String,
    /// What could not be read, and what is unknown because of it.
    pub gaps: Vec<Gap>,
    /// Whether it is only a list of pods.
    pub pods_only: bool,
    /// Whether a file's ControllerRevisions have no `managedFields`, which record when a rollback began.
    pub unwritten_revisions: bool,
    /// Why there is no evidence of nodes, although it was requested.
    pub without_nodes: Option<String>,
    /// What registries did not answer.
    pub without_registry: Option<String>,
    /// The connection to the cluster.
    pub connected: Option<Connected>,
}

/// Takes a snapshot.
///
/// # Errors
///
/// The source cannot be read.
pub async fn take_snapshot(options: &SnapshotOptions, observer: Option<RawObserver>) -> anyhow::Result<Snapshot> {
    match &options.source {
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

/// Takes a snapshot of a connected cluster.
///
/// # Errors
///
/// Pods cannot be listed, or the API server does not respond.
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
    // Only kubectl omits `managedFields`. If the objects of a cluster lack them, the user cannot provide them.
    snapshot.unwritten_revisions = false;
    snapshot.ask_registries(&options.registry).await?;
    Ok(snapshot)
}

impl Snapshot {
    /// Withdraws Deployments and Rollouts: without ReplicaSets nothing connects them to their pods, and a report would
    /// be wrong. Their pods are grouped by the ReplicaSet that they name.
    fn withdraw_owners_of_replica_sets(&mut self, namespace: u8) {
        for resource in [Resource::Deployments, Resource::Rollouts] {
            self.inventory.forbid(Source { resource, namespace }, self.taken.at);
        }
    }

    /// Asks the configured registries, and adds their evidence.
    pub async fn ask_registries(&mut self, options: &RegistryOptions) -> anyhow::Result<()> {
        if let Some(asked) = self.inventory.asked_images().filter(|_| options.is_on()) {
            let (evidence, note) = registry::ask(options, asked).await?;
            self.inventory.take_registry_evidence(&evidence, self.taken.at);
            self.without_registry = note;
        }
        Ok(())
    }

    /// Passes the report of each selected workload once. Only some reports are in memory at a time.
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

    /// Number of pods left out because their controller is a core object that runs nothing, as on the host of a virtual
    /// cluster.
    #[must_use]
    pub fn placeholders(&self) -> u64 {
        self.inventory.placeholders()
    }

    /// Number of objects of a resource.
    #[must_use]
    pub fn objects(&self, resource: Resource) -> u64 {
        self.inventory.objects(resource)
    }

    /// The history of a reported workload.
    #[must_use]
    pub fn history(&self, workload: &Workload) -> Option<History> {
        self.inventory.history(workload)
    }

    /// Returns the reports of the named workloads.
    ///
    /// # Errors
    ///
    /// A name matches nothing; the error lists what exists.
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
