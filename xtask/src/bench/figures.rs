//! What repeated measurements come to.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The median of several measurements, and how far apart they were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half of them were less.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of at least one measurement.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(samples: &[f64]) -> Result<Self> {
        let mut samples = samples.to_vec();
        samples.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (samples.first(), samples.last()) else {
            anyhow::bail!("nothing was measured");
        };
        Ok(Self {
            median: quantile(&samples, 0.5),
            least: *least,
            most: *most,
        })
    }

    /// Of a single measurement.
    pub fn one(value: f64) -> Self {
        Self {
            median: value,
            least: value,
            most: value,
        }
    }
}

/// A quantile of sorted samples, the nearest one below.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "an index of some thousands at most"
    )]
    let index = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// The numbers of an array.
///
/// # Errors
/// When it isn't one.
pub fn numbers(value: &Value) -> Result<Vec<f64>> {
    let array = value.as_array().context("not an array")?;
    let numbers: Option<Vec<f64>> = array.iter().map(Value::as_f64).collect();
    numbers.context("not an array of numbers")
}

/// What `testbed bench overhead` measured, by call and condition.
pub struct Overhead(Vec<(String, String, Vec<f64>)>);

impl Overhead {
    /// Reads its rows.
    ///
    /// # Errors
    /// When they have another shape.
    pub fn read(value: &Value) -> Result<Self> {
        let rows = value["rows"].as_array().context("no rows")?;
        let mut all = Vec::new();
        for row in rows {
            let text = |name: &str| row[name].as_str().map(str::to_owned);
            let (call, condition) = text("call").zip(text("condition")).context("no names")?;
            all.push((call, condition, numbers(&row["nanoseconds"])?));
        }
        Ok(Self(all))
    }

    /// What each round measured.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn samples(&self, call: &str, condition: &str) -> Result<&[f64]> {
        let row = self.0.iter().find(|(c, n, _)| c == call && n == condition);
        let (_, _, samples) = row.with_context(|| format!("no row {call}, {condition}"))?;
        Ok(samples)
    }

    /// What a condition added to a call, in each round.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn added(&self, call: &str, condition: &str) -> Result<Vec<f64>> {
        let bare = self.samples(call, "none")?;
        let watched = self.samples(call, condition)?;
        Ok(watched
            .iter()
            .zip(bare)
            .map(|(with, without)| with - without)
            .collect())
    }

    /// What a condition added, as a multiple of what another one did.
    ///
    /// Of medians, since a single round's difference may be next to nothing; the
    /// spread is that of the rounds of the first one.
    ///
    /// # Errors
    /// When there is no such row, or the other added nothing.
    pub fn ratio(&self, call: &str, condition: &str, over: &str) -> Result<Spread> {
        let added = Spread::of(&self.added(call, condition)?)?;
        let base = Spread::of(&self.added(call, over)?)?.median;
        ensure!(base > 0.0, "{over} added nothing to {call}: {base}");
        Ok(Spread {
            median: added.median / base,
            least: added.least / base,
            most: added.most / base,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_what_was_added() -> Result<()> {
        let row = |condition: &str, figures: [f64; 3]| serde_json::json!({ "call": "denied", "condition": condition, "nanoseconds": figures });
        let rows = [
            row("none", [100.0, 110.0, 90.0]),
            row("empty", [150.0, 160.0, 140.0]),
            row("capwatch", [200.0, 220.0, 180.0]),
        ];
        let overhead = Overhead::read(&serde_json::json!({ "rows": rows }))?;
        let ratio = overhead.ratio("denied", "capwatch", "empty")?;
        assert_eq!((ratio.median, ratio.least, ratio.most), (2.0, 1.8, 2.2));
        assert!(overhead.ratio("denied", "capwatch", "none").is_err());
        Ok(())
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "whole numbers")]
    fn quantiles_are_samples() {
        let samples: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(quantile(&samples, 0.5), 50.0);
        assert_eq!(quantile(&samples, 0.99), 99.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
