//! The kernel side: loads the BPF programs, attaches them, and reads what they
//! tell.

mod attach;
mod btf;
mod info;
mod kernel;
mod mechanism;
mod offsets;
mod prototype;
mod rings;

pub use info::{Runs, runs};
pub use kernel::{Attach, Kernel, KernelError, Rings, active_lsms, text};
pub use mechanism::{Choice, HookStatus, Mechanism};
pub use rings::{RingReader, Told};
