//! The `podskew` command.
fn main() {}
