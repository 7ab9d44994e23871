//! Messages of pods and workloads: at most 1 MiB in all. Freed ones make room for others.

use super::Inventory;
use super::owners::OwnerObject;
use crate::report::Name;
use crate::time::UnixTime;
use std::collections::HashMap;
use std::sync::Arc;

/// Seconds between two counts of the bytes held. A count reads every pod.
const BETWEEN: u32 = 60;

/// Maximum bytes of messages in all.
const MESSAGE_BYTES: usize = 1 << 20;

/// Bytes of messages that may still be kept.
#[derive(Debug)]
pub(super) struct MessageBudget {
    left: usize,
    /// When the bytes held were last counted.
    counted: Option<UnixTime>,
}

impl Default for MessageBudget {
    fn default() -> Self {
        Self { left: MESSAGE_BYTES, counted: None }
    }
}

impl MessageBudget {
    /// Reserves the bytes of another message. `false` if they do not fit; then the budget is spent.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    /// Whether the budget is spent, and the last count is long enough ago.
    fn is_due(&self, now: UnixTime) -> bool {
        self.left == 0 && self.counted.is_none_or(|counted| now.since(counted) >= BETWEEN)
    }

    fn count(&mut self, held: usize, now: UnixTime) {
        *self = Self { left: MESSAGE_BYTES.saturating_sub(held), counted: Some(now) };
    }
}

impl Inventory {
    /// Counts the bytes of messages held, if no more fit. A shared message counts once.
    pub(super) fn make_room_for_messages(&mut self, now: UnixTime) {
        if self.settings.messages && self.waits && self.message_budget.is_due(now) {
            let held = self.message_bytes_held();
            self.message_budget.count(held, now);
        }
    }

    fn message_bytes_held(&self) -> usize {
        let mut held: HashMap<*const u8, usize> = HashMap::new();
        let mut count = |message: &Name| {
            held.insert(Arc::as_ptr(message).cast(), message.len());
        };
        for (_, entry) in self.pods.iter() {
            entry.record.waiting.iter().flat_map(|waiting| waiting.iter()).for_each(|waiting| count(&waiting.message));
        }
        for (_, owner) in self.owners.iter() {
            if let OwnerObject::Controller(controller) = &owner.object
                && let Some((_, message)) = controller.failure
            {
                count(self.strings.name(message));
            }
        }
        held.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{BETWEEN, Inventory, MESSAGE_BYTES};
    use crate::inventory::{Settings, Source};
    use crate::objects::{Resource, WatchEvent, decode_event};
    use crate::time::UnixTime;

    const SOURCE: Source = Source { resource: Resource::Pods, namespace: 0 };

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(1_000 + seconds).unwrap()
    }

    /// Each pod has 256 bytes of message of its own.
    fn event(inventory: &mut Inventory, kind: &str, number: usize, message: &str) {
        let text = format!(
            r#"{{"type":"{kind}","object":{{"metadata":{{"name":"db-{number}","namespace":"shop","uid":"{number:032x}",
                "labels":{{"controller-revision-hash":"db-1"}},"ownerReferences":[{{"apiVersion":"apps/v1",
                "kind":"StatefulSet","name":"db","uid":"b","controller":true}}]}},
                "spec":{{"containers":[{{"name":"db","image":"db:1"}}]}},
                "status":{{"containerStatuses":[{{"name":"db","state":{{"waiting":{{"reason":"X","message":"{message}"}}}}}}]}}}}}}"#
        );
        match decode_event(Resource::Pods, text.as_bytes()) {
            Ok(WatchEvent::Applied(pod)) => inventory.apply(SOURCE, &pod, at(0)),
            Ok(WatchEvent::Deleted(pod)) => inventory.delete(SOURCE, &pod, at(0)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_megabyte_of_messages_is_kept_and_removed_ones_make_room() {
        let mut inventory = Inventory::new(Settings { messages: true, ..Settings::default() }, &[SOURCE]);
        inventory.begin_relist(SOURCE);
        inventory.finish_relist(SOURCE, at(0));
        let said = |number: usize| format!("{number:0256}");
        let room = MESSAGE_BYTES / 256;
        for number in 0..room + 10 {
            event(&mut inventory, "ADDED", number, &said(number));
        }
        assert_eq!((inventory.message_budget.left, inventory.message_bytes_held()), (0, MESSAGE_BYTES));
        // A message that is already held takes no room.
        event(&mut inventory, "ADDED", room + 100, &said(0));
        assert_eq!(inventory.message_bytes_held(), MESSAGE_BYTES);
        inventory.take_changes(at(1));
        assert_eq!(inventory.message_budget.left, 0);
        for number in 1..=100 {
            event(&mut inventory, "DELETED", number, &said(number));
        }
        inventory.take_changes(at(2));
        assert_eq!(inventory.message_budget.left, 0, "a count looks at every pod, so it is not made at once");
        inventory.take_changes(at(1 + i64::from(BETWEEN)));
        assert_eq!(inventory.message_budget.left, 100 * 256);
        event(&mut inventory, "ADDED", room, &said(room + 1));
        assert_eq!(inventory.message_bytes_held(), MESSAGE_BYTES - 99 * 256);
    }
}
