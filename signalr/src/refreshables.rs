//! The connections whose clients may renew their users, by connection id.
//!
//! A connection is listed while its session runs. A request finds it through its token, which
//! contains the id.

use std::{collections::HashMap, sync::Arc};

use locks::Mutex;

use crate::{close_handle::CloseHandle, disconnect::Disconnect, peer::Peer, user::Authenticated};

/// The connections of a hub on this server.
#[derive(Debug, Default)]
pub(crate) struct Refreshables(Mutex<HashMap<Arc<str>, Refreshable>>);

/// A connection whose client may renew its user.
#[derive(Clone, Debug)]
pub(crate) struct Refreshable {
    peer: Arc<Peer>,
    close_handle: Arc<CloseHandle>,
}

impl Refreshables {
    /// Lists a connection until the result is dropped.
    pub(crate) fn enter(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        close_handle: &Arc<CloseHandle>,
    ) -> Listed {
        peer.allow_refreshes();
        let refreshable =
            Refreshable { peer: Arc::clone(peer), close_handle: Arc::clone(close_handle) };
        self.0.lock().insert(Arc::clone(&peer.connection_id), refreshable);
        Listed { refreshables: Arc::clone(self), peer: Arc::clone(peer) }
    }

    pub(crate) fn find(&self, connection_id: &str) -> Option<Refreshable> {
        self.0.lock().get(connection_id).cloned()
    }
}

impl Refreshable {
    /// Takes the number of a refresh that begins. Of two refreshes the one with the higher number
    /// has the last word.
    pub(crate) fn begin(&self) -> u64 {
        self.peer.begin_refresh()
    }

    /// Replaces the user. If its id differs, ends the connection instead and returns false.
    pub(crate) fn refresh(
        &self,
        number: u64,
        user_id: Option<&str>,
        user: Option<Authenticated>,
    ) -> bool {
        if user_id != self.peer.user_id.as_deref() {
            self.close_handle.close(Disconnect::Aborted);
            return false;
        }
        self.peer.refresh(number, user);
        true
    }

    /// Returns whether a request has other credentials than the connection.
    pub(crate) fn is_news(&self, user: Option<&Authenticated>) -> bool {
        match (self.peer.user(), user) {
            (Some(old), Some(new)) => old.differs_from(new),
            _ => false,
        }
    }
}

/// A listed connection.
#[derive(Debug)]
pub(crate) struct Listed {
    refreshables: Arc<Refreshables>,
    peer: Arc<Peer>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut all = self.refreshables.0.lock();
        // The connection may have come back meanwhile.
        if all
            .get(&self.peer.connection_id)
            .is_some_and(|listed| Arc::ptr_eq(&listed.peer, &self.peer))
        {
            all.remove(&self.peer.connection_id);
        }
    }
}
