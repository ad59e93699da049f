//! The live sources, as far as they go without root.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use observer::audit::parse_line;
use observer::sources::Source as _;
use observer::sources::audit::follow::{Follow, From};
use observer::sources::audit::{
    AuditSource, Counters, Dedup, Live, LostReason, Sink, SourceEvent, SourceName, stream,
};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::timeout;

fn record(serial: u32) -> String {
    format!(
        "type=AVC msg=audit(1795458347.188:{serial}): apparmor=\"DENIED\" operation=\"capable\" profile=\"p\" pid=7 comm=\"c\" capability=8  capname=\"setpcap\"\n"
    )
}

struct Rig {
    receiver: Receiver<SourceEvent>,
    counters: Arc<Counters>,
}

fn rig(source: SourceName, capacity: usize, dedup: &Arc<Mutex<Dedup>>) -> (Sink, Rig) {
    let (sender, receiver) = mpsc::channel(capacity);
    let counters = Arc::new(Counters::default());
    (
        Sink::new(source, sender, Arc::clone(&counters), Arc::clone(dedup)),
        Rig { receiver, counters },
    )
}

fn dedup() -> Arc<Mutex<Dedup>> {
    Arc::new(Mutex::new(Dedup::new(1024)))
}

impl Rig {
    async fn next(&mut self) -> SourceEvent {
        timeout(Duration::from_secs(20), self.receiver.recv())
            .await
            .expect("in time")
            .expect("an event")
    }

    async fn serials(&mut self, count: usize) -> Vec<u64> {
        let mut found = Vec::new();
        while found.len() < count {
            if let SourceEvent::Record { record, .. } = self.next().await {
                found.extend(record.serial);
            }
        }
        found
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .expect("the log");
    file.write_all(text.as_bytes()).expect("written");
}

#[tokio::test]
async fn a_followed_log_is_followed_through_rotation_truncation_and_absence() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("audit.log");
    append(&path, &record(1));
    let (sink, mut rig) = rig(SourceName::Auditd, 64, &dedup());
    let thread = Follow::open(&path, From::End)
        .expect("opened")
        .spawn(sink)
        .expect("spawned");
    assert!(matches!(rig.next().await, SourceEvent::Up { .. }));

    // In two pieces: the line counts when it is whole.
    let second = record(2);
    append(&path, &second[..30]);
    append(&path, &second[30..]);
    assert_eq!(rig.serials(1).await, [2]);

    // Rotated, with a last record written to the old file afterwards.
    let rotated = directory.path().join("audit.log.1");
    fs::rename(&path, &rotated).expect("renamed");
    append(&rotated, &record(3));
    append(&path, &record(4));
    assert_eq!(rig.serials(2).await, [3, 4]);

    // Truncated in place.
    fs::write(&path, "").expect("truncated");
    tokio::time::sleep(Duration::from_millis(600)).await;
    append(&path, &record(5));
    assert_eq!(rig.serials(1).await, [5]);

    // Gone for a while.
    fs::remove_file(&path).expect("removed");
    let SourceEvent::Down { reason, .. } = rig.next().await else {
        panic!("it is gone")
    };
    assert!(
        reason.contains("audit.log") && reason.contains("No such file"),
        "{reason}"
    );
    append(&path, &record(6));
    assert_eq!(rig.serials(1).await, [6]);

    assert_eq!(rig.counters.snapshot().records, 5);
    assert_eq!(rig.counters.lost_total(), 0);
    drop(rig);
    tokio::task::spawn_blocking(move || thread.join().expect("no panic"))
        .await
        .expect("it ends");
}

#[test]
fn a_directory_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let error = stream::open(directory.path())
        .expect_err("a directory")
        .to_string();
    assert!(
        error.ends_with("is a directory; name the log file in it"),
        "{error}"
    );
    let missing = directory.path().join("no.log");
    let error = Follow::open(&missing, From::End)
        .expect_err("missing")
        .to_string();
    assert!(
        error.starts_with("cannot open ") && error.contains("no.log: No such file"),
        "{error}"
    );
}

#[tokio::test]
async fn a_stream_waits_for_its_reader_and_loses_nothing() {
    let log: String = (0..5000).map(record).collect();
    let (sink, mut rig) = rig(SourceName::Stream, 4, &dedup());
    let thread = stream::spawn(std::io::Cursor::new(log.into_bytes()), sink).expect("spawned");
    assert_eq!(rig.serials(5000).await, (0..5000).collect::<Vec<_>>());
    assert_eq!(rig.counters.lost_total(), 0);
    thread.join().expect("no panic");
}

