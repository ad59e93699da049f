//! `AppArmor` records, of the kernel and of message buses.
//!
//! The kernel's text: `audit_pre` in `security/apparmor/audit.c`, then
//! `dump_common_audit_data` in `security/lsm_audit.c`, then `audit_cb` in
//! `security/apparmor/capability.c` (6.12). Every field is optional and order is
//! free; the first of two equal fields counts, the kernel writes each once.

use std::borrow::Cow;

use super::fields::{Fields, Value};
use super::kind;
use super::line::Filled;
use super::number;
use super::outcome::Malformed;
use super::record::{Bytes, Lsm, Record, Verdict};
use crate::caps;

/// Fields that give way to others.
#[derive(Default)]
struct Fallbacks<'a> {
    label: Option<Bytes<'a>>,
    exe: Option<Bytes<'a>>,
}

pub(super) fn parse<'a>(body: &'a [u8], interpreted: bool, record: &mut Record<'a>) -> Filled {
    let fallbacks = read(body, interpreted, record)?;
    settle(record, fallbacks.label);
    whole(body, record)?;
    Ok(Ok(()))
}

/// What a message bus says in the kernel's words, with `label=` for the profile
/// and the bus's own `exe=`.
pub(super) fn parse_from_bus<'a>(
    body: &'a [u8],
    interpreted: bool,
    record: &mut Record<'a>,
) -> Filled {
    let fallbacks = read(body, interpreted, record)?;
    if record.comm.is_none() {
        record.comm = fallbacks.exe;
    }
    settle(record, fallbacks.label);
    Ok(Ok(()))
}

fn read<'a>(
    body: &'a [u8],
    interpreted: bool,
    record: &mut Record<'a>,
) -> Result<Fallbacks<'a>, Malformed> {
    record.lsm = Some(Lsm::AppArmor);
    let mut fallbacks = Fallbacks::default();
    let mut fields = Fields::new(body, interpreted);
    let mut any = false;
    while let Some((key, value)) = fields.next()? {
        any = true;
        // By length first: a key is then found by one or two comparisons.
        match key.len() {
            3 if key == b"pid" && record.pid.is_none() => record.pid = value.process("pid")?,
            3 if key == b"exe" => keep(&mut fallbacks.exe, value),
            4 if key == b"comm" => keep(&mut record.comm, value),
            4 if key == b"name" => keep(&mut record.name, value),
            4 if key == b"info" => keep(&mut record.info, value),
            // `parent=` is what kernels before 2.6.39 call it.
            4 | 6 if (key == b"ppid" || key == b"parent") && record.ppid.is_none() => {
                record.ppid = value.process("ppid")?;
            }
            5 if key == b"class" => keep(&mut record.class, value),
            5 if key == b"label" => keep(&mut fallbacks.label, value),
            5 if key == b"error" && record.error.is_none() => {
                record.error =
                    Some(number::signed(value.raw()).ok_or(Malformed::BadNumber("error"))?);
            }
            7 if key == b"profile" => keep(&mut record.profile, value),
            7 if key == b"capname" => keep(&mut record.capability_name, value),
            8 if key == b"apparmor" => record.verdict = Some(verdict(value.raw())?),
            9 if key == b"operation" => keep(&mut record.operation, value),
            9 if key == b"namespace" => keep(&mut record.namespace, value),
            10 if key == b"capability" && record.capability.is_none() => {
                record.capability = capability(value)?;
            }
            _ => {}
        }
    }
    if any {
        Ok(fallbacks)
    } else {
        Err(Malformed::Empty)
    }
}

fn settle<'a>(record: &mut Record<'a>, label: Option<Bytes<'a>>) {
    if record.profile.is_none() {
        record.profile = label;
    }
    if record.verdict.is_none() {
        record.verdict = record.message_type.and_then(kind::verdict);
    }
    // Kernels before 2.6.39 give the capability as `name="sys_admin"`.
    if !record.is_about_capability() && record.operation.as_deref() == Some(b"capable") {
        record.capability_name.clone_from(&record.name);
    }
    if record.capability.is_none()
        && let Some(name) = record.capability_name.as_deref()
    {
        record.capability = caps::number(name);
    }
}

/// Whether the record ends where a kernel ends one. Of a capability, kernels
/// since 2.6.39 write the name behind the number (`audit_cb`,
/// `security/apparmor/capability.c`), so a digit at the very end may be the
/// first of two.
fn whole(body: &[u8], record: &Record<'_>) -> Result<(), Malformed> {
    let is_check = matches!(
        record.verdict,
        Some(Verdict::Denied | Verdict::Allowed | Verdict::Audit | Verdict::Killed)
    );
    if record.capability_name.is_some()
        || !is_check
        || record.operation.as_deref() != Some(b"capable")
    {
        return Ok(());
    }
    if record.capability.is_none() {
        return Err(Malformed::CutShort("the capability"));
    }
    let ends_in_it = body
        .rsplit(|&byte| byte == b' ')
        .next()
        .and_then(|word| word.strip_prefix(b"capability="))
        // The first digit of two, for all that is known; interpreted, it is a name.
        .is_some_and(|number| matches!(number, [b'1'..=b'6']));
    if ends_in_it {
        return Err(Malformed::CutShort("the capability's name"));
    }
    Ok(())
}

#[expect(
    clippy::inline_always,
    reason = "its argument stays in registers: a tenth faster, measured"
)]
#[inline(always)]
fn keep<'a>(field: &mut Option<Bytes<'a>>, value: Value<'a>) {
    match value {
        // An earlier one counts.
        _ if field.is_some() => {}
        // The common case, kept out of the call below, whose result would go
        // through memory.
        Value::Quoted(text) => *field = Some(Cow::Borrowed(text)),
        Value::Bare(_) | Value::Interpreted(_) => *field = value.text(),
    }
}

/// The kernel's words for it (`aa_audit_type`, `security/apparmor/audit.c`, 6.12).
fn verdict(word: &[u8]) -> Result<Verdict, Malformed> {
    Ok(match word {
        b"DENIED" => Verdict::Denied,
        b"ALLOWED" => Verdict::Allowed,
        b"AUDIT" => Verdict::Audit,
        b"KILLED" => Verdict::Killed,
        b"HINT" => Verdict::Hint,
        b"STATUS" => Verdict::Status,
        b"ERROR" => Verdict::Error,
        _ => return Err(Malformed::UnknownVerdict),
    })
}

/// A number, or an interpreter's name for it.
pub(super) fn capability(value: Value<'_>) -> Result<Option<u32>, Malformed> {
    let text = value.raw();
    if text.first().is_some_and(u8::is_ascii_digit) {
        return value.process("capability");
    }
    match value {
        Value::Interpreted(name) => {
            // `unknown-capability(63)`: `print_capabilities`, auparse 3.0.9.
            let unknown = name
                .strip_prefix(b"unknown-capability(")
                .and_then(|rest| rest.strip_suffix(b")"));
            match unknown {
                Some(digits) => number::decimal(digits)
                    .and_then(|number| u32::try_from(number).ok())
                    .map(Some)
                    .ok_or(Malformed::BadNumber("capability")),
                None => Ok(caps::number(name)),
            }
        }
        Value::Quoted(_) | Value::Bare(_) => Err(Malformed::BadNumber("capability")),
    }
}
