//! Records that come with a module's record, or without one if an audit rule asks for them.
//!
//! SYSCALL records of the calls that change capabilities:
//! `arch=c000003e syscall=157 success=no exit=-1 a0=18 a1=15 a2=0 a3=0 items=0
//! ppid=1 pid=7 auid=0 uid=0 … comm="x" exe="/usr/bin/x" subj=… key="caps"`
//! (`audit_log_exit`, `kernel/auditsc.c`, 6.12). And of the same event what says
//! more of the program: `argc=2 a0="x" a1="-v"` (EXECVE),
//! `proctitle=2F7573722F62696E2F78002D76` (PROCTITLE), and of an exec that gives
//! capabilities `fver=0 … pp=0 pi=0 pe=0 pa=0 frootid=0` (`BPRM_FCAPS`).

use memchr::memmem;

use super::epoch::Epoch;
use super::fields::{Fields, Value};
use super::line::parse_line;
use super::number::{decimal, hexadecimal, signed};
use super::outcome::{Foreign, Parsed};
use super::record::{Bytes, Syscall};
use super::stamp::{self, Stamp};
use super::{MAX_LINE, caps, kind, mend, seccomp};

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
    /// 0, or the error that it ended with; none where that is not known.
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

/// What another record of an event shows of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// Its first argument, up to a space; other arguments are not read.
    pub program: Option<Bytes<'static>>,
    /// The effective set that it was executed with.
    pub effective: Option<u64>,
    /// When.
    pub epoch: Option<Epoch>,
    /// The event's serial number.
    pub serial: Option<u64>,
}

/// A record that is beside others of its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aside {
    /// A system call.
    Call(Call),
    /// What says more of its program.
    Title(Title),
}

impl Aside {
    /// The call of a line, which [`parse_line`] takes for a record of another type;
    /// of an event on one line, the first one.
    pub fn parse_line(line: &[u8]) -> Option<Self> {
        match mend::parts(line) {
            Some(parts) => {
                let mut asides: Vec<_> = parts.into_iter().filter_map(of_line).collect();
                let call = asides.iter().position(|one| matches!(one, Self::Call(_)));
                let first = call.or_else(|| (!asides.is_empty()).then_some(0))?;
                Some(asides.swap_remove(first))
            }
            None => of_line(line),
        }
    }

    /// The same of a message of the kernel's audit multicast group.
    pub fn parse_message(message_type: u16, payload: &[u8]) -> Option<Self> {
        if payload.len() > MAX_LINE || !is_aside(message_type) {
            return None;
        }
        of_record(message_type, payload.strip_prefix(b"audit(")?)
    }

    /// The same of a record whose type and stamp stand elsewhere.
    pub(super) fn parse_body(message_type: u16, stamp: Stamp, body: &[u8]) -> Option<Self> {
        if body.len() > MAX_LINE || !is_aside(message_type) {
            return None;
        }
        of_body(message_type, stamp, body)
    }
}

/// Whether a record of this type may be one of these.
pub(super) const fn is_aside(message_type: u16) -> bool {
    matches!(
        message_type,
        kind::SYSCALL | kind::EXECVE | kind::BPRM_FCAPS | kind::PROCTITLE
    )
}

fn of_line(line: &[u8]) -> Option<Aside> {
    let Parsed::Foreign(Foreign::Type(message_type)) = parse_line(line) else {
        return None;
    };
    let at = memmem::find(line, b"audit(").filter(|_| is_aside(message_type))?;
    of_record(message_type, &line[at + b"audit(".len()..])
}

fn of_record(message_type: u16, after: &[u8]) -> Option<Aside> {
    let (stamp, body) = stamp::parse(after).ok()?;
    of_body(message_type, stamp, body)
}

fn of_body(message_type: u16, stamp: Stamp, body: &[u8]) -> Option<Aside> {
    if message_type == kind::SYSCALL {
        return call(stamp, body).map(Aside::Call);
    }
    let mut title = Title {
        program: None,
        effective: None,
        epoch: stamp.epoch,
        serial: stamp.serial,
    };
    let mut fields = Fields::new(body, stamp.interpreted);
    while let Some((key, value)) = fields.next().ok()? {
        match (message_type, key) {
            (kind::EXECVE, b"a0") | (kind::PROCTITLE, b"proctitle") => {
                title.program = value.text().and_then(|text| first_word(&text));
            }
            (kind::BPRM_FCAPS, b"pe") => title.effective = hexadecimal(value.raw()),
            _ => {}
        }
    }
    (title.program.is_some() || title.effective.is_some()).then_some(Aside::Title(title))
}

