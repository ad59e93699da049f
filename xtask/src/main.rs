//! Developer tasks of capwatch.
//!
//! The tasks land with the rooms that they serve.
fn main() {}
