//! `capwatch replay` on what is no good log: a clear message with the place, and
//! what was read is reported all the same.

#![expect(
    clippy::disallowed_types,
    reason = "the agent starts no programs, its tests do"
)]

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use flate2::{Compression, write::GzEncoder};

fn record(serial: u32, head: &str) -> String {
    format!(
        "{head}audit(1795458347.188:{serial}): apparmor=\"DENIED\" operation=\"capable\" \
         profile=\"p\" pid=7 comm=\"c\" capability=8  capname=\"setpcap\"\n"
    )
}

fn log(lines: u32) -> String {
    (0..lines)
        .map(|serial| record(serial, "type=AVC msg="))
        .collect()
}

fn replay(file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_capwatch"))
        .args(["replay", "-o", "json"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .expect("capwatch runs")
}

/// Exit code, what stderr says, and how many records the report has.
fn outcome(output: &Output) -> (Option<i32>, String, Option<u64>) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice::<serde_json::Value>(&output.stdout).ok();
    let records = report.and_then(|report| report["audit"]["records"].as_u64());
    (output.status.code(), stderr, records)
}

#[test]
fn a_directory_and_a_missing_file_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let (code, error, records) = outcome(&replay(directory.path()));
    assert_eq!((code, records), (Some(1), None));
    assert!(
        error.ends_with("it is a directory; name a log file\n"),
        "{error}"
    );
    let (code, error, _) = outcome(&replay(&directory.path().join("no.log")));
    assert_eq!(code, Some(1));
    assert!(
        error.contains("no.log: No such file or directory"),
        "{error}"
    );
}

#[test]
fn a_truncated_gzip_says_where_and_reports_what_it_held() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("audit.log.gz");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(log(20_000).as_bytes()).expect("memory");
    let whole = encoder.finish().expect("memory");
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    let (code, error, records) = outcome(&replay(&path));
    assert_eq!(code, Some(1));
    let records = records.expect("a report");
    assert!(records > 1_000, "{records}");
    // The last line was cut within.
    let place = format!("audit.log.gz beyond line {}, byte ", records + 1);
    assert!(
        error.contains(&place) || error.contains(&format!("line {records}, byte ")),
        "{error}"
    );
}

#[test]
fn garbage_is_counted_and_no_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("garbage");
    let mut bytes: Vec<u8> = (0..200_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    bytes.extend_from_slice(b"\n");
    bytes.extend_from_slice(log(2).as_bytes());
    fs::write(&path, bytes).expect("written");
    let (code, error, records) = outcome(&replay(&path));
    assert_eq!((code, error.as_str(), records), (Some(0), "", Some(2)));
}

/// A sparse file of zeros: ten gigabytes, or one in a debug build, whose search
/// is slow.
#[test]
fn a_line_of_gigabytes_takes_no_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sparse");
    let size = if cfg!(debug_assertions) {
        1 << 30
    } else {
        10 << 30
    };
    let mut file = File::create(&path).expect("created");
    file.set_len(size).expect("a sparse file");
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).expect("sought");
    file.write_all(format!("\n{}", log(1)).as_bytes())
        .expect("written");
    // SAFETY: a number is set for the process that is about to be replaced.
    let limit = |command: &mut Command| unsafe {
        use std::os::unix::process::CommandExt as _;
        command.pre_exec(|| {
            let bytes = libc::rlimit {
                rlim_cur: 256 << 20,
                rlim_max: 256 << 20,
            };
            if libc::setrlimit(libc::RLIMIT_AS, &raw const bytes) == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_capwatch"));
    command.args(["replay", "-o", "json"]).arg(&path);
    limit(&mut command);
    let output = command.output().expect("capwatch runs");
    let (code, error, records) = outcome(&output);
    assert_eq!((code, error.as_str(), records), (Some(0), "", Some(1)));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report["audit"]["malformed"], 1);
}

#[test]
fn a_log_says_that_its_process_ids_mean_nothing_here() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("audit.log");
    fs::write(&path, log(1)).expect("written");
    let report: serde_json::Value =
        serde_json::from_slice(&replay(&path).stdout).expect("a report");
    assert!(
        report["notes"][0]
            .as_str()
            .expect("a note")
            .contains("PIDs are from the host")
    );
    assert_eq!(report["denials"][0]["leftover"], "hook_missing");
    let text = Command::new(env!("CARGO_BIN_EXE_capwatch"))
        .arg("replay")
        .arg(&path)
        .output()
        .expect("capwatch runs");
    let text = String::from_utf8(text.stdout).expect("UTF-8");
    assert!(text.contains("PIDs are from the host"), "{text}");
}

