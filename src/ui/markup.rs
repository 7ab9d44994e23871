//! Building blocks of all pages.

use super::assets;
use super::board::BoardGroup;
use super::event::event_key;
use super::links::push_encoded;
use crate::advice::Finding;
use crate::report::Workload;
use crate::terminal::humanize::{age, visible};
use crate::time::{ObservationTime, UnixTime};
use maud::{DOCTYPE, Markup, Render, html};

/// Maximum number of characters to show of a text: Kubernetes' names are shorter, but text from images may be longer.
const SHOWN: usize = 600;

/// External text: escaped, truncated, and without characters that change the direction of text.
pub(super) struct Text<'a>(pub &'a str);

impl Render for Text<'_> {
    fn render_to(&self, buffer: &mut String) {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(SHOWN) {
            match visible(character) {
                '&' => buffer.push_str("&amp;"),
                '<' => buffer.push_str("&lt;"),
                '>' => buffer.push_str("&gt;"),
                '"' => buffer.push_str("&quot;"),
                '\'' => buffer.push_str("&#39;"),
                plain => buffer.push(plain),
            }
        }
        if characters.next().is_some() {
            buffer.push('…');
        }
    }
}

/// Depth of a page: the relative path to the overview.
#[derive(Clone, Copy)]
pub(super) struct Depth(pub &'static str);

impl Depth {
    /// For `/` and `/image`.
    pub(super) const TOP: Self = Self("./");
    /// For `/node/NAME`.
    pub(super) const NODE: Self = Self("../");
    /// For `/workload/NAMESPACE/TYPE/NAME`.
    pub(super) const WORKLOAD: Self = Self("../../../");

    /// The relative URL of a path below the overview.
    pub(super) fn to(self, path: &str) -> String {
        // A page has a hundred such links, so `./` at the beginning is omitted.
        let back = if self.0 == Self::TOP.0 { "" } else { self.0 };
        format!("{back}{path}")
    }

    pub(super) fn to_node(self, node: &str) -> String {
        let mut path = self.to("node/");
        push_encoded(&mut path, node);
        path
    }

    pub(super) fn to_image(self, reference: &str) -> String {
        let mut path = self.to("image?ref=");
        push_encoded(&mut path, reference);
        path
    }
}

/// The frame of a page.
pub(super) struct PageFrame<'a> {
    pub title: &'a str,
    pub depth: Depth,
    /// Text in the search field.
    pub search: &'a str,
    /// Generation of the published picture.
    pub generation: u64,
    pub now: UnixTime,
    /// The page's workload, as named in events; `None` if it shows several.
    pub workload: Option<&'a Workload>,
    pub main: Markup,
}

impl PageFrame<'_> {
    pub(super) fn render(self) -> Markup {
        let Self { title, depth, search, generation, now, workload, main } = self;
        let key = workload.map(event_key);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (Text(title)) " · podskew" }
                    link rel="icon" type="image/svg+xml" href=(depth.to(&assets::ICON.path()));
                    link rel="stylesheet" href=(depth.to(&assets::STYLE.path()));
                    script src=(depth.to(&assets::SCRIPT.path())) defer {}
                }
                body data-root=(depth.0) data-generation=(generation) data-now=(now.seconds()) data-workload=[key.as_deref().map(Text)] {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        a.brand href=(depth.0) aria-label="podskew, overview" { (logo()) span { "podskew" } }
                        form.search method="get" action=(depth.0) role="search" {
                            label for="q" { "Search workloads" }
                            input #q type="search" name="q" maxlength="200" autocomplete="off" spellcheck="false"
                                placeholder="Search workloads" value=(Text(search));
                            button type="submit" { "Search" }
                        }
                        span #live.live role="status" {}
                    }
                    main #main tabindex="-1" { (main) }
                    footer {
                        p {
                            "podskew " (env!("CARGO_PKG_VERSION")) " · "
                            a href=(depth.to("api/v1/summary")) { "JSON" } " · "
                            a href=(depth.to("metrics")) { "metrics" } " · "
                            a href="https://github.com/podskew/podskew/tree/main/docs" rel="noreferrer" { "documentation" }
                        }
                    }
                }
            }
        }
    }
}

fn logo() -> Markup {
    html! {
        svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false" {
            rect.logo-a x="2" y="2" width="9" height="9" rx="2" {}
            rect.logo-a x="13" y="2" width="9" height="9" rx="2" {}
            rect.logo-a x="2" y="13" width="9" height="9" rx="2" {}
            rect.logo-b x="13" y="13" width="9" height="9" rx="2" transform="rotate(14 17.5 17.5)" {}
        }
    }
}

