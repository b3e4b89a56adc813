//! The `lodewatch` binary.

fn main() {}
