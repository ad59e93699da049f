//! Loads and attaches the programs of one hook after the other, each by the
//! best mechanism that works: falling back is decided by load *or* attach,
//! since arm64 refuses trampolines only at attach (524, ENOTSUPP).

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use aya::{
    Btf,
    programs::{
        BtfTracePoint, FEntry, FExit, KProbe, Program, ProgramError,
        fentry::FEntryLinkId,
        fexit::FExitLinkId,
        kprobe::KProbeLinkId,
        links::{FdLink, PinnedLink},
        tp_btf::BtfTracePointLinkId,
    },
};

use observer_ebpf::Hook as Word;

use super::{
    btf::Btf as Prototypes,
    host::{has_kprobes, pins_kprobes, preempts_programs},
    mechanism::{Choice, HookStatus, Mechanism},
    needed,
    privilege::{TO_ATTACH, not_permitted},
    programs::{self, Programs},
    prototype, rules,
};

/// The running kernel's types: aya's reading of them, and ours.
#[derive(Clone, Copy)]
pub struct Types<'a> {
    /// What aya looks functions up in.
    pub aya: &'a Btf,
    /// What prototypes are compared with.
    pub prototypes: &'a Prototypes,
}

/// A program of the object and the kernel function that it goes to.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// The program.
    pub(super) program: &'static str,
    /// The kernel function.
    pub(super) function: &'static str,
}

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
                return kept(link, "before 5.15 the link of a kprobe can't be pinned");
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

pub(super) const fn part(program: &'static str, function: &'static str) -> Part {
    Part { program, function }
}

/// A hook: the parts of each mechanism; an empty list where it has no such one.
pub(super) struct Hook {
    /// The kernel function or tracepoint.
    pub(super) name: &'static str,
    pub(super) fexit: &'static [Part],
    pub(super) kprobe: &'static [Part],
    pub(super) tracepoint: &'static [Part],
}

impl Hook {
    pub(super) const fn parts(&self, mechanism: Mechanism) -> &'static [Part] {
        match mechanism {
            Mechanism::Fexit => self.fexit,
            Mechanism::Kprobe => self.kprobe,
            Mechanism::Tracepoint => self.tracepoint,
        }
    }
}

static TREE: [Hook; 3] = [
    tree(
        "sched_process_fork",
        &[part("tree_fork", "sched_process_fork")],
        &[part("tree_fork_kprobe", "wake_up_new_task")],
    ),
    tree(
        "sched_process_exec",
        &[part("tree_exec", "sched_process_exec")],
        &[part("tree_exec_kprobe", "proc_exec_connector")],
    ),
    tree(
        "sched_process_exit",
        &[part("tree_exit", "sched_process_exit")],
        &[part("tree_exit_kprobe", "proc_exit_connector")],
    ),
];

/// A hook of the process tree, and the function right after it, which tells of
/// the same where tracepoints may be skipped.
const fn tree(name: &'static str, tracepoint: &'static [Part], kprobe: &'static [Part]) -> Hook {
    Hook {
        name,
        fexit: &[],
        kprobe,
        tracepoint,
    }
}

pub(super) static VERDICT: Hook = Hook {
    name: "security_capable",
    fexit: &[part("security_capable_exit", "security_capable")],
    kprobe: &[
        part("security_capable_exit_kprobe", "security_capable"),
        part("security_capable_entry_kprobe", "security_capable"),
    ],
    tracepoint: &[],
};

pub(super) static COMMONCAP: Hook = Hook {
    name: "cap_capable",
    fexit: &[part("cap_capable_exit", "cap_capable")],
    kprobe: &[
        part("cap_capable_exit_kprobe", "cap_capable"),
        part("cap_capable_entry_kprobe", "cap_capable"),
    ],
    tracepoint: &[part("cap_capable_tracepoint", "cap_capable")],
};

pub(super) static APPARMOR: Hook = Hook {
    name: "aa_capable",
    fexit: &[part("aa_capable_exit", "aa_capable")],
    kprobe: &[
        part("aa_capable_exit_kprobe", "aa_capable"),
        part("aa_capable_entry_kprobe", "aa_capable"),
    ],
    tracepoint: &[],
};

