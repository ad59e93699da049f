//! `capwatch probe FILE`: whether this process could execute a file, and with
//! which capabilities: the kernel's own arithmetic (`cap_bprm_creds_from_file`,
//! `security/commoncap.c`, 6.12), done beforehand.

mod read;

use read::{file_caps, is_script, own, place};

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use observer_ebpf::decide::rules::{self, FileSets, Sets};
use serde::Serialize;

use super::super::form::DiagnosisForm;
use crate::{caps::CapSet, clean::clean};

/// Exit code of `--check`, as that of `record --fail-on`.
const FAILED: u8 = 3;

/// Capabilities of a file (`struct vfs_ns_cap_data`, `include/uapi/linux/capability.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCaps {
    /// Permitted.
    pub permitted: CapSet,
    /// Inheritable.
    pub inheritable: CapSet,
    /// Whether the new permitted set is effective at once.
    pub effective: bool,
    /// Root of the user namespace that it holds in; none in version 2.
    pub root: Option<u32>,
}

impl FileCaps {
    const fn sets(&self) -> FileSets {
        FileSets {
            permitted: self.permitted.0,
            inheritable: self.inheritable.0,
            effective: self.effective,
        }
    }
}

/// The process that would execute it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Permitted set.
    pub permitted: CapSet,
    /// Inheritable set.
    pub inheritable: CapSet,
    /// Bounding set.
    pub bounding: CapSet,
    /// Ambient set.
    pub ambient: CapSet,
    /// Whether `no_new_privs` is set.
    pub no_new_privs: bool,
    /// Whether it is the user namespace's root.
    pub root: bool,
}

impl Own {
    /// What the rules look at; the effective set is none of it.
    const fn sets(&self) -> Sets {
        Sets {
            permitted: self.permitted.0,
            inheritable: self.inheritable.0,
            effective: 0,
            bounding: self.bounding.0,
        }
    }
}

/// What else of the file counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Whether it may be executed at all (mode, `noexec`).
    pub executable: bool,
    /// Whether its mount has `nosuid`.
    pub nosuid: bool,
    /// Whether it is set-user-ID for root.
    pub set_root: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    schema: &'static str,
    /// Whether the exec would be granted.
    executes: bool,
    /// The errno, where not.
    errno: Option<i32>,
    /// Capabilities of the file that the bounding set lacks.
    missing: Vec<String>,
    /// Permitted set of the new program, hexadecimal.
    permitted: Option<String>,
    /// Effective set of the new program, hexadecimal.
    effective: Option<String>,
    /// The sentence for a person.
    explanation: String,
}

