//! Why pins can't be used.

use std::{fmt, num::NonZeroU32, path::PathBuf};

use crate::{open::Refused, time::Stamp};

/// Why a folder can't be used for pins.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// It is on another file system.
    #[error(
        "cannot pin below {0}: it is not on a bpf file system; \
         mount one (mount -t bpf bpf /sys/fs/bpf) and name a folder on it"
    )]
    NoBpfFs(PathBuf),
    /// It belongs to somebody else, or a link leads there.
    #[error("cannot pin below {path}: {source}; remove it, or name another folder with --pin")]
    Refused {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: Refused,
    },
    /// Others may enter it.
    #[error(
        "cannot pin below {path}: others may enter it (mode {mode:o}); \
         find out who created it, then chmod 700 {path}"
    )]
    Mode {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another agent runs with it.
    #[error(
        "another agent holds the pins below {path}: {holder}; \
         stop it first, or name another folder with --pin"
    )]
    Held {
        /// The folder.
        path: PathBuf,
        /// Who.
        holder: Box<Holder>,
    },
    /// It was pinned by a version whose maps are others.
    #[error(
        "capwatch {version} pinned maps below {path} that this version cannot use ({names}); run \
         that version, or discard their counts with `capwatch unload`"
    )]
    Layout {
        /// The folder.
        path: PathBuf,
        /// Who pinned it.
        version: String,
        /// Which.
        names: String,
    },
    /// Something can't be pinned, or read back.
    #[error("cannot use the pins below {path}: {why}")]
    Use {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
}

/// Who has a folder of pins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its process id; 0 where it is not known yet.
    pub pid: u32,
    /// Since when.
    pub since: Stamp,
    /// The version that made the pins.
    pub version: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pid) = NonZeroU32::new(self.pid) else {
            return formatter.write_str("a process that is starting");
        };
        write!(formatter, "pid {pid}")?;
        if self.since.is_known() {
            write!(formatter, " since {}", self.since)?;
        }
        Ok(())
    }
}
