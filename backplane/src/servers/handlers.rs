//! The functions that take the messages and questions of other servers.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tracing::{Instrument, error, warn};

use super::outgoing::{Outgoing, ReplyTo};
use super::questions::Reply;
use super::roster::Server;

/// A function of the application.
pub(crate) type Answering =
    Box<dyn Fn(Server, Box<RawValue>) -> BoxFuture<'static, Reply> + Send + Sync>;

/// When a function takes its next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turns {
    /// After the end of the one before, so their order is kept.
    OneByOne,
    /// At once.
    Parallel,
}

#[derive(Default)]
pub(super) struct Handlers {
    /// Each queue leads to a task, which takes one message after the other.
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
    /// Adds a function, and starts its task. It replaces an earlier one.
    pub(super) fn add(&self, name: &str, handler: Answering, turns: Turns, outgoing: Outgoing) {
        let (queue, deliveries) = mpsc::channel(QUEUE_MAX);
        self.by_name.lock().insert(name.to_owned(), queue);
        let handling = handle(name.to_owned(), handler, turns, deliveries, outgoing);
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

/// Runs a function for each message.
async fn handle(
    name: String,
    handler: Answering,
    turns: Turns,
    mut deliveries: mpsc::Receiver<Delivery>,
    outgoing: Outgoing,
) {
    let (name, handler) = (Arc::<str>::from(name), Arc::new(handler));
    while let Some(delivery) = deliveries.recv().await {
        let answered = answer(name.clone(), handler.clone(), delivery, outgoing.clone());
        match turns {
            Turns::OneByOne => answered.await,
            Turns::Parallel => drop(tokio::spawn(answered.in_current_span())),
        }
    }
}

async fn answer(
    name: Arc<str>,
    handler: Arc<Answering>,
    Delivery { from, value, reply_to }: Delivery,
    outgoing: Outgoing,
) {
    // The call itself may panic as well.
    let running = async { handler(from, value).await };
    let reply = AssertUnwindSafe(running).catch_unwind().await.unwrap_or_else(|_| {
        error!(name = &*name, "a function for messages of other servers panicked");
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
