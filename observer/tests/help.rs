//! What `--help` shows, in full: a change of the command line is seen in review.

#![expect(
    clippy::disallowed_types,
    reason = "the agent starts no programs, its tests do"
)]

use std::process::Command;

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_capwatch"))
        .args(words)
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_command_line_is_as_documented() {
    insta::assert_snapshot!("capwatch", help(&[]));
    for task in TASKS {
        insta::assert_snapshot!(task, help(&[task]));
    }
}

/// The commands in the order of the reference.
const TASKS: [&str; 10] = [
    "run", "watch", "record", "replay", "doctor", "probe", "explain", "report", "config", "unload",
];

#[test]
fn the_reference_of_commands_is_their_help() {
    use std::fmt::Write as _;

    let mut page = String::from(
        "# Commands\n\nThe help of each command, as `capwatch COMMAND --help` prints it. The man pages \
         (`capwatch man COMMAND`) add exit statuses, files and examples.\n",
    );
    for words in std::iter::once(&[][..]).chain(TASKS.iter().map(std::slice::from_ref)) {
        let title = words
            .first()
            .map_or("capwatch".to_owned(), |task| format!("capwatch {task}"));
        write!(
            page,
            "\n## {title}\n\n```text\n{}\n```\n",
            help(words).trim_end()
        )
        .unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/commands.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(path, page).unwrap();
        return;
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        page,
        "update it: INSTA_UPDATE=always cargo test -p observer --test help"
    );
}

#[test]
fn misuse_is_exit_code_2_and_names_the_remedy() {
    for words in [
        &["--nonsense"][..],
        &["record"],
        &["watch", "--denials", "--episodes"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_capwatch"))
            .args(words)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("--help"), "{error}");
    }
}

#[test]
fn errors_name_their_cause_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (words, cause) in [
        (
            &["config", "check", "/nonexistent"][..],
            "No such file or directory",
        ),
        (&["replay", "/nonexistent"], "No such file or directory"),
        (&["run", "--web.listen-address", &taken], "in use"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_capwatch"))
            .args(words)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error.matches(cause).count(), 1, "{words:?}: {error}");
    }
}

#[test]
fn completions_and_man_page_are_printed() {
    for (words, expected) in [
        (&["completions", "bash"][..], "_capwatch"),
        (&["man"], ".TH capwatch"),
        (&["man", "record"], ".SH \"EXIT STATUS\""),
        (&["completions", "zsh"], "openshell"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_capwatch"))
            .args(words)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(expected), "{words:?}");
        assert!(
            !text.contains("probe-trial"),
            "{words:?}: a command of its own"
        );
    }
}

#[test]
fn a_configuration_is_checked_by_name() {
    let check = |file: &str| {
        Command::new(env!("CARGO_BIN_EXE_capwatch"))
            .args(["config", "check", file])
            .output()
            .unwrap()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let output = check(path);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains(path));
    std::fs::write(path, "[[supervisor]]\nnonsense = 1\n").unwrap();
    let output = check(path);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(path));
}
