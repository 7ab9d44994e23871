//! Complete recordings of a real API server, and podskew's reports after each line.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp, reason = "tests")]

use crate::common::scenarios::{
    ALL, Course, DAEMONSET, DIGEST_SKEW, PAUSED, RECREATE, RESTART_MOVED_TAG, RESUMED_LATE, STATEFULSET_PARTITION,
    STUCK, Scenario,
};
use crate::common::summary::{View, ageless, disagreement};
use crate::common::tape::{Cluster, Player, Tape, path};
use podskew::objects::Resource;
use serde_json::Value;

/// The phases of each workload, in the form of [`Course`].
struct Diary<'a> {
    scenario: &'a Scenario,
    written: Vec<Vec<(f64, String, String)>>,
}

impl<'a> Diary<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        Self { scenario, written: scenario.courses.iter().map(|_| Vec::new()).collect() }
    }

    /// Adds the current phases. A workload must not disappear.
    fn note(&mut self, at: f64, view: View<'_>) {
        for (Course { workload_type, workload, .. }, written) in self.scenario.courses.iter().zip(&mut self.written) {
            let phase = view.phase(workload_type, workload);
            assert!(written.is_empty() || phase.is_some(), "{workload} is gone at {at}");
            let Some((state, since)) = phase else { continue };
            match written.last_mut() {
                Some((_, last, known)) if *last == state => *known = since,
                _ => written.push((at, state, since)),
            }
        }
    }

    fn read(&self) -> Vec<Vec<String>> {
        let line = |(at, state, since): &(f64, String, String)| format!("{at:.2} {state}{since}");
        self.written.iter().map(|phases| phases.iter().map(line).collect()).collect()
    }
}

#[test]
fn every_workload_has_the_recorded_phases_and_end() {
    for scenario in ALL {
        let mut diary = Diary::new(&scenario);
        let mut ending = String::new();
        Tape::load(scenario.name).play(|at, view| {
            view.holds_together();
            diary.note(at, view);
            ending = view.summary();
        });
        let expected: Vec<&[&str]> = scenario.courses.iter().map(|course| course.phases).collect();
        assert_eq!(diary.read(), expected, "{}", scenario.name);
        assert_eq!(ending, scenario.ending, "{}", scenario.name);
    }
}

#[test]
fn no_line_of_a_rollout_looks_like_digest_skew() {
    for scenario in ALL.iter().filter(|scenario| !scenario.ending.contains("skewed")) {
        Tape::load(scenario.name).play(|at, view| {
            assert!(view.most_digests_of_a_hash() <= 1.0, "{} at {at}: {}", scenario.name, view.summary());
        });
    }
}

#[test]
fn a_restart_with_a_moved_tag_shows_two_digests_until_it_is_done() {
    let labels = [("namespace", "restart-moved-tag"), ("deployment", "api"), ("container", "app")];
    let mut seen: Vec<(f64, f64)> = Vec::new();
    Tape::load(RESTART_MOVED_TAG.name).play(|at, view| {
        let digests = view.parsed.value("podskew_distinct_digests_per_deployment", &labels).unwrap_or(0.0);
        if seen.last().is_none_or(|(_, last)| *last != digests) {
            seen.push((at, digests));
        }
    });
    let digests: Vec<f64> = seen.iter().map(|(_, digests)| *digests).collect();
    assert_eq!(digests, [0.0, 1.0, 2.0, 1.0], "{seen:?}");
}

#[test]
fn recreate_has_no_current_hash_and_nothing_outdated_while_it_waits() {
    let mut looks = 0;
    Tape::load(RECREATE.name).play(|at, view| {
        if (1.77..4.85).contains(&at) {
            looks += 1;
            let current = view.parsed.series("podskew_template_hash_info", &[("current", "true")]);
            assert!(current.is_empty(), "{at}: {current:?}");
            assert!(view.parsed.series("podskew_outdated_pods", &[]).is_empty(), "{at}");
        }
    });
    assert!(looks > 5);
}

