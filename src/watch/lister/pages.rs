//! Lists in pages.

use super::{LAST_LIMIT, Lister};
use crate::objects::{ListMeta, PageSplitter, decode_list_meta};
use crate::telemetry::FailureReason;
use crate::watch::budget::DecodeBudget;
use crate::watch::decode_pool::{DecodeCounts, DecodePool};
use crate::watch::failure::WatchFailure;
use crate::watch::http_exchange::{ReadTimeouts, ResponseBody};
use crate::watch::pagination::Pagination;
use crate::watch::sink::Sink;
use tokio::time::{Instant, sleep};

impl<S: Sink> Lister<S> {
    /// Lists everything in pages; returns the list's version.
    pub(in crate::watch) async fn paged_list(&mut self, until: Instant) -> Result<String, WatchFailure> {
        let mut decoding = DecodePool::new(self.source, self.sink.clone(), self.budget.decoding());
        let read = self.pages(until, &mut decoding).await;
        // No object of this list may reach the inventory after its end.
        let rest = decoding.drain().await;
        let version = read?;
        self.page_decoded(rest)?;
        self.finish(&[]);
        Ok(version)
    }

    /// Reads all pages; returns their version.
    async fn pages(&mut self, until: Instant, decoding: &mut DecodePool<S>) -> Result<String, WatchFailure> {
        let patience = ReadTimeouts::for_list(self.timings.list_idle, until);
        let mut token = String::new();
        let mut course = Pagination::new(&self.timings);
        loop {
            let uri = self.target.page(self.listing.limit, &token);
            let answer = match self.open(&uri).await {
                Ok(answer) => answer,
                Err(failure) => {
                    if failure.reason == FailureReason::Expired && !token.is_empty() {
                        // The list took longer than etcd keeps a version: fewer, larger pages may succeed. The token in
                        // the 410 response would give an inconsistent list, which looks like skew.
                        self.listing.limit = (self.listing.limit * 4).min(LAST_LIMIT);
                    }
                    return Err(failure);
                }
            };
            if token.is_empty() {
                self.begin();
            }
            let (meta, page_bytes) = self.page(answer, patience, decoding).await?;
            if meta.resource_version.is_empty() {
                return Err(WatchFailure::unreadable("the list has no version"));
            }
            if meta.continue_token.is_empty() {
                return Ok(meta.resource_version);
            }
            let pause = course.goes_on(&meta.continue_token, self.listing.objects, page_bytes)?;
            sleep(pause).await;
            token = meta.continue_token;
        }
    }

    /// Reads a page and decodes it piece by piece. Returns its metadata and length.
    async fn page(
        &mut self,
        mut answer: ResponseBody,
        patience: ReadTimeouts,
        decoding: &mut DecodePool<S>,
    ) -> Result<(ListMeta, usize), WatchFailure> {
        let resource = self.target.resource;
        let mut pieces = PageSplitter::default();
        let (mut meta, mut bytes, mut permit) = (ListMeta::default(), 0, None);
        while let Some(frame) = answer.chunk(patience, &mut self.heartbeat).await? {
            bytes += frame.len();
            pieces.push(&frame);
            while let Some(piece) = pieces.take(|| decoding.spare_page()) {
                if meta.resource_version.is_empty() {
                    meta = decode_list_meta(resource, &piece)?;
                }
                decoding.page(piece).await;
                self.page_decoded(decoding.decoded())?;
            }
            if pieces.is_too_long() {
                return Err(WatchFailure::unreadable("the list has too much data outside of its objects"));
            }
            if DecodeBudget::is_spare(pieces.held(), permit.as_ref()) {
                self.page_decoded(decoding.drain().await)?;
                permit = None;
            }
            self.budget.hold(pieces.held(), &mut permit).await;
        }
        self.pass_over(pieces.passed_over());
        let rest = pieces.rest();
        if meta.resource_version.is_empty() {
            meta = decode_list_meta(resource, &rest)?;
        }
        self.page_decoded(decoding.decoded())?;
        decoding.page(rest).await;
        Ok((meta, bytes))
    }

    /// Counts the decoded objects of pages. An unreadable page is never skipped, because its continue token may be
    /// lost.
    fn page_decoded(&mut self, decoded: DecodeCounts) -> Result<(), WatchFailure> {
        self.listing.objects += decoded.objects;
        self.heartbeat.wrong_types(decoded.wrong_types);
        decoded.error.map_or(Ok(()), |error| Err(error.into()))
    }
}
