//! A hint for an audit that selected nothing: the context's namespace is often empty at a first audit.

use crate::objects::Resource;
use crate::snapshot::{Namespaces, SnapshotOptions, SnapshotSource};
use crate::watch::{Connected, ask};
use std::time::Duration;
use tokio::time::timeout;

/// Timeout: the result of the audit is already known.
const PATIENCE: Duration = Duration::from_secs(2);

/// The resources to count.
const COUNTED: [Resource; 3] = [Resource::Deployments, Resource::StatefulSets, Resource::DaemonSets];

/// Returns where to look instead, and the number of workloads in other namespaces if the context's namespace was
/// audited; `None` for files. `seen` returns the number of objects in the snapshot.
pub(super) async fn empty_hint(
    snapshot_options: &SnapshotOptions,
    connected: Option<&Connected>,
    seen: &dyn Fn(Resource) -> u64,
) -> Option<String> {
    let (SnapshotSource::Cluster { namespaces, .. }, Some(connected)) = (&snapshot_options.source, connected) else {
        return None;
    };
    let of_context = *namespaces == Namespaces::OfContext;
    let remedy = match namespaces {
        Namespaces::All => return None,
        Namespaces::OfContext => "read all namespaces with -A, another with -n NAMESPACE, or use --allow-empty",
        Namespaces::These(_) => "read all namespaces with -A, or use --allow-empty",
    };
    // A selector would count other workloads.
    if !of_context || snapshot_options.selector.is_some() {
        return Some(remedy.to_owned());
    }
    let counts = futures::future::join_all(COUNTED.map(|resource| ask::count(connected, resource)));
    let counts = timeout(PATIENCE, counts).await.ok();
    let counts: Option<Vec<u64>> = counts.and_then(|counts| counts.into_iter().collect());
    let Some(counts) = counts else { return Some(remedy.to_owned()) };
    let others =
        counts.iter().zip(COUNTED).map(|(count, resource)| (count.saturating_sub(seen(resource)), resource.kind()));
    let others: Vec<String> = others
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{count} {kind}{}", if count == 1 { "" } else { "s" }))
        .collect();
    Some(match others.as_slice() {
        [] => format!("the other namespaces have no workloads either; {remedy}"),
        [one] => format!("the other namespaces have {one}: {remedy}"),
        [first @ .., last] => format!("the other namespaces have {} and {last}: {remedy}", first.join(", ")),
    })
}
