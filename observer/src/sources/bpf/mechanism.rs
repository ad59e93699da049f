//! Which mechanism is to be tried for a hook.

pub use crate::finding::{HookReport as HookStatus, Mechanism};

/// Which mechanisms may be used for the verdict and for drops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The best one that this kernel has.
    #[default]
    Auto,
    /// This one or none.
    Forced(Mechanism),
}

impl Choice {
    /// The mechanisms to try, best first.
    pub fn candidates(self) -> &'static [Mechanism] {
        match self {
            Self::Auto => &[Mechanism::Fexit, Mechanism::Kprobe, Mechanism::Tracepoint],
            Self::Forced(Mechanism::Fexit) => &[Mechanism::Fexit],
            Self::Forced(Mechanism::Kprobe) => &[Mechanism::Kprobe],
            Self::Forced(Mechanism::Tracepoint) => &[Mechanism::Tracepoint],
        }
    }
}
