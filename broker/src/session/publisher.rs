//! A client as the publisher of messages that taps show.

use std::sync::Arc;

use super::Session;
use super::client_info::{ClientInfo, Flag};
use crate::pubsub::{Publisher, PublisherNames};

impl Session {
    /// Returns the client that publishes: a script acts for its caller.
    pub(crate) fn publisher(&self) -> Arc<dyn Publisher> {
        let info = self.script_caller.as_ref().map_or(&self.info, |caller| &caller.info);
        info.clone()
    }
}

impl Publisher for ClientInfo {
    fn is_master(&self) -> bool {
        self.is(Flag::Master)
    }

    fn describe(&self) -> PublisherNames {
        let names = self.names.lock();
        PublisherNames {
            id: self.id,
            name: names.name.clone(),
            address: self.peer.to_string(),
            user: names.user.clone(),
        }
    }
}
