//! QEMU: the command line, and a watch over what the guest says.

use std::fs;
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::root::Disks;
use super::stream::{Event, Splitter};
use super::{Arch, JobOutcome, Options, Outcome};
use crate::apt;

/// Emulation takes 4 to 12 seconds on an idle machine.
const BOOT: Duration = Duration::from_mins(3);
/// What ending a job may take beyond its own limit.
const GRACE: Duration = Duration::from_mins(1);
/// How often a machine may boot: beyond that it boots in a circle.
const BOOTS: u32 = 3;
/// How much of the kernel's messages is worth showing.
const CONSOLE_LINES: usize = 60;

/// All that one boot takes.
pub struct Machine<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// The kernel image.
    pub vmlinuz: &'a Path,
    /// The initramfs.
    pub initrd: &'a Path,
    /// The disks of a full root.
    pub disks: Option<&'a Disks>,
    /// A directory of this machine's own.
    pub scratch: &'a Path,
    /// The word that marks the host's lines.
    pub nonce: &'a str,
}

/// How a boot ended.
pub enum End {
    /// User space was reached.
    Ran(Outcome),
    /// It wasn't, for this reason.
    NoBoot(String),
}

/// Installs the emulator.
pub fn ensure_installed(arch: Arch) -> Result<()> {
    match arch {
        Arch::X86_64 => apt::ensure(&["qemu-system-x86", "seabios", "ipxe-qemu"]),
        Arch::Arm64 => apt::ensure(&["qemu-system-arm", "ipxe-qemu"]),
    }
}

/// The serial port for the jobs' output; the console has another.
pub fn output_port(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "ttyS1",
        // The board's own is the console, ttyAMA0; this one is on PCI.
        Arch::Arm64 => "ttyS0",
    }
}

/// A child process that doesn't outlive its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine<'_> {
    /// Boots once.
    pub fn run(&self, verbosity: &str) -> Result<End> {
        let console = self.scratch.join("console");
        let mut child = self
            .command(verbosity, &console)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(fs::File::create(self.scratch.join("qemu"))?))
            .spawn()
            .context("cannot start QEMU")?;
        let stdout = child.stdout.take().context("QEMU's output isn't piped")?;
        let _running = Running(child);
        let mut watch = Watch {
            machine: self,
            chunks: read_in_background(stdout),
            splitter: Splitter::new(self.nonce),
            boots: 0,
            fresh: false,
            jobs: Jobs::default(),
        };
        let Err(why) = watch.follow() else {
            return Ok(End::Ran(Outcome {
                jobs: watch.jobs.ended,
                failure: None,
            }));
        };
        if watch.boots == 0 {
            return Ok(End::NoBoot(format!("{why}{}", self.diagnostics(&console))));
        }
        watch.jobs.give_up();
        let failure = Some(format!("{why}{}", self.diagnostics(&console)));
        Ok(End::Ran(Outcome {
            jobs: watch.jobs.ended,
            failure,
        }))
    }

    fn command(&self, verbosity: &str, console: &Path) -> Command {
        let options = self.options;
        let mut command = match options.arch {
            Arch::X86_64 => {
                let mut command = dying_with_us("qemu-system-x86_64");
                command.args(["-cpu", "max", "-serial", "chardev:console"]);
                command.args(["-serial", "chardev:output"]);
                command
            }
            Arch::Arm64 => {
                let mut command = dying_with_us("qemu-system-aarch64");
                command.args([
                    "-M",
                    "virt",
                    "-cpu",
                    "cortex-a57",
                    "-serial",
                    "chardev:console",
                ]);
                command.args(["-device", "pci-serial,chardev=output"]);
                command
            }
        };
        let port = match options.arch {
            Arch::X86_64 => "ttyS0",
            Arch::Arm64 => "ttyAMA0",
        };
        let append = &options.append;
        command
            // Never a list of accelerators: a /dev/kvm that exists may not work.
            .args(if options.icount {
                ["-accel", "tcg", "-icount", "shift=0"].as_slice()
            } else {
                &["-accel", "tcg,thread=multi"]
            })
            .args([
                "-smp",
                &options.cpus().to_string(),
                "-m",
                &options.memory().to_string(),
            ])
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            // A job that may reboot goes on after it, with the same disks.
            .args((!options.systemd).then_some("-no-reboot"))
            .arg("-chardev")
            .arg(format!("file,id=console,path={}", console.display()))
            .args(["-chardev", "stdio,id=output,signal=off"])
            .arg("-kernel")
            .arg(self.vmlinuz)
            .arg("-initrd")
            .arg(self.initrd)
            .args([
                "-append",
                &format!("console={port} panic=-1 {verbosity} {append}"),
            ])
            // Where the disks' snapshots go.
            .env("TMPDIR", self.scratch);
        if let Some(disks) = self.disks {
            for image in [&disks.root, &disks.modules.image] {
                let image = image.display();
                command.arg("-drive");
                command.arg(format!(
                    "file={image},if=virtio,format=raw,snapshot=on,cache=unsafe"
                ));
            }
        }
        command
    }

    /// The last that the kernel and QEMU said.
    fn diagnostics(&self, console: &Path) -> String {
        let mut text = String::new();
        for (title, path) in [("console", console), ("qemu", &self.scratch.join("qemu"))] {
            let content = fs::read(path).unwrap_or_default();
            let content = String::from_utf8_lossy(&content);
            let lines: Vec<&str> = content.lines().collect();
            for line in &lines[lines.len().saturating_sub(CONSOLE_LINES)..] {
                text.push_str("\n  ");
                text.push_str(title);
                text.push_str(": ");
                text.push_str(line.trim_end());
            }
        }
        text
    }
}

