//! The recording that the page's tests show: supervisors of two versions, each verdict,
//! and names that a hostile process would choose (`golden/streams/README.md`).

use std::{fs::File, path::Path, sync::Arc};

use observer::{commands::Recording, config::Rules};

/// The recording, as `replay --serve` shows it.
pub fn page() -> Recording {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/streams");
    let path = folder.join("page.jsonl");
    let rules = Rules::load(None).unwrap();
    let (recording, broken) = Recording::read(File::open(&path).unwrap(), &path, Arc::new(rules));
    assert!(broken.is_none(), "{broken:?}");
    recording
}
