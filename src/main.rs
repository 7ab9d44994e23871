//! The `podskew` command.

use std::process::ExitCode;
use std::time::Duration;

/// glibc's allocator keeps what a list of everything took for good, and musl's is slow: jemalloc gives back what is free.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One arena, because several each keep their own leftovers, and free pages go back after a tenth of a second: 150 000 pods
/// take 65 MiB this way and 129 MiB with jemalloc's defaults. What is large begins with a page: otherwise jemalloc adds one to
/// each, so that not all of them compete for the same lines of a cache, and some hundred of records and fragments are as many
/// pages.
///
/// jemalloc looks for its configuration under this name, a C string.
#[allow(unsafe_code, reason = "the name is jemalloc's own, and nothing else goes by it")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONFIGURATION: Option<&std::ffi::c_char> = {
    const TEXT: &std::ffi::CStr = c"narenas:1,dirty_decay_ms:100,muzzy_decay_ms:0,cache_oblivious:false";
    // SAFETY: a C string has at least its closing zero, and it is never written to.
    Some(unsafe { &*TEXT.as_ptr() })
};

/// What is free is given back by whoever allocates next. At rest behind a list of everything that is nobody: 30 000 pods kept
/// 3 MiB of it for good.
#[allow(unsafe_code, reason = "jemalloc is a C library")]
fn give_back() {
    // All arenas, as `MALLCTL_ARENAS_ALL` has it.
    const DECAY: &std::ffi::CStr = c"arena.4096.decay";
    let nothing = std::ptr::null_mut;
    // SAFETY: the name is a C string, and of the rest nothing is read or written.
    unsafe { tikv_jemalloc_sys::mallctl(DECAY.as_ptr(), nothing(), nothing().cast(), nothing(), 0) };
}

fn main() -> ExitCode {
    let giving_back = || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            give_back();
        }
    };
    // Without this thread everything works, and takes a little more memory.
    let _ = std::thread::Builder::new().name("give-back".to_owned()).spawn(giving_back);
    podskew::cli::run()
}
