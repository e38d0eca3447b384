//! A helper: connections that send much, and the processor time of the server.

use std::fs;
use std::time::Duration;

use futures_util::future::join_all;
use harness::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// A connection that sends much, and reads all of the replies or none.
pub(super) struct Filler {
    stream: TcpStream,
    reads: Reads,
    chunk: Vec<u8>,
    is_open: bool,
    /// A server that takes no bytes for this time waits for others.
    pub(super) patience: Duration,
}

/// Whether a client reads its replies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    All,
    Nothing,
}

impl Filler {
    /// Connects to the server.
    pub(super) async fn connect(server: &Server, reads: Reads) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await;
        let stream = stream.expect("the server listens");
        Self { stream, reads, chunk: vec![0; 256 * 1024], is_open: true, patience: STALL }
    }

    /// Sends these bytes. Returns false when the server closes, or takes none of them any more.
    pub(super) async fn send(&mut self, mut bytes: &[u8]) -> bool {
        let Self { stream, reads, chunk, is_open, patience } = self;
        let (mut reader, mut writer) = stream.split();
        while *is_open && !bytes.is_empty() {
            tokio::select! {
                biased;
                read = reader.read(chunk), if *reads == Reads::All => {
                    *is_open = matches!(read, Ok(1..));
                }
                written = timeout(*patience, writer.write(bytes)) => match written {
                    Ok(Ok(count @ 1..)) => bytes = &bytes[count..],
                    _ => *is_open = false,
                },
            }
        }
        *is_open
    }

    /// Reads to the end, and never returns.
    async fn drain(&mut self) {
        while self.is_open && self.reads == Reads::All {
            self.is_open = matches!(self.stream.read(&mut self.chunk).await, Ok(1..));
        }
        std::future::pending().await
    }
}

/// Waits until the server uses no processor time for this time, while the clients read. Gives up
/// after a while, since a script may have no end.
pub(super) async fn at_rest(server: &Server, clients: &mut [Filler], quiet: Duration) {
    let rest = async {
        loop {
            let before = processor_time(server);
            sleep(quiet).await;
            if processor_time(server) - before < quiet / 20 {
                return;
            }
        }
    };
    tokio::select! {
        _ = timeout(REST_TIME_MAX, rest) => {}
        _ = join_all(clients.iter_mut().map(Filler::drain)), if !clients.is_empty() => {}
    }
}

/// Returns the time that all threads of the server have run.
pub(super) fn processor_time(server: &Server) -> Duration {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("the server runs");
    let nanos = threads.filter_map(|thread| {
        let path = thread.ok()?.path().join("schedstat");
        fs::read_to_string(path).ok()?.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

const STALL: Duration = Duration::from_secs(1);
const REST_TIME_MAX: Duration = Duration::from_secs(8);
