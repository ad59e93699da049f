//! Whether the text before a record is something a logger puts there.
//!
//! Anyone may write `audit: type=1400 …` into a log by `logger`; in a syslog
//! line that text comes after the tag of the program that said it. A record is
//! believed only where no tag, or one of the kernel's or auditd's, precedes it.

use memchr::memmem;

/// Programs that hand on records: the kernel, auditd and its dispatcher,
/// message buses; and the levels of `dmesg -x`.
const TRUSTED: &[&[u8]] = &[
    b"kernel",
    b"kern",
    b"kern.notice",
    b"audit",
    b"auditd",
    b"kauditd",
    b"audispd",
    b"audisp-syslog",
    b"dbus",
    b"dbus-daemon",
    b"dbus-broker",
    b"dbus-broker-launch",
    b"dbus-broker-lau",
    b"emerg",
    b"alert",
    b"crit",
    b"err",
    b"warn",
    b"warning",
    b"notice",
    b"info",
    b"debug",
];

/// Whether a logger, rather than another program, wrote `prefix`.
pub(super) fn is_log_prefix(prefix: &[u8]) -> bool {
    if prefix.is_empty() {
        return true;
    }
    if is_rfc5424(prefix) {
        // <PRI>VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID …
        let app = words(prefix).nth(3);
        return app.is_none_or(|name| name == b"-" || is_trusted(name));
    }
    words(prefix)
        .filter_map(|word| word.strip_suffix(b":"))
        .all(|tag| is_trusted(tag) || !looks_like_a_program(tag))
}

/// Whether `prefix` is logcat's, whose tag is the command of a record
/// (`LogAudit::logPrint`, Android's logd): `04-04 22:38:11.624  5211  5211 I
/// s.inputdisabler:`. Such records have no own time: `audit(0.0:365)`.
pub(super) fn is_logcat(prefix: &[u8]) -> bool {
    let mut words = words(prefix);
    let number = |word: Option<&[u8]>| word.is_some_and(|word| word.iter().all(u8::is_ascii_digit));
    let date = words.next().is_some_and(|word| {
        matches!(word, [a, b, b'-', c, d] if [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()))
    });
    let time = words
        .next()
        .is_some_and(|word| word.first().is_some_and(u8::is_ascii_digit) && word.contains(&b':'));
    let ids = number(words.next()) && number(words.next());
    let level = words
        .next()
        .is_some_and(|word| matches!(word, [b'V' | b'D' | b'I' | b'W' | b'E' | b'F']));
    date && time && ids && level
}

/// Whether a line begins with a syslog's date (`Nov 24 10:22:07`).
pub(super) fn is_syslog_date(line: &[u8]) -> bool {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let Some((month, rest)) = line.split_first_chunk::<3>() else {
        return false;
    };
    MONTHS.chunks_exact(3).any(|known| known == month)
        && rest.starts_with(b" ")
        && rest
            .trim_ascii_start()
            .first()
            .is_some_and(u8::is_ascii_digit)
}

/// Whether a message of the program `tag` (with or without `[pid]`) may hold
/// audit records.
pub(super) fn is_trusted(tag: &[u8]) -> bool {
    let name = match memchr::memchr(b'[', tag) {
        Some(bracket) => &tag[..bracket],
        None => tag,
    };
    // dmesg -x writes `kern  :notice:`.
    let bare = name.strip_prefix(b":").unwrap_or(name);
    // rsyslog's imfile and shippers get a tag for auditd's log: `audit_log`,
    // `tag_audit_log`, `linux_audit`.
    TRUSTED.contains(&bare) || name.len() == tag.len() && memmem::find(bare, b"audit").is_some()
}

/// A tag begins with a letter; a time, a line number and a path from `grep` are
/// none.
fn looks_like_a_program(tag: &[u8]) -> bool {
    let is_path = tag.contains(&b'/')
        || memmem::find(tag, b".log").is_some()
        || memmem::find(tag, b".txt").is_some();
    tag.first().is_some_and(u8::is_ascii_alphabetic) && !is_path
}

fn is_rfc5424(prefix: &[u8]) -> bool {
    let Some(rest) = prefix.strip_prefix(b"<") else {
        return false;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest[digits..].starts_with(b">1 ")
}

fn words(prefix: &[u8]) -> impl Iterator<Item = &[u8]> {
    prefix
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loggers_are_believed() {
        for prefix in [
            "",
            "[   12.345678] ",
            "[Tue Nov 24 10:22:07 2026] ",
            "kern  :notice: [   12.345678] ",
            "kern  :info  : [   12.345678] ",
            "5,1021,12345678,-;",
            "<5>[   12.345678] ",
            "Nov 24 10:22:07 host kernel: [   12.345678] ",
            "2026-11-24T10:22:07.188+00:00 host kernel: ",
            "<5>1 2026-11-24T10:22:07.188Z host kernel - - - ",
            "<5>1 2026-11-24T10:22:07.188Z host kernel - - [timeQuality tzKnown=\"1\"] ",
            "node=web-1 ",
            "/var/log/audit/audit.log:",
            "audit.log:17: ",
            "Nov 24 10:22:07 host audispd: node=host ",
            "Nov 24 10:22:07 host dbus-daemon[712]: ",
            "2026-11-24_10:22:07.18 kern.notice: ",
            "2026-11-24T10:22:07+00:00 web audit_log: ",
            "Nov 24 10:22:07 web tag_audit_log: ",
        ] {
            assert!(is_log_prefix(prefix.as_bytes()), "{prefix}");
        }
    }

    #[test]
    fn other_programs_are_not() {
        for prefix in [
            "Nov 24 10:22:07 host mallory: ",
            "Nov 24 10:22:07 host mallory[12]: audit: ",
            "Nov 24 10:22:07 host sshd[12]: kernel said ",
            "<13>1 2026-11-24T10:22:07Z host mallory 12 - - audit: ",
        ] {
            assert!(!is_log_prefix(prefix.as_bytes()), "{prefix}");
        }
    }
}
