//! Evidence of registries about a workload, as JSON.

use super::moment;
use crate::report::registry::{Build, RegistryReport, TagReport};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize, Debug)]
pub(super) struct Evidence<'a> {
    tags: Vec<Tag<'a>>,
    gone: Vec<Gone<'a>>,
    skews: Vec<Skew<'a>>,
    /// Build details by digest.
    builds: BTreeMap<&'a str, Built<'a>>,
    /// Images whose digest is unknown, with the reason.
    unanswered: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize, Debug)]
struct Tag<'a> {
    container: &'a str,
    image: &'a str,
    origin: &'static str,
    change: &'static str,
    since: Option<String>,
    digest: &'a str,
}

#[derive(Serialize, Debug)]
struct Gone<'a> {
    container: &'a str,
    image: &'a str,
    origin: &'static str,
    since: String,
}

#[derive(Serialize, Debug)]
struct Skew<'a> {
    pod_template_hash: &'a str,
    container: &'a str,
    content: &'static str,
}

#[derive(Serialize, Debug)]
struct Built<'a> {
    revision: Option<&'a str>,
    version: Option<&'a str>,
    source: Option<&'a str>,
    created: Option<String>,
}

impl<'a> From<&'a RegistryReport> for Evidence<'a> {
    fn from(report: &'a RegistryReport) -> Self {
        let gone = report.gone.iter().map(|gone| Gone {
            container: &gone.container,
            image: &gone.image,
            origin: gone.origin.as_str(),
            since: moment(gone.since),
        });
        let skews = report.skews.iter().map(|skew| Skew {
            pod_template_hash: &skew.hash,
            container: &skew.container,
            content: skew.as_str(),
        });
        Self {
            tags: report.tags.iter().map(Tag::from).collect(),
            gone: gone.collect(),
            skews: skews.collect(),
            builds: report.builds.iter().map(|(digest, build)| (&**digest, Built::from(build))).collect(),
            unanswered: report.unknown().map(|(image, why)| (&**image, why)).collect(),
        }
    }
}

impl<'a> From<&'a TagReport> for Tag<'a> {
    fn from(tag: &'a TagReport) -> Self {
        Self {
            container: &tag.container,
            image: &tag.image,
            origin: tag.origin.as_str(),
            change: tag.change.as_str(),
            since: tag.since.map(moment),
            digest: &tag.digest,
        }
    }
}

impl<'a> From<&'a Build> for Built<'a> {
    fn from(build: &'a Build) -> Self {
        Self {
            revision: build.revision.as_deref(),
            version: build.version.as_deref(),
            source: build.source.as_deref(),
            created: build.created.map(moment),
        }
    }
}
