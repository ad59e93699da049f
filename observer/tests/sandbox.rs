//! What a thread of the agent can still do from within its room, tried on the kernel
//! at hand. It starts itself again for each room, since what a process dropped it has
//! dropped for good.

#![expect(
    clippy::disallowed_types,
    reason = "it starts itself, and tries to start another program"
)]

use std::{
    fs, io,
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

use observer::sandbox::{self, Mode, Plan, Room};

/// Set in the process that is to enter a room.
const ROOM: &str = "CAPWATCH_TEST_ROOM";
/// The folder that it may write in.
const WRITES: &str = "CAPWATCH_TEST_WRITES";

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(ROOM) {
        confined(&name);
        return ExitCode::SUCCESS;
    }
    let own = std::env::current_exe().expect("this program has a path");
    let folder = tempfile::tempdir().expect("no folder for a test");
    for room in Room::ALL {
        let run = Command::new(&own)
            .env(ROOM, format!("{room:?}"))
            .env(WRITES, folder.path())
            .status()
            .expect("cannot start this program again");
        println!(
            "test {room:?} ... {}",
            if run.success() { "ok" } else { "FAILED" }
        );
        if !run.success() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn confined(name: &str) {
    let room = Room::ALL
        .into_iter()
        .find(|room| format!("{room:?}") == name)
        .expect("no such room");
    let writes = std::env::var_os(WRITES).expect("no folder is named");
    let writes: &Path = writes.as_ref();
    // What is open already stays so.
    let listener = TcpListener::bind("127.0.0.1:0").expect("cannot listen");
    let address = listener.local_addr().expect("it listens");
    sandbox::plan(Plan {
        mode: Mode::Auto,
        writes: vec![writes.to_owned()],
        ..Plan::default()
    });
    sandbox::enter(room);
    let lapses = sandbox::lapses();
    let has = |part: &str| !lapses.iter().any(|lapse| lapse.part == part);
    for part in ["no_new_privs", "seccomp", "capabilities"] {
        assert!(has(part), "{lapses:?}");
    }
    refused::<()>("exec", &Err(Command::new("/bin/true").exec()));
    refused("a process", &Command::new("/bin/true").status());
    refused("to connect", &TcpStream::connect(address));
    refused("a socket", &UdpSocket::bind("127.0.0.1:0"));
    refused("to trace", &trace());
    // What nobody listed is absent, as on a kernel without it.
    let hidden = rustix::fs::memfd_create("hidden", rustix::fs::MemfdFlags::CLOEXEC);
    assert_eq!(hidden.err(), Some(rustix::io::Errno::NOSYS));
    if has("landlock") {
        refused(
            "to write elsewhere",
            &fs::write("/tmp/capwatch-sandbox", "x"),
        );
        refused("to run over a device", &fs::write("/dev/null", "x"));
        let own = fs::write(writes.join(name), "x");
        let may = matches!(room, Room::Main | Room::Events);
        assert_eq!(own.is_ok(), may, "{room:?}: {own:?}");
        let reads = fs::read("/etc/hostname");
        let may = matches!(room, Room::Main | Room::LookUp | Room::AuditLog);
        assert_eq!(reads.is_ok(), may, "{room:?}: {reads:?}");
    } else {
        println!("no Landlock here: {lapses:?}");
    }
    // A thread that it starts has no more than it.
    let status = std::thread::spawn(|| status_of("/proc/thread-self/status"));
    let status = status.join().expect("the thread ends");
    if let Some(status) = status {
        let field = |name: &str| {
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim_start_matches(':').trim().to_owned())
        };
        assert_eq!(field("NoNewPrivs").as_deref(), Some("1"), "{status}");
        assert_eq!(field("Seccomp").as_deref(), Some("2"), "{status}");
        let effective = field("CapEff").expect("it has a set");
        let effective = u64::from_str_radix(&effective, 16).expect("a set is hexadecimal");
        let most = room.capabilities(true).bits();
        assert_eq!(effective & !most, 0, "{room:?}: {effective:#x}");
    } else {
        assert!(!matches!(room, Room::Main | Room::LookUp | Room::Web));
    }
}

/// What a room without files cannot read.
fn status_of(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn trace() -> io::Result<()> {
    // SAFETY: no pointer is handed over.
    match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn refused<T: std::fmt::Debug>(what: &str, result: &io::Result<T>) {
    let kind = result.as_ref().map_err(io::Error::kind);
    assert!(
        matches!(kind, Err(io::ErrorKind::PermissionDenied)),
        "{what}: {result:?}"
    );
}
