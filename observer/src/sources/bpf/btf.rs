//! A reader of the running kernel's BTF: where fields are, and what functions
//! take. Only what the loader asks for; it is dropped once the offsets are known.
//!
//! Format: `include/uapi/linux/btf.h` (5.10 to 7.3).

use std::{collections::HashMap, io};

/// Where the kernel shows its own BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FWD: u32 = 7;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Why a kernel's BTF could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file can't be read.
    #[error("cannot read {VMLINUX}: {0}; the kernel needs CONFIG_DEBUG_INFO_BTF")]
    Read(#[from] io::Error),
    /// The bytes are not what they should be.
    #[error("malformed BTF at byte {0}")]
    Malformed(usize),
}

/// A kernel's types.
pub struct Btf {
    bytes: Vec<u8>,
    /// Offset of each type in `bytes`, by type id; id 0 is void.
    types: Vec<u32>,
    strings: usize,
    structs: HashMap<Vec<u8>, Vec<u32>>,
    functions: HashMap<Vec<u8>, u32>,
    typedefs: HashMap<Vec<u8>, u32>,
}

#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    vlen: usize,
    /// Size in bytes, or the id of another type (`size` and `type` are one word).
    referent: u32,
    /// Whether members' offsets carry a bit-field size.
    kind_flag: bool,
    /// Offset of what follows the header.
    tail: usize,
}

impl Btf {
    /// Reads the running kernel's BTF.
    ///
    /// # Errors
    /// When the kernel has none, or it can't be parsed.
    pub fn vmlinux() -> Result<Self, BtfError> {
        Self::parse(crate::open::bytes(VMLINUX)?)
    }

