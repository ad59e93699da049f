//! Labels of containers as labels of metrics.

/// The name that a container's label has as a metric's.
pub fn label(name: &str) -> String {
    let plain = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' => character,
        _ => '_',
    };
    let name: String = name.chars().map(plain).collect();
    format!("label_{name}")
}
