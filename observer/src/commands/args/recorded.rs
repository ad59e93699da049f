//! What `record` and `replay` take.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Args;

use super::{Audit, RECORD_EXITS};
use crate::{
    commands::attach::Attach,
    finding::{FailOn, RoleFilter, Scope},
    outputs::report::Form,
};

/// `capwatch record`
#[derive(Debug, Args)]
#[command(after_help = RECORD_EXITS)]
pub struct Record {
    /// How to attach.
    #[command(flatten)]
    pub attach: Attach,
    /// Where audit records come from.
    #[command(flatten)]
    pub audit: Audit,
    /// Exit with 3 if one of these is found: fatal, degraded, pending, denied, rule, or
    /// blind (something was missed that could hide a finding)
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_enum)]
    pub fail_on: Vec<FailOn>,
    /// Apply --fail-on to this role only
    #[arg(long, value_enum, value_name = "ROLE")]
    pub role: Option<RoleFilter>,
    /// Choose whose findings the report and --fail-on include
    #[arg(long, value_enum, default_value = "beside", value_name = "SCOPE")]
    pub scope: Scope,
    /// After the command exits, follow what still runs of its tree, and of what was
    /// started beside it, for up to this long (such as 500ms, 10s, 2m)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
    /// Run the command as this user, with its groups and home
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Write the report to this file instead of stderr; `-` is stdout
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write what was seen to this file as JSON lines, from which `replay` makes the same
    /// report
    #[arg(long, value_name = "FILE")]
    pub stream: Option<PathBuf>,
    /// Choose the form of the report
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    pub command: Vec<OsString>,
}

/// A length of time as it is typed: a number and its unit.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err("give a number and ms, s, m or h, such as 10s".to_owned()),
    };
    let number: Option<u64> = number.parse().ok();
    let length = number.and_then(|number| number.checked_mul(milliseconds));
    let length = length.filter(|length| *length <= MAX_WAIT_MS);
    let length = length.ok_or_else(|| "give at most a day, such as 10s".to_owned())?;
    Ok(Duration::from_millis(length))
}

/// The longest wait that is taken, a day.
const MAX_WAIT_MS: u64 = 86_400_000;

/// `capwatch replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// Print one JSON object for each record instead of a report
    #[arg(long)]
    pub records: bool,
    /// With --records: also print objects for lines without a record
    #[arg(long, requires = "records")]
    pub all: bool,
    /// Exit with 0 even if no line is an audit record, and read files that are not logs
    #[arg(long)]
    pub lenient: bool,
    /// Exit with 3 if one of these is found: fatal, degraded, pending, denied, rule, or
    /// blind (something was missed that could hide a finding)
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_enum)]
    pub fail_on: Vec<FailOn>,
    /// Apply --fail-on to this role only
    #[arg(long, value_enum, value_name = "ROLE")]
    pub role: Option<RoleFilter>,
    /// Serve the status page over a recorded stream here, HOST:PORT or unix:PATH, until
    /// a signal ends it
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["records", "fail_on", "output"])]
    pub serve: Option<String>,
    /// Choose the form of the report
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
    /// The log or stream, plain or compressed with gzip or zstd; `-` is stdin
    pub file: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_units_and_an_end() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for wrong in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "25h",
            "99999999999999999999s",
            "5 s",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
