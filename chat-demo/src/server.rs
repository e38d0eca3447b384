//! The server of a connection: its name and the state of its backplane.
//!
//! The page shows both. It asks its hub connection, since a request through a load balancer may
//! reach another server.

use backplane::{Backplane, State};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use signalr::HubStream;
use tokio::sync::watch;

/// A server and the state of its backplane.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServerState {
    pub(crate) server: String,
    pub(crate) app: String,
    pub(crate) backplane: BackplaneState,
}

/// The state of a backplane, as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BackplaneState {
    state: &'static str,
    error: Option<&'static str>,
}

impl ServerState {
    pub(crate) fn new(server: String, backplane: &Backplane) -> Self {
        let app = backplane.app_name().to_owned();
        Self { server, app, backplane: (&backplane.state()).into() }
    }
}

impl From<&State> for BackplaneState {
    fn from(state: &State) -> Self {
        let (state, error) = match state {
            State::Connected => ("connected", None),
            State::Disconnected { .. } => ("disconnected", Some(UNREACHABLE)),
            _ => ("connecting", None),
        };
        Self { state, error }
    }
}

/// Returns the state of a server, now and after each change.
pub(crate) fn watch(server: String, backplane: &Backplane) -> HubStream<ServerState> {
    let app = backplane.app_name().to_owned();
    let mut states = backplane.state_changes();
    states.mark_changed();
    let states = stream::unfold(states, |mut states: watch::Receiver<State>| async {
        states.changed().await.ok()?;
        let state = BackplaneState::from(&*states.borrow_and_update());
        Some((state, states))
    });
    states
        .map(move |backplane| {
            Ok(ServerState { server: server.clone(), app: app.clone(), backplane })
        })
        .boxed()
}

/// The reason itself is in the log: it may name addresses and users of the broker.
const UNREACHABLE: &str = "The broker is not reachable.";
