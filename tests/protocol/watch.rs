//! The watches with a server that sends, over real HTTP, recorded answers of real ones, and worse.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use crate::scripted::{
    Reply, Scene, Then, bookmark, closing, event, goes_on_from, list, listed_then, page, page_before, quick, status,
    stream,
};
use podskew::objects::Resource;
use podskew::watch::Timings;
use std::time::Duration;

const STREAMING_LIST: &str = include_str!("../data/recordings/protocol/pods-streaming-list.jsonl");
const NO_STREAMING: &str = include_str!("../data/recordings/protocol/pods-streaming-list-unsupported.jsonl");
const PAGE_1: &str = include_str!("../data/recordings/protocol/pods-page-1.json");
const PAGE_2: &str = include_str!("../data/recordings/protocol/pods-page-2.json");
const TOKEN_EXPIRED: &str = include_str!("../data/recordings/protocol/pods-continue-expired.json");
const WATCH_EXPIRED: &str = include_str!("../data/recordings/protocol/pods-watch-expired.jsonl");

/// Waits for the request with this number, and checks that it is a streaming list.
async fn lists_again(scene: &Scene, request: usize) {
    let asked = scene.asks(request).await;
    assert!(asked.contains("sendInitialEvents=true"), "{asked}");
}

#[tokio::test]
async fn a_streaming_list_becomes_a_watch_that_is_resumed_where_it_ended() {
    let more = [event("MODIFIED", "b", 1060), event("DELETED", "c", 1061), bookmark(1070)].join("\n");
    let scene = Scene::play(
        Resource::Pods,
        vec![
            Reply::Stream(format!("{STREAMING_LIST}{more}\n"), Then::End),
            stream(&[event("ADDED", "d", 1071)], Then::Silence),
        ],
    )
    .await;
    scene.until("d is applied", || scene.calls().last().is_some_and(|last| last == "apply d")).await;
    let calls = scene.calls();
    assert_eq!(calls.iter().filter(|what| what.starts_with("list api-5b7b7bcf9d-")).count(), 4);
    assert_eq!(calls[5..], ["finish", "apply b", "delete c", "apply d"]);
    lists_again(&scene, 1).await;
    goes_on_from(&scene, 2, 1070).await;
    assert!(scene.is_synced());
    assert_eq!((scene.all_failures(), scene.restarts()), (0, 0));
    let events = |kind| scene.telemetry.watch_events.with_label_values(&["pods", kind]).get();
    assert_eq!((events("applied"), events("deleted"), events("bookmark")), (2, 1, 1));
    assert!(scene.telemetry.last_activity.with_label_values(&["pods"]).get() > 1e9);
}

#[tokio::test]
async fn deletions_in_a_streaming_list_apply_at_its_end() {
    let lines = [event("ADDED", "a", 5), event("ADDED", "b", 6), event("DELETED", "a", 9), closing(10)];
    let scene = Scene::play(Resource::Pods, vec![stream(&lines, Then::Silence)]).await;
    scene.sink_gets(&["begin", "list a", "list b", "finish without a"]).await;
}

#[tokio::test]
async fn a_server_that_cannot_stream_a_list_is_asked_for_pages_at_once() {
    let refusals = [
        ("the recorded ERROR event", Reply::Stream(NO_STREAMING.to_owned(), Then::End)),
        ("the gate is off", status(422)),
        ("the parameter is refused", status(400)),
        ("an ordinary bookmark", stream(&[event("ADDED", "x", 3), bookmark(4)], Then::Silence)),
    ];
    for (case, refusal) in refusals {
        let watch = stream(&[event("ADDED", "b", 1060)], Then::Silence);
        let scene = Scene::play(Resource::Pods, vec![refusal, page(PAGE_1), page(PAGE_2), watch]).await;
        scene.until(case, || scene.calls().last().is_some_and(|last| last == "apply b")).await;
        let calls = scene.calls();
        assert_eq!(calls.iter().filter(|what| what.starts_with("list api-5b7b7bcf9d-")).count(), 4, "{case}");
        assert_eq!(calls[calls.len() - 2..], ["finish", "apply b"], "{case}");
        let asked = scene.asked();
        assert!(asked[1].contains("/pods?limit=500&field"), "{case}: {}", asked[1]);
        assert!(asked[2].contains("&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEi"), "{case}: {}", asked[2]);
        goes_on_from(&scene, 4, 1053).await;
        assert_eq!((scene.all_failures(), scene.restarts()), (0, 0), "{case}");
    }
}

