//! The words of the decisions that the kernel side and user space share: plain enums,
//! each with its text, and no layout of any memory.

pub use observer_ebpf::{Audited, Broken, Call, Layer, Loss, Note, Reason, Role, Via};

/// Bytes of a name as the kernel side compares it, with the zero at its end.
pub const NAME_LEN: usize = observer_ebpf::NAME_LEN;
