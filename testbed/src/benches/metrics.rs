//! What is read of a page for Prometheus.

/// Sums the samples of a metric whose labels hold all of these texts.
pub fn sum(page: &str, metric: &str, labels: &[&str]) -> f64 {
    samples(page)
        .filter(|(name, _)| {
            let (name, rest) = name.split_once('{').unwrap_or((name, ""));
            name == metric && labels.iter().all(|label| rest.contains(label))
        })
        .map(|(_, value)| value)
        .sum()
}

/// How many series the page has.
pub fn series(page: &str) -> usize {
    samples(page).count()
}

fn samples(page: &str) -> impl Iterator<Item = (&str, f64)> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name, value.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "whole numbers")]
    fn samples_are_summed_by_name_and_labels() {
        let page = "# HELP a x\na{b=\"1\",c=\"2\"} 3\na{b=\"2\",c=\"2\"} 4\nab{b=\"1\"} 5\na 6\n";
        assert_eq!(sum(page, "a", &[]), 13.0);
        assert_eq!(sum(page, "a", &["c=\"2\""]), 7.0);
        assert_eq!(sum(page, "a", &["c=\"2\"", "b=\"1\""]), 3.0);
        assert_eq!(series(page), 4);
    }
}
