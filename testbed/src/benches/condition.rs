//! What watches while something is measured.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::agent::{Agent, usage};

/// One way of watching, with the name that it has in the table.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Its name.
    pub name: String,
    watcher: Watcher,
}

#[derive(Clone, Debug)]
enum Watcher {
    Nobody,
    Capwatch {
        program: PathBuf,
        arguments: Vec<String>,
    },
    Peer(Vec<String>),
}

/// The watcher at work; it ends with its owner.
pub enum Running {
    /// Nobody watches.
    Nobody,
    /// capwatch.
    Capwatch(#[expect(dead_code, reason = "held until it is dropped")] Agent),
    /// Another program.
    Peer(Child),
}

impl FromStr for Condition {
    type Err = anyhow::Error;

    /// `NAME=none`, `NAME=capwatch: PROGRAM ARGUMENT…` or `NAME=peer: PROGRAM ARGUMENT…`, with
    /// arguments apart by tabs where there are any, else by spaces.
    fn from_str(text: &str) -> Result<Self> {
        let (name, how) = text.split_once('=').context("a condition is NAME=HOW")?;
        let words = |text: &str| -> Vec<String> {
            let separator = if text.contains('\t') { '\t' } else { ' ' };
            let words = text.split(separator).map(str::trim);
            words
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let watcher = if how == "none" {
            Watcher::Nobody
        } else if let Some(words_of) = how.strip_prefix("capwatch:") {
            let mut words = words(words_of);
            ensure!(!words.is_empty(), "{name}: which program?");
            Watcher::Capwatch {
                program: words.remove(0).into(),
                arguments: words,
            }
        } else if let Some(words_of) = how.strip_prefix("peer:") {
            Watcher::Peer(words(words_of))
        } else {
            bail!("{name}: {how:?} is neither none, capwatch: nor peer:");
        };
        Ok(Self {
            name: name.to_owned(),
            watcher,
        })
    }
}

impl Condition {
    /// Starts the watcher and waits until it is attached.
    ///
    /// # Errors
    /// When it can't be started, or ends.
    pub fn start(&self) -> Result<Running> {
        match &self.watcher {
            Watcher::Nobody => Ok(Running::Nobody),
            Watcher::Capwatch { program, arguments } => {
                Agent::start(program, arguments).map(Running::Capwatch)
            }
            Watcher::Peer(words) => {
                let (program, arguments) = words.split_first().context("no program")?;
                let child = Command::new(program)
                    .args(arguments)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .with_context(|| format!("cannot run {program}"))?;
                let mut running = Running::Peer(child);
                running.settle().with_context(|| self.name.clone())?;
                Ok(running)
            }
        }
    }
}

impl Running {
    /// Waits until a peer has compiled and attached what it will: it took a
    /// second of processor time or so, and takes no more.
    fn settle(&mut self) -> Result<()> {
        let Self::Peer(child) = self else {
            return Ok(());
        };
        let begin = Instant::now();
        let mut before = Duration::ZERO;
        loop {
            thread::sleep(Duration::from_secs(1));
            if let Some(status) = child.try_wait()? {
                bail!("it ended: {status}");
            }
            let now = usage(child.id())?.cpu;
            if !now.is_zero() && now == before {
                return Ok(());
            }
            before = now;
            ensure!(
                begin.elapsed() < Duration::from_mins(10),
                "it never comes to rest"
            );
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Peer(child) = self {
            // It may be gone already, which is as well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_from_its_text() -> Result<()> {
        let condition: Condition = "capwatch, fexit=capwatch: /a/capwatch --hooks=fexit".parse()?;
        assert_eq!(condition.name, "capwatch, fexit");
        let Watcher::Capwatch { program, arguments } = condition.watcher else {
            bail!("not capwatch");
        };
        assert_eq!(program, PathBuf::from("/a/capwatch"));
        assert_eq!(arguments, ["--hooks=fexit"]);
        let peer: Condition = "x=peer: bpftrace\t-e\tBEGIN { }".parse()?;
        let Watcher::Peer(words) = peer.watcher else {
            bail!("not a peer");
        };
        assert_eq!(words, ["bpftrace", "-e", "BEGIN { }"]);
        assert!("x=y".parse::<Condition>().is_err());
        Ok(())
    }
}
