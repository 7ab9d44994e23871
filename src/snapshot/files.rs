//! A snapshot of files: adds every object to an inventory once.

use super::reduce::{MergeStep, Reduction, Traits};
use super::watched::workload_of;
use super::{RawObserver, Snapshot, SnapshotOptions, gaps};
use crate::inventory::{EvidenceBuilder, Inventory, Source, take_node};
use crate::objects::{Body, Object, Resource};
use crate::report::Workload;
use crate::snapshot::formats::{self, InputSummary, ReadLimits, ReadObject, ReadOptions};
use crate::time::{ObservationTime, TimeSource, UnixTime};
use anyhow::bail;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Takes a snapshot of files, optionally of only some of their namespaces. Its time is the given one, or the newest
/// timestamp in the files, or now for a pipe.
pub(super) fn read_files(
    options: &SnapshotOptions,
    files: &[PathBuf],
    namespaces: &[String],
    taken: Option<UnixTime>,
    observer: Option<RawObserver>,
) -> anyhow::Result<Snapshot> {
    let now = UnixTime::now();
    let names = files.iter().map(|file| match file.as_os_str() {
        name if name == "-" => "standard input".to_owned(),
        _ => file.display().to_string(),
    });
    let of = names.collect::<Vec<_>>().join(", ");
    let mut seen = FileSnapshot::new(options, namespaces, observer, now);
    let contents =
        formats::read(files, ReadOptions { limits: ReadLimits::DEFAULT, now, nodes: options.nodes }, &mut |piece| {
            seen.piece(piece);
        })?;
    log_skipped(&contents);
    let summary = seen.reduction.summary();
    let corrections = seen.reduction.finish()?;
    // The reduction is no longer needed, and the reports take memory, too.
    seen.reduction = Reduction::default();
    for (resource, uid) in corrections.remove {
        seen.inventory.forget(resource, uid, now);
    }
    for (named, owner) in corrections.adopt {
        seen.inventory.adopt(named, owner, now);
    }
    let mut resources = contents.objects.keys().filter(|resource| **resource != Resource::Nodes);
    let pods_only = summary.pods > 0 && resources.all(|resource| *resource == Resource::Pods);
    if summary.pods == 0 && summary.wants_pods && options.needs_pods {
        bail!(
            "{of} holds no pods, and there is nothing to compare without them; add what kubectl get pods -A -o json prints, with \
             another -f"
        );
    }
    let taken = match (taken, contents.newest) {
        (Some(at), _) => ObservationTime { at, from: TimeSource::Option },
        (None, Some(at)) if !contents.piped => ObservationTime { at, from: TimeSource::Contents },
        (None, _) => ObservationTime { at: now, from: TimeSource::Clock },
    };
    if pods_only {
        // Drops the pods that the selector does not choose, by a list without them.
        seen.inventory.begin_relist(APART);
    }
    for source in sources() {
        seen.inventory.finish_relist(source, taken.at);
    }
    let mut snapshot = Snapshot {
        inventory: seen.inventory,
        chosen: options.selector.is_some().then_some(seen.chosen).filter(|_| !pods_only),
        taken,
        of,
        gaps: Vec::new(),
        pods_only,
        unwritten_revisions: summary.unwritten,
        without_nodes: None,
        without_registry: None,
        connected: None,
    };
    if snapshot.inventory.objects(Resource::ReplicaSets) == 0 {
        snapshot.withdraw_owners_of_replica_sets(0);
    }
    snapshot.gaps = gaps::of_dump(&snapshot.inventory);
    if options.nodes
        && let Some(asked) = snapshot.inventory.asked()
    {
        let evidence = seen.nodes.finish(Some(asked), None);
        if evidence.nodes() == 0 {
            snapshot.without_nodes = Some(format!(
                "there are no nodes in it; not known: {}; add what kubectl get nodes -o json prints, with another -f",
                gaps::OF_NODES
            ));
        }
        snapshot.inventory.take_evidence(Arc::new(evidence), taken.at);
    }
    Ok(snapshot)
}

