//! The load: publishers and subscribers on one thread, and what they find out.
//!
//! Every byte that a subscriber gets is compared with what it must be, so a figure never comes from
//! a server that loses or changes something.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::Failure;
use crate::scenario::{Length, Load, Stream};
use crate::server::Server;
use crate::wire;

/// One measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// In the unit of the scenario.
    pub(crate) figure: f64,
    /// Deliveries, round trips or connections a second.
    pub(crate) rate: f64,
    pub(crate) context_switches: f64,
    pub(crate) rss: u64,
    /// Microseconds at 50, 99 and 99.9 %, where a latency is measured.
    pub(crate) latency: Option<[u64; 3]>,
}

/// How long anything but the load itself may take.
const PATIENCE: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 256 * 1024;

/// Runs the load of a scenario once.
pub(crate) async fn run(load: Load, server: &Server, length: Length) -> Result<Sample, Failure> {
    match load {
        Load::Stream(stream) => run_stream(stream, server, length.time).await,
        Load::PingPong => ping_pong(server, length.time).await,
        Load::Idle { connections } => idle(server, connections).await,
        Load::Subscriptions { channels } => subscriptions(server, channels).await,
        Load::Churn { connections } => churn(server, connections).await,
        Load::Storm { connections, channels } => storm(server, connections, channels).await,
    }
}

async fn connect(server: &Server) -> Result<TcpStream, Failure> {
    let stream = within("a connection", TcpStream::connect(("127.0.0.1", server.port))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn within<T, E>(
    what: &'static str,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    match timeout(PATIENCE, future).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::Late(what)),
    }
}

/// Sends a request and reads exactly that reply.
async fn ask(stream: &mut TcpStream, request: &[u8], reply: &[u8]) -> Result<(), Failure> {
    within("a request", stream.write_all(request)).await?;
    let mut got = vec![0; reply.len()];
    within("a reply", stream.read_exact(&mut got)).await?;
    if got == reply { Ok(()) } else { Err(Failure::Wrong { expected: reply.into(), found: got }) }
}

async fn subscriber(server: &Server, channel: usize) -> Result<TcpStream, Failure> {
    let mut stream = connect(server).await?;
    let (request, confirmation) = wire::subscribe(channel);
    ask(&mut stream, &request, &confirmation).await?;
    Ok(stream)
}

/// Reads until told to stop, and counts the bytes of messages, which must repeat `frames`.
fn listen(
    mut stream: TcpStream,
    frames: Vec<u8>,
    received: Arc<AtomicU64>,
) -> JoinHandle<Result<(), Failure>> {
    tokio::spawn(async move {
        // Long enough that what is read can be compared in one go from any place of a frame.
        let expected = frames.repeat(READ_BYTES / frames.len() + 2);
        let mut buffer = vec![0; READ_BYTES];
        let mut at = 0;
        loop {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                return Err(Failure::Closed);
            }
            if buffer[..read] != expected[at..at + read] {
                let (expected, found) = (expected[at..at + read].into(), buffer[..read].into());
                return Err(Failure::Wrong { expected, found });
            }
            at = (at + read) % frames.len();
            received.fetch_add(read as u64, Ordering::Relaxed);
        }
    })
}

/// Publishes until the time is over, and returns how many messages of each channel it sent.
async fn publisher(
    mut stream: TcpStream,
    load: Stream,
    first: usize,
    until: Instant,
) -> Result<Vec<u64>, Failure> {
    let payload = vec![b'x'; load.payload_bytes];
    let mut sent = vec![0; load.channels];
    let mut channel = first;
    let mut buffer = vec![0; READ_BYTES];
    let mut requests = Vec::new();
    while Instant::now() < until {
        requests.clear();
        for _ in 0..load.pipeline {
            channel = (channel + 1) % load.channels;
            wire::publish(&mut requests, channel, &payload);
            sent[channel] += 1;
        }
        stream.write_all(&requests).await?;
        let mut replies = 0;
        while replies < load.pipeline {
            let read = within("replies to PUBLISH", stream.read(&mut buffer)).await?;
            let bytes = &buffer[..read];
            if read == 0 {
                return Err(Failure::Closed);
            }
            if bytes.contains(&b'-') {
                return Err(Failure::Wrong { expected: b":number".to_vec(), found: bytes.into() });
            }
            replies += bytes.iter().filter(|&&byte| byte == b'\n').count();
        }
    }
    Ok(sent)
}

