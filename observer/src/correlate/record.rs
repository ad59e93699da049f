//! The finding of an audit record.

use super::join::{self, Joined};
use crate::{
    audit::Bytes,
    finding::AuditEvent,
    observation::{AuditSeen, Row},
    time::Stamp,
};

/// With stacked profiles the log reports one profile at a time, and kernels since
/// 6.14 leave out the one that refused (`audit_caps`,
/// `security/apparmor/capability.c`).
const CONTRADICTED: &str = "the log shows that one profile of the stack allowed the check, but \
    the kernel refused it";

/// The finding of a record, when it was made, and the row that it was joined with. One that reports no denial (complain mode, an
/// `audit` rule) and met none is not expected to.
pub fn finding(joined: Joined) -> (Stamp, AuditEvent, Option<Row>) {
    let Joined {
        seen,
        row,
        ambiguous,
        contradicted,
    } = joined;
    let AuditSeen {
        received,
        source,
        record,
        supervisor,
        scope,
    } = seen;
    let result = match (row.is_some(), join::is_denial(&record)) {
        (true, _) => "matched",
        (false, true) => "audit_only",
        (false, false) => "not_a_denial",
    };
    let lossy = |bytes: &Option<Bytes<'_>>| {
        bytes
            .as_deref()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let time = match record.epoch {
        Some(epoch) if !epoch.is_zero() => Stamp(epoch.nanos()),
        _ => received,
    };
    let event = AuditEvent {
        lsm: record.lsm.map(|lsm| lsm.as_str().to_owned()),
        verdict: record.verdict.map(|verdict| verdict.as_str().to_owned()),
        profile: lossy(&record.profile),
        namespace: lossy(&record.namespace),
        pid: record.pid,
        comm: lossy(&record.comm),
        capability: record.capability_label().map(std::borrow::Cow::into_owned),
        supervisor,
        result: result.to_owned(),
        ambiguous,
        note: contradicted.then(|| CONTRADICTED.to_owned()),
        serial: record.serial,
        source,
        scope,
    };
    (time, event, row)
}
