//! Why sight may be partial, what that hides, and what to do.

/// The reasons that every host can have, for outputs that show them all. The
/// loss counters of the kernel side bring others under their own names.
pub const REASONS: [&str; 13] = [
    DROPS_MISSED,
    CHECKS_MISSED,
    TREE_MISSED,
    RULES_MISSED,
    "episodes_full",
    "episodes_lost",
    "tree_full",
    "rows_full",
    HOOK_DOWN,
    SOURCE_DOWN,
    RECORDS_LOST,
    LINES_UNREAD,
    LINES_UNWRITTEN,
];

/// The kernel skipped runs of the programs that see drops.
pub const DROPS_MISSED: &str = "drops_missed";
/// The kernel skipped runs of the programs that see checks.
pub const CHECKS_MISSED: &str = "checks_missed";
/// The kernel skipped runs of the programs that see what rules refuse.
pub const RULES_MISSED: &str = "rules_missed";
/// The kernel skipped runs of the programs that follow processes.
pub const TREE_MISSED: &str = "tree_missed";
/// No agent ran for a while; what was pinned went on.
pub const AGENT_AWAY: &str = "agent_away";
/// A hook that is needed is not attached.
pub const HOOK_DOWN: &str = "hook_down";
/// A source of audit records is not connected.
pub const SOURCE_DOWN: &str = "source_down";
/// A capability is missing without which names can't be looked up.
pub const PRIVILEGE_MISSING: &str = "privilege_missing";
/// Audit records were lost on their way.
pub const RECORDS_LOST: &str = "records_lost";
/// Lines of a log or a stream could not be parsed.
pub const LINES_UNREAD: &str = "lines_unread";
/// Lines of `--events` or `watch` could not be written.
pub const LINES_UNWRITTEN: &str = "lines_unwritten";

/// The reason of a loss; one without an entry here has its own name.
pub fn reason_of<'a>(stage: &str, loss: &'a str) -> &'a str {
    match (stage, loss) {
        ("audit", _) => RECORDS_LOST,
        ("output", _) => LINES_UNWRITTEN,
        (_, "tasks_full") => "tree_full",
        (_, "state_ring_full" | "ring_unread") => "episodes_lost",
        (_, "denial_ring_full") => "events_lost",
        // A drop that was granted for the moment, and a return that was not seen.
        (_, "provisional_full" | "return_missed") => DROPS_MISSED,
        (_, "unpaired") => CHECKS_MISSED,
        (_, own) => own,
    }
}

/// The reason of a program's misses. Where no hook watches drops, the checks show
/// them.
pub fn reason_of_miss(program: &str, drops_are_hooked: bool) -> &'static str {
    if program.starts_with("tree") {
        TREE_MISSED
    } else if program.starts_with("rule") {
        RULES_MISSED
    } else if program.contains("drop") || !drops_are_hooked {
        DROPS_MISSED
    } else {
        CHECKS_MISSED
    }
}

/// Whether a lapse of this reason can hide a finding, so a gate that finds
/// nothing proves nothing. The others cost details or text: the kernel's counts
/// hold, and it is they that a gate looks at.
pub fn hides(reason: &str) -> bool {
    !matches!(
        reason,
        "events_lost"
            | "rows_full"
            | "rows_share"
            | "breaches_share"
            | "inflight_full"
            | "profiles_full"
            | "lookups_late"
            | "workloads_full"
            | AGENT_AWAY
            | PRIVILEGE_MISSING
            | SOURCE_DOWN
            | RECORDS_LOST
            | LINES_UNWRITTEN
    )
}

