//! Why the kernel side can't be had.

use aya::maps::MapError;

use super::btf::BtfError;

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
    #[error("cannot load the BPF object: {}{}", chain(.0), remedy(.0))]
    Load(#[source] Box<aya::EbpfError>),
    /// A map can't be used.
    #[error("cannot use the BPF map {name}: {source}")]
    Map {
        /// Its name.
        name: &'static str,
        /// What the kernel said.
        source: MapError,
    },
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn remedy(error: &aya::EbpfError) -> &'static str {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && io.raw_os_error() == Some(libc::EPERM)
        {
            return "; CAP_BPF and CAP_PERFMON are missing: run as root or see `capwatch doctor`";
        }
        source = cause.source();
    }
    ""
}
