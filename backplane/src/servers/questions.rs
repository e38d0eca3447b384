//! Questions to other servers, and their answers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use locks::Mutex;
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::sync::Notify;

use super::roster::Server;
use crate::bus::SendError;

/// The answers to a question, also if some servers did not answer.
///
/// See [`Backplane::ask`](crate::Backplane::ask).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answers<A> {
    /// The answers, with their servers.
    pub received: Vec<(Server, A)>,
    /// The servers that did not answer in time, or that ended meanwhile.
    pub silent: Vec<Server>,
    /// The servers that could not answer, with their reasons.
    pub refused: Vec<(Server, String)>,
}

impl<A> Answers<A> {
    /// Returns an error unless each server has answered.
    pub(crate) fn complete(&self) -> Result<(), AskError> {
        let refused = self.refused.iter().map(|(server, _)| server);
        let servers: Vec<_> =
            self.silent.iter().chain(refused).map(|server| server.id.clone()).collect();
        match servers.is_empty() {
            true => Ok(()),
            false => Err(AskError::Unanswered { servers }),
        }
    }

    /// Returns the answers in another form.
    pub(crate) fn map<B>(self, mut to: impl FnMut(&Server, A) -> B) -> Answers<B> {
        let received = self.received.into_iter().map(|(server, answer)| {
            let answer = to(&server, answer);
            (server, answer)
        });
        let received = received.collect();
        Answers { received, silent: self.silent, refused: self.refused }
    }
}

/// The error for a message or a question to other servers that was not sent.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use backplane::{Backplane, Servers};
///
/// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
/// let error = backplane.send_to(Servers::all(), "config", &1).await.unwrap_err();
/// assert!(error.to_string().ends_with("Builder::server_channel"), "{error}");
/// # }
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AskError {
    /// This backplane has no channel to other servers.
    #[error("this server has no channel to others; enable it with Builder::server_channel")]
    Off,
    /// The value cannot be written as JSON.
    #[error("'{name}' cannot be written as JSON: {source}")]
    #[non_exhaustive]
    NoJson {
        /// The name of the message or of the question.
        name: String,
        /// The error of the serializer.
        source: serde_json::Error,
    },
    /// Some servers did not answer, so the result is unknown.
    #[error("no answer of the servers {}", servers.join(", "))]
    #[non_exhaustive]
    Unanswered {
        /// The ids of the servers that were silent or refused.
        servers: Vec<String>,
    },
    /// The broker did not accept the message.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// An answer, or the reason for a refusal.
pub(super) type Reply = Result<Box<RawValue>, String>;

#[derive(Debug, Default)]
pub(super) struct Questions {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last_number: u64,
    open: HashMap<u64, Open>,
}

/// A question without all of its answers.
#[derive(Debug)]
struct Open {
    /// The servers that have still to answer.
    awaited: BTreeSet<String>,
    /// Whether an answer makes the others unnecessary.
    is_enough: fn(&RawValue) -> bool,
    replies: Vec<(String, Reply)>,
    /// Notified when no server is awaited.
    complete: Arc<Notify>,
}

/// A question that was asked. Dropping it forgets the question.
pub(super) struct Asked<'a> {
    pub(super) number: u64,
    complete: Arc<Notify>,
    of: &'a Questions,
}

