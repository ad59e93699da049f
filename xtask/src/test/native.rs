//! Ring 2: the kernel at hand, as root.

use super::report::{Check, Report, Tally};
use super::source::cargo_test;
use crate::{bpf, cmd};

/// Runs it.
pub fn ring(report: &mut Report) {
    report.step("BPF objects", || {
        let mut tally = Tally::default();
        tally.add("bpf --check", Check::Ok(bpf::check()?));
        Ok(tally)
    });
    let name = "native tests";
    if !cmd::workspace().join("observer/tests/native.rs").exists()
        && !cmd::workspace()
            .join("observer/tests/native/main.rs")
            .exists()
    {
        report.skip(name, "observer has no test target `native`");
        return;
    }
    let mut command = cmd::cargo();
    command
        .args([
            "test",
            "--locked",
            "--package",
            "observer",
            "--test",
            "native",
        ])
        .args(["--", "--test-threads=1"])
        .env("CAPWATCH_NATIVE", "1");
    if !cmd::is_root() {
        if cmd::in_path("sudo").is_none() {
            report.skip(name, "neither root nor sudo");
            return;
        }
        // Built as the user, run as root.
        let target = format!(
            "{}_UNKNOWN_LINUX_GNU",
            std::env::consts::ARCH.to_uppercase()
        );
        command.env(
            format!("CARGO_TARGET_{target}_RUNNER"),
            "sudo --non-interactive -E",
        );
    }
    report.step(name, || cargo_test(&mut command));
}
