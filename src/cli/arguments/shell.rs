//! The options of what podskew prints about itself.
#![allow(clippy::doc_markdown, reason = "clap prints these comments as they stand, backticks too")]

use clap::{Args, ValueEnum};

/// What `completions` was told.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionsArguments {
    /// The shell to complete in
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// The shells that podskew's arguments can be completed in.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shell {
    /// source <(podskew completions bash)
    Bash,
    /// podskew completions zsh > "${fpath[1]}/_podskew"
    Zsh,
    /// podskew completions fish > ~/.config/fish/completions/podskew.fish
    Fish,
}

/// What `man` was told.
#[derive(Args, Clone, Debug)]
pub struct ManArguments {
    /// The command whose page to print [default: the page of podskew itself]
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}
