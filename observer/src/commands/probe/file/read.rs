//! What a file and this process have: read from the host.

use std::{io::Read as _, path::Path};

use anyhow::Context as _;

use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags};

use super::{FileCaps, Own, Place};
use crate::{caps::CapSet, open};

/// The extended attribute.
const NAME: &str = "security.capability";

pub(super) fn file_caps(path: &Path) -> anyhow::Result<Option<FileCaps>> {
    let mut buffer = [0_u8; 64];
    match rustix::fs::getxattr(path, NAME, &mut buffer) {
        Ok(length) => {
            let bytes = buffer.get(..length).unwrap_or_default();
            let caps = parse(bytes);
            caps.map(Some)
                .with_context(|| format!("{length} bytes are no capabilities of version 1 to 3"))
        }
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads the attribute, as `get_vfs_caps_from_disk` does.
pub(super) fn parse(bytes: &[u8]) -> Option<FileCaps> {
    let word = |place: usize| -> Option<u32> {
        let bytes = bytes.get(place * 4..place * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let magic = word(0)?;
    let (words, root) = match (magic >> 24, bytes.len()) {
        (1, 12) => (1, None),
        (2, 20) => (2, None),
        (3, 24) => (2, Some(word(5)?)),
        _ => return None,
    };
    let high = |place: usize| if words == 2 { word(place) } else { Some(0) };
    let set = |low: u32, high: u32| CapSet(u64::from(high) << 32 | u64::from(low));
    Some(FileCaps {
        permitted: set(word(1)?, high(3)?),
        inheritable: set(word(2)?, high(4)?),
        effective: magic & 1 != 0,
        root,
    })
}

pub(super) fn own() -> anyhow::Result<Own> {
    let status = open::text("/proc/self/status").context("cannot read /proc/self/status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).unwrap_or_default().to_owned()
    };
    let set = |name: &str| CapSet(u64::from_str_radix(&field(name), 16).unwrap_or_default());
    Ok(Own {
        permitted: set("CapPrm:"),
        inheritable: set("CapInh:"),
        bounding: set("CapBnd:"),
        ambient: set("CapAmb:"),
        no_new_privs: field("NoNewPrivs:") == "1",
        root: rustix::process::geteuid().is_root(),
    })
}

pub(super) fn place(path: &Path, data: &std::fs::Metadata) -> anyhow::Result<Place> {
    use std::os::unix::fs::MetadataExt as _;

    let mount = rustix::fs::statvfs(path)?.f_flag;
    let access = rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS);
    Ok(Place {
        executable: access.is_ok() && !mount.contains(StatVfsMountFlags::NOEXEC),
        nosuid: mount.contains(StatVfsMountFlags::NOSUID),
        set_root: data.mode() & libc::S_ISUID != 0 && data.uid() == 0,
    })
}

pub(super) fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    let file = open::system(path);
    file.and_then(|mut file| file.read_exact(&mut start))
        .is_ok()
        && start == *b"#!"
}
