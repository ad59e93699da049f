//! TLS and passwords of the HTTP server: a real handshake, right and wrong passwords,
//! and files that change while it runs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use observer::outputs::web::{self, Options, Security};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

mod recorded;

/// An authority, and a folder for what it signs.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate: certificate.into(),
            folder,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate for 127.0.0.1 and its key, which end in this year.
    fn sign(&self, name: &str, year: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
        fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
    }

    fn config(&self, text: &str) -> PathBuf {
        let file = self.file("web.yml");
        fs::write(&file, text).unwrap();
        file
    }

    fn connector(&self, own: Option<&str>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = CertificateDer::from_pem_file(self.file(&format!("{name}.pem")));
                let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key")));
                builder
                    .with_client_auth_cert(vec![chain.unwrap()], key.unwrap())
                    .unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }

    /// The certificate that a server shows, and its answer.
    async fn get(
        &self,
        address: SocketAddr,
        own: Option<&str>,
        path: &str,
        login: Option<&str>,
    ) -> std::io::Result<(Vec<u8>, String)> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::IpAddress(address.ip().into());
        let mut stream = self.connector(own).connect(name, stream).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        let answer = ask(&mut stream, path, login).await?;
        Ok((shown, answer))
    }
}

async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    path: &str,
    login: Option<&str>,
) -> std::io::Result<String> {
    let login = login.map(|login| format!("Authorization: Basic {}\r\n", STANDARD.encode(login)));
    let login = login.unwrap_or_default();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{login}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await??;
    Ok(answer)
}

async fn serve(config: &Path, open_probes: bool, addresses: &[&str]) -> SocketAddr {
    let listeners = web::bind(addresses).await.unwrap();
    let address = listeners[0].local_addr().unwrap().tcp().unwrap();
    let options = Options {
        security: Some(Security::load(config).unwrap()),
        open_probes,
        ..Options::default()
    };
    let view = Arc::new(recorded::page());
    tokio::spawn(web::serve(listeners, view, options, std::future::pending()));
    address
}

fn status(answer: &str) -> &str {
    &answer[9..12]
}

fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

#[tokio::test]
async fn everything_is_behind_the_password() {
    let authority = Authority::new();
    authority.sign("server", 2100);
    let hash = hash("secret");
    let config = authority.config(&format!("{TLS}basic_auth_users:\n  ann: {hash}\n"));
    let socket = authority.file("web.sock");
    let unix = format!("unix:{}", socket.display());
    let address = serve(&config, true, &["127.0.0.1:0", &unix]).await;
    let get = async |path: &str, login: Option<&str>| {
        let (_, answer) = authority.get(address, None, path, login).await.unwrap();
        answer
    };
    for path in [
        "/",
        "/metrics",
        "/api/v1/status",
        "/api/v1/events",
        "/nowhere",
    ] {
        let refused = get(path, None).await;
        assert_eq!(status(&refused), "401", "{path}: {refused}");
        assert!(
            refused.contains("www-authenticate: Basic realm=\"capwatch\""),
            "{refused}"
        );
    }
    for wrong in ["ann:wrong", "ann:", "bob:secret", ":secret", "ann"] {
        assert_eq!(
            status(&get("/metrics", Some(wrong)).await),
            "401",
            "{wrong}"
        );
    }
    for _ in 0..2 {
        let answer = get("/api/v1/status", Some("ann:secret")).await;
        assert!(answer.contains("capwatch.status/1"), "{answer}");
    }
    assert_eq!(
        status(&get("/metrics", Some("ann:wrong")).await),
        "401",
        "after a right one"
    );
    assert_eq!(status(&get("/-/healthy", None).await), "200");

    // A Unix socket is not encrypted, and asks all the same.
    let mut stream = UnixStream::connect(&socket).await.unwrap();
    assert_eq!(
        status(&ask(&mut stream, "/metrics", None).await.unwrap()),
        "401"
    );
    let mut stream = UnixStream::connect(&socket).await.unwrap();
    let answer = ask(&mut stream, "/api/v1/status", Some("ann:secret"))
        .await
        .unwrap();
    assert_eq!(status(&answer), "200");

    // Who speaks no TLS gets no answer.
    let mut plain = TcpStream::connect(address).await.unwrap();
    let answer = ask(&mut plain, "/api/v1/status", Some("ann:secret")).await;
    assert!(!answer.is_ok_and(|answer| answer.contains("HTTP/1.1")));
}

#[tokio::test]
async fn probes_are_behind_the_password_unless_opened() {
    let authority = Authority::new();
    let config = authority.config(&format!("basic_auth_users: {{ann: {}}}\n", hash("x")));
    let address = serve(&config, false, &["127.0.0.1:0"]).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(
        status(&ask(&mut stream, "/-/healthy", None).await.unwrap()),
        "401"
    );
}

