//! Whether a record that is made now comes through a source, and how fast: for
//! the self-test, with separate sockets, which do not disturb the agent's.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    os::fd::OwnedFd,
};

use rustix::net::netlink::{AUDIT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::wire;
use crate::audit::MAX_LINE;

/// `AUDIT_NLGRP_READLOG` as a bit mask.
const READLOG: u32 = 1;
/// `AUDIT_USER_AVC`: the one message of user space that the kernel takes also
/// while auditing is off (`audit_receive_msg`, `kernel/audit.c`, 5.10 to 7.3).
const USER_AVC: u16 = 1107;

/// The sources that can be listened to.
pub struct Listeners {
    netlink: Result<OwnedFd, String>,
    kmsg: Result<File, String>,
}

impl Listeners {
    /// Listens from now on.
    pub fn open() -> Self {
        Self {
            netlink: listen().map_err(|error| error.to_string()),
            kmsg: kernel_log().map_err(|error| error.to_string()),
        }
    }

    /// Each source, and why it can't be listened to.
    pub fn sources(&self) -> [(&'static str, Option<String>); 2] {
        let why = |error: Option<&String>| error.cloned();
        [
            ("netlink", why(self.netlink.as_ref().err())),
            ("kmsg", why(self.kmsg.as_ref().err())),
        ]
    }

    /// Whether what came meanwhile holds the word; takes it from the source.
    pub fn received(&mut self, source: &str, word: &str) -> bool {
        let mut buffer = vec![0; MAX_LINE];
        loop {
            let read = match (source, &mut self.netlink, &mut self.kmsg) {
                ("netlink", Ok(socket), _) => {
                    let got = rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::empty());
                    got.map(|(length, _)| length).map_err(io::Error::from)
                }
                ("kmsg", _, Ok(log)) => log.read(&mut buffer),
                _ => return false,
            };
            let Ok(length) = read else {
                return false;
            };
            let length = length.min(buffer.len());
            if memchr::memmem::find(&buffer[..length], word.as_bytes()).is_some() {
                return true;
            }
            if length == 0 {
                return false;
            }
        }
    }
}

/// Has the kernel write a record with this text. Needs
/// `CAP_AUDIT_WRITE` in the initial user namespace.
///
/// # Errors
/// The system call's own, or the kernel's answer.
pub fn write_record(text: &str) -> io::Result<()> {
    let socket = socket()?;
    let kernel = SocketAddrNetlink::new(0, 0);
    let message = wire::message_with(USER_AVC, text.as_bytes());
    rustix::net::sendto(&socket, &message, SendFlags::empty(), &kernel)?;
    let mut buffer = [0; 512];
    let (length, _) = match rustix::net::recv(&socket, &mut buffer, RecvFlags::empty()) {
        // No answer is none to the contrary.
        Err(rustix::io::Errno::AGAIN) => return Ok(()),
        answer => answer?,
    };
    let answer = wire::message(&buffer[..length.min(buffer.len())]);
    let errno = answer.filter(|answer| answer.kind == wire::ERROR);
    match errno.and_then(|answer| wire::errno(answer.payload)) {
        None | Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno)),
    }
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(AUDIT))
}

fn listen() -> rustix::io::Result<OwnedFd> {
    let socket = socket()?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, READLOG))?;
    Ok(socket)
}

fn kernel_log() -> io::Result<File> {
    let mut log = crate::open::system("/dev/kmsg")?;
    log.seek(io::SeekFrom::End(0))?;
    Ok(log)
}
