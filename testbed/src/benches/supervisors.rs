//! Many supervisors at once: processes whose executables bear the names that
//! generated rules have.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::workloads::storm;

/// Be a supervisor: have checks refused, say so, and wait for the end of standard input
#[derive(clap::Args)]
pub struct Args {
    /// Of how many capabilities
    #[arg(long, default_value_t = storm::CAPABILITIES.len())]
    capabilities: usize,
    /// How often each is refused
    #[arg(long, default_value_t = 1)]
    count: u64,
}

/// Does it.
pub fn run(args: &Args) -> Result<()> {
    storm::weaken()?;
    for capability in &storm::CAPABILITIES[..args.capabilities.min(storm::CAPABILITIES.len())] {
        let call = storm::call(capability)?;
        for _ in 0..args.count {
            let granted = call() >= 0;
            let error = std::io::Error::last_os_error();
            let refused = !granted && error.raw_os_error() == Some(libc::EPERM);
            ensure!(refused, "{capability} was not refused: {error}");
        }
    }
    println!("ready");
    let mut nothing = Vec::new();
    std::io::stdin()
        .read_to_end(&mut nothing)
        .context("standard input")?;
    Ok(())
}

/// Names for supervisors: executables, and rules for them.
pub struct Names {
    directory: TempDir,
    count: usize,
}

impl Names {
    /// Makes them, beside this program's own executable.
    ///
    /// # Errors
    /// When the directory can't be written.
    pub fn make(count: usize) -> Result<Self> {
        let program = std::env::current_exe().context("no path of this program")?;
        let beside = program.parent().context("this program is nowhere")?;
        let directory = tempfile::tempdir_in(beside).context("cannot make a directory")?;
        let mut rules = String::new();
        for index in 0..count {
            let name = format!("bench-{index}");
            fs::hard_link(&program, directory.path().join(&name))?;
            writeln!(rules, "[[supervisor]]\nname = {name:?}\nexe = [{name:?}]\n")?;
        }
        fs::write(directory.path().join("rules.toml"), rules)?;
        Ok(Self { directory, count })
    }

    /// The agent's argument that makes it know them.
    pub fn arguments(&self) -> Vec<String> {
        let rules = self.directory.path().join("rules.toml");
        vec!["--config".to_owned(), rules.display().to_string()]
    }

    /// One executable.
    pub fn executable(&self, index: usize) -> PathBuf {
        self.directory
            .path()
            .join(format!("bench-{}", index % self.count))
    }
}

/// Live supervisors; they end with their owner.
pub struct Supervisors {
    children: Vec<Child>,
    stdin: Option<OwnedFd>,
}

impl Supervisors {
    /// Starts them, and waits until each has had its checks refused.
    ///
    /// # Errors
    /// When one can't be started, or ends early.
    pub fn start(names: &Names, count: usize, capabilities: usize) -> Result<Self> {
        let (their_stdin, stdin) = std::io::pipe()?;
        let mut supervisors = Self {
            children: Vec::new(),
            stdin: Some(stdin.into()),
        };
        let mut outputs: Vec<ChildStdout> = Vec::new();
        for index in 0..count {
            let mut child = Command::new(names.executable(index))
                .args([
                    "bench",
                    "supervisor",
                    "--capabilities",
                    &capabilities.to_string(),
                ])
                .stdin(their_stdin.try_clone()?)
                .stdout(Stdio::piped())
                .spawn()
                .context("cannot start a supervisor")?;
            outputs.extend(child.stdout.take());
            supervisors.children.push(child);
            // Not too many descriptors at once.
            if outputs.len() == 256 {
                wait_for(&mut outputs)?;
            }
        }
        wait_for(&mut outputs)?;
        Ok(supervisors)
    }
}

fn wait_for(outputs: &mut Vec<ChildStdout>) -> Result<()> {
    for mut output in outputs.drain(..) {
        let mut byte = [0; 1];
        output
            .read_exact(&mut byte)
            .context("a supervisor ended early")?;
    }
    Ok(())
}

impl Drop for Supervisors {
    fn drop(&mut self) {
        drop(self.stdin.take());
        for child in &mut self.children {
            // It ends by itself, since nothing holds its standard input.
            let _ = child.wait();
        }
    }
}
