//! Where observations come from: the kernel's hooks, the audit log, a recorded stream.

pub mod audit;
pub mod bpf;
pub mod proc;
pub mod recorded;
