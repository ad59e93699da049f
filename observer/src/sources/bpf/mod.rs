//! The kernel side: loads the BPF programs, attaches them, and reads what they
//! tell.

mod attach;
mod btf;
mod mechanism;
mod offsets;

pub use mechanism::{Choice, HookStatus, Mechanism};