impl Questions {
    /// Begins a question to these servers. It is complete with an answer that is enough.
    pub(super) fn begin(&self, servers: &[Server], is_enough: fn(&RawValue) -> bool) -> Asked<'_> {
        let complete = Arc::new(Notify::new());
        let open = Open {
            awaited: servers.iter().map(|server| server.id.clone()).collect(),
            is_enough,
            replies: Vec::new(),
            complete: complete.clone(),
        };
        let mut inner = self.inner.lock();
        inner.last_number += 1;
        let number = inner.last_number;
        if open.awaited.is_empty() {
            complete.notify_one();
        }
        inner.open.insert(number, open);
        Asked { number, complete, of: self }
    }

    /// Records the reply of a server. Only the first one of an asked server counts.
    pub(super) fn replied(&self, number: u64, from: &str, reply: Reply) {
        let mut inner = self.inner.lock();
        let Some(open) = inner.open.get_mut(&number) else { return };
        if open.end(from) {
            if reply.as_deref().is_ok_and(open.is_enough) {
                open.complete.notify_one();
            }
            open.replies.push((from.to_owned(), reply));
        }
    }

    /// Records that a server is gone. Nobody waits for it.
    pub(super) fn gone(&self, server: &str) {
        self.inner.lock().open.values_mut().for_each(|open| _ = open.end(server));
    }
}

impl Open {
    /// Stops to wait for a server. Returns false if it was not awaited.
    fn end(&mut self, server: &str) -> bool {
        let was_awaited = self.awaited.remove(server);
        if was_awaited && self.awaited.is_empty() {
            self.complete.notify_one();
        }
        was_awaited
    }
}

impl Asked<'_> {
    /// Waits until no server is awaited. Cancel safe.
    pub(super) async fn complete(&self) {
        self.complete.notified().await;
    }

    pub(super) fn replies(self) -> Vec<(String, Reply)> {
        let open = self.of.inner.lock().open.remove(&self.number);
        open.map(|open| open.replies).unwrap_or_default()
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.of.inner.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use futures_util::FutureExt;

    use super::*;

    fn server(id: &str) -> Server {
        let silent_for = Duration::ZERO;
        Server { id: id.to_owned(), name: None, since: SystemTime::UNIX_EPOCH, silent_for }
    }

    fn value() -> Reply {
        Ok(RawValue::from_string("1".to_owned()).unwrap())
    }

    #[tokio::test]
    async fn a_question_is_complete_when_each_server_has_answered_or_is_gone() {
        let questions = Questions::default();
        let asked = questions.begin(&["a", "b", "c"].map(server), |_| false);
        questions.replied(asked.number, "a", value());
        questions.replied(asked.number, "a", Err("twice".to_owned()));
        questions.replied(asked.number, "nobody asked", value());
        questions.replied(asked.number + 1, "b", value());
        questions.replied(asked.number, "c", Err("no".to_owned()));
        assert!(asked.complete().now_or_never().is_none());
        questions.gone("b");
        assert!(asked.complete().now_or_never().is_some());
        let replies = asked.replies();
        let from: Vec<_> = replies.iter().map(|(from, reply)| (&**from, reply.is_ok())).collect();
        assert_eq!(from, [("a", true), ("c", false)]);
        assert!(questions.inner.lock().open.is_empty());
    }

    #[tokio::test]
    async fn an_answer_that_is_enough_completes_a_question() {
        let questions = Questions::default();
        let asked = questions.begin(&["a", "b", "c"].map(server), |answer| answer.get() == "1");
        questions.replied(asked.number, "a", Ok(RawValue::from_string("2".to_owned()).unwrap()));
        assert!(asked.complete().now_or_never().is_none());
        questions.replied(asked.number, "b", value());
        assert!(asked.complete().now_or_never().is_some());
        assert_eq!(asked.replies().len(), 2);
    }

    #[test]
    fn answers_are_complete_if_no_server_is_missing() {
        let none = || Answers::<()> { received: vec![], silent: vec![], refused: vec![] };
        assert!(none().complete().is_ok());
        let refused = vec![(server("b"), "no".to_owned())];
        let partial = Answers { silent: vec![server("a")], refused, ..none() };
        let error = partial.complete().unwrap_err();
        assert_eq!(error.to_string(), "no answer of the servers a, b");
    }

    #[tokio::test]
    async fn a_question_to_nobody_is_complete() {
        let questions = Questions::default();
        assert!(questions.begin(&[], |_| false).complete().now_or_never().is_some());
        assert!(questions.inner.lock().open.is_empty());
    }
}
