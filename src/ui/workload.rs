//! A workload's page, with everything in `explain`.

use super::board::BoardGroup;
use super::links::{Link, workload_path};
use super::markup::{Depth, PageFrame, Text, ago, badge, bar, command, sentence, short, since, uniform_badge};
use super::matrix::matrix;
use super::overview::warnings;
use super::request_view::View;
use super::view::OwnState;
use crate::advice::{Action, Finding, GITOPS, pin, remedy, roll_back};
use crate::commands::audit::{title, what};
use crate::commands::explain::{Explanation, Template, in_words};
use crate::report::history::{History, PodDetail};
use crate::report::{HashDigests, Origin, ReferenceKind, WorkloadReport};
use crate::terminal::humanize::{one_line, pods};
use crate::time::{ObservationTime, TimeSource, UnixTime};
use maud::{Markup, html};

/// Number of pods to name before the rest is only counted.
const NAMED: usize = 20;

const RUNBOOKS: &str = "https://github.com/podskew/podskew/blob/main/docs/runbooks/";

/// A workload's page.
pub(super) struct WorkloadPage<'a> {
    explanation: Explanation,
    own: OwnState,
    links: &'a [Link],
    generation: u64,
    published: Option<UnixTime>,
    taken: ObservationTime,
    names_pods: bool,
}

impl<'a> WorkloadPage<'a> {
    pub(super) fn new(view: &'a View<'_>, own: OwnState, report: WorkloadReport, history: History) -> Self {
        Self {
            explanation: Explanation::of_now(report, history, view.now, view.notes()),
            own,
            links: view.links,
            generation: view.generation,
            published: view.published,
            taken: ObservationTime { at: view.now, from: TimeSource::Clock },
            names_pods: view.exposure.pods,
        }
    }

    fn report(&self) -> &WorkloadReport {
        &self.explanation.report
    }

