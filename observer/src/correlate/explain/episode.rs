//! The sentence of an episode.

mod advice;

use advice::{advice, case, is_nested, is_outside};

use std::borrow::Cow;

use super::{
    remedy, rule,
    words::{LAUNCHED, NESTED, duration, list, shown, who},
};
use crate::{
    caps::{self, CapSet},
    config::{Release, Supervisor},
    finding::{Container, Denial, Episode, Fate, Requested, RuleRefusal, Verdict},
    words::Reason,
};

/// commoncap is asked first.
const UNASKED: &str = "It refused before asking AppArmor or SELinux";

/// What is known of a refused drop beyond the episode.
pub struct Refusal<'a> {
    /// Why commoncap refused.
    pub reason: Reason,
    /// The rule of the supervisor.
    pub rule: Option<&'a Supervisor>,
    /// The user of the process, where it is in the initial user namespace.
    pub uid: Option<u32>,
    /// The nearest launcher above it.
    pub launcher: Option<&'a str>,
    /// Whether it runs the program of that rule, and not what the program went on to
    /// exec.
    pub is_program: bool,
    /// The release of the host.
    pub release: Release,
    /// The exec of its process that a rule refused.
    pub failed_exec: Option<&'a RuleRefusal>,
}

/// The sentence of an episode.
pub fn episode(episode: &Episode, refusal: &Refusal<'_>) -> String {
    let role = match episode.role.as_deref() {
        Some("workload") if is_nested(episode, refusal) => Some(NESTED),
        Some("workload") if refusal.rule.is_some_and(|rule| rule.launcher) => Some(LAUNCHED),
        role => role,
    };
    let who = who(
        episode.supervisor.as_deref(),
        role,
        &episode.comm,
        Some(episode.pid),
        episode.container.as_deref(),
    );
    let sentence = match episode.verdict {
        _ if episode.skipped => format!("{who} {}", skipped(episode, refusal)),
        Verdict::Ok if episode.retried && episode.refilled => format!(
            "{who} was refused drops from its bounding set, then entered a new user namespace. \
             That fills the set again and grants nothing outside the namespace: nothing to do."
        ),
        Verdict::Ok if episode.refilled && episode.bounding_after != "0x0" => format!(
            "{who} dropped from its bounding set without a refusal ({}). A new user namespace \
             then filled the set again, which grants nothing outside the namespace.",
            calls(episode.drops)
        ),
        Verdict::Ok if episode.retried => format!(
            "{who} was refused at first, and every refused capability was gone from its bounding \
             set by the end: nothing to do."
        ),
        Verdict::Ok if episode.unknown_capability == episode.drops => format!(
            "{who} tried to drop capability numbers that this kernel does not know: nothing to do."
        ),
        Verdict::Ok => format!(
            "{who} dropped from its bounding set without a refusal ({}).",
            calls(episode.drops)
        ),
        Verdict::Harmless => format!(
            "{who} was refused only capabilities already absent from its bounding set ({}): \
             nothing to do.",
            calls(episode.refused_lowered)
        ),
        Verdict::Degraded if episode.refused_raised == 0 => {
            format!("{who} {}", on_another_thread(episode))
        }
        Verdict::Pending | Verdict::Degraded | Verdict::Fatal => {
            format!(
                "{who} {}. {}. {}",
                refused(episode, refusal),
                became(episode),
                advice(episode, refusal)
            )
        }
    };
    // What a rule says of a refusal to its program says nothing of a workload's, nor
    // of a drop that was never tried.
    let own = episode.role.as_deref() == Some("supervisor") && episode.refused_raised > 0;
    let sentence = match (refusal.failed_exec, episode.exec_failed()) {
        (Some(exec), _) => format!("{sentence} {}", rule::failed_exec(exec, &dropped(episode))),
        (None, Some(code)) => format!("{sentence} {}", exec_failed(episode, code)),
        (None, None) => sentence,
    };
    let notes = refusal.rule.filter(|_| own).into_iter();
    let notes = notes.flat_map(|rule| rule.notes(episode.verdict));
    notes.fold(sentence, |text, note| format!("{text} Note: {note}."))
}

