//! Log lines of the watches.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use crate::common::alone::is_alone;
use crate::common::log::Log;
use crate::scripted::{Reply, Scene, Then, listed_then, quick};
use podskew::objects::Resource;
use podskew::watch::Timings;
use std::time::Duration;

const FORBIDDEN: &str = include_str!("../data/recordings/protocol/forbidden.json");

#[tokio::test]
async fn the_log_names_the_missing_rule_once() {
    if !is_alone(module_path!(), "the_log_names_the_missing_rule_once") {
        return;
    }
    let log = Log::capture();
    let forbidden = Reply::Whole(403, "", FORBIDDEN.to_owned());
    let mut replies = vec![forbidden; 40];
    replies.push(listed_then(&[], Then::Silence));
    let timings = Timings { forbidden_settles: Duration::from_millis(100), ..quick() };
    let scene = Scene::play_in(Resource::Pods, &[], timings, replies).await;
    scene.sink_gets(&["forbid", "begin", "list a", "finish"]).await;
    let log = log.text();
    let rule = r#"{apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}"#;
    assert_eq!(log.matches(rule).count(), 1, "{log}");
    assert_eq!(log.matches("API server may be starting").count(), 1, "{log}");
    let again = log.lines().filter(|line| line.contains("watch re-established") && line.contains("resource=pods"));
    assert_eq!(again.count(), 1, "{log}");
}
