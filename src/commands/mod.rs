//! What podskew can do. Each command has its own options, its own output formats, and one function that runs it.

pub mod audit;
#[cfg(feature = "demo")]
pub mod demo;
pub mod diff;
pub mod explain;
pub mod options;
pub mod serve;
