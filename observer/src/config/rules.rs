//! Rules that name supervisors.

use std::{collections::HashMap, fs, io, path::Path, sync::Arc};

use observer_ebpf::{Layer, NAME_LEN, Rule};
use serde::Deserialize;

use crate::caps;

/// The rules that ship inside the binary.
pub const CATALOGUE: &str = include_str!("catalogue.toml");

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
}

/// A rule as it was typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    name: String,
    #[serde(default)]
    exe: Vec<String>,
    #[serde(default)]
    cgroup: Vec<String>,
    #[serde(default)]
    runtime: bool,
    #[serde(default)]
    expect: Vec<TypedExpectation>,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedExpectation {
    capability: String,
    layer: String,
    #[serde(default)]
    note: Option<String>,
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
pub struct Supervisor {
    /// Its name, as reports and labels show it.
    pub name: Arc<str>,
    /// Basenames of its executables, or absolute paths with globs.
    pub exe: Vec<String>,
    /// Globs on the cgroup's path.
    pub cgroup: Vec<String>,
    /// Whether its workload is a container.
    pub runtime: bool,
    /// Denials that are benign.
    pub expect: Vec<Expectation>,
    /// What an operator should know of it.
    pub note: Option<String>,
}

/// Every rule. The number that the kernel knows a rule by is its place, from 1.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    supervisors: Vec<Supervisor>,
}

impl Rules {
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
            let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
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
        for typed in file.supervisor {
            let name = typed.name.clone();
            let rule = resolve(typed).map_err(|message| ConfigError::Rule {
                path: path.to_owned(),
                name,
                message,
            })?;
            match self
                .supervisors
                .iter_mut()
                .find(|old| old.name == rule.name)
            {
                Some(old) => *old = rule,
                None => self.supervisors.push(rule),
            }
        }
        if self.basenames().count() > MAX_NAMES {
            return Err(ConfigError::Syntax {
                path: path.to_owned(),
                message: format!("more than {MAX_NAMES} executable names: name fewer"),
            });
        }
        Ok(())
    }

    /// Every rule, in the order of its number.
    pub fn supervisors(&self) -> &[Supervisor] {
        &self.supervisors
    }

    /// The rule of a number that the kernel tells; `None` for 0.
    pub fn get(&self, id: u16) -> Option<&Supervisor> {
        self.supervisors.get(usize::from(id).checked_sub(1)?)
    }

    /// The first rule that names an executable by its basename.
    pub fn by_basename(&self, basename: &[u8]) -> Option<Rule> {
        self.basenames()
            .find(|(name, _)| *name == padded(basename))
            .map(|(_, rule)| rule)
    }

    /// The basenames of all executables with their rule; a name that two rules
    /// claim goes to the later one, which is the user's.
    pub fn basenames(&self) -> impl Iterator<Item = ([u8; NAME_LEN], Rule)> {
        let mut names = HashMap::new();
        for (index, supervisor) in self.supervisors.iter().enumerate() {
            let rule = Rule {
                id: u16::try_from(index + 1).unwrap_or_default(),
                runtime: u8::from(supervisor.runtime),
                reserved: 0,
            };
            for exe in &supervisor.exe {
                names.insert(padded(basename(exe).as_bytes()), rule);
            }
        }
        names.into_iter()
    }

    /// The expectation that a denial meets.
    pub fn expected(&self, id: u16, capability: u32, layer: Layer) -> Option<&Expectation> {
        let mut expect = self.get(id)?.expect.iter();
        expect.find(|expected| expected.capability == capability && expected.layer == layer)
    }
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

fn resolve(typed: Typed) -> Result<Supervisor, String> {
    let Typed {
        name,
        exe,
        cgroup,
        runtime,
        expect,
        note,
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
    let expect = expect
        .into_iter()
        .map(expectation)
        .collect::<Result<_, _>>()?;
    Ok(Supervisor {
        name: name.into(),
        exe,
        cgroup,
        runtime,
        expect,
        note,
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
        assert_eq!(crun.runtime, 1);
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
    fn an_expected_denial_is_told_from_others() {
        let rules = Rules::load(None).unwrap();
        let id = rules.by_basename(b"openshell-sandbox").unwrap().id;
        assert!(rules.expected(id, 7, Layer::Commoncap).is_some());
        assert!(rules.expected(id, 7, Layer::Apparmor).is_none());
        assert!(rules.expected(id, 8, Layer::Commoncap).is_none());
    }
}
