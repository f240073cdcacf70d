//! Bodies of HTTP responses, whole or parsed while they arrive.

use std::io::{BufReader, Read};

use flate2::read::GzDecoder;
use http::Response;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Bytes};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tower::BoxError;

/// Size limit of a body that is kept.
const LARGEST: usize = 8 << 20;
/// Frames of a body that are kept while it is parsed.
const FRAMES: usize = 4;

/// The body as text.
pub(super) async fn text<B>(response: Response<B>) -> Result<String, String>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    let is_gzip = is_gzip(&response);
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| super::error::innermost(&*error))?.to_bytes();
    let mut text = Vec::new();
    let limit = LARGEST as u64;
    decoded(&body[..], is_gzip).take(limit).read_to_end(&mut text).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The body as JSON, of any size: only what `T` has is kept. `Ok(None)`: it is not the JSON of a `T`.
pub(super) async fn json<T, B>(response: Response<B>) -> Result<Option<T>, String>
where
    T: DeserializeOwned + Send + 'static,
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    let is_gzip = is_gzip(&response);
    let mut body = response.into_body();
    let (sender, frames) = mpsc::channel(FRAMES);
    let frames = Frames { frames, frame: Bytes::new() };
    let parsing = tokio::task::spawn_blocking(move || {
        serde_json::from_reader(BufReader::new(decoded(BufReader::new(frames), is_gzip))).ok()
    });
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| super::error::innermost(&*error))?;
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

/// `Content-Encoding: gzip` (RFC 9110, section 8.4): the answer to `Accept-Encoding: gzip`.
fn is_gzip<B>(response: &Response<B>) -> bool {
    response.headers().get(http::header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip")
}

fn decoded<'a>(encoded: impl Read + 'a, is_gzip: bool) -> Box<dyn Read + 'a> {
    if is_gzip { Box::new(GzDecoder::new(encoded)) } else { Box::new(encoded) }
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
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use serde_json::{Value, json};
    use std::io::Write as _;

    fn response(
        frames: Vec<Bytes>,
        encoding: &'static str,
    ) -> Response<impl Body<Data = Bytes, Error = BoxError> + Unpin> {
        let frames = frames.into_iter().map(|frame| Ok::<_, BoxError>(Frame::data(frame)));
        let builder = Response::builder().header("content-encoding", encoding);
        builder.body(StreamBody::new(futures::stream::iter(frames))).unwrap()
    }

    fn compressed(text: &str) -> Vec<Bytes> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap().chunks(3).map(Bytes::copy_from_slice).collect()
    }

    #[tokio::test]
    async fn frames_are_read_as_one_text() {
        let frames = || ["[\"o", "", "ne\",", "\"two\"]"].map(|frame| Bytes::from_static(frame.as_bytes())).to_vec();
        assert_eq!(json(response(frames(), "identity")).await, Ok(Some(vec!["one".to_owned(), "two".to_owned()])));
        assert_eq!(text(response(frames(), "identity")).await.unwrap(), "[\"one\",\"two\"]");
    }

    #[tokio::test]
    async fn a_compressed_body_is_decoded() {
        let plain = json!({"data": (0..1000).collect::<Vec<_>>()});
        let found: Option<Value> = json(response(compressed(&plain.to_string()), "gzip")).await.unwrap();
        assert_eq!(found, Some(plain));
        assert_eq!(text(response(compressed("no such page"), "gzip")).await.unwrap(), "no such page");
        assert_eq!(json::<Value, _>(response(vec![Bytes::from_static(b"plain")], "gzip")).await, Ok(None));
    }
}
