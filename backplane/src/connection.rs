//! One browser's connection, as the application holds it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::connections::{
    Attachment, ConnectionState, Connections, Disconnect, Mailbox, Queued, Run, before,
};
use crate::cursor::Cursor;
use crate::dialect::Attached;
use crate::event::Gap;
use crate::invocation::Invocation;

/// The connection of one browser. Dropping it detaches it.
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
    state: ConnectionState,
    connections: Arc<Connections>,
    /// The position before the last run.
    before_run: Option<u64>,
    /// In a box, since the most frequent readers take whole runs.
    run: Option<Box<Begun>>,
}

/// A run of which only some invocations have been returned.
#[derive(Debug)]
struct Begun {
    run: Arc<Run>,
    /// The number of those that have been returned.
    index: usize,
}

/// Maximum wait for the confirmation of channels.
const LISTENING_MAX: Duration = Duration::from_secs(5);

/// An invocation, a gap before the next invocation, or a requested mark.
///
/// ```
/// let received = backplane::Received::Gap(backplane::Gap { from: 7, to: 9 });
/// assert!(!matches!(received, backplane::Received::Invocation(_)));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Received {
    /// A method to invoke on the client.
    Invocation(Arc<Invocation>),
    /// Several invocations. Only [`Connection::recv_run`] returns them.
    Run(Arc<Run>),
    /// Messages are missing. Some of them may have been for this connection.
    Gap(Gap),
    /// All messages up to this place were returned before. See [`Connection::mark_after`].
    Mark(Cursor),
    /// The groups have changed. See [`Connection::report_groups`].
    Groups,
    /// See [`Connection::interrupt`].
    Interrupted,
}

impl Connection {
    /// Attaches a connection. If another one has the same id, it ends. After
    /// [`Connections::close`], the new connection ends immediately.
    pub(crate) fn attach(connections: &Arc<Connections>, attachment: Attachment<'_>) -> Self {
        let connections = connections.clone();
        Self { state: connections.attach(attachment), connections, run: None, before_run: None }
    }

    /// Returns the place of this connection, for the other servers.
    pub(crate) fn place(&self) -> Attached {
        let (connection_id, number) = (self.id().to_owned(), self.state.mailbox.number);
        Attached { connection_id, number, age: Duration::ZERO }
    }

    /// Returns the id of the connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// assert_eq!(backplane.attach("c1", None).id(), "c1");
    /// # }
    /// ```
    pub fn id(&self) -> &str {
        &self.state.mailbox.id
    }

    /// Returns the user of the connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// assert_eq!(backplane.attach("c1", Some("ann")).user(), Some("ann"));
    /// # }
    /// ```
    pub fn user(&self) -> Option<&str> {
        self.state.user.as_deref()
    }

    /// Returns the cursor: the connection has received all of its messages up to there.
    ///
    /// A client with this cursor can continue on any server, with
    /// [`Backplane::attach_at`](crate::Backplane::attach_at). Messages that were delivered locally
    /// during an outage do not advance it, see
    /// [`Builder::local_delivery_when_down`](crate::Builder::local_delivery_when_down).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let mut ann = backplane.attach("c1", None);
    /// backplane.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// let before = ann.cursor();
    /// ann.recv().await?;
    /// assert_ne!(ann.cursor(), before);
    /// # Ok(()) }
    /// ```
    pub fn cursor(&self) -> Cursor {
        let position = || self.connections.position(&self.state);
        Cursor::at(self.within_run().unwrap_or_else(position))
    }

    /// Returns the place of the last message or mark that was returned. Before, it is the place at which
    /// the connection was attached.
    ///
    /// Unlike the [`cursor`](Self::cursor), it does not follow messages for others, so it is the same on
    /// all connections that have received a message.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let (mut ann, mut bob) = (backplane.attach("c1", None), backplane.attach("c2", None));
    /// backplane.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// backplane.send(Target::connection("c2"), Invocation::new("say", ["psst"])?).await?;
    /// ann.recv().await?;
    /// bob.recv().await?;
    /// assert_eq!(ann.last_place(), bob.last_place());
    /// bob.recv().await?;
    /// assert!(ann.last_place() < bob.last_place());
    /// # Ok(()) }
    /// ```
    pub fn last_place(&self) -> Cursor {
        let position = || self.connections.own_position(&self.state);
        Cursor::at(self.within_run().unwrap_or_else(position))
    }

    /// Returns the position if some of a run have still to be returned.
    fn within_run(&self) -> Option<Option<u64>> {
        let Begun { run, index } = &**self.run.as_ref()?;
        let (next, _) = run.get(*index)?;
        Some(before(self.state.position, next == self.state.position))
    }

