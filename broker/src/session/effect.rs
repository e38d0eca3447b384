//! Actions that a session asks its worker for, since it cannot perform them itself.

use std::sync::Arc;

use super::moving::Move;
use super::survey::Survey;

/// An action that the worker performs after the current request.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Close these clients.
    Close(Vec<u64>),
    /// Wake all clients whose requests are held back by a pause.
    Resume,
    /// Check the permissions of all clients again, since users have changed.
    CheckPermissions,
    /// Close the largest clients, if all together exceed `maxmemory-clients`.
    Evict,
    /// Listen on other addresses.
    Move(Arc<Move>),
    /// Run a late script on, a piece at a time, until it ends.
    #[cfg(feature = "lua")]
    ResumeScript,
    /// Ask all workers for the subscribers of a channel.
    Survey(Arc<Survey>),
    /// Stop the server.
    ShutDown,
}
