//! Rules that name supervisors.

use std::{collections::HashMap, io, ops::RangeInclusive, path::Path, sync::Arc};

use serde::Deserialize;

use super::{Release, numbers::Numbers};
use crate::{
    caps,
    finding::Verdict,
    open,
    outputs::metrics,
    words::{Layer, NAME_LEN},
};

/// The rules that ship inside the binary.
pub const CATALOGUE: &str = include_str!("catalogue.toml");

/// Each is a label of a metric.
const MAX_LABELS: usize = 16;

/// The one program whose words are read: they name its container.
const CONMON: &str = "conmon";

/// The kernel's map of names has room for as many.
const MAX_NAMES: usize = 1_024;

/// What is wrong with a configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read the configuration {path}: {source}; give another with --config")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is not TOML, or has keys that nobody knows.
    #[error("invalid configuration {path}: {message}")]
    Syntax {
        /// The file.
        path: String,
        /// Place and cause, as the TOML reader tells them.
        message: String,
    },
    /// A rule makes no sense.
    #[error("invalid configuration {path}: supervisor \"{name}\": {message}")]
    Rule {
        /// The file.
        path: String,
        /// The rule.
        name: String,
        /// Cause and remedy.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    supervisor: Vec<Typed>,
    #[serde(default)]
    container: TypedContainer,
    #[serde(default)]
    run: toml::Table,
}

/// What is told of containers, as it was typed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedContainer {
    #[serde(default)]
    labels: Vec<String>,
}

/// A rule as it was typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
struct Typed {
    name: String,
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

/// How a rule's executables are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// Number of the rule.
    pub id: u16,
    /// Whether what it runs may be a supervisor again.
    pub runtime: bool,
    /// Whether its words are told.
    pub argv: bool,
    /// Whether something is asked of the set that its workload starts with.
    pub judged: bool,
}

/// A denial that a rule expects: benign, and counted apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Number of the capability.
    pub capability: u32,
    /// The layer that refuses it.
    pub layer: Layer,
    /// Why it is benign.
    pub note: Option<String>,
}

/// A rule: programs that confine others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct Supervisor {
    /// Its name, as reports and labels show it.
    pub name: Arc<str>,
    /// Basenames of its executables, or absolute paths with globs.
    pub exe: Vec<String>,
    /// Globs on the cgroup's path.
    pub cgroup: Vec<String>,
    /// User ids, of the initial namespace, whose executables are meant; anybody's where
    /// there are none.
    pub owner: Vec<RangeInclusive<u32>>,
    /// Whether its workload is a container.
    pub runtime: bool,
    /// Whether its workload should have an empty bounding set.
    pub empties: bool,
    /// Whether it becomes the program that it starts, so that nobody stands above
    /// that one: what it drops is its own deed.
    pub launcher: bool,
    /// Whether it is a daemon that confines itself (`self = true`): it drops in its
    /// own process, and carries on without exec.
    pub confines_itself: bool,
    /// Whether what runs below it is its workload. Where it is not the kernel side
    /// does not know the rule, which is found by the executable that dropped.
    pub owns_tree: bool,
    /// Basenames of programs that it runs for itself, which are not its workload.
    pub helpers: Vec<String>,
    /// Denials that are benign.
    pub expect: Vec<Expectation>,
    /// What an operator should know of it where a drop failed, whatever came of it.
    pub note: Option<String>,
    /// The same, where it ended without exec.
    pub note_fatal: Option<String>,
    /// The same, where its workload runs on, or it does.
    pub note_degraded: Option<String>,
    /// What to change, in place of the advice to give it SETPCAP.
    pub remedy: Option<String>,
}

/// Every rule, and the number that the kernel knows it by.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    supervisors: Vec<Supervisor>,
    numbers: Numbers,
    labels: Vec<String>,
    release: Release,
    options: toml::Table,
}

