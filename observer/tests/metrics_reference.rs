//! The metrics' reference and the code name the same metrics.

use std::collections::BTreeSet;

use observer_ebpf::Loss;

const REFERENCE: &str = include_str!("../../docs/metrics.md");
const CODE: [&str; 4] = [
    include_str!("../src/outputs/metrics.rs"),
    include_str!("../src/outputs/metrics/findings.rs"),
    include_str!("../src/outputs/metrics/latency.rs"),
    include_str!("../src/outputs/metrics/own.rs"),
];

fn quoted(text: &str, quote: char) -> BTreeSet<String> {
    let words = text.split(quote).filter(|word| {
        (word.starts_with("capwatch_") || word.starts_with("process_"))
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    });
    words.map(str::to_owned).collect()
}

#[test]
fn the_reference_has_every_metric_and_no_other() {
    let code: BTreeSet<_> = CODE.iter().flat_map(|text| quoted(text, '"')).collect();
    assert!(code.len() > 20, "{code:?}");
    assert_eq!(code, quoted(REFERENCE, '`'));
}

#[test]
fn the_reference_has_every_loss() {
    for loss in Loss::ALL {
        let row = format!("| `{}` |", loss.reason());
        assert!(REFERENCE.contains(&row), "{row} is missing");
    }
}