fn refused(episode: &Episode, refusal: &Refusal<'_>) -> String {
    let capability = episode.first_refused.as_deref().unwrap_or("a capability");
    let what = format!("could not drop {capability} from its bounding set: ");
    let why = match (episode.layer.as_deref(), episode.profile.as_deref()) {
        (Some("commoncap"), _) if refusal.reason == Reason::Namespace => {
            format!(
                "the kernel (commoncap) refused because the process has no authority over that \
                 user namespace. {UNASKED}"
            )
        }
        (Some("commoncap"), _) => format!(
            "the kernel (commoncap) refused because CAP_SETPCAP is not in its effective set{}. \
             {UNASKED}, so there is no audit record",
            missing(episode, refusal)
        ),
        (Some("apparmor"), Some(profile)) => {
            format!("AppArmor profile {profile:?} refused CAP_SETPCAP, which the process holds")
        }
        (Some("apparmor"), None) => {
            "AppArmor refused CAP_SETPCAP, which the process holds; the name of the profile is \
             unknown"
                .to_owned()
        }
        (Some("selinux"), domain) => {
            let domain = domain.map_or(String::new(), |domain| format!(", in domain {domain:?}"));
            format!("SELinux refused CAP_SETPCAP, which the process holds{domain}")
        }
        (Some("seccomp"), _) => "a seccomp filter refused the call".to_owned(),
        _ => "the process holds CAP_SETPCAP, so a security module refused (inferred; which one is \
            unknown)"
            .to_owned(),
    };
    what + &why
}

/// Why a process of a container lacks SETPCAP, as the container's configuration shows.
fn missing(episode: &Episode, refusal: &Refusal<'_>) -> &'static str {
    let requested = requested(episode, refusal);
    requested.map_or("", |requested| remedy::missing(requested, refusal.uid))
}

fn has_setpcap(set: &str) -> bool {
    set.parse()
        .is_ok_and(|set: CapSet| set.contains(caps::SETPCAP))
}

/// Whether the container was given SETPCAP, so to give it again changes nothing.
fn has_given_it_up(episode: &Episode, refusal: &Refusal<'_>) -> bool {
    requested(episode, refusal).is_some_and(|requested| remedy::is_given(requested, caps::SETPCAP))
}

/// What the configuration of the container says that the process runs *in*; a
/// runtime's own program runs outside of it.
fn requested<'a>(episode: &'a Episode, refusal: &Refusal<'_>) -> Option<&'a Requested> {
    episode
        .container
        .as_ref()
        .filter(|_| !is_outside(refusal, episode))?
        .requested
        .as_ref()
}

fn became(episode: &Episode) -> String {
    let left = list(&episode.residual);
    let after = duration(episode.duration_seconds);
    let gave_up = stopped_trying(episode);
    match episode.fate {
        Fate::Exec => format!(
            "{} {after} later, with {} still in its bounding set{}{gave_up}",
            ran(episode),
            left_of(episode),
            others(episode)
        ),
        Fate::Running => {
            format!("The process still runs after {after} with {left} still in its bounding set")
        }
        Fate::CarriedOn if episode.exit.is_none() => {
            format!(
                "The process carried on, and runs with {left} still in its bounding set{gave_up}"
            )
        }
        Fate::CarriedOn => format!(
            "The process carried on with {left} still in its bounding set{gave_up}, and {}",
            ended(episode, &after)
        ),
        Fate::Exit => format!(
            "The process {}, without running another program",
            ended(episode, &after)
        ),
    }
}

/// What left the bounding set.
fn dropped(episode: &Episode) -> Vec<String> {
    let set = |text: &str| text.parse::<CapSet>().ok();
    let sets = set(&episode.bounding_before).zip(set(&episode.bounding_after));
    let dropped = sets.map_or(CapSet::EMPTY, |(before, after)| before.difference(after));
    dropped.names().map(Cow::into_owned).collect()
}

/// What an exit code says of the exec that did not come about, where no hook saw it:
/// the kernel refuses one beyond the bounding set by a rule, without a check.
fn exec_failed(episode: &Episode, code: i32) -> String {
    if code == 127 {
        return "Exit status 127 usually means that the program was not found (inferred)."
            .to_owned();
    }
    let dropped = dropped(episode);
    let meaning = "Exit status 126 usually means that the program was found and could not be \
                   executed (inferred)";
    if dropped.is_empty() {
        return format!("{meaning}.");
    }
    format!(
        "{meaning}. The kernel refuses to execute a file if its capabilities have the effective \
         bit and one of them is outside the bounding set; no check and no record shows that. {} \
         just left the set. If `getcap FILE` shows one of these, keep it in the bounding set, or remove it from \
         the file (`setcap -r FILE`). Otherwise check its mode and mount: ls -l FILE; findmnt -T \
         FILE.",
        list(&dropped)
    )
}

fn ended(episode: &Episode, after: &str) -> String {
    match episode.exit.map(|exit| (exit.code, exit.signal)) {
        Some((Some(code), _)) => format!("exited {after} later with status {code}"),
        Some((None, Some(signal))) => format!("was killed by signal {signal} {after} later"),
        Some((None, None)) | None => format!("ended {after} later with an unknown status"),
    }
}

fn calls(count: u32) -> String {
    format!("{count} {}", if count == 1 { "call" } else { "calls" })
}

/// Which program went on with the set.
fn ran(episode: &Episode) -> String {
    let Some(workload) = &episode.workload else {
        return "The process then ran another program".to_owned();
    };
    let program = workload.exe.as_deref().map_or("a program".into(), shown);
    if workload.pid == episode.pid {
        format!("The process then ran {program}, its workload,")
    } else {
        format!(
            "A process forked from it then ran {program} (pid {}), its workload,",
            workload.pid
        )
    }
}

fn others(episode: &Episode) -> String {
    match episode
        .workload
        .as_ref()
        .map_or(0, |workload| workload.count)
    {
        0 | 1 => String::new(),
        count => format!(" ({count} programs in all)"),
    }
}

/// What the workload has of what should be gone.
fn left_of(episode: &Episode) -> String {
    let left = list(&episode.residual);
    let after = episode.bounding_after.parse::<CapSet>();
    let before = episode.bounding_before.parse::<CapSet>();
    match (after, before) {
        (Ok(after), Ok(before)) if after == before && after.len() > 1 => {
            format!("{left} (the whole set of {}, unchanged)", after.len())
        }
        _ => left,
    }
}

fn stopped_trying(episode: &Episode) -> &'static str {
    let whole = episode.bounding_after == episode.bounding_before;
    if episode.drops == 1 && whole && episode.bounding_after.len() > 3 {
        "; it stopped trying after the first refusal"
    } else {
        ""
    }
}

