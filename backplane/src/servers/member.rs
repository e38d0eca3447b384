//! The members of a group and their changes, as the application sees them.

use std::time::SystemTime;

/// A connection in a group, on any server. See [`Presence`](crate::Presence).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let builder = backplane::Backplane::builder("ChatApp").presence(["*"]);
/// let backplane = builder.embedded(&broker::Broker::new())?;
/// let _ann = backplane.attach("c1", Some("ann"));
/// backplane.join("c1", "room").await?;
/// let members = backplane.presence().members("room");
/// assert_eq!((&*members[0].connection, members[0].user.as_deref()), ("c1", Some("ann")));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The id of the connection.
    pub connection: String,
    /// The user of the connection.
    pub user: Option<String>,
    /// The id of its server, as in [`Backplane::servers`](crate::Backplane::servers).
    pub server: String,
    /// When it joined, by the clock of this server.
    pub since: SystemTime,
}

/// A change of the members of a group. See [`Presence::watch`](crate::Presence::watch).
///
/// ```
/// let change = backplane::PresenceChange::Reset(Vec::new());
/// assert!(!matches!(change, backplane::PresenceChange::Joined { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceChange {
    /// A connection has joined.
    #[non_exhaustive]
    Joined {
        /// The connection.
        member: Member,
        /// Whether it is the first one of its user. A connection without a user always is.
        is_first: bool,
    },
    /// A connection has left.
    #[non_exhaustive]
    Left {
        /// The connection.
        member: Member,
        /// Whether it was the last one of its user. A connection without a user always is.
        is_last: bool,
        /// The cause.
        reason: LeftReason,
    },
    /// All members: at the beginning, or after changes may have been missed.
    Reset(Vec<Member>),
}

/// Why a member has left.
///
/// ```
/// assert_ne!(backplane::LeftReason::Left, backplane::LeftReason::ServerGone);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftReason {
    /// It left the group, or its connection ended.
    Left,
    /// Its server was shut down.
    ServerShutdown,
    /// Its server gave no sign of life for 15 seconds.
    ServerGone,
}
