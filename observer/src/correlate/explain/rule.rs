//! The sentence of a call that a rule of the kernel refused.

use super::{
    remedy::of_users_unit,
    words::{list, shown, who},
};
use crate::finding::RuleRefusal;

/// The sentence.
pub fn rule_refusal(refusal: &RuleRefusal) -> String {
    let who = who(
        refusal.supervisor.as_deref(),
        refusal.role.as_deref(),
        &refusal.comm,
        refusal.pid,
        refusal.container.as_deref(),
    );
    let (what, remedy) = said(refusal);
    let remedy = of_manager(refusal).unwrap_or(remedy);
    let unasked = if refusal.errno == 0 {
        ""
    } else {
        " (a rule of the kernel: no check, no LSM, no log)"
    };
    format!("{who} {what}{unasked}. {remedy}.")
}

/// That an episode's process could not execute a file, and the remedy.
pub fn failed_exec(refusal: &RuleRefusal, dropped: &[String]) -> String {
    let file = file(refusal);
    let (keep, removal) = (keep(refusal), removal(refusal));
    let need = list(&refusal.missing);
    let missing = &refusal.missing;
    if !missing.is_empty() && missing.iter().all(|name| dropped.contains(name)) {
        let it = if missing.len() == 1 { "it" } else { "them" };
        return format!(
            "It dropped {need}, then could not execute {file}, whose file capabilities need \
             {it}: {keep}, or {removal}."
        );
    }
    format!(
        "It could not execute {file}, whose file capabilities need {need}: {keep}, or {removal}."
    )
}

/// The remedy where a user's manager wanted to give a unit what it does not have itself.
fn of_manager(refusal: &RuleRefusal) -> Option<String> {
    let rules = ["inheritable_beyond_permitted", "not_permitted"];
    if !rules.contains(&refusal.rule.as_str()) || refusal.missing.is_empty() {
        return None;
    }
    let missing = refusal.missing.iter();
    let missing: Vec<_> = missing
        .map(|name| format!("CAP_{}", name.to_uppercase()))
        .collect();
    of_users_unit(refusal.container.as_deref()?, &missing.join(" "))
}

fn said(refusal: &RuleRefusal) -> (String, String) {
    let missing = list(&refusal.missing);
    let (what, remedy) = match (refusal.call.as_str(), refusal.rule.as_str()) {
        (_, "file_beyond_bounding") => return exec(refusal),
        ("exec", rule) => return lost(refusal, rule),
        (_, "permitted_beyond_permitted") => (
            format!("could not add {missing} to its permitted set: capset only takes away"),
            "Set capabilities before changing the user id or executing the program, or pass them \
             on from its parent",
        ),
        (_, "effective_beyond_permitted") => (
            format!("could not make {missing} effective: not in the new permitted set"),
            "Remove it from the effective set first and then from the permitted set, or from both \
             in one call",
        ),
        (_, "inheritable_beyond_permitted") => (
            format!(
                "could not make {missing} inheritable: not in its permitted set, and it has no \
                 SETPCAP"
            ),
            "Set the inheritable set while the capability is still permitted",
        ),
        (_, "inheritable_beyond_bounding") => (
            format!("could not make {missing} inheritable: not in its bounding set"),
            "Set the inheritable set before dropping from the bounding set",
        ),
        (_, "other_process") => (
            "could not set the capabilities of another process".to_owned(),
            "Have each process set its own capabilities",
        ),
        (_, "not_permitted") => (
            format!("could not add {missing} to its ambient set: not in its permitted set"),
            "Give it the capability first (in a container: --cap-add; under systemd: \
             AmbientCapabilities=)",
        ),
        (_, "not_inheritable") => (
            format!("could not add {missing} to its ambient set: not in its inheritable set"),
            "Add it to the inheritable set first (capset), then to the ambient set",
        ),
        ("ambient", "locked") => (
            "could not add an ambient capability: its securebits forbid it \
             (SECBIT_NO_CAP_AMBIENT_RAISE)"
                .to_owned(),
            "Leave no-cap-ambient-raise out of its securebits",
        ),
        (_, "locked") => (
            "could not change its securebits: a bit that would change is locked".to_owned(),
            "Set securebits before they are locked, or leave the locked ones as they are",
        ),
        _ => return of_ids(refusal),
    };
    (what, remedy.to_owned())
}

