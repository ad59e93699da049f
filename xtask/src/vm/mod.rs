//! Real Debian kernels in QEMU: the API that the test runner uses.
//!
//! A virtual machine boots a kernel with a root made here, runs its jobs (test
//! scripts) one after the other as root, and is gone. Emulated without KVM, so
//! that it runs wherever QEMU does.

pub mod cli;
mod cpio;
mod guest;
mod initramfs;
mod kernel;
mod qemu;
mod root;
mod stream;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

pub use kernel::Kernel;

/// The processor that is emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Arch {
    /// 64-bit x86
    #[value(name = "x86_64", alias = "amd64")]
    X86_64,
    /// 64-bit Arm
    #[value(name = "arm64", alias = "aarch64")]
    Arm64,
}

impl Arch {
    /// Debian's name of it.
    pub const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Rust's name of it.
    pub const fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }
}

/// The user space that the kernel gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Root {
    /// An initramfs with busybox, util-linux and the tools of `AppArmor`
    Busybox,
    /// Debian 12 on a disk, with rootless Podman ready for user `user`
    Full,
    /// The same of Debian 13
    Trixie,
}

impl Root {
    /// Whether it is a Debian on a disk.
    pub const fn is_debian(self) -> bool {
        !matches!(self, Self::Busybox)
    }

    /// The suites that its packages come from.
    const fn suites(self) -> [&'static str; 2] {
        match self {
            Self::Busybox | Self::Full => ["bookworm", "bookworm-security"],
            Self::Trixie => ["trixie", "trixie-security"],
        }
    }
}

/// What to boot, and what to run there.
#[derive(Clone, Debug)]
pub struct Options {
    /// The kernel's release series.
    pub kernel: Kernel,
    /// The emulated processor.
    pub arch: Arch,
    /// The user space.
    pub root: Root,
    /// Debian packages on top of the full root's own.
    pub packages: Vec<String>,
    /// Memory in MiB; by default what the root needs.
    pub memory: Option<u32>,
    /// Processors; by default two, or one where two were seen to fail.
    pub cpus: Option<u32>,
    /// Whether the guest's clock counts instructions, one for a nanosecond.
    pub icount: bool,
    /// More arguments for the kernel.
    pub append: String,
    /// Whether systemd is the guest's first process; jobs may reboot then.
    pub systemd: bool,
    /// Files and directories of the host, and where they go in the guest.
    pub files: Vec<(PathBuf, String)>,
    /// What runs, in this order.
    pub jobs: Vec<Job>,
    /// Whether the jobs' output goes to stdout as it comes.
    pub echo: bool,
}

impl Options {
    /// Options for a kernel, with defaults for everything else.
    pub fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            arch: Arch::X86_64,
            root: Root::Busybox,
            packages: Vec::new(),
            memory: None,
            cpus: None,
            icount: false,
            append: String::new(),
            systemd: false,
            files: Vec::new(),
            jobs: Vec::new(),
            echo: false,
        }
    }

    fn memory(&self) -> u32 {
        self.memory.unwrap_or(match self.root {
            Root::Busybox => 1024,
            Root::Full | Root::Trixie => 2048,
        })
    }

    fn cpus(&self) -> u32 {
        // Kernel 7.2 was seen to oops in its text patching with two emulated CPUs.
        let default = if self.kernel.major() >= 7 { 1 } else { 2 };
        self.cpus.unwrap_or(default)
    }
}

/// A script to run in the guest as root.
#[derive(Clone, Debug)]
pub struct Job {
    /// A name without white space.
    pub name: String,
    /// The script, on the host.
    pub script: PathBuf,
    /// What is added to its environment.
    pub env: Vec<(String, String)>,
    /// How long it may take.
    pub timeout: Duration,
}

/// What became of a virtual machine.
#[derive(Debug)]
pub struct Outcome {
    /// The jobs that began, in order.
    pub jobs: Vec<JobOutcome>,
    /// Why the machine ended before all jobs had.
    pub failure: Option<String>,
}

/// What became of one job.
#[derive(Debug)]
pub struct JobOutcome {
    /// The job's name.
    pub name: String,
    /// Its exit code; none where it never ended.
    pub exit_code: Option<u8>,
    /// Standard output and standard error.
    pub output: Vec<u8>,
    /// From its begin to its end.
    pub duration: Duration,
}

/// Boots a machine and runs the jobs.
///
/// A kernel that doesn't reach user space is started a second time, with all
/// its messages, and so is one that the emulator's fault ended; that is said on stderr.
pub fn run(options: &Options) -> Result<Outcome> {
    for job in &options.jobs {
        ensure!(
            !job.name.is_empty() && !job.name.contains(char::is_whitespace),
            "{:?} is no name for a job",
            job.name
        );
    }
    qemu::ensure_installed(options.arch)?;
    let kernel = options.kernel.fetch(options.arch)?;
    let disks = if options.root.is_debian() {
        Some(root::Disks {
            root: root::prepare(options.root, options.arch, &options.packages)?,
            modules: kernel.modules()?,
        })
    } else {
        None
    };
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let initrd = scratch.path().join("initrd");
    let nonce = initramfs::write(options, disks.as_ref(), &initrd)?;

    let machine = qemu::Machine {
        options,
        vmlinuz: &kernel.vmlinuz(),
        initrd: &initrd,
        disks: disks.as_ref(),
        scratch: scratch.path(),
        nonce: &nonce,
    };
    let (why, verbosity) = match machine.run("quiet")? {
        qemu::End::Ran(outcome) => return Ok(outcome),
        qemu::End::Emulator(outcome) => (
            format!(
                "died in text patching: {}",
                outcome.failure.unwrap_or_default()
            ),
            "quiet",
        ),
        qemu::End::NoBoot(why) => (format!("did not boot ({why})"), "ignore_loglevel"),
    };
    eprintln!("xtask: Linux {} {why}: once more", kernel.version()?);
    match machine.run(verbosity)? {
        qemu::End::Ran(outcome) | qemu::End::Emulator(outcome) => Ok(outcome),
        qemu::End::NoBoot(why) => Ok(Outcome {
            jobs: Vec::new(),
            failure: Some(why),
        }),
    }
}
