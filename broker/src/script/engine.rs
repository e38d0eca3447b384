//! Where a worker runs its scripts.
//!
//! A script has a stack of its own, a coroutine on the worker's thread. So it runs as fast as any
//! other command, and yet can be put aside when it takes so long that others are to hear of it: then
//! it goes on a little at a time, between what else the worker does.
//!
//! To the broker a script's client is like a worker without connections. A worker that runs a script
//! hands over its right to do so, and gets it back with the reply. The coroutine starts with the
//! first script.

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use scoped_tls::scoped_thread_local;

use super::cache::Script;
use super::lua::{Answered, Given, STACK_BYTES, Vm};
use crate::protocol::Protocol;
use crate::pubsub::Exclusive;
use crate::pubsub::subscribers::Effect;
use crate::session::client_info::ClientInfo;
use crate::session::server_state::ServerState;
use crate::session::{Caller, ScriptClient};

/// The scripts of one worker.
#[derive(Default)]
pub(crate) struct Engine {
    started: RefCell<Option<Started>>,
}

struct Started {
    routine: Coroutine<Job, Step, ()>,
    server: Arc<ServerState>,
}

scoped_thread_local!(static YIELDER: Yielder<Job, Step>);

/// What the coroutine is to do next.
enum Job {
    Compile(Arc<Script>),
    Run(Box<ScriptJob>),
    /// Forget all scripts.
    Reset,
    /// Go on with the script that was put aside.
    GoOn,
    End,
}

/// How far the coroutine has come.
enum Step {
    Done,
    Compiled(Result<(), Vec<u8>>),
    /// The script is not at its end.
    PutAside,
}

/// A script that is to run.
pub(crate) struct ScriptJob {
    pub(crate) script: Arc<Script>,
    pub(crate) given: Given,
    pub(crate) caller: Caller,
    /// The caller's.
    pub(crate) protocol: Protocol,
    pub(crate) exclusive: Exclusive,
    /// Where what comes of it is put, and who is told.
    pub(crate) slot: Rc<Slot>,
    pub(crate) info: Arc<ClientInfo>,
}

/// Where a session finds what came of its script.
pub(crate) type Slot = RefCell<Option<Outcome>>;

/// What came of a script.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) answered: Answered,
    pub(crate) effects: Vec<Effect>,
    pub(crate) exclusive: Exclusive,
}

/// What is answered where our own code failed.
const FAILED: &[u8] = b"ERR the script could not be run";

/// Lets others have their turn. Called by a script that takes long.
pub(crate) fn yield_now() {
    if YIELDER.is_set() {
        // Nothing but `GoOn` is asked of a coroutine that was put aside.
        YIELDER.with(|yielder| yielder.suspend(Step::PutAside));
    }
}

impl Engine {
    /// Gets ready for scripts. The order must not be held.
    ///
    /// # Errors
    ///
    /// Says why there cannot be any.
    pub(crate) fn start(&self, server: &Arc<ServerState>) -> Result<(), Vec<u8>> {
        let mut started = self.started.borrow_mut();
        if started.is_none() {
            let stack = DefaultStack::new(STACK_BYTES).map_err(|error| {
                format!("ERR no memory for the stack of scripts: {error}").into_bytes()
            })?;
            let runner = Runner::new(server.clone());
            let routine = Coroutine::with_stack(stack, |yielder, first| {
                YIELDER.set(yielder, || runner.run(yielder, first));
            });
            *started = Some(Started { routine, server: server.clone() });
        }
        Ok(())
    }

    /// Compiles a script. The order must not be held.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, in Redis' words.
    pub(crate) fn compile(
        &self,
        server: &Arc<ServerState>,
        script: Arc<Script>,
    ) -> Result<(), Vec<u8>> {
        self.start(server)?;
        match self.resume(Job::Compile(script)) {
            Some(Step::Compiled(compiled)) => compiled,
            _ => Err(FAILED.to_vec()),
        }
    }

    /// Runs a script, to its end or until others are to have their turn: then the caller sees to it
    /// that [`Engine::resume_script`] is called again and again.
    pub(crate) fn run(&self, job: ScriptJob) {
        self.resume(Job::Run(Box::new(job)));
    }

