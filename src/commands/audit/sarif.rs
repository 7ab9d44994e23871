//! An audit for code scanning: SARIF 2.1.0, one result per finding.
//!
//! Readers require a file for each result. A workload has no file, so the path is `shop/deployment/web`.

use super::describe::{stories, subject, title};
use super::junit::lines;
use super::{Audit, fails, object};
use crate::advice::Finding;
use crate::json::{moment, printed};
use crate::terminal::humanize::visible;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Every rule, with a link to its documentation.
const RULES: [(Finding, &str); 11] = [
    (Finding::DigestSkew, "Replicas of one pod template run different digests of an image."),
    (Finding::Stalled, "A rollout does not continue by itself."),
    (Finding::UnderWay, "A rollout is in progress."),
    (Finding::HashesMixed, "Several template hashes run side by side, for an unknown reason."),
    (Finding::NotAvailable, "Desired pods are missing or not available."),
    (Finding::InjectedSkew, "Replicas run different digests of an injected container's image."),
    (
        Finding::UnknownSkew,
        "Replicas run different digests, which may be names of one image, or of a container that the template may not have.",
    ),
    (Finding::ImageGone, "An image of the template is gone from its registry."),
    (Finding::TagMoved, "A tag of the template points to another image than its pods run."),
    (Finding::Held, "The workload is held on purpose between two templates."),
    (Finding::NotCompared, "What pods run, or the state of their rollout, is unknown."),
];

const DOCUMENTED: &str = "https://github.com/podskew/podskew/blob/main/docs/audit.md";

pub(super) fn write(audit: &Audit, out: &mut dyn Write) -> io::Result<()> {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|(finding, text)| {
            json!({
                "id": finding.as_str(), "name": title(*finding), "shortDescription": {"text": text},
                "helpUri": DOCUMENTED, "defaultConfiguration": {"level": level(fails(*finding, audit.strictness))},
            })
        })
        .collect();
    let mut results = Vec::new();
    for found in &audit.found {
        for (finding, story) in found.findings.iter().zip(stories(found, audit.taken)) {
            let workload = &found.report.workload;
            let address = format!("{}/{}", workload.namespace, object(&found.report));
            let text: String = format!("{}: {}", subject(&found.report), lines(&story)).chars().map(visible).collect();
            results.push(json!({
                "ruleId": finding.as_str(),
                "ruleIndex": RULES.iter().position(|(rule, _)| rule == finding),
                "level": level(fails(*finding, audit.strictness)),
                "message": {"text": text.trim_end()},
                "locations": [{
                    "physicalLocation": {"artifactLocation": {"uri": uri(&address)}},
                    "logicalLocations": [{"fullyQualifiedName": address, "name": &*workload.name, "kind": "resource"}],
                }],
                "partialFingerprints": {"workloadAndFinding/v1": format!("{address}/{}", finding.as_str())},
            }));
        }
    }
    let notes: Vec<Value> =
        audit.notes.iter().map(|note| json!({"level": "note", "message": {"text": note}})).collect();
    let document = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "podskew", "semanticVersion": env!("CARGO_PKG_VERSION"), "informationUri": DOCUMENTED, "rules": rules,
            }},
            "invocations": [{
                "executionSuccessful": true, "exitCode": audit.verdict.exit_code(), "endTimeUtc": moment(audit.taken.at),
                "toolExecutionNotifications": notes,
            }],
            "results": results,
        }],
    });
    out.write_all(printed(&document)?.as_bytes())?;
    out.write_all(b"\n")
}

fn level(fails: bool) -> &'static str {
    if fails { "error" } else { "note" }
}

/// Percent-encodes a name for a path.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
