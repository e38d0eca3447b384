//! Results of clients: an invocation of one client's method that waits for its Completion. Also the
//! room that a client has for messages to it alone.
//!
//! The invocation goes through the queue of the connection, so it follows the messages that the
//! method sent before. Each connection of this server has an entry in the table of its hub. Other
//! servers ask by the channel between the servers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
    time::Duration,
};

use backplane::{Backplane, ClientQuestion, Cursor, Invocation, ResultError, Room};
use locks::Mutex;
use serde_json::value::{RawValue, to_raw_value};
use tokio::{sync::oneshot, time};

use crate::{
    answers::Answers,
    protocol::{Encoding, message::Payload},
};

/// The connections of one hub on this server that can be asked for a result.
#[derive(Debug, Default)]
pub(crate) struct Askers {
    by_id: Mutex<HashMap<Arc<str>, Arc<Asker>>>,
    /// Set once other servers may ask.
    answers_others: OnceLock<()>,
}

impl Askers {
    pub(crate) fn find(&self, connection_id: &str) -> Option<Arc<Asker>> {
        self.by_id.lock().get(connection_id).cloned()
    }

    /// Answers the questions of other servers from now on. Needs a tokio runtime.
    pub(crate) fn answer_others(self: &Arc<Self>, backplane: &Backplane) {
        self.answers_others.get_or_init(|| {
            // The backplane keeps the function until its shutdown.
            let askers = Arc::downgrade(self);
            backplane.on_client_question(move |question: ClientQuestion| {
                let askers = askers.upgrade();
                let asker = askers.and_then(|askers| askers.find(&question.connection_id));
                async move {
                    let asker = asker.ok_or(ResultError::NoConnection)?;
                    let ClientQuestion { invocation, after, within, .. } = question;
                    match asker.ask(&invocation, after, within).await {
                        Ok(result) => to_json(result),
                        Err(AskError::Ended) => Err(ResultError::ConnectionClosed),
                        Err(AskError::TimedOut) => Err(ResultError::TimedOut),
                        Err(AskError::Client(error)) => Err(ResultError::Refused(error)),
                    }
                }
            });
        });
    }

    /// Adds a connection until the guard is dropped. `last_id` is the number of the last question that
    /// its last server has asked.
    pub(crate) fn enter(
        self: &Arc<Self>,
        connection_id: Arc<str>,
        encoding: Encoding,
        answers: Answers,
        room: Room,
        last_id: u64,
    ) -> Entry {
        let waiting = Mutex::new(Waiting { last_id, ..Waiting::default() });
        let asker = Arc::new(Asker { encoding, answers, room, waiting });
        self.by_id.lock().insert(Arc::clone(&connection_id), Arc::clone(&asker));
        Entry { askers: Arc::clone(self), connection_id, asker }
    }
}

/// The entry of an open connection.
#[derive(Debug)]
pub(crate) struct Entry {
    askers: Arc<Askers>,
    connection_id: Arc<str>,
    asker: Arc<Asker>,
}

impl Entry {
    /// Takes a Completion of the client. Returns false if no method waits for it.
    pub(crate) fn complete(&self, id: &str, result: impl FnOnce() -> ClientResult) -> bool {
        match self.asker.waiting.lock().results.remove(id) {
            // Fails if the caller has just stopped waiting.
            Some(sender) => {
                let _ = sender.send(result());
                true
            }
            None => false,
        }
    }

    /// Fails all that wait for a result.
    pub(crate) fn end(&self) {
        self.asker.waiting.lock().end();
    }

    /// Fails later questions if none waits for a result, and returns whether that is so.
    pub(crate) fn end_if_idle(&self) -> bool {
        let mut waiting = self.asker.waiting.lock();
        let is_idle = waiting.results.is_empty();
        waiting.has_ended |= is_idle;
        is_idle
    }

    /// Returns the number of the last question.
    pub(crate) fn last_id(&self) -> u64 {
        self.asker.waiting.lock().last_id
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut by_id = self.askers.by_id.lock();
        // The connection may have come back meanwhile.
        if by_id.get(&self.connection_id).is_some_and(|asker| Arc::ptr_eq(asker, &self.asker)) {
            by_id.remove(&self.connection_id);
        }
        drop(by_id);
        self.end();
    }
}

/// Asks one client for results.
#[derive(Debug)]
pub(crate) struct Asker {
    encoding: Encoding,
    answers: Answers,
    room: Room,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    last_id: u64,
    has_ended: bool,
    results: BTreeMap<String, oneshot::Sender<ClientResult>>,
}

pub(crate) type ClientResult = Result<Option<Payload>, String>;

impl Waiting {
    fn end(&mut self) {
        self.has_ended = true;
        self.results.clear();
    }
}

impl Asker {
    /// Waits until the client has read enough of its messages, at most for `timeout`. Cancel safe.
    pub(crate) async fn has_room(&self, timeout: Duration) {
        // A client that still reads nothing is closed as too slow.
        let _ = time::timeout(timeout, self.room.wait()).await;
    }

    /// Invokes a method of the client and waits for its result.
    pub(crate) async fn ask(
        &self,
        invocation: &Invocation,
        after: Option<Cursor>,
        timeout: Duration,
    ) -> Result<Option<Payload>, AskError> {
        let (sender, result) = oneshot::channel();
        let id = {
            let mut waiting = self.waiting.lock();
            if waiting.has_ended {
                return Err(AskError::Ended);
            }
            waiting.last_id += 1;
            // Clients number their own calls, so a prefix keeps the ids apart in logs.
            let id = format!("s{}", waiting.last_id);
            waiting.results.insert(id.clone(), sender);
            id
        };
        let forget = Forget { asker: self, id: &id };
        let (method, arguments) = (invocation.method(), invocation.arguments());
        let message = self.encoding.call(Some(&id), method, arguments);
        let asked = async {
            if !self.answers.send(message, after).await {
                return Err(AskError::Ended);
            }
            result.await.map_err(|_| AskError::Ended)?.map_err(AskError::Client)
        };
        let result = time::timeout(timeout, asked).await.unwrap_or(Err(AskError::TimedOut));
        drop(forget);
        result
    }
}

/// Forgets a result that no method waits for.
struct Forget<'a> {
    asker: &'a Asker,
    id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.asker.waiting.lock().results.remove(self.id);
    }
}

/// The reason why a client gave no result.
#[derive(Debug)]
pub(crate) enum AskError {
    Ended,
    TimedOut,
    /// The error of the client.
    Client(String),
}

/// Returns a result as JSON, for another server. A method without a result returns null.
fn to_json(result: Option<Payload>) -> Result<Box<RawValue>, ResultError> {
    match result {
        None => to_raw_value(&()).map_err(ResultError::Type),
        Some(Payload::Json(result)) => Ok(result),
        Some(result) => {
            let read = result.as_raw().read::<serde_json::Value>();
            let value = read.ok_or_else(|| ResultError::Refused(NO_JSON.to_owned()))?;
            to_raw_value(&value).map_err(ResultError::Type)
        }
    }
}

const NO_JSON: &str = "the result of the client cannot be written as JSON";
