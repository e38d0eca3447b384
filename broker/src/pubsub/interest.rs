//! The subscriptions of one channel or pattern as a publisher needs them: a count per worker, and
//! the mailboxes of in-process subscribers.

use std::sync::Arc;

use crate::ids::WorkerId;
use crate::pubsub::id_set::IdSet;
use crate::pubsub::mailbox::Mailbox;

/// The target of one subscription: the worker of a client, or an in-process subscriber.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Worker(WorkerId),
    Mailbox(Arc<Mailbox>),
}

/// The subscriptions of one channel or pattern.
#[derive(Debug)]
pub(crate) enum Interest {
    /// Clients of one worker. Nearly all channels have only those.
    One {
        worker: WorkerId,
        clients: u32,
    },
    Many(Box<Places>),
}

/// Subscriptions of several workers, or of in-process subscribers.
#[derive(Debug, Default)]
pub(crate) struct Places {
    workers: Vec<(WorkerId, u32)>,
    mailboxes: Option<IdSet<Arc<Mailbox>>>,
}

impl Interest {
    pub(crate) fn new(place: Place) -> Self {
        match place {
            Place::Worker(worker) => Self::One { worker, clients: 1 },
            Place::Mailbox(mailbox) => {
                let mailboxes = Some(IdSet::One(mailbox));
                Self::Many(Box::new(Places { workers: Vec::new(), mailboxes }))
            }
        }
    }

    pub(crate) fn add(&mut self, place: Place) {
        match (&mut *self, place) {
            (Self::One { worker, clients }, Place::Worker(other)) if *worker == other => {
                *clients += 1
            }
            (Self::One { worker, clients }, place) => {
                let workers = vec![(*worker, *clients)];
                let mut places = Places { workers, mailboxes: None };
                places.add(place);
                *self = Self::Many(Box::new(places));
            }
            (Self::Many(places), place) => places.add(place),
        }
    }

    /// Removes one subscription, and returns whether none is left.
    pub(crate) fn remove(&mut self, place: &Place) -> bool {
        match (self, place) {
            (Self::One { worker, clients }, Place::Worker(other)) if worker == other => {
                *clients -= 1;
                *clients == 0
            }
            (Self::One { .. }, _) => false,
            (Self::Many(places), place) => places.remove(place),
        }
    }

    /// Returns the number of subscriptions.
    pub(crate) fn subscriptions(&self) -> usize {
        self.workers().map(|(_, clients)| clients as usize).sum::<usize>() + self.mailboxes().len()
    }

    /// Returns the workers with subscribed clients, each with their number.
    pub(crate) fn workers(&self) -> impl Iterator<Item = (WorkerId, u32)> + '_ {
        let (one, many) = match self {
            Self::One { worker, clients } => (Some((*worker, *clients)), &[][..]),
            Self::Many(places) => (None, &places.workers[..]),
        };
        one.into_iter().chain(many.iter().copied())
    }

    /// Returns the mailboxes of in-process subscribers.
    pub(crate) fn mailboxes(&self) -> &[Arc<Mailbox>] {
        match self {
            Self::One { .. } => &[],
            Self::Many(places) => places.mailboxes.as_ref().map_or(&[], IdSet::as_slice),
        }
    }
}

impl Places {
    fn add(&mut self, place: Place) {
        match place {
            Place::Worker(worker) => {
                match self.workers.iter_mut().find(|(known, _)| *known == worker) {
                    Some((_, clients)) => *clients += 1,
                    None => self.workers.push((worker, 1)),
                }
            }
            Place::Mailbox(mailbox) => match &mut self.mailboxes {
                Some(mailboxes) => mailboxes.insert(mailbox),
                None => self.mailboxes = Some(IdSet::One(mailbox)),
            },
        }
    }

    fn remove(&mut self, place: &Place) -> bool {
        match place {
            Place::Worker(worker) => {
                if let Some(at) = self.workers.iter().position(|(known, _)| known == worker) {
                    self.workers[at].1 -= 1;
                    if self.workers[at].1 == 0 {
                        self.workers.swap_remove(at);
                    }
                }
            }
            Place::Mailbox(mailbox) => {
                if self
                    .mailboxes
                    .as_mut()
                    .is_some_and(|mailboxes| mailboxes.remove(mailbox.number()))
                {
                    self.mailboxes = None;
                }
            }
        }
        self.workers.is_empty() && self.mailboxes.is_none()
    }
}