#[tokio::test]
async fn a_server_that_ignores_the_parameter_is_asked_for_pages_after_a_silence() {
    let plain_watch = stream(&[event("ADDED", "a", 5)], Then::Silence);
    let scene = Scene::play(Resource::Pods, vec![plain_watch, page(&list("a", 10)), Reply::Nothing]).await;
    scene.sink_gets(&["begin", "list a", "abandon", "begin", "list a", "finish"]).await;
    goes_on_from(&scene, 3, 10).await;
    assert_eq!(scene.failures("timeout"), 1);
}

#[tokio::test]
async fn an_expired_continue_token_begins_the_list_again_with_larger_pages() {
    let expired = Reply::Whole(410, "", TOKEN_EXPIRED.to_owned());
    let scene = Scene::play(Resource::Pods, vec![status(422), page(PAGE_1), expired, page(&list("a", 10))]).await;
    scene.until("the second list is complete", || scene.calls().last().is_some_and(|last| last == "finish")).await;
    let calls = scene.calls();
    assert_eq!(calls[3..], ["abandon", "begin", "list a", "finish"]);
    assert!(scene.asked()[3].contains("limit=2000&"), "{}", scene.asked()[3]);
    assert_eq!((scene.failures("expired"), scene.restarts()), (1, 1));
}

#[tokio::test]
async fn an_expired_version_leads_to_a_list() {
    for expired in [Reply::Stream(WATCH_EXPIRED.to_owned(), Then::End), status(410)] {
        let replies = vec![listed_then(&[], Then::End), expired, listed_then(&[], Then::Silence)];
        let scene = Scene::play(Resource::Pods, replies).await;
        scene.sink_gets(&["begin", "list a", "finish", "begin", "list a", "finish"]).await;
        goes_on_from(&scene, 2, 10).await;
        lists_again(&scene, 3).await;
        assert_eq!((scene.all_failures(), scene.restarts()), (1, 1));
        scene.until("it is synced again", || scene.is_synced()).await;
    }
}

