//! What the client may do: its user, and what is refused.

use std::sync::Arc;

use super::context::Context;
use super::{Names, Session};
use crate::acl::users::is_default;
use crate::acl::{ChannelUse, User};
use crate::observe::disconnect::Disconnect;

impl Session {
    /// Whether the client has to log in first.
    pub(crate) fn must_log_in(&self) -> bool {
        !self.authenticated && !self.server.users.is_open()
    }

    /// Becomes another user.
    pub(crate) fn become_user(&mut self, user: Arc<User>) {
        self.info.names.lock().user = user.name().to_vec();
        self.user = user;
        self.users_seen = self.server.users.generation();
    }

    /// Takes over what changed of the user, and ends the client if its user is gone or may no
    /// longer listen to what the client listens to. Returns whether it goes on.
    pub(crate) fn refresh_user(&mut self, context: &mut Context) -> bool {
        if self.users_seen == self.server.users.generation() {
            return true;
        }
        let before = self.user.clone();
        let goes_on = match self.server.users.get(before.name()) {
            Some(user) if before.is_still(&user) => {
                self.become_user(user);
                !before.loses_channels(&self.user) || self.may_listen_to_all()
            }
            // It came from the file again. Redis closes all clients of the users before, but keeps
            // those of the default user, and whatever they listen to.
            Some(user) if is_default(user.name()) => {
                self.become_user(user);
                true
            }
            _ => false,
        };
        if !goes_on {
            context.flush_queue().disconnect(&self.output, Disconnect::Killed);
        }
        goes_on
    }

    fn may_listen_to_all(&self) -> bool {
        let may = |names: &Names, used| names.iter().all(|name| self.user.may_listen(used, name));
        may(&self.channels, ChannelUse::Literal)
            && may(&self.shards, ChannelUse::Literal)
            && may(&self.patterns, ChannelUse::Pattern)
    }
}
