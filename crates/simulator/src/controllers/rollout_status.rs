//! Writes the status of a Rollout.

use super::canary;
use super::cluster::Cluster;
use super::conditions::condition;
use super::index::time;
use super::rollout::{ARGO, Roll};
use super::sets::{self, REPLICA_FAILURE, Set, sum};
use serde_json::{Map, Value, json};

/// A pause that the controller has started.
pub(super) fn pause_condition<'a>(roll: &'a Roll<'_>, reason: &str) -> Option<&'a Value> {
    roll.status("pauseConditions").as_array()?.iter().find(|condition| condition["reason"] == reason)
}

fn generation(roll: &Roll<'_>) -> String {
    roll.object["metadata"]["generation"].as_i64().unwrap_or(0).to_string()
}

/// Pause, resumption and retry are separate conditions, so that the deadline does not run during them.
pub(super) fn note_pause(roll: &mut Roll<'_>) {
    if roll.status("observedGeneration") != generation(roll).as_str() {
        return;
    }
    let pauses = roll.status("pauseConditions").as_array().is_some_and(|conditions| !conditions.is_empty());
    let is_paused = pauses || roll.is_paused_by_hand();
    let reason = roll.conditions.reason("Progressing").unwrap_or_default().to_owned();
    let (was_paused, was_aborted) = (reason == "RolloutPaused", reason == "RolloutAborted");
    if is_paused != was_paused && !was_aborted && !is_complete(roll.status("stableRS"), roll.status("currentPodHash")) {
        let (reason, message) =
            if is_paused { ("RolloutPaused", "Rollout is paused") } else { ("RolloutResumed", "Rollout is resumed") };
        roll.conditions.set(condition("Progressing", "Unknown", reason, message));
    }
    if was_aborted && roll.status("abort") != true {
        roll.conditions.set(condition("Progressing", "Unknown", "RolloutRetry", "Retrying Rollout after abort"));
    }
    let known = roll.conditions.get("Paused").is_some_and(|known| known.status.as_deref() == Some("True"));
    if is_paused != known && !was_aborted {
        let status = if is_paused { "True" } else { "False" };
        roll.conditions.set(condition("Paused", status, "RolloutPaused", "Rollout is paused"));
    }
}

fn is_complete(stable: &Value, current: &Value) -> bool {
    stable.as_str().is_some_and(|hash| !hash.is_empty()) && stable == current
}

/// Sets a count; zero is omitted.
pub(super) fn set_count(status: &mut Value, field: &str, count: i32) {
    status[field] = if count > 0 { count.into() } else { Value::Null };
}

/// Sets the numbers of replicas and the hash of the new ReplicaSet.
pub(super) fn count(roll: &mut Roll<'_>) {
    let (actual, available) = (sum(&roll.sets, Set::actual), sum(&roll.sets, Set::available));
    let updated = roll.new_set().map_or(0, Set::actual);
    let ready = sum(&roll.sets, Set::ready);
    roll.next["currentPodHash"] = roll.new_hash().into();
    for (field, count) in [
        ("replicas", actual),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("HPAReplicas", actual),
    ] {
        set_count(&mut roll.next, field, count);
    }
    let pairs = roll.spec("selector")["matchLabels"].as_object().cloned().unwrap_or_default();
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
    roll.next["selector"] = pairs.collect::<Vec<String>>().join(",").into();
}

/// Starts again with another template or other steps.
pub(super) fn reset(roll: &mut Roll<'_>) {
    roll.pauses.clear = true;
    roll.pauses.abort_over = true;
    if roll.spec("restartAt").is_string() {
        roll.next["restartedAt"] = roll.spec("restartAt").clone();
    }
    roll.next["promoteFull"] = Value::Null;
}

/// Makes the new ReplicaSet the stable one.
pub(super) fn promote(roll: &mut Roll<'_>) {
    roll.pauses.clear = true;
    roll.pauses.abort_over = true;
    roll.next["promoteFull"] = Value::Null;
    if roll.next["blueGreen"].is_object() {
        roll.next["blueGreen"]["scaleUpPreviewCheckPoint"] = Value::Null;
    }
    roll.next["stableRS"] = roll.next["currentPodHash"].clone();
}

/// Completes the status and writes it.
pub(super) fn write(cluster: &mut Cluster, roll: &mut Roll<'_>) {
    roll.next["observedGeneration"] = generation(roll).into();
    if let Some(generation) = roll.object["workloadGeneration"].as_i64() {
        roll.next["workloadObservedGeneration"] = generation.to_string().into();
    }
    for field in ["blueGreen", "canary"] {
        if !roll.next[field].is_object() {
            roll.next[field] = json!({});
        }
    }
    abort_when_late(roll);
    settle_pauses(roll);
    judge(roll);
    let conditions = serde_json::to_value(roll.conditions.list()).unwrap_or_default();
    roll.next["conditions"] = conditions;
    let (phase, message) = phase(roll);
    roll.next["phase"] = phase.into();
    roll.next["message"] = if message.is_empty() { Value::Null } else { message.into() };
    drop_empty(&mut roll.next);
    if let Some(deadline) = deadline(roll) {
        cluster.wake(roll.key, deadline.plus(1));
    }
    if roll.object["status"] != roll.next {
        cluster.change_status(roll.key, ARGO.manager, |object| object["status"] = roll.next.clone());
    }
}

