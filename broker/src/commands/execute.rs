//! Executes requests: holds them back during a pause, checks them, queues them after `MULTI`, runs
//! them and records statistics.
//!
//! The checks have Redis' order: existence, number of arguments, login, `MULTI`, permissions, memory,
//! subscriptions, a late script.
//!
//! Only this file, `script` and `transaction` acquire the order for a request: through the turn that
//! the worker passes in.

use std::time::{Duration, Instant};

use super::errors::{
    BUSY, CommandError, LOST_COUNTERS, MASTER_DOWN, NO_REPLICAS, OUT_OF_MEMORY, READ_ONLY,
    discarded_because, not_while_subscribed, unknown_command, unknown_subcommand,
    wrong_number_of_arguments,
};
use super::lookup::{Found, Parsed};
use super::permissions::check_permission;
use super::spec::{Awaited, Early, Flag, Outcome, Run, Spec};
use super::user_limits::Moment;
use super::{Answer, debug, monitor, transaction, user_limits};
use crate::config::Config;
use crate::keyspace::Keys;
use crate::observe::disconnect::Disconnect;
use crate::protocol::Protocol;
use crate::protocol::reply::{self, Reply};
use crate::protocol::request::Request;
use crate::pubsub::Fanout;
use crate::pubsub::message::{ChannelKind, Content};
use crate::pubsub::order::{OrderGuard, OrderLock};
use crate::pubsub::script_barrier::Turn;
use crate::session::Session;
use crate::session::context::Context;

/// The next step of a connection after a request.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Runs the next request.
    Continue,
    /// Keeps the request until this instant (`CLIENT PAUSE`).
    Paused(Instant),
    /// Keeps the request until the late script ends.
    WaitForOrder,
    /// Waits this long, then calls [`end_wait`].
    Wait(Duration, Awaited),
    /// Waits until the server has moved to other addresses, then calls `end_move`.
    WaitForMove,
    /// Waits until the clients of a `CLIENT KILL` are gone, then calls `end_kill`.
    WaitForEnds,
    /// Waits until all workers have answered, then calls `reply_after_survey`.
    WaitForSurvey,
    /// Waits until the client's script ends, then calls `resume_after_script`.
    #[cfg(feature = "lua")]
    WaitForScript,
}

/// Below this `slowlog-log-slower-than`, all calls of frequent commands are timed, else a sample.
const UNTIMED_MICROS: i64 = 10_000;

/// Runs one request, and queues its reply.
pub(crate) fn execute(
    session: &mut Session,
    context: &mut Context,
    turn: &mut Turn<'_>,
    parsed: Parsed<'_>,
) -> Flow {
    if session.master.is_some() {
        if session.is_outdated() {
            context.flush_queue().disconnect(&session.output, Disconnect::Killed);
            return Flow::Continue;
        }
        if turn.is_busy() {
            // As in Redis, the stream waits until a late script ends.
            return Flow::WaitForOrder;
        }
    }
    if session.is_paused()
        && let Some(until) = paused_until(session, parsed)
    {
        return Flow::Paused(until);
    }
    if !session.refresh_user(context) {
        return Flow::Continue;
    }
    let flow = match permitted(session, context, turn.is_busy(), parsed) {
        Ok(spec) if session.transaction.is_some() && !spec.has(Flag::NeverQueued) => {
            session.queue(spec, parsed.request, context);
            Flow::Continue
        }
        Ok(spec) => run(session, context, turn, spec, parsed.request),
        Err(error) => {
            reject(session, context, turn, parsed, error);
            session.end_caching_after(parsed.found.command());
            Flow::Continue
        }
    };
    // A request that waits ends with its reply.
    if flow == Flow::Continue {
        session.end_request();
    }
    flow
}

