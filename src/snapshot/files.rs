//! A look at files: every object that counts into an inventory once.

use super::reduce::{Reduction, Step, Traits};
use super::watched::workload_of;
use super::{Look, Looking, Witness, gaps};
use crate::inventory::{EvidenceBuilder, Inventory, Source, take_node};
use crate::objects::{Body, Object, Resource};
use crate::report::Workload;
use crate::snapshot::formats::{self, Contents, Limits, Piece, Reading};
use crate::time::{Taken, TakenFrom, UnixTime};
use anyhow::bail;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Looks at files, of which only some namespaces may count. What they hold is of a time that was told, or of the newest moment
/// in them; what came through a pipe is of now.
pub(super) fn look_at_files(
    looking: &Looking,
    files: &[PathBuf],
    namespaces: &[String],
    taken: Option<UnixTime>,
    witness: Option<Witness>,
) -> anyhow::Result<Look> {
    let now = UnixTime::now();
    let names = files.iter().map(|file| match file.as_os_str() {
        name if name == "-" => "standard input".to_owned(),
        _ => file.display().to_string(),
    });
    let of = names.collect::<Vec<_>>().join(", ");
    let mut seen = Seen::new(looking, namespaces, witness, now);
    let contents =
        formats::read(files, Reading { limits: Limits::DEFAULT, now, nodes: looking.nodes }, &mut |piece| {
            seen.piece(piece);
        })?;
    tell(&contents);
    let summary = seen.reduction.summary();
    let corrections = seen.reduction.finish()?;
    // A reduction is of no use any more, and the reports take memory too.
    seen.reduction = Reduction::default();
    for (resource, uid) in corrections.remove {
        seen.inventory.forget(resource, uid, now);
    }
    for (named, owner) in corrections.adopt {
        seen.inventory.adopt(named, owner, now);
    }
    let mut resources = contents.objects.keys().filter(|resource| **resource != Resource::Nodes);
    let pods_only = summary.pods > 0 && resources.all(|resource| *resource == Resource::Pods);
    if summary.pods == 0 && summary.wants_pods && looking.needs_pods {
        bail!(
            "{of} holds no pods, and there is nothing to compare without them; add what kubectl get pods -A -o json prints, with \
             another -f"
        );
    }
    let taken = match (taken, contents.newest) {
        (Some(at), _) => Taken { at, from: TakenFrom::Option },
        (None, Some(at)) if !contents.piped => Taken { at, from: TakenFrom::Contents },
        (None, _) => Taken { at: now, from: TakenFrom::Clock },
    };
    if pods_only {
        // The selector chooses pods: begun once more, a list names none of those that came before.
        seen.inventory.begin_relist(APART);
    }
    for source in sources() {
        seen.inventory.finish_relist(source, taken.at);
    }
    let mut look = Look {
        inventory: seen.inventory,
        chosen: looking.selector.is_some().then_some(seen.chosen).filter(|_| !pods_only),
        taken,
        of,
        gaps: Vec::new(),
        pods_only,
        unwritten_revisions: summary.unwritten,
        without_nodes: None,
        without_registry: None,
        connected: None,
    };
    if look.inventory.objects(Resource::ReplicaSets) == 0 {
        look.withdraw_owners_of_replica_sets(0);
    }
    look.gaps = gaps::of_dump(&look.inventory);
    if looking.nodes
        && let Some(asked) = look.inventory.asked()
    {
        let evidence = seen.nodes.finish(Some(asked), None);
        if evidence.nodes() == 0 {
            look.without_nodes = Some(format!(
                "there are no nodes in it; not known: {}; add what kubectl get nodes -o json prints, with another -f",
                gaps::OF_NODES
            ));
        }
        look.inventory.take_evidence(Arc::new(evidence), taken.at);
    }
    Ok(look)
}

