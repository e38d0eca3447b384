//! What the client may do: its user, and what is refused.

use std::sync::Arc;

use crate::acl::users::is_default;
use crate::acl::{Access, CallContext, ChannelUse, Denied, Incident, KeyUse, Reason, User};
use crate::commands::{Command, Entry};
use crate::observe::disconnect::Disconnect;
use crate::protocol::request::Request;
use crate::pubsub::subscribers::Context;

use super::{CommandError, Names, Session};
use crate::commands::{client_list, command};

impl Session {
    /// Whether the client has to log in first.
    pub(crate) fn must_log_in(&self) -> bool {
        !self.authenticated && !self.server.users.is_open()
    }

    /// Becomes another user.
    pub(crate) fn become_user(&mut self, user: Arc<User>) {
        self.info.words.lock().user = user.name().to_vec();
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

    /// Looks whether the user may run a request, and notes it if not.
    pub(crate) fn check_permission(
        &self,
        entry: Entry,
        request: Request<'_>,
        context: &Context,
        in_transaction: bool,
    ) -> Result<(), CommandError> {
        if self.user.may_do_everything() || entry.runs_unauthenticated {
            return Ok(());
        }
        let denied = match permission(&self.user, entry, request) {
            Ok(()) => return Ok(()),
            Err(denied) => denied,
        };
        let origin = if in_transaction { CallContext::Multi } else { CallContext::TopLevel };
        let (reason, object) = incident(entry, &denied);
        self.record_refusal(reason, object, self.user.name(), context, origin);
        Err(refused(entry, &denied))
    }

    /// Adds to the ACL log.
    pub(crate) fn record_refusal(
        &self,
        reason: Reason,
        object: Vec<u8>,
        username: &[u8],
        context: &Context,
        origin: CallContext,
    ) {
        let info = self.script_caller.as_ref().map_or(&self.info, |caller| &caller.info);
        let mut client_info = String::new();
        client_list::describe(info, std::time::Instant::now(), 0, &mut client_info);
        let incident = Incident {
            reason,
            context: origin,
            object,
            username: username.to_vec(),
            client_info: client_info.trim_end().as_bytes().to_vec(),
        };
        self.server.users.record(incident, context.config.acllog_max_len);
    }
}

/// What the ACL log says of a refusal.
pub(crate) fn incident(entry: Entry, denied: &Denied) -> (Reason, Vec<u8>) {
    match denied {
        Denied::Command => (Reason::Command, entry.spec.name.as_bytes().to_vec()),
        Denied::Key(key) => (Reason::Key, key.clone()),
        Denied::Channel(channel) => (Reason::Channel, channel.clone()),
    }
}

/// Whether a user may run a request.
pub(crate) fn permission(user: &User, entry: Entry, request: Request<'_>) -> Result<(), Denied> {
    let keys: Vec<(KeyUse, &[u8])> =
        command::keys(entry.spec, request).into_iter().map(|key| (key.used(), key.name)).collect();
    let channels: Vec<(ChannelUse, &[u8])> = match entry.spec.command {
        Command::Publish | Command::SPublish => vec![(ChannelUse::Literal, request.argument(1))],
        Command::Subscribe | Command::SSubscribe => {
            request.arguments_from(1).map(|channel| (ChannelUse::Literal, channel)).collect()
        }
        // Whoever may not listen to a channel may not read what was said there.
        Command::PubSubOffset | Command::PubSubReplay => {
            vec![(ChannelUse::Literal, request.argument(2))]
        }
        Command::PSubscribe => {
            request.arguments_from(1).map(|pattern| (ChannelUse::Pattern, pattern)).collect()
        }
        _ => Vec::new(),
    };
    let access = Access {
        command: entry.spec.name,
        argument: (request.len() > 1).then(|| request.argument(1)),
        keys: &keys,
        channels: &channels,
    };
    user.may(&access)
}

fn refused(entry: Entry, denied: &Denied) -> CommandError {
    let what = match denied {
        Denied::Command => format!("run the '{}' command", entry.spec.name),
        Denied::Key(_) => "access one of the keys used as arguments".to_owned(),
        Denied::Channel(_) => "access one of the channels used as arguments".to_owned(),
    };
    format!("NOPERM this user has no permissions to {what}").into_bytes()
}

/// What `ACL DRYRUN` says of the same.
pub(crate) fn refused_in_full(entry: Entry, denied: &Denied) -> Vec<u8> {
    let start = b"This user has no permissions to ";
    match denied {
        Denied::Command => {
            [start, &b"run the '"[..], entry.spec.name.as_bytes(), b"' command"].concat()
        }
        Denied::Key(key) => [start, &b"access the '"[..], key, b"' key"].concat(),
        Denied::Channel(channel) => [start, &b"access the '"[..], channel, b"' channel"].concat(),
    }
}
