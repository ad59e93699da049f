//! Any bytes in: no panic, no line lost. Any record, in any form: the same value.

use std::fmt::Write as _;

use observer::audit::{
    Epoch, Lsm, Parsed, Reader, Record, RecordObject, Tally, Verdict, parse_line, parse_message,
    replay_records,
};
use observer::caps;
use proptest::prelude::*;

fn object(record: &Record<'_>) -> String {
    serde_json::to_string(&RecordObject::of_record(1, record)).expect("an object")
}

/// How the kernel writes a name that it does not trust.
fn untrusted(name: &[u8]) -> String {
    if name
        .iter()
        .all(|byte| (0x21..=0x7e).contains(byte) && *byte != b'"')
    {
        return format!("\"{}\"", String::from_utf8_lossy(name));
    }
    name.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02X}").expect("memory");
        hex
    })
}

#[derive(Clone, Debug)]
struct Denial {
    verdict: (&'static str, Verdict),
    class: bool,
    info: Option<&'static str>,
    namespace: Option<&'static str>,
    profile: Vec<u8>,
    comm: Vec<u8>,
    pid: u32,
    capability: u32,
    millis: u64,
    serial: u32,
}

fn denial() -> impl Strategy<Value = Denial> {
    let verdict = prop_oneof![
        Just(("DENIED", Verdict::Denied)),
        Just(("ALLOWED", Verdict::Allowed)),
        Just(("AUDIT", Verdict::Audit)),
        Just(("KILLED", Verdict::Killed)),
    ];
    let name = || proptest::collection::vec(any::<u8>(), 1..40);
    (
        verdict,
        any::<bool>(),
        proptest::option::of(Just("optional: no audit")),
        proptest::option::of(Just("root//ns1")),
        prop_oneof![
            name(),
            "[a-z/.]{1,30}".prop_map(String::into_bytes),
            "[ -~]{1,30}".prop_map(String::into_bytes)
        ],
        prop_oneof![
            name(),
            "[\\\\&#^][!-~]{1,14}".prop_map(String::into_bytes),
            "[ -~]{1,15}".prop_map(String::into_bytes)
        ],
        any::<u32>(),
        0..70_u32,
        0..4_102_444_800_000_u64,
        any::<u32>(),
    )
        .prop_map(
            |(verdict, class, info, namespace, profile, comm, pid, capability, millis, serial)| {
                Denial {
                    verdict,
                    class,
                    info,
                    namespace,
                    profile,
                    comm,
                    pid,
                    capability,
                    millis,
                    serial,
                }
            },
        )
}

impl Denial {
    fn stamp(&self) -> String {
        format!(
            "audit({}.{:03}:{})",
            self.millis / 1000,
            self.millis % 1000,
            self.serial
        )
    }

    fn body(&self) -> String {
        let class = if self.class { " class=\"cap\"" } else { "" };
        let info = self
            .info
            .map_or(String::new(), |info| format!(" info=\"{info}\" error=-1"));
        let namespace = self
            .namespace
            .map_or(String::new(), |name| format!(" namespace=\"{name}\""));
        format!(
            "apparmor=\"{}\" operation=\"capable\"{class}{info}{namespace} profile={} pid={} comm={} capability={}  capname=\"{}\"",
            self.verdict.0,
            untrusted(&self.profile),
            self.pid,
            untrusted(&self.comm),
            self.capability,
            caps::name(self.capability),
        )
    }

    fn record(&self) -> Record<'_> {
        Record {
            lsm: Some(Lsm::AppArmor),
            verdict: Some(self.verdict.1),
            operation: Some(b"capable"[..].into()),
            class: self.class.then(|| b"cap"[..].into()),
            info: self.info.map(|text| text.as_bytes().into()),
            error: self.info.map(|_| -1),
            namespace: self.namespace.map(|text| text.as_bytes().into()),
            profile: Some(self.profile.as_slice().into()),
            comm: Some(self.comm.as_slice().into()),
            pid: Some(self.pid),
            capability: Some(self.capability),
            capability_name: Some(caps::name(self.capability).into_owned().into_bytes().into()),
            epoch: Epoch::from_millis(self.millis),
            serial: Some(u64::from(self.serial)),
            message_type: Some(1400),
            ..Record::default()
        }
    }