/// Logs what was passed over.
fn tell(contents: &Contents) {
    let count = |(kind, count): (&String, &u64)| format!("{kind}={count}");
    if !contents.others.is_empty() || contents.unknown > 0 {
        let kinds = contents.others.iter().map(count).collect::<Vec<_>>().join(" ");
        let objects = contents.others.values().sum::<u64>();
        tracing::info!(objects, no_objects = contents.unknown, kinds, "objects of other kinds passed over");
    }
    if contents.passed_files > 0 || contents.links > 0 {
        let Contents { files, passed_files, links, .. } = contents;
        tracing::info!(
            read = files,
            files = passed_files,
            links,
            "files without objects, links and devices passed over"
        );
    }
    if contents.logs > 0 {
        tracing::warn!(containers = contents.logs, "logs between the lists passed over");
    }
    if contents.watch_errors > 0 {
        tracing::warn!(
            watches = contents.watch_errors,
            "a watch in it ended with an error of the API server; what happened after it may be missing"
        );
    }
}

/// With a selector, pods that it does not choose are set apart: only of a lone list of pods does it choose pods.
const APART: Source = Source { resource: Resource::Pods, namespace: 1 };

fn sources() -> impl Iterator<Item = Source> {
    Resource::ALL.map(|resource| Source { resource, namespace: 0 }).into_iter().chain([APART])
}

/// What was seen so far.
struct Seen<'l> {
    looking: &'l Looking,
    namespaces: &'l [String],
    witness: Option<Witness>,
    inventory: Inventory,
    reduction: Reduction,
    /// Workloads whose labels the selector chose.
    chosen: HashSet<Workload>,
    /// What nodes say, all of it: what is asked for is known at the end.
    nodes: EvidenceBuilder,
    now: UnixTime,
}

impl<'l> Seen<'l> {
    fn new(looking: &'l Looking, namespaces: &'l [String], witness: Option<Witness>, now: UnixTime) -> Self {
        let mut inventory = Inventory::of_one_look(looking.settings.clone(), &sources().collect::<Vec<_>>());
        // Nobody sees anything of a first list before it has ended, so each object takes its place at once, and no list of them
        // is kept beside.
        sources().for_each(|source| inventory.begin_relist(source));
        let (reduction, chosen) = (Reduction::default(), HashSet::new());
        Self { looking, namespaces, witness, inventory, reduction, chosen, nodes: EvidenceBuilder::default(), now }
    }

    fn piece(&mut self, piece: Piece<'_>) {
        let Piece { mut object, resource, json, change, file } = piece;
        let identity = self.reduction.identify(resource, &mut object, json);
        if let Body::Node(node) = &object.body {
            match self.reduction.take(identity, (resource, &object), (change, file), Traits::default()) {
                Step::Put | Step::Replace => take_node(&mut self.nodes, &object, node),
                Step::Remove => self.nodes.remove(&object.meta.name),
                Step::Nothing => {}
            }
            return;
        }
        let counts = self.namespaces.is_empty() || self.namespaces.iter().any(|name| *name == object.meta.namespace);
        let traits = Traits { left_out: !counts, ..traits(&object) };
        let step = self.reduction.take(identity, (resource, &object), (change, file), traits);
        if step == Step::Nothing || !counts {
            return;
        }
        let selected = self.looking.selector.as_ref().is_none_or(|selector| selector.matches(&object.meta.labels));
        let apart = resource == Resource::Pods && !selected;
        let source = Source { resource, namespace: u8::from(apart) };
        if step != Step::Put {
            // Of an object that is there once, nothing is remembered of an older copy.
            self.inventory.delete(source, &object, self.now);
        }
        if self.looking.selector.is_some()
            && let Some(workload) = workload_of(&object)
        {
            if selected && step != Step::Remove {
                self.chosen.insert(workload);
            } else {
                self.chosen.remove(&workload);
            }
        }
        if step == Step::Remove {
            return;
        }
        self.inventory.relist(source, &object, self.now);
        if let Some(witness) = &self.witness {
            witness(resource, json);
        }
    }
}

fn traits(object: &Object<'_>) -> Traits {
    if matches!(&object.body, Body::ControllerRevision(_)) {
        let unwritten = object.meta.written_by_controller_manager.is_none();
        return Traits { unwritten, ..Traits::default() };
    }
    // A DaemonSet has no pods where no node suits it.
    let wants_pods = object.body.workload_kind().is_some() && object.body.wanted_pods() != Some(0);
    Traits { wants_pods, ..Traits::default() }
}
