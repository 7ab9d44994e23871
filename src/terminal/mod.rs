//! Terminal output: text of the terminal's width, ages and counts in words, and the only functions that print.

pub mod humanize;
pub mod output;
pub mod text_layout;
