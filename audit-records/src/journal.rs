//! Entries of systemd's journal, as `journalctl -o json` and `-o export` write
//! them.
//!
//! journald takes records from the audit multicast group itself
//! (`process_audit_string`, `src/journal/journald-audit.c`, systemd 252) and
//! keeps type, serial and stamp in separate fields; the same record may
//! stand beside it as a copy of the kernel's log.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::call::Aside;
use super::epoch::Epoch;
use super::form::Form;
use super::line::{Kind, into_owned, parse_body, parse_text};
use super::number::decimal;
use super::origin;
use super::outcome::{Foreign, Malformed, Parsed};
use super::stamp::Stamp;

/// The fields of an entry that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    transport: Option<Vec<u8>>,
    identifier: Option<Vec<u8>>,
    message: Option<Vec<u8>>,
    audit_type: Option<Vec<u8>>,
    audit_id: Option<Vec<u8>>,
    realtime: Option<Vec<u8>>,
}

impl Entry {
    /// Whether the field called `name` is of any use.
    pub(super) fn wants(name: &[u8]) -> bool {
        Self::default().slot(name).is_some()
    }

    /// Takes in a field; the first of several with one name counts.
    pub(super) fn set(&mut self, name: &[u8], value: Vec<u8>) {
        if let Some(slot) = self.slot(name) {
            slot.get_or_insert(value);
        }
    }

    fn slot(&mut self, name: &[u8]) -> Option<&mut Option<Vec<u8>>> {
        match name {
            b"_TRANSPORT" => Some(&mut self.transport),
            b"SYSLOG_IDENTIFIER" => Some(&mut self.identifier),
            b"MESSAGE" => Some(&mut self.message),
            b"_AUDIT_TYPE" => Some(&mut self.audit_type),
            b"_AUDIT_ID" => Some(&mut self.audit_id),
            b"_SOURCE_REALTIME_TIMESTAMP" => Some(&mut self.realtime),
            _ => None,
        }
    }

    /// What the entry says.
    pub(super) fn parse(&self) -> Parsed<'static> {
        let Some(message) = self.message.as_deref() else {
            return Parsed::Foreign(Foreign::NotAudit);
        };
        if self.transport.as_deref() == Some(b"audit") {
            return self.parse_audit(message);
        }
        let parsed = parse_text(message);
        if self.is_believed() || matches!(parsed, Parsed::Foreign(_)) {
            into_owned(parsed)
        } else {
            Parsed::Foreign(Foreign::OtherProgram)
        }
    }

    /// The same of a form that always names the transport: without one nobody
    /// vouches for it.
    pub(super) fn parse_vouched(&self) -> Parsed<'static> {
        match (self.parse(), self.transport.as_deref()) {
            (parsed, Some(b"kernel" | b"audit")) | (parsed @ Parsed::Foreign(_), _) => parsed,
            _ => Parsed::Foreign(Foreign::OtherProgram),
        }
    }

    /// What the entry shows of a call, where somebody vouches for it.
    pub(super) fn aside(&self) -> Option<Aside> {
        let message = self.message.as_deref()?;
        if self.transport.as_deref() == Some(b"audit") {
            let (Kind::Number(message_type), stamp, body) = self.audit(message) else {
                return None;
            };
            return Aside::parse_body(message_type, stamp, body);
        }
        self.is_believed().then(|| Aside::parse_line(message))?
    }

    /// The same of a form that always names the transport.
    pub(super) fn aside_vouched(&self) -> Option<Aside> {
        matches!(self.transport.as_deref(), Some(b"kernel" | b"audit")).then(|| self.aside())?
    }

    /// By which way the record came to journald.
    pub(super) fn form(&self) -> Form {
        match self.transport.as_deref() {
            Some(b"audit") => Form::Journal,
            Some(b"kernel") => Form::KernelLog,
            _ => self.message.as_deref().map_or(Form::Audit, Form::of_line),
        }
    }

    /// journald vouches for `_TRANSPORT=kernel`; any program may send the others.
    fn is_believed(&self) -> bool {
        match (self.transport.as_deref(), self.identifier.as_deref()) {
            (Some(b"kernel"), _) | (None, None) => true,
            (_, Some(identifier)) => origin::is_trusted(identifier),
            (Some(_), None) => false,
        }
    }

    fn parse_audit(&self, message: &[u8]) -> Parsed<'static> {
        let (kind, stamp, body) = self.audit(message);
        into_owned(parse_body(kind, stamp, body))
    }

    /// Type, stamp and fields of a record that journald received itself.
    fn audit<'a>(&self, message: &'a [u8]) -> (Kind, Stamp, &'a [u8]) {
        let word = memchr::memchr(b' ', message).unwrap_or(message.len());
        let name = self.audit_type.as_deref().unwrap_or(&message[..word]);
        let stamp = Stamp {
            epoch: self
                .realtime
                .as_deref()
                .and_then(decimal)
                .and_then(|micros| Epoch::from_millis(micros / 1000)),
            serial: self.audit_id.as_deref().and_then(decimal),
            interpreted: false,
        };
        (Kind::of(name), stamp, message[word..].trim_ascii_start())
    }
}

