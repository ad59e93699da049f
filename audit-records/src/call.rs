//! SYSCALL records of the calls that change capabilities, which an audit rule
//! asks for or which stand beside a module's record:
//!
//! `arch=c000003e syscall=157 success=no exit=-1 a0=18 a1=15 a2=0 a3=0 items=0
//! ppid=1 pid=7 auid=0 uid=0 … comm="x" exe="/usr/bin/x" subj=… key="caps"`
//! (`audit_log_exit`, `kernel/auditsc.c`, 6.12).

use memchr::memmem;

use super::epoch::Epoch;
use super::fields::{Fields, Value};
use super::line::parse_line;
use super::number::{decimal, hexadecimal, signed};
use super::outcome::{Foreign, Parsed};
use super::record::{Bytes, Syscall};
use super::{caps, kind, mend, seccomp, stamp};

/// `PR_CAPBSET_DROP` (`include/uapi/linux/prctl.h`).
const DROP: u64 = 24;

/// What a system call was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Drop this capability from the bounding set.
    Drop(u32),
    /// Set a process's capabilities.
    Capset,
    /// Execute a program.
    Exec,
}

/// A system call that changes capabilities, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it was to do.
    pub deed: Deed,
    /// 0, or the error that it ended with; none where that is not told.
    pub error: Option<i32>,
    /// Process id in the initial pid namespace.
    pub pid: Option<u32>,
    /// Of its parent.
    pub ppid: Option<u32>,
    /// Name of the thread.
    pub comm: Option<Bytes<'static>>,
    /// The executable's path.
    pub exe: Option<Bytes<'static>>,
    /// When.
    pub epoch: Option<Epoch>,
    /// The event's serial number, which records of modules share.
    pub serial: Option<u64>,
}

/// The call of a line, which [`parse_line`] takes for a record of another type;
/// of an event on one line, the first one.
pub fn parse_call(line: &[u8]) -> Option<Call> {
    match mend::parts(line) {
        Some(parts) => parts.into_iter().find_map(of_line),
        None => of_line(line),
    }
}

fn of_line(line: &[u8]) -> Option<Call> {
    let is_call = parse_line(line) == Parsed::Foreign(Foreign::Type(kind::SYSCALL));
    let at = memmem::find(line, b"audit(").filter(|_| is_call)?;
    let (stamp, body) = stamp::parse(&line[at + b"audit(".len()..]).ok()?;
    let of_body = Told::read(body, stamp.interpreted)?;
    let Told {
        syscall,
        name,
        args: [first, second],
        error,
        pid,
        ppid,
        comm,
        exe,
    } = of_body;
    let deed = match name.or_else(|| seccomp::operation(syscall))? {
        b"prctl" if first == Some(DROP) => Deed::Drop(u32::try_from(second?).ok()?),
        b"capset" => Deed::Capset,
        b"execve" | b"execveat" => Deed::Exec,
        _ => return None,
    };
    Some(Call {
        deed,
        error,
        pid,
        ppid,
        comm: comm.map(|text| text.into_owned().into()),
        exe: exe.map(|text| text.into_owned().into()),
        epoch: stamp.epoch,
        serial: stamp.serial,
    })
}

/// The fields of a SYSCALL record that count here.
struct Told<'a> {
    syscall: Syscall,
    name: Option<&'static [u8]>,
    args: [Option<u64>; 2],
    error: Option<i32>,
    pid: Option<u32>,
    ppid: Option<u32>,
    comm: Option<Bytes<'a>>,
    exe: Option<Bytes<'a>>,
}

impl<'a> Told<'a> {
    fn read(body: &'a [u8], interpreted: bool) -> Option<Self> {
        let mut told = Self {
            syscall: Syscall {
                arch: None,
                number: None,
            },
            name: None,
            args: [None; 2],
            error: None,
            pid: None,
            ppid: None,
            comm: None,
            exe: None,
        };
        let mut succeeded = None;
        let mut fields = Fields::new(body, interpreted);
        while let Some((key, value)) = fields.next().ok()? {
            let raw = value.raw();
            match key {
                b"arch" => told.syscall.arch = seccomp::architecture(value).ok()?,
                b"syscall" => match decimal(raw) {
                    Some(number) => told.syscall.number = u32::try_from(number).ok(),
                    None => told.name = seccomp::named(raw),
                },
                b"success" => succeeded = Some(raw == b"yes"),
                b"exit" => told.error = error(raw),
                b"a0" => told.args[0] = argument(raw),
                b"a1" => told.args[1] = argument(raw),
                b"pid" if told.pid.is_none() => told.pid = number(value),
                b"ppid" if told.ppid.is_none() => told.ppid = number(value),
                b"comm" if told.comm.is_none() => told.comm = value.text(),
                b"exe" if told.exe.is_none() => told.exe = value.text(),
                _ => {}
            }
        }
        match succeeded {
            Some(true) => told.error = Some(0),
            // It failed, and how is not told.
            Some(false) if told.error == Some(0) => told.error = None,
            Some(false) => {}
            None => return None,
        }
        Some(told)
    }
}

