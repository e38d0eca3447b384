//! The connections that are attached here, with their users and groups.
//!
//! Sending costs what its receivers cost: there is an index by user and by group. A connection
//! that does not take what it gets is closed and told so; nothing is skipped silently.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::invocation::Invocation;
use crate::target::Target;

/// All connections of one backplane.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    table: Mutex<Table>,
}

/// One browser's connection. Dropping it detaches it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use backplane::{Backplane, Invocation, Target};
///
/// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
/// let mut ann = backplane.attach("c1", Some("ann"));
/// backplane.send(Target::user("ann"), Invocation::new("say", ["hi"])?).await?;
/// assert_eq!(ann.recv().await?.method(), "say");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Connection {
    id: Arc<str>,
    user: Option<Arc<str>>,
    number: u64,
    invocations: mpsc::Receiver<Arc<Invocation>>,
    end: Arc<OnceLock<Disconnect>>,
    connections: Arc<Connections>,
}

/// Why a connection gets nothing more.
///
/// ```
/// assert_eq!(backplane::Disconnect::Shutdown.to_string(), "the backplane shuts down");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// It did not take what it got: more than 1,024 invocations waited.
    #[error("fell behind by more than {INVOCATIONS_MAX} invocations")]
    SlowConnection,
    /// Another connection was attached under its id.
    #[error("another connection took its id")]
    Replaced,
    /// The backplane shuts down.
    #[error("the backplane shuts down")]
    Shutdown,
}

/// Says that a group could not be changed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
/// let error = backplane.join("nobody", "room").await.unwrap_err();
/// assert_eq!(error.to_string(), "no connection 'nobody' is attached here");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GroupError {
    /// No such connection is attached to this backplane.
    #[error("no connection '{0}' is attached here")]
    UnknownConnection(String),
}

/// What may wait for one connection.
pub(crate) const INVOCATIONS_MAX: usize = 1024;

#[derive(Debug, Default)]
struct Table {
    attached: HashMap<Arc<str>, Attached>,
    users: Index,
    groups: Index,
    last_number: u64,
    /// Why nothing can be attached any more.
    closed: Option<Disconnect>,
}

#[derive(Debug)]
struct Attached {
    number: u64,
    user: Option<Arc<str>>,
    groups: HashSet<Arc<str>>,
    invocations: mpsc::Sender<Arc<Invocation>>,
    end: Arc<OnceLock<Disconnect>>,
}

/// The connections of each user, or in each group. A name without connections has no entry.
#[derive(Debug, Default)]
struct Index(HashMap<Arc<str>, HashSet<Arc<str>>>);

impl Connections {
    /// Attaches a connection. One that has the same id already is closed. After
    /// [`close`](Self::close) the new one is closed from the start.
    pub(crate) fn attach(self: &Arc<Self>, id: &str, user: Option<&str>) -> Connection {
        let mut table = self.table.lock();
        table.remove(id, Disconnect::Replaced);
        table.last_number += 1;
        let number = table.last_number;
        let (id, user): (Arc<str>, Option<Arc<str>>) = (id.into(), user.map(Into::into));
        let (sender, invocations) = mpsc::channel(INVOCATIONS_MAX);
        let end = Arc::new(OnceLock::new());
        if let Some(reason) = table.closed {
            let _ = end.set(reason);
            return Connection { id, user, number, invocations, end, connections: self.clone() };
        }
        if let Some(user) = &user {
            table.users.add(user, &id);
        }
        let attached = Attached {
            number,
            user: user.clone(),
            groups: HashSet::new(),
            invocations: sender,
            end: end.clone(),
        };
        table.attached.insert(id.clone(), attached);
        Connection { id, user, number, invocations, end, connections: self.clone() }
    }

    pub(crate) fn join(&self, id: &str, group: &str) -> Result<(), GroupError> {
        let table = &mut *self.table.lock();
        let (id, attached) = table.get_mut(id)?;
        let group: Arc<str> = group.into();
        attached.groups.insert(group.clone());
        table.groups.add(&group, &id);
        Ok(())
    }

