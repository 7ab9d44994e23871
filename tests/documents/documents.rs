//! Checks the documents: options, names of metrics, links.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use clap::CommandFactory;
use podskew::cli::Arguments;
use podskew::exposition::FAMILIES;
use podskew::telemetry::families::{HEALTH_FAMILIES, REGISTRY_FAMILIES, WEB_CONFIG_FAMILIES};
use regex::Regex;
use std::collections::BTreeSet;
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

/// One Prometheus may have several clusters, so every query must group and match by the cluster label.
#[test]
fn every_query_of_a_document_keeps_the_cluster() {
    let labels = Regex::new(r"\b(?:by|on) \(([a-z_]+(?:, [a-z_]+)*)\)").unwrap();
    let mut found = 0;
    for document in documents() {
        for list in labels.captures_iter(&read(&document)) {
            let keeps = list[1].split(", ").any(|label| label == "cluster");
            assert!(keeps, "{}: {}", document.display(), &list[0]);
            found += 1;
        }
    }
    assert!(found > 60, "{found}");
}

/// The options of a command as a table. Those of `serve` each have an environment variable, except clap's own.
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

/// Compares the table in a document with the expected one, or updates it. Returns the document.
fn holds_options(document: &str, table: &str) -> String {
    let text = read(document);
    let (before, rest) = text.split_once("<!-- options -->\n").unwrap();
    let (between, after) = rest.split_once("<!-- /options -->").unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        let written = format!("{before}<!-- options -->\n{table}<!-- /options -->{after}");
        // Replaces the file at once, because other tests read it meanwhile.
        let new = root().join(format!("{document}.new"));
        std::fs::write(&new, &written).unwrap();
        std::fs::rename(new, root().join(document)).unwrap();
        return written;
    }
    assert!(between == table, "the options in {document} differ from podskew's: make docs");
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
            assert!(known(found.as_str()), "{} names {}, which is not a metric", document.display(), found.as_str());
        }
    }
}

/// Every Markdown file of the checkout.
fn all_markdown() -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            // Build output, and test data written by others.
            let is_foreign = ["target", ".git", "tests/data"].iter().any(|foreign| path == Path::new(foreign));
            if entry.file_type().unwrap().is_dir() && !is_foreign {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 40, "{found:?}");
    found
}

/// A document's lines outside of blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The anchors of a document, as generated by GitHub: headings in lower case, hyphens for spaces, without punctuation and
/// markup. A repeated one gets a number.
fn anchors(text: &str) -> BTreeSet<String> {
    let link = Regex::new(r"!?\[([^\]]*)\]\([^)]*\)").unwrap();
    let emphasis = Regex::new(r"(^|\s)_([^_]+)_(\s|$)").unwrap();
    let id = Regex::new(r#"<[^>]+ (?:id|name)="([^"]+)""#).unwrap();
    let mut anchors = BTreeSet::new();
    for line in prose(text) {
        anchors.extend(id.captures_iter(line).map(|found| found[1].to_owned()));
        let title = line.trim_start_matches('#');
        let level = line.len() - title.len();
        if !(1..=6).contains(&level) || !title.starts_with(' ') {
            continue;
        }
        let title = link.replace_all(title.trim().trim_end_matches('#').trim_end(), "$1");
        let title = emphasis.replace_all(&title, "$1$2$3").to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let numbered = (1..).map(|number| format!("{slug}-{number}"));
        let mut names = std::iter::once(slug.clone()).chain(numbered);
        anchors.insert(names.find(|name| !anchors.contains(name)).unwrap());
    }
    anchors
}

#[test]
fn anchors_are_githubs() {
    let text = "# What `a_b` does, *here*\n## Same\n```\n# no heading\n```\n## Same\n## Same-1\n### See [x & y](z.md) – é\n\
        <a id=\"by-hand\"></a>\n#no heading\n";
    let expected = ["by-hand", "same", "same-1", "same-1-1", "see-x--y--é", "what-a_b-does-here"];
    assert_eq!(anchors(text).iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\]\(<?([^)#\s>]*)(?:#([^)\s>]*))?>?\)|^\[[^\]]+\]: ([^#\s]*)(?:#(\S*))?").unwrap();
    let quoted = Regex::new("`[^`]*`").unwrap();
    let mut dead = Vec::new();
    let mut with_anchor = 0;
    for document in all_markdown() {
        let text = read(&document);
        // The title of a link may be code. A link in code is none.
        for line in prose(&text).map(|line| quoted.replace_all(line, "``")) {
            for found in link.captures_iter(&line) {
                let part =
                    |inline, reference| found.get(inline).or(found.get(reference)).map_or("", |part| part.as_str());
                let (target, anchor) = (part(1, 3), part(2, 4));
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let path = match target {
                    "" => root().join(&document),
                    _ => root().join(document.parent().unwrap()).join(target),
                };
                if !path.exists() {
                    dead.push(format!("{} links to {target}, which is not there", document.display()));
                } else if !anchor.is_empty() && path.extension().is_some_and(|extension| extension == "md") {
                    with_anchor += 1;
                    if !anchors(&read(&path)).contains(anchor) {
                        dead.push(format!("{} links to {target}#{anchor}: no heading", document.display()));
                    }
                }
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
    assert!(with_anchor > 20, "{with_anchor}");
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
    let parts = Regex::new(r"parts\.sh ([a-z -]+)\n").unwrap();
    let mut count = 0;
    for found in parts.captures_iter(&(makefile.clone() + &read(".ci/run"))) {
        for part in found[1].split(' ') {
            assert!(makefile.lines().any(|line| line.starts_with(&format!("{part}:"))), "parts.sh {part}");
            count += 1;
        }
    }
    assert!(count > 6, "{count}");
}

/// Every test in the table of promises exists.
#[test]
fn every_promise_has_its_test() {
    let document = read("docs/reliability.md");
    let named = Regex::new(r"`([a-z_]+)::([a-z0-9_]+)`").unwrap();
    let tests = crate::common::test_names::tests();
    let mut count = 0;
    for named in named.captures_iter(&document) {
        let name = format!("{}::{}", &named[1], &named[2]);
        assert!(tests.contains(&name), "docs/reliability.md names {name}, which is not a test");
        count += 1;
    }
    assert!(count > 30, "{count}");
    let rows = document.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault"));
    for row in rows {
        assert!(row.contains("::") || row.contains("Cargo.toml"), "a promise without a test: {row}");
    }
}
