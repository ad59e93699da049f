//! `/dev/kmsg`: the last resort. Silent beside auditd, otherwise ten records in
//! five seconds (`kauditd_printk_skb`, `kernel/audit.c`, 6.12).

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use thiserror::Error;
use tokio::io::unix::AsyncFd;

use super::event::LostReason;
use super::ready;
use super::sink::{Sink, realtime};
use crate::audit::{Aside, Kmsg};

/// One record of the kernel's log at most (`PRINTKRB_RECORD_MAX` is 1024, and
/// each byte may be escaped to four), with its header and dictionary.
const RECORD: usize = 8192;

/// Records taken before other tasks get their turn.
const BATCH: usize = 256;

/// Why the kernel's log cannot be read.
#[derive(Debug, Error)]
pub enum KmsgError {
    /// Refused.
    #[error(
        "cannot read /dev/kmsg: CAP_SYSLOG is missing (kernel.dmesg_restrict is 1), or the \
         device's mode forbids it; run as root, or use netlink (CAP_AUDIT_READ)"
    )]
    Denied,
    /// Failed otherwise.
    #[error("cannot read /dev/kmsg: {0}")]
    Open(#[source] io::Error),
}

/// A reader of the kernel's log.
#[derive(Debug)]
pub struct KernelLog {
    device: AsyncFd<OwnedFd>,
}

impl KernelLog {
    /// Opens the log at its end; must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`KmsgError`] says what is missing.
    pub fn open() -> Result<Self, KmsgError> {
        let device = crate::open::system("/dev/kmsg").map_err(|error| {
            if error.kind() == io::ErrorKind::PermissionDenied {
                KmsgError::Denied
            } else {
                KmsgError::Open(error)
            }
        })?;
        let device = OwnedFd::from(device);
        rustix::fs::seek(&device, SeekFrom::End(0))
            .map_err(|error| KmsgError::Open(error.into()))?;
        Ok(Self {
            device: ready::register(device).map_err(KmsgError::Open)?,
        })
    }

    /// Reads until nobody listens to `sink` any more, or the device fails.
    pub async fn run(self, mut sink: Sink) {
        sink.up();
        let mut buffer = vec![0; RECORD].into_boxed_slice();
        let mut expected = None;
        while !sink.is_closed() {
            let mut guard = match self.device.readable().await {
                Ok(guard) => guard,
                Err(error) => {
                    return sink.down(format!("cannot wait for the kernel's log: {error}"));
                }
            };
            match guard
                .try_io(|device| receive(device.get_ref(), &mut buffer, &mut expected, &mut sink))
            {
                Ok(Ok(())) => tokio::task::yield_now().await,
                Ok(Err(error)) => {
                    return sink.down(format!("cannot read the kernel's log: {error}"));
                }
                Err(_) => {}
            }
        }
    }
}

fn receive(
    device: &OwnedFd,
    buffer: &mut [u8],
    expected: &mut Option<u64>,
    sink: &mut Sink,
) -> io::Result<()> {
    for _ in 0..BATCH {
        match rustix::io::read(device, &mut *buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => offer(&buffer[..length], expected, sink),
            // Overwritten: the next read goes on at the oldest record there is,
            // whose number shows how many are gone. INVAL: longer than the
            // buffer, and stepped over likewise.
            Err(Errno::PIPE | Errno::INTR | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn offer(record: &[u8], expected: &mut Option<u64>, sink: &mut Sink) {
    let Some(kmsg) = Kmsg::split(record) else {
        return;
    };
    let overwritten = expected.map_or(0, |number| kmsg.sequence.saturating_sub(number));
    if overwritten > 0 {
        sink.lost(LostReason::KmsgOverwritten, overwritten);
    }
    *expected = Some(kmsg.sequence + 1);
    sink.offer(kmsg.parse(), realtime());
    if kmsg.from_kernel && sink.wants_calls() {
        sink.offer_aside(Aside::parse_line(&kmsg.text));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::mpsc;

    use super::*;
    use crate::sources::audit::{Counters, Dedup, SourceEvent, SourceName};

    #[test]
    fn a_gap_in_the_numbers_is_a_loss() {
        let (sender, mut receiver) = mpsc::channel(8);
        let counters = Arc::new(Counters::default());
        let dedup = Arc::new(Mutex::new(Dedup::new(8)));
        let mut sink = Sink::new(SourceName::Kmsg, sender, Arc::clone(&counters), dedup);
        let mut expected = None;
        for record in [
            "5,10,1,-;x\n",
            "5,11,1,-;x\n",
            "5,15,1,-;audit: type=1400 audit(1.1:1): apparmor=\"DENIED\" pid=7 capability=8\n",
        ] {
            offer(record.as_bytes(), &mut expected, &mut sink);
        }
        assert_eq!(counters.lost(LostReason::KmsgOverwritten), 3);
        assert_eq!(counters.snapshot().foreign, 2);
        assert!(matches!(
            receiver.try_recv(),
            Ok(SourceEvent::Lost { count: 3, .. })
        ));
        assert!(matches!(
            receiver.try_recv(),
            Ok(SourceEvent::Record { .. })
        ));
    }
}