/// The JSON of a line that holds an entry: bare, framed for server-sent events
/// (`-o json-sse`) or by a record separator (`-o json-seq`).
pub(super) fn json_text(line: &[u8]) -> Option<&[u8]> {
    let bare = line
        .strip_prefix(b"data: ")
        .or_else(|| line.strip_prefix(b"\x1e"))
        .unwrap_or(line);
    bare.starts_with(b"{").then_some(bare)
}

/// Parses an entry in JSON; returns by which way it came to journald.
pub(super) fn parse_json(text: &[u8]) -> (Form, Parsed<'static>) {
    match serde_json::from_slice::<Entry>(text) {
        Ok(entry) => (entry.form(), entry.parse()),
        Err(_) => (Form::default(), Parsed::Malformed(Malformed::BadJson)),
    }
}

/// What an entry in JSON shows of a call.
pub(super) fn aside_of_json(text: &[u8]) -> Option<Aside> {
    serde_json::from_slice::<Entry>(text).ok()?.aside()
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a journal entry")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut entry = Entry::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if Entry::wants(name.as_bytes()) {
                if let FieldValue(Some(value)) = map.next_value()? {
                    entry.set(name.as_bytes(), value);
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(entry)
    }
}

/// A field in JSON: text; a list of byte values where it is not UTF-8; a list of
/// either where it occurs more than once; null where it was too long.
struct FieldValue(Option<Vec<u8>>);

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = FieldValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, bytes or null")
    }

    fn visit_str<E>(self, text: &str) -> Result<FieldValue, E> {
        Ok(FieldValue(Some(text.as_bytes().to_vec())))
    }

    fn visit_unit<E>(self) -> Result<FieldValue, E> {
        Ok(FieldValue(None))
    }

    // Other tools rewrite journal entries with numbers and flags in them.
    fn visit_u64<E>(self, number: u64) -> Result<FieldValue, E> {
        Ok(FieldValue(Some(number.to_string().into_bytes())))
    }

    fn visit_i64<E>(self, _: i64) -> Result<FieldValue, E> {
        Ok(FieldValue(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<FieldValue, E> {
        Ok(FieldValue(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<FieldValue, E> {
        Ok(FieldValue(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValue, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(FieldValue(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<FieldValue, A::Error> {
        let mut bytes = Vec::new();
        let mut first = None;
        while let Some(item) = items.next_element::<SeqItem>()? {
            match item {
                SeqItem::Byte(byte) => bytes.push(byte),
                SeqItem::Value(value) => {
                    if first.is_none() {
                        first = value;
                    }
                }
            }
        }
        Ok(FieldValue(Some(first.unwrap_or(bytes))))
    }
}

enum SeqItem {
    Byte(u8),
    Value(Option<Vec<u8>>),
}

impl<'de> Deserialize<'de> for SeqItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = SeqItem;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte or text")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<SeqItem, E> {
                u8::try_from(number).map(SeqItem::Byte).map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<SeqItem, E> {
                u8::try_from(number).map(SeqItem::Byte).map_err(E::custom)
            }

            fn visit_str<E>(self, text: &str) -> Result<SeqItem, E> {
                Ok(SeqItem::Value(Some(text.as_bytes().to_vec())))
            }

            fn visit_unit<E>(self) -> Result<SeqItem, E> {
                Ok(SeqItem::Value(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<SeqItem, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = items.next_element::<u8>()? {
                    bytes.push(byte);
                }
                Ok(SeqItem::Value(Some(bytes)))
            }
        }
        deserializer.deserialize_any(ItemVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;

    const BODY: &str = r#"AVC apparmor=\"DENIED\" operation=\"capable\" profile=\"p\" pid=7 comm=\"c\" capability=8  capname=\"setpcap\""#;

    fn record(json: &str) -> Option<Record<'static>> {
        match parse_json(json.as_bytes()).1 {
            Parsed::Record(record) => Some(record),
            Parsed::Foreign(_) | Parsed::Malformed(_) => None,
        }
    }

    #[test]
    fn journald_s_own_audit_entry_keeps_stamp_and_serial() {
        let json = format!(
            r#"{{"_TRANSPORT":"audit","_AUDIT_TYPE":"1400","_AUDIT_ID":"17","_SOURCE_REALTIME_TIMESTAMP":"1795458347188000","MESSAGE":"{BODY}"}}"#
        );
        let found = record(&json).expect("a record");
        assert_eq!(found.epoch.map(Epoch::millis), Some(1_795_458_347_188));
        assert_eq!(found.serial, Some(17));
        assert_eq!(found.capability, Some(8));
        assert_eq!(found.message_type, Some(1400));
    }

    #[test]
    fn a_message_of_bytes_and_one_of_several() {
        let bytes: Vec<_> =
            b"apparmor=\"DENIED\" operation=\"capable\" profile=\"\xff\" capability=8  capname=\"setpcap\"".to_vec();
        let json = serde_json::json!({ "_TRANSPORT": "kernel", "MESSAGE": bytes }).to_string();
        assert_eq!(
            record(&json).and_then(|found| found.profile).as_deref(),
            Some(&b"\xff"[..])
        );
        let json = format!(r#"{{"_TRANSPORT":"kernel","MESSAGE":["{BODY}","other"]}}"#);
        assert_eq!(record(&json).and_then(|found| found.pid), Some(7));
    }

    #[test]
    fn another_program_s_entry_is_not_believed() {
        let json = format!(
            r#"{{"_TRANSPORT":"syslog","SYSLOG_IDENTIFIER":"mallory","MESSAGE":"{BODY}"}}"#
        );
        assert_eq!(
            parse_json(json.as_bytes()).1,
            Parsed::Foreign(Foreign::OtherProgram)
        );
        let json = format!(
            r#"{{"_TRANSPORT":"syslog","SYSLOG_IDENTIFIER":"audispd","MESSAGE":"{BODY}"}}"#
        );
        assert!(record(&json).is_some());
    }

    #[test]
    fn what_is_no_entry() {
        for json in ["{", "{\"MESSAGE\":[300]}", "{\"MESSAGE\":\"x\"} trailing"] {
            assert_eq!(
                parse_json(json.as_bytes()).1,
                Parsed::Malformed(Malformed::BadJson),
                "{json}"
            );
        }
        for json in [
            "{}",
            "{\"MESSAGE\":null}",
            "{\"MESSAGE\":{\"a\":[1]}}",
            "{\"MESSAGE\":\"x\",\"a\":-1}",
        ] {
            assert_eq!(
                parse_json(json.as_bytes()).1,
                Parsed::Foreign(Foreign::NotAudit),
                "{json}"
            );
        }
    }
}
