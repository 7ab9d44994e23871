//! One workload more closely, for somebody who asks for it by name.

use super::Inventory;
use crate::report::Workload;
use crate::report::history::{History, history};

impl Inventory {
    /// The history of a workload; `None` if there is none of that name.
    #[must_use]
    pub fn history(&self, workload: &Workload) -> Option<History> {
        let (_, record) = self.workloads.iter().find(|(_, record)| self.name_of(record) == *workload)?;
        Some(history(&self.facts(record, &record.memory)))
    }
}
