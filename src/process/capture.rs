//! Captures a child's output within limits: the beginning of stdout, the end of stderr. Reads both to their end, which
//! never blocks the child.

use std::io;
use std::process::ExitStatus;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

/// Bytes of stderr that are kept.
const STDERR: usize = 256 << 10;
const CHUNK: usize = 32 << 10;

/// How a child ended and what it wrote.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its end.
    pub status: ExitStatus,
    /// All of stdout.
    pub stdout: Vec<u8>,
    /// The last of stderr.
    pub stderr: Vec<u8>,
}

/// Writes the child's input, reads its output and waits for its end. Cancels `overflow` if stdout exceeds the limit.
pub(super) async fn collect(
    mut child: Child,
    input: Option<Vec<u8>>,
    max_bytes: usize,
    overflow: CancellationToken,
) -> io::Result<Output> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let (Some(mut stdin), Some(text)) = (stdin, input) {
            // A child that does not read its input reports the reason by its exit status.
            let _ = stdin.write_all(&text).await;
        }
        Ok(())
    };
    let head = head(stdout, max_bytes, &overflow);
    let ((), stdout, stderr, status) = tokio::try_join!(write, head, tail(stderr), child.wait())?;
    Ok(Output { status, stdout, stderr })
}

async fn head(
    from: Option<impl AsyncRead + Unpin>,
    max_bytes: usize,
    overflow: &CancellationToken,
) -> io::Result<Vec<u8>> {
    let (mut kept, Some(mut from)) = (Vec::new(), from) else { return Ok(Vec::new()) };
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(kept);
        }
        let room = max_bytes.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..read.min(room)]);
        if read > room {
            overflow.cancel();
        }
    }
}

async fn tail(from: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let (mut kept, Some(mut from)) = (Vec::new(), from) else { return Ok(Vec::new()) };
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            let surplus = kept.len().saturating_sub(STDERR);
            return Ok(kept.split_off(surplus));
        }
        kept.extend_from_slice(&chunk[..read]);
        if kept.len() > 2 * STDERR {
            kept.drain(..kept.len() - STDERR);
        }
    }
}