    /// The record behind every prefix that keeps the stamp.
    fn lines(&self) -> Vec<Vec<u8>> {
        let (stamp, body) = (self.stamp(), self.body());
        let mut lines: Vec<Vec<u8>> = [
            "audit: type=1400 ",
            "[   12.345678] audit: type=1400 ",
            "[Tue Nov 24 10:22:07 2026] audit: type=1400 ",
            "kern  :notice: [   12.345678] audit: type=1400 ",
            "<5>[   12.345678] audit: type=1400 ",
            "Nov 24 10:22:07 host kernel: [   12.345678] audit: type=1400 ",
            "2026-11-24T10:22:07.188+00:00 host kernel: audit: type=1400 ",
            "<5>1 2026-11-24T10:22:07.188Z host kernel - - - audit: type=1400 ",
            "type=AVC msg=",
            "node=web-1 type=AVC msg=",
            "type=UNKNOWN[1400] msg=",
            "type=1400 ",
            "msg=",
            "",
        ]
        .iter()
        .map(|prefix| format!("{prefix}{stamp}: {body}\n").into_bytes())
        .collect();
        lines.push(
            format!("type=AVC msg={stamp}: {body}\u{1d}ARCH=x86_64 UID=\"root\"").into_bytes(),
        );
        lines.push(format!("type=AVC msg={stamp}: {}", reversed(&body)).into_bytes());
        lines.push(kmsg(format!("audit: type=1400 {stamp}: {body}").as_bytes()));
        lines.push(
            serde_json::json!({
                "_TRANSPORT": "audit", "_AUDIT_TYPE": "1400", "_AUDIT_ID": self.serial.to_string(),
                "_SOURCE_REALTIME_TIMESTAMP": (self.millis * 1000).to_string(), "MESSAGE": format!("AVC {body}"),
            })
            .to_string()
            .into_bytes(),
        );
        lines.push(
            serde_json::json!({ "_TRANSPORT": "kernel", "MESSAGE": format!("audit: type=1400 {stamp}: {body}") })
                .to_string()
                .into_bytes(),
        );
        lines
    }
}

/// The same fields from last to first, split where the kernel separates them.
fn reversed(body: &str) -> String {
    let mut quoted = false;
    let mut fields = vec![String::new()];
    for letter in body.chars() {
        quoted ^= letter == '"';
        if letter == ' ' && !quoted {
            fields.push(String::new());
        } else if let Some(last) = fields.last_mut() {
            last.push(letter);
        }
    }
    fields.reverse();
    fields.join(" ")
}

/// How `/dev/kmsg` shows a text.
fn kmsg(text: &[u8]) -> Vec<u8> {
    let mut record = b"5,1021,12345678,-;".to_vec();
    for &byte in text {
        if (0x20..0x7f).contains(&byte) && byte != b'\\' {
            record.push(byte);
        } else {
            record.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
    }
    record
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_record_in_each_form_is_the_same(denial in denial()) {
        let wanted = denial.record();
        for line in denial.lines() {
            let Parsed::Record(found) = parse_line(&line) else {
                return Err(TestCaseError::fail(format!("no record: {}", String::from_utf8_lossy(&line))));
            };
            prop_assert_eq!(&found, &wanted, "{}", String::from_utf8_lossy(&line));
            prop_assert_eq!(found.clone().into_owned(), wanted.clone());
        }
        let payload = format!("{}: {}", denial.stamp(), denial.body());
        prop_assert_eq!(parse_message(1400, payload.as_bytes()), Parsed::Record(wanted));
    }

    #[test]
    fn journald_s_text_loses_the_stamp_alone(denial in denial()) {
        let wanted = object(&Record { epoch: None, serial: None, ..denial.record() });
        for prefix in ["", "AVC ", "audit[7]: AVC ", "Nov 24 10:22:07 host audit[7]: AVC "] {
            let line = format!("{prefix}{}", denial.body());
            let Parsed::Record(found) = parse_line(line.as_bytes()) else {
                return Err(TestCaseError::fail(format!("no record: {line}")));
            };
            prop_assert_eq!(object(&found), wanted.clone(), "{}", line);
        }
    }

    #[test]
    fn any_bytes_are_one_of_three(log in proptest::collection::vec(any::<u8>(), 0..400)) {
        check_log(&log)?;
        let _ = parse_message(1400, &log);
    }

    #[test]
    fn broken_records_are_one_of_three(denials in proptest::collection::vec(denial(), 1..4), cuts in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..6)) {
        let mut log: Vec<u8> = denials.iter().flat_map(Denial::lines).flatten().collect();
        for (at, byte) in cuts {
            let place = usize::from(at) % log.len();
            log[place] = byte;
        }
        check_log(&log)?;
    }
}

/// The three outcomes add up, and `replay` sees what the reader sees.
fn check_log(log: &[u8]) -> Result<(), TestCaseError> {
    let mut tally = Tally::default();
    let mut reader = Reader::new(log);
    while let Some(item) = reader.next_item().expect("memory cannot fail") {
        tally.count(&item.parsed);
    }
    prop_assert_eq!(tally.read, tally.records + tally.foreign + tally.malformed);
    let is_compressed =
        log.starts_with(&[0x1f, 0x8b]) || log.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    if !is_compressed {
        let mut out = Vec::new();
        let replayed = replay_records(log, true, &mut out).expect("memory cannot fail");
        prop_assert_eq!(replayed, tally);
        let objects = out
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .count();
        prop_assert!(objects as u64 >= tally.read);
    }
    Ok(())
}
