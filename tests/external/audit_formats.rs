//! Output of `podskew audit`, parsed by other programs.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common::audited::{FORMATS, PLAIN, audited, clusters, printed, root};
use crate::needs::{Test, tests};
use crate::programs;
use podskew::commands::audit::Strictness;

#[tokio::main(flavor = "current_thread")]
async fn other_programs_read_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<Vec<String>> = FORMATS.iter().map(|_| Vec::new()).collect();
    for (scenario, dump) in clusters() {
        for strictness in
            [Strictness::default(), Strictness { injected: true, no_deliberate: true, ..Strictness::default() }]
        {
            let audit = audited(&dump, scenario, strictness).await;
            for ((format, _, extension), files) in FORMATS.iter().zip(&mut files) {
                let file = folder.path().join(format!("{scenario}-{}.{extension}", strictness.injected));
                std::fs::write(&file, printed(&audit, *format, PLAIN)).unwrap();
                files.push(file.to_str().unwrap().to_owned());
            }
        }
    }
    let python = root().join("target/openmetrics-venv/bin/python");
    let remedy = "make target/openmetrics-venv/done";
    let script = root().join("tests/programs/formats.py");
    for ((_, name, _), files) in FORMATS.iter().zip(&files).filter(|((_, name, _), _)| *name != "table") {
        let mut arguments = vec![script.to_str().unwrap(), name, root().to_str().unwrap()];
        arguments.extend(files.iter().map(String::as_str));
        let output = programs::run(&python, &arguments, b"", remedy);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        other_programs_read_every_format: [PYTHON],
    ]
}
