//! The version of a supervisor: its image's tag or digest, else a digest of
//! its executable.

use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File, Metadata},
    io::{self, Read},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use crate::{finding::Container, open, sources::proc::basename};

/// Hexadecimal digits of a digest that are shown: as many as runtimes show.
const SHORT: usize = 12;
/// Larger executables are not read.
const MAX_BYTES: u64 = 64 << 20;
/// How much is read in a while, so that nobody keeps the agent busy by
/// executing one large file after another.
const BUDGET: u64 = 128 << 20;
const WHILE: Duration = Duration::from_secs(10);
/// Digests that are kept.
const MAX_KEPT: usize = 1_024;

/// The version that an image's reference has: its tag; where that is none,
/// or `latest`, which says nothing, the digest.
pub fn of_image(container: &Container) -> Option<String> {
    let image = container.image.as_deref().unwrap_or_default();
    let (reference, pinned) = match image.split_once('@') {
        Some((reference, digest)) => (reference, Some(digest)),
        None => (image, None),
    };
    let name = reference.rsplit('/').next().unwrap_or(reference);
    let tag = name.split_once(':').map(|(_, tag)| tag);
    let known = container.digest.as_deref();
    let known = known.map(|digest| digest.rsplit('@').next().unwrap_or(digest));
    // An image that was given by its id: every build has another one.
    let id = match name.split_once(':') {
        Some(("sha256", id)) if reference == name => Some(id),
        None if name.len() >= SHORT && reference == name => Some(name),
        _ => None,
    };
    if let Some(id) = id.filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return short(&format!("sha256:{id}")).or_else(|| known.and_then(short));
    }
    if let Some(tag) = tag.filter(|tag| !tag.is_empty() && *tag != "latest") {
        return Some(tag.to_owned());
    }
    let digest = pinned.or(known).and_then(short);
    digest.or_else(|| tag.map(str::to_owned))
}

/// A version as it is shown: one that an ordinary user alone vouches for says so,
/// so that it is a series of its own.
pub fn marked(version: &str, uid: u32) -> String {
    match uid {
        0 => version.to_owned(),
        uid => format!("{version}@uid{uid}"),
    }
}

fn short(digest: &str) -> Option<String> {
    let hexadecimal = digest.strip_prefix("sha256:")?;
    let short = hexadecimal.get(..SHORT)?;
    let plain = short.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| format!("sha256:{short}"))
}

/// A file as it stands: another one, or a changed one, has another key.
type Key = (u64, u64, i64, i64, u64);

/// Folders of programs, where the original of a sealed copy is looked for.
const PROGRAMS: [&str; 8] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/libexec",
    "/usr/lib/cri-o-runc/sbin",
    "/opt/bin",
    "/var/lib/rancher/k3s/data/current/bin",
];

/// What a process executes.
#[derive(Debug)]
pub struct Program {
    /// Digest of its content, where it could be read.
    pub digest: Option<String>,
    /// Where it is; none of a sealed copy whose original was not found.
    pub path: Option<PathBuf>,
    /// Who owns the file.
    pub uid: u32,
}

/// Digests of executables.
#[derive(Default)]
pub struct Digests(Mutex<Kept>);

struct Kept {
    digests: HashMap<Key, String>,
    order: VecDeque<Key>,
    left: u64,
    since: Instant,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            digests: HashMap::new(),
            order: VecDeque::new(),
            left: BUDGET,
            since: Instant::now(),
        }
    }
}

