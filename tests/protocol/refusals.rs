//! What happens if the API server refuses access: for a while, for good, or until a rule is granted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use crate::scripted::{Reply, Scene, Then, event, goes_on_from, listed_then, quick, status, stream};
use podskew::objects::Resource;
use podskew::watch::Timings;
use std::time::Duration;

const FORBIDDEN: &str = include_str!("../data/recordings/protocol/forbidden.json");

fn forbidden() -> Reply {
    Reply::Whole(403, "", FORBIDDEN.to_owned())
}

#[tokio::test]
async fn a_forbidden_resource_is_logged_once_and_watched_when_granted() {
    let timings = Timings { forbidden_settles: Duration::from_millis(200), ..quick() };
    let mut replies = vec![forbidden(); 40];
    replies.push(listed_then(&[], Then::Silence));
    let began = std::time::Instant::now();
    let scene = Scene::play_in(Resource::Pods, &[], timings, replies).await;
    scene.sink_gets(&["forbid"]).await;
    assert!(began.elapsed() >= timings.forbidden_settles, "nothing else was listed");
    scene.sink_gets(&["forbid", "begin", "list a", "finish"]).await;
    assert_eq!((scene.failures("forbidden"), scene.all_failures()), (40, 40));
    scene.until("the sync", || scene.is_synced()).await;
}

#[tokio::test]
async fn a_list_forbidden_for_long_is_given_up_and_resumed_when_granted() {
    let timings = Timings { forbidden: Duration::from_millis(100), refusal_grace: Duration::from_secs(1), ..quick() };
    let mut replies = vec![listed_then(&[], Then::End)];
    replies.extend(vec![forbidden(); 40]);
    replies.push(listed_then(&[], Then::Silence));
    let scene = Scene::play_in(Resource::Pods, &[], timings, replies).await;
    goes_on_from(&scene, 3, 10).await;
    assert_eq!(scene.calls(), ["begin", "list a", "finish"], "podskew gave up at once");
    assert!(!scene.is_synced());
    scene.until("the next list", || scene.calls().len() >= 7).await;
    assert_eq!(scene.calls(), ["begin", "list a", "finish", "forbid", "begin", "list a", "finish"]);
}

#[tokio::test]
async fn an_api_server_that_starts_is_waited_for() {
    let replies = vec![forbidden(), forbidden(), forbidden(), listed_then(&[], Then::Silence)];
    let timings = Timings { forbidden_settles: Duration::from_secs(60), ..quick() };
    let scene = Scene::play_in(Resource::Pods, &[], timings, replies).await;
    scene.sink_gets(&["begin", "list a", "finish"]).await;
    assert_eq!((scene.failures("forbidden"), scene.restarts()), (3, 0));
}

#[tokio::test]
async fn an_optional_resource_is_looked_for_until_it_is_served() {
    let missing = || Reply::Whole(404, "", "404 page not found\n".to_owned());
    let replies = vec![missing(), missing(), missing(), listed_then(&[], Then::Silence)];
    let scene = Scene::play(Resource::Rollouts, replies).await;
    scene.sink_gets(&["not served", "begin", "list a", "finish"]).await;
    assert_eq!((scene.all_failures(), scene.restarts()), (0, 0));
    assert!(scene.is_synced());
}

#[tokio::test]
async fn a_resource_that_every_cluster_has_is_missed() {
    let scene = Scene::play(Resource::Deployments, vec![status(404), listed_then(&[], Then::Silence)]).await;
    scene.sink_gets(&["not served", "begin", "list a", "finish"]).await;
    assert_eq!((scene.failures("not_found"), scene.all_failures()), (1, 1));
}

#[tokio::test]
async fn refusals_that_pass_lose_nothing() {
    let throttled = Reply::Whole(429, "Retry-After: 1\r\n", String::new());
    let replies = vec![
        status(503),
        listed_then(&[], Then::End),
        status(503),
        status(401),
        throttled,
        stream(&[event("ADDED", "b", 11)], Then::Silence),
    ];
    let began = std::time::Instant::now();
    let scene = Scene::play(Resource::Pods, replies).await;
    scene.sink_gets(&["begin", "list a", "finish", "apply b"]).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "Retry-After was not honoured");
    assert_eq!(scene.failures("server_error"), 2);
    assert_eq!((scene.failures("unauthorized"), scene.failures("throttled"), scene.all_failures()), (1, 1, 4));
    assert!(scene.is_synced());
}
