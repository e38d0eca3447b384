//! A socket around a session.
//!
//! A connection reads into the scratch buffer of its worker. It keeps bytes of its own only for
//! requests that are incomplete or must wait. It never writes while requests run: the flush of the
//! worker writes the outbox at the end of the turn. The connection's own task writes only the rest
//! that the socket did not take.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{self, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep, sleep_until};

use crate::commands::execute::{self, Flow};
use crate::commands::lookup::Lookup;
use crate::commands::spec::Awaited;
use crate::config::OutputLimit;
use crate::config::tls::CertificateUser;
use crate::ids::WorkerId;
use crate::observe::disconnect::Disconnect;
use crate::observe::stats::Stats;
use crate::protocol::request::{Decoded, Decoder};
use crate::pubsub::client_output::ClientOutput;
use crate::pubsub::order::OrderGuard;
use crate::pubsub::outbox::Pool;
use crate::pubsub::script_barrier::Turn;
use crate::server::accept::Admission;
use crate::server::backlog::{Backlog, Progress};
use crate::server::held::Held;
use crate::server::stream::Stream;
use crate::server::unfinished::{KeptInput, Unfinished};
use crate::session::Session;
use crate::session::client_info::{ClientInfo, Flag, READ_BYTES_MAX, Signal};
use crate::session::context::Context;
use crate::session::server_state::ServerState;
use crate::tls::certificate::user_names;

/// One client's socket and session.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) output: Rc<ClientOutput>,
    pub(crate) info: Arc<ClientInfo>,
    session: RefCell<Session>,
    /// Given back when the connection is gone.
    admission: RefCell<Option<Admission>>,
    stream: RefCell<Stream>,
    unfinished: RefCell<Option<Box<Unfinished>>>,
    held: RefCell<Held>,
    waiting: RefCell<Option<Waiting>>,
    /// Whether the socket took less than was queued.
    blocked: Cell<bool>,
    /// Whether reading is suspended, since too many replies are unread.
    throttled: Cell<bool>,
    /// Whether the socket has failed, so that nothing more can be sent.
    failed: Cell<bool>,
    /// When the client last took a byte, since it is to be closed after its queue is sent.
    draining_since: Cell<Option<Instant>>,
    over_soft_limit_since: Cell<Option<Instant>>,
    /// The ages of unread bytes.
    backlog: RefCell<Option<Box<Backlog>>>,
    /// A worker that must take its full inbox before this client is read from again.
    ahead_of: Cell<Option<WorkerId>>,
}

/// The reason why a connection does not run its next request.
#[derive(Debug)]
enum Waiting {
    /// `CLIENT PAUSE`.
    Paused(Pin<Box<Sleep>>),
    /// A command that replies later; without a time it waits forever.
    ForTime(Option<Pin<Box<Sleep>>>, Awaited),
    /// A `CONFIG SET` that moves the server to other addresses.
    ForMove,
    /// A command that closes other clients, until they are gone.
    ForEnds,
    /// A question about subscribers, until all workers have answered.
    ForSurvey,
    /// A script of this client.
    #[cfg(feature = "lua")]
    ForScript,
    /// A late script of another client, before a request that needs the order.
    ForOrder,
}

impl Waiting {
    fn paused(until: Instant) -> Self {
        Self::Paused(Box::pin(sleep_until(until.into())))
    }

    /// Returns whether a client that sends no more still gets the reply. Redis does not read from
    /// it while such a request runs, so it cannot notice the end of the input.
    fn outlasts_input(&self) -> bool {
        match self {
            Self::ForMove | Self::ForEnds | Self::ForSurvey | Self::ForOrder => true,
            #[cfg(feature = "lua")]
            Self::ForScript => true,
            Self::Paused(_) | Self::ForTime(..) => false,
        }
    }

    fn for_time(time: Duration, awaited: Awaited) -> Self {
        let sleep = (time != Duration::MAX).then(|| Box::pin(sleep(time)));
        Self::ForTime(sleep, awaited)
    }
}

/// Buffers that a worker lends to the connection that reads.
#[derive(Debug)]
pub(crate) struct Scratch {
    bytes: Box<[u8]>,
    decoder: Decoder,
    lookup: Lookup,
}

/// The result of one step through the input.
enum Ran {
    /// A request of this many bytes has run.
    Done(usize),
    /// A request of this many bytes has run, and the connection must wait.
    Waits(usize, Waiting),
    /// The request has not run: it must wait.
    HeldBack(Waiting),
    /// The input ends within a request.
    Incomplete,
}

