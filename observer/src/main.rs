//! capwatch
fn main(){}
