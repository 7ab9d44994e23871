//! ControllerRevisions: the history of the templates of StatefulSets and DaemonSets.

use super::cluster::Cluster;
use super::index::Key;
use super::pods::{CONTROLLER_MANAGER, owner_references};
use super::sets::{same_template, template_hash};
use crate::resource::Resource;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One revision of a template.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub(super) key: Key,
    pub(super) number: i64,
    pub(super) object: Value,
}

impl Revision {
    pub(super) fn name(&self) -> &str {
        &self.key.name
    }

    /// Value of the hash label on the pods of a DaemonSet.
    pub(super) fn hash(&self) -> &str {
        let labels = &self.object["metadata"]["labels"];
        let label = ["controller-revision-hash", "controller.kubernetes.io/hash"]
            .into_iter()
            .find_map(|name| labels[name].as_str());
        label.or_else(|| Some(self.key.name.rsplit_once('-')?.1)).unwrap_or_default()
    }

    pub(super) fn template(&self) -> &Value {
        &self.object["data"]["spec"]["template"]
    }
}

/// The revisions that an object controls, oldest first.
pub(super) fn of_owner(cluster: &Cluster, uid: &str) -> Vec<Revision> {
    let keys = cluster.index.owned(uid, Resource::ControllerRevisions).into_iter();
    let read = |key: Key| {
        let object = cluster.get(&key)?;
        Some(Revision { number: object["revision"].as_i64().unwrap_or(0), key, object })
    };
    let mut revisions: Vec<Revision> = keys.filter_map(read).collect();
    revisions.sort_by_key(|revision| (revision.number, revision.key.clone()));
    revisions
}

/// The revision of the current template, which is always the newest: a rollback makes an old one the newest again. `first`
/// is the hash to use if there is none yet: dumps of a cluster may lack the revisions that pods and statuses name.
pub(super) fn current(
    cluster: &mut Cluster,
    owner: (&Key, &Value),
    revisions: &mut Vec<Revision>,
    (hash_label, first): (&str, Option<&str>),
) -> Option<Revision> {
    let (key, object) = owner;
    let template = &object["spec"]["template"];
    let newest = revisions.last().map_or(0, |revision| revision.number);
    let same = revisions.iter().rposition(|revision| same_template(revision.template(), template, ""));
    if let Some(index) = same {
        if revisions[index].number == newest {
            return Some(revisions[index].clone());
        }
        let mut revision = revisions.remove(index);
        revision.number = newest + 1;
        let number = revision.number;
        cluster.change(&revision.key, CONTROLLER_MANAGER, |object| object["revision"] = number.into());
        revisions.push(revision.clone());
        return Some(revision);
    }
    let first = first.filter(|_| revisions.is_empty());
    let revision = create(cluster, key, object, newest + 1, (hash_label, first))?;
    revisions.push(revision.clone());
    Some(revision)
}

fn create(
    cluster: &mut Cluster,
    key: &Key,
    owner: &Value,
    number: i64,
    (hash_label, known): (&str, Option<&str>),
) -> Option<Revision> {
    let template = &owner["spec"]["template"];
    // A revision stores the template as a patch that restores it.
    let mut patch = template.clone();
    patch["$patch"] = "replace".into();
    (0..8).find_map(|collision| {
        let known = known.filter(|_| collision == 0).map(str::to_owned);
        let hash = known.unwrap_or_else(|| template_hash(template, collision));
        let mut labels = template["metadata"]["labels"].clone();
        labels[hash_label] = hash.as_str().into();
        let name = format!("{}-{hash}", key.name);
        let mut object = json!({
            "metadata": {
                "name": name, "namespace": key.namespace, "labels": labels,
                "ownerReferences": owner_references(key, owner),
            },
            "data": {"spec": {"template": patch}},
            "revision": number,
        });
        if let Some(annotations) = owner["metadata"].get("annotations") {
            object["metadata"]["annotations"] = annotations.clone();
        }
        let created = cluster.create(Resource::ControllerRevisions, object.clone(), CONTROLLER_MANAGER).is_ok();
        let key = key.sibling(Resource::ControllerRevisions, &name);
        created.then_some(Revision { key, number, object })
    })
}

/// Deletes the oldest unused revisions beyond the limit.
pub(super) fn clean_up(cluster: &mut Cluster, revisions: &[Revision], used: &BTreeSet<&str>, limit: Option<i32>) {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(10);
    let unused: Vec<&Revision> = revisions
        .iter()
        .filter(|revision| !used.contains(revision.name()) && !used.contains(revision.hash()))
        .collect();
    for revision in &unused[..unused.len().saturating_sub(limit)] {
        cluster.delete(&revision.key);
    }
}