async fn run_stream(load: Stream, server: &Server, time: Duration) -> Result<Sample, Failure> {
    let payload = vec![b'x'; load.payload_bytes];
    let received = Arc::new(AtomicU64::new(0));
    let mut listeners = Vec::new();
    for index in 0..load.subscribers {
        let channel = index % load.channels;
        let stream = subscriber(server, channel).await?;
        listeners.push(listen(stream, wire::message(channel, &payload), received.clone()));
    }
    // A client for each pattern: in which order one with several gets its messages is nobody's promise.
    let mut pattern_bytes = 0;
    for index in 0..load.patterns {
        let pattern = format!("c{}", "*".repeat(index + 1));
        let stream = pattern_subscriber(server, [pattern.clone()]).await?;
        let frame = wire::pattern_message(&pattern, 0, &payload);
        pattern_bytes += frame.len() as u64;
        listeners.push(listen(stream, frame, received.clone()));
    }
    let idle = (0..load.idle_patterns).map(|index| format!("room:{index}:*"));
    let _idle = pattern_subscriber(server, idle).await?;
    let mut publishers = JoinSet::new();
    let mut streams = Vec::new();
    for _ in 0..load.publishers {
        streams.push(connect(server).await?);
    }
    let (before, start) = (server.usage()?, Instant::now());
    for (index, stream) in streams.into_iter().enumerate() {
        let first = index * load.channels / load.publishers;
        publishers.spawn(publisher(stream, load, first, start + time));
    }
    let mut sent = vec![0; load.channels];
    while let Some(result) = publishers.join_next().await {
        for (total, own) in sent.iter_mut().zip(result??) {
            *total += own;
        }
    }
    let listeners_of = |channel: usize| {
        (load.subscribers / load.channels + usize::from(channel < load.subscribers % load.channels))
            as u64
    };
    let frame_bytes = wire::message(0, &payload).len() as u64;
    let messages: u64 = sent.iter().sum();
    let direct: u64 = sent.iter().enumerate().map(|(at, count)| count * listeners_of(at)).sum();
    let expected = direct * frame_bytes + messages * pattern_bytes;
    await_bytes(&received, expected, &mut listeners).await?;
    let (elapsed, after) = (start.elapsed(), server.usage()?);
    let deliveries = (direct + messages * load.patterns as u64) as f64;
    let rss = server.rss()?;
    listeners.iter().for_each(JoinHandle::abort);
    Ok(Sample {
        figure: (after.cpu - before.cpu).as_nanos() as f64 / deliveries,
        rate: deliveries / elapsed.as_secs_f64(),
        context_switches: (after.context_switches - before.context_switches) as f64 / deliveries,
        rss,
        latency: None,
    })
}

