//! Steps: a program under test as a line of words, carried out from left to right.
//!
//! One process does only what its words say, so the drops and denials that
//! a test expects are all that there are. What a test needs first (a smaller
//! bounding set, say) another program does before it execs the one under test:
//! `testbed do drop except:chown exec testsup do fork clear`.

mod parse;
mod run;
pub mod sys;

pub use parse::parse;
pub use run::run;

/// What the help says of the words.
pub const HELP: &str = "\
Steps:
  drop LIST         one PR_CAPBSET_DROP for each, whatever comes of it: names, numbers of
                    64 bits, `all`, or `except:LIST`
  drop32 LIST       the same by the gate of 32-bit tasks (x86_64 alone)
  clear             capctl's bounding::clear(); where it fails, the process exits with 1
  try-clear         the same, and goes on where it fails
  lower LIST        takes capabilities out of the thread's effective set (one capset)
  raise LIST        puts them back from the permitted set (one capset)
  capset            sets the sets that the thread has anyway
  setuid UID        whatever comes of it
  rename            another thread name each time
  unshare           enters a new user namespace, with no ids mapped
  profile NAME      has AppArmor change to this profile at the next exec
  fork STEPS end    a child does them; its exit code is the last one's
  detach STEPS end  a grandchild in a session of its own does them, and nobody waits for it
  orphan STEPS end  the same, but its end is waited for
  thread STEPS end  a thread does them, and is waited for
  threads N STEPS end   N threads do them at the same time, and are waited for
  async STEPS end   a thread does them, and nobody waits for it
  gate N            one child that dies of a refused drop, then N that are refused nothing
  repeat N STEPS end    the process itself does them N times
  leave             ends the calling thread alone
  sleep MS
  kill SIGNAL       sends the number to itself
  exit CODE
  exec PROGRAM ARGUMENTS…   takes all words that follow
  execute PROGRAM ARGUMENTS… done
  spawn PROGRAM ARGUMENTS… done     posix_spawn(3), and waits for it
An `end` at the end may be left out. After the last step a process exits with
the code of its last child, else 0.";

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Drops from the bounding set.
    Drop(Vec<u64>),
    /// The same, by the gate of 32-bit tasks.
    #[cfg(target_arch = "x86_64")]
    Drop32(Vec<u64>),
    /// Clears the bounding set as capctl does.
    Clear {
        /// Whether a failure ends the process.
        fatal: bool,
    },
    /// Changes the effective set.
    Effective {
        /// The bits to change.
        bits: u64,
        /// Whether they are raised or lowered.
        raise: bool,
    },
    /// `setuid(2)`
    Setuid(u32),
    /// Another name of the thread, each time.
    Rename,
    /// `unshare(CLONE_NEWUSER)`
    Unshare,
    /// The `AppArmor` profile of the next exec.
    Profile(String),
    /// A child process.
    Fork(Vec<Step>),
    /// A grandchild in its own session.
    Daemon {
        /// What it does.
        steps: Vec<Step>,
        /// Whether its end is waited for.
        wait: bool,
    },
    /// Threads.
    Threads {
        /// How many.
        count: u32,
        /// What each does.
        steps: Vec<Step>,
        /// Whether their end is waited for.
        wait: bool,
    },
    /// The same steps again and again.
    Repeat(u32, Vec<Step>),
    /// The end of the calling thread.
    Leave,
    /// Milliseconds of sleep.
    Sleep(u64),
    /// A signal to itself.
    Kill(i32),
    /// The end of the process.
    Exit(i32),
    /// Another program.
    Exec(Vec<String>),
    /// Another program in its own process, by `posix_spawn(3)`.
    Spawn(Vec<String>),
}
