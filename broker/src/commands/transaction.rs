//! `MULTI`, `EXEC` and `DISCARD`.
//!
//! `EXEC` holds the order while its requests run, so no message of another client comes between
//! theirs. If one of them runs a script, the transaction stops the world instead. A transaction that
//! has begun runs to its end, even if its client disconnects.

use std::collections::VecDeque;

use super::Answer;
use super::errors::{BUSY, CommandError, discarded_because};
use super::execute::{Flow, end_command, fail, run_held, show, show_held};
use super::lookup::spec;
use super::permissions::{NO_CHANNEL, NO_KEY, check_permission};
use super::spec::{Flag, Outcome, Run, Spec};
use super::user_limits::{self, Moment};
use crate::ids::CommandId;
use crate::observe::disconnect::Disconnect;
use crate::protocol::reply::{self, Reply};
use crate::protocol::request::{OwnedRequest, Request};
use crate::pubsub::order::OrderGuard;
use crate::pubsub::script_barrier::Turn;
use crate::session::Session;
use crate::session::context::Context;
#[cfg(feature = "lua")]
use crate::session::transaction::Executing;
use crate::session::transaction::Transaction;

impl Session {
    /// Queues a request for `EXEC`.
    pub(super) fn queue(&mut self, spec: &Spec, request: Request<'_>, context: &mut Context) {
        let bytes_max = context.config.client_query_buffer_limit;
        let may_grow = spec.has(Flag::Denyoom) || self.script_may_grow(spec, request);
        let has_writes = self.pauses_with_writes(spec, request);
        if let Some(transaction) = &mut self.transaction {
            transaction.has_writes |= has_writes;
            transaction.may_grow |= may_grow;
            let request = request.to_owned();
            transaction.bytes += request.bytes();
            transaction.queued.push((spec.id, request));
            if transaction.bytes > bytes_max {
                let queue = context.flush_queue();
                return queue.disconnect(&self.output, Disconnect::RequestTooBig);
            }
        }
        self.record_transaction();
        self.reply(context, &Reply::Simple("QUEUED".into()));
    }

    /// `MULTI`
    pub(super) fn multi(&mut self) -> Answer {
        if self.transaction.is_some() {
            return Err(b"ERR MULTI calls can not be nested".to_vec());
        }
        self.transaction = Some(Box::default());
        self.record_transaction();
        Ok(Reply::ok())
    }

    /// `DISCARD` without the order. Returns `None` if the client watches keys.
    pub(super) fn discard_without_order(&mut self) -> Option<Outcome> {
        match (&self.transaction, &self.watch) {
            (None, _) => Some(Err(b"ERR DISCARD without MULTI".to_vec()).into()),
            (Some(_), None) => Some(self.discarded().into()),
            (Some(_), Some(_)) => None,
        }
    }

    /// `DISCARD`
    pub(super) fn discard(&mut self, order: &mut OrderGuard<'_>) -> Reply {
        self.unwatch(order);
        self.discarded()
    }

    fn discarded(&mut self) -> Reply {
        self.transaction = None;
        self.record_transaction();
        Reply::ok()
    }

    /// Returns whether `maxmemory` forbids to run or to queue a command.
    pub(super) fn lacks_memory(&self, spec: &Spec, context: &Context) -> bool {
        let maximum = context.config.maxmemory;
        let may_grow = match (&spec.run, &self.transaction) {
            (Run::Exec, Some(transaction)) => transaction.may_grow,
            _ if matches!(spec.name, "discard" | "exec" | "quit" | "reset") => false,
            // A queued request needs memory as well.
            (_, Some(_)) => true,
            (_, None) => spec.has(Flag::Denyoom),
        };
        maximum != 0 && may_grow && self.server.used_bytes() > maximum && self.master.is_none()
    }
}

