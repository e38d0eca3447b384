//! `EVAL` and its family, and `SCRIPT`.
//!
//! The scripts of SignalR 2 run right here; all others in Lua, on a stack of their own, so that one
//! that takes too long can be put aside.

use std::sync::Arc;

use super::{counters, server, strings};
use crate::commands::{Command, Entry};
use crate::keyspace::Keys;
use crate::protocol::reply::{self, Reply};
use crate::protocol::request::{self, OwnedRequest, Request};
use crate::pubsub::subscribers::Context;
use crate::script::cache::Script;
use crate::script::flags::Flags;
use crate::script::native::Native;
use crate::script::sha::Sha;
use crate::session::{Answer, CommandError, Flow, NOT_AN_INTEGER, OUT_OF_MEMORY, Session};

/// Redis' words for a script that has been running for too long.
pub(crate) const BUSY: &[u8] = b"BUSY Redis is busy running a script. You can only call SCRIPT \
KILL or SHUTDOWN NOSAVE.";
const NO_SCRIPT: &[u8] = b"NOSCRIPT No matching script. Please use EVAL.";
#[cfg(not(feature = "lua"))]
const NO_LUA: &[u8] =
    b"ERR this broker was built without Lua and runs the scripts of SignalR 2 only";

/// The digits of the highest number, and a sign.
const ID_BYTES_MAX: usize = 20;

/// A script that was asked for.
pub(crate) struct Asked {
    script: Arc<Script>,
    /// How many of the arguments are keys.
    keys: usize,
    is_read_only: bool,
    /// Whether keys take too much already.
    lacks_memory: bool,
}

impl Session {
    /// `EVAL script numkeys [key [key ...]] [arg [arg ...]]`, with a name in place of the script
    /// for `EVALSHA`, and without writing for `EVAL_RO` and `EVALSHA_RO`
    pub(crate) fn eval(
        &mut self,
        entry: Entry,
        request: Request<'_>,
        context: &mut Context,
    ) -> Flow {
        if self.server.has_monitors() {
            // Before the commands of the script.
            self.show_to_monitors(entry, request, context);
        }
        let asked = match self.asked(entry, request, context) {
            Ok(asked) => asked,
            Err(error) => {
                self.fail(entry, context, error);
                return Flow::Continue;
            }
        };
        if let Some(native) = asked.script.native
            && !asked.is_read_only
            && !asked.lacks_memory
            && self.run_native(native, &asked, entry, request, context)
        {
            return Flow::Continue;
        }
        self.run_in_lua(entry, &asked, request, context)
    }

    /// Finds the script, or takes it in.
    fn asked(
        &self,
        entry: Entry,
        request: Request<'_>,
        context: &Context,
    ) -> Result<Asked, CommandError> {
        let (by_name, is_read_only) = match entry.spec.command {
            Command::EvalSha => (true, false),
            Command::EvalShaRo => (true, true),
            Command::EvalRo => (false, true),
            _ => (false, false),
        };
        let name = request.argument(1);
        let sha = Sha::read(name);
        if by_name && sha.is_none() {
            return Err(NO_SCRIPT.to_vec());
        }
        let keys = request::integer(request.argument(2)).ok_or(NOT_AN_INTEGER)?;
        let given = i64::try_from(request.len() - 3).unwrap_or(i64::MAX);
        if keys > given {
            return Err(b"ERR Number of keys can't be greater than number of args".to_vec());
        }
        let keys =
            usize::try_from(keys).map_err(|_| b"ERR Number of keys can't be negative".to_vec())?;
        let script = match sha.filter(|_| by_name) {
            Some(sha) => self.server.scripts.find(sha).ok_or(NO_SCRIPT)?,
            None => self.load(name, context)?,
        };
        let flags = script.flags;
        let maximum = context.config.maxmemory;
        let lacks_memory = maximum > 0 && self.server.used_bytes() > maximum;
        if lacks_memory && flags.needs_memory() {
            return Err(OUT_OF_MEMORY.to_vec());
        }
        if flags.declared && !flags.no_writes && is_read_only {
            let error = b"ERR Can not execute a script with write flag using *_ro command.";
            return Err(error.to_vec());
        }
        let is_read_only = is_read_only || (flags.declared && flags.no_writes);
        Ok(Asked { script, keys, is_read_only, lacks_memory })
    }

