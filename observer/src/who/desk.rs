//! Look-ups on separate threads: a file that never answers stops nothing but
//! its own look-up.
//!
//! The agent hands in what it wants to know and goes on. Whatever needs the answer
//! waits for it, for a short time, without stopping the agent.

use std::{
    collections::VecDeque,
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{Standing, Who};
use crate::{
    observation::ProcessEvent,
    open,
    sandbox::{self, Room},
};

/// Look-ups that wait; what comes beyond is not looked up.
const MAX_WAITING: usize = 16_384;
/// Threads, of which each may hang at a file.
const MAX_THREADS: usize = 8;
/// Threads at least: one looks up, one opens executables meanwhile.
const THREADS: usize = 2;
/// Executables that are open while their look-ups wait.
const MAX_OPEN: usize = 64;
/// A look-up that has waited for so long gets another thread.
const PATIENCE: Duration = Duration::from_millis(100);

/// That something is being looked up.
#[derive(Clone, Debug)]
pub struct Ticket(Arc<AtomicBool>);

impl Ticket {
    /// Whether it was looked up by now.
    pub fn is_done(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

enum Ask {
    /// With its executable, where that is open: the process may be gone when its turn
    /// comes.
    Started(Box<ProcessEvent>, Option<OwnedFd>),
    Cgroup {
        id: u64,
        pid: u32,
        again: bool,
    },
}

struct Waiting {
    ask: Ask,
    since: Instant,
    ticket: Ticket,
}

impl Waiting {
    const fn is_open(&self) -> bool {
        matches!(self.ask, Ask::Started(_, Some(_)))
    }
}

/// Where look-ups are handed in.
pub struct Desk {
    who: Arc<Who>,
    shared: Arc<Shared>,
}

/// What a thread takes on.
enum Job {
    /// Open its executable, where there is room for another one.
    Open(Waiting, bool),
    Look(Waiting),
}

/// Looks something up, and may take for ever.
type Look = Box<dyn Fn(&Ask) + Send + Sync>;

struct Shared {
    look: Look,
    queue: Mutex<Queue>,
    more: Condvar,
    /// Another thread is wanted.
    wanted: Condvar,
    /// Something was looked up.
    done: Arc<Notify>,
}

struct Queue {
    /// What began, and its executable is not open yet.
    arriving: VecDeque<Waiting>,
    waiting: VecDeque<Waiting>,
    /// Executables that are open.
    open: usize,
    threads: usize,
    /// Threads that are still to be started.
    missing: usize,
    idle: usize,
    refused: u64,
    is_closed: bool,
}

impl Desk {
    /// A desk with its first threads.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn open(who: Arc<Who>) -> io::Result<Self> {
        let looking = Arc::clone(&who);
        let look = move |ask: &Ask| match ask {
            Ask::Started(event, executable) => {
                looking.started(event, executable.as_ref());
            }
            Ask::Cgroup { id, pid, again } => {
                looking.of_cgroup(*id, *pid, *again);
            }
        };
        Self::with(who, Box::new(look))
    }

    fn with(who: Arc<Who>, look: Look) -> io::Result<Self> {
        let desk = Self {
            who,
            shared: Arc::new(Shared {
                look,
                queue: Mutex::new(Queue {
                    arriving: VecDeque::new(),
                    waiting: VecDeque::new(),
                    open: 0,
                    threads: THREADS,
                    missing: THREADS,
                    idle: 0,
                    refused: 0,
                    is_closed: false,
                }),
                more: Condvar::new(),
                wanted: Condvar::new(),
                done: Arc::default(),
            }),
        };
        let shared = Arc::clone(&desk.shared);
        // Who starts a thread hands on the sandbox that it has entered, so not the
        // agent's own thread starts those for look-ups.
        thread(move || {
            sandbox::enter(Room::LookUp);
            hire(&shared);
        })?;
        Ok(desk)
    }

    /// Rings when something was looked up.
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.done)
    }

    /// Has a supervisor looked up that has just begun; `None` where too many wait.
    pub fn started(&self, event: &ProcessEvent) -> Option<Ticket> {
        self.hand_in(Ask::Started(Box::new(event.clone()), None))
    }

    /// Has a cgroup looked up; `None` where it is known, or too many wait. One that
    /// is known for long is looked at again, and nobody waits for that.
    pub fn cgroup(&self, id: u64, pid: u32) -> Option<Ticket> {
        self.look_at(id, pid, false)
    }

    /// The same where a container's first process was launched in it.
    pub fn launched(&self, id: u64, pid: u32) -> Option<Ticket> {
        self.look_at(id, pid, true)
    }

    fn look_at(&self, id: u64, pid: u32, is_launch: bool) -> Option<Ticket> {
        if id == 0 {
            return None;
        }
        let standing = self.who.standing(id, is_launch);
        let is_old = standing == Standing::Old;
        if standing == Standing::Known || (is_old && !self.shared.queue().waiting.is_empty()) {
            return None;
        }
        let again = standing != Standing::New;
        self.hand_in(Ask::Cgroup { id, pid, again })
            .filter(|_| !is_old)
    }

    /// Look-ups that were refused since this was last asked.
    pub fn take_refused(&self) -> u64 {
        std::mem::take(&mut self.shared.queue().refused)
    }

    fn hand_in(&self, ask: Ask) -> Option<Ticket> {
        let ticket = Ticket(Arc::default());
        {
            let mut queue = self.shared.queue();
            if queue.arriving.len() + queue.waiting.len() >= MAX_WAITING {
                queue.refused += 1;
                return None;
            }
            let line = match ask {
                Ask::Started(..) => &mut queue.arriving,
                Ask::Cgroup { .. } => &mut queue.waiting,
            };
            line.push_back(Waiting {
                ask,
                since: Instant::now(),
                ticket: ticket.clone(),
            });
        }
        self.shared.more.notify_one();
        Some(ticket)
    }

    /// Adds a thread where one that hangs keeps others waiting; to be called now
    /// and then.
    pub fn relieve(&self) {
        let mut queue = self.shared.queue();
        let is_late = |first: &Waiting| first.since.elapsed() > PATIENCE;
        let late = queue.arriving.front().is_some_and(is_late)
            || queue.waiting.front().is_some_and(is_late);
        if late && queue.idle < THREADS && queue.threads < MAX_THREADS {
            queue.threads += 1;
            queue.missing += 1;
            self.shared.wanted.notify_one();
        }
    }
}