#[test]
fn a_lagging_watch_does_not_change_the_result_or_show_skew() {
    for scenario in ALL {
        let tape = Tape::load(scenario.name);
        for resource in Resource::ALL.into_iter().filter(|resource| tape.has(*resource)) {
            let mut ending = String::new();
            Tape::load(scenario.name).with_lag(resource, 3.0).play(|at, view| {
                view.holds_together();
                let skewed = view.most_digests_of_a_hash() > 1.0;
                let case = || format!("{} at {at}, {resource} behind:\n{}", scenario.name, view.summary());
                assert!(!skewed || scenario.ending.contains("skewed"), "{}", case());
                ending = view.summary();
            });
            // A phase that has just begun at the end of a recording is older if a watch is behind.
            let begun = |ending: &str| ageless(ending).replace(" for a while", "");
            let plain = if scenario.name == RESUMED_LATE.name { begun } else { ageless };
            assert_eq!(plain(&ending), plain(scenario.ending), "{}, {resource} behind", scenario.name);
        }
    }
}

#[test]
fn a_start_at_any_moment_gives_the_same_and_no_greater_age() {
    for scenario in ALL {
        let tape = Tape::load(scenario.name);
        let mut cluster = Cluster::default();
        let mut lines = tape.lines.iter();
        tape.play(|at, view| {
            cluster.take(lines.next().unwrap());
            if view.parsed.samples.is_empty() {
                return;
            }
            let mut fresh = Player::new(view.start);
            fresh.now = view.at;
            fresh.list(&cluster.objects());
            let parsed = fresh.look();
            // Pods of a deleted Deployment: only a podskew that saw it knows their owner (row 35).
            if !parsed.series("podskew_pods_awaiting_owner", &[]).is_empty() {
                assert!(scenario.name.starts_with("same-name"), "{} at {at}", scenario.name);
                return;
            }
            assert_eq!(disagreement(view.parsed, &parsed), None, "{} at {at}", scenario.name);
        });
    }
}

#[test]
fn output_of_kubectl_gives_the_same_as_watches() {
    for scenario in [DAEMONSET, DIGEST_SKEW, PAUSED, STATEFULSET_PARTITION, STUCK] {
        let dump = std::fs::read_to_string(path(&format!("{}.dump.json", scenario.name))).unwrap();
        let dump: Value = serde_json::from_str(&dump).unwrap();
        let tape = Tape::load(scenario.name);
        let mut player = Player::new(tape.start);
        // Late enough for every age to be positive.
        player.now = tape.start.plus(100);
        player.list(dump["items"].as_array().unwrap());
        let parsed = player.look();
        let view = View { parsed: &parsed, at: player.now, start: tape.start };
        view.holds_together();
        // The undo of `agent` was complete when that summary was printed.
        let printed = |story: &str| story[story.find("daemonset/cni").unwrap_or(0)..].to_owned();
        assert_eq!(printed(&view.summary()), printed(scenario.ending), "{}", scenario.name);
    }
}

/// The duration of a rollout is from the change of its template to its completion, as recorded.
#[test]
fn the_duration_of_a_rollout_is_that_in_its_recording() {
    const CLOSE: f64 = 2.0;
    let mut checked = 0;
    for scenario in ALL {
        // For each workload: when it left `complete`, and how its rollouts ended so far.
        let mut left_at: Vec<Option<f64>> = scenario.courses.iter().map(|_| None).collect();
        let mut seen: Vec<Option<String>> = scenario.courses.iter().map(|_| None).collect();
        let mut last: Vec<Option<f64>> = scenario.courses.iter().map(|_| None).collect();
        Tape::load(scenario.name).play(|at, view| {
            for (number, Course { workload_type, workload, .. }) in scenario.courses.iter().enumerate() {
                let labels = [("workload_type", *workload_type), ("workload", *workload)];
                let value = |family: &str| {
                    let series = view.parsed.series(&format!("podskew_last_rollout_{family}"), &labels);
                    series.first().map(|(_, value)| *value)
                };
                let Some((state, _)) = view.phase(workload_type, workload) else { continue };
                let (is, was) = (state.starts_with("complete"), seen[number].replace(state.clone()));
                let was_complete = was.is_some_and(|was| was.starts_with("complete"));
                if !is {
                    // A Deployment that was recreated with its name begins then.
                    let again = state.starts_with("no rollout");
                    left_at[number] = Some(left_at[number].filter(|_| !again).unwrap_or(at));
                    continue;
                }
                if was_complete {
                    // Nothing changes the record of the last rollout while a rollout is complete. A pause removes the
                    // record from the Deployment.
                    let still = value("duration_seconds");
                    assert!(
                        still.is_none() || still == last[number],
                        "{}: {workload} at {at}: {still:?}",
                        scenario.name
                    );
                    continue;
                }
                last[number] = value("duration_seconds");
                let Some(began) = left_at[number].take() else { continue };
                let took =
                    last[number].unwrap_or_else(|| panic!("{}: {workload} has no duration at {at}", scenario.name));
                assert!(
                    (took - (at - began)).abs() <= CLOSE,
                    "{}: {workload} took {took} s, from {began} to {at}",
                    scenario.name
                );
                let completed = value("completed_timestamp_seconds").unwrap() - f64::from(view.start.seconds());
                assert!(
                    (completed - at).abs() <= CLOSE,
                    "{}: {workload} completed at {completed}, not {at}",
                    scenario.name
                );
                checked += 1;
            }
        });
    }
    assert_eq!(checked, 6, "rollouts completed in the recordings");
}