impl Digests {
    /// What a process executes, where that is still the program of this name: it
    /// may have executed another one since.
    ///
    /// crun and runc execute themselves again from a copy that nobody can write
    /// to: a detached mount, whose link says `/`, or a memfd. That copy is the
    /// program of the first exec, and is known again by device and inode, or by
    /// its content.
    pub fn of_executable(&self, place: &OwnedFd, name: &[u8]) -> Option<Program> {
        let file = open::executable(place).ok()?;
        let link = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        let about = file.metadata().ok()?;
        let found = basename(&link)?;
        // The kernel's name is cut to its room.
        let same = found == name || (name.len() >= 63 && found.starts_with(name));
        let is_sealed = found.is_empty() || found.starts_with(b"memfd:");
        if !same && !is_sealed {
            return None;
        }
        let digest = self
            .of_file(&file)
            .inspect_err(|error| tracing::debug!("no digest of {}: {error}", link.display()))
            .ok();
        let (path, uid) = if is_sealed {
            let original = self.original(&plain(name), &about, digest.as_deref());
            original.map_or((None, about.uid()), |(path, uid)| (Some(path), uid))
        } else {
            (Some(link), about.uid())
        };
        Some(Program { digest, path, uid })
    }

    fn original(
        &self,
        name: &str,
        copy: &Metadata,
        digest: Option<&str>,
    ) -> Option<(PathBuf, u32)> {
        if name.is_empty() || name.contains('/') {
            return None;
        }
        PROGRAMS.iter().find_map(|folder| {
            let path = Path::new(folder).join(name);
            let about = fs::metadata(&path).ok()?;
            let same = (about.dev(), about.ino()) == (copy.dev(), copy.ino());
            let alike = || {
                about.is_file()
                    && about.size() == copy.size()
                    && digest.is_some()
                    && open::system(&path)
                        .and_then(|file| self.of_file(&file))
                        .is_ok_and(|found| Some(found.as_str()) == digest)
            };
            (same || alike()).then(|| (path.clone(), about.uid()))
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock is not held while the file is read: it may never answer.
    fn of_file(&self, file: &File) -> io::Result<String> {
        let about = file.metadata()?;
        let key = (
            about.dev(),
            about.ino(),
            about.mtime(),
            about.mtime_nsec(),
            about.size(),
        );
        {
            let mut kept = self.kept();
            if let Some(digest) = kept.digests.get(&key) {
                return Ok(digest.clone());
            }
            kept.spend(about.size())?;
        }
        let mut sha = Sha256::new();
        let mut room = vec![0; 1 << 16];
        let mut rest = file.take(about.size());
        loop {
            match rest.read(&mut room)? {
                0 => break,
                count => sha.update(&room[..count]),
            }
        }
        let mut digest = format!("sha256:{:x}", sha.finalize());
        digest.truncate("sha256:".len() + SHORT);
        let mut kept = self.kept();
        if kept.order.len() == MAX_KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.digests.remove(&oldest);
        }
        if kept.digests.insert(key, digest.clone()).is_none() {
            kept.order.push_back(key);
        }
        Ok(digest)
    }
}

impl Kept {
    fn spend(&mut self, bytes: u64) -> io::Result<()> {
        if self.since.elapsed() >= WHILE {
            self.since = Instant::now();
            self.left = BUDGET;
        }
        if bytes > MAX_BYTES {
            return Err(io::Error::other("it is too large"));
        }
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or_else(|| io::Error::other("the budget of bytes for ten seconds is used up"))?;
        Ok(())
    }
}

/// The name of the program that a copy was made of: `memfd:runc_cloned:…` is
/// runc's, `memfd:libcrun_cloned:…` crun's.
fn plain(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let Some(copy) = name.strip_prefix("memfd:") else {
        return name.into_owned();
    };
    let copy = copy.split("_cloned").next().unwrap_or(copy);
    copy.strip_prefix("lib").unwrap_or(copy).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(image: &str, digest: Option<&str>) -> Option<String> {
        of_image(&Container {
            image: (!image.is_empty()).then(|| image.to_owned()),
            digest: digest.map(str::to_owned),
            ..Container::default()
        })
    }

    #[test]
    fn a_tag_says_more_than_a_digest_and_latest_says_nothing() {
        let digest = format!("sha256:{}", "147b64ab7722ad18".repeat(4));
        let short = Some("sha256:147b64ab7722".to_owned());
        assert_eq!(
            image("ghcr.io/a/b:0.0.73", Some(&digest)).unwrap(),
            "0.0.73"
        );
        assert_eq!(image("localhost:5000/b", Some(&digest)), short);
        assert_eq!(image("b:latest", Some(&digest)), short);
        assert_eq!(image(&format!("b:latest@{digest}"), None), short);
        assert_eq!(image("b:latest", None).unwrap(), "latest");
        assert_eq!(image("b", None), None);
        assert_eq!(image("", Some(&digest)), short);
        assert_eq!(image("", Some(&format!("a/b@{digest}"))), short);
        assert_eq!(
            image("", Some("sha256:\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}")),
            None
        );
    }

    #[test]
    fn a_digest_is_that_of_the_content_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "abc").unwrap();
        let digests = Digests::default();
        let file = File::open(&path).unwrap();
        assert_eq!(digests.of_file(&file).unwrap(), "sha256:ba7816bf8f01");
        let left = digests.kept().left;
        digests.of_file(&file).unwrap();
        assert_eq!(digests.kept().left, left, "it was read once");
    }

