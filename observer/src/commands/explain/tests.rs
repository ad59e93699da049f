mod short;

use std::collections::BTreeSet;

use super::*;
use crate::audit::MAX_LINE;

const PAGE: &str = include_str!("../../../../docs/errors.md");
const WRONG: &str = include_str!("../../../../docs/wrong-diagnoses.md");

fn table() -> Table {
    Table::built_in().unwrap()
}

fn rules() -> Arc<Rules> {
    Arc::new(Rules::load(None).unwrap())
}

#[test]
fn the_table_is_whole() {
    let table = table();
    assert!(table.entries().len() >= 60);
    assert_eq!(table::unknown_causes(&table), Vec::<String>::new());
    let ids: BTreeSet<_> = table.entries().iter().map(|entry| &entry.id).collect();
    assert_eq!(ids.len(), table.entries().len(), "an id is there twice");
    let used: BTreeSet<_> = table.entries().iter().flat_map(|e| &e.causes).collect();
    let all: BTreeSet<_> = table.all_causes().keys().collect();
    assert_eq!(used, all, "a cause is behind nothing");
    for entry in table.entries() {
        assert!(!table.causes(entry).is_empty(), "{}", entry.id);
        assert!(!entry.source.is_empty(), "{}", entry.id);
        assert!(entry.source.iter().all(|url| url.starts_with("https://")));
        if let Some(capability) = &entry.capability {
            let number = crate::caps::number(capability.as_bytes());
            assert!(number.is_some(), "{}: {capability}", entry.id);
        }
    }
}

#[test]
fn every_example_finds_its_entry_first() {
    let table = table();
    for entry in table.entries() {
        assert!(!entry.examples.is_empty(), "{}", entry.id);
        for example in &entry.examples {
            let loud = format!(
                "\x1b[31m2026-11-26T10:00:00Z app[77]: {}\x1b[0m",
                example.to_uppercase()
            );
            for text in [example, &loud] {
                let found: Vec<_> = table.find(text).iter().map(|(e, _)| e.id.clone()).collect();
                assert_eq!(found.first(), Some(&entry.id), "{text:?}: {found:?}");
            }
        }
    }
}

#[test]
fn a_message_is_found_in_a_page_of_log_and_over_a_broken_line() {
    let table = table();
    let mut log = "systemd[1]: Started something.\n".repeat(200);
    log.push_str("bwrap: setting up uid map: Permission denied\n");
    assert_eq!(table.find(&log)[0].0.id, "bwrap-uid-map");
    let broken = "bwrap: setting up\n  uid map: Permission denied";
    assert_eq!(table.find(broken)[0].0.id, "bwrap-uid-map");
}

#[test]
fn other_texts_are_unknown() {
    for text in [
        "Segmentation fault (core dumped)",
        "No such file or directory",
        "connect: Connection refused",
        "error: linking with `cc` failed: exit status: 1",
        "E: Unable to locate package foo",
        "fatal: not a git repository (or any of the parent directories): .git",
        "Killed",
        "curl: (6) Could not resolve host: example.org",
        "Error: listen EADDRINUSE: address already in use :::3000",
        "OOMKilled",
        "tar: Error is not recoverable: exiting now",
        "kernel: usb 1-1: new high-speed USB device number 2",
        "ImagePullBackOff",
        "Traceback (most recent call last):",
        "write error: No space left on device",
        "ssh: connect to host x port 22: No route to host",
        "error 1",
        "os error 2",
        "errno 11",
        "Connection refused (os error 111)",
        "exit status 22",
        "EPERMANENT",
        "CAP_SETPCAP",
        "uid map",
    ] {
        let answer_table = table();
        let answer = answer(&answer_table, text, rules());
        assert!(!answer.known, "{text}: {answer:?}");
        let mut out = Vec::new();
        show(&mut out, &answer).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("unknown"));
    }
}

#[test]
fn an_audit_record_is_explained() {
    let record = "audit: type=1400 audit(1755250140.807:199): apparmor=\"DENIED\" \
        operation=\"capable\" class=\"cap\" profile=\"unpriv_bwrap\" pid=3303 comm=\"konsole\" \
        capability=19 capname=\"sys_ptrace\"";
    let table = table();
    let answer = answer(&table, record, rules());
    assert!(answer.known);
    assert_eq!(answer.records.len(), 1);
    for word in ["konsole", "sys_ptrace", "unpriv_bwrap"] {
        assert!(answer.records[0].contains(word), "{}", answer.records[0]);
    }
}

#[test]
fn what_is_shown_of_a_hostile_text_is_clean_and_short() {
    let text = format!(
        "\x1b]0;owned\x07\u{202e}bwrap: setting up uid map: {}",
        "\x1b[2J".repeat(MAX_LINE / 8)
    );
    let table = table();
    let answer = answer(&table, &text, rules());
    let mut out = Vec::new();
    show(&mut out, &answer).unwrap();
    let shown = String::from_utf8(out).unwrap();
    assert!(shown.contains("Reported by bubblewrap"));
    assert!(!shown.contains(['\x1b', '\x07', '\u{202e}']), "{shown:?}");
    assert!(shown.len() < 8_000, "{}", shown.len());
}

#[test]
fn a_cause_is_shown_with_check_sign_and_fix() {
    let table = table();
    let answer = answer(
        &table,
        "RTNETLINK answers: Operation not permitted",
        rules(),
    );
    let mut out = Vec::new();
    show(&mut out, &answer).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn the_page_is_that_of_the_table() {
    let page = page::page(&table()).unwrap();
    if std::env::var_os("INSTA_UPDATE").is_some_and(|word| word == "always") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
        std::fs::write(path, &page).unwrap();
        return;
    }
    assert!(
        page == PAGE,
        "docs/errors.md is out of date: INSTA_UPDATE=always makes it again"
    );
}

#[test]
fn every_wrong_diagnosis_has_a_command() {
    let rows = WRONG.lines().filter(|line| line.starts_with("| ["));
    let mut count = 0;
    for row in rows {
        count += 1;
        let last = row
            .trim_end_matches([' ', '|'])
            .rsplit(" | ")
            .next()
            .unwrap();
        assert!(last.contains('`'), "no command: {row}");
    }
    assert!(count >= 10, "{count}");
}
