//! Who calls a hub method, and what a method may do for it.

use std::sync::Arc;

use backplane::{Backplane, GroupError};

use crate::{clients::CallerClients, close_handle::CloseHandle, disconnect::Disconnect};

/// The connection that a hub method runs for.
#[derive(Clone, Debug)]
pub struct Caller {
    connection_id: Arc<str>,
    user: Option<Arc<str>>,
    backplane: Backplane,
    close_handle: Arc<CloseHandle>,
}

impl Caller {
    pub(crate) fn new(
        connection_id: Arc<str>,
        user: Option<Arc<str>>,
        backplane: Backplane,
        close_handle: Arc<CloseHandle>,
    ) -> Self {
        Self { connection_id, user, backplane, close_handle }
    }

    /// Returns the connection's public id.
    #[must_use]
    pub fn connection_id(&self) -> &str {
        &self.connection_id
    }

    /// Returns who the hub's [`user_id`](crate::Hub::user_id) says it is.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Returns whom a method may invoke something on.
    #[must_use]
    pub fn clients(&self) -> CallerClients {
        CallerClients::new(self.backplane.clone(), Arc::clone(&self.connection_id))
    }

    /// Returns the groups, for this connection to join and leave.
    #[must_use]
    pub fn groups(&self) -> Groups<'_> {
        Groups { caller: self }
    }

    /// Ends the connection once the running method has returned; its client does not come back by itself.
    pub fn abort(&self) {
        self.close_handle.close(Disconnect::Aborted);
    }
}

/// The groups, for one connection to join and leave.
#[derive(Clone, Copy, Debug)]
pub struct Groups<'a> {
    caller: &'a Caller,
}

impl Groups<'_> {
    /// Adds the connection to a group; what is sent to the group from then on reaches it.
    ///
    /// # Errors
    ///
    /// When the connection has ended or the backplane cannot do it.
    pub async fn add(&self, group: &str) -> Result<(), GroupError> {
        self.caller.backplane.join(&self.caller.connection_id, group).await
    }

    /// Removes the connection from a group.
    ///
    /// # Errors
    ///
    /// When the connection has ended or the backplane cannot do it.
    pub async fn remove(&self, group: &str) -> Result<(), GroupError> {
        self.caller.backplane.leave(&self.caller.connection_id, group).await
    }
}
