//! Rollouts in steps.

use super::canary_size;
use super::cluster::Cluster;
use super::index::time;
use super::rollout::{ARGO, Roll};
use super::rollout_status::{self, pause_condition};
use super::sets::{Set, sum};
use crate::time::Time;
use serde_json::{Value, json};

pub(super) const PAUSE_STEP: &str = "CanaryPauseStep";

pub(super) fn reconcile(cluster: &mut Cluster, roll: &mut Roll<'_>, resized: bool) {
    if resized {
        scale(cluster, roll);
        rollout_status::count(roll);
        return rollout_status::write(cluster, roll);
    }
    if !is_reset(cluster, roll) {
        if roll.restart(cluster) {
            return;
        }
        roll.clean_up(cluster);
        if !scale(cluster, roll) {
            pause(cluster, roll);
        }
    }
    advance(cluster, roll);
    rollout_status::write(cluster, roll);
}

pub(super) fn steps<'a>(roll: &'a Roll<'_>) -> &'a [Value] {
    roll.strategy("canary")["steps"].as_array().map_or(&[], Vec::as_slice)
}

/// Index of the current step, or the number of steps once all are done. `None` without steps.
fn step_index(roll: &Roll<'_>) -> Option<usize> {
    let count = steps(roll).len();
    (count > 0)
        .then(|| roll.status("currentStepIndex").as_u64().map_or(0, |index| usize::try_from(index).unwrap_or(count)))
}

fn step<'a>(roll: &'a Roll<'_>) -> Option<&'a Value> {
    steps(roll).get(step_index(roll)?)
}

/// Percentage of traffic that the new pods should have now.
pub(super) fn weight(roll: &Roll<'_>) -> i32 {
    let stable = roll.status_text("stableRS");
    if roll.status("promoteFull") == true || stable.is_empty() || roll.status_text("currentPodHash") == stable {
        return 100;
    }
    if roll.status("abort") == true {
        return 0;
    }
    let Some(index) = step_index(roll).filter(|index| *index < steps(roll).len()) else {
        return 100;
    };
    let weights = steps(roll)[..=index].iter().rev().filter_map(|step| step["setWeight"].as_i64());
    weights.map(|weight| i32::try_from(weight).unwrap_or(100)).next().unwrap_or(0)
}

/// Whether the template or the steps differ from those in the status.
fn is_reset(cluster: &Cluster, roll: &Roll<'_>) -> bool {
    let known = roll.status_text("currentPodHash");
    let changed = !known.is_empty() && known != roll.new_hash();
    changed || !same_steps(cluster, roll)
}

fn same_steps(cluster: &Cluster, roll: &Roll<'_>) -> bool {
    let uid = roll.object["metadata"]["uid"].as_str().unwrap_or_default();
    let (known, hash) = (roll.status_text("currentStepHash"), step_hash(steps(roll)));
    // Other versions of Argo hash differently: a hash that was there at the start counts as unchanged.
    known == hash || cluster.step_hashes.get(uid).is_some_and(|(theirs, ours)| theirs == known && *ours == hash)
}

/// Argo's hash of the steps: FNV-1a of their JSON.
pub(crate) fn step_hash(steps: &[Value]) -> String {
    let text = if steps.is_empty() { "null".to_owned() } else { Value::from(steps).to_string() };
    let fnv = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    crate::random::safe_encode(&text.bytes().fold(0x811c_9dc5, fnv).to_string())
}

/// Scales the ReplicaSets to the current weight, one at a time. Returns whether there is more to do.
fn scale(cluster: &mut Cluster, roll: &mut Roll<'_>) -> bool {
    if roll.is_paused_by_hand() {
        return false;
    }
    roll.remove_deadlines(cluster);
    if let Some(stable) = roll.stable.filter(|stable| Some(*stable) != roll.new) {
        let (_, wanted) = canary_size::sizes(roll);
        if roll.scale(cluster, stable, wanted) {
            return true;
        }
    }
    if let Some(new) = roll.new.filter(|_| !roll.delay_abort(cluster)) {
        let (wanted, _) = canary_size::sizes(roll);
        if roll.scale(cluster, new, wanted) {
            return true;
        }
    }
    scale_down_others(cluster, roll)
}

fn scale_down_others(cluster: &mut Cluster, roll: &mut Roll<'_>) -> bool {
    let mut others: Vec<usize> = roll.others().into_iter().filter(|index| roll.sets[*index].wanted() > 0).collect();
    let mut scaled = false;
    // Pods that are not available are removed first.
    for index in &others {
        let available = roll.sets[*index].available();
        scaled |= roll.sets[*index].wanted() > available && roll.scale(cluster, *index, available);
    }
    let minimum = roll.replicas() - roll.surge_and_unavailable().1;
    let mut left = sum(&roll.sets, Set::available) - minimum;
    others.sort_by_key(|index| std::cmp::Reverse(roll.sets[*index].number(ARGO.revision)));
    let is_routed = roll.strategy("canary")["trafficRouting"].is_object();
    let is_promoted = roll.status("stableRS") == roll.status("currentPodHash");
    for index in others {
        let wanted = roll.sets[index].wanted();
        if left <= 0 || wanted == 0 {
            continue;
        }
        let size = if !is_routed {
            (wanted - left).max(0)
        } else if is_promoted || roll.deadline(index).is_some() {
            let delay = roll.strategy("canary")["scaleDownDelaySeconds"].as_u64().unwrap_or(30);
            roll.keep_until_deadline(cluster, index, u32::try_from(delay).unwrap_or(30))
        } else {
            0
        };
        left -= wanted - size;
        scaled |= roll.scale(cluster, index, size);
    }
    scaled
}

