//! Signals that are passed on to the command, and its terminal.

use std::io::{self, IsTerminal as _};

use tokio::{
    process::Child,
    signal::unix::{Signal, SignalKind, signal},
};

/// Signals that the command is to have.
pub(super) struct Signals {
    kinds: Vec<(SignalKind, Signal)>,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::quit(),
            SignalKind::hangup(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        let kinds: io::Result<_> = kinds
            .into_iter()
            .map(|kind| Ok((kind, signal(kind)?)))
            .collect();
        Ok(Self { kinds: kinds? })
    }

    pub(super) async fn next(&mut self) -> SignalKind {
        std::future::poll_fn(|context| {
            for (kind, signal) in &mut self.kinds {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*kind);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Hands a signal on, unless the terminal has sent it to the command already.
pub(super) fn forward(child: &Child, kind: SignalKind) {
    use rustix::process::{Pid, Signal, kill_process};

    let from_terminal = kind == SignalKind::interrupt() || kind == SignalKind::quit();
    if from_terminal && in_foreground() {
        return;
    }
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let signal = Signal::from_named_raw(kind.as_raw_value());
    if let (Some(pid), Some(signal)) = (pid, signal) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}

fn in_foreground() -> bool {
    let stdin = io::stdin();
    let own = rustix::process::getpgrp();
    stdin.is_terminal() && rustix::termios::tcgetpgrp(&stdin).is_ok_and(|group| group == own)
}
