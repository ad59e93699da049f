//! seccomp's records: `audit_seccomp` in `kernel/auditsc.c` (6.12).
//!
//! `auid=1000 uid=1000 gid=1000 ses=1 subj=unconfined pid=3017 comm="x"
//! exe="/usr/bin/x" sig=31 arch=c000003e syscall=157 compat=0 ip=0x7f code=0x0`

use std::borrow::Cow;

use super::fields::{Fields, Value};
use super::line::Filled;
use super::number::{decimal, hexadecimal};
use super::outcome::Malformed;
use super::record::{Lsm, Record, Syscall, Verdict};

pub(super) fn parse<'a>(body: &'a [u8], interpreted: bool, record: &mut Record<'a>) -> Filled {
    record.lsm = Some(Lsm::Seccomp);
    let mut syscall = Syscall {
        arch: None,
        number: None,
    };
    let mut syscall_name = None;
    let mut any = false;
    let mut fields = Fields::new(body, interpreted);
    while let Some((key, value)) = fields.next()? {
        any = true;
        match key {
            b"pid" if record.pid.is_none() => record.pid = value.process("pid")?,
            b"comm" if record.comm.is_none() => record.comm = value.text(),
            b"subj" if record.source_context.is_none() => record.source_context = value.text(),
            b"arch" => syscall.arch = architecture(value)?,
            b"syscall" => {
                match decimal(value.raw()).and_then(|number| u32::try_from(number).ok()) {
                    Some(number) => syscall.number = Some(number),
                    None if interpreted => syscall_name = Some(value.raw()),
                    None => return Err(Malformed::BadNumber("syscall")),
                }
            }
            b"code" => record.verdict = Some(verdict(value)?),
            _ => {}
        }
    }
    if !any {
        return Err(Malformed::Empty);
    }
    let named = syscall_name.and_then(named).or_else(|| operation(syscall));
    // An exec asks for no capability.
    let named = named.filter(|name| !name.starts_with(b"execve"));
    record.operation = named.map(Cow::Borrowed);
    record.syscall = Some(syscall);
    Ok(Ok(()))
}

/// The system calls that matter for capabilities and namespaces.
const CALLS: [&[u8]; 8] = [
    b"prctl",
    b"capset",
    b"unshare",
    b"clone",
    b"clone3",
    b"setns",
    b"execve",
    b"execveat",
];

/// `AUDIT_ARCH_*` (`include/uapi/linux/audit.h`) with the numbers of [`CALLS`] there.
const TABLES: [(u32, &[u8], [u32; 8]); 8] = [
    (
        0xc000_003e,
        b"x86_64",
        [157, 126, 272, 56, 435, 308, 59, 322],
    ),
    (
        0x4000_0003,
        b"i386",
        [172, 185, 310, 120, 435, 346, 11, 358],
    ),
    (
        0xc000_00b7,
        b"aarch64",
        [167, 91, 97, 220, 435, 268, 221, 281],
    ),
    (0x4000_0028, b"arm", [172, 185, 337, 120, 435, 375, 11, 387]),
    (
        0xc000_00f3,
        b"riscv64",
        [167, 91, 97, 220, 435, 268, 221, 281],
    ),
    (
        0xc000_0102,
        b"loongarch64",
        [167, 91, 97, 220, 435, 268, 221, 281],
    ),
    (
        0xc000_0015,
        b"ppc64le",
        [171, 184, 282, 120, 435, 350, 11, 362],
    ),
    (
        0x8000_0016,
        b"s390x",
        [172, 185, 303, 120, 435, 339, 11, 354],
    ),
];

/// x86-64's x32 calls carry this bit in their number.
const X32: u32 = 0x4000_0000;

/// The name of one of these.
pub(super) fn operation(syscall: Syscall) -> Option<&'static [u8]> {
    let (_, _, numbers) = TABLES.iter().find(|table| Some(table.0) == syscall.arch)?;
    let number = syscall.number? & !X32;
    let place = numbers.iter().position(|known| *known == number)?;
    CALLS.get(place).copied()
}

/// One of these by its name.
pub(super) fn named(name: &[u8]) -> Option<&'static [u8]> {
    CALLS.into_iter().find(|known| *known == name)
}

pub(super) fn architecture(value: Value<'_>) -> Result<Option<u32>, Malformed> {
    if let Some(table) = TABLES.iter().find(|table| table.1 == value.raw()) {
        return Ok(Some(table.0));
    }
    match hexadecimal(value.raw()).and_then(|arch| u32::try_from(arch).ok()) {
        Some(arch) => Ok(Some(arch)),
        None if matches!(value, Value::Interpreted(_)) => Ok(None),
        None => Err(Malformed::BadNumber("arch")),
    }
}

/// `SECCOMP_RET_*` (`include/uapi/linux/seccomp.h`), and auparse's names for
/// them (`auparse/seccomptab.h`, 3.0.9).
fn verdict(value: Value<'_>) -> Result<Verdict, Malformed> {
    if let Value::Interpreted(name) = value {
        match name {
            b"kill" | b"kill-thread" | b"kill-process" => return Ok(Verdict::Killed),
            b"trap" | b"errno" => return Ok(Verdict::Denied),
            b"user-notify" | b"trace" | b"log" | b"allow" => return Ok(Verdict::Audit),
            _ => {}
        }
    }
    // The kernel logs the action alone, without a filter's data: other numbers are
    // ones that lost digits.
    let code = hexadecimal(value.raw()).ok_or(Malformed::BadNumber("code"))?;
    Ok(match code {
        0x0003_0000 | 0x0005_0000 => Verdict::Denied,
        // Handed to a tracer or a supervisor, or only logged: not refused here.
        0x7fc0_0000 | 0x7ff0_0000 | 0x7ffc_0000 | 0x7fff_0000 => Verdict::Audit,
        0 | 0x8000_0000 => Verdict::Killed,
        _ => return Err(Malformed::CutShort("the action's code")),
    })
}
