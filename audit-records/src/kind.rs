//! Audit message types: numbers, names, and the verdict a type carries.
//!
//! Numbers and names are audit-userspace's (`lib/libaudit.h`,
//! `lib/msg_typetab.h`, 3.0.9), whose `AppArmor` types are libapparmor's too
//! (`libraries/libapparmor/src/parser.h`). The kernel itself writes `AppArmor`
//! records as type 1400; 1501 to 1507 are what kernels before 2.6.39 wrote.

use super::Verdict;

/// `AUDIT_USER_AVC`: a user-space object manager, such as a message bus.
pub const USER_AVC: u16 = 1107;
/// `AUDIT_SYSCALL`.
pub const SYSCALL: u16 = 1300;
/// `AUDIT_EXECVE`.
pub const EXECVE: u16 = 1309;
/// `AUDIT_BPRM_FCAPS`.
pub const BPRM_FCAPS: u16 = 1321;
/// `AUDIT_PROCTITLE`.
pub const PROCTITLE: u16 = 1327;
/// `AUDIT_SECCOMP`.
pub const SECCOMP: u16 = 1326;
/// `AUDIT_AVC`: what `AppArmor`, `SELinux` and Smack all write.
pub const AVC: u16 = 1400;
/// `AUDIT_AA`, the first of `AppArmor`'s own.
pub const APPARMOR: u16 = 1500;
/// `AUDIT_APPARMOR_DENIED`.
pub const APPARMOR_DENIED: u16 = 1503;
/// `AUDIT_APPARMOR_KILL`, the last of `AppArmor`'s own.
pub const APPARMOR_KILL: u16 = 1507;

/// The types this parser looks into, and some neighbours that share an event
/// with them; any other name is foreign without a number.
const NAMES: [(&[u8], u16); 25] = [
    (b"USER_AVC", USER_AVC),
    (b"USER_SELINUX_ERR", 1108),
    (b"SYSCALL", SYSCALL),
    (b"PATH", 1302),
    (b"IPC", 1303),
    (b"SOCKETCALL", 1304),
    (b"CONFIG_CHANGE", 1305),
    (b"SOCKADDR", 1306),
    (b"CWD", 1307),
    (b"EXECVE", EXECVE),
    (b"EOE", 1320),
    (b"BPRM_FCAPS", BPRM_FCAPS),
    (b"CAPSET", 1322),
    (b"SECCOMP", SECCOMP),
    (b"PROCTITLE", PROCTITLE),
    (b"BPF", 1334),
    (b"EVENT_LISTENER", 1335),
    (b"SELINUX_ERR", 1401),
    (b"APPARMOR", APPARMOR),
    (b"APPARMOR_AUDIT", 1501),
    (b"APPARMOR_ALLOWED", 1502),
    (b"APPARMOR_DENIED", APPARMOR_DENIED),
    (b"APPARMOR_HINT", 1504),
    (b"APPARMOR_STATUS", 1505),
    (b"APPARMOR_ERROR", 1506),
];

/// The number of the type called `name`: a decimal number, a name of
/// audit-userspace's, `UNKNOWN[1503]` (auditd without the name) or `AUDIT1503`
/// (journald without the name).
pub fn number(name: &[u8]) -> Option<u16> {
    if name == b"AVC" {
        return Some(AVC);
    }
    let digits = name
        .strip_prefix(b"UNKNOWN[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .or_else(|| name.strip_prefix(b"AUDIT"))
        .unwrap_or(name);
    if digits.first().is_some_and(u8::is_ascii_digit) {
        return super::number::decimal(digits).and_then(|value| u16::try_from(value).ok());
    }
    match name {
        b"APPARMOR_KILL" => Some(APPARMOR_KILL),
        _ => NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|&(_, number)| number),
    }
}

/// Whether records of this type are `AppArmor`'s own, whatever they say.
pub const fn is_apparmor(number: u16) -> bool {
    matches!(number, APPARMOR..=APPARMOR_KILL)
}

/// The verdict by the type alone.
pub const fn verdict(number: u16) -> Option<Verdict> {
    match number {
        1501 => Some(Verdict::Audit),
        1502 => Some(Verdict::Allowed),
        APPARMOR_DENIED => Some(Verdict::Denied),
        1504 => Some(Verdict::Hint),
        1505 => Some(Verdict::Status),
        1506 => Some(Verdict::Error),
        APPARMOR_KILL => Some(Verdict::Killed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_type() {
        for spelling in ["1503", "APPARMOR_DENIED", "UNKNOWN[1503]", "AUDIT1503"] {
            assert_eq!(number(spelling.as_bytes()), Some(1503), "{spelling}");
        }
        assert_eq!(number(b"AVC"), Some(1400));
        assert_eq!(number(b"APPARMOR_KILL"), Some(1507));
    }

    #[test]
    fn what_is_no_type() {
        for spelling in [
            "",
            "UNKNOWN[]",
            "UNKNOWN[1503",
            "99999",
            "avc",
            "AUDIT",
            "15x",
        ] {
            assert_eq!(number(spelling.as_bytes()), None, "{spelling}");
        }
    }
}
