//! The `capwatch.record/1` object.

use std::borrow::Cow;

use audit_records::{Bytes, Epoch, Lsm, Malformed, Record, Verdict};
use serde::{Serialize, Serializer};

/// One log line as `capwatch replay --records` prints it; absent fields are
/// null. Bytes that are not UTF-8 become U+FFFD here, and only here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordObject<'a> {
    schema: &'static str,
    line: u64,
    lsm: Option<Lsm>,
    verdict: Option<Verdict>,
    operation: Option<Text<'a>>,
    class: Option<Text<'a>>,
    profile: Option<Text<'a>>,
    namespace: Option<Text<'a>>,
    pid: Option<u32>,
    ppid: Option<u32>,
    comm: Option<Text<'a>>,
    capability: Option<Cow<'a, str>>,
    number: Option<u32>,
    name: Option<Text<'a>>,
    info: Option<Text<'a>>,
    error: Option<i32>,
    epoch: Option<Epoch>,
    serial: Option<u64>,
    malformed: Option<String>,
}

impl<'a> RecordObject<'a> {
    /// Of a record found on `line`; [`Record::each`] has been through it.
    pub fn of_record(line: u64, record: &'a Record<'_>) -> Self {
        let text = |bytes: &'a Option<Bytes<'_>>| bytes.as_deref().map(Text);
        Self {
            lsm: record.lsm,
            verdict: record.verdict,
            operation: text(&record.operation),
            class: text(&record.class),
            profile: text(&record.profile),
            namespace: text(&record.namespace),
            pid: record.pid,
            ppid: record.ppid,
            comm: text(&record.comm),
            capability: record.capability_label(),
            number: record.capability,
            name: text(&record.name),
            info: text(&record.info),
            error: record.error,
            epoch: record.epoch,
            serial: record.serial,
            ..Self::of_foreign(line)
        }
    }

    /// Of a line that is not ours.
    pub const fn of_foreign(line: u64) -> Self {
        Self {
            schema: "capwatch.record/1",
            line,
            lsm: None,
            verdict: None,
            operation: None,
            class: None,
            profile: None,
            namespace: None,
            pid: None,
            ppid: None,
            comm: None,
            capability: None,
            number: None,
            name: None,
            info: None,
            error: None,
            epoch: None,
            serial: None,
            malformed: None,
        }
    }

    /// Of a line that is broken.
    pub fn of_malformed(line: u64, why: Malformed) -> Self {
        Self {
            malformed: Some(why.to_string()),
            ..Self::of_foreign(line)
        }
    }
}

/// Bytes that are shown as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Text<'a>(&'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(self.0))
    }
}
