//! The running calls of one client.
//!
//! A call is a task of the session. It queues its items and its result for the writer itself.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::FuturesUnordered};
use tokio::{
    select,
    sync::mpsc,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, warn};

use crate::{
    answers::Answers,
    call::{CallContext, Part, Parts},
    caller::Caller,
    dispatch::{self, Failure, Started},
    hub::Hub,
    metrics::Outcome,
    protocol::{
        Encoding,
        message::{Call, Payload},
    },
    spans,
};

/// What all calls of a client share.
#[derive(Clone)]
struct Shared {
    hub: Arc<Hub>,
    caller: Caller,
    answers: Answers,
    encoding: Encoding,
}

/// The running calls of one client, and the streams that it sends.
pub(super) struct Calls {
    shared: Shared,
    /// None before the first call.
    running: Option<FuturesUnordered<Task>>,
    /// Cancels calls, by their id.
    cancels: HashMap<Arc<str>, CancellationToken>,
    uploads: HashMap<Arc<str>, mpsc::Sender<Part>>,
    /// Number of running calls that delay others.
    slots_taken: usize,
    /// Cancelled at the end of the connection. None before the first call.
    cancelled: Option<CancellationToken>,
}

type Task = Pin<Box<dyn Future<Output = Finished> + Send>>;

/// A call that has ended, or the hook for a new connection.
#[derive(Default)]
pub(super) struct Finished {
    id: Option<Arc<str>>,
    uploads: Vec<Arc<str>>,
    takes_slot: bool,
    /// Whether this is the hook for a new connection.
    pub(super) is_hook: bool,
    /// The application refused the connection.
    pub(super) refused: Option<String>,
}

impl Calls {
    pub(super) fn new(
        hub: &Arc<Hub>,
        caller: Caller,
        answers: Answers,
        encoding: Encoding,
    ) -> Self {
        Self {
            shared: Shared { hub: Arc::clone(hub), caller, answers, encoding },
            running: None,
            cancels: HashMap::new(),
            uploads: HashMap::new(),
            slots_taken: 0,
            cancelled: None,
        }
    }

    fn run(&mut self, task: Task) {
        self.running.get_or_insert_default().push(task);
    }

    /// Runs the hook for a new connection, if there is one. No method runs beside it.
    pub(super) fn start_connected(&mut self) {
        if self.shared.hub.on_connected_hook().is_none() {
            return;
        }
        let Shared { hub, caller, .. } = self.shared.clone();
        self.slots_taken = hub.options().parallel_calls_max.max(1);
        self.run(Box::pin(async move {
            let refused = dispatch::connected(&hub, caller).await.err();
            Finished { is_hook: true, refused, ..Finished::default() }
        }));
    }

    /// Runs the hook for a renewed user in the place of a call.
    pub(super) fn start_refreshed(&mut self) {
        let Shared { hub, caller, .. } = self.shared.clone();
        if hub.on_refreshed_hook().is_none() {
            return;
        }
        self.slots_taken += 1;
        self.run(Box::pin(async move {
            dispatch::refreshed(&hub, caller).await;
            Finished { takes_slot: true, ..Finished::default() }
        }));
    }

    /// Returns whether another call may start.
    pub(super) fn has_room(&self) -> bool {
        let calls_max = self.shared.hub.options().parallel_calls_max.max(1);
        self.slots_taken < calls_max
            && self.running.as_ref().map_or(0, FuturesUnordered::len) < RUNNING_MAX
    }

