//! Records within the JSON of other programs: Auditbeat, Laurel, `dmesg -J`, log
//! shippers that keep a line in a field.

use serde_json::{Map, Value};

use super::call::Aside;
use super::epoch::Epoch;
use super::kind;
use super::line::{self, Kind, into_owned, parse_body};
use super::number::leading;
use super::origin;
use super::outcome::{Foreign, Parsed};
use super::stamp::Stamp;

/// How deep an object may hold another.
const MAX_DEPTH: usize = 12;
/// So many records of one object are kept; an event of the kernel's has a few.
const MAX_RECORDS: usize = 64;

/// Fields that name the program that said a line.
const SPEAKERS: [&str; 11] = [
    "SYSLOG_IDENTIFIER",
    "syslog_identifier",
    "ident",
    "identifier",
    "program",
    "programname",
    "app_name",
    "appname",
    "syslogtag",
    "tag",
    "_COMM",
];

/// Whether text can hold a record at all: what is no record then costs no more.
pub(super) fn may_hold(text: &[u8]) -> bool {
    use memchr::memmem::find;
    find(text, b"apparmor").is_some()
        || find(text, b"avc:").is_some()
        || find(text, b"SECCOMP").is_some()
        || find(text, b"tclass").is_some()
}

/// The records of one JSON value; nothing where it is no JSON.
pub(super) fn parse(text: &[u8]) -> Option<Vec<Parsed<'static>>> {
    let value = serde_json::from_slice::<Value>(text).ok()?;
    let mut found = Vec::new();
    walk(&value, &Around::default(), 0, &mut found);
    // A record that is there twice (a field, and the message it came from)
    // is one: Auditbeat has both.
    let mut kept: Vec<Parsed<'static>> = Vec::new();
    for one in found {
        if kept.len() < MAX_RECORDS && !kept.iter().any(|known| alike(known, &one)) {
            kept.push(one);
        }
    }
    Some(kept)
}

fn alike(one: &Parsed<'_>, other: &Parsed<'_>) -> bool {
    match (one, other) {
        (Parsed::Record(one), Parsed::Record(other)) => {
            let known = |pid: Option<u32>, also: Option<u32>| {
                pid.is_none() || also.is_none() || pid == also
            };
            one.lsm == other.lsm
                && one.verdict == other.verdict
                && one.capability == other.capability
                && one.operation == other.operation
                && known(one.pid, other.pid)
                && (one.epoch.is_none() || other.epoch.is_none() || one.serial == other.serial)
        }
        (one, other) => one == other,
    }
}

/// What the objects around a value say of it.
#[derive(Clone, Default)]
struct Around {
    stamp: Stamp,
    /// Auditbeat's `process.pid` and `process.name`.
    pid: Option<String>,
    name: Option<String>,
    /// The kernel or the audit socket, by what the log's keeper vouches for.
    vouched: bool,
    /// Another program, by the same.
    doubted: bool,
}

impl Around {
    /// What an object says of all within it.
    fn within(&self, object: &Map<String, Value>) -> Self {
        let mut around = self.clone();
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        if let Some(stamp) = text("ID").and_then(stamp_of) {
            around.stamp = stamp;
        }
        if let Some(Value::Object(process)) = object.get("process") {
            around.pid = process.get("pid").and_then(plain);
            around.name = process.get("name").and_then(plain);
        }
        match text("_TRANSPORT") {
            Some("kernel" | "audit") => around.vouched = true,
            Some(_) => around.doubted = true,
            None => {}
        }
        // The kernel's facility is 0; what programs write to /dev/kmsg has another.
        if let (Some(priority), true) = (
            object.get("pri").and_then(Value::as_u64),
            object.contains_key("msg"),
        ) {
            around.doubted |= priority >> 3 != 0;
        }
        // A container's own output.
        let stream = text("stream").is_some_and(|name| matches!(name, "stdout" | "stderr"));
        let speaker = SPEAKERS.iter().find_map(|name| text(name));
        let stranger =
            speaker.is_some_and(|name| !origin::is_trusted(name.trim_end_matches(':').as_bytes()));
        around.doubted |= stream || stranger && !around.vouched;
        around
    }
}

