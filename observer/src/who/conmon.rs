//! conmon's words, which name its container: `-c ID -n NAME -b BUNDLE -r RUNTIME`.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

use super::text::{Bounded, bounded};

/// What conmon watches, by its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conmon {
    /// Id of the container.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Folder of its OCI configuration.
    pub bundle: Option<PathBuf>,
    /// Where the runtime writes its process id: within the store's run directory.
    pub pidfile: Option<PathBuf>,
}

/// Reads conmon's words, each closed by a zero; the last may be cut.
pub fn parse(argv: &[u8]) -> Option<Conmon> {
    let mut words = argv.split(|byte| *byte == 0).skip(1);
    let mut conmon = Conmon::default();
    while let Some(word) = words.next() {
        let (key, value) = match word.iter().position(|byte| *byte == b'=') {
            Some(at) if word.starts_with(b"--") => (&word[..at], Some(&word[at + 1..])),
            _ => (word, None),
        };
        let known = matches!(
            key,
            b"-c"
                | b"--cid"
                | b"-n"
                | b"--name"
                | b"-b"
                | b"--bundle"
                | b"-p"
                | b"--container-pidfile"
        );
        if !known {
            continue;
        }
        let Some(value) = value.or_else(|| words.next()) else {
            break;
        };
        match key {
            b"-c" | b"--cid" => conmon.id = bounded(value),
            b"-n" | b"--name" => conmon.name = bounded(value).some(),
            b"-b" | b"--bundle" => conmon.bundle = path(value),
            _ => conmon.pidfile = path(value),
        }
    }
    (!conmon.id.is_empty()).then_some(conmon)
}

fn path(value: &[u8]) -> Option<PathBuf> {
    value
        .starts_with(b"/")
        .then(|| PathBuf::from(OsStr::from_bytes(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from Podman 4.3.1, rootless, Debian 12, kernel 6.12.
    const RECORDED: &[u8] = include_bytes!("../../tests/state/podman/conmon.argv");

    #[test]
    fn recorded_words_name_the_container() {
        let conmon = parse(RECORDED).unwrap();
        let id = "96ba76018776eb0fa205e1641818b888938d243efcf5e774b55734351333e108";
        assert_eq!(conmon.id, id);
        assert_eq!(conmon.name.as_deref(), Some("web"));
        let bundle =
            format!("/home/user/.local/share/containers/storage/vfs-containers/{id}/userdata");
        assert_eq!(conmon.bundle, Some(PathBuf::from(bundle)));
        let cut = &RECORDED[..200];
        assert_eq!(parse(cut).unwrap().id, id, "what was cut is left out");
    }

    #[test]
    fn hostile_words_do_no_harm() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"conmon\0-c"), None);
        assert_eq!(parse(b"conmon\0-n\0x\0"), None);
        let conmon = parse(b"conmon\0-c\0a\xff\x1b[31m\0--name=b\nc\0-b\0relative\0").unwrap();
        assert_eq!(conmon.id, "a\u{fffd}\u{1b}[31m");
        assert_eq!(conmon.name.as_deref(), Some("b\nc"));
        assert_eq!(conmon.bundle, None);
    }
}
