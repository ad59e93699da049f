//! `watch` on a terminal: a real pseudo-terminal, as a person has it.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use testbed::checks::suite::Stage;

use crate::{Guard, until};

/// A terminal, and a `watch` that has it as its own.
struct Terminal {
    watch: Guard,
    keyboard: File,
    screen: Arc<Mutex<String>>,
    /// The terminal itself, to look at its settings.
    own: OwnedFd,
}

impl Terminal {
    fn open(stage: &Stage, columns: u16, rows: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("no pseudo-terminal");
        grantpt(&master).expect("not granted");
        unlockpt(&master).expect("not unlocked");
        let own = ioctl_tiocgptpeer(&master, flags).expect("no other end");
        resize(&own, columns, rows);
        let stream = || Stdio::from(own.try_clone().expect("no copy"));
        let mut command = stage.capwatch();
        command
            .args(["watch", "--config", "config.toml"])
            .env_remove("NO_COLOR")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream());
        // SAFETY: both are system calls alone, fit for a child before exec.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(std::io::stdin())?;
                Ok(())
            });
        }
        let watch = Guard::start(&mut command);
        let keyboard = File::from(master);
        let mut output = keyboard.try_clone().expect("no copy");
        let screen = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&screen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                shared.lock().expect("no panic").push_str(&text);
            }
        });
        let terminal = Self {
            watch,
            keyboard,
            screen,
            own,
        };
        until("the heading", || terminal.text().contains("VERDICT"));
        terminal
    }

    fn text(&self) -> String {
        self.screen.lock().expect("no panic").clone()
    }

    /// What is written once this was done to a supervisor, up to the verdict.
    fn after_a_failure(&self, stage: &Stage) -> String {
        let before = self.text().len();
        until("a failed drop", || {
            let mut command = Command::new(stage.path("testbed"));
            command
                .args(["do", "drop", "except:chown", "exec"])
                .arg(stage.path("testsup"));
            let done = command.args(["do", "fork", "clear"]).status();
            done.expect("cannot run");
            thread::sleep(Duration::from_millis(200));
            self.text()[before..].contains("fatal")
        });
        self.text()[before..].to_owned()
    }

    fn type_key(&mut self, key: &[u8]) {
        self.keyboard.write_all(key).expect("cannot type");
    }

    fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.own).expect("no settings").local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }
}

fn resize(terminal: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_col: columns,
        ws_row: rows,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal.as_fd(), size).expect("cannot resize");
}

/// The text without the escapes that colour it.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = escape.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

fn widest(text: &str) -> usize {
    let lines = plain(text);
    let widths = lines.lines().map(|line| line.chars().count());
    widths.max().unwrap_or(0)
}

#[test]
fn q_leaves_and_the_terminal_is_as_before() {
    let Some((stage, _turn)) = crate::stage("watch on a terminal: q") else {
        return;
    };
    for key in [&b"q"[..], b"\x04", b"\x03"] {
        let mut terminal = Terminal::open(stage, 100, 30);
        until("the keys to be taken", || !terminal.echoes());
        terminal.type_key(b"x\r");
        thread::sleep(Duration::from_millis(100));
        assert!(
            matches!(terminal.watch.0.try_wait(), Ok(None)),
            "x ended it"
        );
        terminal.type_key(key);
        assert_eq!(terminal.watch.code(), Some(0), "{key:?}");
        assert!(terminal.echoes(), "{key:?}");
    }
}

#[test]
fn columns_fit_the_terminal_and_follow_its_size() {
    let Some((stage, _turn)) = crate::stage("watch on a terminal: resize") else {
        return;
    };
    let terminal = Terminal::open(stage, 80, 24);
    let first = terminal.after_a_failure(stage);
    assert!(widest(&first) <= 80, "{first}");
    assert!(first.contains("\u{1b}[1;31mfatal\u{1b}[0m"), "{first:?}");
    let line = plain(&first);
    let line = line.lines().find(|line| line.contains("fatal"));
    let line = line.expect("a line").to_owned();

    // The verdict is under its heading.
    let heading = plain(&terminal.text());
    let heading = heading.lines().find(|line| line.contains("VERDICT"));
    let column = |line: &str, word: &str| {
        let (before, _) = line.split_once(word).expect("the word");
        before.chars().count()
    };
    let heading = heading.expect("a heading");
    assert_eq!(column(heading, "VERDICT"), column(&line, "fatal"));

    resize(&terminal.own, 140, 24);
    let second = terminal.after_a_failure(stage);
    assert!(second.contains("VERDICT"), "no new heading: {second}");
    assert!(widest(&second) > 80 && widest(&second) <= 140, "{second}");
}
