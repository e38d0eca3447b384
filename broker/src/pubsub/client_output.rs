//! One client's queue on its worker: replies and messages that its socket has not taken yet.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;

use super::id_set::Identified;
use super::outbox::Outbox;
use super::slow_subscriber::Losses;
use crate::observe::disconnect::Disconnect;
use crate::protocol::Protocol;

/// The notices that a client has asked for with `CLIENT CAPA`. It gets them as pushes of RESP3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notices {
    /// The server ends its clients within a time.
    pub(crate) draining: bool,
    /// The client has lost messages.
    pub(crate) lost: bool,
}

/// The output of one client: its protocol, its flags and its outbox.
#[derive(Debug)]
pub(crate) struct ClientOutput {
    pub(super) id: u64,
    /// The index of its connection on the worker.
    pub(crate) slot: usize,
    pub(crate) protocol: Cell<Protocol>,
    /// Set once. After that nothing is queued.
    pub(super) disconnect: Cell<Option<Disconnect>>,
    /// Whether the flush queue lists this output.
    pub(super) dirty: Cell<bool>,
    /// Whether it lists this output for a reply.
    pub(super) has_reply: Cell<bool>,
    /// Whether the client has a subscription.
    pub(crate) listens: Cell<bool>,
    /// Whether the client gets the stream for replicas.
    pub(crate) replicates: Cell<bool>,
    /// Whether the current batch holds messages for it.
    pub(super) waits_for_batch: Cell<bool>,
    /// Messages that were queued since the client has connected.
    pub(crate) messages: Cell<u64>,
    /// Replies are dropped, messages are not (`CLIENT REPLY`).
    pub(crate) silent: Cell<bool>,
    /// Whether a queued reply may have a number that is not in the counters file yet: the reply of
    /// a transaction or a script.
    pub(crate) is_unwritten: Cell<bool>,
    /// Messages that the client publishes to itself, held until its reply is queued.
    pub(super) deferred: RefCell<Option<Vec<u8>>>,
    pub(super) outbox: RefCell<Outbox>,
    pub(crate) notices: Cell<Notices>,
    /// The messages that a policy has dropped.
    pub(crate) losses: RefCell<Option<Box<Losses>>>,
}

impl ClientOutput {
    pub(crate) fn new(id: u64, slot: usize) -> Self {
        Self {
            id,
            slot,
            protocol: Cell::default(),
            disconnect: Cell::default(),
            dirty: Cell::default(),
            has_reply: Cell::default(),
            listens: Cell::default(),
            replicates: Cell::default(),
            waits_for_batch: Cell::default(),
            messages: Cell::default(),
            silent: Cell::default(),
            is_unwritten: Cell::default(),
            deferred: RefCell::default(),
            outbox: RefCell::default(),
            notices: Cell::default(),
            losses: RefCell::default(),
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Counts queued messages.
    #[inline]
    pub(super) fn count_messages(&self, count: u64) {
        self.messages.set(self.messages.get() + count);
    }

    pub(crate) fn disconnect(&self) -> Option<Disconnect> {
        self.disconnect.get()
    }

    pub(crate) fn outbox(&self) -> RefMut<'_, Outbox> {
        self.outbox.borrow_mut()
    }
}

impl Identified for Rc<ClientOutput> {
    fn id(&self) -> u64 {
        self.id
    }
}