    /// Whether a request runs a script that says it may add to the keys.
    pub(crate) fn script_may_grow(&self, entry: Entry, request: Request<'_>) -> bool {
        self.script_flags(entry, request).is_some_and(Flags::needs_memory)
    }

    /// Whether a request waits while writes are paused: a script that says it does not write may run.
    pub(crate) fn pauses_with_writes(&self, entry: Entry, request: Request<'_>) -> bool {
        entry.pauses_with_writes
            && !self.script_flags(entry, request).is_some_and(|flags| flags.no_writes)
    }

    /// Returns what the script of a request says of itself.
    fn script_flags(&self, entry: Entry, request: Request<'_>) -> Option<Flags> {
        if !entry.runs_script || !entry.spec.accepts(request.len()) {
            return None;
        }
        let name = request.argument(1);
        match entry.spec.command {
            Command::Eval | Command::EvalRo => Flags::read(name).ok().map(|(flags, _)| flags),
            Command::EvalSha | Command::EvalShaRo => {
                let script = Sha::read(name).and_then(|sha| self.server.scripts.find(sha));
                script.map(|script| script.flags)
            }
            _ => None,
        }
    }

    /// Takes a script in, unless it is known.
    fn load(&self, text: &[u8], context: &Context) -> Result<Arc<Script>, CommandError> {
        if let Some(script) = self.server.scripts.find_text(text) {
            return Ok(script);
        }
        let script = Arc::new(Script::new(text)?);
        #[cfg(feature = "lua")]
        if script.native.is_none() {
            context.engine.compile(&self.server, script.clone())?;
        }
        #[cfg(not(feature = "lua"))]
        if script.native.is_none() {
            let _ = context;
            return Err(NO_LUA.to_vec());
        }
        self.server.scripts.add(script.clone());
        Ok(script)
    }

    /// `SCRIPT LOAD script`
    pub(crate) fn script_load(&self, request: Request<'_>, context: &Context) -> Answer {
        self.load(request.argument(2), context).map(|script| Reply::bulk(script.sha.as_bytes()))
    }

    /// `SCRIPT EXISTS sha1 [sha1 ...]`
    pub(crate) fn script_exists(&self, request: Request<'_>) -> Reply {
        let exists = |name| {
            let found = Sha::read(name).and_then(|sha| self.server.scripts.find(sha));
            Reply::Integer(found.is_some().into())
        };
        Reply::Array(request.arguments_from(2).map(exists).collect())
    }

    /// `SCRIPT FLUSH [ASYNC | SYNC]` and `FUNCTION FLUSH [ASYNC | SYNC]`
    pub(crate) fn script_flush(&self, request: Request<'_>, context: &Context) -> Answer {
        server::check_flush(request)?;
        if request.argument(0).eq_ignore_ascii_case(b"script") {
            self.server.scripts.flush();
            // Other workers do so when they run a script.
            #[cfg(feature = "lua")]
            context.engine.reset();
            #[cfg(not(feature = "lua"))]
            let _ = context;
        }
        Ok(Reply::ok())
    }

    /// `SCRIPT KILL`
    pub(crate) fn script_kill(&self) -> Answer {
        match self.server.broker.running_script() {
            None => Err(b"NOTBUSY No scripts in execution right now.".to_vec()),
            Some(run) if run.has_written() => {
                Err(b"UNKILLABLE Sorry the script already executed write commands against the \
                    dataset. You can either wait the script termination or kill the server in a \
                    hard way using the SHUTDOWN NOSAVE command."
                    .to_vec())
            }
            Some(run) => {
                run.kill();
                Ok(Reply::ok())
            }
        }
    }

    /// Runs a script of SignalR 2, and returns whether that could be done.
    fn run_native(
        &mut self,
        native: Native,
        asked: &Asked,
        entry: Entry,
        request: Request<'_>,
        context: &mut Context,
    ) -> bool {
        if asked.keys == 0 || request.len() < asked.keys + 4 {
            return false;
        }
        // Whoever may not do everything, or is watched, is served by the book.
        let by_the_book = !self.user.may_do_everything() || self.server.has_monitors();
        if by_the_book && cfg!(feature = "lua") {
            return false;
        }
        let (key, argument) = (request.argument(3), request.argument(3 + asked.keys));
        let defers = self.begin_answer();
        let done = match native {
            Native::Send | Native::SendOnly => {
                Some(self.native_send(native, key, argument, context))
            }
            _ => self.native_restore(native, key, argument, context),
        };
        let is_done = done.is_some();
        if let Some(Err(error)) = done {
            self.server.commands.of(entry.number).failed.add(1);
            self.server.commands.add_error(&error);
            let sha = asked.script.sha;
            let place = [b" script: ", sha.as_bytes(), b", on @user_script:1."].concat();
            self.reply(context, &Reply::Error([error, place].concat()));
        }
        if defers {
            context.flush_queue().end_deferring(&self.output);
        }
        is_done
    }

