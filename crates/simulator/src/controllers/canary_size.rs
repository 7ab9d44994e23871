//! The numbers of new and stable pods of a canary.

use super::canary;
use super::rollout::Roll;
use super::sets::{Set, sum};
use serde_json::Value;

/// Next sizes of the new and of the stable ReplicaSet.
pub(super) fn sizes(roll: &Roll<'_>) -> (i32, i32) {
    if roll.strategy("canary")["trafficRouting"].is_object() { routed(roll) } else { basic(roll) }
}

/// Whether the new pods of the current step are available, and the others have their intended number.
pub(super) fn is_reached(roll: &Roll<'_>) -> bool {
    let (new, stable) = sizes(roll);
    let is_routed = roll.strategy("canary")["trafficRouting"].is_object();
    let is_dynamic = is_routed && roll.strategy("canary")["dynamicStableScale"] == true;
    let new_is = roll.new_set().is_some_and(|set| set.wanted() == new && set.available() == new);
    let stable_is = roll.stable_set().is_some_and(|set| set.wanted() == stable && set.actual() == stable);
    let others = roll.others().into_iter().map(|index| roll.sets[index].available()).sum::<i32>();
    new_is && (is_dynamic || stable_is) && (is_routed || others == 0)
}

/// A router splits the traffic, so the stable pods stay.
fn routed(roll: &Roll<'_>) -> (i32, i32) {
    let share = |weight: i32| (weight * roll.replicas() + 99) / 100;
    let weight = canary::weight(roll);
    let scale = canary::canary_scale(roll);
    let new = match scale {
        Some(scale) if scale["replicas"].is_i64() => number(&scale["replicas"]),
        Some(scale) if scale["weight"].is_i64() => share(number(&scale["weight"])),
        _ => share(weight),
    };
    let is_dynamic = roll.strategy("canary")["dynamicStableScale"] == true;
    (new, if is_dynamic { share(100 - weight) } else { roll.replicas() })
}

fn number(value: &Value) -> i32 {
    value.as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or(0)
}

/// Without a router, the numbers of pods make the weight.
fn basic(roll: &Roll<'_>) -> (i32, i32) {
    let replicas = roll.replicas();
    let (surge, unavailable) = roll.surge_and_unavailable();
    let (mut new_goal, mut stable_goal) = goals(replicas, canary::weight(roll), surge);
    let stable_set = roll.stable_set().filter(|_| roll.stable != roll.new);
    if stable_set.is_none() {
        (new_goal, stable_goal) = (replicas, 0);
    }
    let wanted = |set: Option<&Set>| set.map_or(0, Set::wanted);
    let (new_now, stable_now) = (wanted(roll.new_set()), wanted(stable_set));
    let (mut new, mut stable) = (new_now, stable_now);
    let most = replicas + surge;
    let mut room = most - sum(&roll.sets, Set::wanted);
    if stable_set.is_some() && stable_now < stable_goal && room > 0 {
        stable = stable_goal.min(stable_now + room);
        room -= stable - stable_now;
    }
    if new_now < new_goal && room > 0 {
        new = new_goal.min(new_now + room);
    }
    let others: i32 = roll.others().into_iter().map(|index| roll.sets[index].wanted()).sum();
    if others > 0 {
        return (new, stable);
    }
    let least = replicas - unavailable;
    let grows = new_goal >= new_now;
    let counted = |set: Option<&Set>, ready_or_not: bool| {
        set.map_or(0, |set| if ready_or_not { set.wanted() } else { set.wanted().min(set.available()) })
    };
    let excess = counted(roll.new_set(), !grows) + counted(stable_set, grows) - least;
    if excess <= 0 {
        return (new, stable);
    }
    if !grows {
        new = if new_now > new_goal { new_goal.max(new_now - excess) } else { new };
        (new, stable) = within((roll.new_set(), new), (stable_set, stable), most, least);
    } else if stable_set.is_some() {
        stable = if stable_now > stable_goal { stable_goal.max(stable_now - excess) } else { stable };
        (stable, new) = within((stable_set, stable), (roll.new_set(), new), most, least);
    }
    (new, stable)
}

/// Limits both sides to the bounds of the strategy; `drained` is the side that shrinks.
fn within(drained: (Option<&Set>, i32), other: (Option<&Set>, i32), most: i32, least: i32) -> (i32, i32) {
    let ((drained_set, mut drained), (other_set, mut other)) = (drained, other);
    let Some(other_set) = other_set else {
        return (drained, other);
    };
    other -= (other + drained - most).max(0);
    let available = drained_set.map_or(0, |set| set.available().min(drained)) + other_set.available().min(other);
    let spare = (other_set.available() - other).max(0);
    other += spare.min((least - available).max(0));
    drained -= (other + drained - most).max(0);
    (drained, other)
}

/// The numbers of pods whose ratio is nearest to the weight.
fn goals(replicas: i32, weight: i32, surge: i32) -> (i32, i32) {
    if replicas == 0 {
        return (0, 0);
    }
    let (up, down) = ((replicas * weight + 99) / 100, replicas * weight / 100);
    let zero_allowed = weight == 100 || weight == 0 || (replicas == 1 && surge == 0);
    let tied = |total: i32| (total * weight) % 100 == 50;
    let mut options = Vec::new();
    if up < replicas || zero_allowed {
        options.push((up, replicas));
    }
    if !tied(replicas) && (down != 0 || zero_allowed) {
        options.push((down, replicas));
    }
    if surge > 0 {
        options.push((up, replicas + 1));
        if !tied(replicas + 1) && (down != 0 || zero_allowed) {
            options.push((down, replicas + 1));
        }
    }
    let distance = |(new, total): (i32, i32)| (f64::from(new * 100) / f64::from(total) - f64::from(weight)).abs();
    let nearest = options.into_iter().reduce(|best, next| if distance(next) < distance(best) { next } else { best });
    nearest.map_or((0, replicas), |(new, total)| (new, total - new))
}

#[cfg(test)]
mod tests {
    use super::goals;

    #[test]
    fn the_nearest_ratio_is_taken() {
        assert_eq!(goals(5, 20, 2), (1, 4));
        assert_eq!(goals(5, 60, 2), (3, 2));
        assert_eq!(goals(4, 10, 1), (1, 4), "one pod more is nearer to ten per cent");
        assert_eq!(goals(10, 0, 1), (0, 10));
        assert_eq!(goals(10, 100, 0), (10, 0));
    }
}