#[tokio::test]
async fn a_connection_cut_in_a_line_goes_on_from_the_last_whole_one() {
    for then in [Then::Cut, Then::End] {
        let cut = Reply::Stream(format!("{}\n{}", event("ADDED", "b", 11), r#"{"type":"DELETED","obj"#), then);
        let replies = vec![listed_then(&[], Then::End), cut, stream(&[event("DELETED", "a", 12)], Then::Silence)];
        let scene = Scene::play(Resource::Pods, replies).await;
        scene.sink_gets(&["begin", "list a", "finish", "apply b", "delete a"]).await;
        goes_on_from(&scene, 3, 11).await;
        assert_eq!((scene.failures("connection"), scene.all_failures(), scene.restarts()), (1, 1, 0));
    }
}

#[tokio::test]
async fn a_line_that_cannot_be_read_leads_to_a_list() {
    let truncated = r#"{"type":"DELETED","object":{"metadata":{"na"#.to_owned();
    let replies = vec![listed_then(&[truncated, event("ADDED", "b", 12)], Then::End), listed_then(&[], Then::Silence)];
    let scene = Scene::play(Resource::Pods, replies).await;
    scene.sink_gets(&["begin", "list a", "finish", "begin", "list a", "finish"]).await;
    assert_eq!((scene.failures("decode"), scene.all_failures()), (1, 1));
}

#[tokio::test]
async fn an_unreadable_object_is_left_out_and_its_resource_not_synced() {
    let bad = || stream(&[event("ADDED", "a", 5), "{\"type\":".to_owned(), closing(10)], Then::Silence);
    let scene = Scene::play(Resource::Pods, vec![bad(), bad(), bad(), bad()]).await;
    let mut expected = vec![];
    for _ in 0..3 {
        expected.extend(["begin", "list a", "abandon"]);
    }
    expected.extend(["begin", "list a", "finish"]);
    scene.sink_gets(&expected).await;
    assert_eq!(scene.failures("decode"), 4);
    assert!(!scene.is_synced());
}

#[tokio::test]
async fn a_watch_that_goes_silent_goes_on_and_one_that_never_spoke_lists() {
    let replies = vec![
        listed_then(&[], Then::End),
        stream(&[event("ADDED", "b", 11)], Then::Silence),
        stream(&[], Then::Silence),
        listed_then(&[], Then::Silence),
    ];
    let scene = Scene::play(Resource::Pods, replies).await;
    goes_on_from(&scene, 3, 11).await;
    lists_again(&scene, 4).await;
    scene.sink_gets(&["begin", "list a", "finish", "apply b", "begin", "list a", "finish"]).await;
    // The second list is older than the last event of the watch, a sign of a restored etcd.
    assert_eq!((scene.failures("timeout"), scene.failures("timeline_lost"), scene.all_failures()), (2, 1, 3));
}

#[tokio::test]
async fn an_event_that_never_ends_is_no_sign_of_life() {
    let replies = vec![
        listed_then(&[], Then::End),
        Reply::Stream(r#"{"type":"ADDED","object":""#.to_owned(), Then::Trickle),
        listed_then(&[], Then::Silence),
    ];
    let scene = Scene::play(Resource::Pods, replies).await;
    scene.sink_gets(&["begin", "list a", "finish", "begin", "list a", "finish"]).await;
    assert_eq!((scene.failures("timeout"), scene.all_failures()), (1, 1));
}

#[tokio::test]
async fn watches_that_end_at_once_and_bring_nothing_are_not_healthy() {
    let timings = Timings { healthy: Duration::from_millis(250), watch_idle: Duration::from_secs(5), ..quick() };
    let nothing = || stream(&[], Then::End);
    let mut replies = vec![listed_then(&[], Then::End), nothing(), nothing()];
    replies.extend([listed_then(&[], Then::End), nothing(), nothing()]);
    // A quiet watch that stays open is as good as one with events.
    replies.push(listed_then(&[], Then::Silence));
    let scene = Scene::play_in(Resource::Pods, &[], timings, replies).await;
    lists_again(&scene, 4).await;
    lists_again(&scene, 7).await;
    scene.until("three lists", || scene.calls().len() == 9).await;
    assert!(!scene.is_synced(), "the next watch may fail, too");
    assert_eq!((scene.failures("connection"), scene.all_failures(), scene.restarts()), (2, 2, 2));
    scene.until("an open watch", || scene.is_synced()).await;

    let mut replies = vec![listed_then(&[], Then::End), nothing(), nothing()];
    replies.push(listed_then(&[bookmark(11)], Then::Silence));
    let scene = Scene::play(Resource::Pods, replies).await;
    lists_again(&scene, 4).await;
    scene.until("a bookmark", || scene.is_synced()).await;
    // One of three is sufficient.
    let replies = vec![listed_then(&[], Then::End), nothing(), stream(&[bookmark(11)], Then::End), nothing()];
    let scene = Scene::play(Resource::Pods, replies).await;
    goes_on_from(&scene, 5, 11).await;
    assert_eq!(scene.all_failures(), 0);
}

/// How often a server whose list never ends is asked within two seconds. Its answers are repeated.
async fn requests_for_an_endless_list(pages: &[Reply]) -> Scene {
    let timings = Timings { pause_base: Duration::from_millis(100), pause_most: Duration::from_secs(1), ..quick() };
    let mut replies = vec![status(422)];
    replies.extend(pages.iter().cycle().take(5_000).cloned());
    let scene = Scene::play_in(Resource::Pods, &[], timings, replies).await;
    scene.until("failures", || scene.failures("decode") >= 1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(scene.asked().len() < 80, "asked {} times", scene.asked().len());
    assert!(!scene.is_synced());
    assert!(!scene.calls().contains(&"finish".to_owned()), "{:?}", scene.calls());
    scene
}

#[tokio::test]
async fn a_list_that_never_ends_is_detected_and_retried_with_pauses() {
    // A, B, A; and one that repeats later.
    requests_for_an_endless_list(&[page_before("A", Some("a")), page_before("B", Some("b"))]).await;
    let circle: Vec<Reply> = ["A", "B", "C", "B"].map(|token| page_before(token, Some(token))).into();
    requests_for_an_endless_list(&circle).await;
    let empty: Vec<Reply> = (0..5_000).map(|number| page_before(&format!("t{number}"), None)).collect();
    requests_for_an_endless_list(&empty).await;
}

#[tokio::test]
async fn a_list_that_never_begins_or_never_ends_is_given_up() {
    let half = Reply::Whole(200, "Content-Length: 900\r\n", String::new());
    let replies = vec![status(422), Reply::Nothing, half, page(&list("a", 10))];
    let scene = Scene::play(Resource::DaemonSets, replies).await;
    scene.until("the list is complete", || scene.calls().last().is_some_and(|last| last == "finish")).await;
    assert!(scene.all_failures() >= 2, "{}", scene.all_failures());
}

#[tokio::test]
async fn a_list_that_is_too_slow_is_given_up() {
    let timings = Timings { list_total: Duration::from_millis(100), ..quick() };
    let replies = vec![stream(&[event("ADDED", "a", 5)], Then::Silence), page(&list("a", 10))];
    let scene = Scene::play_in(Resource::Pods, &[], timings, replies).await;
    scene.sink_gets(&["begin", "list a", "abandon", "begin", "list a", "finish"]).await;
    assert_eq!(scene.failures("timeout"), 1);
}

#[tokio::test]
async fn a_server_that_fails_every_watch_gets_a_list_request() {
    let failing = || Reply::Stream(NO_STREAMING.to_owned(), Then::End);
    let mut replies = vec![listed_then(&[], Then::End), failing(), failing(), failing()];
    replies.push(listed_then(&[], Then::Silence));
    let scene = Scene::play(Resource::Pods, replies).await;
    lists_again(&scene, 5).await;
    scene.sink_gets(&["begin", "list a", "finish", "begin", "list a", "finish"]).await;
    assert_eq!(scene.failures("server_error"), 3);
}

#[tokio::test]
async fn a_server_set_back_to_an_older_state_is_listed_again() {
    for older in [event("MODIFIED", "a", 7), bookmark(7)] {
        let replies =
            vec![listed_then(&[], Then::End), stream(&[older], Then::Silence), listed_then(&[], Then::Silence)];
        let scene = Scene::play(Resource::Pods, replies).await;
        scene.sink_gets(&["begin", "list a", "finish", "begin", "list a", "finish"]).await;
        assert_eq!(scene.failures("timeline_lost"), 1);
    }
}

#[tokio::test]
async fn namespaces_are_watched_each_by_itself_and_count_as_one() {
    let replies = vec![listed_then(&[], Then::Silence), Reply::Nothing];
    let timings = Timings { answer: Duration::from_secs(60), ..quick() };
    let scene = Scene::play_in(Resource::Pods, &["shop", "bank"], timings, replies).await;
    scene.sink_gets(&["begin", "list a", "finish"]).await;
    scene.asks(2).await;
    let mut asked: Vec<String> = scene.asked().iter().map(|uri| uri.split('?').next().unwrap().to_owned()).collect();
    asked.sort();
    assert_eq!(asked, ["/api/v1/namespaces/bank/pods", "/api/v1/namespaces/shop/pods"]);
    assert!(!scene.is_synced(), "one of the two has not answered");
}

#[tokio::test]
async fn the_watches_end_when_they_are_dropped() {
    let mut scene = Scene::play(Resource::Pods, vec![listed_then(&[], Then::Silence)]).await;
    scene.sink_gets(&["begin", "list a", "finish"]).await;
    scene.watches = None;
    scene.until("every connection is closed", || scene.open_connections() == 0).await;
}

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf, application/json";

#[tokio::test]
async fn protobuf_is_requested_for_supported_resources() {
    for (resource, accept) in [
        (Resource::Pods, PROTOBUF),
        (Resource::ReplicaSets, PROTOBUF),
        (Resource::Deployments, PROTOBUF),
        // Templates in a ControllerRevision are JSON, and are compared with those of this resource.
        (Resource::StatefulSets, "application/json"),
        (Resource::DaemonSets, "application/json"),
        (Resource::ControllerRevisions, "application/json"),
        (Resource::Rollouts, "application/json"),
        (Resource::CloneSets, "application/json"),
    ] {
        // A server that responds with JSON works, too.
        let scene = Scene::play(resource, vec![listed_then(&[event("ADDED", "b", 11)], Then::Silence)]).await;
        scene.sink_gets(&["begin", "list a", "finish", "apply b"]).await;
        assert_eq!(scene.accepts(), [accept], "{resource}");
    }
}

#[tokio::test]
async fn unreadable_protobuf_is_requested_as_json() {
    let garbled = || {
        let content_type = "Content-Type: application/vnd.kubernetes.protobuf;stream=watch\r\n";
        Reply::Whole(200, content_type, "\0\0\0\u{5}\n\u{4}what".to_owned())
    };
    // A single time may be an accident.
    let json = || listed_then(&[], Then::Silence);
    let scene = Scene::play(Resource::Pods, vec![garbled(), json()]).await;
    scene.sink_gets(&["begin", "abandon", "begin", "list a", "finish"]).await;
    assert_eq!(scene.accepts(), [PROTOBUF, PROTOBUF]);
    assert_eq!((scene.failures("decode"), scene.is_synced()), (1, true));
    let scene = Scene::play(Resource::Pods, vec![garbled(), garbled(), garbled(), json()]).await;
    let abandoned = ["begin", "abandon"].repeat(3);
    scene.sink_gets(&[&abandoned[..], &["begin", "list a", "finish"]].concat()).await;
    assert_eq!(scene.accepts(), [PROTOBUF, PROTOBUF, PROTOBUF, "application/json"]);
    assert_eq!((scene.failures("decode"), scene.is_synced()), (3, true), "nothing was left out");
}
