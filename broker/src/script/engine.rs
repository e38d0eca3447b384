//! Runs the scripts of one worker.
//!
//! Scripts run in a coroutine on the worker's thread, with a stack of its own. A script that is late
//! yields, so that it runs in pieces between the other tasks of the worker.
//!
//! The engine depends neither on sessions nor on commands. It starts its coroutine with the first
//! script.

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use scoped_tls::scoped_thread_local;

use super::Scripts;
use super::cache::Script;
use super::lua::{Answered, Commands, Given, STACK_BYTES, Vm};
use crate::protocol::Protocol;
use crate::pubsub::BrokerView;

/// Calls the commands of an engine's scripts.
pub(crate) trait ScriptClient: Commands + 'static {
    /// The caller of a script, with the permissions that the script gets from it.
    type Caller;

    /// Prepares for a script.
    fn begin(&mut self, caller: Self::Caller);

    /// Ends a script, and passes its outcome to the caller.
    fn end(&mut self, answered: Answered);
}

/// The scripts of one worker.
pub(crate) struct Engine<C: ScriptClient> {
    broker: BrokerView,
    scripts: Arc<Scripts>,
    client: Rc<RefCell<C>>,
    job: Rc<RefCell<Option<Job<C>>>>,
    routine: RefCell<Option<Routine>>,
}

type Routine = Coroutine<(), Step, ()>;

scoped_thread_local!(static YIELDER: Yielder<(), Step>);

/// A task for the coroutine.
enum Job<C: ScriptClient> {
    Compile(Arc<Script>),
    Run(Box<ScriptJob<C>>),
    /// Drop all compiled scripts.
    Reset,
    End,
}

/// The reason why the coroutine yields.
enum Step {
    Done,
    Compiled(Result<(), Vec<u8>>),
    /// The script has not ended. It is late, or waits for a delivery.
    Unfinished,
}

/// A script to run.
pub(crate) struct ScriptJob<C: ScriptClient> {
    pub(crate) script: Arc<Script>,
    pub(crate) given: Given,
    /// The protocol version of the caller.
    pub(crate) protocol: Protocol,
    pub(crate) caller: C::Caller,
}

/// The reply after a failure of the engine itself.
const FAILED: &[u8] = b"ERR the script could not be run";

/// Lets the worker go on. Called by a script that is late or waits for a delivery.
pub(crate) fn yield_now() {
    if YIELDER.is_set() {
        YIELDER.with(|yielder| yielder.suspend(Step::Unfinished));
    }
}

impl<C: ScriptClient> Engine<C> {
    pub(crate) fn new(broker: BrokerView, scripts: Arc<Scripts>, client: C) -> Self {
        let client = Rc::new(RefCell::new(client));
        Self { broker, scripts, client, job: Rc::default(), routine: RefCell::default() }
    }

    /// Starts the coroutine, unless it runs.
    fn start(&self) -> Result<(), Vec<u8>> {
        let mut routine = self.routine.borrow_mut();
        if routine.is_none() {
            let stack = DefaultStack::new(STACK_BYTES).map_err(|error| {
                format!("ERR no memory for the stack of scripts: {error}").into_bytes()
            })?;
            let runner = Runner::new(self.scripts.clone(), self.client.clone(), self.job.clone());
            *routine = Some(Coroutine::with_stack(stack, |yielder, ()| {
                YIELDER.set(yielder, || runner.run(yielder));
            }));
        }
        Ok(())
    }

    /// Compiles a script.
    ///
    /// # Errors
    ///
    /// Describes the mistake in Redis' words.
    pub(crate) fn compile(&self, script: Arc<Script>) -> Result<(), Vec<u8>> {
        self.start()?;
        match self.step(Job::Compile(script)) {
            Some(Step::Compiled(compiled)) => compiled,
            _ => Err(FAILED.to_vec()),
        }
    }

    /// Runs a script until it ends or is late. For a late script, the caller must call
    /// [`Engine::resume_script`] until it returns true.
    pub(crate) fn run(&self, job: ScriptJob<C>) {
        if let Err(error) = self.start() {
            let mut client = self.client.borrow_mut();
            client.begin(job.caller);
            return client.end(Answered::failed(error));
        }
        self.step(Job::Run(Box::new(job)));
    }

