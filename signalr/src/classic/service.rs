//! The hubs of one path, and what their requests share.

use std::{fmt, sync::Arc, time::Duration};

use axum::{http::request::Parts, response::Response};
use futures_util::future::select_all;
use tokio::sync::Semaphore;

use super::{elsewhere::Elsewhere, place::Places, reply::Refusal, token::Tokens};
use crate::{auth, hub::Hub, metrics::Reason, origin, peer::Visitor, refusal, user::Authenticated};

/// Serves the requests of one path.
pub(super) struct Service {
    hubs: Vec<Hub>,
    pub(super) settings: Settings,
    pub(super) tokens: Tokens,
    pub(super) places: Places,
    pub(super) elsewhere: Elsewhere,
    /// Permits for calls on their way to other servers.
    pub(super) forwards: Semaphore,
    /// Permits for calls of clients that have no connection on this server.
    pub(super) stray_calls: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Maximum size of a call.
    pub(super) message_bytes_max: usize,
    /// Time between two polls of a client.
    pub(super) long_poll_delay: Duration,
    pub(super) has_script: bool,
    pub(super) allows_jsonp: bool,
}

impl Settings {
    /// Returns the milliseconds between two polls, if there is a delay.
    pub(super) fn poll_delay(&self) -> Option<u64> {
        let millis = u64::try_from(self.long_poll_delay.as_millis()).unwrap_or(u64::MAX);
        (millis > 0).then_some(millis)
    }
}

/// The users of one request, as each hub sees them.
#[derive(Clone, Debug)]
pub(super) struct Users(Vec<Visitor>);

impl Service {
    pub(super) fn new(hubs: Vec<Hub>, settings: Settings) -> Self {
        // All servers choose the same hub, whatever the order in which they add them.
        let hub = hubs.iter().min_by_key(|hub| hub.name());
        let names = || hubs.iter().map(|hub| hub.name().to_owned()).collect();
        let elsewhere = hub.map(|hub| Elsewhere::new(Arc::clone(hub.farm()), names()));
        let tokens = hub.map(|hub| Tokens::new(Arc::clone(hub.farm().tokens())));
        Self {
            settings,
            tokens: tokens.unwrap_or_default(),
            places: Places::default(),
            elsewhere: elsewhere.unwrap_or_default(),
            forwards: Semaphore::new(FORWARDS_MAX),
            stray_calls: Arc::new(Semaphore::new(STRAY_CALLS_MAX)),
            hubs,
        }
    }

    pub(super) fn hubs(&self) -> &[Hub] {
        &self.hubs
    }

    /// Returns the index of a hub. The case of its name is ignored.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        self.hubs.iter().position(|hub| hub.name().to_lowercase() == name)
    }

    /// Returns the indices of hubs.
    pub(super) fn find_all(&self, names: &[String]) -> Result<Vec<usize>, Refusal> {
        let mut found = Vec::new();
        for name in names {
            let Some(hub) = self.find(name) else {
                return Err(Refusal::failed(format!("'{name}' Hub could not be resolved.")));
            };
            if found.contains(&hub) {
                return Err(Refusal::failed("Duplicate Hub names found."));
            }
            found.push(hub);
        }
        Ok(found)
    }

    /// Returns a refusal if a hub does not allow the page that sent a request, or the host.
    pub(super) fn refuse_page(&self, parts: &Parts) -> Option<Response> {
        self.hubs.iter().find_map(|hub| {
            let refused = refusal::unlisted_page(parts, hub.options())?;
            if let Some(&reason) = refused.extensions().get::<Reason>() {
                hub.metrics().refused(reason);
            }
            Some(refused)
        })
    }

    /// Returns the origins of all hubs.
    pub(super) fn origins(&self) -> Vec<origin::Origin> {
        self.hubs.iter().flat_map(|hub| hub.options().origins.clone()).collect()
    }

    /// Returns the users of a request. A client of one path can call all hubs of it, so each of
    /// their authenticators must allow the request.
    pub(super) async fn users(&self, parts: &mut Parts) -> Result<Users, Refusal> {
        let mut users = Vec::new();
        for hub in &self.hubs {
            match auth::user(hub, parts).await {
                Ok(Some(user)) => parts.extensions.insert(user),
                Ok(None) => parts.extensions.remove::<Authenticated>(),
                Err(error) => {
                    hub.metrics().refused(Reason::Auth);
                    return Err(Refusal::new(auth::status(error), ""));
                }
            };
            users.push(hub.visitor(parts));
        }
        Ok(Users(users))
    }

    /// Waits until one of the hubs ends a connection, since it shuts down.
    pub(super) async fn turn_to_end(&self) {
        select_all(self.hubs.iter().map(|hub| Box::pin(hub.turn_to_end()))).await;
    }

    /// Returns whether one of the hubs shuts down.
    pub(super) fn is_stopping(&self) -> bool {
        self.hubs.iter().any(|hub| hub.stopping().is_cancelled())
    }
}

impl Users {
    /// Returns the user for a hub, by index.
    pub(super) fn of(&self, hub: usize) -> &Visitor {
        &self.0[hub]
    }

    /// Returns one text for all users. Hubs usually find the same user.
    pub(super) fn identity(&self) -> String {
        let mut users: Vec<&str> =
            self.0.iter().map(|user| user.user_id.as_deref().unwrap_or("")).collect();
        users.dedup();
        users.join("\n")
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("settings", &self.settings).finish_non_exhaustive()
    }
}

const STRAY_CALLS_MAX: usize = 64;
/// Each holds the body of its request.
const FORWARDS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_one_identity() {
        check(&[None], "");
        check(&[None, None], "");
        check(&[Some("ann"), Some("ann")], "ann");
        check(&[Some("ann"), None], "ann\n");
        check(&[None, Some("ann")], "\nann");
    }

    fn check(users: &[Option<&str>], expected: &str) {
        let visitor =
            |user: &Option<&str>| Visitor { user_id: user.map(Into::into), ..Visitor::default() };
        let users = Users(users.iter().map(visitor).collect());
        assert_eq!(users.identity(), expected);
    }
}
