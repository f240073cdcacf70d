//! An OIDC issuer of a test's own on loopback: it says what a real one says and records every byte that it is sent.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use support::Sandbox;

pub struct RecordingIssuer {
    pub url: String,
    /// Certificates that a client has to trust: the sandbox's and this issuer's.
    pub trust: PathBuf,
    received: Arc<Mutex<Vec<String>>>,
}

impl RecordingIssuer {
    pub fn start(sandbox: &Sandbox) -> RecordingIssuer {
        let (config, root) = server_that_is_its_own_root("127.0.0.1");
        let trust = sandbox.file("recording-issuer.crt");
        let others = std::fs::read_to_string(sandbox.variable("SSL_CERT_FILE")).unwrap();
        std::fs::write(&trust, format!("{others}\n{root}")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let (issuer, record) = (url.clone(), received.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (issuer, record, config) = (issuer.clone(), record.clone(), config.clone());
                std::thread::spawn(move || serve(stream, config, &issuer, &record));
            }
        });
        RecordingIssuer { url, trust, received }
    }

    /// Every request so far, its credentials decoded.
    pub fn received(&self) -> String {
        self.received.lock().unwrap().join("\n")
    }
}

/// A TLS server at 127.0.0.1 as `openssl req -x509` makes it, whose certificate is the authority, too; with its PEM.
pub fn server_that_is_its_own_root(host: &str) -> (Arc<ServerConfig>, String) {
    let key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(vec![host.to_owned()]).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = root.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![root.der().clone()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
        .unwrap();
    (Arc::new(config), root.pem())
}

/// One request; a client that does not trust the certificate sends none.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, issuer: &str, record: &Mutex<Vec<String>>) -> Option<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    let mut request = Vec::new();
    let mut buffer = [0_u8; 4096];
    while !is_whole(&String::from_utf8_lossy(&request)) {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => request.extend(&buffer[..read]),
            _ => return None,
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let (status, more, body) = answer(issuer, text.split_whitespace().nth(1)?);
    record.lock().unwrap().push(with_credentials(text));
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{more}content-type: application/json\r\ncontent-length: {length}\r\n");
    stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let mut length =
        head.lines().filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.next_back().unwrap_or(0_usize)
}

/// Status, further headers, body.
fn answer(issuer: &str, target: &str) -> (&'static str, String, String) {
    let at = |path: &str| format!("{issuer}{path}");
    match target.split('?').next().unwrap_or_default() {
        "/.well-known/openid-configuration" => {
            let document = json!({
                "issuer": issuer, "authorization_endpoint": at("authorize"), "token_endpoint": at("token"),
                "device_authorization_endpoint": at("device"), "jwks_uri": at("jwks"), "userinfo_endpoint": at("me"),
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
            });
            ("200 OK", String::new(), document.to_string())
        }
        "/authorize" => {
            let back = "https://grafana.tail1a2b.ts.net/oauth2/callback?error=login_required&state=tailwatch-probe";
            ("302 Found", format!("location: {back}\r\n"), String::new())
        }
        "/jwks" => ("200 OK", String::new(), json!({"keys": []}).to_string()),
        _ => ("400 Bad Request", String::new(), json!({"error": "invalid_grant"}).to_string()),
    }
}

fn with_credentials(request: String) -> String {
    let basic = request.lines().filter_map(|line| line.split_once("Basic ").or(line.split_once("basic ")));
    let decoded = basic.filter_map(|(_, text)| STANDARD.decode(text.trim()).ok());
    let decoded: Vec<String> = decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    format!("{request}\n{}", decoded.join("\n"))
}
