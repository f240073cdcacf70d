//! Bodies of HTTP responses, whole or parsed while they arrive.

use std::io::{BufReader, Read};

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

/// Size limit of a body that is kept.
const LARGEST: usize = 8 << 20;
/// Frames of a body that are kept while it is parsed.
const FRAMES: usize = 4;

/// The body as text.
pub(super) async fn text(body: Incoming) -> Result<String, String> {
    let body = Limited::new(body, LARGEST).collect().await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// The body as JSON, of any size: only what `T` has is kept. `Ok(None)`: it is not the JSON of a `T`.
pub(super) async fn json<T: DeserializeOwned + Send + 'static>(mut body: Incoming) -> Result<Option<T>, String> {
    let (sender, frames) = mpsc::channel(FRAMES);
    let frames = Frames { frames, frame: Bytes::new() };
    let parsing = tokio::task::spawn_blocking(move || serde_json::from_reader(BufReader::new(frames)).ok());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| super::error::innermost(&error))?;
        // The parser ends at the first error.
        if let Ok(data) = frame.into_data()
            && sender.send(data).await.is_err()
        {
            break;
        }
    }
    drop(sender);
    parsing.await.map_err(|error| error.to_string())
}

/// Reads the frames that another task sends.
struct Frames {
    frames: mpsc::Receiver<Bytes>,
    frame: Bytes,
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.frame.is_empty() {
            match self.frames.blocking_recv() {
                Some(frame) => self.frame = frame,
                None => return Ok(0),
            }
        }
        let read = self.frame.split_to(self.frame.len().min(buffer.len()));
        buffer[..read.len()].copy_from_slice(&read);
        Ok(read.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_read_as_one_text() {
        let (sender, frames) = mpsc::channel(FRAMES);
        let reading = tokio::task::spawn_blocking(move || {
            serde_json::from_reader::<_, Vec<String>>(BufReader::new(Frames { frames, frame: Bytes::new() }))
        });
        for frame in ["[\"o", "", "ne\",", "\"two\"]"] {
            sender.send(Bytes::from_static(frame.as_bytes())).await.unwrap();
        }
        drop(sender);
        assert_eq!(reading.await.unwrap().unwrap(), ["one", "two"]);
    }
}
