//! What a record says after its type and stamp.

use memchr::{memchr, memmem, memrchr};

use super::{Kind, is_ours};
use crate::{
    apparmor,
    fields::ENRICHMENT,
    kind,
    outcome::{Foreign, Malformed, Parsed},
    record::Record,
    seccomp, selinux,
    stamp::Stamp,
};

/// Parses what follows the head.
pub(crate) fn parse_body(given: Kind, stamp: Stamp, body: &[u8]) -> Parsed<'_> {
    let number = match given {
        Kind::Number(number) if is_ours(number) => Some(number),
        Kind::Number(other) => return Parsed::Foreign(Foreign::Type(other)),
        Kind::Unknown => return Parsed::Foreign(Foreign::UnknownType),
        Kind::Absent => None,
    };
    // Filled where it is returned: a record is large, and moving it costs as much
    // as reading.
    let mut parsed = Parsed::Record(Record {
        epoch: stamp.epoch,
        zone_unknown: stamp.interpreted,
        serial: stamp.serial,
        message_type: number.or(Some(kind::AVC)),
        ..Record::default()
    });
    if let Parsed::Record(record) = &mut parsed {
        match fill(number, stamp.interpreted, body, record) {
            Ok(Ok(())) => {}
            Ok(Err(kind)) => parsed = Parsed::Foreign(kind),
            Err(why) => parsed = Parsed::Malformed(why),
        }
    }
    parsed
}

/// The record's own, something else's, or broken.
pub(crate) type Filled = Result<Result<(), Foreign>, Malformed>;

fn fill<'a>(
    number: Option<u16>,
    interpreted: bool,
    body: &'a [u8],
    record: &mut Record<'a>,
) -> Filled {
    if body.is_empty() {
        return Err(Malformed::Empty);
    }
    // The common case; the fields' reader itself ends at the enrichment.
    if body.starts_with(b"apparmor=") && number.is_none_or(|number| number == kind::AVC) {
        return apparmor::parse(body, interpreted, record);
    }
    let body = match memchr(ENRICHMENT, body) {
        Some(end) => body[..end].trim_ascii_end(),
        None => body,
    };
    if number == Some(kind::USER_AVC) {
        let inner = quoted_message(body);
        // Buses speak for AppArmor and SELinux; policy notices are neither's.
        return if inner.starts_with(b"apparmor=") {
            apparmor::parse_from_bus(inner, interpreted, record)
        } else {
            selinux::parse(inner, interpreted, record)
        };
    }
    if number == Some(kind::SECCOMP) {
        return seccomp::parse(body, interpreted, record);
    }
    if body.starts_with(b"avc:") {
        return selinux::parse(body, interpreted, record);
    }
    let is_apparmor = number.is_some_and(kind::is_apparmor)
        || body.starts_with(b"apparmor=")
        || body.starts_with(b"operation=")
        // Order is free.
        || memmem::find(body, b" apparmor=").is_some()
        || memmem::find(body, b" operation=").is_some();
    if is_apparmor {
        return apparmor::parse(body, interpreted, record);
    }
    // Smack writes type 1400 too (`lsm=SMACK fn=…`), in another vocabulary.
    if memchr(b'=', body).is_some() {
        return Ok(Err(if number.is_some() {
            Foreign::OtherAvc
        } else {
            Foreign::UnknownType
        }));
    }
    Err(Malformed::Empty)
}

/// What a user-space program said: between `msg='` and the last quote.
fn quoted_message(body: &[u8]) -> &[u8] {
    let Some(start) = memmem::find(body, b"msg='") else {
        return body;
    };
    let inner = &body[start + b"msg='".len()..];
    match memrchr(b'\'', inner) {
        Some(end) => &inner[..end],
        None => inner,
    }
}

pub(super) trait TrimSuffixNul {
    fn trim_suffix_nul(&self) -> &Self;
}

impl TrimSuffixNul for [u8] {
    fn trim_suffix_nul(&self) -> &Self {
        let end = self
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        &self[..end]
    }
}
