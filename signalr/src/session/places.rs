//! The places of messages, for a resumable client, and its groups token.

use std::{mem, sync::Arc};

use backplane::{Connection, Cursor, Gap, Invocation};

use super::own_groups;
use crate::{hub::Hub, peer::Peer, resumption::Former};

/// What a resumable client has still to learn.
#[derive(Debug)]
pub(super) struct Places {
    connection_id: Arc<str>,
    user_id: Option<Arc<str>>,
    /// Whether the client does not have the token of its groups.
    owes_token: bool,
    /// Whether the client is to learn that it has lost messages.
    has_lost: bool,
}

impl Places {
    /// Begins to follow the groups of a connection.
    pub(super) fn begin(peer: &Peer, connection: &Connection, has_lost: bool) -> Self {
        connection.report_groups();
        let connection_id = Arc::clone(&peer.connection_id);
        Self { connection_id, user_id: peer.user_id.clone(), owes_token: true, has_lost }
    }

    /// Returns what the client has to know before the next message, with the place of the connection.
    /// The groups token waits until there is one.
    pub(super) fn due(
        &mut self,
        hub: &Hub,
        connection: &Connection,
    ) -> Option<(Invocation, Cursor)> {
        // A result that follows says that the client is in its new groups.
        self.owes_token |= connection.take_new_groups();
        if !self.owes_token && !self.has_lost {
            return None;
        }
        let at = connection.cursor();
        if at.is_start() {
            return None;
        }
        if mem::take(&mut self.has_lost) {
            hub.metrics().gap("report");
            return Some((Invocation::new("missed", [(), ()]).ok()?, at));
        }
        self.owes_token = false;
        let former = Former {
            connection_id: self.connection_id.as_ref().to_owned(),
            user_id: self.user_id.as_deref().map(str::to_owned),
            groups: own_groups(hub, &connection.groups()),
        };
        let token = former.sign(hub.farm().tokens(), hub.name(), at);
        hub.farm().spread_keys();
        Some((Invocation::new("groupsToken", [token]).ok()?, at))
    }
}

/// Returns the invocation that reports lost messages, as clients of SignalR 2 get it.
pub(super) fn missed(gap: Gap) -> Invocation {
    Invocation::new("missed", (gap.from, gap.to)).expect("numbers are JSON")
}
