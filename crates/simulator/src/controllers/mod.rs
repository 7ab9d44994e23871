//! The controllers, the scheduler and the kubelets of the cluster.
//!
//! Each of them compares the objects with what is wanted and acts on the difference, so it does not matter whether kubectl,
//! a test or another controller changed them. A tick reconciles only what changed or is due.
//!
//! ```text
//!            ┌────────────── what changed ◀── Store ◀── kubectl, tests
//!            ▼                                 ▲
//!  timers ▶ due ──▶ a controller, a kubelet ───┘ writes
//! ```

mod blue_green;
mod canary;
mod canary_size;
mod cluster;
mod conditions;
mod containers;
mod daemon_set;
mod deployment;
mod deployment_status;
mod experiment;
mod images;
mod index;
mod kubelet;
mod learn;
mod pods;
mod proportional;
mod replica_set;
mod revisions;
mod rollout;
mod rollout_status;
mod scheduler;
mod sets;
mod stateful_set;
#[cfg(test)]
mod tests;

pub(crate) use canary::step_hash;
pub(crate) use images::ImageReference;
pub use images::{Registry, Trouble};

use crate::resource::Resource;
use crate::store::Store;
use crate::time::Time;
use cluster::Cluster;
use index::Key;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

/// Maximum number of reconciliations of one object in a tick: two controllers that undo each other's work must not block
/// the process.
const MAX_ROUNDS: u32 = 500;
/// How often [`each_tick`] checks what is due.
const TICK: Duration = Duration::from_millis(200);

/// The configuration of the controllers.
#[derive(Clone, Debug, Default)]
pub struct ControllersConfig {
    /// The names of nodes, in addition to those that pods are on.
    pub nodes: Vec<String>,
    /// How long the kubelets take.
    pub timings: Timings,
    /// Source of the images. Tags that pods run at the start are pushed to it.
    pub registry: Registry,
    /// Webhooks that change new pods.
    pub webhooks: Vec<Webhook>,
}

/// Delays of the kubelets, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timings {
    /// From the creation of a pod to the start of its containers.
    pub creating: u32,
    /// From the start of a container to its readiness.
    pub ready: u32,
    /// From a failed pull to the next one, and from a crash to the restart; doubled each time, up to five minutes.
    pub back_off: u32,
    /// From the start to the exit of a container that crashes.
    pub crash: u32,
    /// From the signal to stop to the exit of a container; at most the grace period.
    pub stop: u32,
}

impl Default for Timings {
    fn default() -> Self {
        Self { creating: 2, ready: 4, back_off: 10, crash: 2, stop: u32::MAX }
    }
}

/// A mutating webhook that adds a container to each new pod of a namespace.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The namespace.
    pub namespace: String,
    /// The container, as in `spec.containers`.
    pub container: Value,
}

/// The controllers, the scheduler and the kubelets of one store.
#[derive(Debug)]
pub struct Controllers {
    cluster: Cluster,
    registry_changes: u64,
}

impl Controllers {
    /// Starts with the objects of a store. Nothing is written before the first tick.
    #[must_use]
    pub fn new(store: Store, config: ControllersConfig, now: Time) -> Self {
        let cluster = Cluster::new(store, config, now);
        Self { registry_changes: cluster.registry.changes(), cluster }
    }

    /// The registry that images are pulled from.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.cluster.registry.clone()
    }

    /// Puts the nodes of all pods, with the images that each node has.
    pub(crate) fn register_nodes(&self, created: Time) {
        self.cluster.register_nodes(created);
    }

    #[cfg(test)]
    pub(crate) fn kept(&self) -> Kept {
        self.cluster.kept()
    }

    /// Reconciles what is due. Returns whether work is left for the next tick: a tick is bounded, so that other tasks of
    /// its thread run.
    #[allow(clippy::must_use_candidate, reason = "what is left stays due")]
    pub fn tick(&mut self, now: Time) -> bool {
        let cluster = &mut self.cluster;
        cluster.begin_tick(now);
        let changes = cluster.registry.changes();
        if changes != self.registry_changes {
            self.registry_changes = changes;
            kubelet::retry(cluster);
        }
        cluster.wake_due();
        let mut rounds: HashMap<Key, u32> = HashMap::new();
        let mut postponed = Vec::new();
        loop {
            cluster.follow();
            let Some(key) = cluster.next() else {
                break;
            };
            let rounds = rounds.entry(key.clone()).or_default();
            *rounds += 1;
            if *rounds > MAX_ROUNDS {
                postponed.push(key);
            } else {
                reconcile(cluster, &key);
            }
        }
        for key in postponed {
            tracing::warn!(?key, "a simulated controller does not come to rest");
            cluster.wake(&key, now.plus(1));
        }
        cluster.is_behind()
    }

    /// Reconciles until it is dropped.
    pub async fn run(&mut self) {
        each_tick(|now| self.tick(now)).await;
    }
}

/// Sizes of the controllers' memory.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) objects: usize,
    pub(crate) timers: usize,
    /// Of the node that has the most.
    pub(crate) images_of_a_node: usize,
}

/// Calls `tick` several times a second until it is dropped, and again at once if work is left.
pub(crate) async fn each_tick(mut tick: impl FnMut(Time) -> bool) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        while tick(Time::now()) {
            tokio::task::yield_now().await;
        }
    }
}

fn reconcile(cluster: &mut Cluster, key: &Key) {
    match key.resource {
        Resource::Pods => kubelet::reconcile(cluster, key),
        Resource::Nodes => kubelet::report_images(cluster, key),
        Resource::ReplicaSets => replica_set::reconcile(cluster, key),
        Resource::Deployments => deployment::reconcile(cluster, key),
        Resource::StatefulSets => stateful_set::reconcile(cluster, key),
        Resource::DaemonSets => daemon_set::reconcile(cluster, key),
        Resource::Rollouts => rollout::reconcile(cluster, key),
        Resource::Experiments => experiment::reconcile(cluster, key),
        _ => {}
    }
}
