//! The user of a client, and the end of clients that lose a permission.

use std::sync::Arc;

use super::context::Context;
use super::{Names, Session};
use crate::acl::users::is_default;
use crate::acl::{ChannelUse, User};
use crate::observe::disconnect::Disconnect;
use crate::pubsub::taps::TAP_PREFIX;

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
        if self.users_seen == self.server.users.generation() || self.master.is_some() {
            return true;
        }
        let user = self.present_user();
        match user {
            Some(user) => {
                self.become_user(user);
                true
            }
            None => {
                context.flush_queue().disconnect(&self.output, Disconnect::Killed);
                false
            }
        }
    }

    /// Returns the user as it is now, or none if the session must end.
    pub(crate) fn present_user(&self) -> Option<Arc<User>> {
        let before = &self.user;
        let user = self.server.users.get(before.name())?;
        let goes_on = match before.is_still(&user) {
            true => !before.loses_channels(&user) || self.may_listen_to_all(&user),
            // The default user was loaded from the ACL file again. Redis then closes the clients of
            // all other users, but keeps those of the default user with their subscriptions.
            false => is_default(user.name()),
        };
        let keeps_taps = Arc::ptr_eq(before, &user) || self.may_keep_taps(&user);
        (goes_on && keeps_taps).then_some(user)
    }

    fn may_keep_taps(&self, user: &User) -> bool {
        let mut names = self.channels.iter().chain(&self.patterns);
        names.all(|name| !name.starts_with(TAP_PREFIX) || user.may_tap(name, TAP_PREFIX))
    }

    fn may_listen_to_all(&self, user: &User) -> bool {
        let may = |names: &Names, used| names.iter().all(|name| user.may_listen(used, name));
        may(&self.channels, ChannelUse::Literal)
            && may(&self.shards, ChannelUse::Literal)
            && may(&self.patterns, ChannelUse::Pattern)
    }
}