/// As journald and a syslog daemon keep them.
#[test]
fn a_record_that_a_log_holds_twice_counts_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("syslog");
    let twice: String = (0..3)
        .flat_map(|serial| {
            [
                record(serial, "Nov 24 10:22:07 host kernel: audit: type=1400 "),
                record(serial, "Nov 24 10:22:07 host audisp-syslog: type=AVC msg="),
            ]
        })
        .collect();
    fs::write(&path, twice).expect("written");
    let (code, error, records) = outcome(&replay(&path));
    assert_eq!((code, error.as_str(), records), (Some(0), "", Some(3)));
}

#[test]
fn a_recorded_stream_is_no_log_of_records() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("stream");
    fs::write(&path, "{\"schema\":\"capwatch.event/1\",\"kind\":").expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_capwatch"))
        .args(["replay", "--records"])
        .arg(&path)
        .output()
        .expect("capwatch runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is a recorded stream"));
    let (code, error, records) = outcome(&replay(&path));
    assert_eq!((code, records), (Some(1), Some(0)));
    assert!(error.contains("line 1: "), "{error}");
}

/// Replays a file that is written on the fly; gives its report and the peak of
/// its memory in MiB.
#[expect(clippy::zombie_processes, reason = "`wait4` waits for it")]
fn peak(lines: impl Iterator<Item = String>) -> (serde_json::Value, u64) {
    use std::io::{BufWriter, Read as _, Write as _};
    use std::process::Stdio;

    let mut child = Command::new(env!("CARGO_BIN_EXE_capwatch"))
        .args(["replay", "-o", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = BufWriter::new(child.stdin.take().unwrap());
    for line in lines {
        writeln!(input, "{line}").unwrap();
    }
    input.flush().unwrap();
    drop(input);
    let mut report = String::new();
    let mut output = child.stdout.take().unwrap();
    // It is still there while its output is read: its peak is known to the end.
    output.read_to_string(&mut report).unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    // SAFETY: plain numbers, for which zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    // SAFETY: both live until the call returns; nobody else waits for the child.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    assert_eq!(waited, pid);
    let kibibytes = u64::try_from(usage.ru_maxrss).unwrap();
    (serde_json::from_str(&report).unwrap(), kibibytes / 1024)
}

#[test]
fn names_without_end_take_no_memory_without_end() {
    // Past every limit; more take longer and no more memory.
    const RECORDS: u64 = 100_000;
    let log = (0..RECORDS).map(|number| {
        format!(
            "type=AVC msg=audit({}.000:{number}): apparmor=\"DENIED\" operation=\"capable\" \
             class=\"cap\" profile=\"profile-of-its-own-{number}\" pid={} comm=\"name{number}\" \
             capability=21  capname=\"sys_admin\"",
            1_795_460_062 + number / 100,
            number % 30_000 + 1
        )
    });
    let (report, mebibytes) = peak(log);
    assert!(mebibytes <= 96, "{mebibytes} MiB");
    let denials = report["denials"].as_array().unwrap();
    let counts = denials.iter().map(|row| row["count"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), RECORDS);
    let notes = report["notes"].to_string();
    assert!(notes.contains("reported together"), "{notes}");

    let header = r#"{"schema":"capwatch.event/1","time":"2026-11-26T00:00:00.000000Z","kind":"header","version":"0.1.0","host":{"kernel":"6.12","lsm":[],"boot_id":"b"},"hooks":[],"sources":[],"command":null}"#;
    let rows = (0..RECORDS).map(|number| {
        format!(
            r#"{{"schema":"capwatch.event/1","time":"2026-11-26T00:00:01.000000Z","kind":"row","row":"{number:016x}","folded":false,"supervisor":null,"role":null,"container":null,"comm":"name{number}","exe":"executable-{number}","pid":1,"chain":[],"capability":"sys_admin","number":21,"layer":"commoncap","reason":"not_effective","profile":null,"namespace":null,"target_namespace":null,"audited":"yes","expected":false,"own_credentials":true,"via":"security_capable","count":2,"exact":true,"logged":null,"leftover":null,"first":"2026-11-26T00:00:00.000000Z","last":"2026-11-26T00:00:00.000000Z","explanation":"It was refused."}}"#
        )
    });
    let (report, mebibytes) = peak(std::iter::once(header.to_owned()).chain(rows));
    assert!(mebibytes <= 96, "{mebibytes} MiB");
    assert_eq!(report["counts"]["denials"]["all"], 2 * RECORDS);
    assert_eq!(report["counts"]["denials"]["rows"], RECORDS);
}
