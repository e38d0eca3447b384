//! `EVAL` and its family, and `SCRIPT`.
//!
//! The scripts of SignalR 2 and of package `backplane` run natively and need only the order. All others run in Lua, on a stack
//! of their own, so the worker can serve other clients while a script is late.

use std::sync::Arc;

#[cfg(feature = "lua")]
use super::errors::BUSY;
use super::errors::{CommandError, NOT_AN_INTEGER, OUT_OF_MEMORY};
use super::execute::{Flow, end_command, fail, notify};
use super::spec::{Outcome, Spec};
use super::{Answer, counters, monitor, server};
use crate::config::Config;
use crate::keyspace::AccessMode;
use crate::protocol::reply::{self, Reply};
use crate::protocol::request::{self, OwnedRequest, Request};
use crate::pubsub::message::{ChannelKind, Content};
use crate::pubsub::order::OrderGuard;
use crate::pubsub::script_barrier::Turn;
use crate::script::cache::Script;
use crate::script::flags::Flags;
use crate::script::native::Native;
use crate::script::sha::Sha;
use crate::session::Session;
use crate::session::context::Context;

const NO_SCRIPT: &[u8] = b"NOSCRIPT No matching script. Please use EVAL.";
#[cfg(not(feature = "lua"))]
const NO_LUA: &[u8] =
    b"ERR this broker was built without Lua and runs the scripts of SignalR 2 only";

#[cfg(feature = "lua")]
const NOT_HERE: &[u8] = b"ERR This Redis command is not allowed from script";
#[cfg(not(feature = "lua"))]
const NOT_HERE: &[u8] = NO_LUA;

/// The digits of the highest id, and a sign.
const ID_BYTES_MAX: usize = 20;

/// One of the four commands that run a script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScriptCall {
    /// Whether the request has the SHA1 of the script in place of its text.
    by_name: bool,
    is_read_only: bool,
}

impl ScriptCall {
    pub(super) const EVAL: Self = Self { by_name: false, is_read_only: false };
    pub(super) const EVAL_RO: Self = Self { by_name: false, is_read_only: true };
    pub(super) const EVALSHA: Self = Self { by_name: true, is_read_only: false };
    pub(super) const EVALSHA_RO: Self = Self { by_name: true, is_read_only: true };
}

/// A script that is to run.
struct Asked {
    script: Arc<Script>,
    /// The number of keys among the arguments.
    keys: usize,
    is_read_only: bool,
    /// Whether the keys exceed `maxmemory`.
    lacks_memory: bool,
}

impl Session {
    /// `EVAL script numkeys [key [key ...]] [arg [arg ...]]`, `EVALSHA` with the SHA1 of the script,
    /// and their read-only forms `EVAL_RO` and `EVALSHA_RO`
    pub(super) fn eval(
        &mut self,
        context: &mut Context,
        turn: &mut Turn<'_>,
        call: ScriptCall,
        spec: &'static Spec,
        request: Request<'_>,
    ) -> Flow {
        if self.server.has_monitors()
            && let Some(mut lock) = turn.lock()
        {
            // Shown before the commands of the script.
            monitor::show(self, context, &mut lock.guard(), spec, request);
        }
        let asked = match self.asked(call, request, context) {
            Ok(asked) => asked,
            Err(error) => {
                fail(self, context, spec, error);
                return Flow::Continue;
            }
        };
        if let Some(native) = self.native(&asked, request, &context.config) {
            let Some(mut lock) = turn.lock() else { return Flow::WaitForOrder };
            let mut order = lock.guard();
            let is_done = self.run_native(native, &asked, spec, request, context, &mut order);
            end_command(context, &mut order);
            drop(lock);
            if is_done {
                self.end_caching(spec);
                return Flow::Continue;
            }
        }
        self.eval_in_lua(context, turn, asked, spec, request)
    }

