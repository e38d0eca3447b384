//! The thread on which all scripts of a server run.
//!
//! To the broker it is like a worker without connections. A worker that runs a script hands over
//! its right to do so, waits, and gets it back with the reply. The thread starts with the first
//! script.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::cache::Script;
use super::lua::{Answered, Given, STACK_BYTES, Vm};
use crate::audience::Effect;
use crate::broker::Exclusive;
use crate::card::Card;
use crate::host::Host;
use crate::resp::Protocol;
use crate::session::{Caller, ScriptClient};

/// How workers reach the thread.
#[derive(Debug)]
pub(crate) struct Engine {
    jobs: Sender<Job>,
    used_bytes: Arc<AtomicUsize>,
}

enum Job {
    Compile(Arc<Script>, SyncSender<Result<(), Vec<u8>>>),
    Run(Box<ScriptJob>),
    /// Forgets all scripts.
    Reset,
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
    pub(crate) slot: Arc<Slot>,
    pub(crate) card: Arc<Card>,
}

/// Where a worker finds what came of its script.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    outcome: Mutex<Option<Outcome>>,
    done: Condvar,
}

/// What came of a script.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) answered: Answered,
    pub(crate) effects: Vec<Effect>,
    pub(crate) exclusive: Exclusive,
}

/// What is answered where our own code failed.
const FAILED: &[u8] = b"ERR the script could not be run";

impl Slot {
    fn fill(&self, outcome: Outcome) {
        *self.outcome.lock() = Some(outcome);
        self.done.notify_one();
    }

    /// Waits for the outcome, for ever without a deadline.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Option<Outcome> {
        let mut outcome = self.outcome.lock();
        while outcome.is_none() {
            match deadline {
                None => self.done.wait(&mut outcome),
                Some(deadline) => {
                    if self.done.wait_until(&mut outcome, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        outcome.take()
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.outcome.lock().is_some()
    }
}

impl Engine {
    /// Starts the thread. The order must not be held.
    pub(crate) fn start(host: Arc<Host>) -> Result<Self, Vec<u8>> {
        let (jobs, queue) = channel();
        let used_bytes = Arc::new(AtomicUsize::new(0));
        let (ready, is_ready) = sync_channel(1);
        let used = used_bytes.clone();
        let thread = thread::Builder::new().name("scripts".to_owned()).stack_size(STACK_BYTES);
        thread
            .spawn(move || {
                let runner = Runner::new(host, used);
                let _ = ready.send(());
                runner.run(&queue);
            })
            .map_err(|error| {
                format!("ERR cannot start the scripts' thread: {error}").into_bytes()
            })?;
        is_ready.recv().map_err(|_| FAILED.to_vec())?;
        Ok(Self { jobs, used_bytes })
    }

    /// Compiles a script.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, in Redis' words.
    pub(crate) fn compile(&self, script: Arc<Script>) -> Result<(), Vec<u8>> {
        let (answer, compiled) = sync_channel(1);
        let _ = self.jobs.send(Job::Compile(script, answer));
        compiled.recv().unwrap_or_else(|_| Err(FAILED.to_vec()))
    }

    pub(crate) fn run(&self, job: ScriptJob) {
        let _ = self.jobs.send(Job::Run(Box::new(job)));
    }

    pub(crate) fn reset(&self) {
        let _ = self.jobs.send(Job::Reset);
    }

    /// Returns the memory that Lua takes.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }
}

/// What lives on the thread.
struct Runner {
    host: Arc<Host>,
    client: Rc<RefCell<ScriptClient>>,
    vm: Option<Vm>,
    used_bytes: Arc<AtomicUsize>,
}

impl Runner {
    fn new(host: Arc<Host>, used_bytes: Arc<AtomicUsize>) -> Self {
        let client = Rc::new(RefCell::new(ScriptClient::new(host.clone())));
        Self { host, client, vm: None, used_bytes }
    }

    fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(job) = queue.recv() {
            match job {
                Job::Compile(script, answer) => {
                    let compiled = self.vm().and_then(|vm| vm.compile(&script));
                    let _ = answer.send(compiled);
                }
                Job::Run(job) => self.run_script(*job),
                Job::Reset => self.vm = None,
            }
            let used = self.vm.as_ref().map_or(0, Vm::used_bytes);
            self.used_bytes.store(used, Ordering::Relaxed);
        }
        self.host.broker.close_inbox(self.client.borrow().worker());
    }

    fn vm(&mut self) -> Result<&mut Vm, Vec<u8>> {
        if self.vm.is_none() {
            self.vm = Vm::new(self.client.clone()).ok();
        }
        self.vm.as_mut().ok_or_else(|| FAILED.to_vec())
    }

    fn run_script(&mut self, job: ScriptJob) {
        let ScriptJob { script, given, caller, protocol, exclusive, slot, card } = job;
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
            slot.fill(Outcome { answered, effects, exclusive });
        }
        // If nobody waits any more, the outcome goes with the slot, and others may run.
        drop(slot);
        card.wake();
    }
}
