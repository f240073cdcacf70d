//! A tiny HTTP server on the loopback that stands for an API server: fixed answers by path, and a memory of what was
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let memory = Arc::clone(&memory);
                std::thread::spawn(move || serve(stream, answers, &memory));
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

fn serve(stream: TcpStream, answers: Answers, memory: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    reader.by_ref().lines().map_while(Result::ok).find(String::is_empty);
    let mut words = first.split_whitespace();
    let (method, path) = (words.next()?, words.next()?);
    memory.lock().unwrap().push(format!("{method} {path}"));
    let (status, body) = answers(path);
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    reader.into_inner().write_all(format!("{head}{body}").as_bytes()).ok()
}

/// Answers its version; has nothing.
pub fn healthy(path: &str) -> (u16, String) {
    match path.split('?').next().unwrap_or_default() {
        "/version" => (200, version()),
        _ => (404, status(404, "NotFound", "not found")),
    }
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
