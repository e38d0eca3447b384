//! `user-limits`: what the clients of one user may take, so that no user takes the place of others.

use locks::MutexGuard;

use super::errors::CommandError;
use super::spec::{ChannelPositions, Spec};
use crate::config::{Config, UserLimits};
use crate::protocol::request::Request;
use crate::session::Session;
use crate::session::client_info::Flag;
use crate::session::server_state::ServerState;
use crate::session::user_rates::UserRates;

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
    if config.user_limits.is_empty() || session.master.is_some() {
        return Ok(());
    }
    let user = session.user.name();
    let Some(limits) = limits(config, user) else { return Ok(()) };
    match spec.channels {
        ChannelPositions::At(_) => {
            if let Some(max) = limits.message_bytes
                && request.argument(2).len() > max
            {
                return Err(exceeded(user, "message-bytes", max));
            }
            let server = &session.server;
            if moment == Moment::Run
                && let Some(max) = limits.messages
                && !server.user_rates.lock().count(user, server.uptime(), max as u64)
            {
                return Err(exceeded(user, "messages", max));
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
            if let Some(max) = limits.subscriptions
                && present + added > max
            {
                return Err(exceeded(user, "subscriptions", max));
            }
        }
        ChannelPositions::None => {}
    }
    Ok(())
}

/// Checks whether another client may log in as a user. `but` is the client that wants to. While the
/// result is held, no other client logs in as a user with a limit: two must not both find the last place.
pub(crate) fn check_login<'a>(
    server: &'a ServerState,
    config: &Config,
    user: &[u8],
    but: u64,
) -> Result<Option<MutexGuard<'a, UserRates>>, CommandError> {
    let Some(max) = limits(config, user).and_then(|limits| limits.clients) else { return Ok(None) };
    let one_at_a_time = server.user_rates.lock();
    let others = server.clients.all().into_iter().filter(|info| {
        info.id != but && !info.is(Flag::Stranger) && info.names.lock().user == user
    });
    match others.take(max).count() < max {
        true => Ok(Some(one_at_a_time)),
        false => Err(exceeded(user, "clients", max)),
    }
}

fn exceeded(user: &[u8], limit: &str, max: usize) -> CommandError {
    let user = String::from_utf8_lossy(user);
    format!("QUOTA user '{user}' has the limit {limit} {max}").into_bytes()
}
