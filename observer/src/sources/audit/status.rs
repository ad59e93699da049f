//! What the kernel says of its audit log, and who takes its records.

use std::{io, os::fd::OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::{AUDIT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use serde::Serialize;

use super::wire;

/// `struct audit_status` (`include/uapi/linux/audit.h`, 5.10), but for its mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditStatus {
    /// 0 off, 1 on, 2 locked; records of security modules are made at 0 too.
    pub enabled: u32,
    /// The process that records are sent to; 0 where there is none.
    pub pid: u32,
    /// Records a second beyond which they are dropped; 0 for no limit.
    pub rate_limit: u32,
    /// Records that may wait.
    pub backlog_limit: u32,
    /// Records lost since boot.
    pub lost: u32,
    /// Records that wait.
    pub backlog: u32,
}

/// Asks the kernel. Needs `CAP_AUDIT_CONTROL` in the initial user namespace.
///
/// # Errors
/// The system call's own; `ProtocolNotSupported` with `audit=0`.
pub fn audit_status() -> io::Result<AuditStatus> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(AUDIT))?;
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(
        &socket,
        &wire::request(wire::GET),
        SendFlags::empty(),
        &kernel,
    )?;
    let mut buffer = [0; 512];
    // Refusals come with the request, the answer by a thread of the kernel's
    // (`audit_send_reply`, kernel/audit.c, 5.10 to 7.3).
    for _ in 0..4 {
        wait(&socket)?;
        let (length, _) = rustix::net::recv(&socket, &mut buffer, RecvFlags::empty())?;
        let Some(message) = wire::message(&buffer[..length.min(buffer.len())]) else {
            continue;
        };
        match message.kind {
            wire::GET => return parse(message.payload).ok_or(io::ErrorKind::InvalidData.into()),
            wire::ERROR => match wire::errno(message.payload) {
                Some(0) => {}
                Some(errno) => return Err(io::Error::from_raw_os_error(errno)),
                None => return Err(io::ErrorKind::InvalidData.into()),
            },
            _ => {}
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Waits for an answer; where none comes, reading says so.
fn wait(socket: &OwnedFd) -> rustix::io::Result<()> {
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    let patience = Timespec {
        tv_sec: 0,
        tv_nsec: 500_000_000,
    };
    poll(&mut fds, Some(&patience)).map(drop)
}

fn parse(payload: &[u8]) -> Option<AuditStatus> {
    let word = |index: usize| {
        let bytes = payload.get(index * 4..)?.first_chunk::<4>()?;
        Some(u32::from_ne_bytes(*bytes))
    };
    Some(AuditStatus {
        enabled: word(1)?,
        pid: word(3)?,
        rate_limit: word(4)?,
        backlog_limit: word(5)?,
        lost: word(6)?,
        backlog: word(7)?,
    })
}

/// Processes that hold an audit socket without listening to the multicast
/// group, by the socket's port, which is the process id as a rule: auditd.
/// Needs no privilege.
pub fn audit_sockets() -> Vec<u32> {
    let table = crate::open::text("/proc/net/netlink").unwrap_or_default();
    unicast_ports(&table)
}

fn unicast_ports(table: &str) -> Vec<u32> {
    let lines = table.lines().skip(1);
    let ports = lines.filter_map(|line| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [_, family, port, groups, ..] = cells.as_slice() else {
            return None;
        };
        let port: u32 = port.parse().ok()?;
        let groups = u32::from_str_radix(groups, 16).ok()?;
        (*family == "9" && groups == 0 && port != 0).then_some(port)
    });
    ports.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_its_words_in_order() {
        let words: Vec<u8> = (0..10_u32).flat_map(u32::to_ne_bytes).collect();
        let status = parse(&words).unwrap();
        let AuditStatus {
            enabled,
            pid,
            rate_limit,
            backlog_limit,
            lost,
            backlog,
        } = status;
        assert_eq!(
            [enabled, pid, rate_limit, backlog_limit, lost, backlog],
            [1, 3, 4, 5, 6, 7]
        );
        assert_eq!(parse(&words[..28]), None);
    }

    #[test]
    fn auditd_is_distinguished_from_listeners() {
        let table = "sk Eth Pid Groups Rmem\n\
                     0 9 0 00000000 0\n\
                     0 9 3010 00000001 0\n\
                     0 9 412 00000000 0\n\
                     0 0 99 00000000 0\n";
        assert_eq!(unicast_ports(table), [412]);
        assert_eq!(unicast_ports(""), Vec::<u32>::new());
    }
}
