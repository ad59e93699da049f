//! What the forms of a report say alike.

mod listed;

pub use listed::{
    denials_shown, episodes_shown, explained, most_first, routine, shown_denials, shown_episodes,
    worst_first,
};

use std::fmt::Write as _;

use crate::finding::{
    Counts, Denial, DenialCounts, Episode, HookReport, LogRead, Made, Other, Report, RuleRefusal,
    Scope, Scoped, SourceReport, Verdict, misses_rules,
};

/// Rows of a table that a person is shown; JSON has more of them.
pub const ROWS: usize = 200;

/// The report in a line: verdicts from the worst on, and denials.
pub fn headline(report: &Report) -> String {
    let mut text = summary(&report.counts);
    let refused = report.counts.rules.of_role(None);
    if refused > 0 {
        let calls = if refused == 1 { "call" } else { "calls" };
        // Writing to a string never fails.
        let _ = write!(text, "; {refused} {calls} refused by a rule");
    }
    let count: u64 = report.others.iter().map(|other| other.count).sum();
    if count > 0 {
        let records = if count == 1 { "record" } else { "records" };
        let _ = write!(text, "; {count} other {records} to look at");
    }
    let unread = report.log.as_ref().map_or(0, |log| log.unread);
    if unread > 0 {
        let lines = if unread == 1 { "line" } else { "lines" };
        let _ = write!(text, "; {unread} {lines} could not be read");
    }
    text
}

fn summary(counts: &Counts) -> String {
    let mut parts: Vec<String> = Verdict::ALL
        .into_iter()
        .rev()
        .filter_map(|verdict| {
            let count = counts.episodes.verdict(verdict);
            (count > 0).then(|| format!("{count} {verdict}"))
        })
        .collect();
    if parts.is_empty() {
        parts.push("no bounding-set drops".to_owned());
    }
    let denials = denials(&counts.denials);
    format!("{}; {denials}", parts.join(", "))
}

/// Records beside capability denials, a line each: how many, and the sentence. Of
/// many the first, and how many more.
pub fn others(report: &Report) -> Vec<String> {
    const SHOWN: usize = 20;
    let others = &report.others;
    let line = |other: &Other| match other.count {
        1 => other.explanation.clone(),
        count => format!("{count} times: {}", other.explanation),
    };
    let mut lines: Vec<_> = others.iter().take(SHOWN).map(line).collect();
    if others.len() > SHOWN {
        lines.push(format!(
            "and {} more kinds; -o json lists all",
            others.len() - SHOWN
        ));
    }
    lines
}

/// What rules of the kernel refused, a line each, supervisors' first: how many, and
/// the sentence. Of many the first, and how many more.
pub fn refusals(report: &Report) -> Vec<String> {
    const SHOWN: usize = 20;
    let refusals = &report.rule_refusals;
    let line = |refusal: &RuleRefusal| {
        let times = match refusal.count {
            1 => String::new(),
            count => format!("{count} times: "),
        };
        let apart = apart(report, refusal.scope);
        format!("{times}{}{apart}", refusal.explanation)
    };
    let mut lines: Vec<_> = refusals.iter().take(SHOWN).map(line).collect();
    if refusals.len() > SHOWN {
        lines.push(format!(
            "and {} more kinds; -o json lists all",
            refusals.len() - SHOWN
        ));
    }
    lines
}

/// What a log does not show, and what else to know before reading the report.
pub fn notes(report: &Report) -> Vec<String> {
    let of_log = report.log.iter().flat_map(LogRead::notes);
    of_log.chain(report.notes.iter().cloned()).collect()
}

/// What was taken in beside the command's own tree, a line each: what was found
/// there, and of whom.
pub fn taken_in(report: &Report) -> Vec<String> {
    let Some(scope) = &report.scope else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    if let Some(beside) = scope.beside.as_ref().filter(|_| !scope.made.is_empty()) {
        let made = made(scope);
        lines.push(format!(
            "beside the command, made while it ran: {made}: {}",
            summary(beside)
        ));
    }
    if let Some(host) = &scope.host {
        lines.push(format!("elsewhere on the host: {}", summary(host)));
    }
    if lines.is_empty() {
        return lines;
    }
    lines.push(format!("the command's own tree: {}", summary(&scope.tree)));
    lines
}

