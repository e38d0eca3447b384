//! A bus on a Redis-compatible server.
//!
//! One connection carries only the subscription, the other sends. Each has a supervisor that
//! reconnects until the shutdown, so the loss of one does not affect the other. Messages sent in
//! the meantime wait for the next connection, within limits.

mod backoff;
mod channels;
mod commands;
mod connector;
mod failure;
mod gate;
mod queue;
mod replay;
mod resp_connection;
mod run_id;
mod script;
mod status;
mod stream;
mod subscription;
mod timeouts;
mod tls;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use locks::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

pub(crate) use self::channels::RedisChannels;
use self::commands::Commands;
use self::connector::Connector;
use self::failure::Failure;
use self::gate::Gate;
use self::queue::{Bounds, Queue, Refused};
pub(crate) use self::status::Purpose;
use self::status::{ConnectionRole, Status};
use self::subscription::Subscription;
use self::timeouts::Timeouts;
use super::error::{ConnectError, SHUT_DOWN, SendError};
use super::sink::{Ids, Sink};
use crate::address::Address;
use crate::options::Options;
use crate::state::State;

#[derive(Debug)]
pub(crate) struct RedisBus {
    address: String,
    queue: Arc<Queue>,
    gate: Arc<Gate>,
    status: Arc<Status>,
    /// Signals the subscription to reconnect.
    reconnect: Arc<Notify>,
    supervisors: Mutex<Option<(Subscription, Commands)>>,
    tasks: Mutex<JoinSet<()>>,
}

/// Maximum wait at a shutdown for the sends that are queued or in flight.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The wait before a supervisor starts again. A panic may occur again at once.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

impl RedisBus {
    pub(crate) fn new(
        address: Address,
        channel: &str,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let address = with_options(address, options);
        let timeouts = Timeouts::new(options.answer_timeout);
        let name = address.to_string();
        let connector = Arc::new(Connector::new(address, channel)?);
        let status = Arc::new(Status::new(Purpose::Clients));
        let queue = Arc::new(Queue::new(options.queue));
        let gate = Arc::new(Gate::new(Instant::now()));
        let reconnect = Arc::new(Notify::new());
        let last_id = Arc::<AtomicU64>::default();
        let subscription = Subscription {
            connector: connector.clone(),
            timeouts,
            status: status.clone(),
            gate: gate.clone(),
            reconnect: reconnect.clone(),
            replay_position: Mutex::default(),
            server: Mutex::default(),
            last_id: last_id.clone(),
            failed_replays: Default::default(),
        };
        let commands = Commands {
            connector,
            timeouts,
            status: status.clone(),
            queue: queue.clone(),
            gate: gate.clone(),
            last_id,
            server: Mutex::default(),
            reconnect: Notify::new(),
        };
        Ok(Self {
            address: name,
            queue,
            gate,
            status,
            reconnect,
            supervisors: Mutex::new(Some((subscription, commands))),
            tasks: Mutex::default(),
        })
    }

    pub(crate) fn start<S: Sink>(&self, sink: Arc<S>) {
        let Some((subscription, commands)) = self.supervisors.lock().take() else { return };
        let mut tasks = self.tasks.lock();
        tasks.spawn(self.sending(commands, sink.clone()).in_current_span());
        let (status, gate) = (self.status.clone(), self.gate.clone());
        let subscribing = async move {
            let panicked = || {
                sink.unsubscribed();
                gate.unsubscribed(Instant::now());
                status.down(ConnectionRole::Subscription, &Failure::panicked(), sink.metrics());
            };
            supervise(|| subscription.run(&*sink), panicked).await;
        };
        tasks.spawn(subscribing.in_current_span());
    }

    /// Starts to send, without a subscription.
    pub(crate) fn start_sending<I: Ids>(&self, ids: Arc<I>) {
        let Some((_, commands)) = self.supervisors.lock().take() else { return };
        self.status.without_subscription();
        self.gate.confirmed();
        self.tasks.lock().spawn(self.sending(commands, ids).in_current_span());
    }

    fn sending<I: Ids>(
        &self,
        commands: Commands,
        ids: Arc<I>,
    ) -> impl Future<Output = ()> + use<I> {
        let (status, gate) = (self.status.clone(), self.gate.clone());
        async move {
            let panicked = || {
                gate.lost(Instant::now());
                status.down(ConnectionRole::Commands, &Failure::panicked(), ids.metrics());
            };
            supervise(|| commands.run(&*ids), panicked).await;
        }
    }

    /// Refuses further sends, and waits for the outcome of the others, up to a limit.
    pub(crate) async fn drain(&self) {
        drain(&self.queue, &self.status).await;
    }

    pub(crate) async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        // Wait for their end, or they could overwrite the final state.
        tasks.shutdown().await;
        self.queue.close(&SendError::Disconnected { reason: SHUT_DOWN.to_owned() });
        self.status.ended(SHUT_DOWN);
    }

    pub(crate) async fn send(&self, body: Bytes) -> Result<u64, SendError> {
        let away = || SendError::Disconnected { reason: self.status.reason() };
        let bounds = match self.gate.is_open() {
            true => Bounds::Age,
            false => Bounds::All,
        };
        let ticket =
            self.queue.push(body, bounds).map_err(|refused| not_queued(refused, &self.status))?;
        ticket.outcome().await.unwrap_or_else(|| Err(away()))
    }

    /// Returns the number of queued messages.
    pub(crate) fn queued(&self) -> Gauge {
        self.queue.length()
    }

    pub(crate) fn force_reconnect(&self) {
        self.reconnect.notify_one();
    }

    pub(crate) fn state_changes(&self) -> watch::Receiver<State> {
        self.status.changes()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

/// Refuses further items, and waits for the outcome of the others. If the server is unreachable,
/// none of them can be sent in time.
async fn drain(queue: &Queue, status: &Status) {
    if *status.changes().borrow() == State::Connected {
        let _ = timeout(DRAIN_TIMEOUT, queue.drained()).await;
    }
}

fn not_queued(refused: Refused, status: &Status) -> SendError {
    match refused {
        Refused::Full { messages } => SendError::QueueFull { messages, reason: status.reason() },
        Refused::Closed => SendError::Disconnected { reason: SHUT_DOWN.to_owned() },
    }
}

/// Returns an address with the options that it lacks.
fn with_options(mut address: Address, options: &Options) -> Address {
    if let Some(tls) = &mut address.tls {
        let given = options.tls.clone();
        tls.ca = tls.ca.take().or(given.ca);
        tls.certificate = tls.certificate.take().or(given.certificate);
        tls.key = tls.key.take().or(given.key);
    }
    address.client_name = address.client_name.or(options.client_name.clone());
    address
}

/// Runs a supervisor, and starts it again after a panic. Otherwise the backplane would look
/// connected, and neither send nor receive.
async fn supervise<R: Future<Output = ()>>(run: impl Fn() -> R, panicked: impl Fn()) {
    while AssertUnwindSafe(run()).catch_unwind().await.is_err() {
        panicked();
        sleep(PANIC_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_supervisor_that_panics_starts_again() {
        let (runs, panics) = (Cell::new(0), Cell::new(0));
        let run = || {
            let run = runs.replace(runs.get() + 1);
            async move { assert!(run == 2, "the test lets it panic") }
        };
        supervise(run, || panics.set(panics.get() + 1)).await;
        assert_eq!((runs.get(), panics.get()), (3, 2));
    }
}
