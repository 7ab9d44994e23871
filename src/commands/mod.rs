//! The commands. Each has its options, its output formats, and one function that runs it.

pub mod audit;
#[cfg(feature = "demo")]
pub mod demo;
pub mod diff;
pub mod explain;
pub mod options;
pub mod serve;