/// Waits until all that was sent has come, or a subscriber has failed.
async fn await_bytes(
    received: &AtomicU64,
    expected: u64,
    listeners: &mut [JoinHandle<Result<(), Failure>>],
) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while received.load(Ordering::Relaxed) != expected {
        if let Some(ended) = listeners.iter_mut().find(|listener| listener.is_finished()) {
            return ended.await?;
        }
        if Instant::now() > deadline {
            let received = received.load(Ordering::Relaxed);
            return Err(Failure::Lost { expected, received });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Subscribes one client to patterns.
async fn pattern_subscriber(
    server: &Server,
    patterns: impl IntoIterator<Item = String>,
) -> Result<TcpStream, Failure> {
    let mut stream = connect(server).await?;
    for (index, pattern) in patterns.into_iter().enumerate() {
        let length = pattern.len();
        let request = format!("*2\r\n$10\r\nPSUBSCRIBE\r\n${length}\r\n{pattern}\r\n");
        let count = index + 1;
        let reply = format!("*3\r\n$10\r\npsubscribe\r\n${length}\r\n{pattern}\r\n:{count}\r\n");
        ask(&mut stream, request.as_bytes(), reply.as_bytes()).await?;
    }
    Ok(stream)
}

async fn ping_pong(server: &Server, time: Duration) -> Result<Sample, Failure> {
    let payload = [b'x'; 64];
    let mut listening = subscriber(server, 0).await?;
    let mut publishing = connect(server).await?;
    let mut request = Vec::new();
    wire::publish(&mut request, 0, &payload);
    let mut message = wire::message(0, &payload);
    let mut histogram = Histogram::<u64>::new(3).expect("three digits are allowed");
    let start = Instant::now();
    let before = server.usage()?;
    while start.elapsed() < time {
        let sent = Instant::now();
        publishing.write_all(&request).await?;
        within("the message", listening.read_exact(&mut message)).await?;
        let nanos = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
        histogram.record(nanos).expect("it grows with what it is told");
        let mut reply = [0; 4];
        within("the reply", publishing.read_exact(&mut reply)).await?;
    }
    let count = histogram.len() as f64;
    let after = server.usage()?;
    let at = |quantile| histogram.value_at_quantile(quantile);
    Ok(Sample {
        figure: at(0.5) as f64 / 1000.0,
        rate: count / start.elapsed().as_secs_f64(),
        context_switches: (after.context_switches - before.context_switches) as f64 / count,
        rss: server.rss()?,
        latency: Some([0.5, 0.99, 0.999].map(|quantile| at(quantile) / 1000)),
    })
}

async fn idle(server: &Server, connections: usize) -> Result<Sample, Failure> {
    // What a server takes once, for its first clients, is not what each costs.
    let mut open = Vec::new();
    for index in 0..connections / 5 {
        open.push(subscriber(server, index % 10_000).await?);
    }
    let before = server.rss()?;
    for index in connections / 5..connections / 5 + connections {
        open.push(subscriber(server, index % 10_000).await?);
    }
    let after = server.rss()?;
    Ok(Sample::of_memory(before, after, connections))
}

async fn subscriptions(server: &Server, channels: usize) -> Result<Sample, Failure> {
    const BATCH: usize = 500;

    let mut stream = connect(server).await?;
    let before = server.rss()?;
    let mut buffer = vec![0; READ_BYTES];
    for first in (0..channels).step_by(BATCH) {
        let requests: String = (first..first + BATCH)
            .map(|index| format!("*2\r\n$9\r\nSUBSCRIBE\r\n$14\r\nchannel:{index:06}\r\n"))
            .collect();
        stream.write_all(requests.as_bytes()).await?;
        // Each confirmation has five lines and the channel's own length.
        let mut lines = 0;
        while lines < BATCH * 6 {
            let read = within("confirmations", stream.read(&mut buffer)).await?;
            if read == 0 {
                return Err(Failure::Closed);
            }
            lines += buffer[..read].iter().filter(|&&byte| byte == b'\n').count();
        }
    }
    let after = server.rss()?;
    Ok(Sample::of_memory(before, after, channels))
}

async fn churn(server: &Server, connections: usize) -> Result<Sample, Failure> {
    let (before, start) = (server.usage()?, Instant::now());
    for _ in 0..connections {
        drop(subscriber(server, 0).await?);
    }
    Sample::of_connections(server, before, start, connections)
}

async fn storm(server: &Server, connections: usize, channels: usize) -> Result<Sample, Failure> {
    let (before, start) = (server.usage()?, Instant::now());
    let mut clients = JoinSet::new();
    for client in 0..connections {
        let mut stream = connect(server).await?;
        clients.spawn(async move {
            let requests: String = (0..channels)
                .map(|index| format!("*2\r\n$9\r\nSUBSCRIBE\r\n$10\r\n{client:05}:{index:04}\r\n"))
                .collect();
            within("the requests", stream.write_all(requests.as_bytes())).await?;
            let mut buffer = vec![0; 4096];
            let mut lines = 0;
            while lines < channels * 6 {
                let read = within("confirmations", stream.read(&mut buffer)).await?;
                if read == 0 {
                    return Err(Failure::Closed);
                }
                lines += buffer[..read].iter().filter(|&&byte| byte == b'\n').count();
            }
            Ok(stream)
        });
    }
    let mut open = Vec::new();
    while let Some(client) = clients.join_next().await {
        open.push(client??);
    }
    Sample::of_connections(server, before, start, connections)
}

impl Sample {
    fn of_memory(before: u64, after: u64, count: usize) -> Self {
        let figure = after.saturating_sub(before) as f64 / count as f64;
        Self { figure, rss: after, ..Self::default() }
    }

    fn of_connections(
        server: &Server,
        before: crate::server::Usage,
        start: Instant,
        count: usize,
    ) -> Result<Self, Failure> {
        let (elapsed, after) = (start.elapsed(), server.usage()?);
        let switches = after.context_switches - before.context_switches;
        Ok(Self {
            figure: (after.cpu - before.cpu).as_nanos() as f64 / count as f64,
            rate: count as f64 / elapsed.as_secs_f64(),
            context_switches: switches as f64 / count as f64,
            rss: server.rss()?,
            latency: None,
        })
    }
}

/// Returns the middle one of several samples, by their figures.
pub(crate) fn median(mut samples: Vec<Sample>) -> Sample {
    samples.sort_by(|one, other| one.figure.total_cmp(&other.figure));
    samples.swap_remove(samples.len() / 2)
}
