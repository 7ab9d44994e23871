//! The page of a node, with its skewed pods, and the page of an image reference, with its users.

use super::links::workload_path;
use super::markup::{Depth, PageFrame, Text, number, short};
use super::overview::warnings;
use super::request_view::{UnencodedPage, View};
use super::view::explained;
use crate::advice::Finding;
use crate::report::{DigestPods, WorkloadReport};
use maud::{Markup, html};

/// Maximum number of workloads to read for a page.
const MOST_WORKLOADS: usize = 200;

/// The skewed pods on a node.
pub(super) fn node_page(view: &View<'_>, node: &str) -> UnencodedPage {
    if !view.exposure.pods {
        let message =
            "podskew_pod_info is not served here, so pods and nodes are not named. With authentication they are.";
        return view.problem(404, Depth::NODE, "Nodes are not shown", message);
    }
    let listed = view.cluster.listed();
    let is_skewed =
        |finding: &Finding| matches!(finding, Finding::DigestSkew | Finding::InjectedSkew | Finding::UnknownSkew);
    let skewed: Vec<_> = listed.found.iter().filter(|entry| entry.findings.iter().any(is_skewed)).collect();
    let looked_at = skewed.iter().take(MOST_WORKLOADS);
    let reports = looked_at.filter_map(|entry| Some(explained(view.cluster, &entry.workload, view.exposure)?.0));
    let rows: Vec<Markup> = reports.flat_map(|report| pods_on(&report, node)).collect();
    let main = html! {
        (warnings(&view.cluster.own_state(), view.published, view.now))
        p.crumbs { a href=(Depth::NODE.0) { "Overview" } " / node" }
        h1 { (Text(node)) }
        @if rows.is_empty() {
            p.lead { "No pod on this node is in digest skew." }
        } @else {
            @let caption = html! { (number(rows.len())) (if rows.len() == 1 { " pod" } else { " pods" }) " in digest skew" };
            (table("Pods", &caption, ["Pod", "Workload", "Container", "Digest", "Image"], &rows))
        }
        @if skewed.len() > MOST_WORKLOADS { p.faint { "Only the first " (MOST_WORKLOADS) " workloads in digest skew are included." } }
    };
    page(view, node, Depth::NODE, main)
}

/// Rows for each container in skew of the pods on a node.
fn pods_on(report: &WorkloadReport, node: &str) -> Vec<Markup> {
    let mut rows = Vec::new();
    for container in &report.containers {
        for digest in container.by_hash.iter().flat_map(|of_hash| &of_hash.digests) {
            let pods = digest.skewed.iter().filter_map(|at| report.pods.get(*at as usize));
            for pod in pods.filter(|pod| *pod.node == *node) {
                rows.push(html! {
                    tr {
                        th scope="row" data-label="Pod" { code { (Text(&pod.pod)) } }
                        td data-label="Workload" { (workload_link(report, Depth::NODE)) }
                        td data-label="Container" { (Text(&container.container)) }
                        td data-label="Digest" { code title=(Text(&digest.digest)) { (Text(&short(&digest.digest))) } }
                        td data-label="Image" { a.image href=(Depth::NODE.to_image(&digest.image)) { (Text(&digest.image)) } }
                    }
                });
            }
        }
    }
    rows
}

/// A table that scrolls horizontally on a narrow screen.
fn table(label: &str, caption: &Markup, headings: [&str; 5], rows: &[Markup]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table.workloads {
                caption { (caption) }
                thead { tr { @for heading in headings { th scope="col" { (heading) } } } }
                tbody { @for row in rows { (row) } }
            }
        }
    }
}

fn page(view: &View<'_>, title: &str, depth: Depth, main: Markup) -> UnencodedPage {
    let frame =
        PageFrame { title, depth, search: "", generation: view.generation, now: view.now, workload: None, main };
    UnencodedPage::Page(200, frame.render())
}

fn workload_link(report: &WorkloadReport, depth: Depth) -> Markup {
    let workload = &report.workload;
    html! {
        a href=(depth.to(&workload_path(workload))) {
            (Text(&workload.workload_type)) " " (Text(&workload.namespace)) "/" (Text(&workload.name))
        }
    }
}

/// The page of an image reference.
pub(super) fn image_page(view: &View<'_>, reference: &str) -> UnencodedPage {
    if reference.is_empty() {
        let message = "Give a reference, as in image?ref=registry.example/shop/web:1.2.";
        return view.problem(400, Depth::TOP, "Which image?", message);
    }
    let workloads = view.cluster.running(reference);
    let looked_at = workloads.iter().take(MOST_WORKLOADS);
    let reports = looked_at.filter_map(|workload| Some(explained(view.cluster, workload, view.exposure)?.0));
    let rows: Vec<Markup> = reports.flat_map(|report| digests_of(&report, reference)).collect();
    let main = html! {
        (warnings(&view.cluster.own_state(), view.published, view.now))
        p.crumbs { a href=(Depth::TOP.0) { "Overview" } " / image" }
        h1.reference { (Text(reference)) }
        @if rows.is_empty() {
            p.lead { "No container uses this image reference." }
        } @else {
            @let run = if workloads.len() == 1 { " workload runs it" } else { " workloads run it" };
            @let caption = html! { (number(workloads.len())) (run) ", with these digests" };
            (table("Digests", &caption, ["Digest", "Workload", "Container", "Template hash", "Pods"], &rows))
        }
        @if workloads.len() > MOST_WORKLOADS { p.faint { "Only the first " (MOST_WORKLOADS) " workloads are included." } }
    };
    page(view, reference, Depth::TOP, main)
}

fn digests_of(report: &WorkloadReport, reference: &str) -> Vec<Markup> {
    let mut rows = Vec::new();
    for container in &report.containers {
        for of_hash in &container.by_hash {
            for DigestPods { digest, pods, .. } in of_hash.digests.iter().filter(|it| *it.image == *reference) {
                rows.push(html! {
                    tr {
                        th scope="row" data-label="Digest" { code title=(Text(digest)) { (Text(&short(digest))) } }
                        td data-label="Workload" { (workload_link(report, Depth::TOP)) }
                        td data-label="Container" { (Text(&container.container)) }
                        td data-label="Template hash" { code { (Text(&of_hash.hash)) } }
                        td.number data-label="Pods" { (pods) }
                    }
                });
            }
        }
    }
    rows
}
