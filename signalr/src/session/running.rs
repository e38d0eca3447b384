//! One call that runs, from the start of its method to its result.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::{select, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::{
    answers::Answers,
    caller::Caller,
    dispatch::{self, Failure, Started},
    hub::Hub,
    metrics::{MethodMetrics, Outcome},
    protocol::{Encoding, message::Payload},
    recipients::InvokeError,
    sends::Sends,
};

/// What all calls of a client share.
pub(super) struct Shared {
    pub(super) hub: Arc<Hub>,
    pub(super) caller: Caller,
    pub(super) answers: Answers,
    pub(super) encoding: Encoding,
}

impl Shared {
    /// Queues a message behind all that the methods of the connection have sent. Returns whether the
    /// writer is still there.
    ///
    /// As in ASP.NET Core, the client of an aborted connection receives no answer.
    pub(super) async fn answer(&self, message: Bytes) -> bool {
        let message = if self.caller.is_aborted() { Bytes::new() } else { message };
        self.answers.send(message, self.caller.last_sent()).await
    }
}

/// Sends the result of a call.
pub(super) type Answering = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One call that runs.
pub(super) struct Running {
    pub(super) shared: Arc<Shared>,
    pub(super) id: Option<Arc<str>>,
    pub(super) target: String,
    /// The invocations of the call. `None` for a stream.
    pub(super) sends: Option<Arc<Sends>>,
    pub(super) cancelled: CancellationToken,
    pub(super) metrics: Arc<MethodMetrics>,
    pub(super) begin: Instant,
    pub(super) span: Span,
}

impl Running {
    /// Runs a call until its method has returned. Returns what sends its result.
    pub(super) async fn run(self, started: Result<Started, Failure>) -> Option<Answering> {
        match started {
            Ok(Started::Call(running)) => {
                let outcome = dispatch::finish(running).await;
                let span = self.span.clone();
                Some(match span.is_none() {
                    true => Box::pin(self.answer(outcome)),
                    false => Box::pin(self.answer(outcome).instrument(span)),
                })
            }
            Ok(Started::Stream(running)) => {
                let outcome = match &self.id {
                    Some(id) => self.run_stream(running, id).await,
                    // A stream without an id has been refused by the protocol.
                    None => Outcome::Refused,
                };
                self.ended(outcome);
                None
            }
            Err(failure) => Some(Box::pin(self.answer(Err(failure)))),
        }
    }

    /// Sends the result of a call when the broker has accepted all that it sent.
    async fn answer(self, outcome: Result<Payload, Failure>) {
        let sent = match &self.sends {
            Some(sends) => sends.end().await,
            None => Ok(()),
        };
        let outcome = match (sent, outcome) {
            (Err(error), Ok(_)) => Err(Failure::Hub(InvokeError::from(error).into())),
            (_, outcome) => outcome,
        };
        let encoding = self.shared.encoding;
        let message = match (&self.id, &outcome) {
            (Some(id), Ok(result)) => encoding.completion(id, Ok(Some(result))),
            (Some(id), Err(failure)) => self.failed(id, failure),
            (None, _) => Bytes::new(),
        };
        let outcome = match outcome {
            Ok(_) => Outcome::Ok,
            Err(failure) => {
                failure.log(&self.target);
                failure.outcome()
            }
        };
        self.shared.answer(message).await;
        self.ended(outcome);
    }

    /// Sends the items of a stream until it ends, fails or is cancelled.
    async fn run_stream(&self, running: dispatch::RunningStream, id: &str) -> Outcome {
        let Self { shared, target, .. } = self;
        let mut outcome = Outcome::Ok;
        let message = match dispatch::finish(running).await {
            Ok(items) => match self.send_items(dispatch::guarded(items), id).await {
                Ok(()) => shared.encoding.completion(id, Ok(None)),
                Err(failure) => {
                    failure.log(target);
                    outcome = failure.outcome();
                    let text = failure.text_in_stream(shared.hub.options().detailed_errors);
                    shared.encoding.completion(id, Err(&text))
                }
            },
            Err(failure) => {
                failure.log(target);
                outcome = failure.outcome();
                self.failed(id, &failure)
            }
        };
        self.shared.answer(message).await;
        outcome
    }

    async fn send_items(
        &self,
        mut items: impl Stream<Item = Result<Payload, Failure>> + Unpin,
        id: &str,
    ) -> Result<(), Failure> {
        loop {
            let item = select! {
                biased;
                () = self.cancelled.cancelled() => return Ok(()),
                item = items.next() => item,
            };
            let Some(item) = item else { return Ok(()) };
            if !self.shared.answer(self.shared.encoding.stream_item(id, &item?)).await {
                return Ok(());
            }
        }
    }

    fn ended(&self, outcome: Outcome) {
        let outcome = if self.cancelled.is_cancelled() { Outcome::Cancelled } else { outcome };
        self.metrics.ended(outcome, self.begin.elapsed());
        if !matches!(outcome, Outcome::Ok | Outcome::Cancelled) {
            self.span.record("error.type", outcome.name());
        }
    }

    fn failed(&self, id: &str, failure: &Failure) -> Bytes {
        let Shared { hub, encoding, .. } = &*self.shared;
        let text = failure.text(&self.target, hub.options().detailed_errors);
        encoding.completion(id, Err(&text))
    }
}
