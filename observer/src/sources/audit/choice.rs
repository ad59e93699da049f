//! Which sources to listen to, as an operator names them.

use std::{fmt, path::PathBuf, str::FromStr};

use super::SourceName;

/// A source by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditSource {
    /// The kernel's audit multicast group.
    Netlink,
    /// `/dev/kmsg`.
    Kmsg,
    /// auditd's log file, followed from its present end through rotation.
    Log(PathBuf),
    /// A pipe or file of any form, read from its beginning to its end.
    Pipe(PathBuf),
    /// Standard input, likewise.
    Stdin,
}

/// Why a name is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no audit source is called {0:?}; use netlink, kmsg, log:FILE, pipe:FILE, or - for stdin")]
pub struct NoSource(String);

impl AuditSource {
    /// What metrics and reports call it.
    pub const fn name(&self) -> SourceName {
        match self {
            Self::Netlink => SourceName::Netlink,
            Self::Kmsg => SourceName::Kmsg,
            Self::Log(_) => SourceName::Auditd,
            Self::Pipe(_) | Self::Stdin => SourceName::Stream,
        }
    }
}

impl FromStr for AuditSource {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, NoSource> {
        let path = |path: &str| Some(PathBuf::from(path)).filter(|path| *path != PathBuf::new());
        match text {
            "netlink" => Some(Self::Netlink),
            "kmsg" => Some(Self::Kmsg),
            "-" => Some(Self::Stdin),
            _ => match text.split_once(':') {
                Some(("log", file)) => path(file).map(Self::Log),
                Some(("pipe", file)) => path(file).map(Self::Pipe),
                _ => None,
            },
        }
        .ok_or_else(|| NoSource(text.to_owned()))
    }
}

impl fmt::Display for AuditSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Netlink => formatter.write_str("netlink"),
            Self::Kmsg => formatter.write_str("kmsg"),
            Self::Log(path) => write!(formatter, "log:{}", path.display()),
            Self::Pipe(path) => write!(formatter, "pipe:{}", path.display()),
            Self::Stdin => formatter.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_a_name_that_comes_back() {
        for text in ["netlink", "kmsg", "log:/var/log/a:b", "pipe:x", "-"] {
            let source: AuditSource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        for text in ["", "log", "log:", "pipe:", "/var/log/audit.log", "auditd"] {
            let error = text.parse::<AuditSource>().unwrap_err().to_string();
            assert!(error.contains("log:FILE"), "{error}");
        }
    }
}
