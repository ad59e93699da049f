//! What one program keeps for the next of the same call: one store, and nothing to
//! clear up where the next one doesn't come.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;

use super::{
    maps::{UNDERWAY, UNDERWAY_PLACES},
    turn,
};

/// What is kept.
#[repr(u64)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What `get_vfs_caps_from_disk` was called with.
    Asked = 1,
    /// The capabilities that a file has an exec refused for.
    File,
    /// The capabilities that a file promises to a followed process.
    Gains,
    /// Where the sets are that capset is asked for: effective, inheritable, permitted.
    Sets,
    /// A call that will be refused: the call, the rule, and the capabilities it lacks.
    Broke,
    /// A write to a map: the file, the text, its length.
    Map,
    /// What `cap_bprm_creds_from_file` was called with, within which others keep theirs.
    Exec,
    /// The header that capset was called with, likewise.
    Header,
}

/// Keeps something for this thread, in place of what was.
#[inline(always)]
pub fn keep(kind: Kind, words: [u64; 3]) {
    let thread = bpf_get_current_pid_tgid();
    if let Some(place) = UNDERWAY.get_ptr_mut(place(thread, kind)) {
        // SAFETY: a live map value; who reads it compares the thread.
        unsafe {
            (*place).thread = thread;
            (*place).kind = kind as u64;
            (*place).words = words;
        }
    }
}

/// Takes what this thread kept.
#[inline(always)]
pub fn take(kind: Kind) -> Option<[u64; 3]> {
    let thread = bpf_get_current_pid_tgid();
    let place = UNDERWAY.get_ptr_mut(place(thread, kind))?;
    // SAFETY: a live map value.
    unsafe {
        if (*place).thread != thread || (*place).kind != kind as u64 {
            return None;
        }
        // Programs of another version may come after these, and count.
        if turn::counts() {
            (*place).thread = 0;
        }
        Some((*place).words)
    }
}

#[inline(always)]
fn place(thread: u64, kind: Kind) -> u32 {
    let half = UNDERWAY_PLACES / 2;
    (thread as u32 & (half - 1))
        | if kind as u64 >= Kind::Exec as u64 {
            half
        } else {
            0
        }
}
