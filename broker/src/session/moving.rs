//! `CONFIG SET bind`, `CONFIG SET port` and `CONFIG SET tls-port`: moving the server to other addresses while it runs.

use std::sync::{Arc, OnceLock};

use super::client_info::ClientInfo;
use crate::address::Port;
use crate::config::Config;
use crate::tls::Material;

/// Addresses on which the server listens for TCP connections. Without a name or a port, it listens
/// on none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints {
    pub(crate) names: Vec<String>,
    pub(crate) port: Port,
    pub(crate) tls_port: Port,
    pub(crate) backlog: u32,
}

/// A move to other addresses while the server runs. The worker that owns the listeners performs
/// it; the client that asked for it waits for the outcome.
#[derive(Debug)]
pub(crate) struct Move {
    pub(crate) from: Endpoints,
    pub(crate) to: Endpoints,
    info: Arc<ClientInfo>,
    outcome: OnceLock<bool>,
}

impl Move {
    pub(crate) fn new(from: Endpoints, to: Endpoints, info: Arc<ClientInfo>) -> Self {
        Self { from, to, info, outcome: OnceLock::new() }
    }

    /// Records whether the move succeeded, and wakes the client that waits.
    pub(crate) fn end(&self, has_succeeded: bool) {
        let _ = self.outcome.set(has_succeeded);
        self.info.wake();
    }

    /// Returns whether the move succeeded; `None` before its end.
    pub(crate) fn outcome(&self) -> Option<bool> {
        self.outcome.get().copied()
    }
}

/// The checked changes of one `CONFIG SET`.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) config: Config,
    /// Values of ignored directives.
    pub(crate) others: Vec<(String, Vec<u8>)>,
    pub(crate) password: bool,
    pub(crate) channels_default: bool,
    /// Built from changed settings of TLS.
    pub(crate) tls: Option<Arc<Material>>,
}

/// Changes that come into force once the server listens on other addresses.
#[derive(Debug)]
pub(crate) struct Moving {
    pub(crate) wanted: Arc<Move>,
    /// Names and values of the settings.
    pub(crate) settings: Vec<(Vec<u8>, Vec<u8>)>,
    /// The directive as the client spelled it, for the error.
    pub(crate) name: Vec<u8>,
}
