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
fn told(output: &Output) -> (Option<i32>, String, Option<u64>) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice::<serde_json::Value>(&output.stdout).ok();
    let records = report.and_then(|report| report["audit"]["records"].as_u64());
    (output.status.code(), stderr, records)
}

#[test]
fn a_directory_and_a_missing_file_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let (code, error, records) = told(&replay(directory.path()));
    assert_eq!((code, records), (Some(1), None));
    assert!(
        error.ends_with("it is a directory; name a log file\n"),
        "{error}"
    );
    let (code, error, _) = told(&replay(&directory.path().join("no.log")));
    assert_eq!(code, Some(1));
    assert!(
        error.contains("no.log: No such file or directory"),
        "{error}"
    );
}

#[test]
fn a_truncated_gzip_tells_where_and_reports_what_it_held() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("audit.log.gz");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(log(20_000).as_bytes()).expect("memory");
    let whole = encoder.finish().expect("memory");
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    let (code, error, records) = told(&replay(&path));
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
    let (code, error, records) = told(&replay(&path));
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
    let (code, error, records) = told(&output);
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
            .contains("process ids")
    );
    assert_eq!(report["denials"][0]["leftover"], "hook_missing");
    let text = Command::new(env!("CARGO_BIN_EXE_capwatch"))
        .arg("replay")
        .arg(&path)
        .output()
        .expect("capwatch runs");
    let text = String::from_utf8(text.stdout).expect("UTF-8");
    assert!(text.contains("process ids are those of the host"), "{text}");
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
    let (code, error, records) = told(&replay(&path));
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
    let (code, error, records) = told(&replay(&path));
    assert_eq!((code, records), (Some(1), Some(0)));
    assert!(error.contains("line 1: "), "{error}");
}
