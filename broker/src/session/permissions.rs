//! The user of a client, and the end of clients that lose a permission.

use std::sync::Arc;

use super::context::Context;
use super::{Names, Session};
use crate::acl::users::is_default;
use crate::acl::{ChannelUse, User};
use crate::observe::disconnect::Disconnect;

impl Session {
    /// Returns whether the client must authenticate before other commands.
    pub(crate) fn must_log_in(&self) -> bool {
        !self.authenticated && !self.server.users.is_open()
    }

    /// Changes the user of the client.
    pub(crate) fn become_user(&mut self, user: Arc<User>) {
        self.info.names.lock().user = user.name().to_vec();
        self.user = user;
        self.users_seen = self.server.users.generation();
    }

    /// Reads the user again if users have changed. Disconnects the client if its user is gone or
    /// has lost access to a subscribed channel. Returns whether the session goes on.
    pub(crate) fn refresh_user(&mut self, context: &mut Context) -> bool {
        let goes_on = self.keeps_user();
        if !goes_on {
            context.flush_queue().disconnect(&self.output, Disconnect::Killed);
        }
        goes_on
    }

    /// Reads the user again if users have changed. Returns whether the session may go on.
    pub(crate) fn keeps_user(&mut self) -> bool {
        if self.users_seen == self.server.users.generation() {
            return true;
        }
        let before = self.user.clone();
        match self.server.users.get(before.name()) {
            Some(user) if before.is_still(&user) => {
                self.become_user(user);
                !before.loses_channels(&self.user) || self.may_listen_to_all()
            }
            // The default user was loaded from the ACL file again. Redis then closes the clients of
            // all other users, but keeps those of the default user with their subscriptions.
            Some(user) if is_default(user.name()) => {
                self.become_user(user);
                true
            }
            _ => false,
        }
    }

    fn may_listen_to_all(&self) -> bool {
        let may = |names: &Names, used| names.iter().all(|name| self.user.may_listen(used, name));
        may(&self.channels, ChannelUse::Literal)
            && may(&self.shards, ChannelUse::Literal)
            && may(&self.patterns, ChannelUse::Pattern)
    }
}
