//! Every file is opened in one place, `src/open.rs` and the file below it, where it is
//! seen to that opening can't act. This looks for openings elsewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Calls that open.
const OPENINGS: [&str; 12] = [
    "File::open(",
    "File::create(",
    "File::options(",
    "OpenOptions::new(",
    "fs::read(",
    "fs::read_to_string(",
    "fs::write(",
    "fs::open(",
    "fs::openat(",
    "fs::openat2(",
    "libc::open(",
    "read_dir(",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

fn is_test(file: &Path) -> bool {
    let folder = file.parent();
    file.ends_with("tests.rs") || folder.is_some_and(|folder| folder.ends_with("tests"))
}

#[test]
fn files_are_opened_in_one_place_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 100);
    let mut wrong = Vec::new();
    for file in files {
        let one_place = [root.join("open.rs"), root.join("open/folder.rs")];
        if one_place.contains(&file) || is_test(&file) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for (number, line) in (1..).zip(code.lines()) {
            // Folders of the kernel, by a path that is written here.
            let plain = line.contains("read_dir(\"/proc");
            if !plain && OPENINGS.iter().any(|opening| line.contains(opening)) {
                wrong.push(format!("{}:{number}: {}", file.display(), line.trim()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these open a file by themselves; use a function of src/open.rs:\n{}",
        wrong.join("\n")
    );
}
