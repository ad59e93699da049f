//! The agent's thin main.

fn main() {}
