//! What a person reads in a terminal: text as wide as the terminal, ages and counts in words, and the only functions that print.

pub mod humanize;
pub mod output;
pub mod text_layout;
