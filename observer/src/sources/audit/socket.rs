//! A socket of the audit family.

use std::os::fd::OwnedFd;

use rustix::net::netlink::AUDIT;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// Opens one; it is bound to nothing.
pub(super) fn open() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(AUDIT))
}
