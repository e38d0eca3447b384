//! The state of a worker that command handlers may use: settings, effects, and its side of publish
//! and subscribe.

#[cfg(feature = "lua")]
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::effect::Effect;
#[cfg(feature = "lua")]
use super::script::ScriptRunner;
use super::watch::Watch;
use crate::config::Config;
use crate::ids::WorkerId;
use crate::pubsub::flush_queue::FlushQueue;
use crate::pubsub::local::Local;
use crate::pubsub::subscribers::Subscribers;

/// One worker's state, as its sessions see it.
pub(crate) struct Context {
    pub(crate) local: Local,
    /// The settings in force since the start of the turn.
    pub(crate) config: Arc<Config>,
    pub(crate) effects: Vec<Effect>,
    /// The time that the commands of one client have taken in this turn, by estimate.
    pub(crate) spent: Duration,
    /// Watched keys of clients that stopped watching while a late script had the order.
    pub(crate) cleanup: Vec<Watch>,
    /// Runs the scripts of this worker; `None` for commands that a script calls.
    #[cfg(feature = "lua")]
    pub(crate) scripts: Option<Rc<dyn ScriptRunner>>,
}

impl Context {
    pub(crate) fn new(worker: WorkerId, config: Arc<Config>) -> Self {
        let mut subscribers = Subscribers::new(worker, &config.client_output_buffer_limit);
        subscribers.flush_queue().set_slow_rules(&config.pubsub_slow_policy);
        Self {
            local: Local::new(subscribers),
            config,
            effects: Vec::new(),
            spent: Duration::ZERO,
            cleanup: Vec::new(),
            #[cfg(feature = "lua")]
            scripts: None,
        }
    }

    /// Puts changed settings in force on this worker.
    pub(crate) fn set_config(&mut self, config: Arc<Config>) {
        self.flush_queue().set_limits(&config.client_output_buffer_limit);
        self.flush_queue().set_slow_rules(&config.pubsub_slow_policy);
        self.config = config;
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.local.worker()
    }

    pub(crate) fn flush_queue(&mut self) -> &mut FlushQueue {
        self.local.subscribers.flush_queue()
    }
}
