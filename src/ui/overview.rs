//! The overview: everything that is not uniform now, in the order of an audit.

use super::board::{BoardEntry, BoardList};
use super::links::workload_path;
use super::markup::{Depth, PageFrame, Text, badge, bar, command, number, sentence, since, uniform_badge};
use super::query::{Query, Sort, StateFilter};
use super::view::{OwnState, Rows, count};
use crate::advice::Finding;
use crate::commands::audit::title;
use crate::terminal::humanize::age;
use crate::time::{ObservationTime, TimeSource, UnixTime};
use maud::{Markup, html};
use std::sync::Arc;

/// Data of the overview.
pub(super) struct Overview<'a> {
    pub query: &'a Query,
    pub listed: &'a BoardList,
    pub rows: &'a Rows,
    pub own: &'a OwnState,
    pub workloads: usize,
    pub generation: u64,
    /// When the picture was published; `None` before.
    pub published: Option<UnixTime>,
    pub now: UnixTime,
}

/// States that are always offered as filters; the others only if they match something.
const ALWAYS: [StateFilter; 7] = [
    StateFilter::DigestSkew,
    StateFilter::Stalled,
    StateFilter::Slow,
    StateFilter::Mixed,
    StateFilter::Held,
    StateFilter::NotCompared,
    StateFilter::Latest,
];