fn drop_empty(status: &mut Value) {
    let drop = |object: &mut Map<String, Value>| object.retain(|_, value| !value.is_null());
    status.as_object_mut().map(drop);
    status["blueGreen"].as_object_mut().map(drop);
}

fn settle_pauses(roll: &mut Roll<'_>) {
    let is_aborted = roll.is_aborted();
    let known = roll.status("pauseConditions").as_array().cloned().unwrap_or_default();
    let (was, aborted_at) = (roll.status("controllerPause") == true, roll.status("abortedAt").clone());
    for field in ["pauseConditions", "controllerPause", "abort", "abortedAt"] {
        roll.next[field] = Value::Null;
    }
    if is_aborted {
        roll.next["abort"] = true.into();
        roll.next["abortedAt"] = if aborted_at.is_null() { roll.now.to_string().into() } else { aborted_at };
        return;
    }
    if roll.pauses.clear {
        return;
    }
    let (add, remove) = (roll.pauses.add, roll.pauses.remove);
    let mut left: Vec<Value> =
        known.iter().filter(|known| known["reason"].as_str() != remove || remove.is_none()).cloned().collect();
    let is_new = |reason: &&str| !known.iter().any(|known| known["reason"] == **reason);
    let added = add.filter(is_new);
    if let Some(reason) = added {
        left.push(json!({"reason": reason, "startTime": roll.now.to_string()}));
    }
    if !left.is_empty() {
        roll.next["controllerPause"] = if was || added.is_some() { true.into() } else { Value::Null };
        roll.next["pauseConditions"] = left.into();
    }
}

fn abort_when_late(roll: &mut Roll<'_>) {
    let late = roll.conditions.reason("Progressing") == Some("ProgressDeadlineExceeded");
    if late && roll.spec("progressDeadlineAbort") == true && !roll.is_aborted() {
        let name = roll.new_set().map_or("", |set| &set.key.name);
        roll.pauses.abort = Some(format!("ReplicaSet \"{name}\" has timed out progressing."));
    }
}

fn judge(roll: &mut Roll<'_>) {
    let is_paused = roll.next["pauseConditions"].is_array() || roll.is_paused_by_hand();
    let is_healthy = is_healthy(roll);
    let mut fell_ill = false;
    if !is_paused && is_healthy {
        roll.conditions.set(condition("Healthy", "True", "RolloutHealthy", "Rollout is healthy"));
    } else if roll.conditions.get("Healthy").is_some() {
        fell_ill = roll.conditions.set(condition("Healthy", "False", "RolloutHealthy", "Rollout is not healthy"));
    }
    judge_progress(roll, is_healthy, fell_ill);
    let is_available = sum(&roll.sets, Set::available) >= roll.replicas();
    roll.conditions.set(if is_available {
        condition("Available", "True", "AvailableReason", "Rollout has minimum availability")
    } else {
        condition("Available", "False", "AvailableReason", "Rollout does not have minimum availability")
    });
    roll.conditions.set_or_remove(REPLICA_FAILURE, sets::failure(&roll.sets, roll.new));
    let is_complete = is_complete(&roll.next["stableRS"], &roll.next["currentPodHash"]);
    let status = if is_complete { "True" } else { "False" };
    roll.conditions.set(condition("Completed", status, "RolloutCompleted", "RolloutCompleted"));
}

fn judge_progress(roll: &mut Roll<'_>, is_healthy: bool, fell_ill: bool) {
    let name = roll.new_set().map_or_else(String::new, |set| set.key.name.clone());
    if roll.is_aborted() {
        let revision = roll.object["metadata"]["annotations"][ARGO.revision].as_str().unwrap_or("0");
        let why = roll.pauses.abort.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let message = format!("Rollout aborted update to revision {revision}{why}");
        roll.conditions.set(condition("Progressing", "False", "RolloutAborted", &message));
    } else if is_healthy {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        roll.conditions.set(condition("Progressing", "True", "NewReplicaSetAvailable", &message));
    } else if has_progressed(roll) || fell_ill {
        let is_stable = roll.next["stableRS"] == roll.next["currentPodHash"];
        let (reason, message) = if is_stable && fell_ill {
            ("ReplicaSetNotAvailable", "Rollout does not have minimum availability".to_owned())
        } else {
            ("ReplicaSetUpdated", format!("ReplicaSet \"{name}\" is progressing."))
        };
        roll.conditions.replace(condition("Progressing", "True", reason, &message));
    } else if deadline(roll).is_some_and(|deadline| deadline < roll.now) {
        let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
        roll.conditions.set(condition("Progressing", "False", "ProgressDeadlineExceeded", &message));
    }
}

