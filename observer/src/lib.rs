//! capwatch

pub mod audit;
pub mod caps;
pub mod sources;