/// Runs the command.
pub fn run(path: &Path, check: bool, output: DiagnosisForm) -> anyhow::Result<ExitCode> {
    let shown = path.display();
    let data = std::fs::metadata(path).with_context(|| format!("cannot read {shown}"))?;
    if !data.is_file() {
        bail!("{shown} is no regular file: name a program");
    }
    let caps = file_caps(path).with_context(|| format!("cannot read capabilities of {shown}"))?;
    let own = own()?;
    let mut answer = answer(caps, &own, place(path, &data)?);
    if is_script(path) {
        answer.explanation.push_str(
            ". It is a script: the kernel takes capabilities from its interpreter; probe that one",
        );
    }
    let mut out = io::stdout().lock();
    match output {
        DiagnosisForm::Json => {
            serde_json::to_writer_pretty(&mut out, &answer)?;
            out.write_all(b"\n")?;
        }
        DiagnosisForm::Text => {
            let name = shown.to_string();
            writeln!(out, "{}: {}", clean(&name), clean(&answer.explanation))?;
        }
    }
    Ok(if check && !answer.executes {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

/// What the exec would come to.
pub fn answer(caps: Option<FileCaps>, own: &Own, place: Place) -> Answer {
    let refused = |errno, missing: CapSet, explanation: String| Answer {
        schema: "capwatch.probe-file/1",
        executes: false,
        errno: Some(errno),
        missing: names(missing),
        permitted: None,
        effective: None,
        explanation,
    };
    if !place.executable {
        return refused(
            libc::EACCES,
            CapSet::EMPTY,
            "exec would be refused (Permission denied): it is not executable for this user, or \
             its mount has noexec; capabilities do not matter"
                .to_owned(),
        );
    }
    let ignored = ignored(caps, own, place);
    let counted = caps.filter(|_| ignored.is_none());
    let mut permitted = own.ambient;
    let mut effective = own.ambient;
    if let Some(file) = counted {
        let (file_sets, sets) = (file.sets(), own.sets());
        let gained = CapSet(rules::gains(file_sets, sets));
        let missing = CapSet(rules::exec(file_sets, sets).missing);
        if missing.0 != 0 {
            let lacking = names(missing).join(", ");
            let upper = lacking.to_uppercase();
            return refused(
                libc::EPERM,
                missing,
                format!(
                    "exec would be refused (Operation not permitted): its capabilities have the \
                     effective bit, and the bounding set lacks {lacking}. Keep it in the bounding \
                     set (`--cap-add {upper}`), or remove the file's (`setcap -r`), or clear its \
                     effective bit; no_new_privs and security modules are not the cause"
                ),
            );
        }
        // Capabilities of the file end the ambient set.
        permitted = gained;
        effective = if file.effective {
            gained
        } else {
            CapSet::EMPTY
        };
    }
    let set_root = place.set_root && !own.no_new_privs && !place.nosuid;
    if own.root || set_root {
        permitted = CapSet(own.bounding.0 | own.inheritable.0);
        effective = permitted;
    }
    let promised = permitted;
    if own.no_new_privs {
        // `cap_bprm_creds_from_file`: nothing beyond what was permitted.
        permitted = CapSet(permitted.0 & own.permitted.0);
        effective = CapSet(effective.0 & permitted.0);
    }
    let held = if permitted.0 == 0 {
        "without any capability".to_owned()
    } else {
        let what = if permitted == effective {
            "with"
        } else {
            "with, not yet effective,"
        };
        format!("{what} {}", words(permitted))
    };
    let ignored = ignored.or((promised != permitted).then_some("no_new_privs is set"));
    let but = ignored.map_or_else(String::new, |why| {
        format!("; the file's other capabilities are ignored, because {why}")
    });
    Answer {
        schema: "capwatch.probe-file/1",
        executes: true,
        errno: None,
        missing: Vec::new(),
        permitted: Some(format!("{:#x}", permitted.0)),
        effective: Some(format!("{:#x}", effective.0)),
        explanation: format!("it would run {held}{but}"),
    }
}

/// Why the file's capabilities and set-user-ID bit have no effect, where it has any.
fn ignored(caps: Option<FileCaps>, own: &Own, place: Place) -> Option<&'static str> {
    if caps.is_none() && !place.set_root {
        return None;
    }
    if place.nosuid {
        return Some("its mount has nosuid");
    }
    if caps.is_some_and(|file| file.root.is_some()) {
        return Some("they are those of another user namespace's root");
    }
    // File capabilities count under no_new_privs as far as they give nothing new.
    if own.no_new_privs && place.set_root {
        return Some("no_new_privs is set");
    }
    None
}

fn names(set: CapSet) -> Vec<String> {
    set.names().map(std::borrow::Cow::into_owned).collect()
}

fn words(set: CapSet) -> String {
    if set.0.count_ones() > 12 {
        return format!("{} capabilities ({:#x})", set.0.count_ones(), set.0);
    }
    names(set).join(", ")
}

#[cfg(test)]
mod tests {
    use super::{read::parse, *};

    const NET_BIND: CapSet = CapSet(1 << 10);
    const READY: Place = Place {
        executable: true,
        nosuid: false,
        set_root: false,
    };

    fn file(effective: bool) -> FileCaps {
        FileCaps {
            permitted: NET_BIND,
            effective,
            ..FileCaps::default()
        }
    }

    #[test]
    fn every_version_is_read() {
        let v2 = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        let caps = parse(&v2).unwrap();
        assert_eq!(caps.permitted, CapSet(1 << 10 | 1 << 32));
        assert!(caps.effective && caps.root.is_none());
        let mut v3 = v2.to_vec();
        v3[3] = 3;
        v3.extend(1000_u32.to_le_bytes());
        assert_eq!(parse(&v3).unwrap().root, Some(1000));
        assert_eq!(parse(&v2[..12]), None);
        assert_eq!(parse(&[0; 20]), None);
        assert_eq!(parse(&[]), None);
    }

    #[test]
    fn beyond_the_bounding_set_it_is_refused_with_the_effective_bit_alone() {
        let refused = answer(Some(file(true)), &Own::default(), READY);
        assert_eq!(refused.errno, Some(libc::EPERM));
        assert_eq!(refused.missing, ["net_bind_service"]);
        assert!(refused.explanation.contains("--cap-add NET_BIND_SERVICE"));
        // As root, and under no_new_privs, just the same.
        let root = Own {
            root: true,
            no_new_privs: true,
            ..Own::default()
        };
        assert!(!answer(Some(file(true)), &root, READY).executes);
        let dumb = answer(Some(file(false)), &Own::default(), READY);
        assert_eq!(dumb.permitted.as_deref(), Some("0x0"));
    }

    #[test]
    fn what_is_granted_is_the_kernels_sum() {
        let own = Own {
            bounding: CapSet(u64::MAX >> 23),
            ambient: CapSet(1),
            ..Own::default()
        };
        let granted = answer(Some(file(true)), &own, READY);
        assert_eq!(granted.permitted.as_deref(), Some("0x400"));
        assert_eq!(granted.effective.as_deref(), Some("0x400"));
        let plain = answer(None, &own, READY);
        assert_eq!(plain.effective.as_deref(), Some("0x1"), "ambient stays");
        let late = answer(Some(file(false)), &own, READY);
        assert_eq!(late.effective.as_deref(), Some("0x0"));
    }

    #[test]
    fn what_is_ignored_is_said() {
        let own = Own {
            bounding: NET_BIND,
            ..Own::default()
        };
        let nosuid = Place {
            nosuid: true,
            ..READY
        };
        let outcome = answer(Some(file(true)), &own, nosuid);
        assert!(outcome.executes && outcome.explanation.contains("nosuid"));
        let foreign = Some(FileCaps {
            root: Some(7),
            ..file(true)
        });
        assert!(
            answer(foreign, &own, READY)
                .explanation
                .contains("another user namespace")
        );
        let none = Place::default();
        assert_eq!(
            answer(Some(file(true)), &own, none).errno,
            Some(libc::EACCES)
        );
        let held = Own {
            no_new_privs: true,
            ..own
        };
        let nothing = answer(Some(file(true)), &held, READY);
        assert_eq!(nothing.permitted.as_deref(), Some("0x0"));
        assert!(
            nothing.explanation.contains("no_new_privs"),
            "{}",
            nothing.explanation
        );
    }
}
