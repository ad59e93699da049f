//! What a file is that is no log, and what to do with it: a binary journal or a
//! picture read line by line holds no denial, and that would be no answer.

use std::{
    io::{self, Chain, Cursor, Read},
    sync::{Arc, Mutex, PoisonError},
};

use crate::config::Release;

/// So much of a file shows what it is: tar says so at byte 257, and a kernel's log
/// begins with the kernel's version.
const HEAD: usize = 16 << 10;
/// So much is looked at for lines of a log.
const LINES: usize = 16 << 10;

/// A sort of file: its name, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct What {
    name: &'static str,
    remedy: &'static str,
}

impl What {
    /// Why this can't be replayed, as an error says it.
    pub fn refusal(self) -> String {
        format!("it is {}, not a log: {}", self.name, self.remedy)
    }
}

const fn what(name: &'static str, remedy: &'static str) -> What {
    What { name, remedy }
}

/// First bytes, and whose they are.
const MAGIC: [(&[u8], What); 20] = [
    (
        b"LPKSHHRH",
        what(
            "a binary journal of systemd",
            "pipe its text: journalctl --file FILE -o export | capwatch replay -",
        ),
    ),
    (b"\xff\xfe", UTF16),
    (b"\xfe\xff", UTF16),
    (b"\x89PNG\r\n", PICTURE),
    (b"\xff\xd8\xff", PICTURE),
    (b"GIF8", PICTURE),
    (b"RIFF", PICTURE),
    (b"BM\x36", PICTURE),
    (
        b"%PDF-",
        what(
            "a PDF",
            "take the text out of it (pdftotext -layout FILE -)",
        ),
    ),
    (
        b"PK\x03\x04",
        what(
            "a zip archive",
            "pipe the log inside it: unzip -p FILE NAME | capwatch replay -",
        ),
    ),
    (
        b"\xfd7zXZ\0",
        what("packed by xz", "unpack it: xz -dc FILE | capwatch replay -"),
    ),
    (
        b"BZh",
        what(
            "packed by bzip2",
            "unpack it: bzip2 -dc FILE | capwatch replay -",
        ),
    ),
    (
        b"\x04\x22\x4d\x18",
        what(
            "packed by lz4",
            "unpack it: lz4 -dc FILE | capwatch replay -",
        ),
    ),
    (
        b"7z\xbc\xaf\x27\x1c",
        what("a 7z archive", "unpack it and name the log inside it"),
    ),
    (b"\x1f\x8b", TWICE),
    (b"\x28\xb5\x2f\xfd", TWICE),
    (
        b"\x7fELF",
        what(
            "a program or a core dump",
            "name the log that was written with it",
        ),
    ),
    (
        b"SQLite format 3",
        what("a database", "export the log's text from it"),
    ),
    (
        b"{\\rtf",
        what("a text document (RTF)", "save it as plain text"),
    ),
    (
        b"ElfFile\0",
        what("an event log of Windows", "name a log of the Linux host"),
    ),
];

const UTF16: What = what(
    "UTF-16 text, which PowerShell and some editors write",
    "convert it, iconv -f UTF-16 -t UTF-8 FILE | capwatch replay -",
);
const PICTURE: What = what("a picture", "copy the log's text, not a screenshot of it");
const TWICE: What = what(
    "packed twice",
    "unpack it once, zstdcat or zcat FILE | capwatch replay -",
);
const TAR: What = what(
    "a tar archive",
    "pipe the log inside it: tar xOf FILE NAME | capwatch replay -",
);

/// What an input is, if that is no log, whose kernel it is of, and all of its bytes.
pub type Looked<R> = (Option<What>, Release, Chain<Cursor<Vec<u8>>, R>);

/// What `input` is, if it is known to be no log, the release of the kernel that
/// wrote it, and all of its bytes.
///
/// # Errors
/// The input's own.
pub fn look<R: Read>(mut input: R) -> io::Result<Looked<R>> {
    let mut head = vec![0; HEAD];
    let mut length = 0;
    // A slow pipe's first line is enough to know that it is text.
    while length < HEAD && !is_text(&head[..length]) {
        match input.read(&mut head[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(length);
    let release = Release::of_log(&head);
    Ok((of(&head), release, Cursor::new(head).chain(input)))
}

fn is_text(head: &[u8]) -> bool {
    head.contains(&b'\n') && !head.contains(&0)
}

fn of(head: &[u8]) -> Option<What> {
    let known = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
    if let Some((_, what)) = known {
        return Some(*what);
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(TAR);
    }
    // Without its mark: every second byte of ASCII text is 0.
    let zeros = |first: usize| {
        let every = head.iter().skip(first).step_by(2);
        head.len() >= 16
            && every.clone().count() * 4 <= every.filter(|byte| **byte == 0).count() * 5
    };
    (zeros(0) != zeros(1)).then_some(UTF16)
}

/// The first part of what was read, kept for a look at the end.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// Whether a line of it begins as a log's do, with or without audit records.
    pub fn is_log(&self) -> bool {
        let head = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        head.split(|byte| *byte == b'\n').any(is_log_line)
    }

    /// Whether it holds bytes that no text has.
    pub fn is_binary(&self) -> bool {
        let head = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let odd = |byte: &&u8| matches!(byte, 0..=8 | 0x0e..=0x1a);
        head.iter().filter(odd).count() > head.len() / 64
    }
}

/// Keeps the first part of what is read through it.
pub struct Keeping<R> {
    input: R,
    kept: Kept,
    full: bool,
}

impl<R> Keeping<R> {
    pub const fn new(input: R, kept: Kept) -> Self {
        Self {
            input,
            kept,
            full: false,
        }
    }
}

impl<R: Read> Read for Keeping<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        if !self.full {
            let mut kept = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
            let room = LINES.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(&buffer[..room]);
            self.full = kept.len() >= LINES;
        }
        Ok(count)
    }
}