    /// Returns whether the groups have changed since the last report, and counts as a report. See
    /// [`report_groups`](Self::report_groups).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let chat = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp").hub("ChatHub");
    /// let ann = chat.attach("c1", None);
    /// ann.report_groups();
    /// assert!(!ann.take_new_groups());
    /// chat.join("c1", "lobby").await?;
    /// assert!(ann.take_new_groups() && !ann.take_new_groups());
    /// # Ok(()) }
    /// ```
    pub fn take_new_groups(&self) -> bool {
        self.state.mailbox.take_new_groups()
    }

    /// Detaches the connection for its next server, and returns its [`groups`](Self::groups) and its
    /// [`cursor`](Self::cursor) as of then. Nothing happens to it between the three. Returns `None` if it
    /// has ended before.
    ///
    /// The next server continues with [`Backplane::attach_at`](crate::Backplane::attach_at), which
    /// replays the messages that are still queued here. Until then, the connection is nowhere: a
    /// change of its groups fails.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let broker = broker::Broker::new();
    /// let chat = || Backplane::embedded(&broker, "ChatApp").hub("ChatHub");
    /// let (here, there) = (chat(), chat());
    /// let (mut ann, mut bob) = (here.attach("c1", None), there.attach("c2", None));
    /// here.join("c1", "lobby").await?;
    /// for text in ["read", "queued"] {
    ///     here.send(Target::all(), Invocation::new("say", [text])?).await?;
    ///     bob.recv().await?;
    /// }
    /// ann.recv().await?;
    /// let (groups, cursor) = ann.hand_over().expect("it is attached");
    /// assert_eq!(groups, ["ChatHub.lobby"]);
    /// let mut ann = there.attach_at("c1", None, &["lobby"], cursor);
    /// assert_eq!(ann.recv().await?.arguments().get(), r#"["queued"]"#);
    /// # Ok(()) }
    /// ```
    pub fn hand_over(self) -> Option<(Vec<String>, Cursor)> {
        let (signals, position) = self.connections.hand_over(&self.state, self.within_run())?;
        Some((self.group_names(&signals), Cursor::at(position)))
    }

    fn group_names(&self, signals: &[Arc<str>]) -> Vec<String> {
        let groups = signals.iter().filter_map(|signal| self.connections.group_of(signal));
        let mut groups: Vec<_> = groups.collect();
        groups.sort_unstable();
        groups
    }

    /// Returns the reason for the client, if a server of the app ended this connection with
    /// [`Backplane::disconnect`](crate::Backplane::disconnect).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// assert_eq!(backplane.attach("c1", None).abort_reason(), None);
    /// # }
    /// ```
    pub fn abort_reason(&self) -> Option<String> {
        self.connections.abort_reason(&self.state.mailbox).map(|reason| reason.to_string())
    }

