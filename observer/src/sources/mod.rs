//! Where observations come from.

pub mod audit;
