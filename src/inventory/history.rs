//! Details of one workload, on demand.

use super::Inventory;
use super::workloads::WorkloadRecord;
use crate::report::history::{History, history};
use crate::report::{self, Workload, WorkloadReport};
use crate::time::UnixTime;

impl Inventory {
    /// Returns a workload's report as of now and its history; `None` if no workload of that name is published.
    #[must_use]
    pub fn explained(&self, workload: &Workload, now: UnixTime) -> Option<(WorkloadReport, History)> {
        let record = self.published(workload)?;
        if record.memory.observed {
            let facts = self.facts(record, &record.memory);
            return Some((report::report(&facts, &record.memory.course, now), history(&facts)));
        }
        let (report, memory) = self.reported(record, now);
        let memory = memory.as_ref().unwrap_or(&record.memory);
        Some((report, history(&self.facts(record, memory))))
    }

    /// Returns the published workloads with active pods of this image reference, sorted.
    #[must_use]
    pub fn running(&self, image: &str) -> Vec<Workload> {
        let Some(image) = self.strings.find(image) else { return Vec::new() };
        let runs = |record: &&WorkloadRecord| {
            record
                .memory
                .identities()
                .any(|identity| self.identities.get(identity).is_some_and(|identity| identity.image == image))
        };
        let published = self.workloads.iter().map(|(_, record)| record).filter(|record| record.is_published());
        let mut workloads: Vec<Workload> = published.filter(runs).map(|record| self.name_of(record)).collect();
        workloads.sort_unstable();
        workloads
    }

    fn published(&self, workload: &Workload) -> Option<&WorkloadRecord> {
        let [namespace, workload_type, name] =
            [&workload.namespace, &workload.workload_type, &workload.name].map(|text| self.strings.find(text));
        let at = self.workloads.find((namespace?, workload_type?, name?))?;
        self.workloads.get(at).filter(|record| record.is_published())
    }

    /// Returns the history of a workload; `None` if there is none of that name.
    #[must_use]
    pub fn history(&self, workload: &Workload) -> Option<History> {
        let (_, record) = self.workloads.iter().find(|(_, record)| self.name_of(record) == *workload)?;
        Some(history(&self.facts(record, &record.memory)))
    }
}
