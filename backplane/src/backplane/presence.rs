//! The members of groups, and the users that are online, on all servers.

use std::sync::Arc;

use super::Backplane;
use crate::servers::{Member, Next, PresenceChange, ServerChannel, Watcher};

/// Who is there, on all servers, in the groups and among the users of one hub.
///
/// Each server knows the members of all servers, so an answer needs no message. Members of this
/// server are up to date, those of others are as far as their messages have arrived.
///
/// [`Builder::presence`](crate::Builder::presence) turns it on, for some groups or for all. Without
/// it, nobody is there. Servers of other implementations announce no members.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use backplane::Backplane;
///
/// let broker = broker::Broker::new();
/// let join = || Backplane::builder("ChatApp").presence(["room:*"]).embedded(&broker);
/// let (here, there) = (join()?, join()?);
/// let _tabs = (here.attach("c1", Some("ann")), there.attach("c2", Some("ann")));
/// here.join("c1", "room:1").await?;
/// there.join("c2", "room:1").await?;
///
/// let presence = here.presence();
/// while presence.count("room:1").connections < 2 {
///     tokio::task::yield_now().await;
/// }
/// assert_eq!(presence.count("room:1").users, 1);
/// assert!(presence.is_online("ann") && !presence.is_online("bob"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Presence {
    backplane: Backplane,
}

/// The size of a group.
///
/// ```
/// assert_eq!(backplane::Count::default().users, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Count {
    /// The number of connections.
    pub connections: usize,
    /// The number of users. A connection without a user counts as one.
    pub users: usize,
}

/// The members of a group, and their changes. See [`Presence::watch`].
#[derive(Debug)]
pub struct Watch {
    signal: String,
    /// All members, if they are to be returned next.
    reset: Option<Vec<Member>>,
    /// `None` without presence: then no change comes.
    source: Option<(Arc<ServerChannel>, Arc<Watcher>)>,
}

impl Backplane {
    /// Returns the presence in the hub of this handle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// assert!(backplane.presence().members("room").is_empty());
    /// # }
    /// ```
    pub fn presence(&self) -> Presence {
        Presence { backplane: self.clone() }
    }
}

impl Presence {
    /// Returns the connections in a group, in the order of their ids.
    ///
    /// See the type for an example.
    pub fn members(&self, group: &str) -> Vec<Member> {
        let signal = self.backplane.group_signal(group);
        let replica = self.channel().and_then(|channel| channel.presence());
        replica.map_or_else(Vec::new, |replica| replica.members(&signal))
    }

    /// Returns the size of a group.
    ///
    /// See the type for an example.
    pub fn count(&self, group: &str) -> Count {
        self.count_of(&self.backplane.group_signal(group))
    }

    /// Returns whether a user has a connection, in any group or in none.
    ///
    /// See the type for an example.
    pub fn is_online(&self, user: &str) -> bool {
        self.count_of(&self.backplane.user_signal(user)).connections > 0
    }

    /// Returns the connections of a user, in the order of their ids, as far as this server knows them.
    /// [`Backplane::connections_of`] asks all servers instead.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = backplane::Backplane::builder("ChatApp").presence(["*"]);
    /// let backplane = builder.embedded(&broker::Broker::new())?;
    /// let _ann = backplane.attach("c1", Some("ann"));
    /// assert_eq!(backplane.presence().members_of_user("ann")[0].connection, "c1");
    /// # Ok(()) }
    /// ```
    pub fn members_of_user(&self, user: &str) -> Vec<Member> {
        let signal = self.backplane.user_signal(user);
        let replica = self.channel().and_then(|channel| channel.presence());
        replica.map_or_else(Vec::new, |replica| replica.members(&signal))
    }

    /// Watches a group: returns its members now, and then each change.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, PresenceChange};
    ///
    /// let builder = Backplane::builder("ChatApp").presence(["*"]);
    /// let backplane = builder.embedded(&broker::Broker::new())?;
    /// let mut watch = backplane.presence().watch("room");
    /// assert_eq!(watch.recv().await, Some(PresenceChange::Reset(Vec::new())));
    ///
    /// let _ann = backplane.attach("c1", Some("ann"));
    /// backplane.join("c1", "room").await?;
    /// let Some(PresenceChange::Joined { member, is_first, .. }) = watch.recv().await else {
    ///     panic!("expected a member");
    /// };
    /// assert_eq!((member.user.as_deref(), is_first), (Some("ann"), true));
    /// # Ok(()) }
    /// ```
    pub fn watch(&self, group: &str) -> Watch {
        let signal = self.backplane.group_signal(group);
        let Some((channel, replica)) =
            self.channel().and_then(|channel| Some((channel, channel.presence()?)))
        else {
            return Watch { signal, reset: Some(Vec::new()), source: None };
        };
        let (members, watcher) = replica.watch(&signal);
        Watch { signal, reset: Some(members), source: Some((channel.clone(), watcher)) }
    }

    fn count_of(&self, signal: &str) -> Count {
        let replica = self.channel().and_then(|channel| channel.presence());
        let (connections, users) = replica.map_or((0, 0), |replica| replica.count(signal));
        Count { connections, users }
    }

    fn channel(&self) -> Option<&Arc<ServerChannel>> {
        self.backplane.inner.servers.as_ref()
    }
}

impl Watch {
    /// Waits for the next change. The first one is [`PresenceChange::Reset`].
    ///
    /// A `Reset` follows again if this server may have missed changes, or if the application has
    /// not taken the last 1,024. Returns `None` after the shutdown of the backplane.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no change is lost.
    ///
    /// See [`Presence::watch`] for an example.
    pub async fn recv(&mut self) -> Option<PresenceChange> {
        if let Some(members) = self.reset.take() {
            return Some(PresenceChange::Reset(members));
        }
        let (channel, watcher) = self.source.as_ref()?;
        match watcher.next().await {
            Next::Change(change) => Some(change),
            Next::Reset => {
                let members = channel.presence()?.reset(&self.signal, watcher);
                Some(PresenceChange::Reset(members))
            }
            Next::End => None,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((channel, watcher)) = &self.source
            && let Some(replica) = channel.presence()
        {
            replica.unwatch(&self.signal, watcher);
        }
    }
}
