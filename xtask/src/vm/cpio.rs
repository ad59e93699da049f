//! A writer of initramfs archives (cpio "newc", see the kernel's
//! Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Everything is owned by root.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// An archive under construction.
pub struct Archive<W> {
    out: W,
    inode: u32,
    directories: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    /// Starts an archive.
    pub fn new(out: W) -> Self {
        Self {
            out,
            inode: 0,
            directories: BTreeSet::new(),
        }
    }

    /// Adds a file with the directories above it; `path` is relative to the root.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.parents(path)?;
        self.entry(path, FILE | mode, content)
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &[u8]) -> io::Result<()> {
        self.parents(path)?;
        self.entry(path, SYMLINK | 0o777, target)
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        self.parents(path)?;
        if self.directories.insert(path.to_owned()) {
            self.entry(path, DIRECTORY | mode, &[])?;
        }
        Ok(())
    }

    /// Adds a file or a tree of the host, without what `skip` names.
    pub fn tree(&mut self, host: &Path, path: &str, skip: &dyn Fn(&str) -> bool) -> io::Result<()> {
        let path = path.trim_matches('/');
        if skip(path) {
            return Ok(());
        }
        let meta = fs::symlink_metadata(host)?;
        let mode = meta.permissions().mode() & 0o7777;
        if meta.is_symlink() {
            return self.symlink(path, fs::read_link(host)?.as_os_str().as_bytes());
        }
        if meta.is_file() {
            return self.file(path, mode, &fs::read(host)?);
        }
        if !meta.is_dir() {
            return Ok(());
        }
        if !path.is_empty() {
            self.directory(path, mode)?;
        }
        let mut entries = fs::read_dir(host)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            self.tree(
                &entry.path(),
                &format!("{path}/{}", name.to_string_lossy()),
                skip,
            )?;
        }
        Ok(())
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        for (index, _) in path.match_indices('/') {
            let parent = &path[..index];
            if self.directories.insert(parent.to_owned()) {
                self.entry(parent, DIRECTORY | 0o755, &[])?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let too_large = |_| io::Error::other(format!("{path} is too large for an initramfs"));
        let size = u32::try_from(content.len()).map_err(too_large)?;
        let name_size = u32::try_from(path.len() + 1).map_err(too_large)?;
        self.inode += 1;
        let links = if mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        let fields = [
            self.inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0,
        ];
        self.out.write_all(b"070701")?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(110 + path.len() + 1)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    fn pad(&mut self, written: usize) -> io::Result<()> {
        self.out.write_all(&[0_u8; 3][..written.wrapping_neg() % 4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_aligned_and_parents_come_first() {
        let mut archive = Archive::new(Vec::new());
        archive
            .file("a/b/c", 0o644, b"hello")
            .expect("a vector takes all");
        let bytes = archive.finish().expect("a vector takes all");
        let text = String::from_utf8_lossy(&bytes);
        let starts: Vec<usize> = text
            .match_indices("070701")
            .map(|(start, _)| start)
            .collect();
        assert_eq!(starts.len(), 4);
        assert!(starts.iter().all(|start| start % 4 == 0));
        let place = |name: &str| text.find(name).expect("the name is there");
        assert!(place("a\0") < place("a/b\0") && place("a/b\0") < place("a/b/c\0"));
    }
}