/// `EXEC`
pub(super) fn exec(
    session: &mut Session,
    context: &mut Context,
    turn: &mut Turn<'_>,
    exec: &'static Spec,
    request: Request<'_>,
) -> Flow {
    let Some(transaction) = session.transaction.take() else {
        fail(session, context, exec, b"ERR EXEC without MULTI".to_vec());
        show(session, context, turn, exec, request);
        return Flow::Continue;
    };
    session.record_transaction();
    let runs_script = transaction.queued.iter().any(|(id, _)| spec(*id).runs_script());
    let flow = match runs_script && !transaction.has_failed() {
        false => exec_under_lock(session, context, turn, exec, request, *transaction),
        #[cfg(feature = "lua")]
        true => exec_with_scripts(session, context, turn, exec, request, *transaction),
        #[cfg(not(feature = "lua"))]
        true => exec_under_lock(session, context, turn, exec, request, *transaction),
    };
    session.end_caching(exec);
    flow
}

fn exec_under_lock(
    session: &mut Session,
    context: &mut Context,
    turn: &mut Turn<'_>,
    exec: &'static Spec,
    request: Request<'_>,
    transaction: Transaction,
) -> Flow {
    let Some(mut lock) = turn.lock() else {
        // Not reached: `check` has refused `EXEC` in a turn without a permit.
        return busy(session, context, turn, exec);
    };
    let mut order = lock.guard();
    if session.is_outdated() {
        return Flow::Continue;
    }
    if let Some(queued) = begin(session, context, &mut order, exec, transaction) {
        let defers = begin_reply(session, context, queued.len());
        for (id, request) in queued {
            run_queued(session, context, &mut order, spec(id), request.borrow());
        }
        end(session, context, &mut order, defers);
    }
    show_held(session, context, &mut order, exec, request);
    Flow::Continue
}

/// Checks a transaction and returns its requests. Returns `None` after a reply with an error or nil.
fn begin(
    session: &mut Session,
    context: &mut Context,
    order: &mut OrderGuard<'_>,
    exec: &'static Spec,
    transaction: Transaction,
) -> Option<VecDeque<(CommandId, OwnedRequest)>> {
    order.catch_up(&mut context.local);
    let has_changed = session.has_watched_change(order);
    session.unwatch(order);
    if transaction.has_failed() {
        let error = b"EXECABORT Transaction discarded because of previous errors.";
        fail(session, context, exec, error.to_vec());
        return None;
    }
    if has_changed {
        session.reply(context, &Reply::NullArray);
        return None;
    }
    Some(transaction.queued.into())
}

/// Begins the reply. Returns whether messages of the client to itself wait until its end.
fn begin_reply(session: &mut Session, context: &mut Context, count: usize) -> bool {
    let limit = session.output_limit(&context.config);
    context.flush_queue().reply(&session.output, limit, |out| reply::array_header(out, count));
    session.runs_transaction = true;
    // A message must not stand inside a reply, also if the transaction subscribes with RESP2.
    context.flush_queue().begin_deferring(&session.output)
}

/// Runs one queued request, or queues the reason why it must not run.
fn run_queued(
    session: &mut Session,
    context: &mut Context,
    order: &mut OrderGuard<'_>,
    spec: &'static Spec,
    request: Request<'_>,
) {
    if let Some(error) = refusal(session, context, spec, request) {
        return session.reply_error(context, error);
    }
    run_held(session, context, order, spec, request);
}

/// Returns why a queued request must not run.
fn refusal(
    session: &Session,
    context: &Context,
    spec: &'static Spec,
    request: Request<'_>,
) -> Option<CommandError> {
    // Permissions may have changed after `QUEUED`.
    if let Err(error) = check_permission(session, context, spec, request, true) {
        return Some(no_longer(&error));
    }
    let config = &context.config;
    if let Err(error) = user_limits::check(session, config, spec, request, Moment::Run) {
        return Some(error);
    }
    spec.has(Flag::NotInExec).then(|| match spec.name {
        "monitor" => b"ERR MONITOR isn't allowed for DENY BLOCKING client".to_vec(),
        _ => b"ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client".to_vec(),
    })
}

