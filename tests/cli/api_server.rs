//! A tiny HTTP server on the loopback in place of an API server: fixed answers by path, and a record of what was
//! asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What it answers: path of the request -> status and body.
pub type Answers = fn(&str) -> (u16, String);

pub struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves until the test process ends.
    pub fn start(answers: Answers) -> Server {
        Server::serving(answers, None)
    }

    /// The same, to whoever sends this as its credentials; anybody else is asked for them.
    pub fn guarded(answers: Answers, pass: &'static str) -> Server {
        Server::serving(answers, Some(pass))
    }

    fn serving(answers: Answers, pass: Option<&'static str>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let memory = Arc::clone(&memory);
                std::thread::spawn(move || serve(stream, (answers, pass), &memory));
            }
        });
        Server { address, asked }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// `GET /version`, in the order of arrival.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, (answers, pass): (Answers, Option<&str>), memory: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let headers: Vec<String> =
        reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let mut words = first.split_whitespace();
    let (method, path) = (words.next()?, words.next()?);
    memory.lock().unwrap().push(format!("{method} {path}"));
    let passes = pass
        .is_none_or(|pass| headers.iter().any(|line| line.split_once(": ").is_some_and(|(_, value)| value == pass)));
    let (status, body) =
        if passes { answers(path) } else { (401, r#"{"errors": [{"code": "UNAUTHORIZED", "message": "m"}]}"#.into()) };
    let challenge = if passes { "" } else { "WWW-Authenticate: Basic realm=\"test\"\r\n" };
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n{challenge}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    reader.into_inner().write_all(format!("{head}{body}").as_bytes()).ok()
}

/// Collections that an API server always serves.
const COLLECTIONS: [&str; 6] = ["/configmaps", "/deployments", "/events", "/nodes", "/pods", "/secrets"];

/// Answers its version; has nothing.
pub fn healthy(path: &str) -> (u16, String) {
    match path.split('?').next().unwrap_or_default() {
        "/version" => (200, version()),
        path if COLLECTIONS.iter().any(|collection| path.ends_with(collection)) => (200, no_objects()),
        _ => (404, status(404, "NotFound", "not found")),
    }
}

fn no_objects() -> String {
    serde_json::json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": []}).to_string()
}

pub fn version() -> String {
    serde_json::json!({
        "major": "1", "minor": "33", "gitVersion": "v1.33.1", "gitCommit": "c", "gitTreeState": "clean",
        "buildDate": "2025-05-01T00:00:00Z", "goVersion": "go1.24", "compiler": "gc", "platform": "linux/amd64",
    })
    .to_string()
}

pub fn status(code: u16, reason: &str, message: &str) -> String {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
    })
    .to_string()
}
