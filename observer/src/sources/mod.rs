//! Where observations come from: the kernel's hooks and the audit log.

pub mod audit;
pub mod bpf;
pub mod proc;