/// What was refused of id maps, groups and user namespaces.
fn of_ids(refusal: &RuleRefusal) -> (String, String) {
    let (what, remedy) = match (refusal.call.as_str(), refusal.rule.as_str()) {
        (_, "creator_lacks_setfcap") => (
            "could not map user id 0 of the parent namespace: the process that created this \
             namespace had no SETFCAP in its effective set"
                .to_owned(),
            "Give SETFCAP to the process that creates the user namespace (in a container: \
             --cap-add SETFCAP), or do not map the parent's id 0; do not grant SYS_ADMIN for this",
        ),
        ("gid_map", "not_own_id") => (
            "could not map group ids: without SETGID in the parent namespace, a process may map \
             only its own id, after it denied setgroups"
                .to_owned(),
            "Write `deny` to /proc/PID/setgroups first, then its own id in one line, or use \
             newgidmap with a range in /etc/subgid",
        ),
        (_, "not_own_id") => (
            "could not map user ids: without SETUID in the parent namespace, a process may map \
             only its own id"
                .to_owned(),
            "Map its own id in one line, or use newuidmap with a range in /etc/subuid",
        ),
        (call, "written_before") => (
            format!("could not write {call}: it can be written only once"),
            "Write all lines in one call",
        ),
        (call, "other_opener") => (
            format!("could not write {call}: the file was opened in another user namespace"),
            "Open the file in the namespace itself or in the one above it",
        ),
        (_, "denied_in_namespace") => (
            "could not set its groups: setgroups is denied in its user namespace".to_owned(),
            "Write gid_map with newgidmap (a range in /etc/subgid), or do not set groups in this \
             namespace",
        ),
        (_, "no_gid_map") => (
            "could not set its groups: its user namespace has no gid_map yet".to_owned(),
            "Write gid_map first",
        ),
        ("setgroups", "unmapped") => (
            "could not set its groups: one of them has no mapping in its user namespace".to_owned(),
            "Map more group ids (a range in /etc/subgid), or remove the user from that group \
             (gpasswd -d USER GROUP)",
        ),
        ("userns", "unmapped") => (
            "could not create a user namespace: its own ids have no mapping in the current one"
                .to_owned(),
            "Map its ids in the namespace above first",
        ),
        (call, "unmapped") => (
            format!("could not write {call}: an id has no mapping in the parent namespace"),
            "Map only ids that the parent namespace has",
        ),
        (_, "chroot") => (
            "could not create a user namespace inside a chroot".to_owned(),
            "Use pivot_root instead of chroot, or create the namespace before the chroot",
        ),
        (_, "limit") => (
            "could not create another user namespace: user.max_user_namespaces is reached"
                .to_owned(),
            "Raise it: sysctl -w user.max_user_namespaces=15000",
        ),
        (_, "depth") => (
            "could not create another user namespace: 33 are nested already, which is the limit"
                .to_owned(),
            "Find the program that nests them: lsns -t user -o NS,PID,PPID,COMMAND",
        ),
        (call, "unseen") => (
            format!("was refused {call} by a rule whose details were not recorded"),
            "Repeat the call: a later refusal replaced its details",
        ),
        (call, rule) => (
            format!("was refused {call} by a rule ({rule})"),
            "Look the rule up in /docs/events on the agent's page",
        ),
    };
    (what, remedy.to_owned())
}

fn exec(refusal: &RuleRefusal) -> (String, String) {
    let file = file(refusal);
    let need = if refusal.missing.is_empty() {
        "some capability".to_owned()
    } else {
        list(&refusal.missing)
    };
    (
        format!(
            "could not execute {file}: its file capabilities have the effective bit and include \
             {need}, which is not in the process's bounding set"
        ),
        format!("{}, or {}", capitalized(&keep(refusal)), removal(refusal)),
    )
}

fn lost(refusal: &RuleRefusal, rule: &str) -> (String, String) {
    let file = file(refusal);
    let lost = if refusal.missing.is_empty() {
        "its set-user-id privileges".to_owned()
    } else {
        format!("{} of its file capabilities", list(&refusal.missing))
    };
    let (why, remedy) = match rule {
        "lost_no_new_privs" => (
            "no_new_privs is set",
            "Start it without no_new_privs (systemd: NoNewPrivileges=no; a container: \
             allowPrivilegeEscalation: true), or pass the capability on from its parent as an ambient one",
        ),
        "lost_nosuid" => (
            "its mount is nosuid",
            "Move the file to a mount without nosuid",
        ),
        "lost_foreign_mount" => (
            "its mount belongs to another mount or user namespace",
            "Mount its file system inside the namespaces of the process that executes it",
        ),
        _ => (
            "another process traces it",
            "Trace it as root, or attach after it started",
        ),
    };
    (
        format!("executed {file} without {lost}: {why}"),
        remedy.to_owned(),
    )
}

fn file(refusal: &RuleRefusal) -> String {
    let name = refusal.path.as_deref().or(refusal.exe.as_deref());
    name.map_or("a file".to_owned(), |name| shown(name).into_owned())
}

fn keep(refusal: &RuleRefusal) -> String {
    let what = if refusal.missing.is_empty() {
        "the file's capabilities".to_owned()
    } else {
        list(&refusal.missing)
    };
    let container = refusal.container.as_deref();
    if container.is_some_and(|container| !container.is_unit()) && !refusal.missing.is_empty() {
        let add = refusal.missing.iter().take(4);
        let add: Vec<_> = add
            .map(|name| format!("--cap-add {}", name.to_uppercase()))
            .collect();
        return format!("keep {what} in the bounding set ({})", add.join(" "));
    }
    format!("keep {what} in the bounding set")
}

fn removal(refusal: &RuleRefusal) -> String {
    let file = file(refusal);
    format!("remove the file's capabilities (`setcap -r {file}`)")
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