#[tokio::test]
async fn a_socket_s_reader_never_waits_and_counts_what_it_dropped() {
    let (mut sink, mut rig) = rig(SourceName::Netlink, 4, &dedup());
    for serial in 0..10 {
        sink.offer(parse_line(record(serial).as_bytes()), 0);
    }
    assert_eq!(rig.counters.lost(LostReason::ChannelFull), 6);
    assert_eq!(rig.counters.snapshot().records, 10);
    assert_eq!(rig.serials(4).await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn one_record_of_two_sources_is_reported_once() {
    let shared = dedup();
    let (mut netlink, mut from_netlink) = rig(SourceName::Netlink, 16, &shared);
    let (mut kmsg, mut from_kmsg) = rig(SourceName::Kmsg, 16, &shared);
    netlink.offer(parse_line(record(1).as_bytes()), 0);
    kmsg.offer(parse_line(record(1).as_bytes()), 0);
    kmsg.offer(parse_line(record(2).as_bytes()), 0);
    netlink.offer(parse_line(record(2).as_bytes()), 0);
    assert_eq!(from_netlink.serials(1).await, [1]);
    assert_eq!(from_kmsg.serials(1).await, [2]);
    assert!(from_netlink.receiver.try_recv().is_err() && from_kmsg.receiver.try_recv().is_err());
    assert_eq!(
        from_netlink.counters.snapshot().duplicates + from_kmsg.counters.snapshot().duplicates,
        2
    );
}

#[tokio::test]
async fn lines_of_loss_are_counted_and_totals_reported_as_differences() {
    let (mut sink, mut rig) = rig(SourceName::Stream, 16, &dedup());
    for line in [
        "kauditd_printk_skb: 113 callbacks suppressed",
        "audit: audit_lost=40 audit_rate_limit=0 audit_backlog_limit=64",
        "audit: audit_lost=42 audit_rate_limit=0 audit_backlog_limit=64",
        "audit: audit_lost=1 audit_rate_limit=0 audit_backlog_limit=64",
    ] {
        sink.offer(parse_line(line.as_bytes()), 0);
    }
    let mut counts = Vec::new();
    while let Ok(SourceEvent::Lost { count, reason, .. }) = rig.receiver.try_recv() {
        counts.push((reason.name(), count));
    }
    assert_eq!(
        counts,
        [
            ("printk_ratelimit", 113),
            ("audit_lost", 1),
            ("audit_lost", 2),
            ("audit_lost", 1)
        ]
    );
    assert_eq!(rig.counters.lost_total(), 117);
}

#[tokio::test]
async fn a_record_of_several_capabilities_is_reported_once_for_each() {
    let (mut sink, mut rig) = rig(SourceName::Netlink, 16, &dedup());
    let line = "type=AVC msg=audit(1.1:7): avc:  denied  { chown setpcap } for  pid=7 comm=\"x\" scontext=u:r:t:s0 tcontext=u:r:t:s0 tclass=capability permissive=0";
    sink.offer(parse_line(line.as_bytes()), 0);
    assert_eq!(rig.serials(2).await, [7, 7]);
    assert_eq!(rig.counters.snapshot().records, 1);
}

fn source(kind: &str, path: &Path) -> AuditSource {
    format!("{kind}:{}", path.display())
        .parse()
        .expect("a source")
}

/// The serials of the records that come, until so many have and no more do.
async fn received(live: &mut Live, count: usize) -> Vec<u64> {
    let mut serials = Vec::new();
    let patience = |found: usize| Duration::from_millis(if found < count { 20_000 } else { 700 });
    loop {
        let patience = patience(serials.len());
        let hand = |event| {
            if let SourceEvent::Record { record, .. } = event {
                serials.extend(record.serial);
            }
        };
        match timeout(patience, live.next(hand)).await {
            Ok(result) => result.expect("sources"),
            Err(_) => break,
        }
    }
    serials.sort_unstable();
    serials
}

#[tokio::test]
async fn a_log_and_a_journal_on_a_pipe_give_each_record_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("audit.log");
    append(&log, &record(1));
    let pipe = directory.path().join("journal");
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).expect("a pipe");
    let sources = [source("log", &log), source("pipe", &pipe)];
    let mut live = Live::open(&sources, None).expect("opened");
    let state = |live: &Live| {
        live.report()
            .into_iter()
            .map(|one| (one.name, one.up))
            .collect::<Vec<_>>()
    };
    let named = |auditd, stream| vec![("auditd".to_owned(), auditd), ("stream".to_owned(), stream)];
    assert_eq!(state(&live), named(true, false));

    // What is in the log already was reported in its time.
    append(&log, &record(2));
    append(&log, &record(3));
    let entry = |serial: u32| {
        let message = record(serial).replace("type=AVC msg=audit", "AVC audit");
        let message = message.split_once("): ").expect("a stamp").1.trim_end();
        format!(
            "__CURSOR=x\n_TRANSPORT=audit\n_AUDIT_TYPE=1400\n_AUDIT_ID={serial}\n\
             _SOURCE_REALTIME_TIMESTAMP=1795458347188000\nMESSAGE=AVC {message}\n\n"
        )
    };
    let mut journal = OpenOptions::new()
        .write(true)
        .open(&pipe)
        .expect("a reader");
    for serial in [2, 3, 4] {
        journal
            .write_all(entry(serial).as_bytes())
            .expect("written");
    }
    assert_eq!(received(&mut live, 3).await, [2, 3, 4]);
    assert_eq!(state(&live), named(true, true));
    drop(journal);
    assert_eq!(received(&mut live, 0).await, [0; 0]);
    assert_eq!(state(&live), named(true, false));
    let reports = live.report();
    assert_eq!(
        reports.iter().map(|one| one.records).collect::<Vec<_>>(),
        [2, 3]
    );
    assert_eq!(reports[1].reason.as_deref(), Some("the log has ended"));
}

#[tokio::test]
async fn a_source_that_is_named_wrongly_is_an_error_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let missing = path.join("no.log");
    let log = path.join("audit.log");
    append(&log, "");
    for (sources, wanted) in [
        (
            vec![source("log", path)],
            "is a directory; name the log file in it",
        ),
        (
            vec![source("pipe", path)],
            "is a directory; name the log file in it",
        ),
        (
            vec![source("log", &missing)],
            "no.log: No such file or directory (os error 2)",
        ),
        (
            vec![source("pipe", &missing)],
            "no.log: No such file or directory (os error 2)",
        ),
        (
            vec![source("log", &log), source("log", &log)],
            "name one log, and one pipe or standard input",
        ),
    ] {
        let error = Live::open(&sources, None)
            .err()
            .expect("an error")
            .to_string();
        assert!(error.ends_with(wanted), "{error}");
    }
}