pub(super) static SELINUX: Hook = Hook {
    name: "selinux_capable",
    fexit: &[part("selinux_capable_exit", "selinux_capable")],
    kprobe: &[part("selinux_capable_exit_kprobe", "selinux_capable")],
    tracepoint: &[],
};

static DROPS: Hook = Hook {
    name: "cap_task_prctl",
    fexit: &[
        part("drop_entry", "cap_task_prctl"),
        part("drop_exit", "cap_task_prctl"),
    ],
    kprobe: &[
        part("drop_entry_kprobe", "cap_task_prctl"),
        part("drop_exit_kprobe", "cap_task_prctl"),
    ],
    tracepoint: &[],
};

/// By which mechanism the programs are told that verdict and drops are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookWords {
    verdict: u32,
    drops: u32,
    checks: u32,
}

impl HookWords {
    /// Each word of the map `HOOKS`.
    pub const fn words(self) -> [(Word, u32); 3] {
        [
            (Word::Verdict, self.verdict),
            (Word::Drops, self.drops),
            (Word::Checks, self.checks),
        ]
    }
}

fn word(status: &HookStatus) -> u32 {
    match status.mechanism {
        _ if !status.attached => 0,
        Some(Mechanism::Kprobe) => Word::BY_KPROBE,
        _ => Word::BY_TRAMPOLINE,
    }
}

/// Loads the program that may need `bpf_probe_read_kernel`, to learn whether
/// lockdown allows it.
///
/// # Errors
/// What the kernel said.
pub fn load_tree(ebpf: &mut Programs, btf: Types<'_>) -> Result<(), String> {
    let [_, exec, _] = &TREE;
    load(ebpf, btf, Mechanism::Tracepoint, exec.tracepoint[0])
}

/// Attaches everything that this host can have.
///
/// `ready` is called once it is known which hooks work, before the tracepoint
/// on `cap_capable` (which asks for that) goes live.
pub fn attach(
    ebpf: &mut Programs,
    btf: Types<'_>,
    choice: Choice,
    lsms: &[String],
    mut ready: impl FnMut(&mut Programs, HookWords),
) -> (Vec<HookStatus>, Vec<Attached>) {
    let mut hooks = Vec::new();
    let mut links = Vec::new();
    for hook in &TREE {
        hooks.push(attach_tree(ebpf, btf, hook, &mut links));
    }
    let candidates = choice.candidates();
    let (drops, drops_by) = attach_drops(ebpf, btf, choice, &mut links);
    let active = |name: &str| lsms.iter().any(|lsm| lsm == name);
    // The inner layers first, by the verdict's mechanism: they tell it who refused.
    let verdict = attach_hook(ebpf, btf, &VERDICT, candidates, &mut links);
    let by = HookWords {
        verdict: word(&verdict),
        drops: drops_by,
        checks: 1,
    };
    ready(ebpf, by);
    if verdict.attached {
        let mechanism = verdict.mechanism.unwrap_or(Mechanism::Fexit);
        let inner = if !drops.attached {
            attach_hook(ebpf, btf, &COMMONCAP, &[Mechanism::Tracepoint], &mut links)
        } else if mechanism == Mechanism::Kprobe
            || btf.prototypes.tracepoint(COMMONCAP.name).is_some()
        {
            // By kprobe it is also the witness of what the walk gives.
            attach_hook(ebpf, btf, &COMMONCAP, &[mechanism], &mut links)
        } else {
            no_direct_checks()
        };
        hooks.push(inner);
        for (lsm, hook) in [("apparmor", &APPARMOR), ("selinux", &SELINUX)] {
            if active(lsm) {
                hooks.push(attach_hook(ebpf, btf, hook, &[mechanism], &mut links));
            }
        }
    } else {
        let inner = attach_hook(ebpf, btf, &COMMONCAP, candidates, &mut links);
        if !inner.attached || inner.mechanism == Some(Mechanism::Tracepoint) {
            ready(ebpf, HookWords { checks: 0, ..by });
        }
        hooks.push(inner);
    }
    hooks.extend([verdict, drops]);
    for hook in &rules::HOOKS {
        hooks.push(attach_hook(ebpf, btf, hook, candidates, &mut links));
    }
    needed::mark(&mut hooks, lsms);
    (hooks, links)
}

