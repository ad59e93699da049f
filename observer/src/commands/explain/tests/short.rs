//! Short forms that people paste: an errno alone, systemd's status alone.

use super::*;

/// What each form finds first, alone and within a line, in any case; or what it
/// finds instead.
fn misses(id: &str, forms: &[&str]) -> Vec<String> {
    let table = table();
    let mut misses = Vec::new();
    for form in forms {
        for text in [
            (*form).to_owned(),
            form.to_uppercase(),
            form.to_lowercase(),
            format!("app[77]: cannot go on: {form}; the program stops here"),
            format!("first line\n\x1b[31mERROR \"{form}\".\x1b[0m\nlast line"),
        ] {
            let found: Vec<_> = table
                .find(&text)
                .iter()
                .map(|(e, _)| e.id.clone())
                .collect();
            if found != [id] {
                misses.push(format!("{text:?}: {found:?}"));
            }
        }
    }
    misses
}

fn none() -> Vec<String> {
    Vec::new()
}

fn shown(text: &str) -> String {
    let table = table();
    let answer = answer(&table, text, rules());
    let mut out = Vec::new();
    show(&mut out, &answer).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn eperm_is_known_in_each_form() {
    let forms = [
        "Operation not permitted",
        "(os error 1)",
        "os error 1",
        "Operation not permitted (os error 1)",
        "EPERM",
        "errno 1",
        "errno: 1",
        "errno=1",
        "[Errno 1] Operation not permitted: 'x'",
        "= -1 EPERM (Operation not permitted)",
        "rm: cannot remove 'x': Operation not permitted",
    ];
    assert_eq!(misses("errno-eperm", &forms), none());
}

#[test]
fn einval_is_known_in_each_form() {
    let forms = [
        "Invalid argument",
        "EINVAL",
        "errno 22",
        "errno: 22",
        "errno=22",
    ];
    assert_eq!(misses("errno-einval", &forms), none());
    // The form is Rust's own.
    let rust = [
        "(os error 22)",
        "os error 22",
        "Invalid argument (os error 22)",
    ];
    assert_eq!(misses("openshell-einval", &rust), none());
}

#[test]
fn eacces_is_known_in_each_form() {
    let forms = [
        "permission denied",
        "Permission denied (os error 13)",
        "os error 13",
        "EACCES",
        "errno 13",
        "errno=13",
        "cat: /etc/shadow: Permission denied",
    ];
    assert_eq!(misses("errno-eacces", &forms), none());
}

#[test]
fn the_status_of_systemd_is_known_without_its_key() {
    for (id, word) in [
        ("systemd-203", "203/EXEC"),
        ("systemd-groups", "216/GROUP"),
        ("systemd-218", "218/CAPABILITIES"),
        ("systemd-226", "226/NAMESPACE"),
    ] {
        let key = format!("status={word}");
        assert_eq!(misses(id, &[word, &key]), none());
    }
}

#[test]
fn a_part_of_a_record_is_known_and_a_whole_one_explains_itself() {
    let part = r#"apparmor="DENIED" operation="capable""#;
    assert_eq!(misses("audit-capable", &[part]), none());
    let shown = shown(part);
    assert!(shown.contains("another process"), "{shown}");
    let whole = format!(
        "audit: type=1400 audit(1755250140.807:199): {part} class=\"cap\" profile=\"box\" pid=3303 \
         comm=\"konsole\" capability=19 capname=\"sys_ptrace\""
    );
    let table = table();
    let beside = format!("{whole}\nkonsole: Operation not permitted");
    for (text, ids) in [(&whole, &[][..]), (&beside, &["errno-eperm"][..])] {
        let answer = answer(&table, text, rules());
        assert_eq!(answer.records.len(), 1, "{answer:?}");
        let found: Vec<_> = answer.errors.iter().map(|fit| fit.id).collect();
        assert_eq!(found, ids);
    }
}

#[test]
fn an_errno_alone_proves_no_cause() {
    for text in ["EPERM", "Invalid argument", "permission denied"] {
        let shown = shown(text);
        for words in [
            "The text does not show which",
            "capwatch record -- COMMAND",
            "capwatch doctor",
        ] {
            assert!(shown.contains(words), "{text}: {words}: {shown}");
        }
        for claim in ["most likely", "the cause if it shows", "Cause:"] {
            assert!(!shown.contains(claim), "{text}: {claim}: {shown}");
        }
    }
    insta::assert_snapshot!(shown("Operation not permitted (os error 1)"));
}

#[test]
fn an_errno_gives_way_to_a_message_that_says_more() {
    let text = "cat: /x: Permission denied\n\
        bwrap: setting up uid map: Permission denied\n\
        EPERM";
    let table = table();
    let found: Vec<_> = table.find(text).iter().map(|(e, _)| e.id.clone()).collect();
    assert_eq!(found, ["bwrap-uid-map"]);
    assert!(shown(text).contains("Causes, most likely first"));
}
