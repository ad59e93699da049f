//! Loads and attaches the programs of one hook after the other, each by the
//! best mechanism that works: falling back is decided by load *or* attach,
//! since arm64 refuses trampolines only at attach (524, ENOTSUPP).

use aya::{
    Btf,
    programs::{BtfTracePoint, FEntry, FExit, KProbe, Program},
};
use observer_ebpf::Hook as Word;

use super::{
    hook::{APPARMOR, CGROUPS, COMMONCAP, DROPS, Hook, Part, SELINUX, TREE, VERDICT},
    host::{has_kprobes, preempts_programs},
    link::{Attached, attach_part, explain, program, unload},
    mechanism::{Choice, HookStatus, Mechanism},
    needed,
    programs::Programs,
    prototype::{self, Prototypes},
    rules,
};

/// The running kernel's types as aya reads them, and what we read of them.
#[derive(Clone, Copy)]
pub struct Types<'a> {
    /// What aya looks functions up in.
    pub aya: &'a Btf,
    /// What prototypes are compared with.
    pub prototypes: &'a Prototypes,
}

/// The mechanism of verdict and drops, as the programs have it.
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
    let tracepoint = &[Mechanism::Tracepoint];
    hooks.push(attach_hook(ebpf, btf, &CGROUPS, tracepoint, &mut links));
    let candidates = choice.candidates();
    let (drops, drops_by) = attach_drops(ebpf, btf, choice, &mut links);
    let active = |name: &str| lsms.iter().any(|lsm| lsm == name);
    // The inner layers first, by the verdict's mechanism: they give it the layer that refused.
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
        } else if mechanism == Mechanism::Kprobe || btf.prototypes.has_tracepoint(COMMONCAP.name) {
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
            "only by the tracepoint, which the kernel may skip in a storm; {}",
            second.reason.unwrap_or_default()
        )),
        ..status
    }
}

/// Attaches the hook of drops by both mechanisms that a kernel may skip, each
/// for its own reasons (`observer-ebpf/src/programs/drops.rs`), unless one is
/// forced; where neither can be had, the tracepoint reports drops.
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
            "only by one mechanism, which the kernel may skip in a storm; {reason}"
        )),
        ..first
    };
    (status, alone)
}

/// The exit of `security_capable` shows commoncap's refusals too. Its own hook
/// reports the checks that come to it directly, but before 6.14, when it got a
/// tracepoint, the compiler inlines those: the hook would only cost time, at
/// every check that is granted.
fn no_direct_checks() -> HookStatus {
    HookStatus {
        hook: COMMONCAP.name.to_owned(),
        mechanism: None,
        attached: false,
        needed: false,
        reason: Some("before 6.14 it adds no check that security_capable does not show".to_owned()),
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
        return Err("this kernel has no kprobes (/sys/bus/event_source/devices/kprobe)".to_owned());
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
        .chain([&CGROUPS, &VERDICT, &COMMONCAP, &APPARMOR, &SELINUX, &DROPS])
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
