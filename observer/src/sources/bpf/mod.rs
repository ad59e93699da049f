//! The kernel side: loads the BPF programs, attaches them, and reads what they
//! tell.

mod attach;
mod batch;
mod breaches;
mod btf;
mod error;
mod host;
mod info;
mod kept;
mod kernel;
mod lanes;
mod marks;
mod mechanism;
mod named;
mod needed;
mod object;
mod observed;
mod offsets;
pub mod pins;
mod privilege;
mod programs;
mod prototype;
mod rings;
mod rows;
mod rules;
mod storm;

pub use error::KernelError;
pub use host::{active_lsms, has_kprobes, preempts_programs, release as kernel_release};
pub use info::{Runs, runs};
pub use kernel::{Kernel, Rings};
pub use mechanism::{Choice, HookStatus, Mechanism};
pub use named::{layout, text};
pub use object::Attach;
pub use observed::Grown;
pub use offsets::last_cap;
pub use pins::{Away, Pins, PinsError};
pub use rings::{RingReader, Told, decode};
pub use rows::Counted;
pub use rules::is_rule_hook;
