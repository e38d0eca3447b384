//! The states of the two connections to a server, and the resulting state of the backplane.

use locks::Mutex;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::failure::Failure;
use crate::metrics::Metrics;
use crate::state::State;

#[derive(Debug)]
pub(super) struct Status {
    purpose: Purpose,
    roles: Mutex<[RoleState; 2]>,
    state: watch::Sender<State>,
}

/// The messages that a bus carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Those of clients.
    Clients,
    /// Those between servers. The backplane works without them.
    Servers,
}

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionRole {
    Subscription,
    Commands,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum RoleState {
    Connecting,
    Up,
    Down { reason: String },
}

impl Status {
    pub(super) fn new(purpose: Purpose) -> Self {
        Self {
            purpose,
            roles: Mutex::new([RoleState::Connecting, RoleState::Connecting]),
            state: watch::Sender::new(State::Connecting),
        }
    }

    pub(super) fn changes(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(super) fn is_up(&self, role: ConnectionRole) -> bool {
        self.roles.lock()[role as usize] == RoleState::Up
    }

    /// Returns the most recent failure.
    pub(super) fn reason(&self) -> String {
        match &*self.state.borrow() {
            State::Disconnected { reason } => reason.clone(),
            State::Connecting => "the first attempt is in progress".to_owned(),
            State::Connected => "messages wait for replies or subscribers".to_owned(),
        }
    }

    /// Counts the subscription as up: only the other connection is used.
    pub(super) fn without_subscription(&self) {
        self.roles.lock()[ConnectionRole::Subscription as usize] = RoleState::Up;
    }

    pub(super) fn up(&self, role: ConnectionRole, attempt: u32, metrics: &Metrics) {
        info!(connection = self.name(role), attempt, "backplane connected");
        self.set(role, RoleState::Up, metrics);
    }

    /// Records a failure, and logs it unless it is the same as before.
    pub(super) fn down(&self, role: ConnectionRole, failure: &Failure, metrics: &Metrics) {
        if !self.set(role, RoleState::Down { reason: failure.to_string() }, metrics) {
            return;
        }
        let connection = self.name(role);
        match failure {
            Failure::Refused(reason) if self.purpose == Purpose::Servers => {
                warn!(reason, features = FEATURES, "the broker refuses the channels of servers");
            }
            Failure::Refused(reason) => error!(connection, reason, "backplane rejected"),
            Failure::Lost(_) | Failure::Silent(_) => {
                warn!(connection, reason = %failure, "backplane disconnected");
            }
        }
    }

    /// Returns whether the server should be asked again only after a while: a refusal does not end
    /// by itself, and nothing waits for the end.
    pub(super) fn is_patient(&self, failure: &Failure) -> bool {
        self.purpose == Purpose::Servers && matches!(failure, Failure::Refused(_))
    }

    fn name(&self, role: ConnectionRole) -> &'static str {
        match self.purpose {
            Purpose::Clients => role.name(),
            Purpose::Servers => SERVERS,
        }
    }

    /// Sets the final state.
    pub(super) fn ended(&self, reason: &str) {
        self.state.send_replace(State::Disconnected { reason: reason.to_owned() });
    }

    /// Sets the state of one connection. Returns whether it has changed.
    fn set(&self, role: ConnectionRole, state: RoleState, metrics: &Metrics) -> bool {
        let mut roles = self.roles.lock();
        let is_news = roles[role as usize] != state;
        roles[role as usize] = state;
        let state = overall(&roles);
        metrics.connected.set(i64::from(state == State::Connected));
        self.state.send_if_modified(|current| {
            let is_news = *current != state;
            *current = state;
            is_news
        });
        is_news
    }
}

impl ConnectionRole {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Commands => "commands",
        }
    }
}

/// Combines both states: any failure means disconnected, then any first attempt means connecting.
fn overall(roles: &[RoleState; 2]) -> State {
    let reasons = roles.iter().filter_map(|state| match state {
        RoleState::Down { reason } => Some(reason.clone()),
        RoleState::Connecting | RoleState::Up => None,
    });
    match reasons.into_iter().next() {
        Some(reason) => State::Disconnected { reason },
        None if roles.contains(&RoleState::Connecting) => State::Connecting,
        None => State::Connected,
    }
}

/// The name of both connections for messages between servers.
const SERVERS: &str = "servers";
/// What does not work without messages between servers.
const FEATURES: &str = "servers, send_to, on_message, ask, on_question, presence, connection, \
                        connections_of, leave_all, disconnect";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backplane_is_connected_with_both_connections() {
        let (status, metrics) = (Status::new(Purpose::Clients), Metrics::default());
        let state = || status.changes().borrow().clone();
        status.up(ConnectionRole::Subscription, 1, &metrics);
        assert_eq!(state(), State::Connecting);
        status.up(ConnectionRole::Commands, 1, &metrics);
        assert_eq!(state(), State::Connected);
        status.down(ConnectionRole::Commands, &Failure::closed(), &metrics);
        assert_eq!(state(), State::Disconnected { reason: Failure::closed().to_string() });
        status.up(ConnectionRole::Commands, 1, &metrics);
        assert_eq!((state(), metrics.connected.get()), (State::Connected, 1));
    }
}