/// Ends [`Flow::Wait`].
pub(crate) fn end_wait(
    session: &Session,
    context: &mut Context,
    awaited: Awaited,
    with_error: bool,
) {
    let reply = match with_error {
        true => Reply::error("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
        false => session.reached(awaited),
    };
    session.reply(context, &reply);
}

/// Returns the end of the pause that holds back a request. Requests that would be refused are not
/// held back.
fn paused_until(session: &Session, Parsed { found, request }: Parsed<'_>) -> Option<Instant> {
    let spec = found.command();
    let is_write = spec.is_some_and(|spec| match (&spec.run, &session.transaction) {
        (Run::Exec, Some(transaction)) => transaction.has_writes(),
        _ => session.pauses_with_writes(spec, request),
    });
    let until = session.server.pause.holds_back(is_write)?;
    let is_refused = |spec: &Spec| {
        !spec.accepts(request.len())
            || !spec.has(Flag::NoAuth)
                && (session.must_log_in()
                    || super::permissions::permission(&session.user, spec, request).is_err())
    };
    if spec.is_some_and(is_refused) {
        return None;
    }
    session.info.set_last_command(found.id());
    Some(until)
}

/// Returns the command of a request if it may run now.
fn permitted(
    session: &Session,
    context: &Context,
    is_busy: bool,
    Parsed { found, request }: Parsed<'_>,
) -> Result<&'static Spec, CommandError> {
    session.info.set_last_command(found.id());
    let spec = match found {
        Found::Command(spec) => spec,
        Found::Unknown => return Err(unknown_command(request)),
        Found::UnknownSubcommand(container) => {
            return Err(unknown_subcommand(container, request.argument(1)));
        }
    };
    check(session, context, is_busy, spec, request).inspect_err(|_| {
        session.server.commands.of(spec.id).rejected.add(1);
    })?;
    Ok(spec)
}

fn check(
    session: &Session,
    context: &Context,
    is_busy: bool,
    spec: &'static Spec,
    request: Request<'_>,
) -> Result<(), CommandError> {
    if !spec.accepts(request.len()) {
        return Err(wrong_number_of_arguments(spec));
    }
    if spec.name == "debug" {
        debug::check_allowed(&context.config, &session.info.peer)?;
    }
    if !spec.has(Flag::NoAuth) && session.must_log_in() {
        return Err(b"NOAUTH Authentication required.".to_vec());
    }
    let in_transaction = session.transaction.is_some();
    if in_transaction && spec.has(Flag::NoMulti) {
        return Err(b"ERR Command not allowed inside a transaction".to_vec());
    }
    check_permission(session, context, spec, request, in_transaction)?;
    let moment = if in_transaction { Moment::Queued } else { Moment::Run };
    user_limits::check(session, &context.config, spec, request, moment)?;
    let config = &context.config;
    if (spec.has(Flag::Denyoom) || in_transaction) && session.lacks_memory(spec, context) {
        return Err(OUT_OF_MEMORY.to_vec());
    }
    let is_change = match (&spec.run, &session.transaction) {
        (Run::Exec, Some(transaction)) => transaction.has_writes(),
        _ => spec.has(Flag::Write),
    };
    if is_change {
        session.check_change(config)?;
    }
    if (is_change || spec.has(Flag::Readonly))
        && session.info.is(crate::session::client_info::Flag::Replica)
    {
        return Err(b"ERR Replica can't interact with the keyspace".to_vec());
    }
    if session.output.protocol.get() == Protocol::Resp2
        && session.is_subscribed()
        && !spec.has(Flag::WhileSubscribed)
        && session.master.is_none()
    {
        return Err(not_while_subscribed(spec));
    }
    if !config.replication.serves_stale_data
        && !spec.has(Flag::Stale)
        && session.master.is_none()
        && session.server.replication.lacks_master()
    {
        return Err(MASTER_DOWN.to_vec());
    }
    if is_busy && !spec.has(Flag::AllowBusy) {
        return Err(BUSY.to_vec());
    }
    Ok(())
}

