//! Who may ask: names and passwords, by HTTP's basic authentication.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::super::answer;
use super::{Security, WebConfigError};

/// The highest cost of a hash: twice as long with each, and two seconds with this one.
const MAX_COST: u32 = 15;
/// How long a password waits to be checked: one is at a time.
const TURN: Duration = Duration::from_secs(5);

/// Everybody who may ask.
#[derive(Debug)]
pub struct Users(BTreeMap<String, User>);

#[derive(Debug)]
struct User {
    hash: String,
    /// The digest of the password that was right: bcrypt takes as long as a scrape of
    /// twenty nodes.
    known: Mutex<Option<[u8; 32]>>,
}

impl Users {
    /// Takes names and hashes.
    pub fn new(path: &Path, users: BTreeMap<String, String>) -> Result<Self, WebConfigError> {
        let users = users.into_iter().map(|(name, hash)| {
            let invalid = |message: &str| {
                WebConfigError::new(path, format!("basic_auth_users: {name}: {message}"))
            };
            let parts = bcrypt::HashParts::from_str(&hash)
                .map_err(|_| invalid("not a bcrypt hash; make one with `htpasswd -nBC 10 NAME`"))?;
            if parts.get_cost() > MAX_COST {
                return Err(invalid(
                    "its cost is above 15, which takes seconds for each login; use \
                    10 (`htpasswd -nBC 10 NAME`)",
                ));
            }
            let user = User {
                hash,
                known: Mutex::new(None),
            };
            Ok((name, user))
        });
        users.collect::<Result<_, _>>().map(Self)
    }

    /// Whether it is known already that this is right.
    fn knows(&self, name: &str, digest: &[u8; 32]) -> bool {
        let user = self.0.get(name);
        user.is_some_and(|user| {
            let known = user.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.as_ref() == Some(digest)
        })
    }

    /// Whether this is right, by bcrypt. It takes as long where there is no such user.
    fn verify(&self, name: &str, password: &[u8], digest: [u8; 32]) -> bool {
        let Some(user) = self.0.get(name) else {
            if let Some(other) = self.0.values().next() {
                let _ = bcrypt::verify(password, &other.hash);
            }
            return false;
        };
        let right = bcrypt::verify(password, &user.hash).unwrap_or(false);
        if right {
            *user.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
        }
        right
    }
}

/// Asks everybody for name and password, where the configuration has some.
#[derive(Clone, Debug)]
pub struct Gate {
    security: Option<Security>,
    /// Whether `/-/healthy` and `/-/ready` need none.
    open_probes: bool,
    turn: Arc<Semaphore>,
}

impl Gate {
    /// By a configuration, if there is one.
    pub fn new(security: Option<Security>, open_probes: bool) -> Self {
        Self {
            security,
            open_probes,
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

/// Lets in who may ask.
pub async fn ask(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let probe = request.uri().path().starts_with("/-/");
    let loaded = gate.security.as_ref().map(Security::current);
    let Some(loaded) = loaded.filter(|loaded| loaded.users.is_some()) else {
        return next.run(request).await;
    };
    if probe && gate.open_probes {
        return next.run(request).await;
    }
    let Some((name, password)) = credentials(request.headers()) else {
        return refused();
    };
    let digest = digest(&name, &password);
    let users = |loaded: &super::Loaded| {
        loaded
            .users
            .as_ref()
            .is_some_and(|users| users.knows(&name, &digest))
    };
    if users(&loaded) {
        return next.run(request).await;
    }
    let Ok(Ok(turn)) = timeout(TURN, Arc::clone(&gate.turn).acquire_owned()).await else {
        return answer::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many passwords wait to be checked; try again later",
        );
    };
    // Somebody before may have been right with it.
    let right = users(&loaded)
        || spawn_blocking(move || {
            let _turn = turn;
            let users = loaded.users.as_ref();
            users.is_some_and(|users| users.verify(&name, &password, digest))
        })
        .await
        .unwrap_or(false);
    if right {
        next.run(request).await
    } else {
        refused()
    }
}

fn refused() -> Response {
    let mut refused = answer::problem(
        StatusCode::UNAUTHORIZED,
        "name or password is missing or wrong: basic_auth_users of --web.config.file lists the \
         names",
    );
    let realm = HeaderValue::from_static("Basic realm=\"capwatch\", charset=\"UTF-8\"");
    refused.headers_mut().insert(WWW_AUTHENTICATE, realm);
    refused
}

fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    let name = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((name, decoded[colon + 1..].to_vec()))
}

fn digest(name: &str, password: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([0]);
    hasher.update(password);
    hasher.finalize().into()
}
