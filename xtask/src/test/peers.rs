//! Ring 4: real peers and users on this machine, through scripts like those of
//! the virtual machines.

use std::ffi::OsString;
use std::io::Read as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::report::{Report, Tally};
use super::script::{Script, evaluate};
use crate::{apt, cmd};

/// Runs it.
pub fn ring(report: &mut Report, full: bool, only: &str) {
    let scripts = match Script::in_directory(&cmd::workspace().join("tests/peers")) {
        Ok(scripts) => scripts,
        Err(error) => return report.step("peers", || Err(error)),
    };
    let scripts: Vec<Script> = scripts
        .into_iter()
        .filter(|script| script.name.contains(only))
        .collect();
    if scripts.is_empty() {
        return report.skip("peers", "no script in tests/peers is asked for");
    }
    for script in &scripts {
        let name = format!("peer {}", script.name);
        if script.head.full_only && !full {
            report.skip(&name, "runs only with --full");
        } else {
            report.step(&name, || run(script, full));
        }
    }
}

fn run(script: &Script, full: bool) -> Result<Tally> {
    let packages: Vec<&str> = script.head.packages.iter().map(String::as_str).collect();
    apt::ensure(&packages)?;
    cmd::run(cmd::cargo().args([
        "build",
        "--quiet",
        "--locked",
        "--release",
        "--package",
        "observer",
        "--package",
        "testbed",
    ]))?;
    let programs = cmd::target_dir().join("release");
    let mut path = OsString::from(&programs);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());

    let mut tally = Tally::default();
    for (name, env) in script.runs() {
        let (mut reader, writer) = std::io::pipe()?;
        let mut command = Command::new("timeout");
        command
            .args(["--signal=KILL", &script.head.timeout.as_secs().to_string()])
            .arg(&script.path)
            .envs(env)
            .env("PATH", &path)
            .env("CAPWATCH", programs.join("capwatch"))
            .env("TESTBED", programs.join("testbed"))
            .env("CAPWATCH_LIB", cmd::workspace().join("tests/vm/lib.sh"))
            .current_dir(cmd::workspace())
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        if full {
            command.env("CAPWATCH_FULL", "1");
        }
        let mut child = command.spawn().context("cannot run timeout")?;
        // It holds the pipe's other end.
        drop(command);
        let mut output = Vec::new();
        reader.read_to_end(&mut output)?;
        let code = child.wait()?.code();
        let output = String::from_utf8_lossy(&output);
        let exit_code = code.map_or(Some(137), |code| u8::try_from(code).ok());
        let result = evaluate(&name, &output, exit_code);
        if result.failed > 0 {
            for line in output.lines() {
                println!("   | {line}");
            }
        }
        tally.extend(result);
    }
    Ok(tally)
}
