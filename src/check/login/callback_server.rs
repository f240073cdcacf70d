//! The loopback redirect address for the browser (RFC 8252, section 7.3): 127.0.0.1 only, one path.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::check::login::result_page;

const PATH: &str = "/callback";
/// How long a browser may take to send a request, or to read an answer.
const EXCHANGE: Duration = Duration::from_secs(10);
/// Bytes of a request's head; longer than any authorization code.
const MAX_HEAD: usize = 32 * 1024;

/// A listener for the browser's callback.
#[derive(Debug)]
pub struct Loopback {
    listener: TcpListener,
    port: u16,
}

/// The redirect URI for a port.
pub fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}{PATH}")
}

impl Loopback {
    /// Listens on the port; 0 is any free one.
    pub async fn bind(port: u16) -> io::Result<Loopback> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        Ok(Loopback { listener, port })
    }

    /// The redirect URI.
    pub fn callback(&self) -> String {
        address(self.port)
    }

    /// Waits for the request with this state and answers all others. Connections are read in parallel: a browser opens
    /// some without sending a request.
    pub(super) async fn callback_request(&self, state: &str) -> Callback {
        let mut open = JoinSet::new();
        loop {
            let callback = tokio::select! {
                accepted = self.listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        let state = state.to_owned();
                        open.spawn(async move { with_state(Request::read(stream).await?, &state).await });
                    }
                    continue;
                }
                Some(callback) = open.join_next() => callback,
            };
            if let Ok(Some(callback)) = callback {
                return callback;
            }
        }
    }
}

/// The request if it has the state; otherwise answers it.
async fn with_state(request: Request, state: &str) -> Option<Callback> {
    let Request { stream, target } = request;
    let url = url::Url::parse("http://127.0.0.1").ok()?.join(&target).ok()?;
    let mut callback = Callback { stream, query: url.query_pairs().into_owned().collect() };
    if url.path() != PATH {
        callback.respond("404 Not Found", "").await;
        return None;
    }
    if callback.get("state") != Some(state) {
        callback.respond("400 Bad Request", &result_page::wrong_state()).await;
        return None;
    }
    Some(callback)
}

struct Request {
    stream: TcpStream,
    /// Path and query.
    target: String,
}

impl Request {
    /// Reads the head of a GET and answers any other method with 405.
    async fn read(mut stream: TcpStream) -> Option<Request> {
        let head = timeout(EXCHANGE, head(&mut stream)).await.ok()??;
        let mut parts = head.lines().next()?.split(' ');
        let (method, target) = (parts.next()?, parts.next()?);
        if method != "GET" || !target.starts_with('/') {
            Callback { stream, query: HashMap::new() }.respond("405 Method Not Allowed", "").await;
            return None;
        }
        Some(Request { target: target.to_owned(), stream })
    }
}

async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        if bytes.len() > MAX_HEAD || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The browser's callback request, which waits for its page.
pub(super) struct Callback {
    stream: TcpStream,
    query: HashMap<String, String>,
}

impl Callback {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// Sends the page. A closed browser is no error: the report has the same verdicts.
    pub(super) async fn answer(mut self, page: &str) {
        self.respond("200 OK", page).await;
    }

    async fn respond(&mut self, status: &str, page: &str) {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\nConnection: close\r\n\r\n{page}",
            page.len()
        );
        let written = async {
            self.stream.write_all(answer.as_bytes()).await?;
            self.stream.shutdown().await
        };
        let _ = timeout(EXCHANGE, written).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_the_request_with_the_state_ends_the_wait() {
        let loopback = Loopback::bind(0).await.unwrap();
        let port = loopback.port;
        assert_eq!(loopback.callback(), format!("http://127.0.0.1:{port}/callback"));
        let idle = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let browser = tokio::spawn(async move {
            let mut answers = Vec::new();
            for request in [
                "GET /favicon.ico HTTP/1.1\r\n\r\n",
                "POST /callback?state=right HTTP/1.1\r\n\r\n",
                "GET /callback?state=wrong&code=stolen HTTP/1.1\r\n\r\n",
                "GET /callback?state=right&code=a%20b HTTP/1.1\r\nHost: x\r\n\r\n",
            ] {
                answers.push(ask(port, request).await);
            }
            answers
        });
        let callback = loopback.callback_request("right").await;
        assert_eq!((callback.get("code"), callback.get("error")), (Some("a b"), None));
        callback.answer("<p>found</p>").await;
        let answers = browser.await.unwrap();
        for (answer, part) in answers.iter().zip([" 404 ", " 405 ", " 400 ", " 200 "]) {
            assert!(answer.lines().next().unwrap().contains(part), "{answer}");
        }
        assert!(answers[3].ends_with("\r\n\r\n<p>found</p>"), "{}", answers[3]);
        drop(idle);
    }
}
