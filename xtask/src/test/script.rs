//! Test scripts: what their heads ask for, and what their lines report.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::report::{Check, Tally};
use crate::vm::{Kernel, Root};

const DEFAULT_TIMEOUT: Duration = Duration::from_mins(2);

/// A script with its head.
#[derive(Debug)]
pub struct Script {
    /// The file's name without `.sh`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What it asks for.
    pub head: Head,
}

/// The settings in a script's first comments.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word in a script")]
pub struct Head {
    /// The user space it runs in.
    pub root: Root,
    /// The kernels it runs on; empty for all.
    pub kernels: BTreeSet<Kernel>,
    /// Debian packages it needs.
    pub packages: Vec<String>,
    /// How long a run may take.
    pub timeout: Duration,
    /// More arguments for the kernel.
    pub append: String,
    /// A variable and its values, one run for each.
    pub matrix: Option<(String, Vec<String>)>,
    /// The kernels that it runs on every day; empty for all of them.
    pub daily: BTreeSet<Kernel>,
    /// The kernels on which, with --full, it runs in Debian 13's root too.
    pub trixie: BTreeSet<Kernel>,
    /// Whether it takes too long for every day.
    pub full_only: bool,
    /// Whether systemd is the machine's first process.
    pub systemd: bool,
    /// Whether it gets the packages of `cargo xtask dist`, as `/capwatch/dist`.
    pub dist: bool,
    /// Whether each of its runs has a machine of its own, since they take long.
    pub alone: bool,
}

impl Script {
    /// Reads the scripts of a directory, without the library; none if there is
    /// no such directory.
    pub fn in_directory(dir: &Path) -> Result<Vec<Self>> {
        let Ok(entries) = std::fs::read_dir(dir) else {
            return Ok(Vec::new());
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| {
            path.extension().is_some_and(|extension| extension == "sh") && !path.ends_with("lib.sh")
        });
        paths.sort();
        paths.into_iter().map(Self::read).collect()
    }

    fn read(path: PathBuf) -> Result<Self> {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let head = Head::parse(&text).with_context(|| format!("in {}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: name.replace(' ', "-"),
            path,
            head,
        })
    }

    /// Name and environment of each run.
    pub fn runs(&self) -> Vec<(String, Vec<(String, String)>)> {
        let Some((variable, values)) = &self.head.matrix else {
            return vec![(self.name.clone(), Vec::new())];
        };
        values
            .iter()
            .map(|value| {
                let env = vec![(variable.clone(), value.clone())];
                (format!("{}[{variable}={value}]", self.name), env)
            })
            .collect()
    }

    /// Whether it runs on this kernel.
    pub fn wants(&self, kernel: &Kernel) -> bool {
        self.head.kernels.is_empty() || self.head.kernels.contains(kernel)
    }

    /// Whether it runs on this kernel every day.
    pub fn is_daily(&self, kernel: &Kernel) -> bool {
        let Head {
            daily, full_only, ..
        } = &self.head;
        !full_only && (daily.is_empty() || daily.contains(kernel))
    }
}

impl Head {
    /// Reads the comments before the first command.
    pub fn parse(text: &str) -> Result<Self> {
        let mut head = Self {
            root: Root::Busybox,
            kernels: BTreeSet::new(),
            packages: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            append: String::new(),
            matrix: None,
            daily: BTreeSet::new(),
            trixie: BTreeSet::new(),
            full_only: false,
            systemd: false,
            dist: false,
            alone: false,
        };
        let comments = text
            .lines()
            .take_while(|line| line.is_empty() || line.starts_with('#'));
        for line in comments {
            let comment = line.trim_start_matches('#').trim();
            if comment == "full-only" {
                head.full_only = true;
            }
            if comment == "systemd" {
                head.systemd = true;
            }
            if comment == "dist" {
                head.dist = true;
            }
            if comment == "alone" {
                head.alone = true;
            }
            let Some((key, value)) = comment.split_once(": ") else {
                continue;
            };
            head.set(key, value.trim())?;
        }
        Ok(head)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "root" => {
                self.root = match value {
                    "busybox" => Root::Busybox,
                    "full" => Root::Full,
                    "trixie" => Root::Trixie,
                    _ => bail!("no root is called {value:?}"),
                }
            }
            "kernels" if value == "all" => {}
            "kernels" => self.kernels = kernels(value)?,
            "daily" => self.daily = kernels(value)?,
            "trixie" => self.trixie = kernels(value)?,
            "packages" => {
                let words = value.split([' ', ',']).filter(|word| !word.is_empty());
                self.packages = words.map(str::to_owned).collect();
                self.packages.sort();
            }
            "timeout" => {
                let seconds = value
                    .parse()
                    .with_context(|| format!("time-out {value:?}"))?;
                self.timeout = Duration::from_secs(seconds);
            }
            "append" => value.clone_into(&mut self.append),
            "env-matrix" => {
                let (variable, values) = value
                    .split_once('=')
                    .context("env-matrix isn't VARIABLE=value,value")?;
                let values = values.split(',').map(str::to_owned).collect();
                self.matrix = Some((variable.to_owned(), values));
            }
            // Any other comment is prose.
            _ => {}
        }
        Ok(())
    }
}