    /// Waits for the next invocation. Gaps and marks are skipped;
    /// [`recv_or_gap`](Self::recv_or_gap) returns them.
    ///
    /// # Errors
    ///
    /// [`Disconnect`] after the end of the connection. Queued invocations are returned first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no invocation is lost.
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
        loop {
            if let Received::Invocation(invocation) = self.recv_or_gap().await? {
                return Ok(invocation);
            }
        }
    }

    /// Waits for the next invocation, for a gap before it, or for a requested mark.
    ///
    /// # Errors
    ///
    /// [`Disconnect`] after the end of the connection. Queued invocations are returned first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no invocation, gap or mark is lost.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Gap, Invocation, Received, Target};
    ///
    /// let builder = Backplane::builder("ChatApp").history_messages_max(1);
    /// let backplane = builder.embedded(&broker::Broker::new())?;
    /// let mut ann = backplane.attach("c1", None);
    /// for number in 1..=3 {
    ///     backplane.send(Target::all(), Invocation::new("count", [number])?).await?;
    /// }
    /// ann.recv().await?;
    /// let cursor = ann.cursor();
    /// // The second is forgotten here, the third is not.
    /// ann.recv().await?;
    /// ann.recv().await?;
    /// let mut back = backplane.attach_at("c1", None, &[], cursor);
    /// assert!(matches!(back.recv_or_gap().await?, Received::Gap(_)));
    /// assert_eq!(back.recv().await?.arguments().get(), "[3]");
    /// # Ok(()) }
    /// ```
    pub async fn recv_or_gap(&mut self) -> Result<Received, Disconnect> {
        loop {
            if let Some(invocation) = self.next_of_run() {
                return Ok(Received::Invocation(invocation));
            }
            match self.recv_run().await? {
                Received::Run(run) => {
                    // The cursor follows the invocations that are returned.
                    self.state.position = self.before_run;
                    self.run = Some(Box::new(Begun { run, index: 0 }));
                }
                received => return Ok(received),
            }
        }
    }

    /// Returns the next invocation of a run that has been received.
    fn next_of_run(&mut self) -> Option<Arc<Invocation>> {
        let Begun { run, index } = &mut **self.run.as_mut()?;
        match run.get(*index) {
            Some((id, invocation)) => {
                *index += 1;
                self.state.position = id.or(self.state.position);
                Some(invocation)
            }
            None => {
                self.run = None;
                None
            }
        }
    }

    /// Waits like [`recv_or_gap`](Self::recv_or_gap). Small invocations that have arrived together
    /// may be returned as one [`Received::Run`], which is encoded once for all of its connections.
    ///
    /// # Errors
    ///
    /// As [`recv_or_gap`](Self::recv_or_gap).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no invocation, gap or mark is lost.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Received, Target};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let mut ann = backplane.attach("c1", None);
    /// for number in 1..=2 {
    ///     backplane.send(Target::all(), Invocation::new("count", [number])?).await?;
    /// }
    /// let Received::Run(run) = ann.recv_run().await? else { panic!("they arrived together") };
    /// assert_eq!(run.iter().map(|it| it.arguments().get()).collect::<String>(), "[1][2]");
    /// let frames = run.frames(dialect::Encoding::Json);
    /// assert!(frames.ends_with(b"\"arguments\":[2]}\x1e"));
    /// # Ok(()) }
    /// ```
    pub async fn recv_run(&mut self) -> Result<Received, Disconnect> {
        if let Some(invocation) = self.next_of_run() {
            return Ok(Received::Invocation(invocation));
        }
        loop {
            match self.state.mailbox.take().await? {
                Queued::Invocation(id, invocation) => {
                    self.state.position = id.or(self.state.position);
                    return Ok(Received::Invocation(invocation));
                }
                Queued::Run(run) => {
                    self.before_run = self.state.position;
                    self.state.position = run.last_id().or(self.state.position);
                    return Ok(Received::Run(run));
                }
                Queued::Gap(gap, at) => {
                    self.state.position = Some(at);
                    return Ok(Received::Gap(gap));
                }
                Queued::Mark(at) => {
                    self.state.position = self.state.position.max(at);
                    return Ok(Received::Mark(Cursor::at(at)));
                }
                Queued::Groups => return Ok(Received::Groups),
                Queued::Interrupted => return Ok(Received::Interrupted),
                Queued::Rest => self.connections.refill(&self.state.mailbox),
            }
        }
    }

    /// Reports each change of the groups as [`Received::Groups`] from now on. Several changes may
    /// have one report.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Received};
    ///
    /// let chat = Backplane::embedded(&broker::Broker::new(), "ChatApp").hub("ChatHub");
    /// let mut ann = chat.attach("c1", None);
    /// ann.report_groups();
    /// chat.join("c1", "lobby").await?;
    /// assert!(matches!(ann.recv_or_gap().await?, Received::Groups));
    /// assert_eq!(ann.groups(), ["ChatHub.lobby"]);
    /// # Ok(()) }
    /// ```
    pub fn report_groups(&self) {
        self.state.mailbox.report_groups();
    }

    /// Returns the groups of the connection, each as the name of the hub, a dot and the name of the
    /// group, in alphabetical order. An ended connection has none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let chat = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp").hub("ChatHub");
    /// let ann = chat.attach("c1", None);
    /// chat.join("c1", "lobby").await?;
    /// chat.join("c1", "garden").await?;
    /// assert_eq!(ann.groups(), ["ChatHub.garden", "ChatHub.lobby"]);
    /// # Ok(()) }
    /// ```
    pub fn groups(&self) -> Vec<String> {
        self.group_names(&self.connections.signals(&self.state.mailbox))
    }

    /// Waits until the broker has confirmed the channels of the connection, at most five seconds.
    ///
    /// With SignalR 2's dialect it returns at once, since a server has one channel. While the
    /// broker is unreachable, it also returns at once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Dialect, Invocation, Target};
    ///
    /// let dialect = Dialect::AspNetCore { channel_prefix: String::new() };
    /// let builder = Backplane::builder("ChatApp").dialect(dialect).hub("ChatApp.ChatHub");
    /// let backplane = builder.embedded(&broker::Broker::new())?;
    /// let mut ann = backplane.attach("c1", None);
    /// ann.listening().await;
    /// backplane.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// assert_eq!(ann.recv().await?.method(), "say");
    /// # Ok(()) }
    /// ```
    pub async fn listening(&self) {
        let Some(interest) = self.connections.interest() else { return };
        let signals = self.connections.signals(&self.state.mailbox);
        let confirmed = async {
            for signal in &signals {
                interest.confirmed(signal).await;
            }
        };
        let _ = timeout(LISTENING_MAX, confirmed).await;
    }

    /// Returns the number of messages that wait in the connection's queue. It takes a time in
    /// proportion to them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let (ann, mut bob) = (backplane.attach("c1", None), backplane.attach("c2", None));
    /// backplane.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// bob.recv().await?;
    /// assert_eq!((ann.unread_messages(), bob.unread_messages()), (1, 0));
    /// # Ok(()) }
    /// ```
    pub fn unread_messages(&self) -> usize {
        self.state.mailbox.unread_messages()
    }

    /// Returns the size of the messages that wait in the connection's queue. Messages for several
    /// connections count for each of them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let (ann, mut bob) = (backplane.attach("c1", None), backplane.attach("c2", None));
    /// backplane.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// bob.recv().await?;
    /// assert!(ann.unread_bytes() > 0);
    /// assert_eq!(bob.unread_bytes(), 0);
    /// # Ok(()) }
    /// ```
    pub fn unread_bytes(&self) -> usize {
        self.state.mailbox.unread_bytes()
    }

    /// Returns a handle that interrupts the wait for an invocation. See [`Interrupt`].
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(self.state.mailbox.clone())
    }

    /// Waits for an interrupt, and leaves all invocations in their queue. See [`Interrupt`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no interrupt is lost.
    pub async fn interrupted(&mut self) {
        self.state.mailbox.interrupted().await;
    }

    /// Returns the reason for the end of the connection, although invocations may still be queued.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Disconnect};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let ann = backplane.attach("c1", None);
    /// assert_eq!(ann.ended(), None);
    /// backplane.shutdown().await;
    /// assert_eq!(ann.ended(), Some(Disconnect::Shutdown));
    /// # Ok(()) }
    /// ```
    pub fn ended(&self) -> Option<Disconnect> {
        self.state.mailbox.ended()
    }

    /// Returns the room in the connection's queue. See [`Room`].
    pub fn room(&self) -> Room {
        Room(self.state.mailbox.clone())
    }

    /// Requests a mark behind all messages up to `place`, which
    /// [`Backplane::send_placed`](crate::Backplane::send_placed) returns.
    ///
    /// [`recv_or_gap`](Self::recv_or_gap) returns the mark as [`Received::Mark`] after these
    /// messages, also if none of them is for this connection. If the message at `place` is lost,
    /// the mark comes with the next message of the app. After a counter reset, the mark may come
    /// too early.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Received, Target};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let mut ann = backplane.attach("c1", None);
    /// let place = backplane.send_placed(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// ann.mark_after(place);
    /// assert!(matches!(ann.recv_or_gap().await?, Received::Invocation(_)));
    /// assert!(matches!(ann.recv_or_gap().await?, Received::Mark(reached) if reached == place));
    /// # Ok(()) }
    /// ```
    pub fn mark_after(&self, place: Cursor) {
        self.connections.mark(&self.state.mailbox, place.id());
    }
}