    /// Goes on with a script that was put aside, and returns whether it has ended.
    pub(crate) fn resume_script(&self) -> bool {
        !matches!(self.resume(Job::GoOn), Some(Step::PutAside))
    }

    /// Forgets all scripts.
    pub(crate) fn reset(&self) {
        self.resume(Job::Reset);
    }

    fn resume(&self, job: Job) -> Option<Step> {
        match self.started.borrow_mut().as_mut()?.routine.resume(job) {
            CoroutineResult::Yield(step) => Some(step),
            CoroutineResult::Return(()) => None,
        }
    }
}

impl Drop for Engine {
    /// A stack that Lua stands on cannot be taken away from it, so a script has to end first.
    fn drop(&mut self) {
        let Some(Started { routine, server }) = self.started.get_mut() else { return };
        let mut job = Job::End;
        while let CoroutineResult::Yield(step) = routine.resume(job) {
            job = match step {
                Step::PutAside => {
                    // There is but one that runs.
                    server.broker.running_script().inspect(|run| run.kill());
                    Job::GoOn
                }
                Step::Done | Step::Compiled(_) => Job::End,
            };
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// What lives in the coroutine.
struct Runner {
    server: Arc<ServerState>,
    client: Rc<RefCell<ScriptClient>>,
    vm: Option<Vm>,
    /// When all scripts were last forgotten.
    flushes: u64,
    /// The memory that Lua took when it was last looked at.
    used_bytes: usize,
}

impl Runner {
    fn new(server: Arc<ServerState>) -> Self {
        let client = Rc::new(RefCell::new(ScriptClient::new(server.clone())));
        let flushes = server.scripts.flushes();
        Self { server, client, vm: None, flushes, used_bytes: 0 }
    }

    fn run(mut self, yielder: &Yielder<Job, Step>, first: Job) {
        let mut job = first;
        loop {
            let flushes = self.server.scripts.flushes();
            if std::mem::replace(&mut self.flushes, flushes) != flushes {
                self.vm = None;
            }
            let step = match job {
                Job::Compile(script) => {
                    Step::Compiled(self.vm().and_then(|vm| vm.compile(&script)))
                }
                Job::Run(job) => {
                    self.run_script(*job);
                    Step::Done
                }
                // Done already, or nothing to do.
                Job::Reset | Job::GoOn => Step::Done,
                Job::End => break,
            };
            self.record_used_bytes();
            job = yielder.suspend(step);
        }
        self.vm = None;
        self.record_used_bytes();
        let worker = self.client.borrow().worker();
        self.server.broker.close_inbox(worker);
    }

    fn record_used_bytes(&mut self) {
        let used = self.vm.as_ref().map_or(0, Vm::used_bytes);
        self.server.scripts.record_lua_bytes(self.used_bytes, used);
        self.used_bytes = used;
    }

    fn vm(&mut self) -> Result<&mut Vm, Vec<u8>> {
        if self.vm.is_none() {
            self.vm = Vm::new(self.client.clone()).ok();
        }
        self.vm.as_mut().ok_or_else(|| FAILED.to_vec())
    }

    fn run_script(&mut self, job: ScriptJob) {
        let ScriptJob { script, given, caller, protocol, exclusive, slot, info } = job;
        self.client.borrow_mut().begin(caller, exclusive);
        let answered = catch_unwind(AssertUnwindSafe(|| match self.vm() {
            Ok(vm) => vm.run(&script, &given, protocol),
            Err(error) => Answered::failed(error),
        }));
        let answered = answered.unwrap_or_else(|_| {
            // What a panic left behind is nothing to go on with.
            self.vm = None;
            Answered::failed(FAILED.to_vec())
        });
        let ended = self.client.borrow_mut().end();
        if let Some((exclusive, effects)) = ended {
            *slot.borrow_mut() = Some(Outcome { answered, effects, exclusive });
        }
        // If nobody waits any more, the outcome goes with the slot, and others may run.
        drop(slot);
        info.wake();
    }
}