    /// Counts, publishes, and answers.
    fn native_send(
        &mut self,
        native: Native,
        key: &[u8],
        message: &[u8],
        context: &mut Context,
    ) -> Result<(), CommandError> {
        let broker = self.server.broker.clone();
        let mut id = itoa::Buffer::new();
        let mut payload = Vec::with_capacity(message.len() + ID_BYTES_MAX + 1);
        let mut digits = "";
        let receivers = broker.publish_counted(context, self.view(), key, |number| {
            digits = id.format(number);
            payload.extend_from_slice(digits.as_bytes());
            payload.push(b' ');
            payload.extend_from_slice(message);
            &payload
        });
        let receivers = receivers.map_err(counters::words)?;
        let limit = self.output_limit(&context.config);
        context.flush_queue().reply(&self.output, limit, |out| match native {
            Native::Send => {
                reply::array_header(out, 3);
                out.push(b':');
                out.extend_from_slice(digits.as_bytes());
                out.extend_from_slice(b"\r\n");
                reply::bulk(out, message);
                reply::bulk(out, &payload);
            }
            _ => reply::integer(out, receivers),
        });
        Ok(())
    }

    /// Raises the count; nothing where only Lua knows what would happen.
    fn native_restore(
        &mut self,
        native: Native,
        key: &[u8],
        seen: &[u8],
        context: &mut Context,
    ) -> Option<Result<(), CommandError>> {
        let broker = self.server.broker.clone();
        let holds = context.held.is_none();
        if holds {
            broker.hold(context);
        }
        let done = self.restored(native, key, seen, context);
        if holds {
            broker.release(context);
        }
        Some(done?.map(|reply| self.reply(context, &reply)))
    }

    fn restored(
        &mut self,
        native: Native,
        key: &[u8],
        seen: &[u8],
        context: &mut Context,
    ) -> Option<Answer> {
        let count = match self.native_on_keys(strings::get, &[b"GET", key], context) {
            Ok(Reply::Null) => None,
            Ok(Reply::Bulk(count)) => Some(count),
            Ok(Reply::Shared(bytes)) => Some(shared_bulk(&bytes)?),
            _ => return None,
        };
        let is_lower = match (native, count) {
            (Native::RestoreExisting, None) => return None,
            (_, None) => true,
            (Native::Restore, Some(count)) => number(&count)? < number(seen)?,
            (_, Some(count)) => count.as_slice() < seen,
        };
        if native == Native::Restore {
            number(seen)?;
        }
        if !is_lower {
            return Some(Ok(Reply::Null));
        }
        Some(self.native_on_keys(strings::set, &[b"SET", key, seen], context))
    }

    fn native_on_keys(
        &mut self,
        run: fn(&mut Keys<'_>, Request<'_>) -> Answer,
        arguments: &[&[u8]],
        context: &mut Context,
    ) -> Answer {
        let request: OwnedRequest = arguments.iter().collect();
        self.on_keys(run, request.borrow(), context)
    }
}

