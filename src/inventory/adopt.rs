//! Corrections after files were read: objects that are the same although their uids differ.

use super::Inventory;
use crate::objects::{Resource, Uid};
use crate::time::UnixTime;

impl Inventory {
    /// Removes an object that is a copy of a known one.
    pub fn forget(&mut self, resource: Resource, uid: Uid, now: UnixTime) {
        self.remove(resource, uid, now);
    }

    /// Moves the dependents of an owner that was named but never listed to the object of the same name.
    pub fn adopt(&mut self, named: Uid, owner: Uid, now: UnixTime) {
        let (Some(from), Some(to)) = (self.owners.find(named), self.owners.find(owner)) else { return };
        let Some(dependents) = self.owners.adopt(from, to) else { return };
        if let Some(name) = self.owners.get(from).map(|owner| owner.key.name)
            && let Some(owner) = self.owners.get_mut(to)
            && owner.key.name.is_empty()
        {
            owner.key.name = name;
        }
        for pod in &dependents.pods {
            if let Some(entry) = self.pods.get_mut(*pod) {
                entry.owner = to;
            }
        }
        let children = dependents.children.clone();
        if let Some(owner) = self.owners.get_mut(to) {
            let own = owner.dependents.get_or_insert_default();
            own.pods.extend(dependents.pods);
            own.children.extend(dependents.children);
            own.revisions.extend(dependents.revisions);
        }
        self.note_ready_pods(to);
        self.place(from, now);
        self.owners.release(from);
        self.place_with_children(to, now);
        for at in children.into_iter().chain([to]) {
            self.touch_owner(at);
        }
    }
}
