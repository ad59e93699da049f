//! Where observations come from: the kernel's hooks, the audit log, a recorded stream.

pub mod adopt;
pub mod audit;
pub mod bpf;
pub mod proc;
pub mod recorded;
