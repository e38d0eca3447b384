//! Any frames of a SignalR client, with any times between them. Afterwards another client can call a
//! method. All of it runs in memory on a clock that moves at once.

#![no_main]

use std::future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use arbitrary::Unstructured;
use backplane::Backplane;
use broker::Broker;
use futures_util::{TryStreamExt, stream};
use fuzz::frames::{HANDSHAKE, TEXT, UPGRADE, frame, frame_or_bytes};
use libfuzzer_sys::fuzz_target;
use signalr::{Caller, Hub, HubError, Options, Upload};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Longer than all timeouts of a session together.
const DEADLINE: Duration = Duration::from_secs(600);
const PIPE_BYTES: usize = 1024;

fuzz_target!(|data: &[u8]| {
    let runtime = fuzz::paused_runtime();
    runtime.block_on(async {
        let (dial, calls) = mpsc::unbounded_channel();
        let app = hub().router("/chatHub");
        tokio::spawn(signalr::serve(Pipes(calls), app, future::pending()));
        let mut client = open(&dial);
        let mut input = Unstructured::new(data);
        if write(&mut client, UPGRADE).await && input.arbitrary().unwrap_or(false) {
            write(&mut client, &frame(TEXT, HANDSHAKE)).await;
        }
        while !input.is_empty() {
            let Ok(millis) = input.int_in_range(0..=20_000) else { break };
            // Mostly none, so that messages follow each other.
            sleep(Duration::from_millis(u64::saturating_sub(millis, 16_000))).await;
            let Ok(bytes) = frame_or_bytes(&mut input) else { break };
            if !write(&mut client, &bytes).await {
                break;
            }
        }
        // Reads nothing any more, until it is gone.
        drop(client);

        let mut other = open(&dial);
        let call =
            b"{\"type\":1,\"invocationId\":\"7\",\"target\":\"Send\",\"arguments\":[\"b\"]}\x1e";
        for bytes in [UPGRADE, &frame(TEXT, HANDSHAKE), &frame(TEXT, call)] {
            assert!(write(&mut other, bytes).await, "the server reads");
        }
        let mut reply = Vec::new();
        let wanted = b"\"result\":\"sent\"";
        while !reply.windows(wanted.len()).any(|window| window == wanted) {
            let read = timeout(DEADLINE, other.read_buf(&mut reply)).await;
            assert!(matches!(read, Ok(Ok(1..))), "the server answers: {read:?}");
        }
    });
});

fn hub() -> Hub {
    let mut options = Options::default();
    options.parallel_calls_max = 2;
    options.auth_refresh = true;
    Hub::new("Hub", Backplane::embedded(&Broker::new(), "ChatApp"))
        .with_options(options)
        .method("Send", |caller: Caller, (text,): (String,)| async move {
            caller.clients().all().invoke("broadcastMessage", (text,)).await?;
            Ok::<_, HubError>("sent")
        })
        .method("Sum", |parts: Upload<u32>, ()| async move {
            parts.try_fold(0_u64, |sum, part| async move { Ok(sum + u64::from(part)) }).await
        })
        .stream("Count", |(end,): (u8,)| async move {
            Ok(stream::iter((0..end).map(Ok::<_, HubError>)))
        })
}

fn open(dial: &mpsc::UnboundedSender<DuplexStream>) -> DuplexStream {
    let (ours, theirs) = duplex(PIPE_BYTES);
    dial.send(theirs).expect("the server runs");
    ours
}

/// Writes bytes, and reads all that has arrived. Returns false if the server does not take them.
async fn write(client: &mut DuplexStream, bytes: &[u8]) -> bool {
    let (mut reading, mut writing) = tokio::io::split(client);
    let written = async { matches!(timeout(DEADLINE, writing.write_all(bytes)).await, Ok(Ok(()))) };
    let read = async {
        let mut buffer = [0; 256];
        while matches!(reading.read(&mut buffer).await, Ok(1..)) {}
        future::pending::<()>().await;
    };
    tokio::select! {
        is_written = written => is_written,
        () = read => false,
    }
}

/// A listener for pipes.
struct Pipes(mpsc::UnboundedReceiver<DuplexStream>);

impl axum::serve::Listener for Pipes {
    type Io = DuplexStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (DuplexStream, SocketAddr) {
        match self.0.recv().await {
            Some(pipe) => (pipe, SocketAddr::from(([127, 0, 0, 1], 1))),
            None => future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}
