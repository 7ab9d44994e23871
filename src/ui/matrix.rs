//! Matrix of digests or templates by node.

use super::markup::{Depth, Text, short};
use crate::commands::explain::Explanation;
use crate::report::PodReport;
use crate::report::history::PodDetail;
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of columns.
const MOST_NODES: usize = 30;

/// Maximum number of pods to name in a cell or row.
const NAMED: usize = 100;

/// A row of pods with one digest or template hash.
struct Row<'a> {
    /// The container with several digests; empty if rows are template hashes.
    container: &'a str,
    /// The digest or template hash.
    name: &'a str,
    pods: Vec<&'a PodReport>,
}

/// Renders the matrix, or lists by row if there are too many nodes, or names are hidden.
pub(super) fn matrix(explanation: &Explanation, names_pods: bool) -> Markup {
    let rows = rows(explanation);
    let nodes: BTreeSet<&str> = rows.iter().flat_map(|row| &row.pods).map(|pod| &*pod.node).collect();
    html! {
        @if rows.is_empty() {
            p.faint { "No pods." }
        } @else if !names_pods {
            p.faint { "Names of pods and nodes are not shown here." }
            (lists(&rows, false))
        } @else if nodes.len() > MOST_NODES {
            (lists(&rows, true))
        } @else {
            (table(&rows, &nodes))
        }
    }
}

/// Rows by digest for each container with several; otherwise by template hash.
fn rows(explanation: &Explanation) -> Vec<Row<'_>> {
    let pods = || explanation.report.pods.iter().zip(&explanation.history.pods);
    let active = || pods().filter(|(pod, _)| !pod.terminating);
    let mut rows: BTreeMap<(&str, &str), Vec<&PodReport>> = BTreeMap::new();
    for container in explanation.report.containers.iter().filter(|container| container.distinct_digests > 1) {
        for (pod, detail) in active() {
            let digest = digest_of(detail, &container.container).unwrap_or("no digest");
            rows.entry((&container.container, digest)).or_default().push(pod);
        }
    }
    if rows.is_empty() {
        active().for_each(|(pod, _)| rows.entry(("", &pod.hash)).or_default().push(pod));
    }
    rows.into_iter().map(|((container, name), pods)| Row { container, name, pods }).collect()
}

fn digest_of<'a>(detail: &'a PodDetail, container: &str) -> Option<&'a str> {
    let container = detail.containers.iter().find(|it| *it.container == *container)?;
    container.digest.as_ref().map(|(_, digest)| &**digest)
}

fn heading(row: &Row<'_>) -> Markup {
    html! {
        code title=(Text(row.name)) { (Text(&if row.name == "no digest" { row.name.to_owned() } else { short(row.name) })) }
        @if !row.container.is_empty() { " " span.faint { (Text(row.container)) } }
    }
}

fn table(rows: &[Row<'_>], nodes: &BTreeSet<&str>) -> Markup {
    let what = if rows.iter().any(|row| row.container.is_empty()) { "Template hash" } else { "Digest" };
    html! {
        div.scroll tabindex="0" role="region" aria-label="Pods by node" {
            table.matrix {
                caption { (what) " by node, and the pods there" }
                thead {
                    tr {
                        th scope="col" { (what) }
                        th scope="col" { "Pods" }
                        @for node in nodes {
                            th scope="col" {
                                @if node.is_empty() { "no node yet" } @else { a href=(Depth::WORKLOAD.to_node(node)) { (Text(node)) } }
                            }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            th scope="row" { (heading(row)) }
                            td.number { (row.pods.len()) }
                            @for node in nodes { (cell(row.pods.iter().copied().filter(|pod| *pod.node == **node))) }
                        }
                    }
                }
            }
        }
    }
}

fn cell<'a>(pods: impl Iterator<Item = &'a PodReport>) -> Markup {
    let pods: Vec<&PodReport> = pods.collect();
    html! {
        @if pods.is_empty() {
            td.none { span.faint { "–" } }
        } @else {
            td.some { (names(&pods, false)) }
        }
    }
}

fn names(pods: &[&PodReport], with_nodes: bool) -> Markup {
    html! {
        ul.names {
            @for pod in pods.iter().take(NAMED) {
                li {
                    code { (Text(&pod.pod)) }
                    @if with_nodes && !pod.node.is_empty() { " on " a href=(Depth::WORKLOAD.to_node(&pod.node)) { (Text(&pod.node)) } }
                }
            }
            @if pods.len() > NAMED { li { "and " (pods.len() - NAMED) " more; the JSON has all" } }
        }
    }
}

fn lists(rows: &[Row<'_>], names_pods: bool) -> Markup {
    html! {
        @for row in rows {
            @if names_pods {
                details.folded {
                    summary { (heading(row)) ": " (row.pods.len()) (if row.pods.len() == 1 { " pod" } else { " pods" }) }
                    (names(&row.pods, true))
                }
            } @else {
                p { (heading(row)) ": " (row.pods.len()) (if row.pods.len() == 1 { " pod" } else { " pods" }) }
            }
        }
    }
}