    /// Parses a request. Finds its script, or compiles a new one.
    fn asked(
        &self,
        call: ScriptCall,
        request: Request<'_>,
        context: &Context,
    ) -> Result<Asked, CommandError> {
        let ScriptCall { by_name, is_read_only } = call;
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
        if flags.declared && !flags.no_writes && self.is_read_only(&context.config) {
            let error = b"READONLY Can not run script with write flag on readonly replica.";
            return Err(error.to_vec());
        }
        if flags.declared && !flags.no_writes && is_read_only {
            let error = b"ERR Can not execute a script with write flag using *_ro command.";
            return Err(error.to_vec());
        }
        let is_read_only = is_read_only || (flags.declared && flags.no_writes);
        Ok(Asked { script, keys, is_read_only, lacks_memory })
    }

    /// Returns whether a request runs a script with flags that permit it to add to the keys.
    pub(crate) fn script_may_grow(&self, spec: &Spec, request: Request<'_>) -> bool {
        self.script_flags(spec, request).is_some_and(Flags::needs_memory)
    }

    /// Returns whether a request waits while writes are paused. A script with `no-writes` does not.
    pub(crate) fn pauses_with_writes(&self, spec: &Spec, request: Request<'_>) -> bool {
        spec.pauses_with_writes()
            && !self.script_flags(spec, request).is_some_and(|flags| flags.no_writes)
    }

    /// Returns the flags of the script of a request, if it runs one.
    fn script_flags(&self, spec: &Spec, request: Request<'_>) -> Option<Flags> {
        let super::spec::Run::Script(call) = spec.run else { return None };
        if !spec.accepts(request.len()) {
            return None;
        }
        let name = request.argument(1);
        if !call.by_name {
            return Flags::read(name).ok().map(|(flags, _)| flags);
        }
        let script = Sha::read(name).and_then(|sha| self.server.scripts.find(sha));
        script.map(|script| script.flags)
    }