/// A job that has begun and not ended.
struct Current {
    name: String,
    begun: Instant,
    output: Vec<u8>,
}

impl Current {
    fn outcome(self, exit_code: Option<u8>) -> JobOutcome {
        let Self {
            name,
            begun,
            output,
        } = self;
        JobOutcome {
            name,
            exit_code,
            output,
            duration: begun.elapsed(),
        }
    }
}

/// What became of the jobs so far.
#[derive(Default)]
struct Jobs {
    current: Option<Current>,
    /// What came while no job was known to run.
    loose: Vec<u8>,
    ended: Vec<JobOutcome>,
}

impl Jobs {
    /// Each word comes twice.
    fn begin(&mut self, name: String) {
        if self.current.as_ref().is_some_and(|one| one.name == name) {
            return;
        }
        self.give_up();
        self.loose.clear();
        self.current = Some(Current {
            name,
            begun: Instant::now(),
            output: Vec::new(),
        });
    }

    fn output(&mut self, bytes: Vec<u8>) {
        let current = self.current.as_mut();
        current
            .map_or(&mut self.loose, |current| &mut current.output)
            .extend(bytes);
    }

    /// Where the word that it began was lost, what came since the last one ended is
    /// its output.
    fn end(&mut self, name: String, code: u8) {
        let again = self.ended.last().is_some_and(|last| last.name == name);
        if self.current.is_none() && again {
            return;
        }
        let current = self.current.take().unwrap_or_else(|| {
            let output = std::mem::take(&mut self.loose);
            let lead = String::from_utf8_lossy(&output[..output.len().min(80)]).into_owned();
            eprintln!("xtask: the word that {name} began was lost; in its place: {lead:?}");
            Current {
                name,
                begun: Instant::now(),
                output,
            }
        });
        self.ended.push(current.outcome(Some(code)));
        self.loose.clear();
    }

    /// One that has begun will not be heard of any more.
    fn give_up(&mut self) {
        let current = self.current.take();
        self.ended
            .extend(current.map(|current| current.outcome(None)));
    }
}

