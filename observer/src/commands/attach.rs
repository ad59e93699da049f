//! How to attach, as it is typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::{
    finding::Mechanism,
    sources::bpf::{self, Choice},
};

/// How to attach.
#[derive(Debug, Args)]
pub struct Attach {
    /// Attach with this mechanism only; the default picks the best available
    #[arg(long, value_enum, default_value_t, value_name = "MECHANISM")]
    pub hooks: Hooks,
    /// Load the BPF programs from this object instead of the built-in one, for example
    /// one with diagnostics (`cargo xtask bpf --log FILE`; shown with -vv)
    #[arg(long, value_name = "FILE")]
    pub bpf_object: Option<PathBuf>,
}

impl From<&Attach> for bpf::Attach {
    fn from(attach: &Attach) -> Self {
        Self {
            hooks: attach.hooks.into(),
            object: attach.bpf_object.clone(),
            state_ring: None,
        }
    }
}

/// A choice of mechanism.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Hooks {
    /// The best one that this kernel supports
    #[default]
    Auto,
    /// BPF trampolines
    Fexit,
    /// kprobe and kretprobe
    Kprobe,
    /// BTF tracepoints
    Tracepoint,
}

impl From<Hooks> for Choice {
    fn from(hooks: Hooks) -> Self {
        match hooks {
            Hooks::Auto => Self::Auto,
            Hooks::Fexit => Self::Forced(Mechanism::Fexit),
            Hooks::Kprobe => Self::Forced(Mechanism::Kprobe),
            Hooks::Tracepoint => Self::Forced(Mechanism::Tracepoint),
        }
    }
}
