//! Bad input: a clear message, the position, and what was read before.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use observer::audit::{ReplayError, Tally, replay_records};

const RECORD: &str = "type=AVC msg=audit(1795458347.188:2): apparmor=\"DENIED\" operation=\"capable\" profile=\"p\" pid=7 comm=\"c\" capability=8  capname=\"setpcap\"\n";

fn log(lines: usize) -> Vec<u8> {
    (0..lines)
        .flat_map(|line| RECORD.replace(":2)", &format!(":{line})")).into_bytes())
        .collect()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)
}

fn replay(input: impl Read + Send) -> (Result<Tally, ReplayError>, usize) {
    let mut out = Vec::new();
    let result = replay_records(input, false, &mut out);
    (result, memchr::memchr_iter(b'\n', &out).count())
}

#[test]
fn compressed_logs_are_read_as_they_are() {
    let plain = log(1000);
    let two_members = [gzip(&plain), gzip(&plain)].concat();
    let two_frames = [zstd(&plain), zstd(&plain)].concat();
    for (name, input, records) in [
        ("plain", plain.clone(), 1000),
        ("gzip", gzip(&plain), 1000),
        ("gzip, two members", two_members, 2000),
        ("zstd", zstd(&plain), 1000),
        ("zstd, two frames", two_frames, 2000),
        ("empty gzip", gzip(b""), 0),
        ("empty", Vec::new(), 0),
    ] {
        let (result, printed) = replay(&input[..]);
        let tally = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            (tally.records, printed),
            (records, usize::try_from(records).expect("few")),
            "{name}"
        );
    }
}

#[test]
fn a_truncated_archive_says_where_and_keeps_what_it_read() {
    let plain = log(20_000);
    for (name, whole) in [("gzip", gzip(&plain)), ("zstd", zstd(&plain))] {
        let (result, printed) = replay(&whole[..whole.len() / 2]);
        let error = result.expect_err(name);
        let ReplayError::Read {
            line,
            offset,
            tally,
            ..
        } = &error
        else {
            panic!("{name}: {error}")
        };
        assert!(
            printed > 100 && *line > 100 && *offset > 10_000,
            "{name}: {error}"
        );
        assert_eq!(tally.read, *line, "{name}");
        let text = error.to_string();
        assert!(
            text.starts_with(&format!(
                "cannot read further after line {line}, byte {offset} of the {name} log: "
            )),
            "{text}"
        );
    }
}

#[test]
fn a_source_that_fails_midway_keeps_what_it_gave() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let plain = log(3);
    let (result, printed) = replay((&plain[..]).chain(Fails));
    assert_eq!(printed, 3);
    let text = result.expect_err("the disk is gone").to_string();
    assert_eq!(
        text,
        format!(
            "cannot read further after line 3, byte {} of the uncompressed log: the disk is gone",
            plain.len()
        )
    );
}

#[test]
fn ten_gigabytes_without_an_end_are_one_broken_line() {
    // A tenth of it in a debug build: the memory is the same from 128 KiB on.
    let size: u64 = if cfg!(debug_assertions) {
        1 << 30
    } else {
        10 << 30
    };
    let plain = log(1);
    let endless = io::repeat(b'x')
        .take(size)
        .chain(&b"\n"[..])
        .chain(&plain[..]);
    let (result, printed) = replay(endless);
    let tally = result.expect("no failure");
    assert_eq!(
        (tally.read, tally.malformed, tally.records, printed),
        (2, 1, 1, 2)
    );
}

#[test]
fn garbage_is_foreign_or_broken_and_never_an_error() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let garbage: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(1 << 20)
    .collect();
    let (result, _) = replay(&garbage[..]);
    let tally = result.expect("no failure");
    assert_eq!(tally.records, 0);
    assert_eq!(tally.read, tally.foreign + tally.malformed);
}

#[test]
fn nobody_reading_the_output_is_reported() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = replay_records(&log(1)[..], false, Closed).expect_err("a closed pipe");
    assert!(
        matches!(&error, ReplayError::Write(cause) if cause.kind() == io::ErrorKind::BrokenPipe),
        "{error}"
    );
}
