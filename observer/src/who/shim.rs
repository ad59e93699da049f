//! The words of containerd's shim, which name its container:
//! `-namespace moby -id ID -address /run/containerd/containerd.sock`.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

use super::text::{Bounded, bounded};

/// What a shim runs, by its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shim {
    /// Id of the container; of a pod, that of its sandbox.
    pub id: String,
    /// containerd's namespace.
    pub namespace: String,
    /// Folder of containerd's socket: its state lies there.
    pub state: Option<PathBuf>,
}

/// Reads a shim's words, each closed by a zero; `None` where they name nothing
/// that could be a container's folder.
pub fn parse(argv: &[u8]) -> Option<Shim> {
    let mut words = argv.split(|byte| *byte == 0).skip(1);
    let mut shim = Shim::default();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix(b"--").or(word.strip_prefix(b"-")) else {
            continue;
        };
        let (key, value) = match flag.iter().position(|byte| *byte == b'=') {
            Some(at) => (&flag[..at], Some(&flag[at + 1..])),
            None => (flag, None),
        };
        if !matches!(key, b"id" | b"namespace" | b"address") {
            continue;
        }
        let Some(value) = value.or_else(|| words.next()) else {
            break;
        };
        match key {
            b"id" => shim.id = bounded(value),
            b"namespace" => shim.namespace = bounded(value),
            _ => {
                let socket = PathBuf::from(OsStr::from_bytes(value));
                let state = socket.parent().filter(|_| socket.is_absolute());
                shim.state = state.map(PathBuf::from);
            }
        }
    }
    let named = is_name(&shim.id) && is_name(&shim.namespace);
    named.then_some(shim)
}

/// Whether a text may be one folder's name.
pub fn is_name(text: &str) -> bool {
    text.some().is_some() && !text.contains(['/', '\0']) && text != "." && text != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_the_container_and_hostile_ones_name_nothing() {
        let words = b"/usr/bin/containerd-shim-runc-v2\0-namespace\0team-a\0-id\0mybox\0-address\0/run/containerd/containerd.sock\0";
        let shim = parse(words).unwrap();
        assert_eq!(
            (shim.id.as_str(), shim.namespace.as_str()),
            ("mybox", "team-a")
        );
        assert_eq!(shim.state, Some(PathBuf::from("/run/containerd")));
        assert_eq!(parse(b"shim\0--id=a\0--namespace=b\0").unwrap().id, "a");
        for hostile in [
            &b"shim\0-id\0../../etc\0-namespace\0x\0"[..],
            b"shim\0-id\0..\0-namespace\0x\0",
            b"shim\0-id\0a\0",
            b"shim\0-id",
            b"",
        ] {
            assert_eq!(parse(hostile), None);
        }
        let relative = parse(b"s\0-id\0a\0-namespace\0b\0-address\0x/y\0").unwrap();
        assert_eq!(relative.state, None);
    }
}
