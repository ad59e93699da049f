//! Which files a thread may still open, by Landlock (5.13): none to execute, none
//! to write but where the agent keeps something. From 6.7 on it may neither connect
//! nor bind.
//!
//! Threads for look-ups have no Landlock: whoever has some may not look at processes
//! outside of it (`hook_ptrace_access_check`, `security/landlock/task.c`, 5.13 to 7.3),
//! whatever his capabilities, so `/proc/PID/exe` and `/proc/PID/root` are closed to
//! him. Their seccomp filter lets them open files to read alone.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus,
};

use super::{Plan, Room};

/// The newest rights that are asked for; an older kernel enforces those that it knows.
const RIGHTS: ABI = ABI::V5;

pub(super) fn restrict(room: Room, plan: &Plan) -> Result<(), String> {
    if room == Room::LookUp {
        return Ok(());
    }
    let rules = || -> Result<RulesetStatus, landlock::RulesetError> {
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(RIGHTS))?
            .handle_access(AccessNet::from_all(RIGHTS))?
            .create()?;
        let reads = AccessFs::ReadFile | AccessFs::ReadDir;
        match room {
            // Logs and the files of processes may lie anywhere.
            Room::Main | Room::AuditLog => {
                ruleset = allow(ruleset, Path::new("/"), reads)?;
            }
            // Programs to attach to; how many processors a map has values of, and
            // what the agent itself takes.
            Room::Storms | Room::Web => {
                let own = [Path::new("/sys"), Path::new("/proc")];
                let again = plan.web.iter().map(PathBuf::as_path);
                for path in own.into_iter().chain(again.filter(|_| room == Room::Web)) {
                    ruleset = allow(ruleset, path, reads)?;
                }
            }
            Room::LookUp | Room::Events | Room::Plain => {}
        }
        let writes = AccessFs::WriteFile
            | AccessFs::MakeReg
            | AccessFs::RemoveFile
            | AccessFs::MakeDir
            | AccessFs::RemoveDir
            | AccessFs::Truncate
            | AccessFs::Refer
            | reads;
        let own: &[&[PathBuf]] = match room {
            Room::Main => &[&plan.writes, &plan.pins],
            Room::Events => &[&plan.writes],
            // A link that takes over in a storm is pinned in place of the other.
            Room::Storms => &[&plan.pins],
            Room::LookUp | Room::AuditLog | Room::Web | Room::Plain => &[],
        };
        for path in own.iter().copied().flatten() {
            ruleset = allow(ruleset, path, writes)?;
        }
        for path in plan.sockets.iter().filter(|_| room == Room::Web) {
            ruleset = allow(ruleset, path, AccessFs::RemoveFile.into())?;
        }
        Ok(ruleset.restrict_self()?.ruleset)
    };
    match rules() {
        Ok(RulesetStatus::NotEnforced) => {
            Err("the kernel lacks it, or lsm= does not list it".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Allows rights on a path and what lies beneath; one that is not there gives none.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, landlock::RulesetError> {
    let Ok(place) = PathFd::new(path) else {
        return Ok(ruleset);
    };
    let rights = if path.is_dir() {
        rights
    } else {
        rights & AccessFs::from_file(RIGHTS)
    };
    ruleset.add_rule(PathBeneath::new(place, rights))
}
