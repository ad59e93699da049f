//! The same record through two sources counts once.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use super::event::SourceName;
use crate::audit::{Form, Record};

/// Ways by which a record may come: each source, in each form.
const WAYS: usize = SourceName::ALL.len() * Form::COUNT;

/// Remembers the newest records by stamp, serial, type and content.
///
/// One system call may write the same record twice, under one serial number:
/// these are two records, and a source that saw both has reported two. So the
/// number reported is the greatest that any one source has seen in any one form.
#[derive(Debug)]
pub struct Dedup {
    seen: HashMap<u64, [u16; WAYS]>,
    order: VecDeque<u64>,
    /// By content alone: how often it was reported with a stamp by the kernel's log, and
    /// without one by journald.
    contents: HashMap<u64, [u16; 2]>,
    content_order: VecDeque<u64>,
    capacity: usize,
    hasher: RandomState,
}

impl Dedup {
    /// Remembers `capacity` records, then forgets the oldest.
    pub fn new(capacity: usize) -> Self {
        Self {
            seen: HashMap::new(),
            order: VecDeque::new(),
            contents: HashMap::new(),
            content_order: VecDeque::new(),
            capacity: capacity.max(1),
            hasher: RandomState::new(),
        }
    }

    /// Whether `record`, seen by `source` in this form, has not been reported yet. Records without
    /// stamp or serial are new, since nothing distinguishes them; but for journald's copy of what
    /// the kernel's log has too, which `journalctl` prints without a stamp: of these two, so
    /// many are reported as the one that has more.
    pub fn is_new(&mut self, source: SourceName, form: Form, record: &Record<'_>) -> bool {
        let (Some(epoch), Some(serial)) = (record.epoch, record.serial) else {
            return form != Form::Journal || self.is_more(record, false);
        };
        if epoch.is_zero() || record.zone_unknown {
            return true;
        }
        let key = self.hasher.hash_one((
            epoch,
            serial,
            record.message_type,
            record.pid,
            record.capability,
            record.profile.as_deref(),
            record.operation.as_deref(),
            record.name.as_deref(),
            record.verdict,
        ));
        if !self.seen.contains_key(&key) {
            while self.order.len() >= self.capacity {
                if let Some(oldest) = self.order.pop_front() {
                    self.seen.remove(&oldest);
                }
            }
            self.order.push_back(key);
        }
        let counts = self.seen.entry(key).or_default();
        let most = counts.iter().copied().max().unwrap_or(0);
        let own = &mut counts[source as usize * Form::COUNT + form as usize];
        *own = own.saturating_add(1);
        let is_new = *own > most || *own == u16::MAX;
        is_new && (form != Form::KernelLog || self.is_more(record, true))
    }

    /// Whether this copy makes more of its kind than there are of the other.
    fn is_more(&mut self, record: &Record<'_>, stamped: bool) -> bool {
        let key = self.hasher.hash_one((
            record.lsm,
            record.verdict,
            record.operation.as_deref(),
            record.profile.as_deref(),
            record.namespace.as_deref(),
            record.comm.as_deref(),
            record.pid,
            record.capability,
            record.name.as_deref(),
        ));
        if !self.contents.contains_key(&key) {
            while self.content_order.len() >= self.capacity {
                if let Some(oldest) = self.content_order.pop_front() {
                    self.contents.remove(&oldest);
                }
            }
            self.content_order.push_back(key);
        }
        let counts = self.contents.entry(key).or_default();
        let most = counts[0].max(counts[1]);
        let own = &mut counts[usize::from(stamped)];
        *own = own.saturating_add(1);
        *own > most || *own == u16::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Epoch;

    fn record(serial: u64) -> Record<'static> {
        Record {
            epoch: Epoch::from_millis(1_795_458_347_188),
            serial: Some(serial),
            message_type: Some(1400),
            capability: Some(8),
            ..Record::default()
        }
    }

