//! An audit record in a recording: every field, by its name.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::forms::{names::Name, sets};
use crate::{
    audit::{Bytes, Epoch, Lsm, Record, Syscall, Verdict},
    caps::CapSet,
};

/// Every LSM and verdict, to be found again by its word.
const LSMS: [Lsm; 3] = [Lsm::AppArmor, Lsm::SeLinux, Lsm::Seccomp];
const VERDICTS: [Verdict; 7] = [
    Verdict::Denied,
    Verdict::Allowed,
    Verdict::Audit,
    Verdict::Killed,
    Verdict::Hint,
    Verdict::Status,
    Verdict::Error,
];

/// Bytes that need not be text.
#[derive(Deserialize)]
#[serde(transparent)]
struct Field(Name);

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Name::Text(text) => text.serialize(serializer),
            Name::Bytes(bytes) => bytes.serialize(serializer),
        }
    }
}

fn field(bytes: Option<&Bytes<'_>>) -> Option<Field> {
    let bytes = bytes?;
    Some(Field(match std::str::from_utf8(bytes) {
        Ok(text) => Name::Text(text.to_owned()),
        Err(_) => Name::Bytes(bytes.to_vec()),
    }))
}

fn bytes(field: Option<Field>) -> Option<Bytes<'static>> {
    field.map(|field| Cow::Owned(field.0.into_bytes()))
}

#[derive(Serialize, Deserialize)]
struct Form {
    lsm: Option<String>,
    verdict: Option<String>,
    operation: Option<Field>,
    class: Option<Field>,
    profile: Option<Field>,
    namespace: Option<Field>,
    pid: Option<u32>,
    ppid: Option<u32>,
    comm: Option<Field>,
    capability: Option<u32>,
    #[serde(with = "sets")]
    also: CapSet,
    capability_name: Option<Field>,
    name: Option<Field>,
    info: Option<Field>,
    error: Option<i32>,
    /// Milliseconds since the epoch.
    epoch: Option<u64>,
    zone_unknown: bool,
    serial: Option<u64>,
    message_type: Option<u16>,
    source_context: Option<Field>,
    /// Architecture and number.
    syscall: Option<(Option<u32>, Option<u32>)>,
}

pub fn serialize<S: Serializer>(record: &Record<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let form = Form {
        lsm: record.lsm.map(|lsm| lsm.as_str().to_owned()),
        verdict: record.verdict.map(|verdict| verdict.as_str().to_owned()),
        operation: field(record.operation.as_ref()),
        class: field(record.class.as_ref()),
        profile: field(record.profile.as_ref()),
        namespace: field(record.namespace.as_ref()),
        pid: record.pid,
        ppid: record.ppid,
        comm: field(record.comm.as_ref()),
        capability: record.capability,
        also: record.also,
        capability_name: field(record.capability_name.as_ref()),
        name: field(record.name.as_ref()),
        info: field(record.info.as_ref()),
        error: record.error,
        epoch: record.epoch.map(Epoch::millis),
        zone_unknown: record.zone_unknown,
        serial: record.serial,
        message_type: record.message_type,
        source_context: field(record.source_context.as_ref()),
        syscall: record.syscall.map(|call| (call.arch, call.number)),
    };
    form.serialize(serializer)
}

pub fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Record<'static>, D::Error> {
    let form = Form::deserialize(deserializer)?;
    let unknown = |word: &str| {
        D::Error::custom(format!(
            "{word:?} is not a known value of a \
        record"
        ))
    };
    let lsm = form.lsm.map(|word| {
        let mut known = LSMS.into_iter();
        let known = known.find(|lsm| lsm.as_str() == word);
        known.ok_or_else(|| unknown(&word))
    });
    let verdict = form.verdict.map(|word| {
        let mut known = VERDICTS.into_iter();
        let known = known.find(|verdict| verdict.as_str() == word);
        known.ok_or_else(|| unknown(&word))
    });
    let epoch = form.epoch.map(|millis| {
        Epoch::from_millis(millis).ok_or_else(|| {
            D::Error::custom(
                "the time of the record is out \
            of range",
            )
        })
    });
    Ok(Record {
        lsm: lsm.transpose()?,
        verdict: verdict.transpose()?,
        operation: bytes(form.operation),
        class: bytes(form.class),
        profile: bytes(form.profile),
        namespace: bytes(form.namespace),
        pid: form.pid,
        ppid: form.ppid,
        comm: bytes(form.comm),
        capability: form.capability,
        also: form.also,
        capability_name: bytes(form.capability_name),
        name: bytes(form.name),
        info: bytes(form.info),
        error: form.error,
        epoch: epoch.transpose()?,
        zone_unknown: form.zone_unknown,
        serial: form.serial,
        message_type: form.message_type,
        source_context: bytes(form.source_context),
        syscall: form.syscall.map(|(arch, number)| Syscall { arch, number }),
    })
}
