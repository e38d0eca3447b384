//! Connections of all servers: what they are, and their end.
//!
//! Each server answers for its own connections, by a question of the backplane itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::Backplane;
use crate::connections::{Connections, Found};
use crate::servers::{Answering, Answers, AskError, Server, Servers};
use crate::target::{Target, To};

/// A connection of any server. See [`Backplane::connection`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The id of the connection.
    pub id: String,
    /// The user of the connection.
    pub user: Option<String>,
    /// The groups of the connection in the hub that was asked, in the order of their names.
    pub groups: Vec<String>,
    /// When it was attached, by the clock of this server.
    pub since: SystemTime,
    /// Its server.
    pub server: Server,
}

/// A question for the connections of a server.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Question {
    /// The connections with one of these signals.
    signals: Vec<String>,
    /// Ids of connections to exclude.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except: Vec<String>,
    action: Action,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// The answer describes them.
    Describe {},
    /// Ends them, with a text for their clients. The answer is their number.
    End { reason: String },
    /// Removes them from all signals with this prefix. The answer is their number.
    Leave { prefix: String },
}

/// A connection in an answer.
#[derive(Debug, Deserialize, Serialize)]
struct Described {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    signals: Vec<String>,
    /// Milliseconds since it was attached.
    age: u64,
}

/// The name of the question.
pub(super) const NAME: &str = "backplane.connections";

impl Backplane {
    /// Returns a connection of this hub, on any server, or `None` if no server has it.
    ///
    /// This asks all servers of [`servers`](Self::servers), and waits at most five seconds.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask), and [`AskError::Unanswered`] if no server has it, but some did not
    /// answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing changes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = backplane::Backplane::builder("ChatApp").server_channel(true);
    /// let backplane = builder.embedded(&broker::Broker::new())?;
    /// let _ann = backplane.attach("c1", Some("ann"));
    /// backplane.join("c1", "room").await?;
    /// let ann = backplane.connection("c1").await?.expect("it is attached");
    /// assert_eq!((ann.user.as_deref(), &*ann.groups), (Some("ann"), &["room".to_owned()][..]));
    /// assert_eq!(backplane.connection("c2").await?, None);
    /// # Ok(()) }
    /// ```
    pub async fn connection(&self, id: &str) -> Result<Option<ConnectionInfo>, AskError> {
        let mut answers = self.described(Target::connection(id)).await?;
        let found = answers.received.iter_mut().find_map(|(_, found)| found.pop());
        if found.is_none() {
            answers.complete()?;
        }
        Ok(found)
    }

    /// Returns the connections of a user in this hub, by server.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing changes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = backplane::Backplane::builder("ChatApp").server_channel(true);
    /// let backplane = builder.embedded(&broker::Broker::new())?;
    /// let _tabs = ["c1", "c2"].map(|id| backplane.attach(id, Some("ann")));
    /// let answers = backplane.connections_of("ann").await?;
    /// assert_eq!(answers.received[0].1.len(), 2);
    /// # Ok(()) }
    /// ```
    pub async fn connections_of(
        &self,
        user: &str,
    ) -> Result<Answers<Vec<ConnectionInfo>>, AskError> {
        self.described(Target::user(user)).await
    }

    /// Removes a connection of any server from all of its groups in this hub. Returns false if no
    /// server has it. The change is effective when this returns.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask), and [`AskError::Unanswered`] if no server has it, but some did not
    /// answer. Then it may still be in its groups.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the change may or may not happen.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = backplane::Backplane::builder("ChatApp").server_channel(true);
    /// let backplane = builder.embedded(&broker::Broker::new())?;
    /// let ann = backplane.attach("c1", Some("ann"));
    /// backplane.join("c1", "room").await?;
    /// assert!(backplane.leave_all("c1").await?);
    /// assert!(ann.groups().is_empty());
    /// # Ok(()) }
    /// ```
    pub async fn leave_all(&self, connection_id: &str) -> Result<bool, AskError> {
        let action = Action::Leave { prefix: self.group_signal("") };
        let answers = self.ask_for(Target::connection(connection_id), action).await?;
        let is_found = answers.received.iter().any(|(_, count): &(Server, usize)| *count > 0);
        if !is_found {
            answers.complete()?;
        }
        Ok(is_found)
    }