impl Rules {
    /// For a host of this release.
    #[must_use]
    pub fn on(mut self, release: Release) -> Self {
        self.release = release;
        self
    }

    /// The release of the host, which decides on some remedies.
    pub const fn release(&self) -> Release {
        self.release
    }

    /// The built-in catalogue, with the user's rules added; a user's rule
    /// replaces the built-in one of the same name.
    ///
    /// # Errors
    /// When the file can't be read or makes no sense.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let mut rules = Self::default();
        rules.add(CATALOGUE, "(built-in catalogue)")?;
        if let Some(path) = path {
            let shown = path.display().to_string();
            let text = open::named_text(path).map_err(|source| ConfigError::Read {
                path: shown.clone(),
                source,
            })?;
            rules.add(&text, &shown)?;
        }
        Ok(rules)
    }

    /// Adds the rules of one file.
    ///
    /// # Errors
    /// When it makes no sense.
    pub fn add(&mut self, text: &str, path: &str) -> Result<(), ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        self.options.extend(file.run);
        for typed in file.supervisor {
            let name = typed.name.clone();
            let rule = resolve(typed).map_err(|message| ConfigError::Rule {
                path: path.to_owned(),
                name,
                message,
            })?;
            let mut known = self.supervisors.iter_mut();
            if let Some(old) = known.find(|old| old.name == rule.name) {
                *old = rule;
            } else {
                self.supervisors.push(rule);
                self.numbers.push();
            }
        }
        for label in file.container.labels {
            if label.is_empty() {
                return Err(ConfigError::Syntax {
                    path: path.to_owned(),
                    message: "container.labels: a label needs a name".to_owned(),
                });
            }
            if self.labels.contains(&label) {
                continue;
            }
            let as_metric = metrics::label(&label);
            let same = self.labels.iter();
            if let Some(other) = same
                .into_iter()
                .find(|other| metrics::label(other) == as_metric)
            {
                return Err(ConfigError::Syntax {
                    path: path.to_owned(),
                    message: format!(
                        "container.labels: {label:?} and {other:?} have the same name as a metric's label"
                    ),
                });
            }
            self.labels.push(label);
        }
        if self.labels.len() > MAX_LABELS {
            return Err(ConfigError::Syntax {
                path: path.to_owned(),
                message: format!("container.labels: more than {MAX_LABELS}: name fewer"),
            });
        }
        if self.basenames().count() > MAX_NAMES {
            return Err(ConfigError::Syntax {
                path: path.to_owned(),
                message: format!("more than {MAX_NAMES} executable names: name fewer"),
            });
        }
        Ok(())
    }

    /// The same rules, with the numbers that they have already: the place of each in
    /// these names, from 1. A name that no rule has keeps its number for itself.
    #[must_use]
    pub fn numbered(self, known: &[String]) -> Self {
        Self {
            numbers: Numbers::of(&self.supervisors, known),
            ..self
        }
    }

    /// The names of all numbers, from 1, also of rules that there are no more.
    pub fn names(&self) -> Vec<String> {
        let numbers = 1..=u16::try_from(self.numbers.len()).unwrap_or(u16::MAX);
        let rules = numbers.filter_map(|number| self.get(number));
        rules.map(|rule| rule.name.to_string()).collect()
    }

    /// Whether these can take the place of others while the agent runs.
    pub fn can_replace(&self, others: &Self) -> bool {
        self.labels == others.labels
    }

    /// Every rule; of two that fit, the later one counts.
    pub fn supervisors(&self) -> &[Supervisor] {
        &self.supervisors
    }

    /// The options of `run` beside the rules, as they were typed.
    pub fn options(&self) -> &toml::Table {
        &self.options
    }

    /// Labels of containers and images that are told; no other one is kept.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The rule of a number that the kernel tells; `None` for 0. Of a rule that there
    /// is no more it has the name alone.
    pub fn get(&self, id: u16) -> Option<&Supervisor> {
        self.numbers.get(&self.supervisors, id)
    }

    /// The first rule that names an executable by its basename.
    pub fn by_basename(&self, basename: &[u8]) -> Option<Recognised> {
        self.basenames()
            .find(|(name, _)| *name == padded(basename))
            .map(|(_, rule)| rule)
    }

    /// The numbers of the rules by the names of their processes, which the kernel cuts
    /// at 15 bytes (`TASK_COMM_LEN`, `include/linux/sched.h`).
    pub fn comms(&self) -> HashMap<Vec<u8>, u16> {
        const CUT: usize = 15;
        let mut comms = HashMap::new();
        for (name, rule) in self.basenames() {
            let length = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_LEN);
            let id = comms.entry(name[..length.min(CUT)].to_vec()).or_default();
            // Of two the later one counts.
            if self.numbers.place(rule.id) >= self.numbers.place(*id) {
                *id = rule.id;
            }
        }
        comms
    }

    /// The basenames of all executables with their rule; a name that two rules
    /// claim goes to the later one, which is the user's.
    pub fn basenames(&self) -> impl Iterator<Item = ([u8; NAME_LEN], Recognised)> {
        let mut names = HashMap::new();
        let all = self.supervisors.iter().enumerate();
        for (index, supervisor) in all.filter(|(_, rule)| rule.owns_tree) {
            let rule = Recognised {
                id: self.numbers.at(index),
                // What a launcher runs is a supervisor in its own right, too.
                runtime: supervisor.runtime || supervisor.launcher,
                argv: false,
                judged: supervisor.empties || supervisor.runtime,
            };
            for exe in &supervisor.exe {
                let name = basename(exe);
                let argv = name == CONMON;
                let name = padded(name.as_bytes());
                // A rule with a path or a cgroup may not be meant; then the other
                // one is, and what it runs is a container all the same.
                let other = |other: &Recognised| supervisor.is_qualified() && other.runtime;
                let runtime = rule.runtime || names.get(&name).is_some_and(other);
                let rule = Recognised {
                    runtime,
                    argv,
                    ..rule
                };
                names.insert(name, rule);
            }
        }
        names.into_iter()
    }

    /// Whether any rule says more than a basename.
    pub fn are_qualified(&self) -> bool {
        self.supervisors.iter().any(Supervisor::is_qualified)
    }

    /// The number of the rule that names a program: the last one that fits its
    /// basename, or its path, its cgroup and its owner; 0 where none does. Where the path
    /// is not known, a rule that has one is taken at its basename.
    pub fn named(
        &self,
        name: &[u8],
        path: Option<&str>,
        cgroup: Option<&str>,
        owner: Option<u32>,
    ) -> u16 {
        let fits = |rule: &Supervisor| {
            let mut exe = rule.exe.iter();
            rule.owns_tree
                && rule.trusts(owner)
                && exe.any(|exe| match (exe.starts_with('/'), path) {
                    (true, Some(path)) => glob(exe).is_some_and(|glob| glob.matches(path)),
                    _ => basename(exe).as_bytes() == name,
                })
                && (rule.cgroup.is_empty() || rule.fits_cgroup(cgroup.unwrap_or_default()))
        };
        let place = self.supervisors.iter().rposition(fits);
        place.map_or(0, |place| self.numbers.at(place))
    }

    /// The number of the rule whose supervisor owns no tree and is this executable;
    /// a name that two rules claim goes to the later one.
    pub fn by_deed(&self, exe: &str) -> Option<u16> {
        let name = padded(exe.as_bytes());
        let fits = |rule: &Supervisor| {
            let mut names = rule.exe.iter();
            !rule.owns_tree && names.any(|own| padded(own.as_bytes()) == name)
        };
        let place = self.supervisors.iter().rposition(fits)?;
        Some(self.numbers.at(place))
    }

    /// The number of the rule that names whatever runs in a cgroup; 0 for none.
    pub fn of_cgroup(&self, cgroup: &str) -> u16 {
        let fits = |rule: &Supervisor| rule.exe.is_empty() && rule.fits_cgroup(cgroup);
        let place = self.supervisors.iter().rposition(fits);
        place.map_or(0, |place| self.numbers.at(place))
    }

    /// The expectation that a denial meets.
    pub fn expected(&self, id: u16, capability: u32, layer: Layer) -> Option<&Expectation> {
        let mut expect = self.get(id)?.expect.iter();
        expect.find(|expected| expected.capability == capability && expected.layer == layer)
    }
}

