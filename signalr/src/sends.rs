//! The invocations that the methods of one connection send.
//!
//! The first poll of a send gives the message its place in the order. A call does not wait for the
//! broker then, so calls pipeline. Its result does: see [`Sends::end`].

use std::{collections::VecDeque, fmt, future::poll_fn, pin::Pin, sync::Arc, task::Poll};

use backplane::{Cursor, SendError};
use locks::Mutex;
use tokio::task::yield_now;

/// The place of the last invocation that the methods of one connection have sent.
#[derive(Debug, Default)]
struct LastSent(Mutex<Option<Cursor>>);

/// The invocations of one call, or of code of a connection outside of calls.
pub(crate) struct Sends {
    last_sent: Arc<LastSent>,
    /// The sends with an unknown outcome, in order. `None` outside of a call and after its end: a
    /// failure would not be noticed then, so each send waits for the broker itself.
    under_way: Mutex<Option<VecDeque<Sending>>>,
}

/// A send that has begun.
type Sending = Pin<Box<dyn Future<Output = Result<Cursor, SendError>> + Send>>;

impl Sends {
    /// Returns the sends of a new connection, outside of calls.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { last_sent: Arc::default(), under_way: Mutex::new(None) })
    }

    /// Returns the sends of a call of the same connection.
    pub(crate) fn of_call(&self) -> Arc<Self> {
        let under_way = Mutex::new(Some(VecDeque::new()));
        Arc::new(Self { last_sent: Arc::clone(&self.last_sent), under_way })
    }

    /// Returns the place of the last invocation of the connection that the broker has accepted.
    pub(crate) fn last(&self) -> Option<Cursor> {
        *self.last_sent.0.lock()
    }

    /// Sends an invocation. Within a call it returns when the message has its place in the order.
    ///
    /// # Errors
    ///
    /// Returns the error of this send, or of one before it in the same call.
    pub(crate) async fn send(
        &self,
        sending: impl Future<Output = Result<Cursor, SendError>> + Send + 'static,
    ) -> Result<(), SendError> {
        let mut sending: Sending = Box::pin(sending);
        if let Poll::Ready(sent) = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await {
            self.note(sent?);
            return Ok(());
        }
        let Some(waits_for) = self.begin(sending) else { return Ok(()) };
        // Lets an embedded broker deliver, also if the method waits for nothing else.
        yield_now().await;
        self.note(waits_for.await?);
        Ok(())
    }

    /// Returns the send that must end first, if there is one.
    fn begin(&self, sending: Sending) -> Option<Sending> {
        let mut under_way = self.under_way.lock();
        let Some(all) = &mut *under_way else { return Some(sending) };
        all.push_back(sending);
        if all.len() > UNDER_WAY_MAX { all.pop_front() } else { None }
    }

    /// Waits for the outcome of all sends of the call up to now.
    ///
    /// # Errors
    ///
    /// Returns the first error.
    pub(crate) async fn settle(&self) -> Result<(), SendError> {
        self.wait(|_| {}).await
    }

    /// Waits for the outcome of all sends at the end of the call. Later sends wait themselves.
    ///
    /// # Errors
    ///
    /// Returns the first error.
    pub(crate) async fn end(&self) -> Result<(), SendError> {
        self.wait(|under_way| *under_way = None).await
    }

    async fn wait(
        &self,
        after_all: impl Fn(&mut Option<VecDeque<Sending>>),
    ) -> Result<(), SendError> {
        let mut outcome = Ok(());
        loop {
            let next = {
                let mut under_way = self.under_way.lock();
                let next = under_way.as_mut().and_then(VecDeque::pop_front);
                if next.is_none() {
                    after_all(&mut under_way);
                }
                next
            };
            let Some(next) = next else { return outcome };
            match next.await {
                Ok(place) => self.note(place),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
    }

    fn note(&self, place: Cursor) {
        let mut last = self.last_sent.0.lock();
        *last = (*last).max(Some(place));
    }
}

impl fmt::Debug for Sends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sends").field("last_sent", &self.last_sent).finish_non_exhaustive()
    }
}

/// Sends of one call with an unknown outcome. A further one waits for the first.
const UNDER_WAY_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use backplane::{Backplane, Invocation, Target};
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    type Broker = oneshot::Sender<Result<Cursor, SendError>>;

    fn sending() -> (Broker, impl Future<Output = Result<Cursor, SendError>> + Send + 'static) {
        let (broker, outcome) = oneshot::channel();
        (broker, async { outcome.await.expect("an outcome") })
    }

    /// Returns the error of a backplane that was shut down.
    async fn failed() -> SendError {
        let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
        backplane.clone().shutdown().await;
        let invocation = Invocation::new("say", ()).expect("no arguments");
        backplane.send(Target::all(), invocation).await.expect_err("it was shut down")
    }

    #[tokio::test]
    async fn a_call_waits_for_the_broker_at_its_end_only() {
        let sends = Sends::new().of_call();
        let (first, sending_first) = sending();
        let (second, sending_second) = sending();
        sends.send(sending_first).now_or_never().expect("no wait").expect("no error");
        sends.send(sending_second).now_or_never().expect("no wait").expect("no error");
        let mut ended = Box::pin(sends.end());
        assert!(ended.as_mut().now_or_never().is_none());
        first.send(Err(failed().await)).expect("a waiter");
        second.send(Err(failed().await)).expect("a waiter");
        assert!(ended.await.is_err());
    }

    #[tokio::test]
    async fn a_send_outside_of_a_call_waits_for_the_broker() {
        let of_connection = Sends::new();
        let of_call = of_connection.of_call();
        of_call.end().await.expect("no send");
        for sends in [of_connection, of_call] {
            let (broker, sending) = sending();
            let mut sent = Box::pin(sends.send(sending));
            assert!(sent.as_mut().now_or_never().is_none());
            broker.send(Err(failed().await)).expect("a waiter");
            assert!(sent.await.is_err());
        }
    }

    #[tokio::test]
    async fn a_call_has_a_bounded_number_of_sends_under_way() {
        let sends = Sends::new().of_call();
        let mut brokers = Vec::new();
        for _ in 0..UNDER_WAY_MAX {
            let (broker, sending) = sending();
            brokers.push(broker);
            sends.send(sending).now_or_never().expect("no wait").expect("no error");
        }
        let (_last, sending) = sending();
        let mut sent = Box::pin(sends.send(sending));
        assert!(sent.as_mut().now_or_never().is_none());
        brokers.remove(0).send(Err(failed().await)).expect("a waiter");
        assert!(sent.await.is_err(), "a later send reports the failure");
    }
}
