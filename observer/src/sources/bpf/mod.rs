//! The kernel side: loads the BPF programs, attaches them, and reads what they
//! tell.

mod attach;
mod btf;
mod kernel;
mod mechanism;
mod offsets;

pub use kernel::{Kernel, KernelError, Rings, active_lsms, text};
pub use mechanism::{Choice, HookStatus, Mechanism};
