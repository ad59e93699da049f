use std::os::unix::fs::symlink;

use rustix::{
    fs::inotify,
    process::{getpid, getuid},
};

use super::{
    folder::{beneath, step_by_step},
    *,
};

const LIMIT: u64 = 1 << 20;

fn own() -> u32 {
    getuid().as_raw()
}

fn folder() -> (tempfile::TempDir, Folder) {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::open(temporary.path()).unwrap();
    (temporary, folder)
}

fn both(folder: &Folder, path: &str) -> [Result<OwnedFd, Refused>; 2] {
    let path = Path::new(path);
    [
        beneath(&folder.place, path),
        step_by_step(&folder.place, path),
    ]
}

#[test]
fn links_and_ways_out_are_refused_with_and_without_openat2() {
    let (temporary, folder) = folder();
    let at = |name: &str| temporary.path().join(name);
    std::fs::create_dir(at("in")).unwrap();
    std::fs::write(at("in/file"), "x").unwrap();
    symlink(at("in"), at("link")).unwrap();
    symlink(at("in/file"), at("in/last")).unwrap();
    for place in both(&folder, "in/file") {
        assert!(place.is_ok());
    }
    let absolute = at("in/file");
    for path in [
        "link/file",
        "in/last",
        "../x",
        "in/../../x",
        absolute.to_str().unwrap(),
    ] {
        for place in both(&folder, path) {
            assert!(place.is_err(), "{path}");
        }
    }
    assert_eq!(folder.read("in/file", own(), LIMIT).unwrap(), b"x");
    assert!(folder.below("link").is_err());
    assert!(folder.below("in/file").is_err());
    assert_eq!(folder.below("in").unwrap().names(1).len(), 1);
}

/// How often anything in a folder was really opened; a place is none.
fn opened_while(folder: &Path, act: impl FnOnce()) -> usize {
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&watch, folder, inotify::WatchFlags::OPEN).unwrap();
    act();
    let mut room = [std::mem::MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(&watch, &mut room);
    let mut count = 0;
    while let Ok(event) = reader.next() {
        count += usize::from(event.file_name().is_some());
    }
    count
}

#[test]
fn a_pipe_is_not_opened() {
    let (temporary, folder) = folder();
    let pipe = temporary.path().join("config.json");
    let fifo = FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let opened = opened_while(temporary.path(), || {
        let refused = folder.read("config.json", own(), LIMIT);
        assert!(matches!(refused, Err(Refused::Kind)));
        assert!(!folder.has("config.json"));
    });
    assert_eq!(opened, 0);
    std::fs::write(temporary.path().join("plain"), "x").unwrap();
    let opened = opened_while(temporary.path(), || {
        folder.read("plain", own(), LIMIT).unwrap();
    });
    assert_eq!(opened, 1, "the watch counts");
}

#[test]
fn giants_and_foreign_files_are_refused_unopened() {
    let (temporary, folder) = folder();
    let giant = temporary.path().join("giant");
    File::create(&giant).unwrap().set_len(LIMIT + 1).unwrap();
    std::fs::write(temporary.path().join("file"), "x").unwrap();
    let opened = opened_while(temporary.path(), || {
        let refused = folder.read("giant", own(), LIMIT);
        assert!(matches!(refused, Err(Refused::Size(LIMIT))));
        let refused = folder.read("file", own() + 1, LIMIT);
        assert!(matches!(refused, Err(Refused::Owner { .. })));
    });
    assert_eq!(opened, 0);
}

/// A child that leads a session without a terminal, as a unit does, and reads
/// the other end of a pty as if it were a file.
#[test]
fn a_terminal_does_not_become_the_agents() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let path = Path::new(name.to_str().unwrap());
    let (parent, file) = (path.parent().unwrap(), path.file_name().unwrap());
    let folder = Folder::open(parent).unwrap();
    // SAFETY: the child calls what is safe after fork in a process of several
    // threads: system calls, and no allocation before it ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let _ = rustix::process::setsid();
        let place = rustix::fs::openat(&folder.place, file, PLACE, Mode::empty());
        let refused = place.is_ok_and(|place| {
            rustix::fs::fstat(place).is_ok_and(|about| kind(&about) != FileType::RegularFile)
        });
        // The operator may name a terminal; even that one is not taken.
        let opened = rustix::fs::open(path, READ | OFlags::NONBLOCK, Mode::empty()).is_ok();
        let none = rustix::fs::open("/dev/tty", OFlags::RDONLY, Mode::empty()).is_err();
        let good = refused && opened && none;
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(
        (waited, status),
        (child, 0),
        "{}",
        getpid().as_raw_nonzero()
    );
    let refused = folder.read(file, own(), LIMIT);
    assert!(matches!(refused, Err(Refused::Kind)), "{refused:?}");
}

#[test]
fn the_executable_of_this_process_is_found() {
    let own = place_of_executable(std::process::id()).unwrap();
    assert!(executable(&own).is_ok());
    assert!(place_of_executable(u32::MAX).is_err());
}
