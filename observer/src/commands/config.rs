//! `capwatch config`: check a file, print options and the catalogue, suggest rules.

use std::{io::Write, process::ExitCode};

use super::{
    args::{Config, Global},
    settings, suggest,
};
use crate::config::{CATALOGUE, Rules};

/// Runs the command.
pub fn run(action: &Config, global: &Global) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    match action {
        Config::Default => {
            out.write_all(settings::commented().as_bytes())?;
            out.write_all(CATALOGUE.as_bytes())?;
        }
        Config::Suggest { file } => {
            let rules = Rules::load(global.config.as_deref())?;
            return suggest::run(file, &rules);
        }
        Config::Check { file } => {
            let file = file.as_deref().or(global.config.as_deref());
            let rules = Rules::load(file)?;
            if let Some(path) = file {
                settings::check(rules.options(), &path.display().to_string())?;
            }
            let shown = file.map_or("the built-in catalogue".to_owned(), |path| {
                path.display().to_string()
            });
            writeln!(
                out,
                "{shown}: valid, {} supervisors",
                rules.supervisors().len()
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
