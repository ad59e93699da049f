//! capwatch

pub mod caps;