/// That a drop was never tried.
fn skipped(episode: &Episode, refusal: &Refusal<'_>) -> String {
    let setpcap = has_setpcap(&episode.bounding_before);
    let program = episode
        .workload
        .as_ref()
        .and_then(|workload| workload.exe.as_deref())
        .map_or("its workload".into(), shown);
    let wanted = if refusal.rule.is_some_and(|rule| rule.runtime) {
        "although its container's configuration does not request this"
    } else {
        "although that set should be empty"
    };
    let tried = if episode.drops > 0 {
        "It dropped some capabilities and never tried the others"
    } else {
        "It made no drop call"
    };
    let (why, remedy) = if setpcap {
        (
            String::new(),
            "Make it drop these capabilities before it starts a program.".to_owned(),
        )
    } else {
        (
            ", probably because CAP_SETPCAP was not effective (inferred from its bounding set): \
             many programs check this first"
                .to_owned(),
            format!("{}.", remedy::give(&case(episode, refusal))),
        )
    };
    format!(
        "started {program} with {} still in the bounding set, {wanted}. {tried}{why}. {remedy}",
        list(&episode.residual)
    )
}

/// That a set was lowered on one thread, and a program executed with that of another.
fn on_another_thread(episode: &Episode) -> String {
    let left = list(&episode.residual);
    let thread = match episode.dropping_thread {
        Some(thread) => format!("on thread {thread} only"),
        None => "on one of its threads only".to_owned(),
    };
    let program = episode
        .workload
        .as_ref()
        .and_then(|workload| workload.exe.as_deref())
        .map_or("its workload".into(), shown);
    format!(
        "dropped from its bounding set {thread}, and started {program} from another thread, \
         which kept {left}. Each thread has its own set: drop before the first thread starts, on \
         every thread (Go: syscall.AllThreadsSyscall), or on the thread that starts the program."
    )
}

/// That a security module's denial, which the log shows at the same time, has
/// nothing to do with a drop that commoncap refused.
pub fn not_the_cause(denial: &Denial) -> String {
    let module = match denial.layer.as_str() {
        "apparmor" => "AppArmor",
        "selinux" => "SELinux",
        layer => layer,
    };
    let pid = denial
        .pid
        .map_or(String::new(), |pid| format!("pid {pid}, "));
    format!(
        "The {module} record logged at the same time concerns another process, {} ({pid}{}), and is \
         not the cause.",
        shown(&denial.comm),
        denial.capability
    )
}

impl Container {
    /// Whether this is known to lack a capability in its bounding set.
    pub fn lacks(&self, number: u32) -> bool {
        self.requested.as_ref().is_some_and(|requested| {
            let bounding = requested.bounding.parse::<CapSet>();
            bounding.is_ok_and(|bounding| !bounding.contains(number))
        })
    }
}