/// Starts threads as they are wanted, until the desk closes.
fn hire(shared: &Arc<Shared>) {
    let mut queue = shared.queue();
    loop {
        let is_content = |queue: &mut Queue| queue.missing == 0 && !queue.is_closed;
        queue = shared
            .wanted
            .wait_while(queue, is_content)
            .unwrap_or_else(PoisonError::into_inner);
        if queue.is_closed {
            return;
        }
        queue.missing -= 1;
        drop(queue);
        let working = Arc::clone(shared);
        let hired = thread(move || work(&working));
        queue = shared.queue();
        if let Err(error) = hired {
            queue.threads -= 1;
            tracing::warn!("no thread for look-ups: {error}");
        }
    }
}

fn thread(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let named = thread::Builder::new().name("look-up".to_owned());
    named.spawn(run).map(drop)
}

impl Drop for Desk {
    /// Threads that hang are left to the end of the process.
    fn drop(&mut self) {
        self.shared.queue().is_closed = true;
        self.shared.more.notify_all();
        self.shared.wanted.notify_all();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some(arriving) = queue.arriving.pop_front() {
                let has_room = queue.open < MAX_OPEN;
                if has_room {
                    queue.open += 1;
                }
                return Some(Job::Open(arriving, has_room));
            }
            // Another thread opens executables meanwhile.
            if queue.idle > 0
                && let Some(waiting) = queue.waiting.pop_front()
            {
                return Some(Job::Look(waiting));
            }
            // More threads were needed for a while only.
            if queue.idle >= THREADS {
                return None;
            }
            queue.idle += 1;
            queue = self
                .more
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn open(&self, mut arrived: Waiting, has_room: bool) {
        if let Ask::Started(event, executable) = &mut arrived.ask
            && has_room
        {
            *executable = open::place_of_executable(event.owner.tgid).ok();
        }
        let mut queue = self.queue();
        if has_room && !arrived.is_open() {
            queue.open -= 1;
        }
        queue.waiting.push_back(arrived);
    }

    fn look(&self, waiting: Waiting) {
        let was_open = waiting.is_open();
        let Waiting { ask, ticket, .. } = waiting;
        (self.look)(&ask);
        drop(ask);
        if was_open {
            self.queue().open -= 1;
        }
        ticket.0.store(true, Ordering::Release);
        self.done.notify_one();
    }
}

fn work(shared: &Shared) {
    while let Some(job) = shared.next() {
        match job {
            Job::Open(waiting, has_room) => shared.open(waiting, has_room),
            Job::Look(waiting) => shared.look(waiting),
        }
    }
    shared.queue().threads -= 1;
}

#[cfg(test)]
mod tests;