/// Attaches a hook of the process tree; on a kernel that preempts within
/// programs (7.0) by a kprobe besides, since a fork or an end that is skipped
/// leaves its episode open.
fn attach_tree(
    ebpf: &mut Programs,
    btf: Types<'_>,
    hook: &Hook,
    links: &mut Vec<Attached>,
) -> HookStatus {
    let status = attach_hook(ebpf, btf, hook, &[Mechanism::Tracepoint], links);
    if !status.attached || !preempts_programs() {
        return status;
    }
    let second = attach_hook(ebpf, btf, hook, &[Mechanism::Kprobe], links);
    if second.attached {
        return status;
    }
    HookStatus {
        reason: Some(format!(
            "by the tracepoint alone, which the kernel may skip in a storm; {}",
            second.reason.unwrap_or_default()
        )),
        ..status
    }
}

/// Attaches the hook of drops by both mechanisms that a kernel may skip, each
/// for reasons of its own (`observer-ebpf/src/programs/drops.rs`), unless one is
/// forced; where neither can be had, the tracepoint tells of drops.
fn attach_drops(
    ebpf: &mut Programs,
    btf: Types<'_>,
    choice: Choice,
    links: &mut Vec<Attached>,
) -> (HookStatus, u32) {
    let first = attach_hook(ebpf, btf, &DROPS, choice.candidates(), links);
    let alone = word(&first);
    if choice != Choice::Auto || first.mechanism != Some(Mechanism::Fexit) || !first.attached {
        return (first, alone);
    }
    let second = attach_hook(ebpf, btf, &DROPS, &[Mechanism::Kprobe], links);
    if second.attached {
        return (first, Word::BY_BOTH);
    }
    if !preempts_programs() {
        return (first, alone);
    }
    let reason = second.reason.unwrap_or_default();
    let status = HookStatus {
        reason: Some(format!(
            "by one mechanism alone, which the kernel may skip in a storm; {reason}"
        )),
        ..first
    };
    (status, alone)
}

/// The exit of `security_capable` tells commoncap's refusals too. Its own hook
/// tells of the checks that come to it directly, but before 6.14, when it got a
/// tracepoint, the compiler inlines those: the hook would only cost time, at
/// every check that is granted.
fn no_direct_checks() -> HookStatus {
    HookStatus {
        hook: COMMONCAP.name.to_owned(),
        mechanism: None,
        attached: false,
        needed: false,
        reason: Some(
            "before 6.14 it sees no check that security_capable doesn't tell of".to_owned(),
        ),
    }
}

fn attach_hook(
    ebpf: &mut Programs,
    btf: Types<'_>,
    hook: &Hook,
    candidates: &[Mechanism],
    links: &mut Vec<Attached>,
) -> HookStatus {
    let mut failures = Vec::new();
    let mut last = None;
    for mechanism in candidates {
        let parts = hook.parts(*mechanism);
        if parts.is_empty() {
            continue;
        }
        last = Some(*mechanism);
        match attach_parts(ebpf, btf, *mechanism, parts) {
            Ok(attached) => {
                links.extend(attached);
                return HookStatus {
                    hook: hook.name.to_owned(),
                    mechanism: last,
                    attached: true,
                    needed: true,
                    reason: (!failures.is_empty()).then(|| failures.join("; ")),
                };
            }
            Err(error) => failures.push(format!("{mechanism}: {error}")),
        }
    }
    if failures.is_empty() {
        let wanted: Vec<_> = candidates.iter().map(|m| m.as_str()).collect();
        failures.push(format!("no program for {}", wanted.join(", ")));
    }
    HookStatus {
        hook: hook.name.to_owned(),
        mechanism: last,
        attached: false,
        needed: true,
        reason: Some(failures.join("; ")),
    }
}

