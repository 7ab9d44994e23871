//! Checks that `docs/metrics.md` agrees with the declarations of the families.
#![allow(clippy::unwrap_used, reason = "tests")]

use podskew::exposition::docs::metrics_markdown;

#[test]
fn the_documented_metrics_are_the_declared_ones() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let generated = metrics_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/metrics.md differs from the declarations: UPDATE_DOCS=1 cargo test --test documents metrics_doc"
    );
}
