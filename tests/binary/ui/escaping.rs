//! A page has only podskew's own tags, regardless of the names and texts in it, and every query gets a response.

use super::fixed::Fixed;
use crate::common::reports::{any_report, skewed_deployment};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use podskew::report::registry::{Build, ContentChange, GoneImage, RegistryReport, RunningDigest, TagReport};
use podskew::report::{BlockReason, BlockedPods, Driver, ImageReference, Name, Origin, ReferenceKind, WorkloadReport};
use podskew::ui::{Exposure, Link, Ui, workload_path};
use proptest::prelude::*;

/// Starts a tag, ends an attribute with either quote, and starts an entity.
const HOSTILE: &str = "<zq\"zq'zq&zq;";

fn defaced(name: &Name) -> Name {
    format!("{HOSTILE}{name}\u{202e}").into()
}

/// The same report, with a hostile prefix in every text.
fn deface(mut report: WorkloadReport) -> WorkloadReport {
    let deface = |name: &mut Name| *name = defaced(name);
    deface(&mut report.workload.namespace);
    deface(&mut report.workload.workload_type);
    deface(&mut report.workload.name);
    for hash in &mut report.hashes {
        deface(&mut hash.hash);
    }
    for container in &mut report.containers {
        deface(&mut container.container);
        for of_hash in &mut container.by_hash {
            deface(&mut of_hash.hash);
            of_hash.newest_digest.iter_mut().for_each(deface);
            for digest in &mut of_hash.digests {
                deface(&mut digest.image);
                deface(&mut digest.digest);
            }
        }
    }
    for pod in &mut report.pods {
        deface(&mut pod.pod);
        deface(&mut pod.node);
        deface(&mut pod.hash);
    }
    for image in &mut report.image_references {
        deface(&mut image.container);
        deface(&mut image.image);
        deface(&mut image.pull_policy);
    }
    let text: Name = HOSTILE.into();
    report.driver = Some(Driver { kind: text.clone(), name: text.clone() });
    report.template_of = Some(text.clone());
    report.blocked = vec![BlockedPods {
        reason: BlockReason::ErrImagePull,
        pods: 1,
        pod: Some(0),
        container: text.clone(),
        image: text.clone(),
        message: text.clone(),
    }];
    report.image_references.push(ImageReference {
        container: text.clone(),
        image: text.clone(),
        reference: ReferenceKind::Latest,
        pull_policy: text.clone(),
    });
    report.registry = Some(Box::new(registry(&text)));
    report
}

fn registry(text: &Name) -> RegistryReport {
    let build = || Build {
        revision: Some(text.clone()),
        version: Some(text.clone()),
        source: Some(text.clone()),
        created: None,
    };
    RegistryReport {
        tags: vec![TagReport {
            container: text.clone(),
            image: text.clone(),
            origin: Origin::Template,
            pull_policy: text.clone(),
            change: ContentChange::Different,
            since: None,
            digest: text.clone(),
            running: vec![RunningDigest { digest: text.clone(), pods: 1, differs: true }],
        }],
        gone: vec![GoneImage {
            container: text.clone(),
            image: text.clone(),
            origin: Origin::Template,
            since: super::fixed::at(1),
        }],
        builds: vec![(text.clone(), build())],
        unanswered: vec![(text.clone(), "unreachable")],
        doubtful: vec![text.clone()],
        contradicted: Vec::new(),
        skews: Vec::new(),
    }
}

/// All pages about some reports.
fn pages(reports: Vec<WorkloadReport>, exposure: Exposure) -> Vec<String> {
    let ui = Ui::new(exposure, vec![Link::parse("<b>=https://g.example/{workload}?x={namespace}").unwrap()]);
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut paths = vec![
        ("/".to_owned(), "state=all".to_owned()),
        ("/".to_owned(), format!("q={}", encoded(HOSTILE))),
        ("/".to_owned(), format!("namespace={}&type={0}", encoded(HOSTILE))),
        ("/".to_owned(), format!("state={}", encoded(HOSTILE))),
        ("/image".to_owned(), format!("ref={}", encoded(&defaced(&"i".into())))),
        (format!("/node/{}", encoded(HOSTILE)), String::new()),
        (format!("/workload/{0}/{0}/{0}", encoded(HOSTILE)), String::new()),
    ];
    for report in &reports {
        paths.push((format!("/{}", workload_path(&report.workload)), String::new()));
        paths.extend(report.pods.first().map(|pod| (format!("/node/{}", encoded(&pod.node)), String::new())));
    }
    let mut cluster = Fixed::new(reports, exposure);
    cluster.own.waiting_for = vec![HOSTILE.to_owned()];
    cluster.own.namespaces = vec![HOSTILE.to_owned()];
    cluster.own.excluded_namespaces = vec![HOSTILE.to_owned()];
    paths.iter().map(|(path, query)| cluster.ask(&ui, path, query).1).collect()
}

#[track_caller]
fn is_escaped(page: &str) {
    for raw in ["<zq", "\"zq", "'zq", "&zq", "\u{202e}", "<b>="] {
        if let Some(at) = page.find(raw) {
            let around: String = page[at.saturating_sub(100)..].chars().take(200).collect();
            panic!("{raw:?} is not escaped in …{around}…");
        }
    }
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "{page}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_text_is_escaped(reports in proptest::collection::vec(any_report(), 1..4), pods in any::<bool>(), messages in any::<bool>()) {
        let reports: Vec<WorkloadReport> = reports.into_iter().map(deface).collect();
        for page in pages(reports, Exposure { pods, messages }) {
            is_escaped(&page);
        }
    }

    /// Every query gets a response, or an error with the reason.
    #[test]
    fn every_request_has_an_answer(path in "/[a-z0-9/%.]{0,30}", query in "([a-z]{1,9}=[^#]{0,20}&?){0,4}") {
        let cluster = Fixed::new(vec![skewed_deployment()], Exposure::ALL);
        let ui = Ui::new(Exposure::ALL, Vec::new());
        for path in [path.as_str(), "/", "/image", "/api/v1/workloads", "/api/v1/summary", "/workload/shop/deployment/web"] {
            let (status, body) = cluster.ask(&ui, path, &query);
            prop_assert!(matches!(status, 200 | 400 | 404), "{} {}", status, path);
            prop_assert!(!body.is_empty());
            if path.starts_with("/api/") {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok());
            }
        }
    }
}

#[test]
fn texts_are_cut_but_commands_are_not() {
    let mut report = skewed_deployment();
    report.image_references[0].image = "x".repeat(5_000).as_str().into();
    let page = pages(vec![report], Exposure::ALL).concat();
    assert!(page.contains(&format!(">{}…<", "x".repeat(600))) && !page.contains(&format!(">{}", "x".repeat(601))));
    assert!(page.contains(&format!("web={}@sha256:", "x".repeat(5_000))), "half of a command is not a command");
}
