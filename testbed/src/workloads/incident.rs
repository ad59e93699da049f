//! The incident's supervisor in small: a child that clears its bounding set
//! between fork and exec, with std and capctl, and the error as std reports it.

use std::{
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

/// Spawn COMMAND as the incident's supervisor does, and report as it did
#[derive(clap::Args)]
pub struct Args {
    /// What the sandbox would run
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs it; returns the command's exit code, or 1 where it never ran.
pub fn run(args: &Args) -> ExitCode {
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    // SAFETY: the closure makes system calls only, and allocates just where it fails.
    unsafe { command.pre_exec(clear) };
    match command.status() {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            ExitCode::from(code.unwrap_or(1))
        }
        Err(error) => {
            // The child's EPERM has become EINVAL: it was no OS error any more.
            let _ = writeln!(io::stderr(), "Error:   × {error}");
            ExitCode::FAILURE
        }
    }
}

fn clear() -> io::Result<()> {
    capctl::bounding::clear().map_err(|error| io::Error::other(error.to_string()))
}