    /// Runs one piece of a late script. Returns whether the script has ended.
    pub(crate) fn resume_script(&self) -> bool {
        !matches!(self.resume(), Some(Step::Unfinished))
    }

    /// Drops all compiled scripts.
    pub(crate) fn reset(&self) {
        if self.routine.borrow().is_some() {
            self.step(Job::Reset);
        }
    }

    fn step(&self, job: Job<C>) -> Option<Step> {
        *self.job.borrow_mut() = Some(job);
        self.resume()
    }

    fn resume(&self) -> Option<Step> {
        match self.routine.borrow_mut().as_mut()?.resume(()) {
            CoroutineResult::Yield(step) => Some(step),
            CoroutineResult::Return(()) => None,
        }
    }
}

impl<C: ScriptClient> Drop for Engine<C> {
    /// Ends a running script before its stack is freed.
    fn drop(&mut self) {
        let Some(routine) = self.routine.get_mut() else { return };
        *self.job.borrow_mut() = Some(Job::End);
        while let CoroutineResult::Yield(step) = routine.resume(()) {
            if matches!(step, Step::Unfinished) {
                // Only one script runs at a time.
                self.broker.running_script().inspect(|run| run.kill());
            }
        }
    }
}

impl<C: ScriptClient> fmt::Debug for Engine<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// The state that lives in the coroutine.
struct Runner<C: ScriptClient> {
    scripts: Arc<Scripts>,
    client: Rc<RefCell<C>>,
    job: Rc<RefCell<Option<Job<C>>>>,
    vm: Option<Vm>,
    /// The number of `SCRIPT FLUSH` calls up to the creation of the virtual machine.
    flushes: u64,
    /// The memory of Lua at its last measurement.
    used_bytes: usize,
}

impl<C: ScriptClient> Runner<C> {
    fn new(
        scripts: Arc<Scripts>,
        client: Rc<RefCell<C>>,
        job: Rc<RefCell<Option<Job<C>>>>,
    ) -> Self {
        let flushes = scripts.flushes();
        Self { scripts, client, job, vm: None, flushes, used_bytes: 0 }
    }

    fn run(mut self, yielder: &Yielder<(), Step>) {
        loop {
            let flushes = self.scripts.flushes();
            if std::mem::replace(&mut self.flushes, flushes) != flushes {
                self.vm = None;
            }
            let job = self.job.borrow_mut().take();
            let step = match job {
                Some(Job::Compile(script)) => {
                    Step::Compiled(self.vm().and_then(|vm| vm.compile(&script)))
                }
                Some(Job::Run(job)) => {
                    self.run_script(*job);
                    Step::Done
                }
                // This iteration has dropped the virtual machine already if scripts were flushed.
                Some(Job::Reset) | None => Step::Done,
                Some(Job::End) => break,
            };
            self.record_used_bytes();
            yielder.suspend(step);
        }
        self.vm = None;
        self.record_used_bytes();
    }

    fn record_used_bytes(&mut self) {
        let used = self.vm.as_ref().map_or(0, Vm::used_bytes);
        self.scripts.record_lua_bytes(self.used_bytes, used);
        self.used_bytes = used;
    }

    fn vm(&mut self) -> Result<&mut Vm, Vec<u8>> {
        if self.vm.is_none() {
            self.vm = Vm::new(self.client.clone()).ok();
        }
        self.vm.as_mut().ok_or_else(|| FAILED.to_vec())
    }

    fn run_script(&mut self, job: ScriptJob<C>) {
        let ScriptJob { script, given, protocol, caller } = job;
        self.client.borrow_mut().begin(caller);
        let answered = catch_unwind(AssertUnwindSafe(|| match self.vm() {
            Ok(vm) => vm.run(&script, &given, protocol),
            Err(error) => Answered::failed(error),
        }));
        let answered = answered.unwrap_or_else(|_| {
            // The virtual machine may be in any state after a panic.
            self.vm = None;
            Answered::failed(FAILED.to_vec())
        });
        self.client.borrow_mut().end(answered);
    }
}
