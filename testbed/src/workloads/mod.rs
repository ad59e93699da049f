//! Workloads: programs that do on purpose what capwatch looks for.

pub mod incident;
pub mod rules;
pub mod steps;
pub mod storm;