/// All parts or none: half a pair would count what it can't finish.
fn attach_parts(
    ebpf: &mut Programs,
    btf: Types<'_>,
    mechanism: Mechanism,
    parts: &[Part],
) -> Result<Vec<Attached>, String> {
    if mechanism == Mechanism::Kprobe && !has_kprobes() {
        return Err(
            "this kernel shows no kprobes (/sys/bus/event_source/devices/kprobe)".to_owned(),
        );
    }
    let mut attached = Vec::new();
    let result = parts.iter().try_for_each(|part| {
        load(ebpf, btf, mechanism, *part)?;
        attached.push(attach_part(ebpf, *part)?);
        Ok(())
    });
    if let Err(error) = result {
        for part in parts {
            if let Some(program) = ebpf.program_mut(part.program) {
                unload(program);
            }
        }
        return Err(error);
    }
    Ok(attached)
}

/// Attaches what could not be pinned, and so ended with the agent before; what can't
/// be attached any more is no longer said to be.
pub(super) fn attach_again(
    ebpf: &mut Programs,
    btf: Types<'_>,
    unpinned: &[String],
    hooks: &mut [HookStatus],
    links: &mut Vec<Attached>,
) {
    let all = TREE
        .iter()
        .chain([&VERDICT, &COMMONCAP, &APPARMOR, &SELINUX, &DROPS])
        .chain(&rules::HOOKS);
    let parts = all.flat_map(|hook| {
        let mechanisms = Choice::Auto.candidates().iter();
        let parts = mechanisms.flat_map(|by| hook.parts(*by).iter().map(|part| (*by, *part)));
        parts.map(|(by, part)| (hook.name, by, part))
    });
    let ended = |part: &Part| unpinned.iter().any(|name| name == part.program);
    for (name, by, part) in parts.filter(|(.., part)| ended(part)) {
        let attached = load(ebpf, btf, by, part).and_then(|()| attach_part(ebpf, part));
        match attached {
            Ok(attached) => links.push(attached),
            Err(why) => {
                tracing::warn!("not attached again: {why}");
                let mut hooks = hooks.iter_mut();
                if let Some(status) = hooks.find(|status| status.hook == name) {
                    status.attached &= status.mechanism != Some(by);
                    status.reason = Some(format!("{by}: not attached again: {why}"));
                }
            }
        }
    }
}

fn unload(program: &mut Program) {
    // That it was not loaded is the only failure, and what is wanted.
    let _ = match program {
        Program::FEntry(entry) => entry.unload(),
        Program::FExit(exit) => exit.unload(),
        Program::KProbe(probe) => probe.unload(),
        Program::BtfTracePoint(tracepoint) => tracepoint.unload(),
        _ => Ok(()),
    };
}

fn load(
    ebpf: &mut Programs,
    btf: Types<'_>,
    mechanism: Mechanism,
    part: Part,
) -> Result<(), String> {
    prototype::check(btf.prototypes, mechanism, part.function)?;
    let program = program(ebpf, part)?;
    let result = match program {
        _ if program.fd().is_ok() => Ok(()),
        Program::FEntry(entry) => FEntry::load(entry, part.function, btf.aya),
        Program::FExit(exit) => FExit::load(exit, part.function, btf.aya),
        Program::KProbe(probe) => KProbe::load(probe),
        Program::BtfTracePoint(tracepoint) => {
            BtfTracePoint::load(tracepoint, part.function, btf.aya)
        }
        _ => return Err(format!("{} is no program for {mechanism}", part.program)),
    };
    result.map_err(|error| explain(&error, part))
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

/// Detaches a program, which stays loaded, so that the kernel keeps what it
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

fn program(ebpf: &mut Programs, part: Part) -> Result<&mut Program, String> {
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
fn explain(error: &ProgramError, part: Part) -> String {
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            tracing::debug!("{}: verifier: {verifier_log}", part.program);
            let log = verifier_log.to_string();
            let told = |line: &&str| {
                let statistics = [
                    "processed ",
                    "stack depth ",
                    "verification time ",
                    "max_states",
                ];
                !line.is_empty() && !statistics.iter().any(|start| line.starts_with(start))
            };
            let last = log.lines().rfind(told);
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