/// Interrupts the wait of a connection for an invocation, from any thread.
///
/// A task that serves one client mostly waits for more than invocations. With an interrupt for the
/// rest, it has one place to wait at, so an invocation costs no look at the others.
/// [`Connection::recv_or_gap`] returns [`Received::Interrupted`] before all queued invocations. Several
/// interrupts may have one report.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use backplane::{Backplane, Received};
///
/// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
/// let mut ann = backplane.attach("c1", None);
/// let interrupt = ann.interrupt();
/// std::thread::spawn(move || interrupt.raise());
/// assert!(matches!(ann.recv_or_gap().await?, Received::Interrupted));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<Mailbox>);

impl Interrupt {
    /// Wakes the task that waits, now or when it waits next.
    pub fn raise(&self) {
        self.0.interrupt();
    }
}

/// The room in the queue of a connection, for those who send to it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use backplane::Backplane;
///
/// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
/// let connection = backplane.attach("c1", None);
/// let room = connection.room();
/// room.wait().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Room(Arc<Mailbox>);

impl Room {
    /// Waits until at most half of the queue's limits is in use, or the connection has ended.
    ///
    /// A message that is sent without room may end the connection as too slow.
    ///
    /// Cancel safe.
    pub async fn wait(&self) {
        self.0.has_room().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.detach(&self.state.mailbox);
    }
}

#[cfg(test)]
impl Connection {
    pub(crate) fn try_recv(&mut self) -> Option<Queued> {
        loop {
            match self.state.mailbox.try_take()? {
                Queued::Rest => self.connections.refill(&self.state.mailbox),
                item => return Some(item),
            }
        }
    }
}