/// Reads a count as Lua does; nothing if it is not plainly one.
fn number(text: &[u8]) -> Option<f64> {
    let is_plain = (1..=20).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    is_plain.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// Takes the text out of a bulk string.
fn shared_bulk(bytes: &[u8]) -> Option<Vec<u8>> {
    let start = memchr::memchr(b'\n', bytes)? + 1;
    bytes.get(start..bytes.len().checked_sub(2)?).map(<[u8]>::to_vec)
}

#[cfg(not(feature = "lua"))]
impl Session {
    fn run_in_lua(
        &mut self,
        entry: Entry,
        _: &Asked,
        _: Request<'_>,
        context: &mut Context,
    ) -> Flow {
        self.fail(entry, context, NO_LUA.to_vec());
        Flow::Continue
    }
}

#[cfg(feature = "lua")]
pub(crate) use self::waiting::Pending;

#[cfg(feature = "lua")]
mod waiting {
    //! A script in Lua, and a client that waits for it.

    use std::rc::Rc;
    use std::sync::atomic::Ordering;

    use tracing::warn;

    use super::{Asked, BUSY};
    use crate::commands::Entry;
    use crate::protocol::request::Request;
    use crate::pubsub::subscribers::{Context, Effect};
    use crate::script::engine::{Outcome, ScriptJob, Slot};
    use crate::script::lua::Given;
    use crate::session::{Caller, Flow, Session};

    /// A script that takes long.
    #[derive(Debug)]
    pub(crate) struct Pending {
        slot: Rc<Slot>,
        entry: Entry,
        /// Whether what the client is told of its own changes waits for the end.
        defers: bool,
    }

    impl Session {
        pub(crate) fn run_in_lua(
            &mut self,
            entry: Entry,
            asked: &Asked,
            request: Request<'_>,
            context: &mut Context,
        ) -> Flow {
            self.settle_counts(context);
            let broker = self.server.broker.clone();
            if !context.is_exclusive() {
                // What happened before is everybody's before the script begins.
                if let Err(error) = context.engine.start(&self.server) {
                    self.fail(entry, context, error);
                    return Flow::Continue;
                }
                if broker.exclude(context).is_err() {
                    self.fail(entry, context, BUSY.to_vec());
                    return Flow::Continue;
                }
            }
            let Some(exclusive) = context.hand_over() else {
                unreachable!("a script runs with the order, and nothing else does");
            };
            let run = exclusive.run.clone();
            let slot = Rc::new(Slot::default());
            let mut all = request.arguments_from(3).map(<[u8]>::to_vec);
            let keys = all.by_ref().take(asked.keys).collect();
            let job = ScriptJob {
                script: asked.script.clone(),
                given: Given { keys, arguments: all.collect() },
                caller: Caller {
                    user: self.user.clone(),
                    info: self.info.clone(),
                    database: self.info.counts.database.load(Ordering::Relaxed),
                    caches_what_it_reads: self.caches_what_it_reads(),
                    is_read_only: asked.is_read_only,
                    lacks_memory: asked.lacks_memory && !asked.script.flags.allow_oom,
                },
                protocol: self.output.protocol.get(),
                exclusive,
                slot: slot.clone(),
                info: self.info.clone(),
            };
            let defers = self.begin_answer();
            let engine = context.engine.clone();
            engine.run(job);
            let outcome = slot.take();
            if let Some(outcome) = outcome {
                self.end_script(entry, outcome, defers, context);
                return Flow::Continue;
            }
            let millis = run.elapsed().as_millis();
            let sha = asked.script.sha;
            warn!(
                "slow script detected: still in execution after {millis} milliseconds; it can be \
                 ended with SCRIPT KILL; its name is {sha:?}"
            );
            context.entrance.is_busy = true;
            context.effects.push(Effect::ResumeScript);
            self.script = Some(Box::new(Pending { slot, entry, defers }));
            Flow::WaitForScript
        }

        /// Whether the script that the client waits for has ended.
        pub(crate) fn is_script_done(&self) -> bool {
            self.script.as_ref().is_none_or(|pending| pending.slot.borrow().is_some())
        }

        /// Goes on after [`Flow::WaitForScript`].
        pub(crate) fn resume_after_script(&mut self, context: &mut Context) -> Flow {
            let Some(pending) = self.script.take() else { return Flow::Continue };
            if let Some(outcome) = pending.slot.take() {
                self.end_script(pending.entry, outcome, pending.defers, context);
            }
            self.go_on_with_transaction(context)
        }

        /// Leaves a script to itself, since the client is gone.
        pub(crate) fn abandon_script(&mut self) {
            self.script = None;
        }

        fn end_script(
            &mut self,
            entry: Entry,
            outcome: Outcome,
            defers: bool,
            context: &mut Context,
        ) {
            let Outcome { answered, effects, exclusive } = outcome;
            let broker = self.server.broker.clone();
            context.effects.extend(effects);
            context.take_over(exclusive);
            // What the script published comes before its reply.
            broker.catch_up(context);
            if !self.is_executing() {
                broker.include(context);
            }
            if answered.has_failed {
                self.server.commands.of(entry.number).failed.add(1);
            }
            if let Some(error) = &answered.error {
                self.server.commands.add_error(error);
            }
            let limit = self.output_limit(&context.config);
            let reply = &answered.reply;
            context.flush_queue().reply(&self.output, limit, |out| out.extend_from_slice(reply));
            if defers {
                context.flush_queue().end_deferring(&self.output);
            }
        }
    }
}
