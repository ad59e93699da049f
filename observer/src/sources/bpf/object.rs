//! The compiled programs: those that ship inside the binary, or another object.

use std::{borrow::Cow, collections::BTreeMap, path::PathBuf};

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use sha2::{Digest as _, Sha256};

use super::{error::KernelError, host::release, mechanism::Choice};
use crate::open;

/// `include/uapi/linux/bpf.h`
const BPF_F_NO_PREALLOC: u32 = 1;

/// The compiled programs, committed so a build needs no BPF toolchain.
#[cfg(target_arch = "x86_64")]
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/capwatch.x86_64.bpf.o");
/// The compiled programs, committed so a build needs no BPF toolchain.
#[cfg(target_arch = "aarch64")]
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/capwatch.aarch64.bpf.o");

/// How to attach.
#[derive(Clone, Debug, Default)]
pub struct Attach {
    /// Which mechanisms may be used.
    pub hooks: Choice,
    /// An object to load in place of the built-in one.
    pub object: Option<PathBuf>,
    /// Bytes of the ring that episodes come through, a power of two; else what the
    /// object has.
    pub state_ring: Option<u32>,
}

impl Attach {
    /// A digest of the programs and of whatever else decides what is attached and
    /// how the maps look: one attachment goes on as another with the same.
    pub(super) fn layout(&self, object: &[u8]) -> String {
        use std::fmt::Write as _;

        let mut digest = Sha256::new();
        digest.update(object);
        digest.update(format!("{:?} {:?}", self.hooks, self.state_ring));
        let mut layout = String::new();
        for byte in &digest.finalize()[..16] {
            let _ = write!(layout, "{byte:02x}");
        }
        layout
    }

    pub(super) fn object(&self) -> Result<Cow<'static, [u8]>, KernelError> {
        let object = match &self.object {
            None => Cow::Borrowed(OBJECT),
            Some(path) => {
                let bytes = open::named_bytes(path).map_err(|source| KernelError::Object {
                    path: path.display().to_string(),
                    source,
                })?;
                Cow::Owned(bytes)
            }
        };
        if release().is_none_or(|release| release >= (6, 1)) {
            return Ok(object);
        }
        let mut bytes = object.into_owned();
        preallocate(&mut bytes);
        Ok(Cow::Owned(bytes))
    }
}

/// How a map is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Bytes of a key.
    pub key: u32,
    /// Bytes of a value.
    pub value: u32,
    /// Entries.
    pub entries: u32,
}

/// `struct bpf_map_def`: type, sizes of key and value, entries, flags, id, pinning.
const DEFINITION: usize = 7 * 4;

/// The maps of an object, by name.
pub(super) fn definitions(bytes: &[u8]) -> BTreeMap<String, Definition> {
    let mut found = BTreeMap::new();
    let Ok(file) = object::File::parse(bytes) else {
        // Nothing that the loader would take.
        return found;
    };
    let Some(section) = file.section_by_name("maps") else {
        return found;
    };
    let data = section.data().unwrap_or_default();
    for symbol in file
        .symbols()
        .filter(|one| one.section_index() == Some(section.index()))
    {
        let start = usize::try_from(symbol.address()).unwrap_or(usize::MAX);
        let words = data.get(start..start.saturating_add(DEFINITION));
        let (Ok(name), Some(words)) = (symbol.name(), words) else {
            continue;
        };
        let word = |at: usize| {
            words[at..]
                .first_chunk()
                .map_or(0, |w| u32::from_le_bytes(*w))
        };
        if !name.is_empty() {
            let definition = Definition {
                key: word(4),
                value: word(8),
                entries: word(12),
            };
            found.insert(name.to_owned(), definition);
        }
    }
    found
}

/// Has every hash take its memory at once.
///
/// Until 6.1 gave BPF its own allocator, an entry was allocated within
/// the program by kmalloc, which is unsafe wherever kmalloc itself is probed,
/// and of which kernels warn ("trace type BPF program uses run-time
/// allocation", `kernel/bpf/verifier.c`, 5.10).
fn preallocate(bytes: &mut [u8]) {
    const FLAGS: std::ops::Range<usize> = 16..20;
    let Ok(file) = object::File::parse(&*bytes) else {
        // Nothing that the loader would take.
        return;
    };
    let section = file.section_by_name("maps");
    let Some((start, length)) = section.and_then(|section| section.file_range()) else {
        return;
    };
    let range = usize::try_from(start)
        .ok()
        .zip(usize::try_from(length).ok());
    let Some(maps) = range.and_then(|(start, length)| bytes.get_mut(start..start + length)) else {
        return;
    };
    for definition in maps.chunks_exact_mut(DEFINITION) {
        if let Some(flags) = definition[FLAGS].first_chunk_mut::<4>() {
            let kept = u32::from_le_bytes(*flags) & !BPF_F_NO_PREALLOC;
            *flags = kept.to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_map_allocates_late_once_preallocation_is_chosen() {
        let late = |bytes: &[u8]| {
            let file = object::File::parse(bytes).unwrap();
            let maps = file.section_by_name("maps").unwrap();
            let definitions = maps.data().unwrap().chunks_exact(28);
            let flags = definitions.map(|definition| definition[16] & 1);
            flags.filter(|late| *late == 1).count()
        };
        let mut bytes = OBJECT.to_vec();
        assert!(late(&bytes) > 0);
        preallocate(&mut bytes);
        assert_eq!(late(&bytes), 0);
        preallocate(&mut Vec::new());
    }
}
