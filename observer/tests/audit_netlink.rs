//! The multicast group of the kernel at hand; needs root in the initial user
//! and network namespaces, and says so where it is missing.
//!
//! Records are provoked as a message bus does it: a `USER_AVC` message, which the
//! kernel logs whether auditing is enabled or not (`audit_receive_msg`,
//! `kernel/audit.c`, 6.12).

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use observer::sources::audit::netlink::{Netlink, in_initial_network_namespace};
use observer::sources::audit::{Counters, Dedup, LostReason, Sink, SourceEvent, SourceName};
use rustix::net::netlink::{AUDIT, SocketAddrNetlink};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};
use tokio::sync::mpsc;

const USER_AVC: u16 = 1107;

/// All listeners of the host receive all records: one test at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn speaker() -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(AUDIT),
    )
}

/// Has the kernel log a record; needs `CAP_AUDIT_WRITE`. The kernel takes the last
/// byte for a terminator.
fn say(socket: &OwnedFd, marker: &str, number: u32) -> rustix::io::Result<()> {
    let text = format!(
        "apparmor=\"DENIED\" operation=\"{marker}\" name=\"{number}\" pid=1 capability=8 label=\"test\"\0"
    );
    let length = 16 + text.len();
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(&u32::try_from(length).expect("short").to_ne_bytes());
    message.extend_from_slice(&USER_AVC.to_ne_bytes());
    message.extend_from_slice(&1_u16.to_ne_bytes());
    message.extend_from_slice(&number.to_ne_bytes());
    message.extend_from_slice(&0_u32.to_ne_bytes());
    message.extend_from_slice(text.as_bytes());
    rustix::net::sendto(
        socket,
        &message,
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )
    .map(drop)
}

fn listen(capacity: usize) -> Option<(Netlink, Sink, mpsc::Receiver<SourceEvent>, Arc<Counters>)> {
    match (in_initial_network_namespace(), Netlink::bind()) {
        (Some(true), Ok(netlink)) => {
            let (sender, receiver) = mpsc::channel(capacity);
            let counters = Arc::new(Counters::default());
            let dedup = Arc::new(Mutex::new(Dedup::new(1024)));
            let sink = Sink::new(SourceName::Netlink, sender, Arc::clone(&counters), dedup);
            Some((netlink, sink, receiver, counters))
        }
        (namespace, bound) => {
            eprintln!(
                "skipped: initial network namespace {namespace:?}, {:?}",
                bound.err()
            );
            None
        }
    }
}

#[tokio::test]
async fn the_kernel_s_records_arrive() {
    let _alone = ALONE.lock().await;
    let Some((netlink, sink, mut receiver, counters)) = listen(256) else {
        return;
    };
    let task = tokio::spawn(netlink.run(sink));
    let socket = speaker().expect("a socket");
    for number in 0..50 {
        say(&socket, "capwatch_arrive", number).expect("CAP_AUDIT_WRITE");
    }
    let mut numbers = Vec::new();
    while numbers.len() < 50 {
        let event = tokio::time::timeout(Duration::from_secs(10), receiver.recv()).await;
        let Some(SourceEvent::Record {
            record, received, ..
        }) = event.expect("in time")
        else {
            continue;
        };
        if record.operation.as_deref() == Some(b"capwatch_arrive") {
            assert_eq!(record.profile.as_deref(), Some(&b"test"[..]));
            assert_eq!(record.message_type, Some(USER_AVC));
            let stamped = record.epoch.expect("a stamp").nanos();
            assert!(
                received.abs_diff(stamped) < 2_000_000_000,
                "{received} {stamped}"
            );
            let name = record.name.as_deref().expect("a name");
            numbers.push(
                String::from_utf8_lossy(name)
                    .parse::<u32>()
                    .expect("a number"),
            );
        }
    }
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    assert_eq!(counters.lost(LostReason::SocketOverflow), 0);
    assert!(counters.is_up());
    drop(receiver);
    tokio::time::timeout(Duration::from_secs(5), task)
        .await
        .expect("it ends")
        .expect("no panic");
}

/// A flood into a small socket: every record is counted as read or as lost.
#[tokio::test(flavor = "current_thread")]
async fn a_flood_is_read_or_counted_as_lost() {
    const FLOOD: u32 = 20_000;
    let _alone = ALONE.lock().await;
    let Some((netlink, sink, mut receiver, counters)) = listen(1 << 16) else {
        return;
    };
    sockopt::set_socket_recv_buffer_size_force(&netlink, 64 * 1024).expect("CAP_NET_ADMIN");
    let task = tokio::spawn(netlink.run(sink));
    tokio::task::yield_now().await;
    // On this one thread nothing is read until all is said: the socket overflows.
    let socket = speaker().expect("a socket");
    for number in 0..FLOOD {
        say(&socket, "capwatch_flood", number).expect("CAP_AUDIT_WRITE");
    }
    say(&socket, "capwatch_flood", FLOOD).expect("CAP_AUDIT_WRITE");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(8);
    while tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut read = 0;
    while let Ok(event) = receiver.try_recv() {
        if let SourceEvent::Record { record, .. } = event
            && record.operation.as_deref() == Some(b"capwatch_flood")
        {
            read += 1;
        }
    }
    let (overflow, gap) = (
        counters.lost(LostReason::SocketOverflow),
        counters.lost(LostReason::SequenceGap),
    );
    eprintln!(
        "read {read}, socket overflow {overflow}, sequence gap {gap}, of {}",
        FLOOD + 1
    );
    assert!(overflow > 0, "the socket was to overflow");
    assert!(
        read + overflow + gap >= u64::from(FLOOD),
        "{read} read, {overflow} and {gap} lost"
    );
    // Others may log beside the test, but not thousands.
    assert!(
        read + overflow + gap < u64::from(FLOOD) + 2000,
        "{read} read, {overflow} and {gap} lost"
    );
    task.abort();
}