/// All reasons why a pod may wait, from the recording.
fn reasons_in(pod: &Value) -> Vec<String> {
    let list = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut reasons = Vec::new();
    for status in [list("/status/initContainerStatuses"), list("/status/containerStatuses")].concat() {
        match status["state"].as_object().and_then(|state| state.iter().next()) {
            Some((kind, of)) if kind == "waiting" => reasons.push(of["reason"].as_str().unwrap_or("other").to_owned()),
            Some((kind, _)) if kind == "running" && status["ready"] != true => reasons.push("not_ready".to_owned()),
            Some(_) => {}
            None => reasons.push("other".to_owned()),
        }
    }
    if list("/status/containerStatuses").is_empty() {
        reasons.push("other".to_owned());
    }
    let conditions = list("/status/conditions");
    let unscheduled = conditions.iter().filter(|it| it["type"] == "PodScheduled" && it["status"] == "False");
    reasons.extend(unscheduled.filter_map(|it| it["reason"].as_str()).map(str::to_owned));
    // A readiness gate, or a kubelet that has not written the condition yet.
    reasons.push("other".to_owned());
    reasons
}

/// Nothing waits for a reason that is not in the recording, and at the end only the broken workloads wait.
#[test]
fn no_rollout_waits_for_a_reason_that_its_recording_does_not_have() {
    let mut ends = Vec::new();
    for scenario in ALL {
        let tape = Tape::load(scenario.name);
        let mut cluster = Cluster::default();
        let mut lines = tape.lines.iter();
        let mut end = Vec::new();
        tape.play(|at, view| {
            cluster.take(lines.next().unwrap());
            let blocked = view.parsed.series("podskew_rollout_blocked_pods", &[]);
            let objects = cluster.objects();
            for (labels, pods) in &blocked {
                let (reason, workload) = (&labels["reason"], &labels["workload"]);
                let case = || format!("{} at {at}: {workload} waits for {pods} {reason}", scenario.name);
                if reason == "not_created" {
                    assert!(matches!(labels["workload_type"].as_str(), "statefulset" | "daemonset"), "{}", case());
                    continue;
                }
                let is_its = |pod: &&Value| {
                    let name = pod["metadata"]["name"].as_str().unwrap();
                    pod["kind"] == "Pod" && name.starts_with(&format!("{workload}-"))
                };
                let waits =
                    |pod: &&Value| reasons_in(pod).contains(reason) && pod["metadata"]["deletionTimestamp"].is_null();
                let have = objects.iter().filter(is_its).filter(waits).count();
                assert!(*pods > 0.0 && have as f64 >= *pods, "{}, and {have} pods have it", case());
            }
            end =
                blocked.iter().map(|(labels, pods)| format!("{} {pods} {}", scenario.name, labels["reason"])).collect();
        });
        ends.append(&mut end);
    }
    let expected = [
        "stuck 2 ImagePullBackOff",
        // A pod without any status from its kubelet.
        "daemonset 1 other",
        "same-name-stuck 3 ImagePullBackOff",
        "same-name-paused 3 not_ready",
        "resumed-late 1 not_ready",
    ];
    assert_eq!(ends, expected);
}