impl Supervisor {
    /// What is left of a rule that there is no more.
    pub(super) fn former(name: &str) -> Self {
        Self {
            name: name.into(),
            exe: Vec::new(),
            cgroup: Vec::new(),
            owner: Vec::new(),
            runtime: false,
            empties: false,
            launcher: false,
            confines_itself: false,
            owns_tree: true,
            helpers: Vec::new(),
            expect: Vec::new(),
            note: None,
            note_fatal: None,
            note_degraded: None,
            remedy: None,
        }
    }

    /// What an operator should know of an episode with this verdict.
    pub fn notes(&self, verdict: Verdict) -> impl Iterator<Item = &str> {
        let own = match verdict {
            Verdict::Fatal => self.note_fatal.as_deref(),
            Verdict::Degraded => self.note_degraded.as_deref(),
            _ => None,
        };
        let any = self.note.as_deref().filter(|_| verdict >= Verdict::Pending);
        any.into_iter().chain(own)
    }

    /// Whether it says more than the basename that the kernel side compares.
    pub fn is_qualified(&self) -> bool {
        !self.cgroup.is_empty()
            || !self.owner.is_empty()
            || self.exe.iter().any(|exe| exe.starts_with('/'))
    }

    /// Whether it means executables of this user; one whose owner is not known is
    /// nobody's that it could trust.
    pub fn trusts(&self, owner: Option<u32>) -> bool {
        let mut trusted = self.owner.iter();
        self.owner.is_empty() || owner.is_some_and(|uid| trusted.any(|range| range.contains(&uid)))
    }

