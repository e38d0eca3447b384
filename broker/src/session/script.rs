//! Scripts, as sessions see them: the caller, the runner and the outcome.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::client_info::ClientInfo;
use super::effect::Effect;
use crate::acl::User;
use crate::ids::{CommandId, WorkerId};
use crate::protocol::Protocol;
use crate::pubsub::local::Local;
use crate::pubsub::order::AfterRelease;
use crate::pubsub::script_barrier::StopTheWorld;
use crate::script::cache::Script;
use crate::script::lua::{Answered, Given};

/// Runs the scripts of one worker. The layer of commands implements it, since scripts call
/// commands.
pub(crate) trait ScriptRunner {
    /// Compiles a script. Needs no order.
    ///
    /// # Errors
    ///
    /// The error in the script, in Redis' words.
    fn compile(&self, script: Arc<Script>) -> Result<(), Vec<u8>>;

    /// Runs a script to its end, or until it is late. After that, call [`resume`](Self::resume)
    /// until it returns true. Messages to clients of the worker `local` are delivered meanwhile, so
    /// that they count for the limits of these clients.
    fn run(&self, job: ScriptJob, local: &mut Local);

    /// Runs a late script for a while, and returns whether it has ended.
    fn resume(&self, local: &mut Local) -> bool;

    /// Drops all compiled scripts.
    fn reset(&self);
}

/// A script that is to run.
pub(crate) struct ScriptJob {
    pub(crate) script: Arc<Script>,
    pub(crate) given: Given,
    /// The protocol version of the caller.
    pub(crate) protocol: Protocol,
    pub(crate) caller: ScriptCaller,
}

/// The caller of a script, with the permissions that the script has from it.
pub(crate) struct ScriptCaller {
    pub(crate) user: Arc<User>,
    pub(crate) info: Arc<ClientInfo>,
    pub(crate) database: u16,
    /// Whether the caller is to get invalidations of the keys that the script reads.
    pub(crate) caches_what_it_reads: bool,
    /// Whether the script must not write.
    pub(crate) is_read_only: bool,
    /// Whether the keys exceed `maxmemory`, so that the script must not add to them.
    pub(crate) lacks_memory: bool,
    pub(crate) world: StopTheWorld,
    /// Receives the outcome.
    pub(crate) outcome: Rc<PendingOutcome>,
}

/// Where a session finds the outcome of its script.
pub(crate) type PendingOutcome = RefCell<Option<ScriptOutcome>>;

/// The outcome of a script.
#[derive(Debug)]
pub(crate) struct ScriptOutcome {
    pub(crate) answered: Answered,
    pub(crate) effects: Vec<Effect>,
    pub(crate) world: StopTheWorld,
    /// A worker whose inbox the script has filled.
    pub(crate) lagging: Option<WorkerId>,
    // Declared after `world`, so that it is dropped, and runs, after the order is released.
    pub(crate) after_release: AfterRelease,
}

/// A late script, for which its client waits.
#[derive(Debug)]
pub(crate) struct PendingScript {
    pub(crate) outcome: Rc<PendingOutcome>,
    pub(crate) command: CommandId,
    /// Whether messages of the client to itself are held until the end.
    pub(crate) defers: bool,
}