/// A connection within a large argument reads so many bytes in one turn.
const ARGUMENT_BYTES_PER_TURN_MAX: usize = 1024 * 1024;

/// Maximum slices per `writev`.
const SLICES_MAX: usize = 64;
/// The time that the requests of one client may take in one turn. The rest waits until other
/// clients have been served.
const TURN_TIME_MAX: Duration = Duration::from_millis(1);
/// Input that is kept of a client before its login, while it waits.
const HELD_BYTES_BEFORE_LOGIN_MAX: usize = 1024 * 1024;
/// Smaller requests skip the client memory check, and smaller arguments count only once they have
/// arrived, as in Redis.
const EVICTED_BYTES_MIN: usize = 32 * 1024;
/// A client that is to be closed may take this long without reading a byte of its queue.
const DRAINING_TIME_MAX: Duration = Duration::from_secs(10);
/// A client without subscriptions and with this many unread reply bytes is not read from until it
/// reads. No reasonable pipeline needs more, and it bounds the memory of one client.
const UNREAD_REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Connection {
    pub(crate) fn new(
        stream: Stream,
        info: Arc<ClientInfo>,
        output: Rc<ClientOutput>,
        session: Session,
        admission: Admission,
    ) -> Self {
        Self {
            output,
            info,
            session: RefCell::new(session),
            admission: RefCell::new(Some(admission)),
            stream: RefCell::new(stream),
            unfinished: RefCell::default(),
            held: RefCell::default(),
            waiting: RefCell::default(),
            blocked: Cell::default(),
            throttled: Cell::default(),
            failed: Cell::default(),
            draining_since: Cell::default(),
            over_soft_limit_since: Cell::default(),
            backlog: RefCell::default(),
            ahead_of: Cell::default(),
        }
    }

    /// Returns whether the client must establish TLS first.
    pub(crate) fn needs_handshake(&self) -> bool {
        matches!(*self.stream.borrow(), Stream::Tls(_))
    }

    /// Pending until [`poll_handshake`](Self::poll_handshake) can make a step, or is to end.
    pub(crate) fn poll_handshake_ready(&self, cx: &mut task::Context<'_>) -> Poll<()> {
        self.info.remember(cx.waker());
        if self.info.is_asked(Signal::Close) || self.output.disconnect().is_some() {
            return Poll::Ready(());
        }
        match &*self.stream.borrow() {
            Stream::Tls(stream) => stream.poll_handshake_ready(cx).map(drop),
            _ => Poll::Ready(()),
        }
    }

    /// Establishes TLS, and logs in the user that the certificate names. Ends with an error as well
    /// if the client is closed meanwhile.
    pub(crate) fn poll_handshake(
        &self,
        context: &Context,
        cx: &mut task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.info.remember(cx.waker());
        if self.info.is_asked(Signal::Close) || self.output.disconnect().is_some() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let mut stream = self.stream.borrow_mut();
        let Stream::Tls(stream) = &mut *stream else { return Poll::Ready(Ok(())) };
        let material = ready!(stream.poll_handshake(cx))?;
        if material.user != CertificateUser::Off
            && let Some(certificate) = stream.peer_certificate()
        {
            let names = user_names(certificate, material.user);
            self.session.borrow_mut().log_in_by_certificate(&names, context);
        }
        Poll::Ready(Ok(()))
    }

    /// Begins to carry out the stream of the server's master.
    pub(crate) fn carry_out(&self, epoch: u64) {
        self.session.borrow_mut().carry_out(epoch);
    }

    /// Logs in the user of `http-token`. Closes the client with the reason if that fails.
    #[cfg(feature = "http")]
    pub(crate) fn log_in_by_token(&self, user: &[u8], context: &mut Context) {
        let mut session = self.session.borrow_mut();
        if let Err(reason) = session.log_in_by_token(user, context) {
            session.reply_error(context, reason);
            context.flush_queue().disconnect(&self.output, Disconnect::Killed);
        }
    }

    /// Sends a line to a client that is refused. One that does not take it at once gets none.
    pub(crate) fn send_refusal(&self, text: &[u8]) {
        let _ = self.stream.borrow_mut().try_write(&[IoSlice::new(text)]);
    }

    /// Serves the client until it disconnects, and returns the reason. Runs the requests of one
    /// read without a break, unless one of them leaves an effect: the caller performs it first.
    pub(crate) fn poll(
        &self,
        server: &ServerState,
        context: &mut Context,
        turn: &mut Turn<'_>,
        scratch: &RefCell<Scratch>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Disconnect> {
        self.info.remember(cx.waker());
        if self.info.is_asked(Signal::Close) {
            return Poll::Ready(Disconnect::Killed);
        }
        if self.blocked.get() {
            let ready = self.stream.borrow().poll_write_ready(cx);
            match ready {
                Poll::Ready(Ok(())) => self.flush(server, context),
                Poll::Ready(Err(_)) => return Poll::Ready(Disconnect::Closed),
                Poll::Pending => {}
            }
        }
        context.spent = Duration::ZERO;
        if let Some(reason) = self.output.disconnect() {
            self.take_outcome(context, turn);
            return self.poll_drain(reason, context, turn);
        }
        if self.still_waits(context, turn, cx) {
            return self.poll_while_waiting(&mut scratch.borrow_mut().bytes, context, cx);
        }
        if self.is_throttled() {
            return Poll::Pending;
        }
        if let Some(worker) = self.ahead_of.get() {
            let Some(mut lock) = turn.lock() else {
                // A script is late. Once it ends, this task gets a turn with a permit.
                ready!(server.broker.poll_idle(cx));
                cx.waker().wake_by_ref();
                return Poll::Pending;
            };
            ready!(lock.guard().poll_room(worker, cx));
            self.ahead_of.set(None);
        }
        let mut scratch = scratch.borrow_mut();
        let Scratch { bytes, decoder, lookup } = &mut *scratch;
        // A panic leaves it with a request of another client.
        decoder.reset();
        let mut held = std::mem::take(&mut *self.held.borrow_mut());
        let used = self.run_requests(held.bytes(), decoder, lookup, context, turn);
        held.use_up(used);
        if !held.is_empty() {
            *self.held.borrow_mut() = held;
        }
        self.end_requests(server, context);
        let mut read_bytes = 0;
        while self.may_read(cx) {
            let read = ready!(self.stream.borrow_mut().poll_read(bytes, cx));
            let read = match read {
                Ok(0) => {
                    // A client that has sent everything may still read its replies.
                    self.flush(server, context);
                    return Poll::Ready(Disconnect::Closed);
                }
                Err(_) => return Poll::Ready(Disconnect::Closed),
                Ok(read) => read,
            };
            self.info.touch(Instant::now());
            self.info.counts.bytes_read.add(read as u64);
            let stats = server.broker.stats();
            stats.input_bytes.add(read as u64);
            stats.reads.add(1);
            let used = self.run_requests(&bytes[..read], decoder, lookup, context, turn);
            self.held.borrow_mut().add(&bytes[used..read]);
            self.end_requests(server, context);
            read_bytes += read;
            let has_more = read == bytes.len();
            let is_over = context.spent >= TURN_TIME_MAX || !context.effects.is_empty();
            if is_over || (has_more && !self.may_read_on(read_bytes)) {
                cx.waker().wake_by_ref();
                break;
            }
        }
        Poll::Pending
    }

    /// Takes the outcome of a script that has ended: it holds the order and all gates, also if its
    /// client is about to be closed.
    #[cfg_attr(not(feature = "lua"), expect(unused_variables, reason = "only scripts are late"))]
    fn take_outcome(&self, context: &mut Context, turn: &mut Turn<'_>) {
        #[cfg(feature = "lua")]
        while self.session.borrow().script.is_some() && self.session.borrow().is_script_done() {
            let _ = self.session.borrow_mut().resume_after_script(context, turn);
        }
    }

    /// Sends the rest of the queue before the connection ends. A socket that fails, or that takes no
    /// byte for [`DRAINING_TIME_MAX`], ends it at once.
    fn poll_drain(
        &self,
        reason: Disconnect,
        context: &mut Context,
        turn: &mut Turn<'_>,
    ) -> Poll<Disconnect> {
        let is_done = !reason.sends_what_is_queued() || self.output.outbox().is_empty();
        if is_done || self.failed.get() {
            return Poll::Ready(reason);
        }
        if self.draining_since.get().is_none() {
            self.draining_since.set(Some(Instant::now()));
            // From now on no publisher counts the client.
            if let Some(mut lock) = turn.lock() {
                self.end(context, &mut lock.guard());
            }
        }
        Poll::Pending
    }

    /// Reads and keeps input while the connection waits, to notice a client that disconnects.
    fn poll_while_waiting(
        &self,
        bytes: &mut [u8],
        context: &mut Context,
        cx: &mut task::Context<'_>,
    ) -> Poll<Disconnect> {
        loop {
            let read = match ready!(self.stream.borrow_mut().poll_read(bytes, cx)) {
                // A client that has sent everything gets its replies. The next read finds the end
                // again.
                Ok(0) if self.waiting.borrow().as_ref().is_some_and(Waiting::outlasts_input) => {
                    return Poll::Pending;
                }
                Ok(0) | Err(_) => return Poll::Ready(Disconnect::Closed),
                Ok(read) => read,
            };
            let mut held = self.held.borrow_mut();
            held.add(&bytes[..read]);
            self.info.counts.bytes_read.add(read as u64);
            let session = self.session.borrow();
            let bytes_max = match session.must_log_in() {
                true => HELD_BYTES_BEFORE_LOGIN_MAX,
                false => context.config.client_query_buffer_limit,
            };
            if held.len() > bytes_max {
                return Poll::Ready(Disconnect::RequestTooBig);
            }
            self.record_input(&held, None, &session.server);
            if session.evict(context) || !context.effects.is_empty() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Returns whether the connection may read more. If not, the task is certain to be woken.
    fn may_read(&self, cx: &task::Context<'_>) -> bool {
        if self.output.disconnect().is_some() || self.is_throttled() {
            // The flush of this turn wakes the task.
            return false;
        }
        let is_ahead = self.ahead_of.get().is_some();
        if is_ahead || self.waiting.borrow().is_some() || !self.held.borrow().is_empty() {
            // Polled once more, to register the wait or to continue after an effect.
            cx.waker().wake_by_ref();
            return false;
        }
        true
    }

    /// Returns whether a connection that has filled the buffer may read once more in this turn: it is
    /// within a large argument, of which Redis too reads as much as there is. Each piece costs no
    /// more than its copy.
    fn may_read_on(&self, read_bytes: usize) -> bool {
        read_bytes < ARGUMENT_BYTES_PER_TURN_MAX
            && self.unfinished.borrow().as_ref().is_some_and(|request| request.missing() > 0)
    }

    /// Returns whether too many replies are unread to run more requests. The next flush then wakes
    /// the task.
    fn is_throttled(&self) -> bool {
        let is_throttled =
            self.output.outbox().bytes() >= UNREAD_REPLY_BYTES_MAX && !self.listens();
        self.throttled.set(is_throttled);
        is_throttled
    }

    /// Returns whether the client gets messages, or the stream for replicas.
    fn listens(&self) -> bool {
        self.session.borrow().is_subscribed() || self.info.is(Flag::Replica)
    }

    /// Writes queued bytes, as many as the socket takes.
    pub(crate) fn flush(&self, server: &ServerState, context: &mut Context) {
        self.blocked.set(false);
        // A queued message may contain a counter of any thread. The counters file must have it
        // first.
        server.broker.write_counters();
        if self.output.is_unwritten.take() && server.broker.has_lost_counters() {
            context.flush_queue().disconnect(&self.output, Disconnect::Unwritten);
        }
        let before = self.output.outbox().bytes();
        let written = self.write_queued(context.flush_queue().pool());
        let left = self.output.outbox().bytes();
        let stats = server.broker.stats();
        stats.output_bytes.add((before - left) as u64);
        stats.writes.add(1);
        self.record_output(before, left, stats);
        self.session.borrow().evict(context);
        if written.is_err() {
            self.failed.set(true);
            context.flush_queue().disconnect(&self.output, Disconnect::Closed);
        }
        if left < before && self.draining_since.get().is_some() {
            self.draining_since.set(Some(Instant::now()));
        }
        if self.blocked.get() {
            // The soft limit counts from now, not from the next check.
            let limit = self.session.borrow().unread_limit(&context.config);
            self.is_behind(limit, Instant::now());
        }
        if self.blocked.get() || self.throttled.take() || self.output.disconnect().is_some() {
            self.info.wake();
        }
    }

    /// Ends the session: its subscriptions, watched keys, tracking and monitoring.
    pub(crate) fn end(&self, context: &mut Context, order: &mut OrderGuard<'_>) {
        self.session.borrow_mut().end(context, order);
    }

    /// Runs the rest of a transaction whose client is gone. Pending while a script of it is late.
    #[cfg_attr(not(feature = "lua"), expect(unused_variables, reason = "only scripts are late"))]
    pub(crate) fn poll_transaction(
        &self,
        context: &mut Context,
        turn: &mut Turn<'_>,
        cx: &task::Context<'_>,
    ) -> Poll<()> {
        #[cfg(feature = "lua")]
        while self.session.borrow().executing.is_some() {
            self.info.remember(cx.waker());
            if !self.session.borrow().is_script_done() {
                return Poll::Pending;
            }
            let _ = self.session.borrow_mut().resume_after_script(context, turn);
        }
        Poll::Ready(())
    }

    /// Detaches a late script from the client, and drops the rest of its transaction.
    pub(crate) fn abandon_script(&self) {
        #[cfg(feature = "lua")]
        self.session.borrow_mut().abandon_script();
    }

    /// Closes the client if it has lost a permission that its subscriptions need.
    pub(crate) fn check_permissions(&self, context: &mut Context, turn: &mut Turn<'_>) {
        let mut session = self.session.borrow_mut();
        let is_closing = self.output.disconnect().is_some();
        if session.refresh_user(context) {
            return;
        }
        if !is_closing && !session.ends_itself {
            // As in Redis, only the client that changed the users gets its unread bytes.
            self.info.ask(Signal::Close);
        }
        drop(session);
        if let Some(mut lock) = turn.lock() {
            self.end(context, &mut lock.guard());
        }
    }

    /// Disconnects the client if it was idle or over its soft limit for too long. Called about once
    /// a second.
    pub(crate) fn check_time(&self, now: Instant, context: &mut Context) {
        let session = self.session.borrow();
        let (timeout, limit) = (context.config.timeout, session.unread_limit(&context.config));
        let is_idle = !timeout.is_zero() && self.info.idle(now) > timeout;
        // Those that only listen are not idle.
        let listens = self.listens() || self.info.is(Flag::Monitor) || self.info.is(Flag::Replica);
        if is_idle && !self.info.is_blocked() && !listens && session.master.is_none() {
            context.flush_queue().disconnect(&self.output, Disconnect::Idle);
        }
        let is_stuck = |since: Instant| now.saturating_duration_since(since) > DRAINING_TIME_MAX;
        if self.draining_since.get().is_some_and(is_stuck) {
            self.failed.set(true);
            self.info.wake();
        }
        if self.is_behind(limit, now)
            && !context.flush_queue().make_room(&self.output, limit.soft_bytes)
        {
            context.flush_queue().disconnect(&self.output, Disconnect::SlowSubscriber);
        }
    }

    /// Returns whether the client has been over its soft limit for too long.
    fn is_behind(&self, limit: OutputLimit, now: Instant) -> bool {
        if !limit.is_soft_beyond(self.output.outbox().counted_bytes()) {
            self.over_soft_limit_since.set(None);
            return false;
        }
        let since = self.over_soft_limit_since.get().unwrap_or(now);
        self.over_soft_limit_since.set(Some(since));
        now.saturating_duration_since(since) > limit.soft_time.max(Duration::from_millis(1))
    }

    /// Returns whether the connection still waits. Performs the end of a wait that is over.
    fn still_waits(
        &self,
        context: &mut Context,
        turn: &mut Turn<'_>,
        cx: &mut task::Context<'_>,
    ) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        let with_error = self.info.is_asked(Signal::UnblockWithError);
        let is_over = match &mut *waiting {
            None => return false,
            Some(Waiting::Paused(sleep)) => {
                !self.session.borrow().is_paused() || sleep.as_mut().poll(cx).is_ready()
            }
            Some(Waiting::ForTime(sleep, awaited)) => {
                with_error
                    || self.session.borrow().has_reached(*awaited)
                    || self.info.is_asked(Signal::Unblock)
                    || sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready())
            }
            Some(Waiting::ForMove) => self.session.borrow().has_moved(),
            // While a script is late, clients cannot end.
            Some(Waiting::ForEnds) => {
                turn.is_busy() || self.session.borrow().poll_ends(cx).is_ready()
            }
            Some(Waiting::ForSurvey) => self.session.borrow().poll_survey(cx).is_ready(),
            #[cfg(feature = "lua")]
            Some(Waiting::ForScript) => self.session.borrow().is_script_done(),
            Some(Waiting::ForOrder) => {
                let is_idle = self.session.borrow().server.broker.poll_idle(cx).is_ready();
                if is_idle && turn.is_busy() {
                    // The script has ended since this turn began.
                    cx.waker().wake_by_ref();
                }
                is_idle && !turn.is_busy()
            }
        };
        if !is_over {
            return true;
        }
        self.info.paused.store(false, Ordering::Relaxed);
        let waited = waiting.take();
        if matches!(waited, Some(Waiting::ForTime(..))) {
            self.info.blocked.store(false, Ordering::Relaxed);
        }
        self.session.borrow().server.clients.count_states(&self.info);
        match waited {
            Some(Waiting::ForTime(_, awaited)) => {
                self.info.clear(Signal::Unblock);
                self.info.clear(Signal::UnblockWithError);
                execute::end_wait(&self.session.borrow(), context, awaited, with_error);
                self.session.borrow_mut().end_request();
            }
            Some(Waiting::ForMove) => {
                let Some(mut lock) = turn.lock() else {
                    *waiting = Some(Waiting::ForMove);
                    if self.session.borrow().server.broker.poll_idle(cx).is_ready() {
                        cx.waker().wake_by_ref();
                    }
                    return true;
                };
                self.session.borrow_mut().end_move(context, &mut lock.guard());
                self.session.borrow_mut().end_request();
            }
            Some(Waiting::ForEnds) => {
                self.session.borrow_mut().reply_after_ends(context);
                self.session.borrow_mut().end_request();
            }
            Some(Waiting::ForSurvey) => {
                self.session.borrow_mut().reply_after_survey(context);
                self.session.borrow_mut().end_request();
            }
            #[cfg(feature = "lua")]
            Some(Waiting::ForScript) => {
                let flow = self.session.borrow_mut().resume_after_script(context, turn);
                if flow == Flow::WaitForScript {
                    *waiting = Some(Waiting::ForScript);
                    return true;
                }
                self.session.borrow_mut().end_request();
            }
            Some(Waiting::Paused(_) | Waiting::ForOrder) | None => {}
        }
        false
    }

    /// Runs the complete requests in `input`, until one must wait or leaves an effect. Returns how
    /// many bytes are used up or kept.
    fn run_requests(
        &self,
        mut input: &[u8],
        decoder: &mut Decoder,
        lookup: &mut Lookup,
        context: &mut Context,
        turn: &mut Turn<'_>,
    ) -> usize {
        let given = input.len();
        while !input.is_empty() && self.output.disconnect().is_none() {
            let mut unfinished = self.unfinished.borrow_mut();
            if let Some(mut request) = unfinished.take() {
                input = request.add(input);
                let Unfinished { bytes, decoder, .. } = &mut *request;
                match self.run(decoder, bytes, lookup, context, turn) {
                    Ran::Incomplete => {
                        let is_limited = self.session.borrow().master.is_none();
                        if is_limited && request.memory() > context.config.client_query_buffer_limit
                        {
                            context
                                .flush_queue()
                                .disconnect(&self.output, Disconnect::RequestTooBig);
                        }
                        *unfinished = Some(request);
                    }
                    Ran::HeldBack(waiting) => {
                        // The rest must stay behind it.
                        let mut held = self.held.borrow_mut();
                        held.add(&request.bytes);
                        held.add(std::mem::take(&mut input));
                        self.wait(waiting);
                    }
                    Ran::Done(_) => {}
                    Ran::Waits(_, waiting) => self.wait(waiting),
                }
            } else {
                match self.run(decoder, input, lookup, context, turn) {
                    Ran::Done(used) => input = &input[used..],
                    Ran::Waits(used, waiting) => {
                        input = &input[used..];
                        self.wait(waiting);
                    }
                    Ran::HeldBack(waiting) => self.wait(waiting),
                    Ran::Incomplete => {
                        let decoder = std::mem::take(decoder);
                        *unfinished = Some(Box::new(Unfinished::new(input, decoder)));
                        input = &[];
                    }
                }
            }
            let must_wait = self.waiting.borrow().is_some() || self.is_throttled();
            let is_over = context.spent >= TURN_TIME_MAX;
            if must_wait || is_over || !context.effects.is_empty() {
                return given - input.len();
            }
        }
        // A client that is to be closed needs no more of its input.
        given
    }

    /// Ends the requests of one piece of input: records what is kept of it, and whether a worker
    /// must catch up first.
    fn end_requests(&self, server: &ServerState, context: &mut Context) {
        let mut unfinished = self.unfinished.borrow_mut();
        self.record_input(&self.held.borrow(), unfinished.as_deref_mut(), server);
        let missing = unfinished.as_ref().map_or(0, |request| request.missing());
        // The room for it counts already.
        let room = self.info.counts.unparsed_room.load(Ordering::Relaxed);
        let announced = missing.saturating_sub(room);
        let announced = if announced < EVICTED_BYTES_MIN { 0 } else { announced };
        self.info.counts.announced_bytes.store(announced, Ordering::Relaxed);
        self.session.borrow().evict(context);
        drop(unfinished);
        server.flush_stats(&mut context.local.tally);
        self.ahead_of.set(context.local.lagging.take());
    }

    /// Updates the figures of the input that is kept, and returns its memory.
    fn record_input(
        &self,
        held: &Held,
        unfinished: Option<&mut Unfinished>,
        server: &ServerState,
    ) -> usize {
        let mut input = KeptInput { unparsed: held.len(), room: held.room(), arguments: 0 };
        let mut memory = held.len();
        if let Some(request) = unfinished {
            let kept = request.kept();
            memory += request.memory();
            input.unparsed += kept.unparsed;
            input.room += kept.room;
            input.arguments = kept.arguments;
        }
        let counts = &self.info.counts;
        let memory = memory + input.room;
        for (count, value) in [
            (&counts.input_bytes, memory),
            (&counts.unparsed_bytes, input.unparsed),
            (&counts.unparsed_room, input.room),
            (&counts.argument_bytes, input.arguments),
        ] {
            count.store(value, Ordering::Relaxed);
        }
        if memory > 0 {
            server.broker.stats().buffers.input.record(memory);
        }
        memory
    }

    /// Updates the figures of the output after a flush that found `before` bytes and left `left`.
    fn record_output(&self, before: usize, left: usize, stats: &Stats) {
        let counts = &self.info.counts;
        counts.bytes_written.add((before - left) as u64);
        counts.messages_out.store(self.output.messages.get(), Ordering::Relaxed);
        if before > counts.output_peak.load(Ordering::Relaxed) {
            counts.output_peak.store(before, Ordering::Relaxed);
        }
        // Without unread bytes there are no buffers.
        if left > 0 || counts.output_bytes.load(Ordering::Relaxed) > 0 {
            // A client that takes a long reply slowly is not idle.
            if left < before {
                self.info.touch(Instant::now());
            }
            let outbox = self.output.outbox();
            let blocks = outbox.blocks();
            for (count, value) in [
                (&counts.output_bytes, left),
                (&counts.reply_buffer, outbox.own_memory()),
                (&counts.reply_blocks, blocks.count),
                (&counts.block_bytes, blocks.bytes),
                (&counts.block_unwritten, blocks.unwritten),
            ] {
                count.store(value, Ordering::Relaxed);
            }
            stats.buffers.output.record(before.max(left));
            let peak = &counts.block_peak;
            peak.store(peak.load(Ordering::Relaxed).max(blocks.bytes), Ordering::Relaxed);
            self.record_lag(left);
        }
    }

    /// Updates the age of the oldest unread byte. Called after a flush that has left bytes, or that
    /// has written the last ones.
    fn record_lag(&self, left: usize) {
        let mut backlog = self.backlog.borrow_mut();
        if left == 0 {
            *backlog = None;
            return self.info.set_behind_since(None);
        }
        let written = self.info.counts.bytes_written.get();
        let progress = Progress { written, queued: written + left as u64 };
        let since = backlog.get_or_insert_default().record(Instant::now(), progress);
        self.info.set_behind_since(since);
    }

    /// Records the size of buffers that stay, and the memory of the client. Called once a second.
    pub(crate) fn record_buffers(&self, stats: &Stats) {
        let counts = &self.info.counts;
        stats.buffers.input.record(counts.input_bytes.load(Ordering::Relaxed));
        stats.buffers.output.record(counts.output_bytes.load(Ordering::Relaxed));
        self.session.borrow().server.clients.settle_bytes(&self.info);
    }

    /// Forgets the largest output so far. Called every few seconds.
    pub(crate) fn forget_peak(&self) {
        let left = self.output.outbox().bytes();
        self.info.counts.output_peak.store(left, Ordering::Relaxed);
    }

    /// Closes the socket of a client that is gone. The rest of the connection may have to wait for
    /// the end of a late script.
    pub(crate) fn close_socket(&self) {
        *self.admission.borrow_mut() = None;
        let mut stream = self.stream.borrow_mut();
        if let Stream::Tls(stream) = &mut *stream {
            stream.close();
        }
        *stream = Stream::Closed;
    }

    /// Returns whether a transaction of the client has begun and waits for a script.
    pub(crate) fn is_executing(&self) -> bool {
        #[cfg(feature = "lua")]
        return self.session.borrow().executing.is_some();
        #[cfg(not(feature = "lua"))]
        false
    }

    /// Runs the request at the start of `bytes`.
    fn run(
        &self,
        decoder: &mut Decoder,
        bytes: &[u8],
        lookup: &mut Lookup,
        context: &mut Context,
        turn: &mut Turn<'_>,
    ) -> Ran {
        let mut session = self.session.borrow_mut();
        let limits = session.limits(&context.config);
        let ran = match decoder.decode(bytes, limits) {
            Ok(Decoded::Incomplete) => return Ran::Incomplete,
            Ok(Decoded::Nothing(used)) => {
                // As in Redis, an empty request is one for `CLIENT REPLY SKIP` and `CLIENT CACHING`.
                session.end_caching_after(None);
                session.end_request();
                Ran::Done(used)
            }
            Ok(Decoded::Request(used)) if self.is_too_big(&session, used, context) => {
                Ran::Done(used)
            }
            Ok(Decoded::Request(used)) => {
                let parsed = lookup.parse(decoder.request(bytes));
                match execute::execute(&mut session, context, turn, parsed) {
                    Flow::Continue => {
                        session.record_request(used);
                        Ran::Done(used)
                    }
                    Flow::Paused(until) => Ran::HeldBack(Waiting::paused(until)),
                    Flow::WaitForOrder => Ran::HeldBack(Waiting::ForOrder),
                    Flow::Wait(time, awaited) => Ran::Waits(used, Waiting::for_time(time, awaited)),
                    Flow::WaitForEnds => {
                        session.record_request(used);
                        Ran::Waits(used, Waiting::ForEnds)
                    }
                    Flow::WaitForMove => Ran::Waits(used, Waiting::ForMove),
                    Flow::WaitForSurvey => Ran::Waits(used, Waiting::ForSurvey),
                    #[cfg(feature = "lua")]
                    Flow::WaitForScript => Ran::Waits(used, Waiting::ForScript),
                }
            }
            Err(error) => {
                session.refuse(error, context);
                Ran::Done(bytes.len())
            }
        };
        decoder.reset();
        ran
    }

    /// Closes the client if its request exceeds `maxmemory-clients`. Returns whether it did.
    fn is_too_big(&self, session: &Session, bytes: usize, context: &mut Context) -> bool {
        if bytes < EVICTED_BYTES_MIN {
            return false;
        }
        // The bytes kept from earlier reads are part of the request.
        let before = self.info.counts.input_bytes.swap(bytes, Ordering::Relaxed);
        self.info.counts.announced_bytes.store(0, Ordering::Relaxed);
        let is_too_big = session.evict(context);
        self.info.counts.input_bytes.store(before, Ordering::Relaxed);
        is_too_big
    }

    fn wait(&self, waiting: Waiting) {
        // Other clients can end a wait for time only.
        let is_blocked = matches!(waiting, Waiting::ForTime(..));
        self.info.blocked.store(is_blocked, Ordering::Relaxed);
        let is_paused = matches!(waiting, Waiting::Paused(_));
        self.info.paused.store(is_paused, Ordering::Relaxed);
        self.session.borrow().server.clients.count_states(&self.info);
        *self.waiting.borrow_mut() = Some(waiting);
    }

    fn write_queued(&self, pool: &mut Pool) -> io::Result<()> {
        let mut stream = self.stream.borrow_mut();
        let mut outbox = self.output.outbox();
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let filled = outbox.slices(&mut slices);
            let offered: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
            match stream.try_write(&slices[..filled]) {
                Ok(written) => {
                    outbox.advance(written, pool);
                    if written < offered {
                        self.blocked.set(true);
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked.set(true);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Scratch {
    pub(crate) fn new(lookup: Lookup) -> Self {
        Self { bytes: vec![0; READ_BYTES_MAX].into(), decoder: Decoder::default(), lookup }
    }
}
