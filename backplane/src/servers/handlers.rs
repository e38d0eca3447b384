//! The functions that take the messages and questions of other servers.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use locks::Mutex;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tracing::{Instrument, error, warn};

use super::outgoing::{Outgoing, ReplyTo};
use super::questions::Reply;
use super::roster::Server;

/// A function of the application.
pub(crate) type Answering =
    Box<dyn Fn(Server, Box<RawValue>) -> BoxFuture<'static, Reply> + Send + Sync>;

#[derive(Default)]
pub(super) struct Handlers {
    /// Each queue leads to a task.
    by_name: Mutex<HashMap<String, mpsc::Sender<Delivery>>>,
}

/// A message for a function, or a question.
struct Delivery {
    from: Server,
    value: Box<RawValue>,
    reply_to: Option<ReplyTo>,
}

/// Messages that wait for one function.
const QUEUE_MAX: usize = 1024;

impl Handlers {
    /// Adds a function, and starts its task, which takes up to `at_once_max` messages at once. It
    /// replaces an earlier one.
    pub(super) fn add(
        &self,
        name: &str,
        handler: Answering,
        at_once_max: usize,
        outgoing: Outgoing,
    ) {
        let (queue, deliveries) = mpsc::channel(QUEUE_MAX);
        self.by_name.lock().insert(name.to_owned(), queue);
        let handling = handle(name.to_owned(), handler, at_once_max, deliveries, outgoing);
        tokio::spawn(handling.in_current_span());
    }

    /// Passes a message or a question to its function. Returns the reason if none takes it.
    pub(super) fn deliver(
        &self,
        name: &str,
        from: Server,
        value: &RawValue,
        reply_to: Option<ReplyTo>,
    ) -> Result<(), String> {
        let queue = self.by_name.lock().get(name).cloned();
        let Some(queue) = queue else { return Err(format!("no function takes '{name}'")) };
        let delivery = Delivery { from, value: value.to_owned(), reply_to };
        queue.try_send(delivery).map_err(|_| {
            warn!(name, "a function for messages of other servers fell behind");
            format!("{QUEUE_MAX} messages wait for '{name}'")
        })
    }

    /// Ends all functions once they have taken the messages that wait.
    pub(super) fn clear(&self) {
        self.by_name.lock().clear();
    }
}

/// Runs a function for its messages. One at a time keeps their order.
async fn handle(
    name: String,
    handler: Answering,
    at_once_max: usize,
    mut deliveries: mpsc::Receiver<Delivery>,
    outgoing: Outgoing,
) {
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = running.next() => {}
            Some(delivery) = deliveries.recv(), if running.len() < at_once_max => {
                running.push(answer(&name, &handler, delivery, &outgoing));
            }
            else => return,
        }
    }
}

/// Runs a function for one message, and replies to a question.
async fn answer(name: &str, handler: &Answering, delivery: Delivery, outgoing: &Outgoing) {
    let Delivery { from, value, reply_to } = delivery;
    // The call itself may panic as well.
    let running = async { handler(from, value).await };
    let reply = AssertUnwindSafe(running).catch_unwind().await.unwrap_or_else(|_| {
        error!(name, "a function for messages of other servers panicked");
        Err("the function panicked".to_owned())
    });
    if let Some(reply_to) = reply_to {
        outgoing.reply(&reply_to, &reply);
    }
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_name.lock().keys()).finish()
    }
}
