//! The names of all tests, from the text of their files.

use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;

/// Every test of `tests/`, as `module::function`.
pub fn tests() -> BTreeSet<String> {
    let attribute = Regex::new(r"#\[(?:tokio::)?test[^\n]*\]\n(?:\s*#[^\n]*\n)*\s*(?:async )?fn (\w+)\(").unwrap();
    // `tests/external/` has a list of its tests with their requirements.
    let listed = Regex::new(r"(?m)^ {8}(\w+): \[[\w, ]*\],$").unwrap();
    let mut names = BTreeSet::new();
    for binary in ["model", "protocol", "binary", "documents", "external"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(binary);
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let Some(module) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".rs") else { continue };
            let text = std::fs::read_to_string(&path).unwrap();
            let of = if binary == "external" { &listed } else { &attribute };
            names.extend(of.captures_iter(&text).map(|found| format!("{module}::{}", &found[1])));
        }
    }
    names
}
