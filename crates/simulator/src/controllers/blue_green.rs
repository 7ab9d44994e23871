//! Rollouts that switch all traffic at once. `status.blueGreen` replaces the selectors of the Services.

use super::canary::seconds;
use super::cluster::Cluster;
use super::index::time;
use super::rollout::{ARGO, Roll};
use super::rollout_status::{self, pause_condition};
use super::sets::Set;
use serde_json::Value;

const PAUSE: &str = "BlueGreenPause";

pub(super) fn reconcile(cluster: &mut Cluster, roll: &mut Roll<'_>, resized: bool) {
    let known = roll.status_text("currentPodHash");
    let changed = !known.is_empty() && known != roll.new_hash();
    if roll.strategy("blueGreen")["previewService"].is_string() && !roll.is_paused_by_hand() {
        roll.next["blueGreen"]["previewSelector"] = roll.new_hash().into();
    }
    if resized {
        scale(cluster, roll);
    } else if !changed {
        roll.restart(cluster);
        scale(cluster, roll);
        pause(cluster, roll);
        switch(roll);
    }
    rollout_status::count(roll);
    if changed {
        rollout_status::reset(roll);
        roll.next["blueGreen"]["scaleUpPreviewCheckPoint"] = Value::Null;
    }
    if roll.status("promoteFull") == true {
        roll.pauses.clear = true;
        roll.pauses.abort_over = true;
    }
    let active = roll.next["blueGreen"]["activeSelector"].as_str().unwrap_or_default().to_owned();
    let is_switched = active == roll.new_hash();
    let is_back = roll.status_text("stableRS") == roll.new_hash();
    let is_over = is_back || roll.status("promoteFull") == true || !roll.is_aborted();
    if roll.stable.is_none() || active.is_empty() || (is_switched && is_over) {
        rollout_status::promote(roll);
    }
    if let Some(set) = roll.sets.iter().find(|set| !active.is_empty() && set.hash(ARGO) == active) {
        let (actual, available, ready) = (set.actual(), set.available(), set.ready());
        for (field, count) in [("HPAReplicas", actual), ("availableReplicas", available), ("readyReplicas", ready)] {
            rollout_status::set_count(&mut roll.next, field, count);
        }
    }
    rollout_status::write(cluster, roll);
}

/// Size of the new ReplicaSet: that of the preview until it is promoted.
fn new_size(roll: &Roll<'_>) -> i32 {
    let preview = roll.strategy("blueGreen")["previewReplicaCount"].as_i64();
    let Some(preview) = preview.and_then(|count| i32::try_from(count).ok()) else {
        return roll.replicas();
    };
    let active = roll.status("blueGreen")["activeSelector"].as_str().unwrap_or_default();
    let is_paused =
        roll.is_paused_by_hand() || roll.status("pauseConditions").as_array().is_some_and(|all| !all.is_empty());
    let is_due = !is_paused && roll.status("blueGreen")["scaleUpPreviewCheckPoint"] == true;
    let is_first = active.is_empty() || active == roll.new_hash();
    if is_first || roll.status("promoteFull") == true || is_due { roll.replicas() } else { preview }
}

fn scale(cluster: &mut Cluster, roll: &mut Roll<'_>) {
    roll.remove_deadlines(cluster);
    let replicas = roll.replicas();
    if let Some(stable) = roll.stable {
        roll.scale(cluster, stable, replicas);
    }
    if let Some(new) = roll.new.filter(|_| !roll.delay_abort(cluster)) {
        let size = new_size(roll);
        roll.scale(cluster, new, size);
    }
    let mut others = roll.others();
    others.sort_by_key(|index| std::cmp::Reverse(roll.sets[*index].number(ARGO.revision)));
    let strategy = roll.strategy("blueGreen");
    let delay = seconds(&strategy["scaleDownDelaySeconds"]).unwrap_or(30);
    let limit = strategy["scaleDownDelayRevisionLimit"].as_u64().unwrap_or(u64::MAX);
    let mut kept = 0;
    for index in others {
        let active = roll.status("blueGreen")["activeSelector"].as_str().unwrap_or_default();
        // A user may have scaled it to zero. Then it stays there.
        if roll.sets[index].wanted() == 0 || roll.sets[index].hash(ARGO) == active {
            continue;
        }
        let size = if kept < limit { roll.keep_until_deadline(cluster, index, delay) } else { 0 };
        kept += u64::from(size > 0);
        roll.scale(cluster, index, size);
    }
    roll.clean_up(cluster);
}