fn walk(value: &Value, around: &Around, depth: usize, found: &mut Vec<Parsed<'static>>) {
    if depth > MAX_DEPTH || found.len() > MAX_RECORDS {
        return;
    }
    match value {
        Value::Object(object) => {
            let around = around.within(object);
            if let Some(parsed) = fields(object, &around) {
                found.push(doubt(parsed, &around));
            }
            // Laurel: `"SECCOMP": {…}` and `"AVC": [{…}]`, by type.
            for (name, inner) in object {
                if name == "SECCOMP"
                    && let Some(parsed) = seccomp(inner, &around)
                {
                    found.push(parsed);
                }
                walk(inner, &around, depth + 1, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                walk(item, around, depth + 1, found);
            }
        }
        Value::String(text) if may_hold(text.as_bytes()) => {
            for line in text.lines() {
                let parsed = into_owned(line::parse_line(line.as_bytes()));
                if !matches!(parsed, Parsed::Foreign(Foreign::NotAudit | Foreign::Empty)) {
                    found.push(doubt(parsed, around));
                }
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What the strings of one JSON value show of a call, but for those of another program.
pub(super) fn aside(text: &[u8]) -> Option<Aside> {
    memchr::memmem::find(text, b"audit(")?;
    let value = serde_json::from_slice::<Value>(text).ok()?;
    aside_within(&value, &Around::default(), 0)
}

fn aside_within(value: &Value, around: &Around, depth: usize) -> Option<Aside> {
    if depth > MAX_DEPTH || around.doubted {
        return None;
    }
    match value {
        Value::Object(object) => {
            let around = around.within(object);
            let mut inner = object.values();
            inner.find_map(|value| aside_within(value, &around, depth + 1))
        }
        Value::Array(items) => {
            let mut items = items.iter();
            items.find_map(|value| aside_within(value, around, depth + 1))
        }
        Value::String(text) => {
            let mut lines = text.lines();
            lines.find_map(|line| Aside::parse_line(line.as_bytes()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn doubt(parsed: Parsed<'static>, around: &Around) -> Parsed<'static> {
    match parsed {
        Parsed::Record(_) | Parsed::Malformed(_) if around.doubted => {
            Parsed::Foreign(Foreign::OtherProgram)
        }
        other => other,
    }
}

/// A record whose fields are an object's.
fn fields(object: &Map<String, Value>, around: &Around) -> Option<Parsed<'static>> {
    let is_apparmor = object.get("apparmor").is_some_and(Value::is_string);
    let is_selinux = object.contains_key("tclass") && object.contains_key("scontext");
    if !is_apparmor && !is_selinux {
        return None;
    }
    let mut body = Vec::new();
    if is_selinux {
        body.extend_from_slice(&vector(object)?);
    }
    for (name, value) in object {
        if let Some(text) = plain(value) {
            push(&mut body, name, &text);
        }
    }
    for (name, value) in [("pid", &around.pid), ("comm", &around.name)] {
        if let (false, Some(value)) = (object.contains_key(name), value) {
            push(&mut body, name, value);
        }
    }
    Some(into_owned(parse_body(
        Kind::Number(kind::AVC),
        around.stamp,
        &body,
    )))
}

/// `avc:  denied  { … } for`, of whatever words the object has for it.
fn vector(object: &Map<String, Value>) -> Option<Vec<u8>> {
    let granted = object
        .values()
        .any(|value| value.as_str() == Some("granted"));
    let denied = object
        .values()
        .any(|value| value.as_str() == Some("denied"));
    let permissions = ["permissions", "perms", "seperms", "request", "denied"]
        .iter()
        .find_map(|name| object.get(*name).and_then(listed));
    let permissions = permissions.or_else(|| {
        object.get("capability").and_then(plain).map(|text| {
            let number = text
                .parse()
                .map_or_else(|_| text.clone().into(), crate::caps::name);
            number.into_owned()
        })
    })?;
    let word = match (granted, denied) {
        (true, false) => "granted",
        (false, true) => "denied",
        _ if object.contains_key("denied") => "denied",
        _ => return None,
    };
    Some(format!("avc:  {word}  {{ {permissions} }} for ").into_bytes())
}

fn listed(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) => Some(items.iter().filter_map(plain).collect::<Vec<_>>().join(" ")),
        other => plain(other),
    }
}

fn seccomp(value: &Value, around: &Around) -> Option<Parsed<'static>> {
    let object = match value {
        Value::Object(object) => object,
        Value::Array(items) => items.first()?.as_object()?,
        _ => return None,
    };
    let mut body = Vec::new();
    for (name, value) in object {
        // Those in capitals are auditd's own reading.
        if let Some(text) =
            plain(value).filter(|_| !name.bytes().any(|byte| byte.is_ascii_uppercase()))
        {
            push(&mut body, name, &text);
        }
    }
    let parsed = parse_body(Kind::Number(kind::SECCOMP), around.stamp, &body);
    Some(doubt(into_owned(parsed), around))
}

/// A value that is one word or number.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// As the kernel writes it: numbers bare, words in quotes, and what can't stand
/// there in hexadecimal.
fn push(body: &mut Vec<u8>, name: &str, text: &str) {
    let is_key = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !is_key || name.is_empty() {
        return;
    }
    body.push(b' ');
    body.extend_from_slice(name.as_bytes());
    body.push(b'=');
    let bare = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-:._".contains(&byte));
    let number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'-')
        || text.starts_with("0x");
    let words = matches!(
        name,
        "comm"
            | "profile"
            | "label"
            | "name"
            | "operation"
            | "namespace"
            | "info"
            | "class"
            | "capname"
            | "apparmor"
            | "exe"
    );
    if bare && (number || !words) {
        body.extend_from_slice(text.as_bytes());
    } else if text
        .bytes()
        .all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"')
    {
        body.push(b'"');
        body.extend_from_slice(text.as_bytes());
        body.push(b'"');
    } else {
        for byte in text.bytes() {
            body.extend_from_slice(format!("{byte:02X}").as_bytes());
        }
    }
    body.push(b' ');
}

/// `1634728455.294:53732`
fn stamp_of(text: &str) -> Option<Stamp> {
    let (seconds, rest) = leading(text.as_bytes())?;
    let (millis, rest) = leading(rest.strip_prefix(b".")?)?;
    let (serial, rest) = leading(rest.strip_prefix(b":")?)?;
    rest.is_empty().then_some(Stamp {
        epoch: Epoch::from_parts(seconds, millis),
        serial: Some(serial),
        interpreted: false,
    })
}

/// One outcome of an object for a caller that wants one: its first record, else what
/// is broken, else what is not believed.
pub(super) fn first(found: Vec<Parsed<'static>>) -> Parsed<'static> {
    let worth = |parsed: &Parsed<'_>| match parsed {
        Parsed::Record(_) => 0,
        Parsed::Malformed(_) => 1,
        Parsed::Foreign(Foreign::OtherProgram) => 2,
        Parsed::Foreign(_) => 3,
    };
    let first = found.into_iter().min_by_key(worth);
    first.unwrap_or(Parsed::Foreign(Foreign::NotAudit))
}
