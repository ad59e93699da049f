//! The words of the decisions that the kernel side and user space share: plain enums,
//! each with its text, and no layout of any memory.

pub use observer_ebpf::{Audited, Broken, Call, Layer, Loss, Note, Reason, Role, Via};

/// Bytes of a name as the kernel side compares it, with the zero at its end.
pub const NAME_LEN: usize = observer_ebpf::NAME_LEN;

/// A word of the decisions.
pub trait Word: Copy + 'static {
    /// Every one.
    fn all() -> &'static [Self];

    /// Its text.
    fn text(self) -> &'static str;
}

macro_rules! words {
    ($($word:ty),*) => {
        $(impl Word for $word {
            fn all() -> &'static [Self] {
                Self::ALL
            }

            fn text(self) -> &'static str {
                self.as_str()
            }
        })*
    };
}

words!(Audited, Broken, Call, Layer, Reason, Role, Via);