/// Begins the pause of a pause step, or waits for its end.
fn pause(cluster: &mut Cluster, roll: &mut Roll<'_>) {
    let Some(pause) = step(roll).and_then(|step| step.get("pause")).filter(|pause| !pause.is_null()).cloned() else {
        return;
    };
    if roll.is_paused_by_hand() || roll.status("promoteFull") == true {
        return;
    }
    match pause_condition(roll, PAUSE_STEP) {
        None if roll.status("controllerPause") != true => roll.pauses.add = Some(PAUSE_STEP),
        Some(condition) => {
            if let Some(end) = pause_end(&pause, condition) {
                cluster.wake(roll.key, end.plus(1));
            }
        }
        None => {}
    }
}

fn pause_end(pause: &Value, condition: &Value) -> Option<Time> {
    Some(time(&condition["startTime"])?.plus(seconds(&pause["duration"])?))
}

/// Parses a duration in Argo's form: seconds, or Go's `1h30m`.
pub(super) fn seconds(duration: &Value) -> Option<u32> {
    if let Some(seconds) = duration.as_u64() {
        return u32::try_from(seconds).ok();
    }
    let text = duration.as_str()?;
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (mut total, mut number) = (0.0_f64, String::new());
    for letter in text.replace("ms", "M").chars() {
        let unit = match letter {
            'h' => 3600.0,
            'm' => 60.0,
            's' => 1.0,
            'M' => 0.001,
            _ => {
                number.push(letter);
                continue;
            }
        };
        total += number.parse::<f64>().ok()? * unit;
        number.clear();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a pause")]
    (number.is_empty() && total >= 0.0).then_some(total as u32)
}

/// Whether the current step is complete.
fn is_step_done(roll: &Roll<'_>) -> bool {
    let Some(step) = step(roll).filter(|_| !roll.is_paused_by_hand()) else {
        return false;
    };
    if let Some(pause) = step.get("pause").filter(|pause| !pause.is_null()) {
        let condition = pause_condition(roll, PAUSE_STEP);
        let promoted = roll.status("controllerPause") == true && condition.is_none();
        return promoted || condition.and_then(|known| pause_end(pause, known)).is_some_and(|end| roll.now > end);
    }
    let has_any = |names: &[&str]| names.iter().any(|name| step.get(*name).is_some());
    if has_any(&["setWeight", "setCanaryScale"]) {
        return canary_size::is_reached(roll);
    }
    // Routes are not simulated. Analyses, experiments and plugins of a step never end by themselves.
    has_any(&["setHeaderRoute", "setMirrorRoute"])
}

/// Updates the status after a step, a promotion or an abort.
fn advance(cluster: &mut Cluster, roll: &mut Roll<'_>) {
    rollout_status::count(roll);
    let count = steps(roll).len();
    let all = if count > 0 { json!(count) } else { Value::Null };
    let changed = is_reset(cluster, roll);
    roll.next["currentStepHash"] = step_hash(steps(roll)).into();
    if changed {
        rollout_status::reset(roll);
        roll.next["currentStepIndex"] = if count > 0 { json!(0) } else { Value::Null };
        if count > 0 && roll.status_text("stableRS") == roll.new_hash() {
            // Back to the stable version: there is nothing to try.
            roll.next["currentStepIndex"] = all;
        }
        return;
    }
    let mut index = step_index(roll);
    if roll.status("promoteFull") == true {
        roll.pauses.clear = true;
        roll.pauses.abort_over = true;
        index = index.map(|_| count);
    }
    if is_promoted(roll) {
        rollout_status::promote(roll);
        roll.next["currentStepIndex"] = all;
        return;
    }
    if roll.is_aborted() {
        if count > 0 {
            let is_stable = roll.next["stableRS"] == roll.next["currentPodHash"];
            roll.next["currentStepIndex"] = if is_stable { all } else { json!(0) };
        }
        return;
    }
    if is_step_done(roll) {
        index = index.map(|index| index + 1);
        roll.pauses.remove = Some(PAUSE_STEP);
        // The next step may be done already.
        cluster.make_due(roll.key.clone());
    }
    roll.next["currentStepIndex"] = index.map_or(Value::Null, |index| json!(index));
}

/// Whether the new pods become stable.
fn is_promoted(roll: &Roll<'_>) -> bool {
    if roll.stable.is_none() {
        return true;
    }
    let is_up = roll.new_set().is_some_and(|set| set.available() >= roll.replicas());
    if roll.is_aborted() || !is_up {
        return false;
    }
    let is_back = roll.status_text("stableRS") == roll.new_hash();
    let count = steps(roll).len();
    roll.status("promoteFull") == true || is_back || count == 0 || step_index(roll) == Some(count)
}

/// The size that a step sets independently of the weight.
pub(super) fn canary_scale<'a>(roll: &'a Roll<'_>) -> Option<&'a Value> {
    let stable = roll.status_text("stableRS");
    let is_over = roll.status("promoteFull") == true || stable.is_empty();
    if is_over || roll.status_text("currentPodHash") == stable || roll.status("abort") == true {
        return None;
    }
    let index = step_index(roll).filter(|index| *index < steps(roll).len())?;
    let mut scales = steps(roll)[..=index].iter().rev().filter_map(|step| step.get("setCanaryScale"));
    scales.next().filter(|scale| scale["matchTrafficWeight"] != true)
}
