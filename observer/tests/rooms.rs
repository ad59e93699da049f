//! The rooms of the house, by what their files name of one another.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the kernel's structs are turned into observations.
const BORDER: &str = "sources/bpf/";

/// What other files name of the crate that is shared with the kernel side: its words,
/// and its decisions, which are plain functions. No struct that the programs write is
/// among it, but for the entry of a process that ran before the hooks, which the same
/// decisions make.
const PLAIN: [(&str, &str); 6] = [
    (
        "words.rs",
        "pub use observer_ebpf::{Audited, Broken, Call, Layer, Loss, Note, Reason, Role, Via};",
    ),
    (
        "words.rs",
        "pub const NAME_LEN: usize = observer_ebpf::NAME_LEN;",
    ),
    (
        "correlate/episode.rs",
        "use observer_ebpf::decide::{Ran, ran};",
    ),
    (
        "commands/probe/file.rs",
        "use observer_ebpf::decide::rules::{self, FileSets, Sets};",
    ),
    ("commands/version.rs", "let abi = observer_ebpf::ABI;"),
    ("sources/proc.rs", "use observer_ebpf::{Task, decide};"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file, by its path below `src`, without its tests.
fn files() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    assert!(found.len() > 100);
    let is_test = |path: &Path| path.ends_with("tests.rs");
    let files = found.into_iter().filter(|path| !is_test(path));
    let files = files.map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\n").next().unwrap().to_owned();
        let name = path.strip_prefix(root()).unwrap();
        (name.to_str().unwrap().to_owned(), code)
    });
    files.collect()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

#[test]
fn structs_of_the_kernel_side_end_at_the_border() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for (file, code) in files() {
        if file.starts_with(BORDER) {
            continue;
        }
        for line in code.lines().filter(|line| !is_comment(line)) {
            if !line.contains("observer_ebpf") {
                continue;
            }
            if PLAIN.contains(&(file.as_str(), line.trim())) {
                named += 1;
            } else {
                wrong.push(format!("{file}: {}", line.trim()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these name what the programs write; see src/observation and src/words.rs:\n{}",
        wrong.join("\n")
    );
    assert_eq!(named, PLAIN.len(), "an exception that nobody needs");
}