    /// Starts a call. `is_stream` tells whether the client expects a stream.
    pub(super) fn start(&mut self, call: &Call<'_>, is_stream: bool) {
        let id: Option<Arc<str>> = call.id.as_deref().map(Into::into);
        let is_used = id.as_ref().is_some_and(|id| self.cancels.contains_key(id));
        if let (Some(id), true) = (&id, is_used) {
            let error = format!("Invocation ID '{id}' is already in use.");
            self.answer(self.shared.encoding.completion(id, Err(&error)));
            return;
        }
        let cancelled = self.cancelled.get_or_insert_default().child_token();
        let (uploads, parts) = self.open_uploads(call);
        let context = CallContext {
            caller: self.shared.caller.clone(),
            method: "".into(),
            cancelled: cancelled.clone(),
            states: self.shared.hub.states().clone(),
            uploads: parts,
        };
        let shared = self.shared.clone();
        let method = shared.hub.find(&call.target);
        let connection_id = shared.caller.connection_id();
        let span = method.map_or_else(Span::none, |method| {
            spans::call(shared.hub.name(), &method.name, connection_id, call)
        });
        let metrics = match method {
            Some(method) => Arc::clone(&method.metrics),
            None => shared.hub.metrics().unknown_method(),
        };
        let begin = Instant::now();
        let started = span.in_scope(|| {
            dispatch::start(&shared.hub, method, context, call, is_stream, shared.encoding)
        });
        // A method that reads a stream of the client must not keep the client from sending it.
        let takes_slot = !is_stream && uploads.is_empty();
        self.slots_taken += usize::from(takes_slot);
        if let Some(id) = &id {
            self.cancels.insert(Arc::clone(id), cancelled.clone());
        }
        let target = call.target.as_ref().to_owned();
        let run = async move {
            let outcome = shared.run(started, id.as_deref(), &target, &cancelled).await;
            metrics.ended(outcome, begin.elapsed());
            if !matches!(outcome, Outcome::Ok | Outcome::Cancelled) {
                Span::current().record("error.type", outcome.name());
            }
            Finished { id, uploads, takes_slot, ..Finished::default() }
        };
        // Without a span of its own, a call belongs to the span of its connection.
        match span.is_none() {
            true => self.run(Box::pin(run)),
            false => self.run(Box::pin(run.instrument(span))),
        }
    }

    /// Opens the streams that the client sends with a call.
    fn open_uploads(&mut self, call: &Call<'_>) -> (Vec<Arc<str>>, VecDeque<Parts>) {
        let items_max = self.shared.hub.options().upload_items_max.max(1);
        let mut opened = Vec::new();
        let mut all = VecDeque::new();
        for id in &call.stream_ids {
            let (sender, parts) = mpsc::channel(items_max);
            let id: Arc<str> = id.as_ref().into();
            // A stream of an earlier call keeps its id. The new one receives nothing.
            if let Entry::Vacant(entry) = self.uploads.entry(Arc::clone(&id)) {
                entry.insert(sender);
                opened.push(id);
            }
            all.push_back(parts);
        }
        (opened, all)
    }

    /// Queues a message for the client without a call.
    fn answer(&mut self, message: Bytes) {
        let Shared { answers, caller, .. } = self.shared.clone();
        self.run(Box::pin(async move {
            answers.send(message, caller.last_sent()).await;
            Finished::default()
        }));
    }

    pub(super) fn cancel(&self, id: &str) {
        if let Some(cancelled) = self.cancels.get(id) {
            cancelled.cancel();
        }
    }

    /// Returns the stream with this id that the client sends, if its method still reads it.
    pub(super) fn upload(&self, id: &str) -> Option<&mpsc::Sender<Part>> {
        self.uploads.get(id)
    }

    /// Ends a stream of the client after its last part.
    pub(super) fn end_upload(&mut self, id: &str) {
        self.uploads.remove(id);
    }

    /// Waits until a call has ended. Pending without a running call. Cancel safe.
    pub(super) fn poll_finished(&mut self, cx: &mut Context<'_>) -> Poll<Finished> {
        match self.running.as_mut().map(|running| running.poll_next_unpin(cx)) {
            Some(Poll::Ready(Some(finished))) => {
                self.forget(&finished);
                Poll::Ready(finished)
            }
            _ => Poll::Pending,
        }
    }

    fn forget(&mut self, finished: &Finished) {
        if let Some(id) = &finished.id {
            self.cancels.remove(id);
        }
        for id in &finished.uploads {
            self.uploads.remove(id);
        }
        self.slots_taken -= usize::from(finished.takes_slot);
    }

    /// Called when the hook for a new connection has returned.
    pub(super) fn open_slots(&mut self) {
        self.slots_taken = 0;
    }

