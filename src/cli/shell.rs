//! Options of `completions` and `man`.
#![allow(clippy::doc_markdown, reason = "clap prints these comments unchanged, including backticks")]

use clap::{Args, ValueEnum};

/// Arguments of `completions`.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionsArguments {
    /// Shell to print the script for
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Supported shells.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "clap shows the comments in its help")]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}
