//! What is watched, and how far each watch is: answered, readable, live, or in the middle of a list.

use super::relist::Relist;
use super::source::Source;
use crate::time::UnixTime;
use hashbrown::HashMap;

/// How a source stands.
#[derive(Default, Debug)]
struct SourceState {
    /// Listed, forbidden or not served at least once.
    answered: bool,
    /// Listed, and not forbidden or gone since: its objects can be expected.
    readable: bool,
    /// Since when its watch has stood; what has not come while it does not may still come.
    live_since: Option<UnixTime>,
    /// The list in progress.
    relist: Option<Relist>,
}

/// A list that is complete.
pub(super) struct Finished {
    pub(super) relist: Relist,
    /// Whether the source had not answered before.
    pub(super) is_first: bool,
    /// Whether its objects could not be expected before.
    pub(super) became_readable: bool,
}

/// Every source.
#[derive(Debug)]
pub(super) struct Sources(HashMap<Source, SourceState>);

impl Sources {
    /// Each of `sources` is expected to answer.
    pub(super) fn new(sources: &[Source]) -> Self {
        Self(sources.iter().map(|source| (*source, SourceState::default())).collect())
    }

    /// Whether the picture is complete.
    pub(super) fn have_answered(&self) -> bool {
        self.0.values().all(|state| state.answered)
    }

    /// The sources that have not answered yet, sorted.
    pub(super) fn unanswered(&self) -> Vec<Source> {
        let mut sources: Vec<Source> =
            self.0.iter().filter(|(_, state)| !state.answered).map(|(source, _)| *source).collect();
        sources.sort_unstable();
        sources
    }

    /// Whether objects of a source can be expected.
    pub(super) fn is_readable(&self, source: Source) -> bool {
        self.0.get(&source).is_some_and(|state| state.readable)
    }

    /// Since when the watch of a source has stood.
    pub(super) fn live_since(&self, source: Source) -> Option<UnixTime> {
        self.0.get(&source)?.live_since
    }

    /// A list begins; returns whether it is the first.
    pub(super) fn begin_list(&mut self, source: Source) -> bool {
        let state = self.0.entry(source).or_default();
        state.relist = Some(Relist::default());
        !state.answered
    }

    /// The list in progress, and whether it is the first.
    pub(super) fn list_in_progress(&mut self, source: Source) -> Option<(&mut Relist, bool)> {
        let state = self.0.get_mut(&source)?;
        Some((state.relist.as_mut()?, !state.answered))
    }

    /// The list is complete; `None` if none was begun.
    pub(super) fn finish_list(&mut self, source: Source, now: UnixTime) -> Option<Finished> {
        let state = self.0.entry(source).or_default();
        let relist = state.relist.take()?;
        state.live_since.get_or_insert(now);
        Some(Finished {
            relist,
            is_first: !std::mem::replace(&mut state.answered, true),
            became_readable: !std::mem::replace(&mut state.readable, true),
        })
    }

    /// The list broke off; returns whether it was a first one, whose objects have taken their places already.
    pub(super) fn abandon_list(&mut self, source: Source) -> bool {
        let state = self.0.entry(source).or_default();
        state.relist.take().is_some() && !state.answered
    }

    /// Whether the watch stands.
    pub(super) fn set_live(&mut self, source: Source, live: bool, now: UnixTime) {
        let state = self.0.entry(source).or_default();
        state.live_since = if live { state.live_since.or(Some(now)) } else { None };
    }

    /// The source has no objects: it is forbidden, or not served. Returns whether it was readable before.
    pub(super) fn withdraw(&mut self, source: Source, answered: bool) -> bool {
        let state = self.0.entry(source).or_default();
        state.answered = answered;
        state.relist = None;
        std::mem::replace(&mut state.readable, false)
    }

    /// Every list in progress.
    pub(super) fn lists(&self) -> impl Iterator<Item = &Relist> {
        self.0.values().filter_map(|state| state.relist.as_ref())
    }
}