#[tokio::test]
async fn clients_need_a_certificate_where_it_is_asked_for() {
    let authority = Authority::new();
    authority.sign("server", 2100);
    authority.sign("client", 2100);
    authority.sign("old", 2020);
    let config = authority.config(&format!(
        "{TLS}  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n"
    ));
    let address = serve(&config, false, &["127.0.0.1:0"]).await;
    let (_, answer) = authority
        .get(address, Some("client"), "/api/v1/status", None)
        .await
        .unwrap();
    assert_eq!(status(&answer), "200");
    let error = authority
        .get(address, None, "/metrics", None)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    let error = authority
        .get(address, Some("old"), "/metrics", None)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("CertificateExpired"), "{error}");
}

#[tokio::test]
async fn a_change_holds_soon_and_a_mistake_changes_nothing() {
    let authority = Authority::new();
    authority.sign("server", 2100);
    let config = authority.config(TLS);
    let address = serve(&config, false, &["127.0.0.1:0"]).await;
    let shown = async || {
        authority
            .get(address, None, "/api/v1/status", None)
            .await
            .unwrap()
    };
    let (first, answer) = shown().await;
    assert_eq!(status(&answer), "200");

    // Neither a file that is none, nor a certificate that has expired.
    fs::write(authority.file("server.pem"), "no certificate").unwrap();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(shown().await.0, first);
    authority.sign("server", 2020);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(shown().await.0, first);

    authority.sign("server", 2101);
    let began = Instant::now();
    while shown().await.0 == first {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "it never changed"
        );
        sleep(Duration::from_millis(200)).await;
    }
    authority.config(&format!("{TLS}basic_auth_users:\n  ann: {}\n", hash("x")));
    while status(&shown().await.1) != "401" {
        assert!(began.elapsed() < Duration::from_secs(40), "nobody is asked");
        sleep(Duration::from_millis(200)).await;
    }
}

#[test]
fn a_mistake_names_file_place_and_remedy() {
    let authority = Authority::new();
    authority.sign("server", 2100);
    authority.sign("other", 2100);
    fs::write(authority.file("empty.pem"), "").unwrap();
    let tls = |rest: &str| format!("tls_server_config: {{cert_file: server.pem, {rest}}}\n");
    for (text, said) in [
        (
            "tls_server_config:\n  cert_file: server.pem\n".to_owned(),
            "key_file",
        ),
        ("tls_servr_config: {}\n".to_owned(), "tls_servr_config"),
        (tls("key_file: nothing.key"), "nothing.key: No such file"),
        (
            tls("key_file: server.pem"),
            "server.pem has no private key in PEM form",
        ),
        (
            tls("key_file: other.key"),
            "other.key does not match the certificate",
        ),
        (
            tls(
                "key_file: server.key, client_ca_file: empty.pem, client_auth_type: RequireAndVerifyClientCert",
            ),
            "empty.pem has no certificate in PEM form",
        ),
        (
            tls("key_file: server.key, client_auth_type: RequireAndVerifyClientCert"),
            "client_auth_type needs client_ca_file",
        ),
        (
            tls("key_file: server.key, client_ca_file: ca.pem"),
            "has no effect without client_auth_type",
        ),
        (tls("key_file: server.key, min_version: TLS10"), "TLS10"),
        (
            tls("key_file: server.key, min_version: TLS13, max_version: TLS12"),
            "min_version is above",
        ),
        (
            "basic_auth_users:\n  ann: secret\n".to_owned(),
            "ann: not a bcrypt hash; make one with",
        ),
        (
            format!(
                "basic_auth_users:\n  ann: {}\n",
                hash("x").replace("$04$", "$20$")
            ),
            "ann: its cost is above 15",
        ),
        ("basic_auth_users: [\n".to_owned(), "web.yml"),
    ] {
        let config = authority.config(&text);
        let error = Security::load(&config).unwrap_err().to_string();
        assert!(error.starts_with("invalid web configuration /"), "{error}");
        assert!(error.contains(said), "{text}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    for text in [
        "",
        "# nothing\n",
        "http_server_config: {http2: false}\n",
        "basic_auth_users:\n",
    ] {
        let loaded = Security::load(&authority.config(text)).unwrap().current();
        assert!(loaded.tls.is_none() && loaded.users.is_none(), "{text}");
    }
    // One that has expired is served: an agent that does not start sees nothing.
    authority.sign("server", 2020);
    let loaded = Security::load(&authority.config(TLS)).unwrap();
    assert!(loaded.current().tls.is_some());
}
