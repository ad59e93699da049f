//! The path under which the steps are executed, since an `AppArmor` profile
//! attaches by path.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::{caps, open, sources::proc::effective_capabilities};

/// Where this program is while it is executed.
#[derive(Debug)]
pub enum Place {
    /// Where it is anyway.
    Own,
    /// A copy, removed in the end.
    Copy(PathBuf),
    /// Mounted over another program, in a mount namespace of the trial's own.
    Over {
        /// This program.
        own: PathBuf,
        /// The other.
        target: PathBuf,
    },
}

impl Place {
    /// Prepares a path.
    ///
    /// # Errors
    /// When the path can't be used, with what to do.
    pub fn new(exe: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = exe else {
            return Ok(Self::Own);
        };
        let shown = path.display();
        if !path.is_absolute() {
            bail!("{shown} is not absolute: profiles attach to absolute paths");
        }
        if fs::symlink_metadata(path).is_ok() {
            if !effective_capabilities().contains(caps::SYS_ADMIN) {
                bail!(
                    "{shown} exists, and taking its place needs CAP_SYS_ADMIN: run as root, or \
                     name a new path that the profile's glob covers too"
                );
            }
            // By its path: the target of `/proc/self/exe` is of another mount
            // namespace by then, from which the kernel binds nothing.
            return Ok(Self::Over {
                own: std::env::current_exe()?,
                target: fs::canonicalize(path)?,
            });
        }
        let copied = (|| {
            let mut from = open::system("/proc/self/exe")?;
            // Never through a link that somebody has just put there.
            let mut to = fs::File::create_new(path)?;
            io::copy(&mut from, &mut to)?;
            to.set_permissions(fs::Permissions::from_mode(0o755))
        })();
        copied.with_context(|| format!("cannot copy capwatch to {shown}: is it writable?"))?;
        Ok(Self::Copy(path.to_owned()))
    }

    /// The path for a person.
    pub fn shown(&self) -> String {
        match self {
            Self::Own => "capwatch".to_owned(),
            Self::Copy(path) | Self::Over { target: path, .. } => path.display().to_string(),
        }
    }

    /// A command that executes this program there.
    #[expect(
        clippy::disallowed_types,
        reason = "`record` and `probe` are the two commands that start programs"
    )]
    pub fn command(&self) -> tokio::process::Command {
        match self {
            Self::Own => tokio::process::Command::new("/proc/self/exe"),
            Self::Copy(path) => tokio::process::Command::new(path),
            Self::Over { own, target } => {
                let mut command = tokio::process::Command::new(target);
                let ended = |path: &Path| {
                    let mut bytes = path.as_os_str().as_bytes().to_vec();
                    bytes.push(0);
                    bytes
                };
                let (own, target) = (ended(own), ended(target));
                // SAFETY: the closure makes system calls alone, and allocates nothing.
                unsafe { command.pre_exec(move || cover(&own, &target)) };
                command
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Copy(path) = self
            && let Err(error) = fs::remove_file(&*path)
        {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }
}

/// Mounts `own` over `target`, both of which end with a null, for this process alone.
fn cover(own: &[u8], target: &[u8]) -> io::Result<()> {
    let none = std::ptr::null();
    // SAFETY: every string ends with a null; a child between fork and exec has
    // one thread.
    unsafe {
        if libc::unshare(libc::CLONE_NEWNS) < 0
            || libc::mount(
                none,
                c"/".as_ptr(),
                none,
                libc::MS_PRIVATE | libc::MS_REC,
                none.cast(),
            ) < 0
            || libc::mount(
                own.as_ptr().cast(),
                target.as_ptr().cast(),
                none,
                libc::MS_BIND,
                none.cast(),
            ) < 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_made_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bwrap");
        let place = Place::new(Some(&path)).unwrap();
        assert!(matches!(place, Place::Copy(_)));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o755
        );
        drop(place);
        assert!(!path.exists());
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (path, word) in [("bwrap", "absolute"), ("/proc/bwrap", "cannot copy")] {
            let error = format!("{:#}", Place::new(Some(Path::new(path))).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }
}
