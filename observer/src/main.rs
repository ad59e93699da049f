//! capwatch
fn main() {}
