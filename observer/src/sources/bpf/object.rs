//! The compiled programs: those that ship inside the binary, or another object.

use std::{borrow::Cow, fs, path::PathBuf};

use super::{error::KernelError, mechanism::Choice};

/// The compiled programs, committed so that a build needs no BPF toolchain.
#[cfg(target_arch = "x86_64")]
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/capwatch.x86_64.bpf.o");
/// The compiled programs, committed so that a build needs no BPF toolchain.
#[cfg(target_arch = "aarch64")]
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/capwatch.aarch64.bpf.o");

/// How to attach.
#[derive(Clone, Debug, Default)]
pub struct Attach {
    /// Which mechanisms may be used.
    pub hooks: Choice,
    /// An object to load in place of the built-in one.
    pub object: Option<PathBuf>,
}

impl Attach {
    pub(super) fn object(&self) -> Result<Cow<'static, [u8]>, KernelError> {
        let Some(path) = &self.object else {
            return Ok(Cow::Borrowed(OBJECT));
        };
        let bytes = fs::read(path).map_err(|source| KernelError::Object {
            path: path.display().to_string(),
            source,
        })?;
        Ok(Cow::Owned(bytes))
    }
}