    /// Indexes a BTF blob.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let malformed = |at: usize| BtfError::Malformed(at);
        let half = bytes
            .first_chunk::<2>()
            .map(|word| u16::from_le_bytes(*word));
        if half != Some(MAGIC) {
            return Err(malformed(0));
        }
        let word = |at: usize| read_word(&bytes, at).ok_or(malformed(at));
        let header = word(4)? as usize;
        let (type_offset, type_length) = (header + word(8)? as usize, word(12)? as usize);
        let (strings, string_length) = (header + word(16)? as usize, word(20)? as usize);
        let end = type_offset + type_length;
        if end > bytes.len() || strings + string_length > bytes.len() {
            return Err(malformed(8));
        }
        let mut btf = Self {
            types: vec![0],
            strings,
            structs: HashMap::new(),
            functions: HashMap::new(),
            typedefs: HashMap::new(),
            bytes,
        };
        let mut at = type_offset;
        while at < end {
            let entry = btf.type_at(at).ok_or(malformed(at))?;
            let id = u32::try_from(btf.types.len()).map_err(|_| malformed(at))?;
            btf.types
                .push(u32::try_from(at).map_err(|_| malformed(at))?);
            btf.index(id, entry);
            at = entry.tail + tail_length(entry).ok_or(malformed(at))?;
        }
        Ok(btf)
    }

    fn index(&mut self, id: u32, entry: Type) {
        if entry.name == 0 {
            return;
        }
        let name = self.string(entry.name).to_vec();
        match entry.kind {
            KIND_STRUCT | KIND_UNION => self.structs.entry(name).or_default().push(id),
            KIND_FUNC => {
                self.functions.insert(name, id);
            }
            KIND_TYPEDEF if name.starts_with(b"btf_trace_") => {
                self.typedefs.insert(name, id);
            }
            _ => {}
        }
    }

    /// Byte offset of a field, `a.b` for a field of a field; `None` where this
    /// kernel has no such struct or field.
    pub fn offset(&self, structure: &str, path: &str) -> Option<u32> {
        let candidates = self.structs.get(structure.as_bytes())?;
        candidates.iter().find_map(|id| self.offset_in(*id, path))
    }

    fn offset_in(&self, id: u32, path: &str) -> Option<u32> {
        let mut id = id;
        let mut bits = 0;
        for field in path.split('.') {
            let (at, next) = self.member(id, field.as_bytes(), 0)?;
            bits += at;
            id = next;
        }
        Some(bits / 8)
    }

    /// Bit offset and type of a member, also of unnamed structs and unions inside.
    fn member(&self, id: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        let entry = self.resolve(id)?;
        if !matches!(entry.kind, KIND_STRUCT | KIND_UNION) || depth > 8 {
            return None;
        }
        for index in 0..entry.vlen {
            let at = entry.tail + index * 12;
            let (label, kind) = (self.word(at)?, self.word(at + 4)?);
            let mut bits = self.word(at + 8)?;
            if entry.kind_flag {
                bits &= 0x00ff_ffff;
            }
            if label == 0 {
                if let Some((inner, kind)) = self.member(kind, name, depth + 1) {
                    return Some((bits + inner, kind));
                }
            } else if self.string(label) == name {
                return Some((bits, kind));
            }
        }
        None
    }

    /// The parameters of a kernel function, as C would write their types;
    /// `None` where the kernel has no such function.
    pub fn parameters(&self, function: &str) -> Option<Vec<String>> {
        let function = self.entry(*self.functions.get(function.as_bytes())?)?;
        self.prototype(function.referent)
    }

    /// The parameters of a tracepoint after the first, which is the program's
    /// own context; `None` where the kernel has no such tracepoint.
    pub fn tracepoint(&self, name: &str) -> Option<Vec<String>> {
        let typedef = self.entry(*self.typedefs.get(format!("btf_trace_{name}").as_bytes())?)?;
        let pointer = self.entry(typedef.referent)?;
        let mut parameters = self.prototype(pointer.referent)?;
        if parameters.is_empty() {
            return None;
        }
        parameters.remove(0);
        Some(parameters)
    }

    fn prototype(&self, id: u32) -> Option<Vec<String>> {
        let entry = self.entry(id)?;
        if entry.kind != KIND_FUNC_PROTO {
            return None;
        }
        (0..entry.vlen)
            .map(|index| Some(self.describe(self.word(entry.tail + index * 8 + 4)?, 0)))
            .collect()
    }

    /// A type as C writes it, without qualifiers.
    fn describe(&self, id: u32, depth: u32) -> String {
        let Some(entry) = self.entry(id) else {
            return "void".to_owned();
        };
        let name = String::from_utf8_lossy(self.string(entry.name)).into_owned();
        match entry.kind {
            _ if depth > 8 => "…".to_owned(),
            KIND_PTR => format!("{} *", self.describe(entry.referent, depth + 1)),
            KIND_CONST | KIND_VOLATILE | KIND_RESTRICT | KIND_TYPE_TAG => {
                self.describe(entry.referent, depth + 1)
            }
            // Or one that is only named there, as some are in the types of system calls.
            KIND_FWD if entry.kind_flag => format!("union {name}"),
            KIND_STRUCT | KIND_FWD => format!("struct {name}"),
            KIND_UNION => format!("union {name}"),
            KIND_ENUM | KIND_ENUM64 => format!("enum {name}"),
            _ => name,
        }
    }

    /// A type with typedefs and qualifiers taken off.
    fn resolve(&self, id: u32) -> Option<Type> {
        let mut entry = self.entry(id)?;
        for _ in 0..16 {
            match entry.kind {
                KIND_TYPEDEF | KIND_CONST | KIND_VOLATILE | KIND_RESTRICT | KIND_TYPE_TAG => {
                    entry = self.entry(entry.referent)?;
                }
                _ => return Some(entry),
            }
        }
        None
    }

    fn entry(&self, id: u32) -> Option<Type> {
        if id == 0 {
            return None;
        }
        self.type_at(*self.types.get(id as usize)? as usize)
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        let info = self.word(at + 4)?;
        Some(Type {
            name: self.word(at)?,
            kind: info >> 24 & 0x1f,
            vlen: (info & 0xffff) as usize,
            referent: self.word(at + 8)?,
            kind_flag: info >> 31 == 1,
            tail: at + 12,
        })
    }

    fn word(&self, at: usize) -> Option<u32> {
        read_word(&self.bytes, at)
    }

    fn string(&self, offset: u32) -> &[u8] {
        let bytes = self.bytes.get(self.strings + offset as usize..);
        let bytes = bytes.unwrap_or_default();
        &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())]
    }
}

fn read_word(bytes: &[u8], at: usize) -> Option<u32> {
    let chunk = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*chunk))
}

/// Bytes that follow a type's header; `None` for a kind that is not known,
/// beyond which nothing can be read.
fn tail_length(entry: Type) -> Option<usize> {
    Some(match entry.kind {
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => entry.vlen * 12,
        KIND_ENUM | KIND_FUNC_PROTO => entry.vlen * 8,
        0..=KIND_ENUM64 => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_refused_with_its_place() {
        assert!(matches!(
            Btf::parse(b"not btf".to_vec()),
            Err(BtfError::Malformed(0))
        ));
        let mut short = MAGIC.to_le_bytes().to_vec();
        short.extend([1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0]);
        assert!(matches!(Btf::parse(short), Err(BtfError::Malformed(16))));
    }

    #[test]
    fn the_running_kernel_is_read() {
        let Ok(btf) = Btf::vmlinux() else {
            println!("skipped: this kernel shows no BTF");
            return;
        };
        assert_eq!(btf.offset("list_head", "next"), Some(0));
        assert_eq!(btf.offset("list_head", "prev"), Some(8));
        assert_eq!(btf.offset("list_head", "nowhere"), None);
        assert_eq!(btf.offset("no_such_struct", "next"), None);
        let parameters = btf.parameters("security_capable").unwrap_or_default();
        assert_eq!(parameters.len(), 4, "{parameters:?}");
        assert_eq!(parameters[0], "struct cred *");
    }
}
