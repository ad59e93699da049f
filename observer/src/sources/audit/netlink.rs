//! The kernel's audit multicast group, beside auditd if there is one.
//!
//! Every record goes there (`kauditd_send_multicast_skb`, `kernel/audit.c`,
//! 6.12), but only in the initial network namespace: elsewhere the socket binds
//! and receives nothing. One that systemd made there and passed (`ListenNetlink=audit 1`)
//! works from any namespace, and takes no capability.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use listenfd::ListenFd;
use rustix::io::Errno;
use rustix::net::netlink::{AUDIT, SocketAddrNetlink};
use rustix::net::{RecvFlags, sockopt};
use thiserror::Error;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::count::LostCount;
use super::event::LostReason;
use super::ready;
use super::sequence::Sequence;
use super::sink::{Sink, realtime};
use super::socket;
use super::wire;
use crate::{
    audit::{Aside, MAX_LINE, parse_message},
    sandbox,
};

/// `AUDIT_NLGRP_READLOG` as a bit mask.
const READLOG: u32 = 1;

/// Holds about 100,000 records; the kernel charges each datagram its buffer's
/// true size, some 700 bytes.
const RECEIVE_BUFFER: usize = 64 << 20;

/// Where a socket's figures have its drops, and how many figures there are
/// (`include/uapi/linux/sock_diag.h`).
const SK_MEMINFO_DROPS: usize = 8;
const SK_MEMINFO_VARS: usize = 9;

/// Datagrams taken before other tasks get their turn.
const BATCH: usize = 256;

/// How often gaps and drops are settled, and the kernel is asked for its count.
const SETTLE: Duration = Duration::from_secs(1);

/// Why the multicast group cannot be listened to.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// No such socket: `audit=0`, or the kernel is built without audit.
    #[error("there is no audit socket (audit=0, or a kernel without CONFIG_AUDIT): {0}")]
    Socket(#[source] io::Error),
    /// Listening was refused.
    #[error(
        "cannot listen to the audit log: CAP_AUDIT_READ is missing in the initial user namespace; run as root or grant it"
    )]
    Denied,
    /// Listening failed otherwise.
    #[error("cannot listen to the audit log: {0}")]
    Bind(#[source] io::Error),
}

/// Whether this process is in the initial network namespace; nothing where that
/// cannot be known.
///
/// Asks for sysctls that are registered for the initial namespace alone
/// (`net_core_table`, `net/core/sysctl_net_core.c`, 6.12), since comparing with
/// `/proc/1/ns/net` takes `CAP_SYS_PTRACE`.
pub fn in_initial_network_namespace() -> Option<bool> {
    let own = std::fs::read_link("/proc/self/ns/net");
    let first = std::fs::read_link("/proc/1/ns/net");
    // Equal links prove it only where pid 1 is the host's, so they are
    // evidence against and not for.
    if let (Ok(own), Ok(first)) = (own, first)
        && own != first
    {
        return Some(false);
    }
    std::fs::metadata("/proc/sys/net/core").ok()?;
    Some(std::path::Path::new("/proc/sys/net/core/netdev_max_backlog").exists())
}

/// A listener of the audit multicast group.
#[derive(Debug)]
pub struct Netlink {
    socket: AsyncFd<OwnedFd>,
    /// Reports the kernel's own count, where it may be asked.
    status: Option<LostCount>,
}