/// What a lapse means and what to do, as a sentence each.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn advice(reason: &str) -> (&'static str, &'static str) {
    match reason {
        DROPS_MISSED => (
            "the kernel skipped runs of the programs that watch bounding-set drops, so failed drops may be missing",
            "stop the process that calls prctl in a loop (`top` shows it)",
        ),
        CHECKS_MISSED => (
            "the kernel skipped runs of the programs that count capability checks, so counts may be too low",
            "stop the process that is refused in a loop (`capwatch watch --denials` shows its PID)",
        ),
        RULES_MISSED => (
            "the kernel skipped runs of the programs that watch rule refusals, so refused calls may be missing",
            "stop the process that calls capset or execs in a loop (`top` shows it)",
        ),
        "breaches_full" => (
            "the kernel had no room for another refusal by a rule, so refused calls may be missing",
            "stop the process that changes its name in a loop (`capwatch watch` shows its PID)",
        ),
        "breaches_share" => (
            "one user or cgroup used up its share of rule refusals: counts are right, some of its names are missing",
            "stop the process that changes its name in a loop (`capwatch watch` shows its PID)",
        ),
        TREE_MISSED => (
            "the kernel skipped runs of the programs that follow processes, so some may lack their supervisor",
            "stop the process that forks or execs in a loop (its children: ps -eo ppid,comm \
             --sort=-start_time | head)",
        ),
        "episodes_full" => (
            "the kernel had no room for another open episode, so failed drops may be missing",
            "find the user with thousands of processes: ps -eo user= | sort | uniq -c | sort -n | \
             tail -3",
        ),
        "episodes_lost" => (
            "the ring of episodes was full, or one user or cgroup had filled half of it, so the ends of some episodes are missing",
            "stop the process that drops capabilities in a loop (`capwatch watch --episodes` \
             shows its PID), or raise CPUWeight= of capwatch.service",
        ),
        "tree_full" => (
            "the kernel had no room for another followed process, so some lack their supervisor",
            "find the supervisor with tens of thousands of processes: ps -eo cgroup= | sort | \
             uniq -c | sort -n | tail -3",
        ),
        "followers_full" => (
            "the kernel had no room for the children of an episode's processes, so some verdicts may be missing",
            "stop the process that forks in a loop after a refused drop (`capwatch watch \
             --episodes` shows its PID)",
        ),
        "episodes_share" => (
            "one user or cgroup used up its share of open episodes, so some of its failed drops may be missing",
            "find the user with thousands of processes: ps -eo user= | sort | uniq -c | sort -n | \
             tail -3",
        ),
        "tasks_share" => (
            "one user used up its share of followed processes, so some of them lack their supervisor",
            "find the supervisor with tens of thousands of processes: ps -eo cgroup= | sort | \
             uniq -c | sort -n | tail -3",
        ),
        "rows_share" => (
            "one user or cgroup used up its share of rows: counts are right, some of its names are missing",
            "stop the process that changes its name in a loop (`capwatch watch` shows its PID)",
        ),
        "totals_full" => (
            "the kernel had no room for another supervisor's counter: sums are right, but some \
             findings lack their supervisor",
            "stop the process that starts supervisors in a loop (its children: ps -eo ppid,comm \
             --sort=-start_time | head)",
        ),
        "inflight_full" => (
            "the kernel could not store an LSM's answer: some denials may be reported as `lsm`",
            "stop the process that is refused in a loop (`capwatch watch --denials` shows its PID)",
        ),
        "profiles_full" => (
            "the kernel had no room for another profile's name: counts are right",
            "stop the program that creates profiles in a loop",
        ),
        "rows_full" => (
            "the kernel had no room for another row of denials: counts are right, names are missing",
            "stop the process that changes its name in a loop (`capwatch watch` shows its PID)",
        ),
        "events_lost" => (
            "the ring of denials was full: counts are right, details are missing",
            "stop the process that is refused in a loop (`capwatch watch --denials` shows its PID)",
        ),
        AGENT_AWAY => (
            "no capwatch ran for a while: the pinned programs kept counting, but audit records of that time are missing",
            "find out why it ended: journalctl -u capwatch",
        ),
        PRIVILEGE_MISSING => (
            "the agent lacks a capability to look up names, so versions of supervisors or containers are missing",
            "run `capwatch doctor` as the agent's user and grant what it names",
        ),
        HOOK_DOWN => (
            "a hook is not attached, so its findings are missing",
            "run `capwatch doctor` on the host and grant what it names",
        ),
        SOURCE_DOWN => (
            "an audit source is not connected: eBPF still counts denials, but their records are \
             missing",
            "run `capwatch doctor` on the host, or leave the source out with --audit-source",
        ),
        RECORDS_LOST => (
            "audit records were lost: eBPF still counts denials, but their records may be missing",
            "raise the audit backlog (auditctl -b 8192)",
        ),
        LINES_UNREAD => (
            "some log lines could not be parsed, so their records are missing",
            "`capwatch replay --records` shows each of them with its line number",
        ),
        LINES_UNWRITTEN => (
            "some lines of the event output could not be written; metrics and page have their content",
            "free space on the disk of --events, or read its pipe faster",
        ),
        "workloads_full" => (
            "more workloads run with leftover capabilities than capwatch can follow: counters are right",
            "fix the cause of the refused drops, then restart the workloads",
        ),
        "lookups_late" => (
            "looking up containers or versions took too long, so some names are missing",
            "look for a hung mount (findmnt -t nfs,nfs4,fuse) or a slow disk",
        ),
        _ => (
            "capwatch lost events in the kernel or on their way",
            "find where and why: curl -s http://127.0.0.1:11400/metrics | grep \
             capwatch_events_lost_total",
        ),
    }
}