fn is_saturated(roll: &Roll<'_>) -> bool {
    let size = new_size(roll);
    roll.new_set().is_some_and(|set| set.wanted() == size && set.available() == size)
}

fn active<'a>(roll: &'a Roll<'_>) -> &'a str {
    roll.status("blueGreen")["activeSelector"].as_str().unwrap_or_default()
}

/// Whether no pause is needed: a rollback to the stable ReplicaSet or to one not yet scaled down, a full promotion, or the
/// first deployment.
fn is_fast(roll: &Roll<'_>) -> bool {
    let is_back = roll.status_text("stableRS") == roll.new_hash();
    is_back || roll.status("promoteFull") == true || active(roll).is_empty() || active(roll) == roll.new_hash()
}

fn pause(cluster: &mut Cluster, roll: &mut Roll<'_>) {
    if roll.status("abort") == true || !is_saturated(roll) || roll.is_paused_by_hand() {
        return;
    }
    let strategy = roll.strategy("blueGreen");
    let seconds = strategy["autoPromotionSeconds"].as_u64().unwrap_or(0);
    let pauses = strategy["autoPromotionEnabled"] == false || seconds > 0;
    if is_fast(roll) || strategy_checkpoint(roll) || !pauses {
        roll.pauses.remove = Some(PAUSE);
        return;
    }
    match pause_condition(roll, PAUSE).map(|condition| time(&condition["startTime"])) {
        Some(_) if is_promoted(roll) => roll.pauses.remove = Some(PAUSE),
        Some(Some(since)) if seconds > 0 => {
            cluster.wake(roll.key, since.plus(u32::try_from(seconds).unwrap_or(u32::MAX)).plus(1));
        }
        None if roll.status("controllerPause") != true => roll.pauses.add = Some(PAUSE),
        _ => {}
    }
}

fn strategy_checkpoint(roll: &Roll<'_>) -> bool {
    roll.status("blueGreen")["scaleUpPreviewCheckPoint"] == true
}

/// Whether the pause before the switch is over.
fn is_promoted(roll: &Roll<'_>) -> bool {
    let strategy = roll.strategy("blueGreen");
    let condition = pause_condition(roll, PAUSE);
    if roll.pauses.add.is_some() {
        return false;
    }
    if strategy_checkpoint(roll) {
        return true;
    }
    if strategy["autoPromotionEnabled"] != false {
        let seconds = strategy["autoPromotionSeconds"].as_u64().and_then(|seconds| u32::try_from(seconds).ok());
        let Some(seconds) = seconds.filter(|seconds| *seconds > 0) else {
            return true;
        };
        let since = condition.and_then(|condition| time(&condition["startTime"]));
        return since.is_some_and(|since| roll.now > since.plus(seconds)) || is_unpaused(roll);
    }
    is_unpaused(roll)
}

fn is_unpaused(roll: &Roll<'_>) -> bool {
    roll.status("controllerPause") == true && pause_condition(roll, PAUSE).is_none()
}

/// Points the active Service to the new pods once they are all available and promoted.
fn switch(roll: &mut Roll<'_>) {
    if roll.is_paused_by_hand() || !is_saturated(roll) {
        return;
    }
    let preview = roll.strategy("blueGreen")["previewReplicaCount"].is_i64();
    if preview && !is_fast(roll) && is_promoted(roll) {
        roll.next["blueGreen"]["scaleUpPreviewCheckPoint"] = true.into();
    }
    if roll.new_set().map(Set::wanted) != Some(roll.replicas()) {
        return;
    }
    let hash = if roll.status("abort") == true {
        roll.status_text("stableRS").to_owned()
    } else if is_fast(roll) || is_promoted(roll) {
        roll.new_hash().to_owned()
    } else {
        return;
    };
    roll.next["blueGreen"]["activeSelector"] = hash.into();
}
