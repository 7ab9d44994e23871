//! Renders pictures on demand.
//!
//! Scrapes and requests for the page and the API are readers. A reader sees everything that the API server sent until at most one
//! second before the request. If the last picture is older, the reader waits for a new one. Readers that wait at the same time share
//! one rendering.

use crate::sync::lock;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Maximum age of a picture that is served. The rest of the second is for events that have not reached the inventory yet.
const MAX_AGE: Duration = Duration::from_millis(880);

/// Age of a picture from which a reader starts the next rendering, without waiting for it. So frequent readers never wait.
const RENDER_AGE: Duration = Duration::from_millis(500);

/// Connects readers with the renderer.
pub(super) struct Readers {
    /// Start of the last rendering. Its picture includes everything that was stored by then. `None` without a complete picture.
    rendered: watch::Sender<Option<Instant>>,
    /// Earliest start of a rendering that readers ask for.
    wanted: Mutex<Option<Instant>>,
    changed: Notify,
}

impl Readers {
    pub(super) fn new() -> Self {
        Self { rendered: watch::Sender::new(None), wanted: Mutex::default(), changed: Notify::new() }
    }

    /// Returns what a reader has to wait for. `None` if the last picture is new enough, or if there is no complete picture.
    pub(super) fn freshened(&self) -> Option<BoxFuture<'static, ()>> {
        let (rendered, now) = ((*self.rendered.borrow())?, Instant::now());
        let age = now.saturating_duration_since(rendered);
        if age <= RENDER_AGE {
            return None;
        }
        if age <= MAX_AGE {
            self.want(now.checked_sub(RENDER_AGE)?);
            return None;
        }
        let oldest = now.checked_sub(MAX_AGE)?;
        let mut rendered = self.rendered.subscribe();
        self.want(oldest);
        // An error means that the renderer has ended, and the process with it.
        Some(async move { drop(rendered.wait_for(|start| start.is_none_or(|start| start >= oldest)).await) }.boxed())
    }

    fn want(&self, until: Instant) {
        let mut wanted = lock(&self.wanted);
        *wanted = (*wanted).max(Some(until));
        self.changed.notify_one();
    }

    /// Reports that the picture of a rendering is published, with the rendering's start. `None` if there is no complete picture
    /// any more.
    pub(super) fn rendered(&self, start: Option<Instant>) {
        self.rendered.send_replace(start);
    }

    /// Waits until a reader asks for a newer picture than the last one.
    pub(super) async fn want_more(&self) {
        while *lock(&self.wanted) <= *self.rendered.borrow() {
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_AGE, RENDER_AGE, Readers};
    use futures::FutureExt as _;
    use std::time::Duration;
    use tokio::time::{Instant, advance};

    /// Whether a rendering is asked for.
    fn is_wanted(readers: &Readers) -> bool {
        readers.want_more().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn readers_do_not_wait_before_the_first_picture() {
        let readers = Readers::new();
        assert!(readers.freshened().is_none() && !is_wanted(&readers));
        readers.rendered(Some(Instant::now()));
        advance(Duration::from_secs(60)).await;
        assert!(!is_wanted(&readers), "nobody reads");
        readers.rendered(None);
        assert!(readers.freshened().is_none() && !is_wanted(&readers), "it was taken back");
    }

    #[tokio::test(start_paused = true)]
    async fn late_readers_wait_for_one_rendering() {
        let readers = Readers::new();
        readers.rendered(Some(Instant::now()));
        advance(MAX_AGE + Duration::from_millis(1)).await;
        let mut waiting = [readers.freshened().unwrap(), readers.freshened().unwrap()];
        assert!(is_wanted(&readers));
        let begun = Instant::now();
        assert!(waiting[0].as_mut().now_or_never().is_none());
        advance(Duration::from_millis(20)).await;
        // A reader during the rendering waits for the same one.
        let later = readers.freshened().unwrap();
        readers.rendered(Some(begun));
        assert!(waiting.into_iter().chain([later]).all(|waiting| waiting.now_or_never().is_some()));
        assert!(!is_wanted(&readers), "one rendering was enough");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rendering_that_began_too_early_is_not_enough() {
        let readers = Readers::new();
        readers.rendered(Some(Instant::now()));
        advance(Duration::from_secs(10)).await;
        let begun = Instant::now();
        advance(MAX_AGE + Duration::from_millis(1)).await;
        let waiting = readers.freshened().unwrap();
        readers.rendered(Some(begun));
        let mut waiting = waiting;
        assert!(waiting.as_mut().now_or_never().is_none() && is_wanted(&readers));
        readers.rendered(Some(Instant::now()));
        assert!(waiting.now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn frequent_readers_never_wait() {
        let readers = Readers::new();
        readers.rendered(Some(Instant::now()));
        let mut renderings = 0;
        for _ in 0..1000 {
            advance(Duration::from_millis(10)).await;
            assert!(readers.freshened().is_none());
            if is_wanted(&readers) {
                renderings += 1;
                readers.rendered(Some(Instant::now()));
            }
        }
        // The age is passed by one step of 10 ms.
        assert_eq!(renderings, 10_000 / (RENDER_AGE.as_millis() + 10));
    }
}
