//! `user-limits`: what the clients of one user may take, so that no user takes the place of others.

use super::errors::CommandError;
use super::spec::{ChannelPositions, Spec};
use crate::config::{Config, UserLimits};
use crate::protocol::request::Request;
use crate::session::Session;
use crate::session::client_info::Flag;
use crate::session::server_state::ServerState;

/// Returns the limits of a user. A later line counts before an earlier one.
fn limits<'a>(config: &'a Config, user: &[u8]) -> Option<&'a UserLimits> {
    config.user_limits.iter().rev().find(|limits| limits.user == user)
}

/// When a request is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A transaction queues it. Nothing is counted yet.
    Queued,
    Run,
}

/// Checks whether a request stays within the limits of its user.
pub(crate) fn check(
    session: &Session,
    config: &Config,
    spec: &Spec,
    request: Request<'_>,
    moment: Moment,
) -> Result<(), CommandError> {
    if config.user_limits.is_empty() {
        return Ok(());
    }
    let user = session.user.name();
    let Some(limits) = limits(config, user) else { return Ok(()) };
    match spec.channels {
        ChannelPositions::At(_) => {
            let bytes = request.argument(2).len();
            if limits.message_bytes.is_some_and(|max| bytes > max) {
                return Err(exceeded(user, "message-bytes", limits.message_bytes));
            }
            if moment == Moment::Queued {
                return Ok(());
            }
            let server = &session.server;
            let counts = |max| !server.user_rates.lock().count(user, server.uptime(), max as u64);
            if limits.messages.is_some_and(counts) {
                return Err(exceeded(user, "messages", limits.messages));
            }
        }
        ChannelPositions::From(_) | ChannelPositions::Patterns(_) if moment == Moment::Queued => {}
        ChannelPositions::From(at) | ChannelPositions::Patterns(at) => {
            let names = match (spec.name, &spec.channels) {
                ("ssubscribe", _) => &session.shards,
                (_, ChannelPositions::Patterns(_)) => &session.patterns,
                _ => &session.channels,
            };
            let present = session.channels.len() + session.shards.len() + session.patterns.len();
            let added = request.arguments_from(at).filter(|name| !names.contains(*name)).count();
            if limits.subscriptions.is_some_and(|max| present + added > max) {
                return Err(exceeded(user, "subscriptions", limits.subscriptions));
            }
        }
        ChannelPositions::None => {}
    }
    Ok(())
}

/// Checks whether another client may log in as a user. `but` is the client that wants to.
pub(crate) fn check_login(
    server: &ServerState,
    config: &Config,
    user: &[u8],
    but: u64,
) -> Result<(), CommandError> {
    let Some(UserLimits { clients: Some(max), .. }) = limits(config, user) else { return Ok(()) };
    let others = server.clients.all().into_iter().filter(|info| info.id != but);
    let is_of_user = |names: &[u8]| names == user;
    let count = others
        .filter(|info| !info.is(Flag::Stranger) && is_of_user(&info.names.lock().user))
        .take(*max)
        .count();
    if count < *max { Ok(()) } else { Err(exceeded(user, "clients", Some(*max))) }
}

fn exceeded(user: &[u8], limit: &str, max: Option<usize>) -> CommandError {
    let user = String::from_utf8_lossy(user);
    format!("QUOTA user '{user}' has the limit {limit} {}", max.unwrap_or(0)).into_bytes()
}
