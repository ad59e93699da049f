//! The terminal of a live command: its size, and keys without Enter.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp,
    tcgetwinsize, tcsetattr,
};
use tokio::io::{Interest, unix::AsyncFd};

/// Columns and rows of the terminal behind a stream; none where there is none.
pub fn size(stream: &impl AsFd) -> Option<(usize, usize)> {
    let size = isatty(stream)
        .then(|| tcgetwinsize(stream).ok())
        .flatten()?;
    // A terminal that doesn't know its size says 0.
    let known = |value: u16, otherwise: usize| match value {
        0 => otherwise,
        value => usize::from(value),
    };
    Some((known(size.ws_col, 80), known(size.ws_row, 24)))
}

/// Keys as they are typed, without echo. What the terminal was set to comes back
/// when this goes; signals from the keyboard stay what they are.
pub struct Keys {
    input: AsyncFd<OwnedFd>,
    saved: Termios,
}

impl Keys {
    /// Takes the keys of standard input; none where it is no terminal, or
    /// belongs to another command in the foreground.
    ///
    /// # Errors
    /// When the terminal can't be set or polled.
    pub fn take() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !isatty(&stdin) || !in_foreground(&stdin) {
            return Ok(None);
        }
        let own = rustix::io::dup(&stdin)?;
        // SAFETY: an `OwnedFd` is the same open descriptor for as long as it lives.
        let input = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE)? };
        let saved = tcgetattr(&input)?;
        let keys = Self { input, saved };
        keys.set()?;
        Ok(Some(keys))
    }

    /// Sets the terminal again, as after a stop, where a shell has reset it.
    ///
    /// # Errors
    /// When the terminal can't be set.
    pub fn set(&self) -> io::Result<()> {
        if !in_foreground(&self.input) {
            return Ok(());
        }
        let mut raw = self.saved.clone();
        raw.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO);
        // A read returns at once with what there is.
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        Ok(tcsetattr(&self.input, OptionalActions::Now, &raw)?)
    }

    /// Waits until someone wants to leave: `q`, the end of input, or the
    /// terminal is gone.
    pub async fn leave(&self) {
        loop {
            let Ok(mut ready) = self.input.readable().await else {
                return;
            };
            let gone = ready.ready().is_read_closed();
            // A read from the background would stop the process.
            if !gone && !in_foreground(&self.input) {
                ready.clear_ready();
                continue;
            }
            let mut typed = [0; 64];
            match rustix::io::read(&self.input, &mut typed) {
                Ok(0) if gone => return,
                Ok(0) => ready.clear_ready(),
                Ok(count) if typed[..count].iter().any(|key| b"qQ\x04".contains(key)) => return,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        if in_foreground(&self.input) {
            let _ = tcsetattr(&self.input, OptionalActions::Now, &self.saved);
        }
    }
}

fn in_foreground(terminal: &impl AsFd) -> bool {
    let own = rustix::process::getpgrp();
    tcgetpgrp(terminal).is_ok_and(|group| group == own)
}
