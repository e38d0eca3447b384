//! The identity of a server process.

use resp::value::Value;

use super::resp_connection::RespConnection;

/// The `run_id` of a server process, if the server reports it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RunId(Option<String>);

impl RunId {
    /// Asks the server.
    pub(super) async fn ask(connection: &mut RespConnection) -> Self {
        let info = connection.ask(&[b"INFO", b"server"]).await.ok();
        let info = info.as_ref().and_then(Value::text).unwrap_or_default();
        let id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        Self(id.map(|id| id.trim().to_owned()))
    }

    /// Returns whether the other id may belong to another process: a server without a `run_id` may be
    /// another one.
    pub(super) fn may_differ(&self, other: &Self) -> bool {
        self.0.is_none() || self != other
    }

    /// Returns whether the other id belongs to another process for certain.
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.0.is_some() && other.0.is_some() && self != other
    }
}
