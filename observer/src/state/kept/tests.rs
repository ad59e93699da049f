use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::{config::Rules, finding::Host, ledger::Ledger, state::Latency};

const BOOT: &str = "0b5c3a4e";

fn snapshot() -> Snapshot {
    let rules = Rules::load(None).unwrap();
    let ledger = Ledger::new(rules.into(), Host::default(), 100);
    let (latency, counts) = (Latency::default(), Counts::default());
    Snapshot::new(BOOT, 7, ledger.save(), Vec::new(), latency, counts)
}

fn written(folder: &Path) {
    let (state, _) = State::open(folder, BOOT).unwrap();
    state.replace(snapshot).unwrap();
    state.note(&Entry::Lost("audit".to_owned(), "gap".to_owned(), 3));
    state.note(&Entry::state(b"bytes"));
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
    folder
}

#[test]
fn what_was_written_down_is_read_again_in_its_boot_alone() {
    let folder = folder();
    written(folder.path());
    let (state, left) = State::open(folder.path(), BOOT).unwrap();
    assert_eq!(left.snapshot.map(|one| one.instance), Some(7));
    assert_eq!(left.entries.len(), 2);
    assert_eq!(
        left.entries[1].state_bytes().as_deref(),
        Some(&b"bytes"[..])
    );
    assert!(matches!(
        State::open(folder.path(), BOOT),
        Err(StateError::Held(_))
    ));
    drop(state);
    let (_state, left) = State::open(folder.path(), "another").unwrap();
    assert!(left.snapshot.is_none() && left.entries.is_empty());
}

#[test]
fn episodes_that_were_reported_keep_their_key_for_agents_of_other_versions() {
    let mut reported = snapshot();
    reported.reported.push((1, 2, true));
    let mut json = serde_json::to_value(&reported).unwrap();
    assert_eq!(json["told"], serde_json::json!([[1, 2, true]]));
    let closed =
        serde_json::json!({"id": "1-7", "role": "none", "verdict": "fatal", "calls": null});
    json["ledger"]["episodes"]["told"] = serde_json::json!([closed]);
    let read = Snapshot::read(json.to_string().as_bytes()).unwrap();
    assert_eq!(read.reported, [(1, 2, true)]);
    let again = serde_json::to_value(&read).unwrap();
    assert_eq!(again["ledger"]["episodes"]["told"][0], closed);
}

#[test]
fn a_snapshot_begins_a_journal_and_a_line_cut_short_is_none() {
    let folder = folder();
    written(folder.path());
    let journal = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
    let mut journals =
        journal.filter(|entry| entry.file_name().to_str().unwrap().starts_with(JOURNAL));
    let journal = journals.next().unwrap().path();
    assert!(journals.next().is_none());
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, &whole[..whole.len() - 1]).unwrap();
    let (state, left) = State::open(folder.path(), BOOT).unwrap();
    assert_eq!(left.entries.len(), 1);
    state.replace(snapshot).unwrap();
    drop(state);
    let (_state, left) = State::open(folder.path(), BOOT).unwrap();
    assert!(left.snapshot.is_some() && left.entries.is_empty());
}

#[test]
fn what_is_no_state_of_this_version_is_set_aside() {
    const ZEROS: [u8; 4_096] = [0; 4_096];
    let nested = "[".repeat(100_000);
    let hostile: [&[u8]; 6] = [
        b"",
        b"{",
        b"{\"schema\":\"capwatch.state/2\"}",
        b"{\"schema\":\"capwatch.state/1\",\"ledger\":\"\\u001b[31m\"}",
        &ZEROS,
        nested.as_bytes(),
    ];
    for bytes in hostile {
        let folder = folder();
        fs::write(folder.path().join(SNAPSHOT), bytes).unwrap();
        let (state, left) = State::open(folder.path(), BOOT).unwrap();
        assert!(left.snapshot.is_none());
        let names = open::names_in(&state.folder, ".", MOST);
        assert!(
            names.iter().any(|name| name.contains(".refused-")),
            "{names:?}"
        );
        state.replace(snapshot).unwrap();
    }
}

#[test]
fn a_torn_snapshot_and_a_link_are_set_aside_and_a_link_is_not_written_through() {
    let folder = folder();
    written(folder.path());
    let place = folder.path().join(SNAPSHOT);
    let whole = fs::read(&place).unwrap();
    fs::write(&place, &whole[..whole.len() / 2]).unwrap();
    let (state, left) = State::open(folder.path(), BOOT).unwrap();
    assert!(left.snapshot.is_none());
    drop(state);
    let target = folder.path().join("target");
    fs::write(&target, "mine").unwrap();
    symlink(&target, &place).unwrap();
    symlink(&target, folder.path().join("journal.1")).unwrap();
    let (state, left) = State::open(folder.path(), BOOT).unwrap();
    assert!(left.snapshot.is_none());
    state.replace(snapshot).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"mine");
}

#[test]
fn a_folder_that_others_write_to_is_refused() {
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        State::open(folder.path(), BOOT),
        Err(StateError::Mode { .. })
    ));
    let link = folder.path().join("link");
    symlink(folder.path(), &link).unwrap();
    assert!(matches!(
        State::open(&link, BOOT),
        Err(StateError::Refused { .. })
    ));
}

#[test]
fn all_of_it_is_removed() {
    let folder = folder();
    written(folder.path());
    fs::write(folder.path().join("events.jsonl"), "the user's").unwrap();
    assert_eq!(remove(folder.path()).unwrap(), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
