//! Checks: what capwatch must say of a workload, and whether it did.

pub mod expect;
pub mod loaded;
pub mod object;
pub mod scenarios;
pub mod suite;
