//! The kernel side: loads the BPF programs, attaches them, and reads what they
//! tell.

mod attach;
mod batch;
mod breaches;
mod btf;
mod error;
mod hook;
mod host;
mod info;
mod kept;
mod kernel;
mod lanes;
mod link;
mod maps;
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
mod refusal;
mod rings;
mod rows;
mod rules;
mod storm;
mod written;

pub use breaches::Grown;
pub use error::KernelError;
pub use host::{active_lsms, has_kprobes, preempts_programs};
pub use info::Runs;
pub use kernel::{Kernel, Rings};
pub use mechanism::Choice;
pub use named::{layout, text};
pub use object::Attach;
pub use offsets::last_cap;
pub use pins::{Away, Pins};
pub use refusal::PinsError;
pub use rings::{RingReader, Told, decode};
pub use rows::Counted;
pub use rules::is_rule_hook;