    pub(super) fn render(&self) -> Markup {
        let workload = &self.report().workload;
        let title = format!("{} {}/{}", workload.workload_type, workload.namespace, workload.name);
        let main = html! {
            (warnings(&self.own, self.published, self.taken.at))
            p.crumbs { a href=(Depth::WORKLOAD.0) { "Overview" } " / " (Text(&workload.namespace)) " / " (Text(&workload.workload_type)) }
            h1 { (Text(&workload.name)) }
            (self.badges())
            (self.facts())
            (self.findings())
            section aria-labelledby="where" { h2 #where { "What runs where" } (matrix(&self.explanation, self.names_pods)) }
            (self.evidence())
            (self.templates())
            (self.references())
            (self.ways_back())
            (self.notes())
            p.links {
                a href=(Depth::WORKLOAD.to(&format!("api/v1/{}", workload_path(workload).replacen("workload", "workloads", 1)))) { "As JSON" }
                @for link in self.links { " · " a href=(link.url(workload)) rel="noreferrer" { (Text(&link.name)) } }
            }
        };
        let (now, workload) = (self.taken.at, Some(workload));
        PageFrame {
            title: &title,
            depth: Depth::WORKLOAD,
            search: "",
            generation: self.generation,
            now,
            workload,
            main,
        }
        .render()
    }

    fn badges(&self) -> Markup {
        let findings = Finding::all(self.report());
        html! {
            p.badges {
                @for finding in &findings { (badge(*finding, &title(*finding))) " " }
                @if findings.is_empty() || findings == [Finding::LatestTag] { (uniform_badge()) }
            }
        }
    }

    fn facts(&self) -> Markup {
        let report = self.report();
        let all = |count: fn(&crate::report::HashReport) -> u32| report.hashes.iter().map(count).sum::<u32>();
        let terminating = all(|hash| hash.terminating_pods);
        html! {
            dl.facts {
                div {
                    dt { "Rollout" }
                    dd {
                        @match report.rollout {
                            None => "unknown",
                            Some(rollout) => {
                                (rollout.state.as_str().replace('_', " "))
                                @match rollout.began() {
                                    Some(began) => { ", for " (since(began, self.taken)) },
                                    None if rollout.noticed => ", since when is unknown",
                                    None => {},
                                }
                            }
                        }
                    }
                }
                @if let Some(hold) = self.explanation.hold() { div { dt { "Held by" } dd { (Text(&hold)) } } }
                div {
                    dt { "Pods" }
                    dd {
                        (pods(all(|hash| hash.pods))) ", " (all(|hash| hash.ready_pods)) " ready"
                        @if let Some(outdated @ 1..) = report.outdated_pods { ", " (outdated) " outdated" }
                        @if terminating > 0 { ", " (terminating) " terminating" }
                    }
                }
                @if let Some(waits) = report.what_waits() {
                    div { dt { "Waits for" } dd { (Text(&waits)) (self.messages()) } }
                }
                @if report.mixed_since.is_some() {
                    div {
                        dt { "Mixed" }
                        dd { (report.distinct_hashes) " template hashes" (since_when(report.mix_began(), self.taken)) }
                    }
                }
                @if let Some(last) = report.last_rollout {
                    div { dt { "Last rollout" } dd { "completed " (ago(last.completed, self.taken)) } }
                }
            }
        }
    }

    fn messages(&self) -> Markup {
        let messages = self.report().blocked.iter().filter(|blocked| !blocked.message.is_empty());
        html! {
            @for blocked in messages {
                p.message { b { (blocked.reason.in_words()) ": " } (Text(&one_line(&blocked.message))) }
            }
        }
    }

    fn findings(&self) -> Markup {
        let report = self.report();
        html! {
            @for finding in Finding::all(report) {
                @let remedy = remedy(report, finding);
                section.finding {
                    h2 { (badge(finding, &title(finding))) }
                    p.lead { (sentence(&what(report, finding))) }
                    @if let Some(moment) = finding.since(report) { p { "For " (since(moment, self.taken)) } }
                    h3 { "Look" }
                    (command(&remedy.look))
                    h3 { "Do" }
                    (action(&remedy.action))
                    p.why {
                        @if let Some(why) = &remedy.why { (sentence(why)) " " }
                        (GITOPS) " "
                        @if let Some(runbook) = runbook(finding) {
                            a href={ (RUNBOOKS) (runbook) ".md" } rel="noreferrer" { "Runbook " (runbook) }
                        }
                    }
                }
            }
        }
    }

    /// Evidence of registries and nodes about its digest skew and its tags.
    fn evidence(&self) -> Markup {
        let report = self.report();
        let skewed = || {
            let all = report.containers.iter().flat_map(|of| of.by_hash.iter().map(move |it| (&of.container, it)));
            all.filter(|(_, of_hash)| of_hash.skewed_since.is_some())
        };
        let mut lines: Vec<String> = Vec::new();
        if let Some(registry) = &report.registry {
            lines.extend(skewed().flat_map(|(container, of_hash)| registry.describe_skew(container, of_hash)));
            lines.extend(registry.tags.iter().filter(|tag| tag.has_moved()).map(|tag| tag.describe(registry)));
            lines.extend(registry.gone.iter().map(crate::report::registry::GoneImage::describe));
            lines.extend(registry.unknown().map(|(image, why)| format!("{image}: {why}")));
        }
        if let Some(nodes) = &report.nodes {
            lines.extend(skewed().flat_map(|(container, of_hash)| nodes.describe_skew(report, container, of_hash)));
        }
        lines.dedup();
        html! {
            @if !lines.is_empty() {
                section aria-labelledby="evidence" {
                    h2 #evidence { "Evidence from registries and nodes" }
                    ul.lines { @for line in &lines { li { (sentence(line)) } } }
                }
            }
        }
    }

    fn templates(&self) -> Markup {
        html! {
            section aria-labelledby="templates" {
                h2 #templates { "Templates" }
                @for template in self.explanation.templates() { (self.template(&template)) }
            }
        }
    }

    fn template(&self, template: &Template<'_>) -> Markup {
        let containers = || {
            let of_hash = |by_hash: &&HashDigests| *by_hash.hash == *template.hash && !by_hash.digests.is_empty();
            self.report()
                .containers
                .iter()
                .filter_map(move |it| Some((&it.container, it.by_hash.iter().find(of_hash)?)))
        };
        html! {
            article.template {
                h3 {
                    code { (Text(if template.hash.is_empty() { "no hash" } else { template.hash })) }
                    @if template.current == Some(true) { " " span.tag { "current" } }
                    @if let Some(revision) = template.revision { " revision " (revision) }
                }
                p {
                    @match template.pods {
                        None => "no pods",
                        Some(hash) => {
                            (pods(hash.pods)) ", " (hash.ready_pods) " ready"
                            @if hash.terminating_pods > 0 { ", " (hash.terminating_pods) " terminating" }
                        }
                    }
                    @if let Some(created) = template.created { ", created " (ago(created, self.taken)) }
                }
                @if template.current == Some(true) { (self.unready()) }
                ul.containers {
                    @for (container, of_hash) in containers() { li { (self.container(container, of_hash)) } }
                    @for image in template.images.iter().filter(|image| !containers().any(|(name, _)| *name == image.container)) {
                        li { b { (Text(&image.container)) } " uses " (image_link(&image.image)) }
                    }
                }
            }
        }
    }

    fn container(&self, name: &str, of_hash: &HashDigests) -> Markup {
        let groups: Vec<BoardGroup> = of_hash
            .digests
            .iter()
            .map(|digest| BoardGroup {
                name: digest.digest.clone(),
                current: of_hash.newest_digest.as_ref().map(|newest| *newest == digest.digest),
                pods: digest.pods,
            })
            .collect();
        html! {
            b { (Text(name)) } (origin(of_hash.origin))
            @if of_hash.skewed_since.is_some() {
                ": " strong.alarm { (of_hash.distinct_digests) " digests" } (since_when(of_hash.began(), self.taken))
            }
            (bar(&groups))
            ul.digests {
                @for digest in &of_hash.digests {
                    li {
                        (pods(digest.pods)) ": " (image_link(&digest.image)) " is "
                        code title=(Text(&digest.digest)) { (Text(&short(&digest.digest))) } " (" (digest.kind.as_str().replace('_', " ")) ")"
                        @if of_hash.newest_digest.as_ref() == Some(&digest.digest) { ", which started last" }
                    }
                }
            }
        }
    }

    fn unready(&self) -> Markup {
        let unready = self.explanation.unready();
        let mut shown: Vec<&str> = Vec::new();
        html! {
            @if !unready.is_empty() {
                ul.unready {
                    @for (pod, PodDetail { waiting, .. }) in unready.iter().take(NAMED) {
                        li {
                            @if self.names_pods { code { (Text(&pod.pod)) } } @else { "a pod" }
                            @if !pod.node.is_empty() { " on " a href=(Depth::WORKLOAD.to_node(&pod.node)) { (Text(&pod.node)) } }
                            " is not ready"
                            @if !waiting.is_empty() { ": " (Text(&in_words(waiting))) }
                            @for message in waiting.iter().map(|it| &*it.message).filter(|message| !message.is_empty()) {
                                @if !shown.contains(&message) {
                                    @let () = shown.push(message);
                                    p.message { (Text(&one_line(message))) }
                                }
                            }
                        }
                    }
                    @if unready.len() > NAMED { li { "and " (unready.len() - NAMED) " more" } }
                }
            }
        }
    }

    fn references(&self) -> Markup {
        let report = self.report();
        let moving = || report.image_references.iter().filter(|image| image.reference != ReferenceKind::Digest);
        let current = report.hashes.iter().find(|hash| hash.current == Some(true));
        html! {
            @if moving().next().is_some() {
                section aria-labelledby="references" {
                    h2 #references { "Image references that can move" }
                    ul {
                        @for image in moving() {
                            li {
                                b { (Text(&image.container)) } ": " (image_link(&image.image)) " (by " (image.reference.as_str())
                                @if !image.pull_policy.is_empty() { ", pull policy " (Text(&image.pull_policy)) }
                                ")"
                            }
                        }
                    }
                    @if let Some(pinned) = current.and_then(|current| pin(report, &current.hash)) {
                        h3 { "Pin all pods to one digest" }
                        (action(&pinned))
                    }
                }
            }
        }
    }

    fn ways_back(&self) -> Markup {
        let (report, history) = (self.report(), &self.explanation.history);
        let ways = self.explanation.ways_back();
        html! {
            @if !ways.is_empty() {
                section aria-labelledby="back" {
                    h2 #back { "Rollback" }
                    @if let Some(deployment) = &report.template_of {
                        p { "Its template belongs to deployment/" (Text(deployment)) "; the command changes that." }
                    }
                    @for (revision, number) in ways {
                        h3 { "Revision " (number) ", " code { (Text(&revision.hash)) } }
                        p {
                            @if let Some(created) = revision.created { "created " (ago(created, self.taken)) }
                            @if !revision.worked { "; whether it ever worked is unknown" }
                        }
                        (action(&roll_back(report, history, &revision.hash, number)))
                    }
                    h3 { "Show what would change" }
                    (command(&format!("{} HASH", self.explanation.diff)))
                    p.why { (GITOPS) }
                }
            }
        }
    }

    fn notes(&self) -> Markup {
        html! {
            @if !self.explanation.notes.is_empty() {
                section aria-labelledby="unknown" {
                    h2 #unknown { "Unknown" }
                    ul { @for note in &self.explanation.notes { li { (Text(note)) } } }
                }
            }
        }
    }
}

fn image_link(reference: &str) -> Markup {
    html! { a.image href=(Depth::WORKLOAD.to_image(reference)) { (Text(reference)) } }
}

fn action(action: &Action) -> Markup {
    html! {
        @if action.commands.is_empty() { p { (Text(&action.line())) } } @else { (command(&action.line())) }
        @if !action.then.is_empty() { p.then { "Then: " (Text(&action.then)) } }
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Template => "",
        Origin::Injected => " (injected)",
        Origin::Unknown => " (of unknown origin)",
    }
}

fn since_when(moment: Option<UnixTime>, taken: ObservationTime) -> Markup {
    html! { @match moment { Some(moment) => { ", for " (since(moment, taken)) }, None => ", since when is unknown" } }
}

/// The alert whose runbook covers a finding.
fn runbook(finding: Finding) -> Option<&'static str> {
    Some(match finding {
        Finding::DigestSkew => "PodskewDigestSkew",
        Finding::Stalled => "PodskewRolloutStalled",
        Finding::UnderWay => "PodskewRolloutSlow",
        Finding::HashesPersist | Finding::HashesMixed => "PodskewTemplateHashesPersist",
        Finding::InjectedSkew => "PodskewInjectedContainerSkew",
        Finding::Held => "PodskewMixForgotten",
        Finding::NotCompared => "PodskewDigestUnresolved",
        Finding::LatestTag => "PodskewLatestTag",
        Finding::NotAvailable | Finding::UnknownSkew | Finding::ImageGone | Finding::TagMoved => return None,
    })
}