/// Replies with the error of a request that must not run.
fn reject(
    session: &mut Session,
    context: &mut Context,
    turn: &mut Turn<'_>,
    Parsed { found, request }: Parsed<'_>,
    error: CommandError,
) {
    let is = |name: &[u8]| request.argument(0).eq_ignore_ascii_case(name);
    if is(b"host:") || is(b"post") {
        // A web page may make a browser send a form with commands in it.
        tracing::warn!(client.addr = %session.info.peer, "client closed: it sent an HTTP request");
        return context.flush_queue().disconnect(&session.output, Disconnect::Closed);
    }
    if found.command().is_some_and(|spec| matches!(spec.run, Run::Exec)) {
        session.transaction = None;
        session.record_transaction();
        session.stop_watching(context, turn);
        return session.reply_error(context, discarded_because(&error));
    }
    if let Some(transaction) = &mut session.transaction {
        transaction.fail();
    }
    session.reply_error(context, error);
}

/// Runs a command that was not queued.
fn run(
    session: &mut Session,
    context: &mut Context,
    turn: &mut Turn<'_>,
    spec: &'static Spec,
    request: Request<'_>,
) -> Flow {
    let timer = Timer::start(session, context, spec);
    // Whether monitors are still to get the request, since no branch shows it under the order.
    let mut is_to_show = false;
    let flow = match &spec.run {
        Run::Publish(kind) => match turn.lock() {
            Some(mut lock) => {
                let content = content(*kind, request);
                let defers = session.begin_answer(context, &mut lock.guard());
                let publisher = || Some(session.publisher());
                let fanout = lock.guard().publish(&mut context.local, content, publisher);
                lock.guard().end_group(&mut context.local);
                // The order is released here, unless monitors must see the command in its place.
                let kept = is_shown(session, spec).then_some(lock);
                published(session, context, content, fanout);
                if defers {
                    context.flush_queue().end_deferring(&session.output);
                }
                if let Some(mut lock) = kept {
                    monitor::show(session, context, &mut lock.guard(), spec, request);
                }
                Flow::Continue
            }
            None => return Flow::WaitForOrder,
        },
        Run::Keys(run) => match turn.lock() {
            // The server has become a master before this turn got the order.
            Some(_) if session.is_outdated() => return Flow::Continue,
            Some(mut lock) => {
                let mut order = lock.guard();
                session.begin_answer(context, &mut order);
                let answer = on_keys(session, context, &mut order, *run, spec, request);
                end_command(context, &mut order);
                finish_under_lock(session, context, lock, spec, request, answer.into())
            }
            None => return Flow::WaitForOrder,
        },
        Run::Ordered { early, run } => match early_outcome(session, context, *early, request) {
            Some(outcome) => {
                is_to_show = true;
                finish(session, context, spec, request, outcome)
            }
            None => match turn.lock() {
                Some(_) if session.is_outdated() => return Flow::Continue,
                Some(mut lock) => {
                    let mut order = lock.guard();
                    session.begin_answer(context, &mut order);
                    let outcome = run(session, context, &mut order, request);
                    end_command(context, &mut order);
                    finish_under_lock(session, context, lock, spec, request, outcome)
                }
                None => return Flow::WaitForOrder,
            },
        },
        Run::Local(run) => {
            is_to_show = true;
            session.begin_answer_without_order(context);
            let outcome = run(session, context, request).into();
            finish(session, context, spec, request, outcome)
        }
        Run::Control(run) => {
            is_to_show = true;
            let outcome = run(session, context, request);
            finish(session, context, spec, request, outcome)
        }
        Run::Script(call) => session.eval(context, turn, *call, spec, request),
        Run::Exec => transaction::exec(session, context, turn, spec, request),
        Run::Container => unreachable!("a container alone has the wrong number of arguments"),
    };
    let took = timer.stop(session, context, spec, request);
    context.local.tally.nanos += u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    if is_to_show {
        show(session, context, turn, spec, request);
    }
    context.local.deliver_taken();
    flow
}