    #[test]
    fn two_sources_one_record() {
        let mut dedup = Dedup::new(16);
        assert!(dedup.is_new(SourceName::Netlink, Form::Audit, &record(1)));
        assert!(!dedup.is_new(SourceName::Kmsg, Form::Audit, &record(1)));
        assert!(dedup.is_new(SourceName::Kmsg, Form::Audit, &record(2)));
        assert!(!dedup.is_new(SourceName::Netlink, Form::Audit, &record(2)));
    }

    /// journald has it from the audit socket and from the kernel's log.
    #[test]
    fn one_source_two_forms_one_record() {
        let mut dedup = Dedup::new(16);
        let mut is_new = |form| dedup.is_new(SourceName::Stream, form, &record(1));
        assert!(is_new(Form::Journal));
        assert!(!is_new(Form::KernelLog));
        assert!(is_new(Form::KernelLog));
        assert!(!is_new(Form::Journal));
    }

    #[test]
    fn one_source_two_equal_records_of_one_system_call() {
        let mut dedup = Dedup::new(16);
        assert!(dedup.is_new(SourceName::Netlink, Form::Audit, &record(1)));
        assert!(dedup.is_new(SourceName::Netlink, Form::Audit, &record(1)));
        assert!(!dedup.is_new(SourceName::Auditd, Form::Audit, &record(1)));
        assert!(!dedup.is_new(SourceName::Auditd, Form::Audit, &record(1)));
        assert!(dedup.is_new(SourceName::Auditd, Form::Audit, &record(1)));
    }

    #[test]
    fn records_of_one_serial_that_differ_are_two() {
        let mut dedup = Dedup::new(16);
        assert!(dedup.is_new(SourceName::Netlink, Form::Audit, &record(1)));
        let other = Record {
            capability: Some(21),
            ..record(1)
        };
        assert!(dedup.is_new(SourceName::Kmsg, Form::Audit, &other));
    }

    #[test]
    fn without_a_stamp_nothing_is_the_same() {
        let mut dedup = Dedup::new(16);
        for stamped in [
            Record {
                epoch: None,
                ..record(1)
            },
            Record {
                serial: None,
                ..record(1)
            },
            Record {
                epoch: Epoch::from_millis(0),
                serial: Some(0),
                ..record(1)
            },
        ] {
            assert!(dedup.is_new(SourceName::Netlink, Form::Audit, &stamped));
            assert!(dedup.is_new(SourceName::Kmsg, Form::Audit, &stamped));
        }
    }

    /// `journalctl` prints both, one of them without a stamp.
    #[test]
    fn journald_s_copy_without_a_stamp_is_none_of_its_own() {
        let bare = Record {
            epoch: None,
            serial: None,
            ..record(1)
        };
        let mut dedup = Dedup::new(16);
        let mut is_new = |form, record: &Record<'_>| dedup.is_new(SourceName::Stream, form, record);
        assert!(is_new(Form::Journal, &bare));
        assert!(!is_new(Form::KernelLog, &record(1)));
        assert!(is_new(Form::KernelLog, &record(2)), "the second one");
        assert!(!is_new(Form::Journal, &bare), "its copy");
        assert!(
            is_new(Form::Journal, &bare),
            "the kernel's log left one out"
        );
        let other = Record {
            pid: Some(9),
            ..bare
        };
        assert!(is_new(Form::Journal, &other));
    }

    #[test]
    fn memory_is_bounded() {
        let mut dedup = Dedup::new(4);
        for serial in 0..100 {
            assert!(dedup.is_new(SourceName::Netlink, Form::Audit, &record(serial)));
        }
        assert_eq!((dedup.seen.len(), dedup.order.len()), (4, 4));
        assert!(!dedup.is_new(SourceName::Kmsg, Form::Audit, &record(99)));
        assert!(dedup.is_new(SourceName::Kmsg, Form::Audit, &record(0)));
    }
}
