//! The version of a supervisor: its image's tag or digest, else a digest of
//! its executable.

use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File},
    io::{self, Read},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use crate::{finding::Container, open, sources::proc::basename};

/// Hexadecimal digits of a digest that are told: as many as runtimes show.
const SHORT: usize = 12;
/// Larger executables are not read.
const MAX_BYTES: u64 = 64 << 20;
/// How much is read in a while, so that nobody keeps the agent busy by
/// executing one large file after another.
const BUDGET: u64 = 128 << 20;
const WHILE: Duration = Duration::from_secs(10);
/// Digests that are kept.
const MAX_KEPT: usize = 1_024;

/// The version that an image's reference tells: its tag; where that is none,
/// or `latest`, which tells nothing, the digest.
pub fn of_image(container: &Container) -> Option<String> {
    let image = container.image.as_deref().unwrap_or_default();
    let (reference, pinned) = match image.split_once('@') {
        Some((reference, digest)) => (reference, Some(digest)),
        None => (image, None),
    };
    let name = reference.rsplit('/').next().unwrap_or(reference);
    let tag = name.split_once(':').map(|(_, tag)| tag);
    if let Some(tag) = tag.filter(|tag| !tag.is_empty() && *tag != "latest") {
        return Some(tag.to_owned());
    }
    let known = container.digest.as_deref();
    let known = known.map(|digest| digest.rsplit('@').next().unwrap_or(digest));
    let digest = pinned.or(known).and_then(short);
    digest.or_else(|| tag.map(str::to_owned))
}

fn short(digest: &str) -> Option<String> {
    let hexadecimal = digest.strip_prefix("sha256:")?;
    let short = hexadecimal.get(..SHORT)?;
    let plain = short.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| format!("sha256:{short}"))
}

/// A file as it stands: another one, or a changed one, has another key.
type Key = (u64, u64, i64, i64, u64);

/// Digests of executables.
pub struct Digests {
    kept: HashMap<Key, String>,
    order: VecDeque<Key>,
    left: u64,
    since: Instant,
}

impl Default for Digests {
    fn default() -> Self {
        Self {
            kept: HashMap::new(),
            order: VecDeque::new(),
            left: BUDGET,
            since: Instant::now(),
        }
    }
}

impl Digests {
    /// The digest of what a process executes, where that is still the program
    /// of this name: it may have executed another one since.
    pub fn of_process(&mut self, pid: u32, name: &[u8]) -> Option<String> {
        let file = open::executable(pid).ok()?;
        let link = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        let found = basename(&link)?;
        // The kernel's name is cut to its room.
        let same = found == name || (name.len() >= 63 && found.starts_with(name));
        let digest = same.then(|| self.of_file(&file));
        digest?
            .inspect_err(|error| tracing::debug!("no digest of {}: {error}", link.display()))
            .ok()
    }

    fn of_file(&mut self, file: &File) -> io::Result<String> {
        let about = file.metadata()?;
        let key = (
            about.dev(),
            about.ino(),
            about.mtime(),
            about.mtime_nsec(),
            about.size(),
        );
        if let Some(digest) = self.kept.get(&key) {
            return Ok(digest.clone());
        }
        self.spend(about.size())?;
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
        if self.order.len() == MAX_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.kept.remove(&oldest);
        }
        self.order.push_back(key);
        self.kept.insert(key, digest.clone());
        Ok(digest)
    }

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
            .ok_or_else(|| io::Error::other("too much was read in the last ten seconds"))?;
        Ok(())
    }
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
    fn a_tag_tells_more_than_a_digest_and_latest_tells_nothing() {
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
        let mut digests = Digests::default();
        let file = File::open(&path).unwrap();
        assert_eq!(digests.of_file(&file).unwrap(), "sha256:ba7816bf8f01");
        let left = digests.left;
        digests.of_file(&file).unwrap();
        assert_eq!(digests.left, left, "it was read once");
    }

    #[test]
    fn large_files_and_too_many_of_them_are_not_read() {
        let mut digests = Digests::default();
        assert!(digests.spend(MAX_BYTES + 1).is_err());
        assert!(digests.spend(MAX_BYTES).is_ok());
        assert!(digests.spend(MAX_BYTES).is_ok());
        assert!(digests.spend(1).is_err());
    }

    #[test]
    fn a_process_that_executes_another_program_has_no_digest() {
        let own = std::process::id();
        let exe = fs::read_link("/proc/self/exe").unwrap();
        let name = basename(&exe).unwrap();
        let mut digests = Digests::default();
        assert!(
            digests.of_process(own, &name).is_some() || exe.metadata().unwrap().len() > MAX_BYTES
        );
        assert_eq!(digests.of_process(own, b"crun"), None);
    }
}