/// Shows a command that has run without the order to monitors.
pub(super) fn show(
    session: &Session,
    context: &mut Context,
    turn: &mut Turn<'_>,
    spec: &Spec,
    request: Request<'_>,
) {
    if is_shown(session, spec)
        && let Some(mut lock) = turn.lock()
    {
        monitor::show(session, context, &mut lock.guard(), spec, request);
    }
}

/// Runs a command while its caller holds the order, for `EXEC` and for scripts. Queues the reply.
pub(super) fn run_held(
    session: &mut Session,
    context: &mut Context,
    order: &mut OrderGuard<'_>,
    spec: &'static Spec,
    request: Request<'_>,
) {
    let timer = Timer::start(session, context, spec);
    session.mark_unwritten(spec);
    let outcome = match &spec.run {
        Run::Publish(kind) => {
            let content = content(*kind, request);
            let publisher = || Some(session.publisher());
            let fanout = order.publish(&mut context.local, content, publisher);
            published(session, context, content, fanout);
            Outcome::Replied
        }
        Run::Keys(run) => on_keys(session, context, order, *run, spec, request).into(),
        Run::Ordered { early, run } => match early_outcome(session, context, *early, request) {
            Some(outcome) => outcome,
            None => run(session, context, order, request),
        },
        Run::Local(run) => run(session, context, request).into(),
        Run::Control(run) => run(session, context, request),
        Run::Script(call) => session.eval_held(context, order, *call, spec, request),
        Run::Exec | Run::Container => {
            let name = spec.name;
            Outcome::Answered(Err(format!("ERR '{name}' is not allowed here").into_bytes()))
        }
    };
    notify(context, order);
    match answer(session, context, spec, request, outcome) {
        // Within `EXEC` and scripts, a command must not block, as in Redis.
        Flow::Wait(_, awaited) => session.reply(context, &session.reached(awaited)),
        // Refused in transactions, but not in scripts that may run everything.
        Flow::WaitForMove | Flow::WaitForSurvey => {
            let error = format!("ERR '{}' is not allowed here", spec.name);
            session.reply_error(context, error.into_bytes());
        }
        Flow::WaitForEnds => session.reply_after_ends(context),
        _ => {}
    }
    timer.stop(session, context, spec, request);
    show_held(session, context, order, spec, request);
}

/// Shows a command to monitors while the caller holds the order.
pub(super) fn show_held(
    session: &Session,
    context: &mut Context,
    order: &mut OrderGuard<'_>,
    spec: &Spec,
    request: Request<'_>,
) {
    if is_shown(session, spec) {
        monitor::show(session, context, order, spec, request);
    }
}

fn early_outcome(
    session: &mut Session,
    context: &mut Context,
    early: Option<Early>,
    request: Request<'_>,
) -> Option<Outcome> {
    early.and_then(|early| early(session, context, request))
}

fn on_keys(
    session: &mut Session,
    context: &Context,
    order: &mut OrderGuard<'_>,
    run: fn(&mut Keys<'_>, Request<'_>) -> Answer,
    spec: &Spec,
    request: Request<'_>,
) -> Answer {
    let mut keys = order.keys(session.view(), &context.config);
    let answer = run(&mut keys, request);
    if session.caches_what_it_reads() && spec.has(Flag::Readonly) {
        let keys_max = context.config.tracking_table_max_keys;
        for key in super::command::keys(spec, request) {
            keys.record_read(key.name, keys_max);
        }
    }
    answer
}

