//! The options of what podskew prints about itself.
#![allow(clippy::doc_markdown, reason = "clap prints these comments as they stand, backticks too")]

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

/// What `completions` was told.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionsArguments {
    /// Shell to print the script for
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// The shells that podskew's arguments can be completed in.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "clap shows the comments in its help")]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What `man` was told.
#[derive(Args, Clone, Debug)]
pub struct ManArguments {
    /// Command whose page to print [default: podskew itself]
    #[arg(value_name = "COMMAND", add = ArgValueCandidates::new(commands))]
    pub command: Option<String>,
}

fn commands() -> Vec<CompletionCandidate> {
    super::arguments::Arguments::command()
        .get_subcommands()
        .map(|command| CompletionCandidate::new(command.get_name()))
        .collect()
}
