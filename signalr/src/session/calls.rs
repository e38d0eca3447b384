//! The running calls of one client.
//!
//! A call is a task of the session. It queues its items and its result for the writer itself. The
//! next call may start while a result still waits for the broker.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, warn};

use super::running::{Answering, Running, Shared};
use crate::{
    answers::Answers,
    arguments::RawArguments,
    call::{CallContext, Part, Parts},
    caller::Caller,
    dispatch,
    hub::Hub,
    protocol::{Encoding, message::Call},
    spans,
};

/// The running calls of one client, and the streams that it sends. Without any it holds no memory.
pub(super) struct Calls {
    shared: Arc<Shared>,
    /// None before the first call.
    running: Option<FuturesUnordered<Task>>,
    /// The answers of calls that have ended, in order. The first may wait for the broker, or for
    /// room. The others wait for it, so results leave in the order in which methods returned.
    answering: VecDeque<Answering>,
    /// Cancels calls, by their id.
    cancels: BTreeMap<Arc<str>, CancellationToken>,
    uploads: BTreeMap<Arc<str>, mpsc::Sender<Part>>,
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
    /// Sends the result of the call.
    answering: Option<Answering>,
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
            shared: Arc::new(Shared { hub: Arc::clone(hub), caller, answers, encoding }),
            running: None,
            answering: VecDeque::new(),
            cancels: BTreeMap::new(),
            uploads: BTreeMap::new(),
            slots_taken: 0,
            cancelled: None,
        }
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.shared.caller
    }

    /// Tells the writer that no answer follows.
    pub(super) fn end_answers(&self) {
        self.shared.answers.end(self.shared.caller.last_sent());
    }

    fn run(&mut self, task: Task) {
        self.running.get_or_insert_default().push(task);
    }

    /// Runs the hook for a new connection, if there is one. No method runs beside it.
    pub(super) fn start_connected(&mut self) {
        if self.shared.hub.on_connected_hook().is_none() {
            return;
        }
        let (hub, caller) = (Arc::clone(&self.shared.hub), self.shared.caller.clone());
        self.slots_taken = hub.options().parallel_calls_max.max(1);
        self.run(Box::pin(async move {
            let refused = dispatch::connected(&hub, caller).await.err();
            Finished { is_hook: true, refused, ..Finished::default() }
        }));
    }

    /// Runs the hook for a renewed user in the place of a call.
    pub(super) fn start_refreshed(&mut self) {
        let (hub, caller) = (Arc::clone(&self.shared.hub), self.shared.caller.clone());
        if hub.on_refreshed_hook().is_none() {
            return;
        }
        self.slots_taken += 1;
        self.run(Box::pin(async move {
            dispatch::refreshed(&hub, caller).await;
            Finished { takes_slot: true, ..Finished::default() }
        }));
    }

    /// Returns whether no call runs, and no result waits.
    pub(super) fn is_idle(&self) -> bool {
        self.running.as_ref().is_none_or(FuturesUnordered::is_empty)
            && self.answering.is_empty()
            && self.slots_taken == 0
    }

    /// Returns whether another call may start.
    pub(super) fn has_room(&self) -> bool {
        let calls_max = self.shared.hub.options().parallel_calls_max.max(1);
        self.slots_taken < calls_max
            && self.running.as_ref().is_none_or(|running| running.len() < RUNNING_MAX)
            && self.answering.len() < ANSWERING_MAX
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
        let shared = Arc::clone(&self.shared);
        // An item of a stream follows the invocations before it, so these wait for the broker.
        let (caller, sends) = match is_stream {
            true => (shared.caller.clone(), None),
            false => {
                let (caller, sends) = shared.caller.of_call();
                (caller, Some(sends))
            }
        };
        let context = CallContext {
            caller,
            method: "".into(),
            cancelled: cancelled.clone(),
            states: shared.hub.states().clone(),
            uploads: parts,
        };
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
            let arguments = RawArguments::new(call.arguments);
            dispatch::start(&shared.hub, method, context, arguments, is_stream, shared.encoding)
        });
        // A method that reads a stream of the client must not keep the client from sending it.
        let takes_slot = !is_stream && uploads.is_empty();
        self.slots_taken += usize::from(takes_slot);
        if let Some(id) = &id {
            self.cancels.insert(Arc::clone(id), cancelled.clone());
        }
        let call = Running {
            shared,
            id: id.clone(),
            target: call.target.as_ref().to_owned(),
            sends,
            cancelled,
            metrics,
            begin,
            span: span.clone(),
        };
        let run = async move {
            let answering = call.run(started).await;
            Finished { id, uploads, takes_slot, answering, ..Finished::default() }
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
        let shared = Arc::clone(&self.shared);
        self.answering.push_back(Box::pin(async move {
            shared.answer(message).await;
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
        let finished = match self.running.as_mut().map(|running| running.poll_next_unpin(cx)) {
            Some(Poll::Ready(Some(mut finished))) => {
                self.forget(&finished);
                self.answering.extend(finished.answering.take());
                Poll::Ready(finished)
            }
            _ => Poll::Pending,
        };
        let had_room = self.has_room();
        self.poll_answering(cx);
        match finished {
            // The reader may have waited for room.
            Poll::Pending if !had_room && self.has_room() => Poll::Ready(Finished::default()),
            finished => finished,
        }
    }

    fn poll_answering(&mut self, cx: &mut Context<'_>) {
        while let Some(first) = self.answering.front_mut()
            && first.as_mut().poll(cx).is_ready()
        {
            self.answering.pop_front();
        }
        if self.answering.is_empty() {
            self.answering = VecDeque::new();
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
        let close_timeout = self.shared.hub.options().close_timeout;
        let ended = poll_fn(|cx| {
            while self.poll_finished(cx).is_ready() {}
            let is_running = self.running.as_ref().is_some_and(|running| !running.is_empty());
            match is_running || !self.answering.is_empty() {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        });
        if time::timeout(close_timeout, ended).await.is_ok() {
            return;
        }
        let running = self.running.take().unwrap_or_default();
        let answering = std::mem::take(&mut self.answering);
        warn!(
            connection.id = self.shared.caller.connection_id(),
            methods = running.len(),
            "methods still run after the end of their connection"
        );
        tokio::spawn(async move {
            for answering in answering {
                answering.await;
            }
            running
                .for_each(|finished| finished.answering.unwrap_or_else(|| Box::pin(async {})))
                .await;
        });
    }
}

/// Maximum number of calls and streams of one client that run at the same time. Further ones wait.
const RUNNING_MAX: usize = 1_000;
/// Maximum number of results of one client that wait for the broker or for room.
const ANSWERING_MAX: usize = 64;