impl Netlink {
    /// Binds to the group; must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`NetlinkError`] says what is missing.
    pub fn bind() -> Result<Self, NetlinkError> {
        let socket = socket::open().map_err(|error| NetlinkError::Socket(error.into()))?;
        // Beyond net.core.rmem_max needs CAP_NET_ADMIN; what is granted is used.
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)
                .map_err(|error| NetlinkError::Socket(error.into()))?;
        }
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, READLOG)).map_err(
            |error| match error {
                Errno::PERM | Errno::ACCESS => NetlinkError::Denied,
                other => NetlinkError::Bind(other.into()),
            },
        )?;
        let socket = ready::register(socket).map_err(NetlinkError::Bind)?;
        let status = lost_count();
        Ok(Self { socket, status })
    }

    /// Takes over a socket that listens already; must be called within a tokio runtime.
    ///
    /// # Errors
    /// When it can't be waited for.
    pub fn passed(socket: OwnedFd) -> Result<Self, NetlinkError> {
        rustix::io::ioctl_fionbio(&socket, true)
            .map_err(|error| NetlinkError::Bind(error.into()))?;
        let socket = ready::register(socket).map_err(NetlinkError::Bind)?;
        let status = lost_count();
        Ok(Self { socket, status })
    }

    /// Whether the kernel shows how many records it lost: needs
    /// `CAP_AUDIT_CONTROL`, which a reader has no business to hold.
    pub const fn knows_kernel_lost(&self) -> bool {
        self.status.is_some()
    }

    /// Bytes that the socket may hold.
    ///
    /// # Errors
    /// The system call's own.
    pub fn receive_buffer(&self) -> io::Result<usize> {
        Ok(sockopt::socket_recv_buffer_size(self.socket.get_ref())?)
    }

    /// Reads until nobody listens to `sink` any more, or the socket fails.
    pub async fn run(self, mut sink: Sink) {
        sink.up();
        let mut reading = Reading {
            buffer: vec![0; MAX_LINE].into_boxed_slice(),
            sequence: Sequence::default(),
            drops: self.drops().unwrap_or(0),
            lost: self.status.as_ref().map(LostCount::first),
        };
        let start = Instant::now();
        let mut settle = interval(SETTLE);
        settle.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !sink.is_closed() {
            tokio::select! {
                ready = self.socket.readable() => {
                    let mut guard = match ready {
                        Ok(guard) => guard,
                        Err(error) => return sink.down(format!("cannot wait for audit records: {error}")),
                    };
                    match guard.try_io(|socket| self.receive(socket.get_ref(), &mut reading, &mut sink, start)) {
                        // More may wait: let others run, then go on.
                        Ok(Ok(())) => tokio::task::yield_now().await,
                        Ok(Err(error)) => return sink.down(format!("cannot read audit records: {error}")),
                        // Drained: wait for the next.
                        Err(_) => {}
                    }
                }
                _ = settle.tick() => self.settle(&mut reading, &sink, nanos_since(start)),
            }
        }
    }

    /// Takes up to [`BATCH`] datagrams; `WouldBlock` when there are none left.
    fn receive(
        &self,
        socket: &OwnedFd,
        reading: &mut Reading,
        sink: &mut Sink,
        start: Instant,
    ) -> io::Result<()> {
        for _ in 0..BATCH {
            match rustix::net::recvfrom(socket, &mut *reading.buffer, RecvFlags::empty()) {
                Ok((length, _, sender)) => {
                    // Only the kernel's own port, 0, is believed.
                    let sender =
                        sender.and_then(|address| SocketAddrNetlink::try_from(address).ok());
                    if sender.is_some_and(|address| address.pid() == 0) {
                        let Reading {
                            buffer, sequence, ..
                        } = reading;
                        offer(&buffer[..length], sequence, sink, nanos_since(start));
                    }
                }
                Err(Errno::NOBUFS) => self.overflown(reading, sink, nanos_since(start)),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The socket had no room: it goes on, and the kernel counted what it dropped.
    fn overflown(&self, reading: &mut Reading, sink: &Sink, now: u64) {
        let drops = self.drops();
        let count = drops.map_or(1, |total| total.saturating_sub(reading.drops));
        reading.drops = drops.unwrap_or(reading.drops);
        if count > 0 {
            reading.sequence.explain(count, now);
            sink.lost(LostReason::SocketOverflow, count);
        }
    }

    fn settle(&self, reading: &mut Reading, sink: &Sink, now: u64) {
        if self.drops().is_some_and(|total| total > reading.drops) {
            self.overflown(reading, sink, now);
        }
        // The rate limit's drops leave gaps too, and are counted once: the count
        // comes within a second or two, a gap is reported after two.
        if let Some(lost) = self.status.as_ref().and_then(LostCount::newest)
            && let Some(before) = reading.lost.replace(lost)
        {
            let new = u64::from(lost.wrapping_sub(before));
            if new > 0 {
                reading.sequence.explain(new, now);
                sink.lost(LostReason::KernelLost, new);
            }
        }
        let missing = reading.sequence.settle(now);
        if missing > 0 {
            sink.lost(LostReason::SequenceGap, missing);
        }
    }

    /// The kernel's count of datagrams that this socket had no room for.
    fn drops(&self) -> Option<u64> {
        drops_of(self.socket.get_ref())
    }
}

/// The kernel's own count of lost records, where it may be asked for all the time: in its
/// sandbox this process may not, and each question would be a denial.
fn lost_count() -> Option<LostCount> {
    if sandbox::is_planned() {
        return None;
    }
    LostCount::open()
}

/// State of the read loop.
struct Reading {
    buffer: Box<[u8]>,
    sequence: Sequence,
    /// Drops reported so far.
    drops: u64,
    /// The kernel's count so far.
    lost: Option<u32>,
}

fn offer(datagram: &[u8], sequence: &mut Sequence, sink: &mut Sink, now: u64) {
    let Some(message) = wire::message(datagram) else {
        return;
    };
    // All types take a number from the same row.
    if let Some(serial) = wire::serial(message.payload) {
        sequence.arrived(serial, now);
    }
    sink.offer(parse_message(message.kind, message.payload), realtime());
    if sink.wants_calls() {
        sink.offer_aside(Aside::parse_message(message.kind, message.payload));
    }
}

fn nanos_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The audit log's socket among those that systemd passed; the others stay there.
pub fn take_passed(passed: &mut ListenFd) -> Option<OwnedFd> {
    (0..passed.len()).find_map(|index| {
        let taken = passed.take_custom(
            index,
            libc::AF_NETLINK,
            libc::SOCK_RAW,
            "socket of the audit log",
        );
        let socket: OwnedFd = taken.ok().flatten()?;
        let protocol = sockopt::socket_protocol(&socket).ok().flatten();
        (protocol == Some(AUDIT)).then_some(socket)
    })
}

/// What the kernel could not put into a socket (`sk_get_meminfo`, `net/core/sock.c`,
/// 6.12): of this socket, whichever network namespace it is in.
fn drops_of(socket: &OwnedFd) -> Option<u64> {
    let mut figures = [0_u32; SK_MEMINFO_VARS];
    let mut length = u32::try_from(size_of_val(&figures)).ok()?;
    // SAFETY: the kernel writes at most `length` bytes, which are those of `figures`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            figures.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(u64::from(figures[SK_MEMINFO_DROPS]))
}

impl std::os::fd::AsFd for Netlink {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}

impl AsRawFd for Netlink {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_counts_what_a_socket_has_no_room_for() {
        use rustix::net::{
            AddressFamily, SendFlags, SocketFlags, SocketType, bind, netlink::USERSOCK, sendto,
        };

        let socket = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let kind = Some(USERSOCK);
            let socket =
                rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, kind);
            socket.expect("no socket")
        };
        let (listener, sender) = (socket(), socket());
        let group = SocketAddrNetlink::new(0, 1);
        bind(&listener, &group).expect("not bound");
        sockopt::set_socket_recv_buffer_size(&listener, 1).expect("no buffer");
        assert_eq!(drops_of(&listener), Some(0));
        for _ in 0..64 {
            // What the group has no room for is no error of the sender's.
            let _ = sendto(&sender, &[0_u8; 512], SendFlags::empty(), &group);
        }
        assert!(drops_of(&listener).is_some_and(|drops| drops > 0));
    }
}
