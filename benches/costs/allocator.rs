//! jemalloc, as podskew ships it, with a count of what is asked of it.
#![allow(unsafe_code, reason = "an allocator is unsafe by its trait; each call is handed on as it came")]

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tikv_jemallocator::Jemalloc;

/// Counts the bytes that are asked for, not those of jemalloc's size classes: the same on every machine.
pub struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// How often memory was allocated so far (a reallocation is one more), and how many bytes in all.
pub fn allocated() -> (usize, usize) {
    (ALLOCATIONS.load(Relaxed), BYTES.load(Relaxed))
}

/// Bytes in use.
pub fn live() -> usize {
    LIVE.load(Relaxed)
}

/// Forgets the peak so far; says how many bytes are in use.
pub fn begin_peak() -> usize {
    PEAK.store(live(), Relaxed);
    live()
}

/// How many bytes more than `before` were in use at once since the peak was begun.
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
        // SAFETY: the caller's promises are passed on.
        unsafe { Jemalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { Jemalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        LIVE.fetch_sub(layout.size(), Relaxed);
        count(new_size);
        // SAFETY: the caller's promises are passed on.
        unsafe { Jemalloc.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { Jemalloc.dealloc(pointer, layout) }
    }
}