    pub(crate) fn leave(&self, id: &str, group: &str) -> Result<(), GroupError> {
        let table = &mut *self.table.lock();
        let (id, attached) = table.get_mut(id)?;
        attached.groups.remove(group);
        table.groups.remove(group, &id);
        Ok(())
    }

    /// Hands an invocation to those it is for.
    pub(crate) fn deliver(&self, target: &Target, invocation: &Arc<Invocation>) {
        let mut table = self.table.lock();
        let except = target.excepted();
        let mut slow = Vec::new();
        let mut hand = |id: &Arc<str>, attached: &Attached| {
            // A receiver that is gone detaches itself.
            if let Err(mpsc::error::TrySendError::Full(_)) =
                attached.invocations.try_send(invocation.clone())
            {
                slow.push(id.clone());
            }
        };
        match target {
            Target::All { .. } => table
                .attached
                .iter()
                .filter(|(id, _)| !except.contains(&***id))
                .for_each(|(id, attached)| hand(id, attached)),
            Target::Group { name, .. } => table
                .of(&table.groups, name)
                .filter(|(id, _)| !except.contains(&***id))
                .for_each(|(id, attached)| hand(id, attached)),
            Target::User(user) => {
                table.of(&table.users, user).for_each(|(id, attached)| hand(id, attached));
            }
            Target::Connection(id) => {
                if let Some((id, attached)) = table.attached.get_key_value(&**id) {
                    hand(id, attached);
                }
            }
        }
        for id in slow {
            table.remove(&id, Disconnect::SlowConnection);
        }
    }

    /// Closes all connections, and those to come.
    pub(crate) fn close(&self, reason: Disconnect) {
        let mut table = self.table.lock();
        for attached in table.attached.values() {
            let _ = attached.end.set(reason);
        }
        let last_number = table.last_number;
        *table = Table { last_number, closed: Some(reason), ..Table::default() };
    }

    fn detach(&self, id: &str, number: u64) {
        let mut table = self.table.lock();
        if table.attached.get(id).is_some_and(|attached| attached.number == number) {
            table.remove(id, Disconnect::Shutdown);
        }
    }
}

impl Table {
    fn get_mut(&mut self, id: &str) -> Result<(Arc<str>, &mut Attached), GroupError> {
        let id = match self.attached.get_key_value(id) {
            Some((id, _)) => id.clone(),
            None => return Err(GroupError::UnknownConnection(id.to_owned())),
        };
        let attached = self.attached.get_mut(&id).expect("it was found above");
        Ok((id, attached))
    }

    /// Returns the connections of a name in `index`.
    fn of<'a>(
        &'a self,
        index: &'a Index,
        name: &str,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Attached)> {
        let ids = index.0.get(name).into_iter().flatten();
        ids.filter_map(|id| self.attached.get_key_value(id))
    }

    /// Removes a connection, and tells it why.
    fn remove(&mut self, id: &str, reason: Disconnect) {
        let Some((id, attached)) = self.attached.remove_entry(id) else { return };
        let _ = attached.end.set(reason);
        if let Some(user) = &attached.user {
            self.users.remove(user, &id);
        }
        for group in &attached.groups {
            self.groups.remove(group, &id);
        }
    }
}

impl Index {
    fn add(&mut self, name: &Arc<str>, id: &Arc<str>) {
        self.0.entry(name.clone()).or_default().insert(id.clone());
    }

    fn remove(&mut self, name: &str, id: &Arc<str>) {
        if let Some(ids) = self.0.get_mut(name) {
            ids.remove(id);
            if ids.is_empty() {
                self.0.remove(name);
            }
        }
    }
}

