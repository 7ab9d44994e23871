//! The `podskew` command.

use std::process::ExitCode;
use std::time::Duration;

/// jemalloc, because glibc's allocator never returns the memory of the initial list, and musl's is slow.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// jemalloc's configuration, under the symbol that jemalloc reads: a C string.
///
/// One arena, because each arena keeps unused memory of its own, and free pages return after 0.1 s: 150 000 pods take
/// 65 MiB this way and 129 MiB with jemalloc's defaults. Large allocations begin at a page boundary. Otherwise jemalloc
/// adds a page to each so that they do not compete for the same cache lines, and there are some hundred slabs and
/// fragments.
#[allow(unsafe_code, reason = "jemalloc defines this name, and nothing else uses it")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONFIGURATION: Option<&std::ffi::c_char> = {
    const TEXT: &std::ffi::CStr = c"narenas:1,dirty_decay_ms:100,muzzy_decay_ms:0,cache_oblivious:false";
    // SAFETY: a C string has at least its closing zero, and nothing writes to it.
    Some(unsafe { &*TEXT.as_ptr() })
};

/// Returns free memory to the system. jemalloc itself returns it only on the next allocation. An idle process makes
/// none: after the initial list of 30 000 pods it never returned 3 MiB.
#[allow(unsafe_code, reason = "jemalloc is a C library")]
fn give_back() {
    // `MALLCTL_ARENAS_ALL`.
    const DECAY: &std::ffi::CStr = c"arena.4096.decay";
    let nothing = std::ptr::null_mut;
    // SAFETY: the name is a C string, and the other arguments are null: nothing else is read or written.
    unsafe { tikv_jemalloc_sys::mallctl(DECAY.as_ptr(), nothing(), nothing().cast(), nothing(), 0) };
}

fn main() -> ExitCode {
    let giving_back = || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            give_back();
        }
    };
    // Best effort: without this thread podskew only takes a little more memory.
    let _ = std::thread::Builder::new().name("give-back".to_owned()).spawn(giving_back);
    podskew::cli::run()
}
