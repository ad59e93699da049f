//! The kernel's own count of records that nobody got.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvFlags, SendFlags};

use super::{socket, wire};

/// How long the first answer is waited for.
const PATIENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 500_000_000,
};

/// Asks for the count, and reads the answers when they are there: a separate
/// kernel thread sends them (`audit_send_reply`, `kernel/audit.c`, 6.12).
#[derive(Debug)]
pub(super) struct LostCount {
    socket: OwnedFd,
    first: u32,
}

impl LostCount {
    /// Nothing where the kernel refuses to answer: that takes `CAP_AUDIT_CONTROL`.
    pub(super) fn open() -> Option<Self> {
        let socket = socket::open().ok()?;
        ask(&socket)?;
        let mut fds = [PollFd::new(&socket, PollFlags::IN)];
        poll(&mut fds, Some(&PATIENCE)).ok()?;
        let first = answers(&socket)?;
        ask(&socket)?;
        Some(Self { socket, first })
    }

    /// The count when this was opened.
    pub(super) const fn first(&self) -> u32 {
        self.first
    }

    /// The newest answer that has come, and asks again.
    pub(super) fn newest(&self) -> Option<u32> {
        let newest = answers(&self.socket);
        ask(&self.socket);
        newest
    }
}

fn ask(socket: &OwnedFd) -> Option<()> {
    let kernel = SocketAddrNetlink::new(0, 0);
    let request = wire::request(wire::GET);
    rustix::net::sendto(socket, &request, SendFlags::empty(), &kernel).ok()?;
    Some(())
}

/// The last count among the answers that wait.
fn answers(socket: &OwnedFd) -> Option<u32> {
    let mut buffer = [0; 512];
    let mut newest = None;
    while let Ok((length, _)) = rustix::net::recv(socket, &mut buffer, RecvFlags::empty()) {
        let message = wire::message(&buffer[..length.min(512)]);
        let status = message.filter(|message| message.kind == wire::GET);
        newest = status
            .and_then(|message| wire::status_lost(message.payload))
            .or(newest);
    }
    newest
}