/// Follows the guest from its boot to its end.
struct Watch<'a> {
    machine: &'a Machine<'a>,
    chunks: Receiver<Vec<u8>>,
    splitter: Splitter,
    boots: u32,
    /// Whether it booted and no job began since.
    fresh: bool,
    jobs: Jobs,
}

impl Watch<'_> {
    /// Returns when all jobs have ended, or why the guest is given up.
    fn follow(&mut self) -> Result<(), String> {
        let followed = self.events();
        // Then only the last word is missing.
        let all = self.jobs.ended.len() == self.machine.options.jobs.len();
        if all && self.boots > 0 {
            Ok(())
        } else {
            followed
        }
    }

    fn events(&mut self) -> Result<(), String> {
        let mut deadline = Instant::now() + BOOT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let bytes = match self.chunks.recv_timeout(left) {
                Ok(bytes) => bytes,
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone()),
                Err(RecvTimeoutError::Timeout) => return Err(self.late()),
            };
            for event in self.splitter.push(&bytes) {
                match event {
                    Event::Ready => {
                        // Each word comes twice.
                        if !std::mem::replace(&mut self.fresh, true) {
                            self.boots += 1;
                        }
                        if self.boots > BOOTS {
                            return Err(format!("the machine booted {} times", self.boots));
                        }
                        deadline = Instant::now() + GRACE;
                    }
                    Event::Begin(name) => {
                        self.fresh = false;
                        deadline = Instant::now() + self.limit(&name) + GRACE;
                        self.jobs.begin(name);
                    }
                    Event::Output(bytes) => self.output(bytes),
                    Event::End(name, code) => {
                        deadline = Instant::now() + GRACE;
                        self.jobs.end(name, code);
                    }
                    Event::Bye => return Ok(()),
                }
            }
        }
    }

    fn output(&mut self, bytes: Vec<u8>) {
        if self.machine.options.echo {
            // A reader that has gone away doesn't change the script's outcome.
            let _ = std::io::stdout().write_all(&bytes);
            let _ = std::io::stdout().flush();
        }
        self.jobs.output(bytes);
    }

    fn limit(&self, name: &str) -> Duration {
        let jobs = &self.machine.options.jobs;
        jobs.iter()
            .find(|job| job.name == name)
            .map_or(BOOT, |job| job.timeout)
    }

    fn gone(&self) -> String {
        match &self.jobs.current {
            Some(current) => format!("the machine went down in {}", current.name),
            None => "the machine went down".to_owned(),
        }
    }

    fn late(&self) -> String {
        match &self.jobs.current {
            Some(current) => format!("the machine hangs in {}", current.name),
            None if self.boots > 0 => "the machine hangs between jobs".to_owned(),
            None => format!("user space wasn't reached in {} s", BOOT.as_secs()),
        }
    }
}

/// A command whose process ends with ours, also where we are killed.
fn dying_with_us(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]);
    command
}

fn read_in_background(mut stdout: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 4096];
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_whose_beginning_was_lost_has_its_output() {
        let mut jobs = Jobs::default();
        jobs.output(b"boot".to_vec());
        jobs.begin("a".to_owned());
        jobs.begin("a".to_owned());
        jobs.output(b"ok a\n".to_vec());
        jobs.end("a".to_owned(), 0);
        jobs.end("a".to_owned(), 0);
        jobs.output(b"ok b\n".to_vec());
        jobs.end("b".to_owned(), 3);
        jobs.begin("c".to_owned());
        jobs.give_up();
        let told = jobs.ended.iter();
        let told = told.map(|job| (job.name.as_str(), job.exit_code, job.output.as_slice()));
        let told: Vec<_> = told.collect();
        let expected: [(&str, Option<u8>, &[u8]); 3] = [
            ("a", Some(0), b"ok a\n"),
            ("b", Some(3), b"ok b\n"),
            ("c", None, b""),
        ];
        assert_eq!(told, expected);
    }
}
