//! What a thread of the agent may still do once everything is attached.
//!
//! Capabilities, `no_new_privs`, seccomp filters and Landlock's rules belong to a
//! thread, and a new thread has those of the thread that started it. So each
//! thread enters its room when it begins, and the main one after attaching. A room
//! that the kernel can't give is reported; with `--sandbox required` it ends the
//! agent.

mod calls;
mod files;
mod filter;
mod report;
mod room;

use std::{
    borrow::Cow,
    path::PathBuf,
    process,
    sync::{Mutex, OnceLock, PoisonError},
    thread,
};

use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

pub use report::{Report, ReportedLapse, State};
pub use room::Room;

/// How much of a sandbox there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// None
    Off,
    /// What the kernel has; what it lacks is reported
    #[default]
    Auto,
    /// All of it, or the agent does not start
    Required,
}

/// The sandbox of a process.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How much of it.
    pub mode: Mode,
    /// Folders in which the agent writes: of its events, of its state.
    pub writes: Vec<PathBuf>,
    /// Where maps, programs and links are pinned.
    pub pins: Vec<PathBuf>,
    /// Files and folders that the web thread reads again.
    pub web: Vec<PathBuf>,
    /// Folders of Unix sockets, whose files the web thread removes at its end.
    pub sockets: Vec<PathBuf>,
}

/// A part of the sandbox that could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{part} is not available: {why}")]
pub struct Lapse {
    /// `no_new_privs`, `seccomp`, `landlock` or `capabilities`.
    pub part: Cow<'static, str>,
    /// As the system says it.
    pub why: String,
}

/// The plan, and whether maps ask for `CAP_BPF`: no room reads it any more.
static PLAN: OnceLock<(Plan, bool)> = OnceLock::new();
static LAPSES: Mutex<Vec<Lapse>> = Mutex::new(Vec::new());

/// Sets what the threads of this process enter from now on; to be called once,
/// before the first of them starts.
pub fn plan(plan: Plan) {
    // A second plan would hold for some threads only.
    let _ = PLAN.set((plan, room::maps_ask()));
}

/// Whether threads of this process give up capabilities that it has now.
pub fn is_planned() -> bool {
    mode() != Mode::Off
}

fn mode() -> Mode {
    PLAN.get().map_or(Mode::Off, |(plan, _)| plan.mode)
}

/// Confines the calling thread to its room. Without a plan nothing happens, so
/// the same threads serve commands that have no sandbox.
pub fn enter(room: Room) {
    let Some((plan, maps_ask)) = PLAN.get().filter(|(plan, _)| plan.mode != Mode::Off) else {
        return;
    };
    for lapse in confine(room, plan, *maps_ask) {
        if plan.mode == Mode::Required {
            eprintln!("capwatch: {lapse}; start without --sandbox required to run without it");
            process::exit(1);
        }
        let mut lapses = LAPSES.lock().unwrap_or_else(PoisonError::into_inner);
        if !lapses.iter().any(|known| known.part == lapse.part) {
            tracing::warn!("the sandbox is incomplete: {lapse}");
            lapses.push(lapse);
        }
    }
}

/// The parts that could not be had, each once.
pub fn lapses() -> Vec<Lapse> {
    LAPSES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// The sandbox that the threads of this process entered.
pub fn report() -> Report {
    Report::new(Some(mode()), lapses())
}

/// What this kernel can give, tried on a thread that ends with it.
pub fn try_out() -> Report {
    let confined = || confine(Room::Plain, &Plan::default(), false);
    let thread = thread::Builder::new().name("sandbox".to_owned());
    let lapses = match thread.spawn(confined).map(thread::JoinHandle::join) {
        Ok(Ok(lapses)) => lapses,
        Ok(Err(_)) => vec![lapse("seccomp")("the thread died".to_owned())],
        Err(error) => vec![lapse("seccomp")(format!("no thread: {error}"))],
    };
    Report::new(None, lapses)
}

fn lapse(part: &'static str) -> impl Fn(String) -> Lapse {
    move |why| Lapse {
        part: Cow::Borrowed(part),
        why,
    }
}

/// Confines the thread; what could not be had is returned.
fn confine(room: Room, plan: &Plan, maps_ask: bool) -> Vec<Lapse> {
    let parts = [
        no_new_privs().map_err(lapse("no_new_privs")),
        files::restrict(room, plan).map_err(lapse("landlock")),
        keep(room.capabilities(maps_ask)).map_err(lapse("capabilities")),
        // The last, since it refuses some of the calls above.
        filter::install(room).map_err(lapse("seccomp")),
    ];
    parts.into_iter().filter_map(Result::err).collect()
}

fn no_new_privs() -> Result<(), String> {
    rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string())
}

/// Keeps of the thread's capabilities those of a set, and hands on none.
fn keep(set: CapabilitySet) -> Result<(), String> {
    let kept = || {
        let own = rustix::thread::capabilities(None)?;
        let kept = own.permitted & set;
        rustix::thread::set_capabilities(
            None,
            CapabilitySets {
                effective: kept,
                permitted: kept,
                inheritable: CapabilitySet::empty(),
            },
        )
    };
    kept().map_err(|error: rustix::io::Errno| error.to_string())
}