/// Counts a run's lines, and its end.
pub fn evaluate(run: &str, output: &str, exit_code: Option<u8>) -> Tally {
    let mut tally = Tally::default();
    for line in output.lines() {
        if let Some(check) = parse_check(line.trim_end()) {
            tally.add(run, check);
        }
    }
    match exit_code {
        Some(0) if tally.is_empty() => {
            tally.add(
                run,
                Check::NotOk("checks".into(), "the script reported none".into()),
            );
        }
        Some(0) => {}
        Some(code) => {
            let hint = if code == 137 {
                ", as when its time is over"
            } else {
                ""
            };
            tally.add(
                run,
                Check::NotOk("exit".into(), format!("code {code}{hint}")),
            );
        }
        None => tally.add(
            run,
            Check::NotOk("exit".into(), "the script never ended".into()),
        ),
    }
    tally
}

fn parse_check(line: &str) -> Option<Check> {
    let split = |text: &str| {
        let (name, why) = text.split_once(": ").unwrap_or((text, "no reason given"));
        (name.to_owned(), why.to_owned())
    };
    if let Some(name) = line.strip_prefix("ok ") {
        Some(Check::Ok(name.to_owned()))
    } else if let Some(text) = line.strip_prefix("not ok ") {
        let (name, why) = split(text);
        Some(Check::NotOk(name, why))
    } else if let Some(text) = line.strip_prefix("note ") {
        Some(Check::Note(text.to_owned()))
    } else {
        let (name, why) = split(line.strip_prefix("skip ")?);
        Some(Check::Skip(name, why))
    }
}

fn kernels(words: &str) -> Result<BTreeSet<Kernel>> {
    let words = words.split([' ', ',']).filter(|word| !word.is_empty());
    words
        .map(|word| word.parse().map_err(anyhow::Error::msg))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_with_everything() {
        let text = "#!/bin/sh\n# What it is: a test.\n# root: full\n# kernels: 6.1 6.12\n\
            # packages: b,a\n# timeout: 30\n# append: lsm=x y=z\n# env-matrix: HOOKS=fexit,kprobe\n\
            # full-only\n\necho\n# timeout: 99\n";
        let head = Head::parse(text).expect("a good head");
        assert_eq!(head.root, Root::Full);
        assert_eq!(head.kernels.len(), 2);
        assert_eq!(head.packages, ["a", "b"]);
        assert_eq!(head.timeout, Duration::from_secs(30));
        assert_eq!(head.append, "lsm=x y=z");
        assert!(head.full_only);
        let script = Script {
            name: "t".into(),
            path: "t.sh".into(),
            head,
        };
        let names: Vec<String> = script.runs().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["t[HOOKS=fexit]", "t[HOOKS=kprobe]"]);
    }

    #[test]
    fn a_script_that_runs_on_one_kernel_every_day_and_on_all_with_full() {
        let script = Script {
            name: "t".into(),
            path: "t.sh".into(),
            head: Head::parse("# daily: 6.12\n").expect("a good head"),
        };
        let [old, new]: [Kernel; 2] = ["6.1", "6.12"].map(|name| name.parse().expect("a kernel"));
        assert!(script.wants(&old) && script.wants(&new));
        assert!(script.is_daily(&new) && !script.is_daily(&old));
    }

    #[test]
    fn a_head_with_a_mistake() {
        assert!(Head::parse("# root: ful\n").is_err());
        assert!(Head::parse("# timeout: soon\n").is_err());
    }

    #[test]
    fn lines_are_counted() {
        let output = "noise\nok a\r\nnot ok b: why: because\nskip c: no BTF\nnot okay\n";
        let tally = evaluate("t", output, Some(0));
        assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 1, 1));
        assert_eq!(
            parse_check("not ok b: why: because"),
            Some(Check::NotOk("b".into(), "why: because".into()))
        );
    }

    #[test]
    fn silence_and_bad_ends_are_failures() {
        assert_eq!(evaluate("t", "", Some(0)).failed, 1);
        assert_eq!(evaluate("t", "ok a\n", Some(1)).failed, 1);
        assert_eq!(evaluate("t", "ok a\n", None).failed, 1);
    }
}
