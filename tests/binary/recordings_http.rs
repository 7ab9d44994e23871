//! Each recording, replayed over HTTP to the real binary, which is scraped continuously.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::common::running::{POLL_INTERVAL, Running, Scrape};
use crate::common::scenarios::{
    DAEMONSET, DIGEST_SKEW, PAUSED, RECREATE, RESTART_MOVED_TAG, RESUMED_LATE, ROLLOUT, SAME_NAME_PAUSED,
    SAME_NAME_SKEW, SAME_NAME_STUCK, STATEFULSET_PARTITION, STUCK, Scenario,
};
use crate::common::summary::View;
use crate::common::tape::path;
use podskew::time::UnixTime;
use simulator::Time;
use simulator::{Recording, Replay, Simulator, SimulatorConfig};
use std::path::Path;
use tokio::time::Instant;

/// A recording that is replayed to a podskew.
struct Stage {
    scenario: Scenario,
    podskew: Running,
    replay: Replay,
    /// The start time of the replay.
    start: Time,
    /// Seconds of the recording that have passed, and their total.
    at: f64,
    seconds: f64,
    _simulator: Simulator,
}

impl Stage {
    /// All objects are listed, and nothing has changed yet.
    async fn set(scenario: Scenario) -> Self {
        let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
        let recording = Recording::load(Path::new(&path(&format!("{}.jsonl", scenario.name)))).unwrap();
        // Otherwise the events of a fast replay would have times in the future.
        let seconds = recording.seconds();
        #[expect(clippy::cast_possible_truncation, reason = "less than a minute")]
        let ahead = if scenario.speed > 1.0 { seconds.ceil() as i64 } else { 0 };
        let start = Time::from_seconds(Time::now().seconds() - ahead);
        let replay = Replay::begin(simulator.store(), recording, start);
        let podskew = Running::start(&simulator, &[]);
        podskew.until_ready().await;
        let mut stage = Self { scenario, podskew, replay, start, at: 0.0, seconds, _simulator: simulator };
        // Some recordings begin with empty lists, and all objects are their first events.
        stage.replay.advance_to(0.05);
        let first = stage.scenario.courses[0].phases[0];
        if first.starts_with("0.") && first.contains(" complete ") {
            stage.shows_phase(0, 0).await;
        }
        stage
    }