impl Overview<'_> {
    pub(super) fn render(&self) -> Markup {
        let main = html! {
            (self.headline())
            (warnings(self.own, self.published, self.now))
            @if self.published.is_some() {
                (self.filters())
                (self.table())
            }
            (self.own_state())
        };
        let title = if self.published.is_some() { self.sentence() } else { "Not ready yet".to_owned() };
        PageFrame {
            title: &title,
            depth: Depth::TOP,
            search: &self.query.text,
            generation: self.generation,
            now: self.now,
            workload: None,
            main,
        }
        .render()
    }

    fn failed(&self) -> usize {
        self.listed.found.iter().filter(|entry| entry.fails()).count()
    }

    /// `3 of 6 000 workloads are not uniform`.
    fn sentence(&self) -> String {
        let (failed, all) = (self.failed(), number(self.workloads));
        match (self.workloads, failed) {
            (0, _) => "No workloads yet".to_owned(),
            (_, 0) => format!("All {all} workloads are uniform"),
            (_, 1) => format!("1 of {all} workloads is not uniform"),
            _ => format!("{} of {all} workloads are not uniform", number(failed)),
        }
    }

    fn headline(&self) -> Markup {
        if self.published.is_none() {
            return html! { h1 { "The initial sync is not complete yet" } };
        }
        let failed = self.failed();
        let others = self.listed.found.len() - failed;
        html! {
            h1 class=(if failed == 0 { "calm" } else { "alarm" }) { (self.sentence()) }
            @if others > 0 {
                p.lead {
                    (number(others)) (if others == 1 { " more differs" } else { " more differ" })
                    " on purpose, in an injected container, or in something that cannot be compared."
                }
            }
        }
    }

    fn filters(&self) -> Markup {
        let count = |state| count(state, self.listed, self.workloads, self.now);
        let shown = |state: &&StateFilter| match state {
            StateFilter::Moved => self.own.asks_registries,
            StateFilter::All => false,
            state => {
                **state == self.query.state
                    || ALWAYS.contains(state)
                    || **state == StateFilter::NotUniform
                    || count(**state) > 0
            }
        };
        html! {
            nav.filters aria-label="Filter by what was found" {
                ul {
                    @for state in StateFilter::ALL.iter().filter(shown) {
                        li {
                            a href=(self.link(|query| query.state = *state)) aria-current=[(*state == self.query.state).then_some("true")] {
                                (state.title()) " " b { (number(count(*state))) }
                            }
                        }
                    }
                }
            }
            @if !self.query.namespace.is_empty() || !self.query.workload_type.is_empty() {
                p.chosen {
                    @if !self.query.namespace.is_empty() {
                        "Namespace " code { (Text(&self.query.namespace)) } " "
                        a href=(self.link(|query| query.namespace.clear())) { "all namespaces" } " "
                    }
                    @if !self.query.workload_type.is_empty() {
                        "Type " code { (Text(&self.query.workload_type)) } " "
                        a href=(self.link(|query| query.workload_type.clear())) { "all types" }
                    }
                }
            }
        }
    }

    /// A link to this page with another query, from its first row.
    fn link(&self, change: impl FnOnce(&mut Query)) -> String {
        let mut query = Query { page: 1, ..self.query.clone() };
        change(&mut query);
        let text = query.normalised();
        if text.is_empty() { Depth::TOP.0.to_owned() } else { text }
    }

    fn table(&self) -> Markup {
        let Rows { shown: rows, all, .. } = self.rows;
        if rows.is_empty() {
            let nothing = self.query.normalised().is_empty();
            return html! {
                p.empty {
                    (match (self.workloads, nothing) {
                        (0, _) => "No workload has pods yet.",
                        (_, true) => "Every workload is uniform. Use the search to find one.",
                        _ => "No workload matches.",
                    })
                }
            };
        }
        let first = (self.query.page - 1) * self.query.limit + 1;
        html! {
            div.scroll tabindex="0" role="region" aria-label="Workloads" {
                table.workloads.overview {
                    caption {
                        (number(*all)) (if *all == 1 { " workload" } else { " workloads" }) ": " (self.query.state.title())
                        @if *all > rows.len() { ", " (number(first)) " to " (number(first + rows.len() - 1)) }
                    }
                    thead {
                        tr {
                            (self.heading("Found", Sort::Worst))
                            (self.heading("Workload", Sort::Workload))
                            th scope="col" { "What differs" }
                            (self.heading("For", Sort::Since))
                            (self.heading("Pods", Sort::Pods))
                            th scope="col" { "Next step" }
                        }
                    }
                    tbody { @for entry in rows { (self.row(entry)) } }
                }
            }
            (self.pages(*all))
        }
    }

    fn heading(&self, name: &str, sort: Sort) -> Markup {
        let is_sorted = self.query.sort == sort;
        let order = is_sorted.then_some(if self.query.backwards { "descending" } else { "ascending" });
        let backwards = is_sorted && !self.query.backwards;
        html! {
            th scope="col" aria-sort=[order] {
                a href=(self.link(|query| (query.sort, query.backwards) = (sort, backwards))) {
                    (name) span.arrow aria-hidden="true" { (match order { None => "", Some("ascending") => " ↑", Some(_) => " ↓" }) }
                }
            }
        }
    }

    fn row(&self, entry: &Arc<BoardEntry>) -> Markup {
        let workload = &entry.workload;
        let taken = ObservationTime { at: self.now, from: TimeSource::Clock };
        let differences = || entry.findings.iter().filter(|finding| **finding != Finding::LatestTag);
        html! {
            tr {
                td {
                    @for (at, finding) in differences().enumerate() { @if at > 0 { " " } (badge(*finding, &title(*finding))) }
                    @if differences().next().is_none() { (uniform_badge()) }
                    @if entry.findings.contains(&Finding::LatestTag) { " " (badge(Finding::LatestTag, "on latest")) }
                }
                th scope="row" {
                    a href=(Depth::TOP.to(&workload_path(workload))) { (Text(&workload.name)) }
                    span {
                        a href=(self.link(|query| workload.namespace.as_ref().clone_into(&mut query.namespace))) { (Text(&workload.namespace)) }
                        " / "
                        a href=(self.link(|query| workload.workload_type.as_ref().clone_into(&mut query.workload_type))) { (Text(&workload.workload_type)) }
                    }
                }
                td { (sentence(&entry.what)) }
                td {
                    @match entry.since {
                        Some(moment) => (since(moment, taken)),
                        None if entry.unknown_start => span.faint { "unknown" },
                        None => span.faint { "–" },
                    }
                }
                td { (bar(&entry.groups)) }
                td { @if entry.next.is_empty() { span.faint { "–" } } @else { (command(&entry.next)) } }
            }
        }
    }

    fn pages(&self, all: usize) -> Markup {
        let last = all.div_ceil(self.query.limit.max(1)).max(1);
        let page = self.query.page;
        html! {
            @if last > 1 {
                nav.pages aria-label="Pages" {
                    @if page > 1 { a rel="prev" href=(self.link(|query| query.page = page - 1)) { "← Previous" } }
                    span { "page " (number(page)) " of " (number(last)) }
                    @if page < last { a rel="next" href=(self.link(|query| query.page = page + 1)) { "Next →" } }
                }
            }
        }
    }

    fn own_state(&self) -> Markup {
        let synced = self.own.resources.iter().filter(|watched| watched.synced).count();
        let oldest = self.own.resources.iter().filter_map(|watched| watched.last_activity).min();
        html! {
            section.own aria-labelledby="own" {
                h2 #own { "podskew itself" }
                dl {
                    div { dt { "watches synced" } dd { (synced) " of " (self.own.resources.len()) } }
                    div {
                        dt { "oldest activity" }
                        dd { @match oldest { Some(moment) => { (age(self.now.since(moment))) " ago" }, None => "none yet" } }
                    }
                    div {
                        dt { "last change" }
                        dd {
                            @match self.published {
                                Some(moment) => { (age(self.now.since(moment))) " ago, number " (self.generation) },
                                None => "none yet",
                            }
                        }
                    }
                    div { dt { "pods" } dd { (number(usize::try_from(self.own.pods).unwrap_or(usize::MAX))) } }
                    div {
                        dt { "namespaces" }
                        dd {
                            @if self.own.namespaces.is_empty() { "all" } @else { (names(&self.own.namespaces)) }
                            @if !self.own.excluded_namespaces.is_empty() { ", except " (names(&self.own.excluded_namespaces)) }
                        }
                    }
                }
                details {
                    summary { "Watches" }
                    table.watches {
                        caption { "Watched resources" }
                        thead { tr { th scope="col" { "Resource" } th scope="col" { "State" } th scope="col" { "Last activity" } } }
                        tbody {
                            @for watched in &self.own.resources {
                                tr {
                                    th scope="row" { (watched.resource) }
                                    td { (if watched.synced { "synced" } else { "not synced" }) }
                                    td { @match watched.last_activity { Some(moment) => { (age(self.now.since(moment))) " ago" }, None => "–" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn names(names: &[String]) -> Markup {
    html! { @for (at, name) in names.iter().enumerate() { @if at > 0 { ", " } code { (Text(name)) } } }
}

/// Warnings about missing or stale data. They are on every page.
pub(super) fn warnings(own: &OwnState, published: Option<UnixTime>, now: UnixTime) -> Markup {
    if published.is_none() {
        return html! {
            section.banner role="status" {
                p { "Waiting for:" }
                ul { @for missing in &own.waiting_for { li { (Text(missing)) } } }
                @if own.waiting_for.is_empty() { p { "the first responses of the API server." } }
                p.faint { "This page updates itself when the initial sync is complete." }
            }
        };
    }
    let stale: Vec<&str> = own.resources.iter().filter(|it| it.is_stale(now)).map(|it| it.resource).collect();
    html! {
        @if !stale.is_empty() {
            section.banner role="status" {
                p {
                    strong { "This page may be out of date. " }
                    "The API server does not respond for " (stale.join(", ")) ". Until it does, this is the last known state."
                }
            }
        }
    }
}
