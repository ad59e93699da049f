//! Why the kernel side can't be had.

use aya::maps::MapError;

use super::{
    btf::BtfError,
    privilege::{TO_LOAD, not_permitted},
    refusal::PinsError,
};

/// Why the kernel side can't be had at all.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// No BTF.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// aya can't read the kernel's BTF.
    #[error("cannot read the kernel's BTF: {0}")]
    AyaBtf(#[from] aya::BtfError),
    /// The object given by the operator can't be read.
    #[error(
        "cannot read the BPF object {path}: {source}; build it with `cargo xtask bpf --log FILE`"
    )]
    Object {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The object can't be loaded.
    #[error("cannot load the BPF object: {}", why(.0))]
    Load(#[source] Box<aya::EbpfError>),
    /// A map can't be used.
    #[error("cannot use the BPF map {name}: {source}")]
    Map {
        /// Its name.
        name: &'static str,
        /// What the kernel said.
        source: MapError,
    },
    /// What outlives the agent can't be used.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// A map can't be mapped into memory.
    #[error("cannot map the BPF map {name}: {source}")]
    Mapping {
        /// Its name.
        name: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// Every cause, from the outermost in; a missing privilege alone where that is it.
fn why(error: &aya::EbpfError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let code = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::raw_os_error);
        if code == Some(libc::EPERM) {
            return not_permitted(TO_LOAD);
        }
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        if code == Some(libc::ENOMEM) {
            text += "; the memory limit of its cgroup may be too low (MemoryMax=)";
        }
        next = cause.source();
    }
    text
}