/// The CSS class of a finding's badge. The style adds a symbol, so that colour is not the only distinction.
fn severity(finding: Finding) -> &'static str {
    match finding {
        Finding::DigestSkew | Finding::Stalled | Finding::ImageGone => "bad",
        Finding::UnderWay => "moving",
        Finding::HashesPersist | Finding::HashesMixed | Finding::NotAvailable => "mixed",
        Finding::InjectedSkew | Finding::UnknownSkew | Finding::TagMoved => "warn",
        Finding::Held => "held",
        Finding::NotCompared => "open",
        Finding::LatestTag => "latest",
    }
}

pub(super) fn badge(finding: Finding, title: &str) -> Markup {
    html! { b class=(severity(finding)) { (title) } }
}

pub(super) fn uniform_badge() -> Markup {
    html! { b.good { "uniform" } }
}

/// Number of groups in a legend.
const NAMED: usize = 4;

/// A bar of pods by hash or digest, with a legend.
pub(super) fn bar(groups: &[BoardGroup]) -> Markup {
    let all: u32 = groups.iter().map(|group| group.pods).sum();
    let mut at = 0_u32;
    let share = |pods: u32| format!("{:.1}%", f64::from(pods) * 100.0 / f64::from(all.max(1)));
    html! {
        @if all == 0 {
            span.none { "no pods" }
        } @else {
            svg.bar aria-hidden="true" {
                @for (number, group) in groups.iter().enumerate() {
                    rect class=(segment(number, group)) x=(share(at)) width=(share(group.pods)) {}
                    @let () = at += group.pods;
                }
            }
            ul.legend {
                @for (number, group) in groups.iter().take(NAMED).enumerate() {
                    li class=(segment(number, group)) {
                        b { (group.pods) } " " code { (Text(&short(&group.name))) }
                        @if group.current == Some(true) { (if group.name.contains(':') { " newest" } else { " current" }) }
                    }
                }
                @if groups.len() > NAMED { li { "and " (groups.len() - NAMED) " more" } }
            }
        }
    }
}

/// CSS class of a group's colour; the first is for the newest.
fn segment(number: usize, group: &BoardGroup) -> &'static str {
    if group.current == Some(true) { "s0" } else { ["s1", "s2", "s3", "s4"][number % 4] }
}

/// A digest or hash, shortened for people.
pub(super) fn short(text: &str) -> String {
    match text.split_once(':') {
        Some((_, digits)) => digits.chars().take(12).collect(),
        None if text.is_empty() => "no hash".to_owned(),
        None => text.chars().take(20).collect(),
    }
}

/// `23m 2026-11-30 19:32 UTC`; the script updates the age.
pub(super) fn since(moment: UnixTime, taken: ObservationTime) -> Markup {
    age_and_stamp(moment, taken, " ")
}

/// `23m ago 2026-11-30 19:32 UTC`.
pub(super) fn ago(moment: UnixTime, taken: ObservationTime) -> Markup {
    age_and_stamp(moment, taken, " ago ")
}

fn age_and_stamp(moment: UnixTime, taken: ObservationTime, between: &str) -> Markup {
    let stamp = jiff::Timestamp::from_second(i64::from(moment.seconds())).unwrap_or_default();
    html! {
        time datetime=(stamp.to_string()) { (age(taken.at.since(moment))) } (between)
        small { (stamp.strftime("%Y-%m-%d %H:%M UTC").to_string()) }
    }
}

/// Capitalises a sentence and adds a full stop.
pub(super) fn sentence(text: &str) -> Markup {
    let mut characters = text.chars();
    let capital: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if text.ends_with('.') { "" } else { "." };
    html! { @if !text.is_empty() { (Text(&format!("{capital}{}{end}", characters.as_str()))) } }
}

/// A command; the script adds a button to copy it.
pub(super) fn command(text: &str) -> Markup {
    html! { pre { code { (FullCommand(text)) } } }
}

/// A command in full: a truncated one would be useless.
struct FullCommand<'a>(&'a str);

impl Render for FullCommand<'_> {
    fn render_to(&self, buffer: &mut String) {
        let characters: Vec<char> = self.0.chars().collect();
        for part in characters.chunks(SHOWN) {
            Text(&part.iter().collect::<String>()).render_to(buffer);
        }
    }
}

/// A number with thin spaces: `6 000`.
pub(super) fn number(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len());
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{FullCommand, Text, number, short};
    use maud::Render;

    #[test]
    fn texts_are_escaped_and_cut_and_commands_only_escaped() {
        assert_eq!(
            Text("<a href=\"x\" b='y'>&\u{202e}").render().into_string(),
            "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;\u{fffd}"
        );
        assert_eq!(Text(&"x".repeat(700)).render().into_string().chars().count(), 601);
        assert_eq!(FullCommand(&"x".repeat(1300)).render().into_string().len(), 1300);
    }

    #[test]
    fn counts_and_digests_are_short() {
        assert_eq!(
            [number(0), number(999), number(6000), number(1_234_567)],
            ["0", "999", "6\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
        assert_eq!(short("sha256:5de7201f0068aaaa"), "5de7201f0068");
        assert_eq!(short(""), "no hash");
    }
}
