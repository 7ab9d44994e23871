//! The JSON API's OpenAPI document, compared with responses of the real binary.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::pages::{cluster, get, ready, workloads};
use crate::needs::{Test, tests};
use crate::programs::run;
use serde_json::{Value, json};
use std::path::Path;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn the_openapi_document_matches_the_responses() {
    let simulator = cluster().await;
    let podskew = ready(&simulator, &["--page-messages"]).await;
    let document: Value = serde_json::from_str(&std::fs::read_to_string("docs/api.openapi.json").unwrap()).unwrap();
    let mut asked = vec![
        ("/api/v1/summary".to_owned(), "/api/v1/summary".to_owned()),
        ("/api/v1/workloads".to_owned(), "/api/v1/workloads?state=nonsense".to_owned()),
        ("/api/v1/workloads".to_owned(), "/api/v1/workloads?limit=2".to_owned()),
        ("/api/v1/workloads/{namespace}/{type}/{name}".to_owned(), "/api/v1/workloads/a/b/c".to_owned()),
    ];
    let parameters = document["paths"]["/api/v1/workloads"]["get"]["parameters"].as_array().unwrap();
    for parameter in parameters {
        for value in parameter["schema"]["enum"].as_array().into_iter().flatten() {
            let (name, value) = (parameter["name"].as_str().unwrap(), value.as_str().unwrap());
            let path = format!("/api/v1/workloads?{name}={value}");
            assert_eq!(get(&podskew, &path).status, 200, "{path}");
            asked.push(("/api/v1/workloads".to_owned(), path));
        }
    }
    let of_workload = "/api/v1/workloads/{namespace}/{type}/{name}";
    asked.extend(workloads(&podskew).iter().map(|path| (of_workload.to_owned(), format!("/api/v1/workloads/{path}"))));
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (number, (template, path)) in asked.iter().enumerate() {
        let answer = get(&podskew, path);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let file = folder.path().join(format!("{number}.json"));
        std::fs::write(&file, json!([template, answer.status, body]).to_string()).unwrap();
        files.push(file.to_str().unwrap().to_owned());
    }
    let mut arguments = vec!["tests/programs/api.py", "docs/api.openapi.json", "docs/audit.schema.json"];
    arguments.extend(files.iter().map(String::as_str));
    let python = Path::new("target/openmetrics-venv/bin/python");
    let output = run(python, &arguments, b"", "make target/openmetrics-venv/done");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // Every path in the OpenAPI document is served, and the Markdown document names each.
    let markdown = std::fs::read_to_string("docs/api.md").unwrap();
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(markdown.contains(&format!("`{path}")), "docs/api.md does not name {path}");
    }
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap();
        assert!(markdown.contains(&format!("`{name}`")), "docs/api.md does not name the parameter {name}");
    }
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        the_openapi_document_matches_the_responses: [PYTHON],
    ]
}
