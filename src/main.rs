//! The `podskew` command.

use std::process::ExitCode;

/// glibc's allocator keeps what a list of everything took for good, and musl's is slow: jemalloc gives back what is free.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One arena, because several each keep their own leftovers, and free pages go back after a tenth of a second: 150 000 pods
/// take 71 MiB this way and 129 MiB with jemalloc's defaults.
///
/// The one unsafe line there is: jemalloc looks for its configuration under this name, a C string.
#[allow(unsafe_code, reason = "the name is jemalloc's own, and nothing else goes by it")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONFIGURATION: Option<&std::ffi::c_char> = {
    const TEXT: &std::ffi::CStr = c"narenas:1,dirty_decay_ms:100,muzzy_decay_ms:0";
    // SAFETY: a C string has at least its closing zero, and it is never written to.
    Some(unsafe { &*TEXT.as_ptr() })
};

fn main() -> ExitCode {
    podskew::cli::run()
}
