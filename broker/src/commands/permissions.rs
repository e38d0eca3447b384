//! Permissions of requests: checks against the user's ACL rules, and records in the ACL log.

use std::time::Instant;

use super::client_list;
use super::command;
use super::errors::CommandError;
use super::spec::{ChannelPositions, Flag, Spec};
use crate::acl::{Access, CallContext, ChannelUse, Denied, Incident, KeyUse, Reason, User};
use crate::observe::stats;
use crate::protocol::request::Request;
use crate::pubsub::taps::TAP_PREFIX;
use crate::session::Session;
use crate::session::context::Context;

/// Checks whether the user may run a request, and records a refusal.
pub(super) fn check_permission(
    session: &Session,
    context: &Context,
    spec: &'static Spec,
    request: Request<'_>,
    in_transaction: bool,
) -> Result<(), CommandError> {
    let is_free = session.user.may_do_everything() || session.master.is_some();
    if is_free || spec.has(Flag::NoAuth) {
        return Ok(());
    }
    let Err(denied) = permission(&session.user, spec, request) else { return Ok(()) };
    let origin = if in_transaction { CallContext::Multi } else { CallContext::TopLevel };
    let (reason, object) = incident(spec, &denied);
    record_refusal(session, context, reason, object, session.user.name(), origin);
    Err([b"NOPERM ", &refused(&session.user, spec, &denied)[..]].concat())
}

/// Counts a refusal, and records it in the ACL log. For a script, the entry describes its caller.
pub(super) fn record_refusal(
    session: &Session,
    context: &Context,
    reason: Reason,
    object: Vec<u8>,
    username: &[u8],
    origin: CallContext,
) {
    count_refusal(&session.server.broker.stats().denied, reason);
    let info = session.script_caller.as_ref().map_or(&session.info, |caller| &caller.info);
    let mut client_info = Vec::new();
    client_list::describe(info, Instant::now(), None, &mut client_info);
    let incident = Incident {
        reason,
        context: origin,
        object,
        username: username.to_vec(),
        client_info: client_info.trim_ascii_end().to_vec(),
    };
    session.server.users.record(incident, context.config.acllog_max_len);
}

fn count_refusal(counters: &stats::Denied, reason: Reason) {
    let counter = match reason {
        Reason::Command => &counters.commands,
        Reason::Key => &counters.keys,
        Reason::Channel => &counters.channels,
        Reason::Auth => &counters.logins,
        Reason::Certificate => &counters.certificates,
    };
    counter.add(1);
}

/// Returns the reason and the object of a refusal, for the ACL log.
pub(super) fn incident(spec: &Spec, denied: &Denied) -> (Reason, Vec<u8>) {
    match denied {
        Denied::Command => (Reason::Command, spec.name.as_bytes().to_vec()),
        Denied::Key(key) => (Reason::Key, key.clone()),
        Denied::Channel(channel) => (Reason::Channel, channel.clone()),
    }
}

/// Checks whether a user may run a request.
pub(super) fn permission(user: &User, spec: &Spec, request: Request<'_>) -> Result<(), Denied> {
    let keys: Vec<(KeyUse, &[u8])> =
        command::keys(spec, request).into_iter().map(|key| (key.used(), key.name)).collect();
    let from = |at, used| request.arguments_from(at).map(move |name| (used, name)).collect();
    let channels: Vec<(ChannelUse, &[u8])> = match spec.channels {
        ChannelPositions::None => Vec::new(),
        ChannelPositions::At(at) => vec![(ChannelUse::Literal, request.argument(at))],
        ChannelPositions::From(at) => from(at, ChannelUse::Literal),
        ChannelPositions::Patterns(at) => from(at, ChannelUse::Pattern),
    };
    let access = Access {
        command: spec.name,
        argument: (request.len() > 1).then(|| request.argument(1)),
        keys: &keys,
        channels: &channels,
    };
    user.may(&access)?;
    match channels.iter().find(|(_, name)| !may_tap(user, spec, name)) {
        Some((_, name)) => Err(Denied::Channel(name.to_vec())),
        None => Ok(()),
    }
}

/// Returns whether a user may begin the tap with this name, if it is one.
fn may_tap(user: &User, spec: &Spec, name: &[u8]) -> bool {
    let is_tap = matches!(spec.name, "subscribe" | "psubscribe") && name.starts_with(TAP_PREFIX);
    !is_tap || user.may_tap(name, TAP_PREFIX)
}

/// Returns the reason of a refusal in the words of Redis 7.2. It names no key and no channel, since
/// the log of a program may show it.
pub(super) fn refused(user: &User, spec: &Spec, denied: &Denied) -> Vec<u8> {
    match denied {
        Denied::Command => refused_in_full(user, spec, denied),
        Denied::Key(_) => NO_KEY.to_vec(),
        Denied::Channel(_) => NO_CHANNEL.to_vec(),
    }
}

pub(super) const NO_KEY: &[u8] = b"No permissions to access a key";
pub(super) const NO_CHANNEL: &[u8] = b"No permissions to access a channel";

/// Returns the reply of `ACL DRYRUN` to a refused request.
pub(super) fn refused_in_full(user: &User, spec: &Spec, denied: &Denied) -> Vec<u8> {
    let (what, name, kind) = match denied {
        Denied::Command => ("run", spec.name.as_bytes(), "command"),
        Denied::Key(key) => ("access", &key[..], "key"),
        Denied::Channel(channel) => ("access", &channel[..], "channel"),
    };
    let start = [b"User ", user.name(), b" has no permissions to "].concat();
    [&start[..], what.as_bytes(), b" the '", name, b"' ", kind.as_bytes()].concat()
}
