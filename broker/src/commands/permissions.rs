//! Permissions of requests: checks against the user's ACL rules, and records in the ACL log.

use std::time::Instant;

use super::client_list;
use super::command;
use super::errors::CommandError;
use super::spec::{ChannelPositions, Flag, Spec};
use crate::acl::{Access, CallContext, ChannelUse, Denied, Incident, KeyUse, Reason, User};
use crate::protocol::request::Request;
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
    if session.user.may_do_everything() || spec.has(Flag::NoAuth) {
        return Ok(());
    }
    let Err(denied) = permission(&session.user, spec, request) else { return Ok(()) };
    let origin = if in_transaction { CallContext::Multi } else { CallContext::TopLevel };
    let (reason, object) = incident(spec, &denied);
    record_refusal(session, context, reason, object, session.user.name(), origin);
    Err(refused(spec, &denied))
}

/// Records a refusal in the ACL log. For a script, the entry describes its caller.
pub(super) fn record_refusal(
    session: &Session,
    context: &Context,
    reason: Reason,
    object: Vec<u8>,
    username: &[u8],
    origin: CallContext,
) {
    let info = session.script_caller.as_ref().map_or(&session.info, |caller| &caller.info);
    let mut client_info = String::new();
    client_list::describe(info, Instant::now(), 0, &mut client_info);
    let incident = Incident {
        reason,
        context: origin,
        object,
        username: username.to_vec(),
        client_info: client_info.trim_end().as_bytes().to_vec(),
    };
    session.server.users.record(incident, context.config.acllog_max_len);
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
    user.may(&access)
}

fn refused(spec: &Spec, denied: &Denied) -> CommandError {
    let what = match denied {
        Denied::Command => format!("run the '{}' command", spec.name),
        Denied::Key(_) => "access one of the keys used as arguments".to_owned(),
        Denied::Channel(_) => "access one of the channels used as arguments".to_owned(),
    };
    format!("NOPERM this user has no permissions to {what}").into_bytes()
}

/// Returns the reply of `ACL DRYRUN` to a refused request.
pub(super) fn refused_in_full(spec: &Spec, denied: &Denied) -> Vec<u8> {
    let start = b"This user has no permissions to ";
    match denied {
        Denied::Command => [start, &b"run the '"[..], spec.name.as_bytes(), b"' command"].concat(),
        Denied::Key(key) => [start, &b"access the '"[..], key, b"' key"].concat(),
        Denied::Channel(channel) => [start, &b"access the '"[..], channel, b"' channel"].concat(),
    }
}
