//! The places of messages, for a resumable client, and its groups token.

use std::sync::Arc;

use backplane::{Connection, Gap, Invocation};

use super::own_groups;
use crate::{hub::Hub, peer::Peer, resumption::Former};

/// What a resumable client has still to learn.
#[derive(Debug)]
pub(super) struct Places {
    connection_id: Arc<str>,
    user_id: Option<Arc<str>>,
    /// Whether the client does not have the token of its groups.
    owes_token: bool,
}

impl Places {
    /// Begins to follow the groups of a connection.
    pub(super) fn begin(peer: &Peer, connection: &Connection) -> Self {
        connection.report_groups();
        let connection_id = Arc::clone(&peer.connection_id);
        Self { connection_id, user_id: peer.user_id.clone(), owes_token: true }
    }

    pub(super) fn groups_changed(&mut self) {
        self.owes_token = true;
    }

    /// Returns the invocation with the groups token, if the client does not have it. It waits until the
    /// connection has a place.
    pub(super) fn due_token(&mut self, hub: &Hub, connection: &Connection) -> Option<Invocation> {
        if !self.owes_token || connection.cursor().is_start() {
            return None;
        }
        self.owes_token = false;
        let former = Former {
            connection_id: self.connection_id.as_ref().to_owned(),
            user_id: self.user_id.as_deref().map(str::to_owned),
            groups: own_groups(hub, &connection.groups()),
        };
        let token = former.sign(hub.farm().tokens(), hub.name());
        hub.farm().spread_keys();
        Invocation::new("groupsToken", [token]).ok()
    }
}

/// Returns the invocation that reports lost messages, as clients of SignalR 2 get it.
pub(super) fn missed(gap: Gap) -> Invocation {
    Invocation::new("missed", (gap.from, gap.to)).expect("numbers are JSON")
}