    /// Ends connections of all servers with [`Disconnect::Aborted`](crate::Disconnect::Aborted), and
    /// a reason for their clients. Returns how many each server has ended.
    ///
    /// The connections get the reason by [`Connection::abort_reason`](crate::Connection::abort_reason).
    /// Servers without [`Builder::server_channel`](crate::Builder::server_channel) and those of other
    /// implementations keep theirs; [`abort`](Self::abort) reaches single connections there.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the connections may or may not end.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Disconnect, Target};
    ///
    /// let builder = Backplane::builder("ChatApp").server_channel(true);
    /// let backplane = builder.embedded(&broker::Broker::new())?;
    /// let mut ann = backplane.attach("c1", Some("ann"));
    /// let answers = backplane.disconnect(Target::user("ann"), "signed out").await?;
    /// assert_eq!(answers.received[0].1, 1);
    /// assert_eq!(ann.recv().await.unwrap_err(), Disconnect::Aborted);
    /// assert_eq!(ann.abort_reason().as_deref(), Some("signed out"));
    /// # Ok(()) }
    /// ```
    pub async fn disconnect(
        &self,
        target: Target,
        reason: &str,
    ) -> Result<Answers<usize>, AskError> {
        self.ask_for(target, Action::End { reason: reason.to_owned() }).await
    }

    async fn described(&self, target: Target) -> Result<Answers<Vec<ConnectionInfo>>, AskError> {
        let prefix = self.group_signal("");
        let answers = self.ask_for(target, Action::Describe {}).await?;
        Ok(answers.map(|server, found: Vec<Described>| {
            found.into_iter().map(|one| one.into_info(&prefix, server.clone())).collect()
        }))
    }

    async fn ask_for<A: DeserializeOwned + Send>(
        &self,
        target: Target,
        action: Action,
    ) -> Result<Answers<A>, AskError> {
        self.ask(Servers::all(), NAME, &self.question(target, action)).await
    }

    /// Returns a question whose answer lists connections.
    pub(super) fn description(&self, target: Target) -> Question {
        self.question(target, Action::Describe {})
    }

    fn question(&self, target: Target, action: Action) -> Question {
        let Target { to, except } = target;
        let signals = match to {
            To::All => vec![self.all_signal()],
            To::Groups(names) => names.iter().map(|name| self.group_signal(name)).collect(),
            To::Users(users) => users.iter().map(|user| self.user_signal(user)).collect(),
            To::Connections(ids) => ids.iter().map(|id| self.connection_signal(id)).collect(),
        };
        Question { signals, except, action }
    }
}

/// Returns the function that answers for the connections of this server, and its name.
pub(super) fn answering(connections: &Arc<Connections>) -> (&'static str, Answering) {
    let connections = connections.clone();
    let answer = move |_, value: Box<RawValue>| {
        let answered = serde_json::from_str(value.get()).map_err(|error| error.to_string());
        let answered = answered.and_then(|question: Question| {
            let Question { signals, except, action } = question;
            let answer = match action {
                Action::Describe {} => {
                    let found = connections.find(&signals, &except).into_iter();
                    to_raw_value(&found.map(Described::of).collect::<Vec<_>>())
                }
                Action::End { reason } => {
                    to_raw_value(&connections.abort(&signals, &except, &reason))
                }
                Action::Leave { prefix } => {
                    to_raw_value(&connections.leave_all(&signals, &except, &prefix))
                }
            };
            answer.map_err(|error| error.to_string())
        });
        std::future::ready(answered).boxed()
    };
    (NAME, Box::new(answer))
}

impl Described {
    fn of(found: Found) -> Self {
        let Found { id, user, signals, since, .. } = found;
        Self {
            id: id.to_string(),
            user: user.map(|user| user.to_string()),
            signals: signals.iter().map(ToString::to_string).collect(),
            age: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn into_info(self, group_prefix: &str, server: Server) -> ConnectionInfo {
        let groups = self.signals.iter().filter_map(|signal| signal.strip_prefix(group_prefix));
        let mut groups: Vec<_> = groups.map(str::to_owned).collect();
        groups.sort_unstable();
        let since = SystemTime::now().checked_sub(Duration::from_millis(self.age));
        let since = since.unwrap_or(SystemTime::UNIX_EPOCH);
        ConnectionInfo { id: self.id, user: self.user, groups, since, server }
    }
}
