//! Rules that name supervisors.

use std::{collections::HashMap, path::Path};

use super::{
    Release,
    error::ConfigError,
    labels::label as as_label,
    numbers::Numbers,
    supervisor::{Expectation, Recognised, Supervisor, basename, glob, padded},
    typed::{File, Typed, resolve},
};
use crate::{
    open,
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

/// Every rule, and the number that the kernel knows it by.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    supervisors: Vec<Supervisor>,
    numbers: Numbers,
    labels: Vec<String>,
    release: Release,
    options: toml::Table,
    /// The user's own, as they were typed.
    typed: Vec<toml::Value>,
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
        rules.typed.clear();
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
            self.put(typed, path)?;
        }
        let read: Result<toml::Table, _> = toml::from_str(text);
        if let Some(toml::Value::Array(typed)) = read.ok().and_then(|mut t| t.remove("supervisor"))
        {
            self.typed.extend(typed);
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
            let as_metric = as_label(&label);
            let same = self.labels.iter();
            if let Some(other) = same.into_iter().find(|other| as_label(other) == as_metric) {
                return Err(ConfigError::Syntax {
                    path: path.to_owned(),
                    message: format!(
                        "container.labels: {label:?} and {other:?} become the same label of a \
                         metric: remove one"
                    ),
                });
            }
            self.labels.push(label);
        }
        if self.labels.len() > MAX_LABELS {
            return Err(ConfigError::Syntax {
                path: path.to_owned(),
                message: format!("container.labels has more than {MAX_LABELS} labels: name fewer"),
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

    /// Adds rules that were typed elsewhere.
    ///
    /// # Errors
    /// When one makes no sense.
    pub fn add_typed(&mut self, rules: &[toml::Value], from: &str) -> Result<(), ConfigError> {
        for rule in rules {
            let typed = rule.clone().try_into();
            let typed = typed.map_err(|error: toml::de::Error| ConfigError::Syntax {
                path: from.to_owned(),
                message: error.to_string().trim_end().to_owned(),
            })?;
            self.put(typed, from)?;
            self.typed.push(rule.clone());
        }
        Ok(())
    }

    /// The user's own rules, as they were typed.
    pub fn typed(&self) -> &[toml::Value] {
        &self.typed
    }

    fn put(&mut self, typed: Typed, path: &str) -> Result<(), ConfigError> {
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

    /// Labels of containers and images that are reported; no other one is kept.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The rule of a number that the kernel reports; `None` for 0. Of a rule that there
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

#[cfg(test)]
mod tests;