fn made(scope: &Scoped) -> String {
    const SHOWN: usize = 3;
    let all = scope.made.len() as u64 + scope.made_unlisted;
    let listed = scope.made.iter().take(SHOWN).map(name_of);
    let listed = listed.collect::<Vec<_>>().join(", ");
    match all.saturating_sub(SHOWN as u64) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

fn name_of(made: &Made) -> String {
    let Made { runtime, id, name } = made;
    match runtime.as_str() {
        "unknown" if id.is_empty() => "one that was gone before its name could be read".to_owned(),
        "systemd" => format!("unit {id}"),
        "systemd-nspawn" => format!("machine {id}"),
        runtime => {
            let short: String = id.chars().take(12).collect();
            format!("{runtime} container {}", name.as_deref().unwrap_or(&short))
        }
    }
}

/// What the report of a command can't know, or does not cover, of its scope.
pub fn left_out(report: &Report) -> Vec<String> {
    let Some(scope) = &report.scope else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let course = &scope.course;
    if let Some(why) = &course.beside_unknown {
        lines.push(format!(
            "containers and units that daemons started for the command are not recognised: {why}"
        ));
    }
    let clients = course.clients.join(", ");
    if !clients.is_empty() && scope.chosen == Scope::Tree {
        lines.push(format!(
            "{clients}: a daemon does the work, and --scope tree leaves it out"
        ));
    } else if !clients.is_empty() && scope.made.is_empty() {
        lines.push(format!(
            "{clients}: a daemon does the work, and nothing was found in a container, unit or \
             machine that started while the command ran. This report lacks its work if it ran in \
             an existing one (use --scope host), on another host, or later (use --wait)"
        ));
    }
    if !course.running.is_empty() {
        let running = course.running.iter();
        let running: Vec<_> = running
            .map(|process| format!("{} (pid {})", process.comm, process.pid))
            .collect();
        let more = match course.running_unlisted {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        lines.push(format!(
            "still running when the recording ended: {}{more}; --wait DURATION follows them",
            running.join(", ")
        ));
    }
    lines
}

/// What is put behind the owner of a finding that is not of the command's tree.
pub fn apart(report: &Report, scope: Scope) -> &'static str {
    match (&report.scope, scope) {
        (None, _) | (_, Scope::Tree) => "",
        (_, Scope::Beside) => " [beside]",
        (_, Scope::Host) => " [host]",
    }
}

fn denials(counts: &DenialCounts) -> String {
    let mut text = match counts.denied(None) {
        0 => "no capability denials".to_owned(),
        1 => "1 denial".to_owned(),
        count => format!("{count} denials"),
    };
    for (count, word) in [(counts.expected(), "expected"), (counts.quiet(), "routine")] {
        if count > 0 {
            // Writing to a string never fails.
            let _ = write!(text, ", {count} {word}");
        }
    }
    text
}

/// The worst verdict of all, whatever is listed.
pub fn worst(report: &Report) -> Option<Verdict> {
    let counts = &report.counts.episodes;
    let mut verdicts = Verdict::ALL.into_iter().rev();
    verdicts.find(|verdict| counts.verdict(*verdict) > 0)
}

/// Who a finding belongs to; none where no rule matches.
pub fn owner(supervisor: Option<&str>, role: Option<&str>) -> String {
    match (supervisor, role) {
        (Some(name), Some("workload")) => format!("{name}/workload"),
        (Some(name), _) => name.to_owned(),
        (None, _) => String::new(),
    }
}

/// Who an episode belongs to, and whether no rule names it.
pub fn owner_of(episode: &Episode) -> String {
    let owner = owner(episode.supervisor.as_deref(), episode.role.as_deref());
    if episode.inferred {
        owner + " (no rule)"
    } else {
        owner
    }
}

/// Why a check was refused, in few words.
pub fn why(denial: &Denial) -> String {
    match (&denial.profile, denial.reason.as_deref()) {
        (Some(domain), _) if denial.layer == "selinux" => format!("domain {domain}"),
        (Some(profile), _) => format!("profile {profile}"),
        (None, Some("not_effective")) => "not in the effective set".to_owned(),
        (None, Some("namespace")) => "another user namespace".to_owned(),
        (None, reason) => reason.unwrap_or_default().to_owned(),
    }
}

/// Whether a record was wanted, or a rule expects it.
pub fn logged(denial: &Denial) -> &'static str {
    match (denial.expected, denial.audited.as_str()) {
        (true, _) => "expected",
        (false, "yes") => "yes",
        (false, "no") => "no",
        (false, _) => "unknown",
    }
}

/// How often a row was refused; `≥` where the rows by name overflowed.
pub fn count(denial: &Denial) -> String {
    let mark = if denial.exact { "" } else { "≥" };
    format!("{mark}{}", denial.count)
}

/// The first names of a list, and how many more there are.
pub fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names.len() {
        count if count <= SHOWN + 1 => names.join(", "),
        count => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}

/// Hooks that are missed.
pub fn missing_hooks(report: &Report) -> impl Iterator<Item = &HookReport> {
    let missed = |hook: &&HookReport| hook.needed && !hook.attached;
    report.hooks.iter().filter(missed)
}

/// Sources that are not connected.
pub fn silent_sources(report: &Report) -> impl Iterator<Item = &SourceReport> {
    report.sources.iter().filter(|source| !source.up)
}

/// What was lost, by reason; the sum is left out.
pub fn losses(report: &Report) -> impl Iterator<Item = (&str, u64)> {
    let lost = report.lost.iter();
    lost.filter(|(reason, count)| **count > 0 && *reason != "events")
        .map(|(reason, count)| (reason.as_str(), *count))
}

/// Whether all was seen, in a line.
pub fn sight(report: &Report) -> String {
    let sight = &report.sight;
    let lapses: Vec<_> = sight.reasons.iter().map(ToString::to_string).collect();
    match lapses.as_slice() {
        [] if !report.hooks.is_empty() && misses_rules(&report.hooks) => format!(
            "{}, but no hook here shows what rules refuse (capwatch doctor)",
            sight.word()
        ),
        [] => sight.word().to_owned(),
        lapses => format!("{}: {}", sight.word(), lapses.join("; ")),
    }
}

/// What came of the audit log; none where there was nothing to join.
pub fn audit(report: &Report) -> Option<String> {
    let audit = &report.audit;
    (audit.records + audit.ebpf_only > 0).then(|| {
        format!(
            "{} capability records: {} matched a kernel event, {} did not; \
             {} denials by a security module have no record",
            audit.records, audit.matched, audit.audit_only, audit.ebpf_only
        )
    })
}

/// The host in a few words; none in a report of a log.
pub fn host(report: &Report) -> Option<String> {
    let host = &report.host;
    (!host.kernel.is_empty()).then(|| match host.lsm.as_slice() {
        [] => format!("kernel {}", host.kernel),
        lsms => format!("kernel {}, LSMs {}", host.kernel, lsms.join(", ")),
    })
}