    /// Tells all calls that the connection ends, and waits for them, at most for the close timeout.
    ///
    /// Methods that still run then go on without the connection.
    pub(super) async fn end(&mut self) {
        if let Some(cancelled) = &self.cancelled {
            cancelled.cancel();
        }
        self.uploads.clear();
        let Some(mut running) = self.running.take() else { return };
        let ended = async { while running.next().await.is_some() {} };
        if time::timeout(self.shared.hub.options().close_timeout, ended).await.is_ok() {
            return;
        }
        warn!(
            connection.id = self.shared.caller.connection_id(),
            methods = running.len(),
            "methods still run after the end of their connection"
        );
        tokio::spawn(running.for_each(|_| async {}));
    }
}

impl Shared {
    /// Runs a call to its end.
    async fn run(
        &self,
        started: Result<Started, Failure>,
        id: Option<&str>,
        target: &str,
        cancelled: &CancellationToken,
    ) -> Outcome {
        match started {
            Ok(Started::Call(running)) => {
                let outcome = dispatch::finish(running).await;
                let message = match (id, &outcome) {
                    (Some(id), Ok(result)) => self.encoding.completion(id, Ok(Some(result))),
                    (Some(id), Err(failure)) => self.failed(id, failure, target),
                    (None, _) => Bytes::new(),
                };
                let outcome = match outcome {
                    Ok(_) => Outcome::Ok,
                    Err(failure) => {
                        failure.log(target);
                        failure.outcome()
                    }
                };
                self.answers.send(message, self.caller.last_sent()).await;
                if cancelled.is_cancelled() { Outcome::Cancelled } else { outcome }
            }
            Ok(Started::Stream(running)) => {
                // A stream without an id has been refused by the protocol.
                let Some(id) = id else { return Outcome::Refused };
                self.run_stream(running, id, target, cancelled).await
            }
            Err(failure) => {
                failure.log(target);
                if let Some(id) = id {
                    let message = self.failed(id, &failure, target);
                    self.answers.send(message, self.caller.last_sent()).await;
                }
                failure.outcome()
            }
        }
    }

    /// Sends the items of a stream until it ends, fails or is cancelled.
    async fn run_stream(
        &self,
        running: dispatch::RunningStream,
        id: &str,
        target: &str,
        cancelled: &CancellationToken,
    ) -> Outcome {
        let mut outcome = Outcome::Ok;
        let message = match dispatch::finish(running).await {
            Ok(items) => match self.send_items(dispatch::guarded(items), id, cancelled).await {
                Ok(()) => self.encoding.completion(id, Ok(None)),
                Err(failure) => {
                    failure.log(target);
                    outcome = failure.outcome();
                    let text = failure.text_in_stream(self.hub.options().detailed_errors);
                    self.encoding.completion(id, Err(&text))
                }
            },
            Err(failure) => {
                failure.log(target);
                outcome = failure.outcome();
                self.failed(id, &failure, target)
            }
        };
        self.answers.send(message, self.caller.last_sent()).await;
        if cancelled.is_cancelled() { Outcome::Cancelled } else { outcome }
    }

    async fn send_items(
        &self,
        mut items: impl Stream<Item = Result<Payload, Failure>> + Unpin,
        id: &str,
        cancelled: &CancellationToken,
    ) -> Result<(), Failure> {
        loop {
            let item = select! {
                biased;
                () = cancelled.cancelled() => return Ok(()),
                item = items.next() => item,
            };
            let Some(item) = item else { return Ok(()) };
            let message = self.encoding.stream_item(id, &item?);
            if !self.answers.send(message, self.caller.last_sent()).await {
                return Ok(());
            }
        }
    }

    fn failed(&self, id: &str, failure: &Failure, target: &str) -> Bytes {
        let text = failure.text(target, self.hub.options().detailed_errors);
        self.encoding.completion(id, Err(&text))
    }
}

/// Maximum number of calls and streams of one client that run at the same time. Further ones wait.
const RUNNING_MAX: usize = 1_000;