/// Deadline for the next progress; `None` if no progress is expected.
fn deadline(roll: &Roll<'_>) -> Option<crate::time::Time> {
    let reason = roll.conditions.reason("Progressing")?;
    let waits = ["RolloutAborted", "RolloutPaused", "ProgressDeadlineExceeded", "NewReplicaSetAvailable"];
    let is_open = roll.next["pauseConditions"].is_array() || roll.is_paused_by_hand();
    let index = roll.next["currentStepIndex"].as_u64().and_then(|index| usize::try_from(index).ok());
    let step = index.and_then(|index| canary::steps(roll).get(index));
    let is_indefinite = |step: &Value| ["pause", "analysis", "experiment"].iter().any(|kind| step.get(*kind).is_some());
    let keeps = roll.others().into_iter().any(|index| roll.deadline(index).is_some());
    if waits.contains(&reason) || is_open || keeps || step.is_some_and(is_indefinite) {
        return None;
    }
    let seconds = roll.spec("progressDeadlineSeconds").as_u64().unwrap_or(600);
    Some(roll.conditions.updated("Progressing")?.plus(u32::try_from(seconds).unwrap_or(u32::MAX)))
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn has_progressed(roll: &Roll<'_>) -> bool {
    let (before, now) = (|field: &str| number(roll.status(field)), |field: &str| number(&roll.next[field]));
    let differs = |field: &str| *roll.status(field) != roll.next[field];
    let by_strategy = if roll.strategy("blueGreen").is_object() {
        let selector = |status: &Value, field: &str| status["blueGreen"][field].as_str().unwrap_or_default().to_owned();
        let selectors = ["activeSelector", "previewSelector"];
        selectors.iter().any(|field| selector(&roll.object["status"], field) != selector(&roll.next, field))
    } else {
        let index = roll.status("currentStepIndex").is_u64() && differs("currentStepIndex");
        differs("stableRS") || differs("currentStepHash") || index
    };
    by_strategy
        || now("updatedReplicas") != before("updatedReplicas")
        || now("replicas") - now("updatedReplicas") < before("replicas") - before("updatedReplicas")
        || now("readyReplicas") > before("readyReplicas")
        || now("availableReplicas") > before("availableReplicas")
}

fn is_healthy(roll: &Roll<'_>) -> bool {
    let replicas = i64::from(roll.replicas());
    let next = |field: &str| number(&roll.next[field]);
    let is_through = if roll.strategy("blueGreen").is_object() {
        let selectors = &roll.next["blueGreen"];
        let preview = roll.strategy("blueGreen")["previewService"].is_string();
        selectors["activeSelector"] == roll.next["currentPodHash"]
            && (!preview || selectors["previewSelector"] == roll.next["currentPodHash"])
    } else {
        let count = canary::steps(roll).len() as u64;
        let steps = count == 0 || roll.next["currentStepIndex"].as_u64().is_none_or(|index| index == count);
        steps && is_complete(&roll.next["stableRS"], &roll.next["currentPodHash"]) && next("replicas") == replicas
    };
    is_through
        && next("updatedReplicas") == replicas
        && next("availableReplicas") == replicas
        && roll.status("observedGeneration") == generation(roll).as_str()
}

/// Phase and message, which depend on the rest of the status.
fn phase(roll: &Roll<'_>) -> (&'static str, String) {
    let next = |field: &str| number(&roll.next[field]);
    for condition in roll.conditions.list() {
        let reason = condition.reason.as_deref().unwrap_or_default();
        if matches!(reason, "RolloutAborted" | "ProgressDeadlineExceeded") {
            return ("Degraded", format!("{reason}: {}", condition.message.as_deref().unwrap_or_default()));
        }
    }
    if roll.is_paused_by_hand() {
        return ("Paused", "manually paused".to_owned());
    }
    if let Some(reason) = roll.next["pauseConditions"][0]["reason"].as_str() {
        return ("Paused", reason.to_owned());
    }
    let restart = time(roll.spec("restartAt"));
    let is_complete = is_complete(&roll.next["stableRS"], &roll.next["currentPodHash"]);
    let message = if restart.is_some() && restart != time(&roll.next["restartedAt"]) {
        "rollout is restarting"
    } else if next("updatedReplicas") < i64::from(roll.replicas()) {
        "more replicas need to be updated"
    } else if next("availableReplicas") < next("updatedReplicas") {
        "updated replicas are still becoming available"
    } else if roll.strategy("blueGreen").is_object() {
        if roll.next["blueGreen"]["activeSelector"] != roll.next["currentPodHash"] {
            "active service cutover pending"
        } else if is_complete {
            ""
        } else {
            "waiting for post-promotion verification to complete"
        }
    } else if !roll.strategy("canary")["trafficRouting"].is_object() && next("replicas") > next("updatedReplicas") {
        "old replicas are pending termination"
    } else if is_complete {
        ""
    } else {
        "waiting for all steps to complete"
    };
    (if message.is_empty() { "Healthy" } else { "Progressing" }, message.to_owned())
}
