//! Limits of the log if every failure is different.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use crate::common::alone::is_alone;
use crate::common::log::Log;
use crate::scripted::{Reply, Scene, Then, listed_then, quick};
use podskew::objects::Resource;
use podskew::watch::Timings;
use std::time::Duration;

#[tokio::test]
async fn reasons_that_alternate_do_not_flood_the_log() {
    const FAILURES: usize = 200;
    if !is_alone(module_path!(), "reasons_that_alternate_do_not_flood_the_log") {
        return;
    }
    let log = Log::capture();
    let message = "m".repeat(20_000);
    let mut replies: Vec<Reply> = (0..FAILURES)
        .map(|number| Reply::Whole([500, 401][number % 2], "", format!(r#"{{"kind":"Status","message":"{message}"}}"#)))
        .collect();
    replies.push(listed_then(&[], Then::Silence));
    let timings = Timings { log_window: Duration::from_secs(5), ..quick() };
    let began = std::time::Instant::now();
    let scene = Scene::play_in(Resource::Pods, &[], timings, replies).await;
    scene.sink_gets(&["begin", "list a", "finish"]).await;
    let windows = usize::try_from(began.elapsed().as_secs() / 5 + 1).unwrap();
    scene.until("the end of both windows", || log.lines("similar lines suppressed").len() >= 2).await;
    for reason in ["server_error", "unauthorized"] {
        let reason = format!("reason=\"{reason}\"");
        let (lines, counts): (Vec<_>, Vec<_>) =
            log.lines(&reason).into_iter().partition(|line| !line.contains("suppressed"));
        assert!((10..=10 * windows).contains(&lines.len()), "{} lines in {:?}", lines.len(), began.elapsed());
        assert!(lines.iter().all(|line| line.len() < 1_400), "{:?}", lines.iter().map(String::len).max());
        let left_out: usize =
            counts.iter().map(|line| line.split_once("left_out=").unwrap().1.trim().parse::<usize>().unwrap()).sum();
        assert_eq!(lines.len() + left_out, FAILURES / 2, "{counts:#?}");
    }
}