/// The first argument of a command line, which zeros part, up to a space: a program
/// may have written anything over it.
fn first_word(text: &[u8]) -> Option<Bytes<'static>> {
    let ends = |byte: &u8| matches!(byte, 0 | b' ');
    let word = text.split(ends).next().filter(|word| !word.is_empty())?;
    Some(word.to_vec().into())
}

fn call(stamp: Stamp, body: &[u8]) -> Option<Call> {
    let CallFields {
        syscall,
        name,
        args: [first, second],
        error,
        pid,
        ppid,
        comm,
        exe,
    } = CallFields::read(body, stamp.interpreted)?;
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
struct CallFields<'a> {
    syscall: Syscall,
    name: Option<&'static [u8]>,
    args: [Option<u64>; 2],
    error: Option<i32>,
    pid: Option<u32>,
    ppid: Option<u32>,
    comm: Option<Bytes<'a>>,
    exe: Option<Bytes<'a>>,
}

impl<'a> CallFields<'a> {
    fn read(body: &'a [u8], interpreted: bool) -> Option<Self> {
        let mut found = Self {
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
                b"arch" => found.syscall.arch = seccomp::architecture(value).ok()?,
                b"syscall" => match decimal(raw) {
                    Some(number) => found.syscall.number = u32::try_from(number).ok(),
                    None => found.name = seccomp::named(raw),
                },
                b"success" => succeeded = Some(raw == b"yes"),
                b"exit" => found.error = error(raw),
                b"a0" => found.args[0] = argument(raw),
                b"a1" => found.args[1] = argument(raw),
                b"pid" if found.pid.is_none() => found.pid = number(value),
                b"ppid" if found.ppid.is_none() => found.ppid = number(value),
                b"comm" if found.comm.is_none() => found.comm = value.text(),
                b"exe" if found.exe.is_none() => found.exe = value.text(),
                _ => {}
            }
        }
        match succeeded {
            Some(true) => found.error = Some(0),
            // It failed, and how is not known.
            Some(false) if found.error == Some(0) => found.error = None,
            Some(false) => {}
            None => return None,
        }
        Some(found)
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
            let Some(Aside::Call(call)) = Aside::parse_line(line.as_bytes()) else {
                panic!("{line}");
            };
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
        let deed = |from: &str, to: &str| match Aside::parse_line(RAW.replace(from, to).as_bytes())?
        {
            Aside::Call(call) => Some((call.deed, call.error)),
            Aside::Title(_) => None,
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

    #[test]
    fn a_title_gives_its_first_argument_alone() {
        let of = |line: &str| match Aside::parse_line(line.as_bytes()) {
            Some(Aside::Title(title)) => {
                assert_eq!(title.serial, Some(7), "{line}");
                (title.program.map(Bytes::into_owned), title.effective)
            }
            other => panic!("{line}: {other:?}"),
        };
        let program = |name: &str| (Some(name.as_bytes().to_vec()), None);
        let head = |kind: &str| format!("type={kind} msg=audit(1795458347.188:7): ");
        assert_eq!(
            of(&(head("PROCTITLE") + "proctitle=2F6F70742F626F78002D2D746F6B656E00783D79")),
            program("/opt/box")
        );
        assert_eq!(
            of(&(head("PROCTITLE") + "proctitle=\"box\"")),
            program("box")
        );
        assert_eq!(
            of(&(head("EXECVE") + "argc=3 a0=\"/opt/box\" a1=\"--token\" a2=\"secret\"")),
            program("/opt/box")
        );
        // A title that its program has written.
        assert_eq!(
            of(&(head("PROCTITLE") + "proctitle=626F783A20736563726574")),
            program("box:")
        );
        assert_eq!(
            of(&(head("BPRM_FCAPS")
                + "fver=0 fp=0 fi=0 fe=0 old_pp=0 old_pi=0 old_pe=0 old_pa=0 pp=100 pi=0 pe=100 \
                   pa=0 frootid=0")),
            (None, Some(0x100))
        );
        let message = b"audit(1795458347.188:7): proctitle=\"box\"";
        assert!(matches!(
            Aside::parse_message(kind::PROCTITLE, message),
            Some(Aside::Title(_))
        ));
        assert_eq!(Aside::parse_message(kind::AVC, message), None);
        assert_eq!(
            Aside::parse_line((head("PROCTITLE") + "proctitle=").as_bytes()),
            None
        );
    }
}
