//! The documents say what is so: options, names of metrics, links.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use clap::CommandFactory;
use podskew::cli::Arguments;
use podskew::exposition::FAMILIES;
use podskew::telemetry::families::{HEALTH_FAMILIES, REGISTRY_FAMILIES, WEB_CONFIG_FAMILIES};
use regex::Regex;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Markdown file of the package, by its path below the root.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [".", "docs", "docs/runbooks"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name();
            if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
                found.push(Path::new(folder).join(name));
            }
        }
    }
    assert!(found.len() >= 4, "{found:?}");
    found
}

/// The options of a command as a table. Those of `serve` each have a variable; what has none there is clap's own.
fn options_table(command: &clap::Command, all_have_variables: bool) -> String {
    let mut table = "| option | variable | what it does |\n|---|---|---|\n".to_owned();
    for argument in command.get_arguments() {
        let Some(long) = argument.get_long().filter(|_| argument.get_env().is_some() || !all_have_variables) else {
            continue;
        };
        let variable = argument.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let short = argument.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
        let value = argument.get_value_names().filter(|_| argument.get_action().takes_values());
        let value = value.and_then(<[_]>::first).map(|name| format!(" {name}")).unwrap_or_default();
        let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = if defaults.is_empty() || !argument.get_action().takes_values() {
            String::new()
        } else {
            format!(" [default: {}]", defaults.join(","))
        };
        let help = argument.get_help().unwrap();
        writeln!(table, "| {short}`--{long}{value}` | {variable} | {help}{default} |").unwrap();
    }
    table.replace("|  |", "| |")
}

/// Holds a document's table against what it ought to be, or writes it anew. Gives the document.
fn holds_options(document: &str, table: &str) -> String {
    let text = read(document);
    let (before, rest) = text.split_once("<!-- options -->\n").unwrap();
    let (between, after) = rest.split_once("<!-- /options -->").unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        let written = format!("{before}<!-- options -->\n{table}<!-- /options -->{after}");
        // In one step: other tests read the file meanwhile.
        let new = root().join(format!("{document}.new"));
        std::fs::write(&new, &written).unwrap();
        std::fs::rename(new, root().join(document)).unwrap();
        return written;
    }
    assert!(between == table, "{document} has other options than podskew: make docs");
    text
}

#[test]
fn the_audits_document_names_every_option() {
    let command = Arguments::command();
    let table = options_table(command.find_subcommand("audit").unwrap(), false);
    assert!(table.contains("| `-n`, `--namespace NAMESPACE` | | Namespace to read;"), "{table}");
    holds_options("docs/audit.md", &table);
}

#[test]
fn the_readme_names_every_option() {
    let table = options_table(&Arguments::command(), true);
    assert!(table.contains("`--namespace NAMESPACE` | `PODSKEW_NAMESPACE`"), "{table}");
    let readme = holds_options("README.md", &table);
    for argument in Arguments::command().find_subcommand("demo").unwrap().get_arguments() {
        let option = format!("--{}", argument.get_long().unwrap());
        assert!(readme.contains(&option), "README.md does not name demo's {option}");
    }
}

#[test]
fn every_metric_that_is_named_exists() {
    let metric = Regex::new(r"podskew_[a-z_]+[a-z]\b").unwrap();
    let known = |name: &str| {
        let name = name.strip_suffix("_bucket").unwrap_or(name);
        let mut health = HEALTH_FAMILIES.iter().chain(WEB_CONFIG_FAMILIES).chain(REGISTRY_FAMILIES);
        FAMILIES.iter().any(|family| family.name == name) || health.any(|family| family.name == name)
    };
    for document in documents() {
        for found in metric.find_iter(&read(&document)) {
            assert!(known(found.as_str()), "{} names {}, which is no metric", document.display(), found.as_str());
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)#\s]*)(#[^)\s]*)?\)").unwrap();
    for document in documents() {
        let folder = document.parent().unwrap();
        for found in link.captures_iter(&read(&document)) {
            let target = &found[1];
            if !target.contains("://") && !target.is_empty() {
                let path = root().join(folder).join(target);
                assert!(path.exists(), "{} links to {target}, which is not there", document.display());
            }
        }
    }
}

#[test]
fn every_make_target_that_is_named_exists() {
    let makefile = read("Makefile");
    let target = Regex::new(r"(?m)(?:^|`)make ([a-z][a-z-]*)").unwrap();
    for document in documents().into_iter().chain([PathBuf::from(".ci/run")]) {
        for found in target.captures_iter(&read(&document)) {
            let is_there = makefile.lines().any(|line| line.starts_with(&format!("{}:", &found[1])));
            assert!(is_there, "{} names make {}, which the Makefile does not have", document.display(), &found[1]);
        }
    }
}

/// Every test that the table of promises names is there.
#[test]
fn every_promise_has_its_test() {
    let document = read("docs/reliability.md");
    let named = Regex::new(r"`([a-z_]+)::([a-z0-9_]+)`").unwrap();
    let tests = crate::common::named::tests();
    let mut count = 0;
    for named in named.captures_iter(&document) {
        let name = format!("{}::{}", &named[1], &named[2]);
        assert!(tests.contains(&name), "docs/reliability.md names {name}, and there is no such test");
        count += 1;
    }
    assert!(count > 30, "{count}");
    let rows = document.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault"));
    for row in rows {
        assert!(row.contains("::") || row.contains("Cargo.toml"), "a promise without a test: {row}");
    }
}
