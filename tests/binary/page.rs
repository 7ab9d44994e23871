//! The page and the JSON API: through the real binary with a simulated cluster, and through the module that renders them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::exporter::shop;
use crate::common::http::{ask, asked, stream};
use crate::common::pages::{cluster, get, json_of, ready, workloads};
use crate::common::running::{POLL_INTERVAL, Running, TIMEOUT};
use serde_json::{Value, json};
use simulator::{Fault, Resource, Simulator};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

/// Every linked page and every document of the API.
fn every_path(podskew: &Running) -> Vec<String> {
    let mut paths: Vec<String> =
        ["/", "/?state=all", "/?q=web", "/api/v1/summary", "/api/v1/workloads", "/api/v1/workloads?state=all"]
            .map(str::to_owned)
            .to_vec();
    for path in workloads(podskew) {
        paths.push(format!("/workload/{path}"));
        paths.push(format!("/api/v1/workloads/{path}"));
    }
    paths
}

/// The output of a command for the same cluster.
fn printed(simulator: &Simulator, arguments: &[&str]) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), simulator.kubeconfig()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
    let output =
        command.args(arguments).args(["-o", "json", "--kubeconfig"]).arg(file.path()).env_clear().output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_agrees_with_the_commands() {
    let simulator = cluster().await;
    let podskew = ready(&simulator, &["--page-messages"]).await;
    let audit = printed(&simulator, &["audit", "-A"]);
    let served = json_of(&podskew, "/api/v1/workloads?state=all&limit=500");
    let (expected, found) = (audit["workloads"].as_array().unwrap(), served["workloads"].as_array().unwrap());
    assert!(expected.len() > 5, "{audit}");
    for (expected, found) in expected.iter().zip(found) {
        let mut found = found.clone();
        if expected["uniform"] == true {
            // An audit omits the pods of uniform workloads.
            found["pods"] = json!([]);
        }
        assert_eq!(expected, &found);
    }
    assert_eq!(expected.len(), found.len());
    let summary = json_of(&podskew, "/api/v1/summary");
    for total in ["workloads", "uniform", "failed", "findings"] {
        assert_eq!(summary["totals"][total], audit["totals"][total], "{total}");
    }
    assert_eq!(summary["verdict"], audit["verdict"]);

    for path in workloads(&podskew) {
        let [namespace, workload_type, name] = path.split('/').collect::<Vec<_>>().try_into().unwrap();
        let explained = printed(&simulator, &["explain", "-n", namespace, &format!("{workload_type}/{name}")]);
        let mut expected = explained["workloads"][0].clone();
        let mut found = json_of(&podskew, &format!("/api/v1/workloads/{path}"))["workloads"][0].clone();
        // `serve` does not keep images of a Deployment's older templates.
        for revisions in [&mut expected["history"], &mut found["history"]] {
            revisions.as_array_mut().unwrap().iter_mut().for_each(|revision| revision["images"] = json!([]));
        }
        assert_eq!(expected, found, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_changes_with_the_cluster_and_not_with_the_clock() {
    let simulator = shop(false).await;
    let podskew = ready(&simulator, &[]).await;
    let path = "/api/v1/workloads/shop/deployment/web";
    let first = get(&podskew, path);
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let again = get(&podskew, path);
    assert_eq!((&again.body, again.header("etag").unwrap()), (&first.body, tag.as_str()));
    for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let known = ask(podskew.address(), path, &[("If-None-Match", &known)]);
        assert_eq!((known.status, known.body.as_str()), (304, ""));
    }
    // The validator depends on the representation, the query and the process; equal queries have the same.
    let listed = |query: &str| get(&podskew, &format!("/api/v1/workloads?{query}")).header("etag").unwrap().to_owned();
    assert_eq!(listed("state=all&q=web"), listed("q=web&page=1&utm_source=x"));
    assert_ne!(listed("state=all"), listed("state=uniform"));
    let plain = asked(podskew.address(), "GET", path, &[]);
    assert_ne!(plain.header("etag").unwrap(), tag, "the same without gzip");
    let other = ready(&simulator, &[]).await;
    assert_ne!(get(&other, path).header("etag").unwrap(), tag);

    let (namespace, name) = ("shop", "web");
    let mut deployment = simulator.store().get(Resource::Deployments, namespace, name).unwrap();
    deployment["spec"]["paused"] = json!(true);
    simulator.store().put(Resource::Deployments, deployment);
    let begun = Instant::now();
    while get(&podskew, path).header("etag") == Some(tag.as_str()) {
        assert!(begun.elapsed() < TIMEOUT, "the change is not visible");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workloads_are_listed_page_by_page_and_none_twice() {
    let simulator = cluster().await;
    let podskew = ready(&simulator, &[]).await;
    for sort in ["worst", "-worst", "workload", "-workload", "since", "-pods"] {
        let all = json_of(&podskew, &format!("/api/v1/workloads?state=all&sort={sort}"));
        let names = |listing: &Value| -> Vec<String> {
            listing["workloads"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| format!("{}/{}", it["namespace"], it["workload"]))
                .collect()
        };
        let (mut seen, mut next) = (Vec::new(), String::new());
        loop {
            let part = json_of(&podskew, &format!("/api/v1/workloads?state=all&sort={sort}&limit=2{next}"));
            seen.extend(names(&part));
            let Some(token) = part["continue"].as_str() else { break };
            next = format!("&continue={}", token.replace('%', "%25"));
        }
        assert_eq!(seen, names(&all), "{sort}");
        assert_eq!(all["selected"], seen.len());
    }
    let searched = json_of(&podskew, "/api/v1/workloads?q=NOTHING-LIKE-IT");
    assert_eq!((&searched["selected"], &searched["continue"]), (&json!(0), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_messages_are_only_in_allowed_places() {
    let simulator = cluster().await;
    let store = simulator.store();
    let pods: Vec<Value> = store.list(Resource::Pods);
    let names: BTreeSet<String> = pods
        .iter()
        .flat_map(|pod| [&pod["metadata"]["name"], &pod["spec"]["nodeName"]])
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let messages: BTreeSet<&str> = pods
        .iter()
        .flat_map(|pod| pod["status"]["containerStatuses"].as_array().unwrap())
        .filter_map(|status| status["state"]["waiting"]["message"].as_str())
        .map(|message| message.split('"').next().unwrap())
        .collect();
    assert!(names.len() > 20 && !messages.is_empty(), "{names:?} {messages:?}");
    for (arguments, shows_names, shows_messages) in [
        (&[][..], true, false),
        (&["--page-messages"], true, true),
        (&["--metric-denylist", "podskew_pod_info"], false, false),
        (&["--metric-denylist", "podskew_pod_info", "--page-messages"], false, true),
    ] {
        let podskew = ready(&simulator, arguments).await;
        let all: String = every_path(&podskew).iter().map(|path| get(&podskew, path).body).collect();
        let shown =
            names.iter().filter(|name| all.contains(&format!(">{name}<")) || all.contains(&format!("\"{name}\"")));
        assert_eq!(shown.count() > 20, shows_names, "{arguments:?}");
        if !shows_names {
            let leaked: Vec<_> = names.iter().filter(|name| all.contains(name.as_str())).collect();
            assert!(leaked.is_empty(), "{leaked:?}");
            assert_eq!(get(&podskew, "/node/x").status, 404);
        }
        assert_eq!(messages.iter().any(|message| all.contains(message)), shows_messages, "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_authenticated_clients_see_everything() {
    let simulator = cluster().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.yaml");
    // Output of `htpasswd -nbBC 4 anna secret`.
    let hash = "$2y$04$C93bpfKFC7yUi0AMe8IdF.jbBKi4J9s6UR3jrrt22Vk6VtUMAnClW";
    std::fs::write(&file, format!("basic_auth_users: {{anna: \"{hash}\"}}\n")).unwrap();
    let arguments = ["--web-config-file", file.to_str().unwrap(), "--metric-denylist", "podskew_pod_info"];
    let podskew = ready(&simulator, &arguments).await;
    for path in ["/", "/api/v1/summary", "/events", "/workload/a/b/c", "/node/a", "/static/x"] {
        assert_eq!(get(&podskew, path).status, 401, "{path}");
    }
    let ask_as_anna = |path: &str| ask(podskew.address(), path, &[("Authorization", "Basic YW5uYTpzZWNyZXQ=")]);
    let stuck = ask_as_anna("/api/v1/workloads/stuck/deployment/api");
    let pod =
        simulator.store().list(Resource::Pods).into_iter().find(|pod| pod["metadata"]["namespace"] == "stuck").unwrap();
    assert_eq!(stuck.status, 200, "{}", stuck.body);
    assert!(
        stuck.body.contains(pod["metadata"]["name"].as_str().unwrap()) && stuck.body.contains("Back-off pulling image")
    );
    // The configuration required a password, so the page must not become readable without one.
    std::fs::write(&file, "rate_limit: {interval: 1ms, burst: 1000}\n").unwrap();
    podskew.until_answered("/", |status, body| status == 503 && body.contains("no longer requires credentials")).await;
    assert_eq!((get(&podskew, "/events").status, get(&podskew, "/metrics").status), (503, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_has_an_address_of_its_own_a_name_or_none() {
    let simulator = shop(true).await;
    let off = ready(&simulator, &["--page", "off"]).await;
    assert!(get(&off, "/").body.contains(": for Prometheus<"), "the landing page");
    for path in ["/api/v1/summary", "/workload/shop/deployment/web", "/events", "/static/x"] {
        assert_eq!(get(&off, path).status, 404, "{path}");
    }
    let own = ready(&simulator, &["--page", "127.0.0.1:0"]).await;
    own.until_logged("serving the page at http://").await;
    let log = own.log();
    let address = log.split_once("serving the page at http://").unwrap().1.split_once('/').unwrap().0;
    assert!(get(&own, "/").body.contains(": for Prometheus<"));
    assert_eq!(get(&own, "/api/v1/summary").status, 404);
    for (path, status) in [("/", 200), ("/api/v1/summary", 200), ("/metrics", 404), ("/readyz", 200), ("/livez", 200)] {
        assert_eq!(ask(address, path, &[]).status, status, "{path}");
    }
    let named = ready(&simulator, &["--page-host", "podskew.example", "--page-host", "other.example"]).await;
    for (host, status) in [
        ("podskew.example:8080", 200),
        ("OTHER.example", 200),
        ("localhost:1234", 200),
        ("[::1]:80", 200),
        ("127.0.0.1", 200),
        ("evil.example", 421),
    ] {
        for path in ["/", "/api/v1/summary", "/events"] {
            if path != "/events" || status == 421 {
                assert_eq!(ask(named.address(), path, &[("Host", host)]).status, status, "{host} {path}");
            }
        }
        assert_eq!(ask(named.address(), "/metrics", &[("Host", host)]).status, 200, "no browser reads metrics: {host}");
    }
}

#[test]
fn nonsensical_options_are_refused() {
    for (arguments, words) in [
        (&["--page", "sometimes"][..], &["--page", "neither on nor off"][..]),
        (&["--page", "off", "--page-messages"], &["--page-messages needs the page", "--page is off"]),
        (&["--page", ":8080"], &["is the address of --listen-address"]),
        (&["--page-host", "https://x.example"], &["--page-host", "not a host name"]),
        (&["--page-url", "podskew.example"], &["--page-url", "https://"]),
        (&["--link", "Grafana=https://g.example/{pod}"], &["--link", "{pod} is not a placeholder", "{workload_type}"]),
        (&["--link", "Evil=javascript:alert(1)"], &["--link", "neither with https:// nor with http://"]),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_podskew")).args(arguments).env_clear().output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{arguments:?}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_locked_down() {
    let simulator = shop(true).await;
    let podskew = ready(&simulator, &["--link", "Grafana=https://g.example/?ns={namespace}"]).await;
    let page = get(&podskew, "/workload/shop/deployment/web");
    assert!(page.body.contains("href=\"https://g.example/?ns=shop\" rel=\"noreferrer\""), "{}", page.body);
    let mut paths = every_path(&podskew);
    let assets: Vec<&str> = page.body.split('"').filter_map(|it| it.strip_prefix("../../../static/")).collect();
    assert_eq!(assets.len(), 3, "{}", page.body);
    paths.extend(assets.iter().map(|name| format!("/static/{name}")));
    for path in &paths {
        let answer = get(&podskew, path);
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        let is_asset = path.starts_with("/static/");
        assert_eq!(answer.header("cache-control").unwrap().contains("immutable"), is_asset, "{path}");
        let plain = asked(podskew.address(), "GET", path, &[]);
        assert_eq!(plain.header("content-encoding"), None);
        if path.starts_with("/api") || is_asset {
            assert_eq!(plain.body, answer.body, "{path}");
        }
        let head = asked(podskew.address(), "HEAD", path, &[]);
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(asked(podskew.address(), "POST", path, &[]).status, 405);
        // No page has inline code or style, or requests anything from another site.
        if !path.starts_with("/api") && !is_asset {
            for forbidden in
                ["style=\"", "<style", "onclick", "<script>", "src=\"http", "<link rel=\"stylesheet\" href=\"http"]
            {
                assert!(!answer.body.contains(forbidden), "{path} has {forbidden}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_is_sent_to_open_streams() {
    let simulator = shop(true).await;
    let mut podskew = ready(&simulator, &[]).await;
    let mut watched = stream(podskew.address());
    let hello = watched.event();
    assert!(hello.starts_with("event: hello\ndata: {\"generation\":"), "{hello}");
    // Changes within a second are one event, which names the workload.
    let reader = std::thread::spawn(move || {
        let (begun, mut told) = (Instant::now(), Vec::new());
        while begun.elapsed() < Duration::from_secs(5) {
            let event = watched.event_within(Duration::from_millis(50));
            told.extend(event.map(|event| (begun.elapsed(), event)));
        }
        (watched, told)
    });
    for paused in [true, false, true, false, true] {
        let mut deployment = simulator.store().get(Resource::Deployments, "shop", "web").unwrap();
        deployment["spec"]["paused"] = json!(paused);
        simulator.store().put(Resource::Deployments, deployment);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (mut watched, told) = reader.join().unwrap();
    assert!(!told.is_empty() && told.len() <= 5, "{told:?}");
    assert!(told.iter().all(|(_, event)| event.contains("\"changed\":[\"shop/deployment/web\"]")), "{told:?}");
    // On a busy machine an event may be late, and the next one on time.
    assert!(told.windows(2).all(|pair| pair[1].0 > pair[0].0 + Duration::from_millis(700)), "{told:?}");

    let mut others: Vec<_> = (0..7).map(|_| stream(podskew.address())).collect();
    assert!(others.iter_mut().all(|other| other.event().starts_with("event: hello")));
    let ninth = ask(podskew.address(), "/events", &[]);
    assert_eq!((ninth.status, ninth.body.as_str()), (204, ""), "at most eight per address");
    let answering = podskew.scrape().parsed.value("podskew_http_connections", &[("state", "answering")]);
    assert_eq!(answering, Some(1.0), "streams do not count as connections");
    // A disconnected client frees its slot at once.
    others.pop();
    let begun = Instant::now();
    let mut again = loop {
        let mut again = stream(podskew.address());
        if again.status() == 200 {
            break again;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "the slot is not freed");
        tokio::time::sleep(POLL_INTERVAL).await;
    };
    assert!(again.event().starts_with("event: hello"));

    let begun = Instant::now();
    assert!(podskew.ends_after_sigterm(), "{}", podskew.log());
    assert!(begun.elapsed() < Duration::from_secs(3), "streams delay the shutdown: {:?}", begun.elapsed());
    assert!(watched.ends(), "a proper end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_get_a_link_to_the_page_if_its_url_is_set() {
    let simulator = shop(true).await;
    let why = |podskew: &Running| {
        let scrape = podskew.scrape();
        let remedies = scrape.parsed.series("podskew_remedy_info", &[("finding", "digest_skew")]);
        remedies[0].0.iter().find(|(label, _)| *label == "why").unwrap().1.to_owned()
    };
    let plain = why(&ready(&simulator, &[]).await);
    let linked = ready(&simulator, &["--page-url", "https://tools.example/podskew/"]).await;
    let link = " Seen at https://tools.example/podskew/workload/shop/deployment/web (podskew's page).";
    assert_eq!(why(&linked), format!("{plain}{link}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_initial_sync_the_page_shows_what_is_missing() {
    let simulator = cluster().await;
    simulator.inject(Some(Resource::Pods), Fault::Status(403));
    let podskew = Running::start(&simulator, &[]);
    podskew.until_answered("/", |status, body| status == 200 && body.contains("pods: forbidden")).await;
    let summary = json_of(&podskew, "/api/v1/summary");
    assert_eq!((&summary["ready"], &summary["totals"]), (&json!(false), &Value::Null));
    assert!(summary["waiting_for"][0].as_str().unwrap().starts_with("pods: forbidden"), "{summary}");
    assert_eq!(get(&podskew, "/api/v1/workloads").status, 503);
    assert_eq!(get(&podskew, "/workload/shop/deployment/web").status, 404);
}

/// 150 000 pods are 6 000 workloads. Times depend on a release build; the counts here do not.
#[test]
fn a_large_cluster_has_a_small_overview() {
    let report = |number: u32| {
        let mut report = crate::common::reports::skewed_deployment();
        report.workload.namespace = format!("team-{}", number % 40).as_str().into();
        report.workload.name = format!("service-{number:05}").as_str().into();
        let image: podskew::report::Name = format!("registry.example/team/service-{number:05}:1.4").as_str().into();
        report.image_references[0].image = image.clone();
        for digest in report.containers.iter_mut().flat_map(|it| &mut it.by_hash).flat_map(|it| &mut it.digests) {
            digest.digest =
                format!("sha256:{}", digest.digest.trim_start_matches("sha256:").repeat(32)).as_str().into();
            digest.image = image.clone();
        }
        report
    };
    let cluster = crate::ui::fixed::Fixed::new((0..6_000).map(report).collect(), podskew::ui::Exposure::ALL);
    let page = podskew::ui::Ui::new(podskew::ui::Exposure::ALL, Vec::new());
    let begun = Instant::now();
    let (status, body) = cluster.ask(&page, "/", "");
    let took = begun.elapsed();
    println!("{} bytes in {took:?}", body.len());
    assert_eq!((status, body.matches("<tr>").count()), (200, 1 + 100 + 1 + 1), "a hundred rows a page");
    assert!(body.len() < 100_000, "{} bytes", body.len());
    let (_, last) = cluster.ask(&page, "/", "page=60");
    assert!(last.contains("5\u{202f}901 to 6\u{202f}000") && !last.contains("rel=\"next\""), "{last}");
}