fn content(kind: ChannelKind, request: Request<'_>) -> Content<'_> {
    Content { kind, channel: request.argument(1), payload: request.argument(2), shared: None }
}

/// Delivers a message on this worker, and queues the reply for its publisher.
fn published(session: &Session, context: &mut Context, content: Content<'_>, fanout: Fanout) {
    let receivers = context.local.deliver_own(content, fanout);
    session.caller().counts.messages_in.add(1);
    let limit = session.output_limit(&context.config);
    context.flush_queue().reply(&session.output, limit, |out| reply::integer(out, receivers));
}

/// Ends a command or a transaction, and publishes its notifications.
pub(super) fn end_command(context: &mut Context, order: &mut OrderGuard<'_>) {
    let events = context.config.notify_keyspace_events;
    order.end_command(&mut context.local, events);
}

/// Publishes the notifications so far, within a transaction or a script.
pub(super) fn notify(context: &mut Context, order: &mut OrderGuard<'_>) {
    let events = context.config.notify_keyspace_events;
    order.publish_notifications(&mut context.local, events);
}

/// Queues the reply of a command after the release of the order. With monitors, it is queued
/// before, since they must see the commands in their order, and a monitor gets its own reply before
/// its own line.
fn finish_under_lock(
    session: &mut Session,
    context: &mut Context,
    mut lock: OrderLock<'_>,
    spec: &Spec,
    request: Request<'_>,
    outcome: Outcome,
) -> Flow {
    if !is_shown(session, spec) {
        drop(lock);
        let outcome = match is_kept(session, spec) {
            true => outcome,
            false => Err(LOST_COUNTERS.to_vec()).into(),
        };
        return finish(session, context, spec, request, outcome);
    }
    session.mark_unwritten(spec);
    let flow = finish(session, context, spec, request, outcome);
    monitor::show(session, context, &mut lock.guard(), spec, request);
    flow
}

/// Writes queued changes of counters to their file. Returns whether the file has all numbers that
/// the reply of a command may contain.
fn is_kept(session: &Session, spec: &Spec) -> bool {
    let broker = &session.server.broker;
    match &spec.run {
        _ if spec.has(Flag::Write) => broker.write_counters() && !broker.has_lost_counters(),
        Run::Keys(_) => broker.write_counters(),
        _ => true,
    }
}

/// Queues the reply of a command.
fn finish(
    session: &mut Session,
    context: &mut Context,
    spec: &Spec,
    request: Request<'_>,
    outcome: Outcome,
) -> Flow {
    context.local.deliver_taken();
    let flow = answer(session, context, spec, request, outcome);
    context.flush_queue().end_deferring(&session.output);
    session.end_caching(spec);
    flow
}

/// Queues the reply of a command, unless the client waits for it.
fn answer(
    session: &mut Session,
    context: &mut Context,
    spec: &Spec,
    request: Request<'_>,
    outcome: Outcome,
) -> Flow {
    match outcome {
        Outcome::Replied => {}
        Outcome::Answered(Ok(reply)) => session.reply(context, &reply),
        Outcome::Answered(Err(error)) => fail(session, context, spec, error),
        Outcome::Reported(report, reply) => {
            let reply = reply(session, context, &report, request);
            session.reply(context, &reply);
        }
        // The stream of a master goes on.
        Outcome::Wait(..) if session.master.is_some() => {}
        Outcome::Wait(time, awaited) => return Flow::Wait(time, awaited),
        Outcome::WaitForMove => return Flow::WaitForMove,
        Outcome::WaitForEnds => return Flow::WaitForEnds,
        Outcome::WaitForSurvey => return Flow::WaitForSurvey,
    }
    Flow::Continue
}

/// Queues the error of a command and counts it.
pub(super) fn fail(session: &Session, context: &mut Context, spec: &Spec, error: CommandError) {
    session.server.commands.of(spec.id).failed.add(1);
    session.reply_error(context, error);
}

/// Returns whether to show a command to monitors after its run. `EVAL` is shown before its run.
fn is_shown(session: &Session, spec: &Spec) -> bool {
    session.server.has_monitors() && spec.is_monitored() && !spec.runs_script()
}

/// Measures how long a command takes.
struct Timer {
    start: Option<Instant>,
    /// The number of calls that this one represents.
    calls: u32,
}

impl Timer {
    fn start(session: &Session, context: &mut Context, spec: &Spec) -> Self {
        let is_hot = spec.has(Flag::Hot);
        if !is_hot && !spec.runs_script() {
            session.flush_stats(context);
        }
        let config = &context.config;
        let is_each_timed = !is_hot
            || (0..UNTIMED_MICROS).contains(&config.slowlog_log_slower_than)
            || config.latency_monitor_threshold != 0;
        let calls = match is_each_timed {
            true => Some(1),
            false => context.local.tally.samples(spec.id),
        };
        Self { start: calls.map(|_| Instant::now()), calls: calls.unwrap_or(0) }
    }

    /// Counts the call, and returns the time of the calls that it represents.
    fn stop(
        self,
        session: &Session,
        context: &mut Context,
        spec: &Spec,
        request: Request<'_>,
    ) -> Duration {
        // Counted after the run: as in Redis, `INFO` does not include its own call.
        context.local.tally.commands += 1;
        session.caller().counts.commands.add(1);
        context.local.tally.call(spec.id, &session.server.commands);
        let Some(start) = self.start else { return Duration::ZERO };
        let took = start.elapsed();
        session.record_time(spec, request, took, &context.config);
        let all = took * self.calls;
        context.spent += all;
        all
    }
}

impl Session {
    /// Returns whether nothing forbids changes of keys to anyone.
    #[inline]
    pub(super) fn allows_changes(&self, config: &Config) -> bool {
        config.replication.good_replicas_min == 0
            && !self.server.replication.is_replica()
            && !self.server.broker.has_lost_counters()
    }

    /// Checks whether keys may be changed now, in Redis' order.
    pub(super) fn check_change(&self, config: &Config) -> Result<(), CommandError> {
        if self.allows_changes(config) { Ok(()) } else { self.refusal_of_change(config) }
    }

    #[cold]
    fn refusal_of_change(&self, config: &Config) -> Result<(), CommandError> {
        if self.is_of_master() {
            return Ok(());
        }
        if self.server.broker.has_lost_counters() {
            return Err(LOST_COUNTERS.to_vec());
        }
        let replication = &config.replication;
        let wanted = replication.good_replicas_min;
        let is_master = !self.server.replication.is_replica();
        if wanted > 0
            && is_master
            && self.server.replication.good_replicas(replication.lag_max) < wanted
        {
            return Err(NO_REPLICAS.to_vec());
        }
        if self.is_read_only(config) { Err(READ_ONLY.to_vec()) } else { Ok(()) }
    }

    /// Ends a request whose reply is queued: prepares `CLIENT REPLY` for the next one.
    pub(crate) fn end_request(&mut self) {
        self.silence.after_command(&self.output);
    }

    /// Marks the output if it is to get the reply of a change before that is in the counters file.
    fn mark_unwritten(&self, spec: &Spec) {
        if spec.has(Flag::Write) {
            self.output.is_unwritten.set(true);
        }
    }

    /// Stops watching keys. While a late script holds the order, the worker does it later.
    pub(crate) fn stop_watching(&mut self, context: &mut Context, turn: &mut Turn<'_>) {
        match turn.lock() {
            Some(mut lock) => {
                self.unwatch(&mut lock.guard());
            }
            None => context.cleanup.extend(self.watch.take().map(|watch| *watch)),
        }
        self.record_state_bytes();
    }

    /// Removes the client from the state that all threads share: subscriptions, monitors, watched
    /// keys and tracking.
    pub(crate) fn end(&mut self, context: &mut Context, order: &mut OrderGuard<'_>) {
        self.leave_all(context, order);
        self.stop_monitoring(context, order);
        self.stop_replicating(context, order);
        self.server.replication.forget_waiting(self.info.id);
        self.unwatch(order);
        self.leave_tracking(order);
        end_command(context, order);
    }
}