/// How a line begins in syslog, dmesg, the journal's forms, auditd's log and
/// ausearch's output.
fn is_log_line(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let digit = |at: usize| line.get(at).is_some_and(u8::is_ascii_digit);
    let is_date = || {
        digit(0) && digit(3) && line.get(4) == Some(&b'-') && digit(5) && line.get(7) == Some(&b'-')
    };
    let month = || {
        b"JanFebMarAprMayJunJulAugSepOctNovDec"
            .chunks(3)
            .any(|month| line.starts_with(month))
            && line[3..]
                .trim_ascii_start()
                .first()
                .is_some_and(u8::is_ascii_digit)
    };
    let day = || {
        b"MonTueWedThuFriSatSun"
            .chunks(3)
            .any(|day| line.starts_with(day))
            && line.get(3) == Some(&b' ')
    };
    let dmesg = || {
        let inner = line
            .strip_prefix(b"[")
            .unwrap_or_default()
            .trim_ascii_start();
        inner.first().is_some_and(u8::is_ascii_alphanumeric) && inner.contains(&b']')
    };
    let starts = |heads: &[&[u8]]| heads.iter().any(|head| line.starts_with(head));
    is_date()
        || month()
        || day()
        || dmesg()
        || starts(&[
            b"type=",
            b"node=",
            b"audit:",
            b"kern",
            b"<",
            b"-- ",
            b"----",
            b"time->",
            b"__CURSOR=",
            b"{\"",
            b"{\n",
        ]) && line.len() > 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(bytes: &[u8]) -> Option<&'static str> {
        let (what, _, mut rest) = look(bytes).unwrap();
        let mut all = Vec::new();
        rest.read_to_end(&mut all).unwrap();
        assert_eq!(all, bytes, "no byte is lost");
        what.map(|what| what.name)
    }

    #[test]
    fn what_is_no_log_is_named_with_what_to_do() {
        let wide = |text: &str, big: bool| -> Vec<u8> {
            let units = text.encode_utf16();
            units
                .flat_map(|unit| {
                    if big {
                        unit.to_be_bytes()
                    } else {
                        unit.to_le_bytes()
                    }
                })
                .collect()
        };
        let text = "type=AVC msg=audit(1.1:1): apparmor=\"DENIED\"\n";
        for big in [false, true] {
            assert_eq!(named(&wide(text, big)), Some(UTF16.name));
            assert_eq!(
                named(&wide(&format!("\u{feff}{text}"), big)),
                Some(UTF16.name)
            );
        }
        let mut tar = vec![0; 512];
        tar[..9].copy_from_slice(b"audit.log");
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(named(&tar), Some("a tar archive"));
        for (magic, _) in MAGIC {
            let bytes = [magic, &[7; 20]].concat();
            assert!(named(&bytes).is_some(), "{magic:?}");
        }
        for log in [
            text.as_bytes(),
            b"",
            b"\n",
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ] {
            assert_eq!(named(log), None, "{log:?}");
        }
    }

    #[test]
    fn a_log_without_audit_records_is_one_all_the_same() {
        for line in [
            "Nov 24 10:22:07 host sshd[12]: session opened",
            "2026-11-24T10:22:07.188+00:00 host kernel: eth0 is up",
            "[    0.000000] Linux version 6.12.48",
            "[Tue Nov 24 10:22:07 2026] eth0 is up",
            "<6>[    1.5] eth0 is up",
            "kern  :info  : [    1.5] eth0 is up",
            "{\"MESSAGE\":\"x\"}",
            "-- No entries --",
        ] {
            assert!(is_log_line(line.as_bytes()), "{line}");
        }
        for line in [
            "",
            "Profile: /usr/sbin/cups-browsed",
            "hello",
            "Mayor of it",
        ] {
            assert!(!is_log_line(line.as_bytes()), "{line}");
        }
    }
}