fn number(value: Value<'_>) -> Option<u32> {
    decimal(value.raw()).and_then(|number| u32::try_from(number).ok())
}

/// `exit=-1`; interpreted, `exit=EPERM(Operation not permitted)`.
fn error(raw: &[u8]) -> Option<i32> {
    const EPERM: i32 = 1;
    const EINVAL: i32 = 22;
    if let Some(exit) = signed(raw) {
        return Some(exit.min(0).checked_neg().unwrap_or_default());
    }
    match raw.split(|byte| *byte == b'(').next() {
        Some(b"EPERM") => Some(EPERM),
        Some(b"EINVAL") => Some(EINVAL),
        _ => None,
    }
}

/// An argument in hexadecimal, or an interpreter's word for it.
fn argument(raw: &[u8]) -> Option<u64> {
    let raw = raw.split(|byte| *byte == b' ').next().unwrap_or(raw);
    match raw {
        b"PR_CAPBSET_DROP" | b"capbset-drop" => Some(DROP),
        _ => hexadecimal(raw).or_else(|| {
            let name = raw.to_ascii_lowercase();
            let bare = name.strip_prefix(b"cap_").unwrap_or(&name);
            caps::number(bare).map(u64::from)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &str = r#"type=SYSCALL msg=audit(1795458347.188:7): arch=c000003e syscall=157 success=no exit=-1 a0=18 a1=15 a2=0 a3=0 items=0 ppid=6 pid=7 auid=0 uid=0 gid=0 euid=0 tty=(none) ses=1 comm="box" exe="/usr/bin/box" subj=unconfined key="caps""#;

    #[test]
    fn a_refused_drop_raw_and_interpreted_and_in_a_syslog() {
        let interpreted = "type=SYSCALL msg=audit(11/23/2026 18:25:47.188:7) : arch=x86_64 \
            syscall=prctl success=no exit=EPERM(Operation not permitted) a0=PR_CAPBSET_DROP a1=0x15 \
            a2=0x0 a3=0x0 items=0 ppid=6 pid=7 auid=root uid=root comm=box exe=/usr/bin/box \
            subj=unconfined key=caps";
        let logged = format!("Nov 24 10:22:07 host audisp-syslog: {RAW}");
        for line in [RAW, interpreted, &logged] {
            let call = parse_call(line.as_bytes()).expect(line);
            assert_eq!(call.deed, Deed::Drop(21), "{line}");
            assert_eq!(
                (call.error, call.pid, call.ppid),
                (Some(1), Some(7), Some(6)),
                "{line}"
            );
            assert_eq!(call.comm.as_deref(), Some(&b"box"[..]));
            assert_eq!(call.exe.as_deref(), Some(&b"/usr/bin/box"[..]));
            assert_eq!(call.serial, Some(7));
        }
    }

    #[test]
    fn what_came_of_it() {
        let deed = |from: &str, to: &str| {
            let call = parse_call(RAW.replace(from, to).as_bytes())?;
            Some((call.deed, call.error))
        };
        assert_eq!(
            deed("success=no exit=-1", "success=yes exit=0"),
            Some((Deed::Drop(21), Some(0)))
        );
        assert_eq!(
            deed("exit=-1", "exit=-22"),
            Some((Deed::Drop(21), Some(22)))
        );
        assert_eq!(
            deed("syscall=157", "syscall=126"),
            Some((Deed::Capset, Some(1)))
        );
        assert_eq!(
            deed("syscall=157", "syscall=59"),
            Some((Deed::Exec, Some(1)))
        );
        // Another prctl, another call, another program's word.
        assert_eq!(deed("a0=18", "a0=16"), None);
        assert_eq!(deed("syscall=157", "syscall=2"), None);
        assert_eq!(
            deed("type=SYSCALL", "Nov 24 10:22:07 host eve[9]: type=SYSCALL"),
            None
        );
        assert_eq!(deed("success=no ", ""), None);
    }
}
