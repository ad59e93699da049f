use std::os::fd::AsRawFd;

use super::*;
use crate::{
    config::Rules,
    observation::{Owner, ProcessChange},
    who::Names,
};

fn desk(look: impl Fn(&Ask) + Send + Sync + 'static) -> Desk {
    let rules = Arc::new(Rules::load(None).unwrap());
    let who = Arc::new(Who::new(
        rules,
        Arc::new(Names::default()),
        Arc::default(),
        None,
    ));
    Desk::with(who, Box::new(look)).unwrap()
}

fn soon(mut holds: impl FnMut() -> bool) -> bool {
    (0..500).any(|_| {
        thread::sleep(Duration::from_millis(10));
        holds()
    })
}

#[test]
fn a_look_up_that_never_ends_stops_nothing_but_itself() {
    let desk = desk(|ask| {
        if matches!(ask, Ask::Cgroup { id: 13, .. }) {
            loop {
                thread::park();
            }
        }
    });
    let hung = [13, 13, 13].map(|id| desk.cgroup(id, 1).unwrap());
    let others: Vec<_> = (100..200).map(|id| desk.cgroup(id, 1).unwrap()).collect();
    assert!(soon(|| {
        desk.relieve();
        others.iter().all(Ticket::is_done)
    }));
    assert!(!hung.iter().any(Ticket::is_done));
    assert!(desk.shared.queue().threads <= MAX_THREADS);
}

#[test]
#[expect(clippy::disallowed_types, reason = "a process to look up")]
fn the_executable_of_a_process_that_is_gone_when_its_turn_comes_was_opened() {
    let (begin, begins) = std::sync::mpsc::channel::<()>();
    let begins = Mutex::new(begins);
    let found = Arc::new(Mutex::new(None));
    let finding = Arc::clone(&found);
    let desk = desk(move |ask| match ask {
        Ask::Cgroup { .. } => begins.lock().unwrap().recv().unwrap(),
        Ask::Started(_, executable) => {
            let name = executable.as_ref().and_then(|place| {
                let file = open::executable(place).ok()?;
                std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
            });
            *finding.lock().unwrap() = Some(name);
        }
    });
    let other = desk.cgroup(13, 1).unwrap();
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .unwrap();
    let exe = std::fs::read_link(format!("/proc/{}/exe", child.id())).unwrap();
    let mut event = ProcessEvent {
        change: ProcessChange::Started,
        time: 0,
        owner: Owner::default(),
        cgroup: 0,
        ppid: 1,
        uid: 0,
        above: Owner::default(),
        exe: None,
        exe_uid: None,
    };
    event.owner.tgid = child.id();
    let ticket = desk.started(&event).unwrap();
    assert!(soon(|| desk.shared.queue().open == 1));
    child.kill().unwrap();
    child.wait().unwrap();
    begin.send(()).unwrap();
    assert!(soon(|| other.is_done() && ticket.is_done()));
    assert_eq!(*found.lock().unwrap(), Some(Some(exe)));
    assert_eq!(desk.shared.queue().open, 0);
}

#[test]
fn what_does_not_fit_is_refused_and_counted() {
    let desk = desk(|_| thread::park());
    let asked = (1..).map(|id| desk.cgroup(id, 1)).take(MAX_WAITING + 10);
    let taken = asked.flatten().count();
    assert!(taken <= MAX_WAITING + 1);
    assert_eq!(desk.take_refused(), (MAX_WAITING + 10 - taken) as u64);
    assert_eq!(desk.take_refused(), 0);
}
