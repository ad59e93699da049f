//! Ring 2: the binary on the kernel at hand, as root.
//!
//! Runs with `CAPWATCH_NATIVE=1` alone, since it attaches programs to the
//! machine's own kernel. TESTBED names the programs under test; else they are built.

#![expect(
    clippy::disallowed_types,
    reason = "the agent starts no programs, its tests do"
)]

mod beside;
mod catalogue;
mod deeds;
mod doctor;
mod exits;
mod fair;
mod gate;
mod leftovers;
mod misuse;
mod output;
mod pins;
mod posture;
mod privileges;
mod probe;
mod restart;
mod rig;
mod rules;
mod runtime;
mod sandbox;
mod scale;
mod scenarios;
mod scope;
mod serve;
mod sources;
mod storm;
mod stream;
mod terminal;
mod user;
mod watch;

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use testbed::checks::suite::Stage;

/// The stage, or a word that the test is skipped. One test at a time: they share
/// the machine's counters, and two CPUs.
fn stage(test: &str) -> Option<(&'static Stage, MutexGuard<'static, ()>)> {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    if env::var_os("CAPWATCH_NATIVE").is_none_or(|value| value != "1") {
        println!("skipped: {test} (set CAPWATCH_NATIVE=1, and be root)");
        return None;
    }
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = STAGE.get_or_init(|| {
        let capwatch = Path::new(env!("CARGO_BIN_EXE_capwatch"));
        Stage::new(capwatch, &testbed(capwatch)).expect("no stage")
    });
    Some((stage, turn))
}

/// The programs under test, built as the agent was.
fn testbed(capwatch: &Path) -> PathBuf {
    if let Some(path) = env::var_os("TESTBED") {
        return path.into();
    }
    let directory = capwatch.parent().expect("a binary is in a directory");
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--package", "testbed"]);
    if directory.ends_with("release") {
        command.arg("--release");
    }
    let target = directory.parent().expect("target/PROFILE");
    let status = command.env("CARGO_TARGET_DIR", target).status();
    assert!(
        status.expect("no cargo").success(),
        "testbed can't be built"
    );
    directory.join("testbed")
}

/// A directory that everyone may enter, with the agent in it: the stage is root's alone.
fn for_everyone() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("no directory");
    let everyone = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&directory, everyone).expect("cannot change the mode");
    let capwatch = directory.path().join("capwatch");
    fs::copy(env!("CARGO_BIN_EXE_capwatch"), capwatch).expect("cannot copy");
    directory
}

/// A process that is ended with its test.
struct Guard(Child);

impl Guard {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("cannot start"))
    }

    fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.0.id()).expect("a process id");
        // SAFETY: numbers only; the child is not waited for yet.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "cannot signal");
    }

    /// Its exit code, once it ended.
    fn code(&mut self) -> Option<i32> {
        let mut status = None;
        until("its end", || {
            status = self.0.try_wait().expect("cannot wait");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Waits until it has its own child that executes `name`.
    fn wait_for_child(&self, name: &str) {
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        until("the command to run", || {
            let children = fs::read_to_string(&children).unwrap_or_default();
            children.split_whitespace().any(|pid| {
                let comm = fs::read_to_string(format!("/proc/{pid}/comm"));
                comm.is_ok_and(|comm| comm.trim_end() == name)
            })
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