/// Logs what was skipped.
fn log_skipped(contents: &InputSummary) {
    let count = |(kind, count): (&String, &u64)| format!("{kind}={count}");
    if !contents.others.is_empty() || contents.unknown > 0 {
        let kinds = contents.others.iter().map(count).collect::<Vec<_>>().join(" ");
        let objects = contents.others.values().sum::<u64>();
        tracing::info!(objects, no_objects = contents.unknown, kinds, "objects of other kinds skipped");
    }
    if contents.passed_files > 0 || contents.links > 0 {
        let InputSummary { files, passed_files, links, .. } = contents;
        tracing::info!(read = files, files = passed_files, links, "files without objects, links and devices skipped");
    }
    if contents.logs > 0 {
        tracing::warn!(containers = contents.logs, "logs between lists skipped");
    }
    if contents.watch_errors > 0 {
        tracing::warn!(
            watches = contents.watch_errors,
            "recorded watch ended with an API server error, later changes may be missing"
        );
    }
}

/// Source of pods that a selector does not choose. Only in a list of pods alone does a selector choose pods.
const APART: Source = Source { resource: Resource::Pods, namespace: 1 };

fn sources() -> impl Iterator<Item = Source> {
    Resource::ALL.map(|resource| Source { resource, namespace: 0 }).into_iter().chain([APART])
}

/// State while files are read.
struct FileSnapshot<'l> {
    options: &'l SnapshotOptions,
    namespaces: &'l [String],
    observer: Option<RawObserver>,
    inventory: Inventory,
    reduction: Reduction,
    /// Workloads that the selector chooses by their labels.
    chosen: HashSet<Workload>,
    /// Evidence of all nodes: the images in use are known only at the end.
    nodes: EvidenceBuilder,
    now: UnixTime,
}

impl<'l> FileSnapshot<'l> {
    fn new(
        options: &'l SnapshotOptions,
        namespaces: &'l [String],
        observer: Option<RawObserver>,
        now: UnixTime,
    ) -> Self {
        let mut inventory = Inventory::for_snapshot(options.settings.clone(), &sources().collect::<Vec<_>>());
        // Nothing is reported before the initial list ends, so objects are added at once and not collected separately.
        sources().for_each(|source| inventory.begin_relist(source));
        let (reduction, chosen) = (Reduction::default(), HashSet::new());
        Self { options, namespaces, observer, inventory, reduction, chosen, nodes: EvidenceBuilder::default(), now }
    }

    fn piece(&mut self, piece: ReadObject<'_>) {
        let ReadObject { mut object, resource, json, change, file } = piece;
        let identity = self.reduction.identify(resource, &mut object, json);
        if let Body::Node(node) = &object.body {
            match self.reduction.take(identity, (resource, &object), (change, file), Traits::default()) {
                MergeStep::Put | MergeStep::Replace => take_node(&mut self.nodes, &object, node),
                MergeStep::Remove => self.nodes.remove(&object.meta.name),
                MergeStep::Nothing => {}
            }
            return;
        }
        let counts = self.namespaces.is_empty() || self.namespaces.iter().any(|name| *name == object.meta.namespace);
        let traits = Traits { left_out: !counts, ..traits(&object) };
        let step = self.reduction.take(identity, (resource, &object), (change, file), traits);
        if step == MergeStep::Nothing || !counts {
            return;
        }
        let selected = self.options.selector.as_ref().is_none_or(|selector| selector.matches(&object.meta.labels));
        let apart = resource == Resource::Pods && !selected;
        let source = Source { resource, namespace: u8::from(apart) };
        if step != MergeStep::Put {
            // Only one copy of an object counts; an older copy is removed completely.
            self.inventory.delete(source, &object, self.now);
        }
        if self.options.selector.is_some()
            && let Some(workload) = workload_of(&object)
        {
            if selected && step != MergeStep::Remove {
                self.chosen.insert(workload);
            } else {
                self.chosen.remove(&workload);
            }
        }
        if step == MergeStep::Remove {
            return;
        }
        self.inventory.relist(source, &object, self.now);
        if let Some(observer) = &self.observer {
            observer(resource, json);
        }
    }
}

fn traits(object: &Object<'_>) -> Traits {
    if matches!(&object.body, Body::ControllerRevision(_)) {
        let unwritten = object.meta.written_by_controller_manager.is_none();
        return Traits { unwritten, ..Traits::default() };
    }
    // A DaemonSet has no pods if no node suits it.
    let wants_pods = object.body.workload_kind().is_some() && object.body.wanted_pods() != Some(0);
    Traits { wants_pods, ..Traits::default() }
}
