//! The programs of ours that a guest has in its PATH, linked statically so
//! that one build serves every root.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::Arch;
use crate::cmd;
use crate::toolchain::Toolchain;

/// Builds them; returns name and file of each.
pub fn programs(arch: Arch) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut programs = vec![("observer", "capwatch")];
    if cmd::workspace().join("testbed/Cargo.toml").is_file() {
        programs.push(("testbed", "testbed"));
    }
    let mut command = match arch {
        Arch::X86_64 => cmd::cargo(),
        Arch::Arm64 => Toolchain::install_arm64()?.cargo(),
    };
    static_build(&mut command, arch);
    for (package, binary) in &programs {
        command.args(["--package", package, "--bin", binary]);
    }
    cmd::run(&mut command)?;

    let directory = directory(arch).join(arch.target()).join("release");
    Ok(programs
        .into_iter()
        .map(|(_, binary)| (binary, directory.join(binary)))
        .collect())
}

fn static_build(command: &mut Command, arch: Arch) {
    let variable = |name: &str| {
        format!(
            "CARGO_TARGET_{}_{name}",
            arch.target().to_uppercase().replace('-', "_")
        )
    };
    command
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--target",
            arch.target(),
        ])
        .env("CARGO_TARGET_DIR", directory(arch))
        .env(variable("RUSTFLAGS"), "-Ctarget-feature=+crt-static")
        // Debug information would only make the initramfs larger.
        .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    if arch == Arch::Arm64 {
        command.env(variable("LINKER"), OsStr::new("aarch64-linux-gnu-gcc"));
    }
}

/// Another compiler's build would throw away the usual target directory's.
fn directory(arch: Arch) -> PathBuf {
    match arch {
        Arch::X86_64 => cmd::target_dir(),
        Arch::Arm64 => cmd::target_dir().join("arm64"),
    }
}
