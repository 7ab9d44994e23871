//! The alerts: generated from one source, and asked with promtool when they fire, when not, and what they say.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod programs;
mod rules;

use podskew::exposition::{FAMILIES, docs::HEALTH_FAMILIES};
use regex::Regex;
use rules::{path, source};
use std::collections::BTreeSet;

/// Writes the generated files anew where `UPDATE_DOCS` asks for it.
#[test]
fn the_rules_are_what_their_source_says() {
    for (name, text) in source().files() {
        let path = path("alerts").join(name);
        if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
            // In one step: other tests read the file meanwhile.
            let new = path.with_extension("new");
            std::fs::write(&new, &text).unwrap();
            std::fs::rename(&new, &path).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "alerts/{name} is not what alerts/source.yaml says: make docs");
    }
}

#[track_caller]
fn promtool_agrees(arguments: &[&str]) {
    let output = programs::promtool(arguments, b"");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// The names of the files of a folder, without their ending.
fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(path(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect()
}

#[test]
fn promtool_accepts_the_rules() {
    promtool_agrees(&["check", "rules", path("alerts/podskew.rules.yaml").to_str().unwrap()]);
}

/// What the README tells to put into Prometheus' configuration.
#[test]
fn promtool_accepts_the_readmes_configuration() {
    let readme = std::fs::read_to_string(path("README.md")).unwrap();
    let block = Regex::new("(?s)```yaml\n# prometheus.yml\n(.*?)```").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("prometheus.yml");
    std::fs::write(&config, &block.captures(&readme).unwrap()[1]).unwrap();
    std::fs::copy(path("alerts/podskew.rules.yaml"), directory.path().join("podskew.rules.yaml")).unwrap();
    promtool_agrees(&["check", "config", config.to_str().unwrap()]);
}

/// Just before it fires, just after, its end, and what must not fire: see the files.
#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    let files = names("alerts/tests", ".yaml").into_iter().map(|name| path("alerts/tests").join(name + ".yaml"));
    let files: Vec<String> = files.map(|file| file.to_str().unwrap().to_owned()).collect();
    let mut arguments = vec!["test", "rules"];
    arguments.extend(files.iter().map(String::as_str));
    promtool_agrees(&arguments);
}

#[test]
fn every_alert_has_a_test_and_a_runbook() {
    let alerts: BTreeSet<String> = source().alerts.into_iter().map(|alert| alert.name).collect();
    assert!(alerts.len() >= 13, "{alerts:?}");
    assert_eq!(names("alerts/tests", ".yaml"), alerts, "a file of tests for each alert");
    let mut runbooks = names("docs/runbooks", ".md");
    assert!(runbooks.remove("README"), "docs/runbooks/README.md, about causes and prevention");
    assert_eq!(runbooks, alerts, "a runbook for each alert");
    for alert in &alerts {
        let tests = std::fs::read_to_string(path("alerts/tests").join(format!("{alert}.yaml"))).unwrap();
        for needed in [
            format!("alertname: {alert}\n    exp_alerts:\n    - exp_labels"),
            format!("alertname=\"{alert}\""),
            "exp_samples: []".to_owned(),
            "never fire".to_owned(),
            "a gap".to_owned(),
        ] {
            assert!(tests.contains(&needed), "alerts/tests/{alert}.yaml has no {needed:?}");
        }
        let runbook = std::fs::read_to_string(path("docs/runbooks").join(format!("{alert}.md"))).unwrap();
        let headings: Vec<&str> = runbook.lines().filter(|line| line.starts_with('#')).collect();
        let expected = [&format!("# {alert}")[..], "## Meaning", "## Impact", "## Diagnosis", "## Remedy"];
        assert_eq!(headings, expected, "docs/runbooks/{alert}.md");
        assert!(runbook.contains("](README.md"), "docs/runbooks/{alert}.md does not lead to causes and prevention");
    }
}

/// Labels that a scrape, or whoever brings clusters together, adds.
const FROM_OUTSIDE: [&str; 4] = ["cluster", "namespace", "pod", "instance"];

#[test]
fn every_metric_and_label_of_the_rules_exists() {
    let rules = source().rules();
    let selector = Regex::new(r"(podskew_[a-z_]+[a-z])(?:\{([^}]*)\})?").unwrap();
    let matcher = Regex::new(r#"([a-z_]+)(?:=~|!=|!~|=)[\\"%]"#).unwrap();
    let mut seen = 0;
    for found in selector.captures_iter(&rules) {
        let name = &found[1];
        let family = FAMILIES.iter().find(|family| family.name == name);
        let health = HEALTH_FAMILIES.iter().find(|family| family.name == name);
        let mut labels: Vec<&str> = FROM_OUTSIDE.to_vec();
        match (family, health) {
            (Some(family), _) => labels.extend(family.subject_labels().iter().chain(family.labels)),
            (_, Some(health)) => labels.extend(health.labels),
            _ => panic!("{name} is no metric of podskew"),
        }
        for found in matcher.captures_iter(found.get(2).map_or("", |matchers| matchers.as_str())) {
            assert!(labels.contains(&found.get(1).unwrap().as_str()), "{name} has no label {}", &found[1]);
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}