    /// Compiles a script and adds it to the cache, unless the cache has it.
    fn load(&self, text: &[u8], context: &Context) -> Result<Arc<Script>, CommandError> {
        if let Some(script) = self.server.scripts.find_text(text) {
            return Ok(script);
        }
        let script = Arc::new(Script::new(text)?);
        #[cfg(feature = "lua")]
        if script.native.is_none()
            && let Some(scripts) = &context.scripts
        {
            scripts.compile(script.clone())?;
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
        let script = self.load(request.argument(2), context)?;
        self.server.scripts.keep(script.clone());
        Ok(Reply::bulk(script.sha.as_bytes()))
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
            // Other workers reset theirs before their next script.
            #[cfg(feature = "lua")]
            if let Some(scripts) = &context.scripts {
                scripts.reset();
            }
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

    /// Runs a script while the caller holds the order. Only a native script may run then.
    pub(super) fn eval_held(
        &mut self,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
        call: ScriptCall,
        spec: &'static Spec,
        request: Request<'_>,
    ) -> Outcome {
        let asked = match self.asked(call, request, context) {
            Ok(asked) => asked,
            Err(error) => return Err(error).into(),
        };
        match self.native(&asked, request, &context.config) {
            Some(native) if self.run_native(native, &asked, spec, request, context, order) => {
                Outcome::Replied
            }
            _ => Err(NOT_HERE.to_vec()).into(),
        }
    }

    /// Returns the native code of a script, if it behaves like Lua for this request.
    fn native(&self, asked: &Asked, request: Request<'_>, config: &Config) -> Option<Native> {
        let native = asked.script.native?;
        let fits = !asked.is_read_only
            && !asked.lacks_memory
            && self.allows_changes(config)
            && asked.keys > 0
            && request.len() >= asked.keys + 4;
        // Only Lua checks permissions and limits for each command, and shows each command to monitors.
        let needs_lua = !self.user.may_do_everything()
            || self.server.has_monitors()
            || !config.user_limits.is_empty();
        (fits && !(needs_lua && cfg!(feature = "lua"))).then_some(native)
    }

    /// Runs a native script and queues its reply. Returns false, without any change, if the
    /// script must run in Lua.
    fn run_native(
        &mut self,
        native: Native,
        asked: &Asked,
        spec: &Spec,
        request: Request<'_>,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) -> bool {
        let (key, argument) = (request.argument(3), request.argument(3 + asked.keys));
        let defers = self.begin_answer(context, order);
        self.output.is_unwritten.set(true);
        let done = match native {
            Native::Send | Native::SendOnly => {
                Some(self.native_send(native, key, argument, context, order))
            }
            Native::SendAll => {
                let messages = request.arguments_from(3 + asked.keys);
                Some(self.native_send_all(key, messages, context, order))
            }
            _ => self.native_restore(native, key, argument, context, order),
        };
        let is_done = done.is_some();
        if let Some(Err(error)) = done {
            let sha = asked.script.sha;
            let place = [b" script: ", sha.as_bytes(), b", on @user_script:1."].concat();
            self.server.commands.of(spec.id).failed.add(1);
            self.server.commands.add_error(&error);
            self.reply(context, &Reply::Error([error, place].concat()));
        }
        if defers {
            context.flush_queue().end_deferring(&self.output);
        }
        is_done
    }

    /// Increments the counter, publishes the message and queues the reply.
    fn native_send(
        &mut self,
        native: Native,
        key: &[u8],
        message: &[u8],
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) -> Result<(), CommandError> {
        let number =
            order.add_number(self.view(), &context.config, key, 1).map_err(counters::words)?;
        notify(context, order);
        let mut id = itoa::Buffer::new();
        let digits = id.format(number);
        let payload = numbered(digits, message);
        let receivers = publish(self, key, &payload, context, order);
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

    /// Adds the number of messages to the counter, publishes them and queues the reply.
    fn native_send_all<'a>(
        &mut self,
        key: &[u8],
        messages: impl ExactSizeIterator<Item = &'a [u8]>,
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) -> Result<(), CommandError> {
        let count = i64::try_from(messages.len()).unwrap_or(i64::MAX);
        let last =
            order.add_number(self.view(), &context.config, key, count).map_err(counters::words)?;
        notify(context, order);
        let first = last - count + 1;
        let mut id = itoa::Buffer::new();
        for (number, message) in (first..).zip(messages) {
            publish(self, key, &numbered(id.format(number), message), context, order);
        }
        self.reply(context, &Reply::Integer(first));
        Ok(())
    }

    /// Raises the counter. Returns `None` if the script must run in Lua.
    fn native_restore(
        &mut self,
        native: Native,
        key: &[u8],
        seen: &[u8],
        context: &mut Context,
        order: &mut OrderGuard<'_>,
    ) -> Option<Result<(), CommandError>> {
        let mut keys = order.keys(self.view(), &context.config);
        let count = keys.get(key, AccessMode::Read).map(|entry| entry.value.text().to_vec());
        let is_lower = match (native, count) {
            (Native::RestoreExisting, None) => return None,
            (_, None) => true,
            (Native::Restore, Some(count)) => number(&count)? < number(seen)?,
            (_, Some(count)) => count.as_slice() < seen,
        };
        if native == Native::Restore {
            number(seen)?;
        }
        let reply = match is_lower {
            true => {
                let request: OwnedRequest = [&b"SET"[..], key, seen].iter().collect();
                match super::strings::set(&mut keys, request.borrow()) {
                    Ok(reply) => reply,
                    Err(error) => return Some(Err(error)),
                }
            }
            false => Reply::Null,
        };
        if self.caches_what_it_reads() {
            keys.record_read(key, context.config.tracking_table_max_keys);
        }
        self.reply(context, &reply);
        Some(Ok(()))
    }
}

/// Publishes a message, and returns the number of its receivers.
fn publish(
    session: &Session,
    channel: &[u8],
    payload: &[u8],
    context: &mut Context,
    order: &mut OrderGuard<'_>,
) -> usize {
    let content = Content { kind: ChannelKind::Channels, channel, payload, shared: None };
    let fanout = order.publish(&mut context.local, content, || Some(session.publisher()));
    session.caller().counts.messages_in.add(1);
    context.local.deliver_own(content, fanout)
}

/// Returns a message with its number in front.
fn numbered(digits: &str, message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(message.len() + ID_BYTES_MAX + 1);
    payload.extend_from_slice(digits.as_bytes());
    payload.push(b' ');
    payload.extend_from_slice(message);
    payload
}

/// Parses a counter like Lua. Returns `None` for other forms of numbers than plain digits.
fn number(text: &[u8]) -> Option<f64> {
    let is_plain = (1..=20).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    is_plain.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

#[cfg(not(feature = "lua"))]
impl Session {
    fn eval_in_lua(
        &mut self,
        context: &mut Context,
        _: &mut Turn<'_>,
        _: Asked,
        spec: &'static Spec,
        _: Request<'_>,
    ) -> Flow {
        fail(self, context, spec, NO_LUA.to_vec());
        Flow::Continue
    }
}

#[cfg(feature = "lua")]
mod lua {
    //! Runs scripts in Lua, and keeps the clients of late ones waiting.

    use std::rc::Rc;
    use std::sync::atomic::Ordering;

    use tracing::warn;

    use super::*;
    use crate::commands::transaction;
    use crate::pubsub::script_barrier::StopTheWorld;
    use crate::script::lua::Given;
    use crate::session::effect::Effect;
    use crate::session::script::{
        PendingOutcome, PendingScript, ScriptCaller, ScriptJob, ScriptOutcome,
    };

    impl Session {
        /// Runs a script in Lua. If it is late, the client waits for it.
        pub(super) fn eval_in_lua(
            &mut self,
            context: &mut Context,
            turn: &mut Turn<'_>,
            asked: Asked,
            spec: &'static Spec,
            request: Request<'_>,
        ) -> Flow {
            self.flush_stats(context);
            let threshold = context.config.busy_reply_threshold;
            let Ok(world) = turn.stop_the_world(&mut context.local, threshold) else {
                fail(self, context, spec, BUSY.to_vec());
                return Flow::Continue;
            };
            match self.run_in_world(context, world, asked, spec, request) {
                Some(world) => {
                    self.end_eval(context, turn, world);
                    self.end_caching(spec);
                    Flow::Continue
                }
                None => Flow::WaitForScript,
            }
        }

        /// Runs a script of a transaction, which has stopped the world already. Returns `None` if
        /// the script is late.
        pub(in crate::commands) fn eval_in_world(
            &mut self,
            context: &mut Context,
            mut world: StopTheWorld,
            call: ScriptCall,
            spec: &'static Spec,
            request: Request<'_>,
        ) -> Option<StopTheWorld> {
            self.flush_stats(context);
            if self.server.has_monitors() {
                monitor::show(self, context, &mut world.guard(), spec, request);
            }
            match self.asked(call, request, context) {
                Ok(asked) => {
                    if let Some(native) = self.native(&asked, request, &context.config) {
                        let mut order = world.guard();
                        if self.run_native(native, &asked, spec, request, context, &mut order) {
                            notify(context, &mut order);
                            return Some(world);
                        }
                    }
                    self.run_in_world(context, world, asked, spec, request)
                }
                Err(error) => {
                    fail(self, context, spec, error);
                    Some(world)
                }
            }
        }

        fn run_in_world(
            &mut self,
            context: &mut Context,
            mut world: StopTheWorld,
            asked: Asked,
            spec: &'static Spec,
            request: Request<'_>,
        ) -> Option<StopTheWorld> {
            let Some(scripts) = context.scripts.clone() else {
                unreachable!("a script cannot call EVAL");
            };
            let run = world.run().clone();
            let outcome = Rc::new(PendingOutcome::default());
            let mut all = request.arguments_from(3).map(<[u8]>::to_vec);
            let keys = all.by_ref().take(asked.keys).collect();
            let defers = self.begin_answer(context, &mut world.guard());
            let job = ScriptJob {
                given: Given { keys, arguments: all.collect() },
                protocol: self.output.protocol.get(),
                caller: ScriptCaller {
                    user: self.user.clone(),
                    info: self.info.clone(),
                    database: self.info.counts.database.load(Ordering::Relaxed),
                    caches_what_it_reads: self.caches_what_it_reads(),
                    is_read_only: asked.is_read_only,
                    lacks_memory: asked.lacks_memory && !asked.script.flags.allow_oom,
                    world,
                    outcome: outcome.clone(),
                },
                script: asked.script.clone(),
            };
            scripts.run(job, &mut context.local);
            if let Some(outcome) = outcome.take() {
                return Some(self.answer_script(context, spec, outcome, defers));
            }
            let (elapsed, script) = (run.elapsed(), asked.script.sha);
            warn!(?elapsed, ?script, "slow script detected: SCRIPT KILL ends it");
            context.effects.push(Effect::ResumeScript);
            self.script = Some(Box::new(PendingScript { outcome, command: spec.id, defers }));
            None
        }

        /// Returns whether the script that the client waits for has ended.
        pub(crate) fn is_script_done(&self) -> bool {
            self.script.as_ref().is_none_or(|pending| pending.outcome.borrow().is_some())
        }

        /// Ends [`Flow::WaitForScript`].
        pub(crate) fn resume_after_script(
            &mut self,
            context: &mut Context,
            turn: &mut Turn<'_>,
        ) -> Flow {
            let Some(pending) = self.script.take() else { return Flow::Continue };
            let Some(outcome) = pending.outcome.take() else { return Flow::Continue };
            let spec = crate::commands::lookup::spec(pending.command);
            let world = self.answer_script(context, spec, outcome, pending.defers);
            if self.executing.is_some() {
                transaction::keep(self, world);
                return transaction::go_on(self, context, turn);
            }
            self.end_eval(context, turn, world);
            Flow::Continue
        }

        /// Queues the reply of a script, after all messages that the script has published.
        fn answer_script(
            &mut self,
            context: &mut Context,
            spec: &Spec,
            outcome: ScriptOutcome,
            defers: bool,
        ) -> StopTheWorld {
            let ScriptOutcome { answered, effects, mut world, lagging, after_release } = outcome;
            context.local.lagging = lagging.or(context.local.lagging);
            context.local.after_release.append(after_release);
            context.effects.extend(effects);
            world.guard().catch_up(&mut context.local);
            if answered.has_failed {
                self.server.commands.of(spec.id).failed.add(1);
            }
            if let Some(error) = &answered.error {
                self.server.commands.add_error(error);
            }
            if world.run().has_written() {
                // A late script may have queued its changes in an earlier turn.
                self.output.is_unwritten.set(true);
            }
            let limit = self.output_limit(&context.config);
            let reply = &answered.reply;
            context.flush_queue().reply(&self.output, limit, |out| out.extend_from_slice(reply));
            if defers {
                context.flush_queue().end_deferring(&self.output);
            }
            world
        }

        fn end_eval(
            &mut self,
            context: &mut Context,
            turn: &mut Turn<'_>,
            mut world: StopTheWorld,
        ) {
            end_command(context, &mut world.guard());
            turn.resume(world);
            context.local.deliver_taken();
        }

        /// Forgets the script of a client that has disconnected. It runs to its end.
        pub(crate) fn abandon_script(&mut self) {
            self.script = None;
            self.executing = None;
        }
    }
}
