//! Rules as they are typed, and what is made of them.

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::supervisor::{Expectation, Supervisor, basename};
use crate::{caps, words::Layer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) supervisor: Vec<Typed>,
    #[serde(default)]
    pub(super) container: TypedContainer,
    #[serde(default)]
    pub(super) run: toml::Table,
}

/// What is reported of containers, as it was typed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedContainer {
    #[serde(default)]
    pub(super) labels: Vec<String>,
}

/// A rule as it was typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate key")]
pub(super) struct Typed {
    pub(super) name: String,
    #[serde(default)]
    exe: Vec<String>,
    #[serde(default)]
    cgroup: Vec<String>,
    #[serde(default)]
    owner: Vec<String>,
    #[serde(default)]
    runtime: bool,
    #[serde(default)]
    empties: bool,
    #[serde(default)]
    launcher: bool,
    #[serde(default, rename = "self")]
    confines_itself: bool,
    #[serde(default = "yes", rename = "tree")]
    owns_tree: bool,
    #[serde(default)]
    remedy: Option<String>,
    #[serde(default)]
    helpers: Vec<String>,
    #[serde(default)]
    expect: Vec<TypedExpectation>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    note_fatal: Option<String>,
    #[serde(default)]
    note_degraded: Option<String>,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedExpectation {
    capability: String,
    layer: String,
    #[serde(default)]
    note: Option<String>,
}

/// `root`, a user id, or a range of them.
fn user_ids(text: &str) -> Result<RangeInclusive<u32>, String> {
    let id = |text: &str| match text.trim() {
        "root" => Some(0),
        number => number.parse().ok(),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let ids = id(first).zip(id(last));
    ids.filter(|(first, last)| first <= last)
        .map(|(first, last)| first..=last)
        .ok_or_else(|| {
            format!("owner {text:?} is neither \"root\" nor a user id (\"1000\") nor a range of them (\"0-999\")")
        })
}

/// The rule that was typed.
pub(super) fn resolve(typed: Typed) -> Result<Supervisor, String> {
    let Typed {
        name,
        exe,
        cgroup,
        owner,
        runtime,
        empties,
        launcher,
        confines_itself,
        owns_tree,
        remedy,
        helpers,
        expect,
        note,
        note_fatal,
        note_degraded,
    } = typed;
    if name.is_empty() || name == "none" {
        return Err("a supervisor needs a name, and \"none\" is taken".to_owned());
    }
    if exe.is_empty() && cgroup.is_empty() {
        return Err("it matches nothing: give exe = [\"basename\"]".to_owned());
    }
    if let Some(empty) = exe.iter().find(|exe| basename(exe).is_empty()) {
        return Err(format!(
            "exe {empty:?} has no basename: end it with the name of the program"
        ));
    }
    for text in exe.iter().filter(|exe| exe.starts_with('/')).chain(&cgroup) {
        if let Err(error) = glob::Pattern::new(text) {
            return Err(format!("{text:?} is no glob: {error}"));
        }
    }
    if let Some(exe) = exe
        .iter()
        .find(|exe| basename(exe).contains(['*', '?', '[']))
    {
        return Err(format!(
            "exe {exe:?}: the kernel compares the basename, so it cannot have a glob; use globs \
             in the folders only"
        ));
    }
    if exe.is_empty() && !owner.is_empty() {
        return Err(
            "a rule with only a cgroup has no executable: owner needs exe = [\"basename\"]"
                .to_owned(),
        );
    }
    let says_more = !cgroup.is_empty() || !owner.is_empty();
    if !owns_tree && (says_more || exe.iter().any(|exe| exe.starts_with('/'))) {
        return Err(
            "with tree = false only the executable's basename is known: give exe = [\"basename\"]"
                .to_owned(),
        );
    }
    let owner = owner
        .iter()
        .map(|text| user_ids(text))
        .collect::<Result<_, _>>()?;
    let expect = expect
        .into_iter()
        .map(expectation)
        .collect::<Result<_, _>>()?;
    Ok(Supervisor {
        name: name.into(),
        exe,
        cgroup,
        owner,
        runtime,
        empties,
        launcher,
        confines_itself,
        owns_tree,
        remedy,
        helpers,
        expect,
        note,
        note_fatal,
        note_degraded,
    })
}

fn expectation(typed: TypedExpectation) -> Result<Expectation, String> {
    let TypedExpectation {
        capability,
        layer,
        note,
    } = typed;
    let number = caps::number(capability.as_bytes()).ok_or_else(|| {
        format!("no capability is called \"{capability}\": write it as \"sys_admin\"")
    })?;
    let known = Layer::ALL.iter().find(|known| known.as_str() == layer);
    let layer = known
        .copied()
        .filter(|layer| *layer != Layer::None)
        .ok_or_else(|| {
            format!("no layer is called \"{layer}\": commoncap, apparmor, selinux, lsm or seccomp")
        })?;
    Ok(Expectation {
        capability: number,
        layer,
        note,
    })
}