    fn view<'a>(&self, scrape: &'a Scrape) -> View<'a> {
        View { parsed: &scrape.parsed, at: scrape.at, start: UnixTime::from_seconds(self.start.seconds()).unwrap() }
    }

    /// Checks what is true for every scrape.
    fn holds(&self, scrape: &Scrape) {
        let view = self.view(scrape);
        view.holds_together();
        let skewed = view.most_digests_of_a_hash() > 1.0;
        assert!(!skewed || self.scenario.ending.contains("skewed"), "{}", view.summary());
    }

    /// Replays up to a second of the recording, and scrapes meanwhile.
    async fn play_to(&mut self, second: f64, mut look: impl FnMut(View<'_>)) {
        while self.at < second {
            let begun = Instant::now();
            tokio::time::sleep(POLL_INTERVAL).await;
            let scrape = self.podskew.scrape();
            self.holds(&scrape);
            look(self.view(&scrape));
            self.at = (self.at + begun.elapsed().as_secs_f64() * self.scenario.speed).min(second);
            self.replay.advance_to(self.at);
        }
    }

    /// Waits for a phase of a workload.
    async fn shows_phase(&self, workload: usize, phase: usize) {
        let course = &self.scenario.courses[workload];
        let expected = course.phases[phase].split_once(' ').unwrap().1;
        let scrape = self.podskew.until(expected, |scrape| {
            self.holds(scrape);
            let phase = self.view(scrape).phase(course.workload_type, course.workload);
            phase.is_some_and(|(state, since)| format!("{state}{since}") == expected)
        });
        scrape.await;
    }

    /// Replays the rest, and waits for the final summary.
    async fn ends(&mut self, look: impl FnMut(View<'_>)) {
        self.play_to(self.seconds, look).await;
        let ended = self.podskew.until(self.scenario.ending, |scrape| {
            self.holds(scrape);
            self.view(scrape).summary() == self.scenario.ending
        });
        ended.await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_and_its_undo() {
    let mut stage = Stage::set(ROLLOUT).await;
    stage.play_to(2.0, |_| {}).await;
    stage.shows_phase(0, 2).await;
    stage.play_to(17.0, |_| {}).await;
    stage.shows_phase(0, 3).await;
    stage.play_to(18.0, |_| {}).await;
    stage.shows_phase(0, 4).await;
    stage.ends(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_a_moved_tag() {
    let labels = [("namespace", "restart-moved-tag"), ("deployment", "api"), ("container", "app")];
    let mut stage = Stage::set(RESTART_MOVED_TAG).await;
    stage.play_to(4.0, |_| {}).await;
    stage.shows_phase(0, 2).await;
    let scrape = stage.podskew.until("two digests", |scrape| {
        stage.holds(scrape);
        scrape.parsed.value("podskew_distinct_digests_per_deployment", &labels) == Some(2.0)
    });
    scrape.await;
    stage.ends(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scaling_that_ends_in_digest_skew() {
    let complete = |view: View<'_>| {
        let phase = view.phase("deployment", "web").unwrap();
        assert_eq!(phase, ("complete to 658465cf6d".to_owned(), String::new()));
    };
    let mut stage = Stage::set(DIGEST_SKEW).await;
    stage.play_to(3.0, complete).await;
    stage.podskew.until("scaled", |scrape| scrape.parsed.series("podskew_pod_info", &[]).len() == 8).await;
    stage.ends(complete).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_rollout() {
    let mut stage = Stage::set(STUCK).await;
    stage.play_to(2.0, |_| {}).await;
    stage.shows_phase(0, 2).await;
    stage.ends(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_rollout() {
    let mut stage = Stage::set(PAUSED).await;
    stage.play_to(4.0, |_| {}).await;
    stage.shows_phase(0, 3).await;
    stage.ends(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recreation() {
    let mut stage = Stage::set(RECREATE).await;
    stage.play_to(3.0, |_| {}).await;
    let waiting = stage.podskew.until("no current hash", |scrape| {
        stage.holds(scrape);
        stage.view(scrape).phase("deployment", "api").unwrap().0 == "progressing to nothing"
    });
    assert!(waiting.await.parsed.series("podskew_outdated_pods", &[]).is_empty());
    stage.play_to(6.0, |_| {}).await;
    // The age counts from the change of the template, not from the new ReplicaSet.
    let age = |scrape: &Scrape| scrape.parsed.series("podskew_rollout_age_seconds", &[])[0].1;
    let under_way = stage.podskew.until("the new ReplicaSet", |scrape| {
        stage.holds(scrape);
        stage.view(scrape).phase("deployment", "api").unwrap().0 == "progressing to 7b6b986cd8"
    });
    let age = age(&under_way.await);
    assert!((3.0..30.0).contains(&age), "{age}");
    stage.ends(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partitioned_stateful_set() {
    let mut stage = Stage::set(STATEFULSET_PARTITION).await;
    stage.play_to(5.0, |_| {}).await;
    stage.shows_phase(0, 2).await;
    stage.ends(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_daemon_sets() {
    let mut stage = Stage::set(DAEMONSET).await;
    stage.play_to(3.0, |_| {}).await;
    stage.shows_phase(0, 2).await;
    stage.shows_phase(1, 2).await;
    stage.play_to(30.0, |_| {}).await;
    stage.shows_phase(0, 3).await;
    stage.play_to(44.0, |_| {}).await;
    stage.shows_phase(0, 4).await;
    stage.ends(|_| {}).await;
}

fn age(view: View<'_>, family: &str) -> f64 {
    view.parsed.series(family, &[]).into_iter().map(|(_, age)| age).fold(0.0, f64::max)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_deployment_recreated_with_its_name() {
    let mut stage = Stage::set(SAME_NAME_STUCK).await;
    let mut oldest = 0.0_f64;
    stage.play_to(47.0, |view| oldest = oldest.max(age(view, "podskew_rollout_age_seconds"))).await;
    assert!(oldest >= 40.0, "{oldest}");
    stage.ends(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skewed_deployment_recreated_with_its_name() {
    let mut stage = Stage::set(SAME_NAME_SKEW).await;
    let mut oldest = 0.0_f64;
    stage.play_to(4.5, |view| oldest = oldest.max(age(view, "podskew_digest_skew_age_seconds"))).await;
    assert!(oldest > 10.0, "{oldest}");
    stage.ends(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_deployment_recreated_with_its_name() {
    let mut stage = Stage::set(SAME_NAME_PAUSED).await;
    let mut oldest = 0.0_f64;
    stage.play_to(14.5, |view| oldest = oldest.max(age(view, "podskew_rollout_age_seconds"))).await;
    assert!((10.0..30.0).contains(&oldest), "{oldest}");
    stage.ends(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_that_begins_late_after_a_pause() {
    let mut stage = Stage::set(RESUMED_LATE).await;
    let mut oldest = 0.0_f64;
    stage.play_to(43.5, |view| oldest = oldest.max(age(view, "podskew_rollout_age_seconds"))).await;
    assert!((35.0..60.0).contains(&oldest), "the pause is {oldest} s old");
    let seconds = stage.seconds;
    stage.play_to(seconds, |_| {}).await;
    let rolling = stage.podskew.until("the new ReplicaSet", |scrape| {
        stage.holds(scrape);
        stage.view(scrape).phase("deployment", "api").unwrap().0 == "progressing to 78c6f8c449"
    });
    let age = age(stage.view(&rolling.await), "podskew_rollout_age_seconds");
    assert!(age < 20.0, "the rollout is {age} s old, and not as old as the pause");
}
