//! capwatch

pub mod audit;
pub mod caps;
