//! The command line of `probe`, as it is typed.

use std::path::PathBuf;

use clap::Args;

use super::{
    super::{attach::Attach, form::DiagnosisForm},
    behaviour::As,
};

/// `capwatch probe`
#[derive(Debug, Args)]
pub struct Probe {
    /// How to attach.
    #[command(flatten)]
    pub attach: Attach,
    /// Behave like this program when a drop is refused
    #[arg(long = "as", value_enum, default_value_t, value_name = "PROGRAM")]
    pub program: As,
    /// Also try under this `AppArmor` profile
    #[arg(long = "apparmor-profile", value_name = "NAME")]
    pub profile: Option<String>,
    /// Exit with 3 if a supervisor with these privileges (and under the profile, if one
    /// is given) cannot clear its bounding set
    #[arg(long)]
    pub check: bool,
    /// Choose the form of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: DiagnosisForm,
    /// Try the steps of a sandbox under this path, because `AppArmor` profiles attach by
    /// path: a new path, or with `CAP_SYS_ADMIN` that of an existing program
    #[arg(long, value_name = "PATH")]
    pub exe: Option<PathBuf>,
    /// Check only whether this process could execute FILE, and with which capabilities
    #[arg(conflicts_with_all = ["program", "profile", "exe"])]
    pub file: Option<PathBuf>,
}