fn end(session: &mut Session, context: &mut Context, order: &mut OrderGuard<'_>, defers: bool) {
    end_command(context, order);
    session.runs_transaction = false;
    if defers {
        context.flush_queue().end_deferring(&session.output);
    }
}

/// Discards a transaction because of a late script.
fn busy(
    session: &mut Session,
    context: &mut Context,
    turn: &mut Turn<'_>,
    exec: &'static Spec,
) -> Flow {
    session.stop_watching(context, turn);
    fail(session, context, exec, discarded_because(BUSY));
    Flow::Continue
}

#[cfg(feature = "lua")]
fn exec_with_scripts(
    session: &mut Session,
    context: &mut Context,
    turn: &mut Turn<'_>,
    exec: &'static Spec,
    request: Request<'_>,
    transaction: Transaction,
) -> Flow {
    session.flush_stats(context);
    let threshold = context.config.busy_reply_threshold;
    let Ok(mut world) = turn.stop_the_world(&mut context.local, threshold) else {
        return busy(session, context, turn, exec);
    };
    match begin(session, context, &mut world.guard(), exec, transaction) {
        Some(left) => {
            let defers = begin_reply(session, context, left.len());
            let (world, exec) = (Some(world), (exec.id, request.to_owned()));
            session.executing = Some(Box::new(Executing { exec, left, defers, world }));
            go_on(session, context, turn)
        }
        None => {
            show_held(session, context, &mut world.guard(), exec, request);
            turn.resume(world);
            Flow::Continue
        }
    }
}

/// Runs the rest of a transaction with scripts. Stops at a script that is late.
#[cfg(feature = "lua")]
pub(super) fn go_on(session: &mut Session, context: &mut Context, turn: &mut Turn<'_>) -> Flow {
    while let Some(executing) = &mut session.executing {
        let Some((id, request)) = executing.left.pop_front() else { break };
        let Some(mut world) = executing.world.take() else {
            unreachable!("a transaction with scripts has the stopped world between two requests");
        };
        let (spec, request) = (spec(id), request.borrow());
        let Run::Script(call) = spec.run else {
            run_queued(session, context, &mut world.guard(), spec, request);
            keep(session, world);
            continue;
        };
        match refusal(session, context, spec, request) {
            Some(error) => session.reply_error(context, error),
            None => match session.eval_in_world(context, world, call, spec, request) {
                Some(ended) => {
                    keep(session, ended);
                    continue;
                }
                None => return Flow::WaitForScript,
            },
        }
        keep(session, world);
    }
    if let Some(executing) = session.executing.take()
        && let Some(mut world) = executing.world
    {
        end(session, context, &mut world.guard(), executing.defers);
        let (id, request) = executing.exec;
        show_held(session, context, &mut world.guard(), spec(id), request.borrow());
        turn.resume(world);
        context.local.deliver_taken();
    }
    Flow::Continue
}

/// Stores the stopped world until the next request of the transaction.
#[cfg(feature = "lua")]
pub(super) fn keep(session: &mut Session, world: crate::pubsub::script_barrier::StopTheWorld) {
    if let Some(executing) = &mut session.executing {
        executing.world = Some(world);
    }
}

/// Returns Redis' error for a request that lost its permission after `QUEUED`.
fn no_longer(error: &[u8]) -> Vec<u8> {
    let reason: &[u8] = match error {
        error if error.ends_with(NO_KEY) => b"no permission to touch the specified keys",
        error if error.ends_with(NO_CHANNEL) => {
            b"no permission to access one of the channels used as arguments"
        }
        _ => b"no permission to execute the command or subcommand",
    };
    let start =
        b"NOPERM ACLs rules changed between the moment the transaction was accumulated and \
        the EXEC call. This command is no longer allowed for the following reason: ";
    [&start[..], reason].concat()
}
