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
/// these are two records, and a source that saw both has told two. So the
/// number told is the greatest that any one source has seen in any one form.
#[derive(Debug)]
pub struct Dedup {
    seen: HashMap<u64, [u16; WAYS]>,
    order: VecDeque<u64>,
    capacity: usize,
    hasher: RandomState,
}

impl Dedup {
    /// Remembers `capacity` records, then forgets the oldest.
    pub fn new(capacity: usize) -> Self {
        Self {
            seen: HashMap::new(),
            order: VecDeque::new(),
            capacity: capacity.max(1),
            hasher: RandomState::new(),
        }
    }

    /// Whether `record`, seen by `source` in this form, has not been told yet. Records without
    /// stamp or serial are always new: nothing tells them apart.
    pub fn is_new(&mut self, source: SourceName, form: Form, record: &Record<'_>) -> bool {
        let (Some(epoch), Some(serial)) = (record.epoch, record.serial) else {
            return true;
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
        let told = counts.iter().copied().max().unwrap_or(0);
        let own = &mut counts[source as usize * Form::COUNT + form as usize];
        *own = own.saturating_add(1);
        *own > told || *own == u16::MAX
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
