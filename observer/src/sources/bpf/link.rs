//! Programs that are attached: by what, over which life, and how they come off.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use aya::programs::{
    Program, ProgramError,
    fentry::FEntryLinkId,
    fexit::FExitLinkId,
    kprobe::KProbeLinkId,
    links::{FdLink, PinnedLink},
    tp_btf::BtfTracePointLinkId,
};

use super::{
    hook::{Hook, Part},
    host::pins_kprobes,
    mechanism::Mechanism,
    privilege::{TO_ATTACH, not_permitted},
    programs::{self, Programs},
};

impl Hook {
    /// Whether a link is of this hook, by a mechanism.
    pub(super) fn has(&self, link: &Attached, by: Mechanism) -> bool {
        let mut parts = self.parts(by).iter();
        parts.any(|part| part.program == link.program)
    }
}

/// A program that is attached, and what detaches it.
pub(super) struct Attached {
    /// The program.
    pub(super) program: String,
    link: Link,
}

enum Link {
    FEntry(FEntryLinkId),
    FExit(FExitLinkId),
    KProbe(KProbeLinkId),
    Tracepoint(BtfTracePointLinkId),
    /// Of a program that an agent before left.
    Adopted(OwnedFd),
    /// It outlives the agent.
    Pinned(PinnedLink),
    /// It could neither be pinned nor kept.
    Gone,
}

impl Attached {
    /// One that an agent before left attached.
    pub(super) const fn pinned(program: String, link: PinnedLink) -> Self {
        Self {
            program,
            link: Link::Pinned(link),
        }
    }

    /// Pins the link, which stays attached meanwhile; says why where that can't be.
    pub(super) fn pin(self, ebpf: &mut Programs, place: &Path) -> (Self, Option<String>) {
        let Self { program, link } = self;
        let kept = |link, why: &str| {
            let program = program.clone();
            let why = format!("{program}: {why}");
            (Self { program, link }, Some(why))
        };
        let link = match link {
            Link::Adopted(link) => {
                let pinned = programs::pin(link.as_fd(), place).map_err(text);
                return match pinned.and_then(|()| PinnedLink::from_pin(place).map_err(text)) {
                    Ok(link) => (Self::pinned(program, link), None),
                    Err(why) => kept(Link::Gone, &why),
                };
            }
            link => link,
        };
        let taken: Result<FdLink, String> = match (ebpf.program_mut(&program), link) {
            (Some(Program::FEntry(entry)), Link::FEntry(id)) => {
                entry.take_link(id).map(Into::into).map_err(text)
            }
            (Some(Program::FExit(exit)), Link::FExit(id)) => {
                exit.take_link(id).map(Into::into).map_err(text)
            }
            (Some(Program::BtfTracePoint(point)), Link::Tracepoint(id)) => {
                point.take_link(id).map(Into::into).map_err(text)
            }
            (Some(Program::KProbe(_)), link @ Link::KProbe(_)) if !pins_kprobes() => {
                return kept(link, "before 5.15 a kprobe's link cannot be pinned");
            }
            (Some(Program::KProbe(probe)), Link::KProbe(id)) => probe
                .take_link(id)
                .map_err(text)
                .and_then(|link| link.try_into().map_err(text)),
            (_, link) => return kept(link, "it has no link"),
        };
        match taken.and_then(|link| link.pin(place).map_err(text)) {
            Ok(link) => (
                Self {
                    program,
                    link: Link::Pinned(link),
                },
                None,
            ),
            Err(why) => kept(Link::Gone, &why),
        }
    }
}

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

/// Unloads a program.
pub(super) fn unload(program: &mut Program) {
    // That it was not loaded is the only failure, and what is wanted.
    let _ = match program {
        Program::FEntry(entry) => entry.unload(),
        Program::FExit(exit) => exit.unload(),
        Program::KProbe(probe) => probe.unload(),
        Program::BtfTracePoint(tracepoint) => tracepoint.unload(),
        _ => Ok(()),
    };
}