    /// Whether an executable, of which the kernel tells the name, is one of the rule's.
    pub fn is_program(&self, exe: &str) -> bool {
        let mut names = self.exe.iter().filter_map(|own| own.rsplit('/').next());
        names.any(|own| padded(own.as_bytes()) == padded(exe.as_bytes()))
    }

    fn fits_cgroup(&self, path: &str) -> bool {
        let mut globs = self.cgroup.iter().filter_map(|text| glob(text));
        globs.any(|pattern| pattern.matches(path))
    }
}

/// A glob in which `*` stands for slashes too; its syntax was checked.
fn glob(text: &str) -> Option<glob::Pattern> {
    glob::Pattern::new(text).ok()
}

/// The part of an executable that the kernel compares. The name of a memfd
/// holds slashes of its own.
fn basename(exe: &str) -> &str {
    if exe.starts_with('/') {
        exe.rsplit('/').next().unwrap_or(exe)
    } else {
        exe
    }
}

/// A name as the kernel holds it: cut to its room, filled with zeros.
fn padded(name: &[u8]) -> [u8; NAME_LEN] {
    let mut bytes = [0; NAME_LEN];
    let length = name.len().min(NAME_LEN - 1);
    bytes[..length].copy_from_slice(&name[..length]);
    bytes
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

fn resolve(typed: Typed) -> Result<Supervisor, String> {
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
        return Err(format!("exe {empty:?} has no basename"));
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
            "exe {exe:?}: the basename is compared in the kernel and can't have a glob"
        ));
    }
    if exe.is_empty() && !owner.is_empty() {
        return Err(
            "with a cgroup alone no executable is looked at: owner needs exe = [\"basename\"]"
                .to_owned(),
        );
    }
    let says_more = !cgroup.is_empty() || !owner.is_empty();
    if !owns_tree && (says_more || exe.iter().any(|exe| exe.starts_with('/'))) {
        return Err(
            "with tree = false the executable's basename alone is known: give exe = [\"basename\"]"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_valid() {
        let rules = Rules::load(None).unwrap();
        let crun = rules.by_basename(b"crun").unwrap();
        assert_eq!(&*rules.get(crun.id).unwrap().name, "crun");
        assert!(crun.runtime);
        assert!(rules.by_basename(b"bash").is_none());
        assert!(rules.get(0).is_none());
    }

    #[test]
    fn a_users_rule_replaces_the_built_in_one() {
        let mut rules = Rules::load(None).unwrap();
        let before = rules.supervisors().len();
        let text = "[[supervisor]]\nname = \"crun\"\nexe = [\"/opt/*/my-crun\"]\n";
        rules.add(text, "user.toml").unwrap();
        assert_eq!(rules.supervisors().len(), before);
        assert!(rules.by_basename(b"crun").is_none());
        assert!(rules.by_basename(b"my-crun").is_some());
    }

    #[test]
    fn mistakes_name_the_place_and_the_remedy() {
        let add = |text: &str| {
            let error = Rules::default().add(text, "user.toml").unwrap_err();
            error.to_string()
        };
        let error = add("[[supervisor]]\nname = \"x\"\nexes = [\"a\"]\n");
        assert!(
            error.contains("user.toml") && error.contains("line 3"),
            "{error}"
        );
        let error = add("[[supervisor]]\nname = \"x\"\n");
        assert!(error.contains("\"x\": it matches nothing"), "{error}");
        let error = add("[[supervisor]]\nname = \"x\"\nexe = [\"a\"]\n\
             expect = [{ capability = \"cap_foo\", layer = \"commoncap\" }]\n");
        assert!(
            error.contains("no capability is called \"cap_foo\""),
            "{error}"
        );
        let error = add("[[supervisor]]\nname = \"x\"\nexe = [\"a\"]\n\
             expect = [{ capability = \"setuid\", layer = \"kernel\" }]\n");
        assert!(error.contains("no layer is called \"kernel\""), "{error}");
    }

    #[test]
    fn paths_and_cgroups_tell_programs_of_one_name_apart() {
        let mut rules = Rules::load(None).unwrap();
        let text = "[[supervisor]]\nname = \"ours\"\nexe = [\"/opt/*/crun\"]\n\
             [[supervisor]]\nname = \"pods\"\nexe = [\"runc\"]\ncgroup = [\"*/kubepods*\"]\n\
             [[supervisor]]\nname = \"scope\"\ncgroup = [\"*/sandbox-*.scope\"]\n";
        assert!(!rules.are_qualified());
        rules.add(text, "user.toml").unwrap();
        assert!(rules.are_qualified());
        let named = |name: &str, path: &str, cgroup: Option<&str>| {
            let id = rules.named(name.as_bytes(), Some(path), cgroup, Some(0));
            rules.get(id).map(|rule| rule.name.to_string())
        };
        assert_eq!(named("crun", "/opt/a/b/crun", None).unwrap(), "ours");
        assert_eq!(named("crun", "/usr/bin/crun", None).unwrap(), "crun");
        let pod = Some("/kubepods.slice/x");
        assert_eq!(named("runc", "/usr/bin/runc", pod).unwrap(), "pods");
        assert_eq!(named("runc", "/usr/bin/runc", None).unwrap(), "runc");
        assert_eq!(named("bash", "/bin/bash", pod), None);
        assert!(
            rules.by_basename(b"crun").unwrap().runtime,
            "crun's all the same"
        );
        let scope = rules.of_cgroup("/user.slice/sandbox-7.scope");
        assert_eq!(&*rules.get(scope).unwrap().name, "scope");
        assert_eq!(rules.of_cgroup("/user.slice"), 0);

        let add = |text: &str| {
            Rules::default()
                .add(text, "user.toml")
                .unwrap_err()
                .to_string()
        };
        let error = add("[[supervisor]]\nname = \"x\"\nexe = [\"/opt/cr*\"]\n");
        assert!(error.contains("can't have a glob"), "{error}");
        let error = add("[[supervisor]]\nname = \"x\"\ncgroup = [\"[\"]\n");
        assert!(error.contains("is no glob"), "{error}");
    }

    #[test]
    fn a_rule_keeps_its_number_wherever_it_stands_and_that_of_one_that_is_gone_is_free_for_none() {
        let load = |names: &[&str]| {
            let mut rules = Rules::default();
            for name in names {
                let text =
                    format!("[[supervisor]]\nname = \"{name}\"\nexe = [\"{name}\", \"same\"]\n");
                rules.add(&text, "user.toml").unwrap();
            }
            rules
        };
        let before = load(&["a", "b", "c"]);
        assert_eq!(before.names(), ["a", "b", "c"]);
        let after = load(&["d", "c", "a"]).numbered(&before.names());
        let number = |rules: &Rules, exe: &str| rules.by_basename(exe.as_bytes()).unwrap().id;
        for exe in ["a", "c"] {
            assert_eq!(number(&after, exe), number(&before, exe), "{exe}");
            assert_eq!(
                after.named(exe.as_bytes(), Some(""), None, Some(0)),
                number(&before, exe)
            );
        }
        assert_eq!(number(&after, "d"), 4);
        assert!(after.by_basename(b"b").is_none());
        assert_eq!(
            &*after.get(2).unwrap().name,
            "b",
            "what it counted is its own"
        );
        assert_eq!(&*after.get(4).unwrap().name, "d");
        assert!(after.get(5).is_none() && after.get(0).is_none());
        // The later rule counts, whatever its number.
        assert_eq!(number(&after, "same"), number(&before, "a"));
        assert_eq!(after.comms()[b"same".as_slice()], number(&before, "a"));
        assert_eq!(after.names(), ["a", "b", "c", "d"]);
        let again = load(&["b", "d"]).numbered(&after.names());
        assert_eq!(number(&again, "b"), 2);
        assert_eq!(again.names(), after.names());
        let twice = ["a".to_owned(), "a".to_owned()];
        assert_eq!(number(&load(&["a"]).numbered(&twice), "a"), 1);
    }

    #[test]
    fn a_rule_means_the_executables_of_those_whom_it_trusts() {
        let mut rules = Rules::load(None).unwrap();
        let text = "[[supervisor]]\nname = \"openshell\"\nexe = [\"openshell-sandbox\"]\n\
             owner = [\"root\", \"900-999\"]\n";
        rules.add(text, "user.toml").unwrap();
        assert!(rules.are_qualified());
        let named = |path: Option<&str>, owner: Option<u32>| {
            let id = rules.named(b"openshell-sandbox", path, None, owner);
            rules.get(id).map(|rule| rule.name.to_string())
        };
        let path = Some("/home/eve/openshell-sandbox");
        assert_eq!(named(path, Some(0)).unwrap(), "openshell");
        assert_eq!(named(path, Some(950)).unwrap(), "openshell");
        assert_eq!(named(path, Some(65_534)), None);
        assert_eq!(
            named(None, Some(65_534)),
            None,
            "gone before it was looked at"
        );
        assert_eq!(named(None, Some(0)).unwrap(), "openshell");
        assert_eq!(named(path, None), None, "nobody knows whose it is");

        let add = |rule: &str| {
            let text = format!("[[supervisor]]\nname = \"x\"\n{rule}\n");
            let error = Rules::default().add(&text, "user.toml").unwrap_err();
            error.to_string()
        };
        for owner in ["eve", "9-3", "", "-1"] {
            let error = add(&format!("exe = [\"a\"]\nowner = [{owner:?}]"));
            assert!(error.contains("neither \"root\" nor a user id"), "{error}");
        }
        let error = add("cgroup = [\"*\"]\nowner = [\"root\"]");
        assert!(error.contains("owner needs exe"), "{error}");
        let error = add("exe = [\"a\"]\ntree = false\nowner = [\"root\"]");
        assert!(error.contains("tree = false"), "{error}");
    }

    #[test]
    fn labels_are_few_and_told_apart() {
        let add = |labels: &str| {
            let mut rules = Rules::default();
            let text = format!("[container]\nlabels = [{labels}]\n");
            let added = rules.add(&text, "user.toml");
            (added.map_err(|error| error.to_string()), rules)
        };
        let (added, rules) = add("\"a.b/c\", \"d\", \"d\"");
        assert_eq!(added, Ok(()));
        assert_eq!(rules.labels(), ["a.b/c", "d"]);
        assert_eq!(metrics::label("a.b/c"), "label_a_b_c");
        assert!(add("\"a.b\", \"a-b\"").0.unwrap_err().contains("same name"));
        assert!(add("\"\"").0.unwrap_err().contains("needs a name"));
        let many: Vec<_> = (0..17).map(|n| format!("\"l{n}\"")).collect();
        assert!(
            add(&many.join(", "))
                .0
                .unwrap_err()
                .contains("more than 16")
        );
    }

    #[test]
    fn who_owns_no_tree_is_known_by_its_deed_alone() {
        let rules = Rules::load(None).unwrap();
        assert!(
            rules.by_basename(b"systemd").is_none(),
            "it would own the host"
        );
        assert_eq!(
            rules.named(b"systemd", Some("/usr/lib/systemd/systemd"), None, Some(0)),
            0
        );
        let systemd = rules
            .get(rules.by_deed("systemd-executor").unwrap())
            .unwrap();
        assert_eq!(&*systemd.name, "systemd");
        assert!(rules.by_deed("crun").is_none() && rules.by_deed("bash").is_none());
        let passt = rules.get(rules.by_deed("pasta.avx2").unwrap()).unwrap();
        assert!(passt.confines_itself && passt.remedy.is_some());
        let add = |text: &str| {
            Rules::default()
                .add(text, "user.toml")
                .unwrap_err()
                .to_string()
        };
        let error = add("[[supervisor]]\nname = \"x\"\nexe = [\"/a/b\"]\ntree = false\n");
        assert!(error.contains("give exe = [\"basename\"]"), "{error}");
    }

    #[test]
    fn a_note_stands_under_what_it_is_true_of() {
        let mut rules = Rules::default();
        let text = "[[supervisor]]\nname = \"x\"\nexe = [\"x\"]\nnote = \"any\"\n\
             note_fatal = \"died\"\nnote_degraded = \"runs\"\nself = true\n";
        rules.add(text, "user.toml").unwrap();
        let rule = &rules.supervisors()[0];
        assert!(rule.confines_itself);
        let notes = |verdict| rule.notes(verdict).collect::<Vec<_>>();
        assert_eq!(notes(Verdict::Fatal), ["any", "died"]);
        assert_eq!(notes(Verdict::Degraded), ["any", "runs"]);
        assert_eq!(notes(Verdict::Pending), ["any"]);
        assert!(notes(Verdict::Harmless).is_empty() && notes(Verdict::Ok).is_empty());
    }

    #[test]
    fn an_expected_denial_is_told_from_others() {
        let rules = Rules::load(None).unwrap();
        let id = rules.by_basename(b"openshell-sandbox").unwrap().id;
        assert!(rules.expected(id, 7, Layer::Commoncap).is_some());
        assert!(rules.expected(id, 7, Layer::Apparmor).is_none());
        assert!(rules.expected(id, 8, Layer::Commoncap).is_none());
    }
}
