//! The user that a command runs as.

use std::{ffi::CString, io, path::PathBuf};

use anyhow::{Context as _, bail};
use nix::unistd::{Gid, Uid, User, getgrouplist, setgid, setgroups, setuid};

/// A user with the groups that a login gives.
pub struct Login {
    user: User,
    groups: Vec<Gid>,
}

impl Login {
    /// Looks a user up, by name or number.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(name: &str) -> anyhow::Result<Self> {
        let named = User::from_name(name).context("cannot look up users")?;
        let found = match (named, name.parse()) {
            (None, Ok(uid)) => User::from_uid(Uid::from_raw(uid))?,
            (named, _) => named,
        };
        let Some(user) = found else {
            bail!("--user: this host has no user {name:?}; `getent passwd` lists them");
        };
        let known = CString::new(user.name.as_bytes())?;
        let groups = getgrouplist(&known, user.gid).context("cannot look up groups")?;
        Ok(Self { user, groups })
    }

    /// Lets a command become this user: its groups and ids, and what of the
    /// environment names the user.
    #[expect(
        clippy::disallowed_types,
        reason = "it is `record`'s command, started there"
    )]
    pub fn dress(&self, command: &mut tokio::process::Command) {
        let Self { user, groups } = self;
        command
            .env("HOME", &user.dir)
            .env("SHELL", &user.shell)
            .env("USER", &user.name)
            .env("LOGNAME", &user.name);
        let runtime = PathBuf::from(format!("/run/user/{}", user.uid));
        if runtime.is_dir() {
            command.env("XDG_RUNTIME_DIR", runtime);
        } else {
            command.env_remove("XDG_RUNTIME_DIR");
        }
        let (uid, gid, groups) = (user.uid, user.gid, groups.clone());
        let change = move || -> io::Result<()> {
            setgroups(&groups)?;
            setgid(gid)?;
            setuid(uid)?;
            Ok(())
        };
        // SAFETY: three system calls on numbers that were made before.
        unsafe { command.pre_exec(change) };
    }
}
