//! jemalloc as podskew uses it, with a count of allocations.
#![allow(unsafe_code, reason = "the trait of an allocator is unsafe; each call is passed on unchanged")]

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tikv_jemallocator::Jemalloc;

/// Counts requested bytes instead of jemalloc's size classes, so that the result is the same on every machine.
pub struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Number of allocations so far (a reallocation counts as one more), and their bytes.
pub fn allocated() -> (usize, usize) {
    (ALLOCATIONS.load(Relaxed), BYTES.load(Relaxed))
}

/// Bytes in use.
pub fn live() -> usize {
    LIVE.load(Relaxed)
}

/// Starts a new peak; returns the bytes in use.
pub fn begin_peak() -> usize {
    PEAK.store(live(), Relaxed);
    live()
}

/// Maximum bytes above `before` in use since the peak was started.
pub fn most_since(before: usize) -> i64 {
    PEAK.load(Relaxed) as i64 - before as i64
}

fn count(layout_size: usize) {
    ALLOCATIONS.fetch_add(1, Relaxed);
    BYTES.fetch_add(layout_size, Relaxed);
    PEAK.fetch_max(LIVE.fetch_add(layout_size, Relaxed) + layout_size, Relaxed);
}

// SAFETY: every call goes to jemalloc unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: same contract as the caller's.
        unsafe { Jemalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: same contract as the caller's.
        unsafe { Jemalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        LIVE.fetch_sub(layout.size(), Relaxed);
        count(new_size);
        // SAFETY: same contract as the caller's.
        unsafe { Jemalloc.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: same contract as the caller's.
        unsafe { Jemalloc.dealloc(pointer, layout) }
    }
}
