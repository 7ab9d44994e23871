//! The documents say what is so: options, names of metrics, links.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use clap::CommandFactory;
use podskew::cli::Arguments;
use podskew::exposition::{FAMILIES, docs::HEALTH_FAMILIES};
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

/// The options of `serve` as a table. Each has a variable; those without are clap's own.
fn options_table() -> String {
    let mut table = "| option | variable | what it does |\n|---|---|---|\n".to_owned();
    for argument in Arguments::command().get_arguments() {
        let Some((long, variable)) = argument.get_long().zip(argument.get_env()) else { continue };
        let value = argument.get_value_names().filter(|_| argument.get_action().takes_values());
        let value = value.and_then(<[_]>::first).map(|name| format!(" {name}")).unwrap_or_default();
        let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = if defaults.is_empty() || !argument.get_action().takes_values() {
            String::new()
        } else {
            format!(" [default: {}]", defaults.join(","))
        };
        let help = argument.get_help().unwrap();
        writeln!(table, "| `--{long}{value}` | `{}` | {help}{default} |", variable.to_string_lossy()).unwrap();
    }
    table
}

#[test]
fn the_readme_names_every_option() {
    let readme = read("README.md");
    let (before, rest) = readme.split_once("<!-- options -->\n").unwrap();
    let (between, after) = rest.split_once("<!-- /options -->").unwrap();
    let table = options_table();
    assert!(table.contains("`--namespace NAMESPACE` | `PODSKEW_NAMESPACE`"), "{table}");
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        let readme = format!("{before}<!-- options -->\n{table}<!-- /options -->{after}");
        // In one step: other tests read the file meanwhile.
        std::fs::write(root().join("README.md.new"), readme).unwrap();
        std::fs::rename(root().join("README.md.new"), root().join("README.md")).unwrap();
    } else {
        assert!(between == table, "README.md has other options than podskew: make docs");
    }
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
        FAMILIES.iter().any(|family| family.name == name) || HEALTH_FAMILIES.iter().any(|family| family.name == name)
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
