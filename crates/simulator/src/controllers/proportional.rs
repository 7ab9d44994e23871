//! Scales a Deployment during a rollout: each ReplicaSet keeps its share.

use super::cluster::Cluster;
use super::deployment::Rollout;
use super::sets::{self, DEPLOYMENT, Set};
use std::cmp::Reverse;

pub(super) fn scale(cluster: &mut Cluster, rollout: &mut Rollout<'_>) {
    let replicas = rollout.replicas();
    let active: Vec<usize> = (0..rollout.sets.len()).filter(|index| rollout.sets[*index].wanted() > 0).collect();
    if active.len() <= 1 {
        let newest = rollout.current.or(rollout.sets.len().checked_sub(1));
        if let Some(index) = active.first().copied().or(newest) {
            rescale(cluster, rollout, index, replicas);
        }
        return;
    }
    if rollout.current_set().is_some_and(|set| is_saturated(set, replicas)) {
        for index in active {
            if Some(index) != rollout.current {
                rollout.scale(cluster, index, 0);
            }
        }
        return;
    }
    if rollout.is_recreated() {
        return;
    }
    let allowed = if replicas > 0 { replicas + rollout.surge_and_unavailable().0 } else { 0 };
    let to_add = allowed - active.iter().map(|index| rollout.sets[*index].wanted()).sum::<i32>();
    // The largest are scaled first. Of two with the same size, the newer one grows first and the older one shrinks first.
    let mut order = active;
    order.sort_by_key(|index| {
        let position = i64::try_from(*index).unwrap_or(0);
        (Reverse(rollout.sets[*index].wanted()), if to_add > 0 { -position } else { position })
    });
    let mut added = 0;
    let mut sizes: Vec<(usize, i32)> = Vec::new();
    for index in order {
        let set = &rollout.sets[index];
        let share = if to_add == 0 { 0 } else { proportion(rollout, set, to_add, added) };
        added += share;
        sizes.push((index, set.wanted() + share));
    }
    if let Some((_, size)) = sizes.first_mut() {
        // The remainder from rounding.
        *size = (*size + to_add - added).max(0);
    }
    for (index, size) in sizes {
        rescale(cluster, rollout, index, size);
    }
}

/// Scales a ReplicaSet, and records the current `spec.replicas` even if the size does not change.
fn rescale(cluster: &mut Cluster, rollout: &mut Rollout<'_>, index: usize, size: i32) {
    let annotations = rollout.replicas_annotations();
    let set = &rollout.sets[index];
    if set.wanted() != size || annotations.iter().any(|(name, value)| set.annotation(name) != Some(value)) {
        sets::scale(cluster, set, size, &annotations, DEPLOYMENT);
        rollout.reread(cluster, index);
    }
}

fn is_saturated(set: &Set, replicas: i32) -> bool {
    let desired = set.number(DEPLOYMENT.desired_replicas);
    set.wanted() == replicas && desired == Some(i64::from(replicas)) && set.available() == replicas
}

/// The share of a ReplicaSet in `to_add`, of which `added` is assigned already.
fn proportion(rollout: &Rollout<'_>, set: &Set, to_add: i32, added: i32) -> i32 {
    let allowed = to_add - added;
    let share = fraction(rollout, set);
    if to_add > 0 { share.min(allowed) } else { share.max(allowed) }
}

#[expect(clippy::cast_possible_truncation, reason = "numbers of pods")]
fn fraction(rollout: &Rollout<'_>, set: &Set) -> i32 {
    if rollout.replicas() == 0 {
        return -set.wanted();
    }
    let now = f64::from(rollout.replicas() + rollout.surge_and_unavailable().0);
    let before = Rollout::max_replicas_before(set).filter(|before| *before > 0).map_or(now, |before| before as f64);
    (f64::from(set.wanted()) * now / before).round() as i32 - set.wanted()
}
