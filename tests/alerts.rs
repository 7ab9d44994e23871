//! The alerts: generated from one source, and asked with promtool when they fire, when not, and what they say.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod programs;
mod rules;

use rules::{path, source};

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