impl Connection {
    /// Returns its id.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// assert_eq!(backplane.attach("c1", None).id(), "c1");
    /// # }
    /// ```
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns whose it is.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// assert_eq!(backplane.attach("c1", Some("ann")).user(), Some("ann"));
    /// # }
    /// ```
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Returns the next invocation, and waits for one if there is none.
    ///
    /// # Errors
    ///
    /// [`Disconnect`] when it gets nothing more; what was queued before is given first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an invocation is taken only when the future is ready.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let mut connection = backplane.attach("c1", None);
    /// backplane.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// assert_eq!(connection.recv().await?.method(), "say");
    /// # Ok(()) }
    /// ```
    pub async fn recv(&mut self) -> Result<Arc<Invocation>, Disconnect> {
        match self.invocations.recv().await {
            Some(invocation) => Ok(invocation),
            None => Err(self.end.get().copied().unwrap_or(Disconnect::Shutdown)),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.detach(&self.id, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(method: &str) -> Arc<Invocation> {
        Arc::new(Invocation::new(method, ()).unwrap())
    }

    /// Returns which of the connections got the next invocation for `target`.
    fn receivers(
        table: &Connections,
        connections: &mut [Connection],
        target: &Target,
    ) -> Vec<String> {
        table.deliver(target, &invocation("m"));
        let received = |connection: &mut Connection| connection.invocations.try_recv().is_ok();
        connections
            .iter_mut()
            .filter_map(|each| received(each).then(|| each.id().to_owned()))
            .collect()
    }

    #[test]
    fn an_invocation_reaches_those_it_is_for() {
        let table = Arc::new(Connections::default());
        let attach = |id, user| table.attach(id, user);
        let mut all = [
            attach("a1", Some("ann")),
            attach("a2", Some("ann")),
            attach("b", Some("bob")),
            attach("c", None),
        ];
        table.join("a1", "room").unwrap();
        table.join("b", "room").unwrap();
        for (target, expected) in [
            (Target::all(), &["a1", "a2", "b", "c"][..]),
            (Target::all().except(["a1", "c"]), &["a2", "b"]),
            (Target::group("room"), &["a1", "b"]),
            (Target::group("room").except(["b"]), &["a1"]),
            (Target::group("other"), &[]),
            (Target::user("ann"), &["a1", "a2"]),
            (Target::connection("c"), &["c"]),
            (Target::connection("nobody"), &[]),
        ] {
            assert_eq!(receivers(&table, &mut all, &target), expected, "{target:?}");
        }
        table.leave("b", "room").unwrap();
        assert_eq!(receivers(&table, &mut all, &Target::group("room")), ["a1"]);
    }

    #[test]
    fn nothing_stays_behind() {
        let table = Arc::new(Connections::default());
        let connection = table.attach("a", Some("ann"));
        table.join("a", "room").unwrap();
        drop(connection);
        let inner = table.table.lock();
        assert!(inner.attached.is_empty() && inner.users.0.is_empty() && inner.groups.0.is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_falls_behind_is_closed_and_others_are_not() {
        let table = Arc::new(Connections::default());
        let (mut slow, mut reader) = (table.attach("slow", None), table.attach("reader", None));
        for _ in 0..=INVOCATIONS_MAX {
            table.deliver(&Target::all(), &invocation("m"));
            assert!(reader.recv().await.is_ok());
        }
        for _ in 0..INVOCATIONS_MAX {
            assert!(slow.recv().await.is_ok());
        }
        assert_eq!(slow.recv().await.unwrap_err(), Disconnect::SlowConnection);
        table.deliver(&Target::all(), &invocation("m"));
        assert!(reader.recv().await.is_ok());
    }

    #[tokio::test]
    async fn what_is_attached_after_the_end_is_closed() {
        let table = Arc::new(Connections::default());
        let mut before = table.attach("a", Some("ann"));
        table.close(Disconnect::Shutdown);
        let mut after = table.attach("a", Some("ann"));
        assert_eq!(before.recv().await.unwrap_err(), Disconnect::Shutdown);
        assert_eq!(after.recv().await.unwrap_err(), Disconnect::Shutdown);
        assert!(table.join("a", "room").is_err());
    }

    #[tokio::test]
    async fn an_id_belongs_to_who_took_it_last() {
        let table = Arc::new(Connections::default());
        let mut first = table.attach("a", None);
        let mut second = table.attach("a", None);
        assert_eq!(first.recv().await.unwrap_err(), Disconnect::Replaced);
        drop(first);
        table.deliver(&Target::all(), &invocation("m"));
        assert!(second.recv().await.is_ok());
    }
}
