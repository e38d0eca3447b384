//! The connection that publishes. It sends queued requests, and none of them twice.
//!
//! Many requests are in flight at once, in the order of the queue. If the server states that it did
//! not run one, the request returns to the front of the queue. A request without a reply fails,
//! since its outcome is unknown.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use resp::request;
use resp::value::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::super::backoff::Backoff;
use super::super::connector::Connector;
use super::super::failure::Failure;
use super::super::queue::{Item, Queue};
use super::super::resp_connection::RespConnection;
use super::super::status::{ConnectionRole, Status};
use super::super::timeouts::{Timeouts, bounded};
use super::REFUSED_PAUSE;
use crate::bus::error::SendError;
use crate::metrics::Metrics;

#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) connector: Arc<Connector>,
    pub(super) timeouts: Timeouts,
    pub(super) status: Arc<Status>,
    pub(super) queue: Arc<Queue>,
}

/// Requests in flight on one connection.
struct UnderWay {
    /// `None` for a `PING`.
    requests: VecDeque<Option<Item>>,
    /// The time until which the server must send some bytes.
    deadline: Instant,
    /// Requests that the server did not run.
    again: Vec<Item>,
    /// The reason to leave this connection once all replies are read.
    leaving: Option<Failure>,
}

/// Requests in flight at which the next batch waits.
const UNDER_WAY_MAX: usize = 1024;

impl Publisher {
    /// Reconnects until the task ends, and publishes while connected.
    pub(super) async fn run(&self, metrics: &Metrics) {
        let mut backoff = Backoff::new(&self.timeouts, ConnectionRole::Commands);
        loop {
            let failure = match self.connector.open(self.timeouts.attempt).await {
                Ok(connection) => {
                    let attempt = backoff.connected();
                    metrics.connected_by(ConnectionRole::Commands.name());
                    self.status.up(ConnectionRole::Commands, attempt, metrics);
                    self.publish(connection, metrics).await
                }
                Err(failure) => failure,
            };
            self.status.down(ConnectionRole::Commands, &failure, metrics);
            backoff.wait().await;
            if self.status.is_patient(&failure) {
                sleep(REFUSED_PAUSE).await;
            }
        }
    }

    /// Publishes until the connection is lost, and returns the reason.
    async fn publish(&self, mut connection: RespConnection, metrics: &Metrics) -> Failure {
        let mut under_way = UnderWay {
            requests: VecDeque::new(),
            deadline: Instant::now(),
            again: Vec::new(),
            leaving: None,
        };
        let failure = self.exchange(&mut connection, &mut under_way, metrics).await;
        if !under_way.again.is_empty() {
            self.queue.put_back(under_way.again);
        }
        for item in under_way.requests.into_iter().flatten() {
            metrics.failed.inc();
            self.complete(item, Err(SendError::Failed { reason: failure.to_string() }));
        }
        failure
    }

    async fn exchange(
        &self,
        connection: &mut RespConnection,
        under_way: &mut UnderWay,
        metrics: &Metrics,
    ) -> Failure {
        let mut ticks = interval(self.timeouts.ping_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let (every, within) = (self.timeouts.ping_interval, self.timeouts.attempt);
        let watch = self.connector.another_master(connection.master.clone(), every, within);
        let mut watch = pin!(watch);
        loop {
            let is_idle = under_way.requests.is_empty();
            if is_idle && let Some(failure) = under_way.leaving.take() {
                return failure;
            }
            let may_send = under_way.leaving.is_none() && under_way.requests.len() < UNDER_WAY_MAX;
            tokio::select! {
                biased;
                read = connection.read_some(|| ()) => match read {
                    Ok(value) => {
                        under_way.deadline = Instant::now() + self.timeouts.answer;
                        if let Some(value) = value
                            && let Err(failure) = self.take(value, under_way, metrics)
                        {
                            return failure;
                        }
                    }
                    Err(failure) => return failure,
                },
                () = sleep_until(under_way.deadline), if !is_idle => {
                    return Failure::Silent(self.timeouts.answer);
                }
                batch = self.queue.take(), if may_send => {
                    if let Err(failure) = self.write(connection, under_way, batch).await {
                        return failure;
                    }
                }
                failure = &mut watch => return failure,
                _ = ticks.tick(), if is_idle => {
                    if let Err(failure) = self.write(connection, under_way, Vec::new()).await {
                        return failure;
                    }
                }
            }
        }
    }

    /// Writes requests, or a `PING` if there are none.
    async fn write(
        &self,
        connection: &mut RespConnection,
        under_way: &mut UnderWay,
        batch: Vec<Item>,
    ) -> Result<(), Failure> {
        let mut bytes = Vec::with_capacity(batch.iter().map(|item| item.body.len()).sum());
        if batch.is_empty() {
            request::encode(&mut bytes, &[b"PING"]);
            under_way.requests.push_back(None);
        }
        for item in batch {
            bytes.extend_from_slice(&item.body);
            under_way.requests.push_back(Some(item));
        }
        under_way.deadline = Instant::now() + self.timeouts.answer;
        bounded(self.timeouts.answer, connection.write_bytes(&bytes)).await
    }

    /// Takes the reply to the oldest request.
    fn take(
        &self,
        reply: Value,
        under_way: &mut UnderWay,
        metrics: &Metrics,
    ) -> Result<(), Failure> {
        let item = match under_way.requests.pop_front() {
            Some(Some(item)) => item,
            Some(None) => return Ok(()),
            None => return Err(Failure::Lost("the server sent a reply too many".to_owned())),
        };
        match reply {
            Value::Integer(receivers) => {
                metrics.sent.inc();
                self.complete(item, Ok(receivers.try_into().unwrap_or_default()));
            }
            Value::Error(text) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                if NOT_RUN.iter().any(|code| text.starts_with(code)) {
                    under_way.again.push(item);
                    under_way.leaving.get_or_insert_with(|| Failure::of_reply(&text));
                } else {
                    metrics.failed.inc();
                    self.complete(item, Err(SendError::Failed { reason: text }));
                }
            }
            _ => {
                under_way.requests.push_front(Some(item));
                return Err(Failure::Lost("expected a number of receivers".to_owned()));
            }
        }
        Ok(())
    }

    fn complete(&self, item: Item, outcome: Result<u64, SendError>) {
        item.complete(outcome);
        self.queue.ended(1);
    }
}

/// Errors of a server that did not run the request and may run it later.
const NOT_RUN: [&str; 5] = ["LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"];
