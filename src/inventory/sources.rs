//! State of each watched source: answered, readable, live, or in the middle of a list.

use super::relist::Relist;
use super::source::Source;
use crate::time::UnixTime;
use hashbrown::HashMap;

/// State of a source.
#[derive(Default, Debug)]
struct SourceState {
    /// Whether it was listed, forbidden or not served at least once.
    answered: bool,
    /// Whether it was listed and is still allowed, so that its objects can be awaited.
    readable: bool,
    /// Since when its watch is established; while it is not, unseen objects may exist.
    live_since: Option<UnixTime>,
    /// The list in progress.
    relist: Option<Relist>,
}

/// A completed list.
pub(super) struct Finished {
    pub(super) relist: Relist,
    /// Whether it was the source's first answer.
    pub(super) is_first: bool,
    /// Whether the source became readable.
    pub(super) became_readable: bool,
}

/// The state of every source.
#[derive(Debug)]
pub(super) struct Sources(HashMap<Source, SourceState>);

impl Sources {
    /// Awaits an answer of each of `sources`.
    pub(super) fn new(sources: &[Source]) -> Self {
        Self(sources.iter().map(|source| (*source, SourceState::default())).collect())
    }

    /// Whether every source has answered.
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

    /// Whether objects of a source can be awaited.
    pub(super) fn is_readable(&self, source: Source) -> bool {
        self.0.get(&source).is_some_and(|state| state.readable)
    }

    /// Since when the watch of a source is established.
    pub(super) fn live_since(&self, source: Source) -> Option<UnixTime> {
        self.0.get(&source)?.live_since
    }

    /// Begins a list; returns whether it is the initial one.
    pub(super) fn begin_list(&mut self, source: Source) -> bool {
        let state = self.0.entry(source).or_default();
        state.relist = Some(Relist::default());
        !state.answered
    }

    /// The list in progress, and whether it is the initial one.
    pub(super) fn list_in_progress(&mut self, source: Source) -> Option<(&mut Relist, bool)> {
        let state = self.0.get_mut(&source)?;
        Some((state.relist.as_mut()?, !state.answered))
    }

    /// Ends the list; `None` if none was begun.
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

    /// Discards the list; returns whether it was the initial one, whose objects were added already.
    pub(super) fn abandon_list(&mut self, source: Source) -> bool {
        let state = self.0.entry(source).or_default();
        state.relist.take().is_some() && !state.answered
    }

    /// Sets whether the watch is established.
    pub(super) fn set_live(&mut self, source: Source, live: bool, now: UnixTime) {
        let state = self.0.entry(source).or_default();
        state.live_since = if live { state.live_since.or(Some(now)) } else { None };
    }

    /// Records that the source has no objects: forbidden or not served. Returns whether it was readable before.
    pub(super) fn withdraw(&mut self, source: Source, answered: bool) -> bool {
        let state = self.0.entry(source).or_default();
        state.answered = answered;
        state.relist = None;
        std::mem::replace(&mut state.readable, false)
    }

    /// All lists in progress.
    pub(super) fn lists(&self) -> impl Iterator<Item = &Relist> {
        self.0.values().filter_map(|state| state.relist.as_ref())
    }
}