    #[test]
    fn large_files_and_too_many_of_them_are_not_read() {
        let mut digests = Kept::default();
        assert!(digests.spend(MAX_BYTES + 1).is_err());
        assert!(digests.spend(MAX_BYTES).is_ok());
        assert!(digests.spend(MAX_BYTES).is_ok());
        assert!(digests.spend(1).is_err());
    }

    #[test]
    fn a_process_that_executes_another_program_has_no_digest() {
        let own = open::place_of_executable(std::process::id()).unwrap();
        let exe = fs::read_link("/proc/self/exe").unwrap();
        let name = basename(&exe).unwrap();
        let digests = Digests::default();
        let found = digests.of_executable(&own, &name).unwrap();
        assert_eq!(found.path.as_deref(), Some(exe.as_path()));
        assert!(digests.of_executable(&own, b"crun").is_none());
    }

    #[test]
    fn a_sealed_copy_is_the_program_that_it_was_made_of() {
        assert_eq!(plain(b"runc"), "runc");
        assert_eq!(plain(b"memfd:runc_cloned:/proc/self/exe"), "runc");
        assert_eq!(plain(b"memfd:libcrun_cloned:/proc/self/exe"), "crun");
        let digests = Digests::default();
        let shell = fs::canonicalize("/usr/bin/env").unwrap();
        let about = fs::metadata(&shell).unwrap();
        let name = shell.file_name().unwrap().to_str().unwrap();
        let (path, uid) = digests.original(name, &about, None).unwrap();
        assert_eq!((path.as_path(), uid), (shell.as_path(), about.uid()));
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        fs::copy(&shell, &copy).unwrap();
        let digest = digests.of_file(&File::open(&copy).unwrap()).unwrap();
        let about = fs::metadata(&copy).unwrap();
        assert!(digests.original(name, &about, Some(&digest)).is_some());
        assert!(
            digests
                .original(name, &about, Some("sha256:other"))
                .is_none()
        );
        assert!(
            digests
                .original("../bin/env", &about, Some(&digest))
                .is_none()
        );
    }

    #[test]
    fn an_image_given_by_its_id_has_twelve_digits() {
        let id = "0123456789abcdef".repeat(4);
        let short = Some("sha256:0123456789ab".to_owned());
        assert_eq!(image(&format!("sha256:{id}"), None), short);
        assert_eq!(image(&id, None), short);
        assert_eq!(image(&id[..12], None), short);
        assert_eq!(image("busybox:1.36", None).unwrap(), "1.36");
        assert_eq!(marked("0.0.73", 0), "0.0.73");
        assert_eq!(marked("0.0.73", 1000), "0.0.73@uid1000");
    }
}
