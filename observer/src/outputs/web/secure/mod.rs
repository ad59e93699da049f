//! `--web.config.file`: TLS and basic authentication, in the form that Prometheus's
//! exporters read (exporter-toolkit, `docs/web-configuration.md`).
//!
//! The file and what it names are read again when they change. A mistake in them
//! changes nothing: what was in force stays.

mod certificate;
mod settings;
mod tls;
mod users;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;

pub use users::{Gate, ask};

use settings::Settings;
use users::Users;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What is wrong with the file, and where.
#[derive(Debug, thiserror::Error)]
#[error("invalid web configuration {path}: {message}")]
pub struct WebConfigError {
    path: String,
    message: String,
}

impl WebConfigError {
    fn new(path: &Path, message: impl Into<String>) -> Self {
        Self {
            path: path.display().to_string(),
            message: message.into(),
        }
    }
}

/// What is in force.
#[derive(Debug)]
pub struct Loaded {
    /// How connections are encrypted, if they are.
    pub tls: Option<Arc<ServerConfig>>,
    /// Who may ask; anybody where there is no list.
    pub users: Option<Users>,
    /// What it was read from.
    files: Vec<PathBuf>,
    /// That its certificate has expired.
    expired: Option<String>,
}

/// The file, and what of it is in force.
#[derive(Clone, Debug)]
pub struct Security {
    path: PathBuf,
    current: Arc<RwLock<Arc<Loaded>>>,
}

impl Security {
    /// Reads the file. A certificate that has expired is served all the same: an agent
    /// that does not start sees nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(path: &Path) -> Result<Self, WebConfigError> {
        let loaded = read(path)?;
        if let Some(expired) = &loaded.expired {
            tracing::error!("{expired}: clients will refuse it; renew it");
        }
        Ok(Self {
            path: path.to_path_buf(),
            current: Arc::new(RwLock::new(Arc::new(loaded))),
        })
    }

    /// What is in force.
    pub fn current(&self) -> Arc<Loaded> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// The folders of the file and of what it names: where they are read again.
    pub fn folders(&self) -> Vec<PathBuf> {
        let current = self.current();
        let mut folders = Vec::new();
        for file in &current.files {
            // A renewed certificate is often a link into another folder.
            let real = file.canonicalize().ok();
            for place in [Some(file), real.as_ref()].into_iter().flatten() {
                let folder = place.parent().filter(|at| !at.as_os_str().is_empty());
                folders.push(folder.unwrap_or(Path::new(".")).to_owned());
            }
        }
        folders
    }

    /// Reads the files again whenever they change, for ever.
    pub async fn follow(self) {
        let mut known = stamps(&self.current().files);
        loop {
            tokio::time::sleep(LOOK).await;
            let now = stamps(&self.current().files);
            if now == known {
                continue;
            }
            self.again();
            // Of the files that count from now on.
            known = stamps(&self.current().files);
            if known.len() == now.len() {
                known = now;
            }
        }
    }

    fn again(&self) {
        const STAYS: &str = "the previous web configuration stays active";
        match read(&self.path) {
            Ok(Loaded {
                expired: Some(expired),
                ..
            }) => tracing::error!("{expired}; {STAYS}"),
            Ok(loaded) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(loaded);
                tracing::info!("reloaded the web configuration");
            }
            Err(error) => tracing::error!("{error}; {STAYS}"),
        }
    }
}

fn read(path: &Path) -> Result<Loaded, WebConfigError> {
    let Settings {
        tls_server_config,
        _http_server_config: _,
        basic_auth_users,
    } = Settings::read(path)?;
    let mut files = vec![path.to_path_buf()];
    let mut expired = None;
    let tls = match tls_server_config {
        Some(settings) => {
            let (config, end) = tls::config(path, &settings)?;
            files.extend(settings.files(path));
            expired = end;
            Some(Arc::new(config))
        }
        None => None,
    };
    let users = basic_auth_users.unwrap_or_default();
    let users = if users.is_empty() {
        None
    } else {
        Some(Users::new(path, users)?)
    };
    Ok(Loaded {
        tls,
        users,
        files,
        expired,
    })
}

/// What shows that a file is another one, or has other content.
fn stamps(files: &[PathBuf]) -> Vec<Option<(u64, u64, SystemTime)>> {
    use std::os::unix::fs::MetadataExt;

    let stamp = |file: &PathBuf| {
        let meta = std::fs::metadata(file).ok()?;
        Some((meta.ino(), meta.len(), meta.modified().ok()?))
    };
    files.iter().map(stamp).collect()
}
