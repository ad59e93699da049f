//! QEMU: the command line, and a watch over what the guest says.

mod watch;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::root::Disks;
use super::stream::Splitter;
use super::{Arch, Options, Outcome};
use crate::apt;
use watch::{Jobs, Watch};

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
    /// User space was reached, and the kernel died of the emulator's fault.
    Emulator(Outcome),
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
        let outcome = Outcome {
            jobs: watch.jobs.ended,
            failure,
        };
        let console = fs::read(&console).unwrap_or_default();
        Ok(if is_of_emulator(&String::from_utf8_lossy(&console)) {
            End::Emulator(outcome)
        } else {
            End::Ran(outcome)
        })
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
            let last = lines.len().saturating_sub(CONSOLE_LINES);
            // What a panic began with is often above its last lines.
            let first = lines[..last].iter().filter(|line| is_oops(line)).take(1);
            for line in first.chain(&lines[last..]) {
                text.push_str("\n  ");
                text.push_str(title);
                text.push_str(": ");
                text.push_str(line.trim_end());
            }
        }
        text
    }
}

fn is_oops(line: &str) -> bool {
    line.contains("Oops: ") || line.contains(" BUG: ")
}

/// Whether the kernel died of a breakpoint of its own text patching, which the other
/// emulated processor had removed already: the emulator runs what it translated before.
fn is_of_emulator(console: &str) -> bool {
    let mut oopses = console.lines().filter(|line| is_oops(line));
    oopses
        .next()
        .is_some_and(|first| first.contains("Oops: int3"))
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
    fn a_breakpoint_of_the_kernels_own_is_the_emulators_fault_and_another_oops_is_not() {
        let oops = |what: &str| {
            format!(
                "[   24.1] Oops: {what} [#1] PREEMPT SMP NOPTI\n\
                 [   24.2] Kernel panic - not syncing: Fatal exception in interrupt\n"
            )
        };
        assert!(is_of_emulator(&oops("int3: 0000")));
        assert!(!is_of_emulator(&oops("0002")));
        assert!(!is_of_emulator(&format!(
            "{}{}",
            oops("0002"),
            oops("int3: 0000")
        )));
        assert!(!is_of_emulator("[   24.2] int3\n"));
    }
}