/// Loads a program for kprobes, unless it is.
pub(super) fn load_kprobe(ebpf: &mut Programs, part: Part) -> Result<(), String> {
    match program(ebpf, part)? {
        program if program.fd().is_ok() => Ok(()),
        Program::KProbe(probe) => probe.load().map_err(|error| explain(&error, part)),
        _ => Err(format!("{} is no program for kprobes", part.program)),
    }
}

/// Attaches a loaded program.
pub(super) fn attach_part(ebpf: &mut Programs, part: Part) -> Result<Attached, String> {
    if let Some(program) = ebpf.adopted(part.program) {
        let link = programs::attach(program).map_err(|error| explain_call(&error))?;
        return Ok(Attached {
            program: part.program.to_owned(),
            link: Link::Adopted(link),
        });
    }
    let result = match program(ebpf, part)? {
        Program::FEntry(entry) => entry.attach().map(Link::FEntry),
        Program::FExit(exit) => exit.attach().map(Link::FExit),
        Program::KProbe(probe) => probe.attach(part.function, 0).map(Link::KProbe),
        Program::BtfTracePoint(tracepoint) => tracepoint.attach().map(Link::Tracepoint),
        _ => return Err(format!("{} has no way to attach", part.program)),
    };
    let link = result.map_err(|error| explain(&error, part))?;
    Ok(Attached {
        program: part.program.to_owned(),
        link,
    })
}

/// Detaches a program, which stays loaded, so the kernel keeps what it
/// counted of its runs.
pub(super) fn detach(ebpf: &mut Programs, attached: Attached) -> Result<(), String> {
    let Attached { program, link } = attached;
    let link = match link {
        Link::Pinned(link) => {
            let unpinned = link.unpin();
            return unpinned
                .map(drop)
                .map_err(|error| format!("{program}: {error}"));
        }
        // It goes with its descriptor.
        Link::Adopted(_) => return Ok(()),
        link => link,
    };
    let result = match (ebpf.program_mut(&program), link) {
        (Some(Program::FExit(exit)), Link::FExit(link)) => exit.detach(link),
        (Some(Program::KProbe(probe)), Link::KProbe(link)) => probe.detach(link),
        _ => return Err(format!("{program} stays attached")),
    };
    result.map_err(|error| format!("{program}: {error}"))
}

/// A program of the object.
pub(super) fn program(ebpf: &mut Programs, part: Part) -> Result<&mut Program, String> {
    ebpf.program_mut(part.program)
        .ok_or_else(|| format!("the object has no program {}", part.program))
}

/// What a system call's error means, with the privilege that is missing.
fn explain_call(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) => not_permitted(TO_ATTACH),
        Some(libc::ENOENT) => "the kernel has no such function or probe".to_owned(),
        Some(524) => "this kernel's architecture has no BPF trampolines (ENOTSUPP)".to_owned(),
        _ => error.to_string(),
    }
}

/// One line of what the kernel said of a program.
pub(super) fn explain(error: &ProgramError, part: Part) -> String {
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            tracing::debug!("{}: verifier: {verifier_log}", part.program);
            let log = verifier_log.to_string();
            let is_reason = |line: &&str| {
                let statistics = [
                    "processed ",
                    "stack depth ",
                    "verification time ",
                    "max_states",
                ];
                !line.is_empty() && !statistics.iter().any(|start| line.starts_with(start))
            };
            let last = log.lines().rfind(is_reason);
            match (io_error.raw_os_error(), last) {
                (Some(libc::EACCES | libc::EINVAL), Some(line)) => {
                    format!("{} refused by the verifier: {line}", part.program)
                }
                _ => explain_call(io_error),
            }
        }
        ProgramError::SyscallError(call) => {
            format!("{}: {}", call.call, explain_call(&call.io_error))
        }
        ProgramError::Btf(error) => format!("not in this kernel's BTF: {error}"),
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            text
        }
    }
}
