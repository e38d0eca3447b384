//! Whom an invocation is for.
//!
//! Everything goes through the backplane, so that it reaches clients of all servers, and so that all of
//! them see one order.

use std::{ops::Deref, sync::Arc};

use backplane::{Backplane, Invocation, InvocationError, SendError, Target};
use serde::Serialize;

/// The clients of a hub, on all servers.
#[derive(Clone, Debug)]
pub struct Clients {
    backplane: Backplane,
}

impl Clients {
    pub(crate) fn new(backplane: Backplane) -> Self {
        Self { backplane }
    }

    /// Everyone.
    pub fn all(&self) -> Recipients {
        self.recipients(Target::all())
    }

    /// Everyone but these connections.
    pub fn all_except<T: Into<String>>(&self, ids: impl IntoIterator<Item = T>) -> Recipients {
        self.recipients(Target::all().except(ids))
    }

    /// The connections that have joined a group.
    pub fn group(&self, group: impl Into<String>) -> Recipients {
        self.recipients(Target::group(group))
    }

    /// The connections that have joined a group, but for some.
    pub fn group_except<T: Into<String>>(
        &self,
        group: impl Into<String>,
        ids: impl IntoIterator<Item = T>,
    ) -> Recipients {
        self.recipients(Target::group(group).except(ids))
    }

    /// All connections of a user.
    pub fn user(&self, user: impl Into<String>) -> Recipients {
        self.recipients(Target::user(user))
    }

    /// One connection, on whichever server it is.
    pub fn connection(&self, connection_id: impl Into<String>) -> Recipients {
        self.recipients(Target::connection(connection_id))
    }

    fn recipients(&self, target: Target) -> Recipients {
        Recipients { backplane: self.backplane.clone(), target }
    }
}

/// The clients of a hub as its caller sees them; all of [`Clients`], and those that "I" and "they" mean.
#[derive(Clone, Debug)]
pub struct CallerClients {
    clients: Clients,
    connection_id: Arc<str>,
}

impl CallerClients {
    pub(crate) fn new(backplane: Backplane, connection_id: Arc<str>) -> Self {
        Self { clients: Clients::new(backplane), connection_id }
    }

    /// The caller itself.
    pub fn caller(&self) -> Recipients {
        self.connection(&*self.connection_id)
    }

    /// Everyone but the caller.
    pub fn others(&self) -> Recipients {
        self.all_except([&*self.connection_id])
    }

    /// A group without the caller.
    pub fn others_in_group(&self, group: impl Into<String>) -> Recipients {
        self.group_except(group, [&*self.connection_id])
    }
}

impl Deref for CallerClients {
    type Target = Clients;

    fn deref(&self) -> &Clients {
        &self.clients
    }
}

/// Those whom one invocation is for.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before invoke"]
pub struct Recipients {
    backplane: Backplane,
    target: Target,
}

impl Recipients {
    /// Invokes a method of the clients with a tuple or `Vec` of arguments, `()` for none, and waits for no
    /// answer.
    ///
    /// # Errors
    ///
    /// When the arguments are no JSON array, or the backplane could not take the invocation.
    pub async fn invoke(
        self,
        method: impl Into<String>,
        arguments: impl Serialize,
    ) -> Result<(), InvokeError> {
        let invocation = Invocation::new(method, arguments)?;
        Ok(self.backplane.send(self.target, invocation).await?)
    }
}

/// Why an invocation was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// Its arguments are no JSON array.
    #[error(transparent)]
    Arguments(#[from] InvocationError),
    /// The backplane did not take it.
    #[error(transparent)]
    Send(#[from] SendError),
}
