//! The methods of the handle that reach other servers of the app.

use std::fmt::Display;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use tracing::{debug, warn};

use super::Backplane;
use crate::servers::{Answering, Answers, AskError, Server, ServerChannel, Servers};

/// A question to other servers. Awaiting it asks. See [`Backplane::ask`].
#[derive(Debug)]
#[must_use = "a question is asked when it is awaited"]
pub struct Ask<'a, A> {
    backplane: &'a Backplane,
    servers: Servers,
    name: String,
    question: Result<Box<RawValue>, AskError>,
    within: Duration,
    answer: PhantomData<fn() -> A>,
}

/// The start of the names that the backplane itself uses.
const RESERVED: &str = "backplane.";
/// The default time for answers.
const WITHIN: Duration = Duration::from_secs(5);

impl Backplane {
    /// Returns the servers of the app that are there, including this one, in the order of their
    /// ids. The list is empty without [`Builder::server_channel`](crate::Builder::server_channel), and
    /// after the shutdown.
    ///
    /// Servers announce themselves every five seconds, and at their start and shutdown. A server
    /// that ends without a word is gone after 15 seconds. Servers of other implementations are not
    /// in the list.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::ConnectError> {
    /// use backplane::Backplane;
    ///
    /// let broker = broker::Broker::new();
    /// let join = |name| {
    ///     Backplane::builder("ChatApp").server_channel(true).client_name(name).embedded(&broker)
    /// };
    /// let (here, there) = (join("web-1")?, join("web-2")?);
    /// while here.servers().len() < 2 {
    ///     tokio::task::yield_now().await;
    /// }
    /// there.shutdown().await;
    /// while here.servers().len() > 1 {
    ///     tokio::task::yield_now().await;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn servers(&self) -> Vec<Server> {
        self.inner.servers.as_ref().map_or_else(Vec::new, |channel| channel.list())
    }

    /// Returns the [`Server::id`] of this server, or `None` without
    /// [`Builder::server_channel`](crate::Builder::server_channel).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::ConnectError> {
    /// let builder = backplane::Backplane::builder("ChatApp").server_channel(true);
    /// let backplane = builder.embedded(&broker::Broker::new())?;
    /// assert_eq!(backplane.server_id(), Some(&*backplane.servers()[0].id));
    /// # Ok(()) }
    /// ```
    pub fn server_id(&self) -> Option<&str> {
        self.inner.servers.as_deref().map(ServerChannel::id)
    }

    /// Sends a message to servers of the app. Returns when the broker has accepted it.
    ///
    /// Each server that is connected then passes it to the function of
    /// [`on_message`](Self::on_message) with this name. The messages of one server arrive in the
    /// order sent.
    ///
    /// # Errors
    ///
    /// [`AskError`] if there is no channel to other servers, if the value cannot be written as JSON,
    /// or if the broker does not accept the message.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the message may or may not be sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Servers};
    /// use tokio::sync::mpsc;
    ///
    /// let broker = broker::Broker::new();
    /// let join = || Backplane::builder("ChatApp").server_channel(true).embedded(&broker);
    /// let (here, there) = (join()?, join()?);
    /// let (sender, mut limits) = mpsc::unbounded_channel();
    /// there.on_message("limit", move |_from, limit: u32| {
    ///     let sender = sender.clone();
    ///     async move { sender.send(limit).expect("it is read below") }
    /// });
    /// here.send_to(Servers::others(), "limit", &100).await?;
    /// assert_eq!(limits.recv().await, Some(100));
    /// # Ok(()) }
    /// ```
    pub async fn send_to(
        &self,
        servers: Servers,
        name: &str,
        message: &impl Serialize,
    ) -> Result<(), AskError> {
        let value = to_json(name, message)?;
        Ok(self.channel()?.send(&servers, name, &value).await?)
    }

    /// Calls a function for each message with this name, see [`send_to`](Self::send_to). It takes
    /// one message after the other, in the order of their arrival.
    ///
    /// The function stays until the shutdown, or until another one takes its name. A handle in the
    /// function keeps the backplane alive until then. Messages that wait at the shutdown are still
    /// passed to it. At most 1,024
    /// messages wait for it; further ones are dropped and logged. A message that is not of type `M`
    /// is skipped. Without [`Builder::server_channel`](crate::Builder::server_channel) no message
    /// arrives.
    ///
    /// # Panics
    ///
    /// If the name starts with `backplane.`, or outside of a tokio runtime.
    ///
    /// See [`send_to`](Self::send_to) for an example.
    pub fn on_message<M, F, R>(&self, name: &str, handler: F)
    where
        M: DeserializeOwned,
        F: Fn(Server, M) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let of = name.to_owned();
        let answering = move |from, value: Box<RawValue>| match read(&value) {
            Ok(message) => {
                let handled = handler(from, message);
                async { Ok(handled.map(|()| null()).await) }.boxed()
            }
            Err(reason) => {
                debug!(name = of, reason, "skipped a message of another server");
                std::future::ready(Err(reason)).boxed()
            }
        };
        self.handle(name, Box::new(answering), 1);
    }

    /// Asks servers of the app, and returns their answers. The question is asked when the result is
    /// awaited.
    ///
    /// It waits five seconds, or [`within`](Ask::within) another time. It returns as soon as each
    /// server of [`servers`](Self::servers) has answered or is gone. One server alone counts as gone if
    /// it is not subscribed, such as a killed one. A server without an answer is
    /// in [`Answers::silent`]; one that cannot answer is in [`Answers::refused`]. Servers join the
    /// list shortly after they start.
    ///
    /// # Errors
    ///
    /// Those of [`send_to`](Self::send_to).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, other servers may still work on their answers.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use backplane::{Backplane, Servers};
    ///
    /// let broker = broker::Broker::new();
    /// let join = || Backplane::builder("ChatApp").server_channel(true).embedded(&broker);
    /// let (here, there) = (join()?, join()?);
    /// there.on_question("double", |_from, number: u32| async move {
    ///     number.checked_mul(2).ok_or("the number is too large")
    /// });
    /// while here.servers().len() < 2 {
    ///     tokio::task::yield_now().await;
    /// }
    /// let asked = here.ask::<_, u32>(Servers::others(), "double", &21);
    /// let answers = asked.within(Duration::from_millis(500)).await?;
    /// assert_eq!(answers.received[0].1, 42);
    /// let refused = here.ask::<_, u32>(Servers::others(), "double", &u32::MAX).await?.refused;
    /// assert_eq!(refused[0].1, "the number is too large");
    /// # Ok(()) }
    /// ```
    pub fn ask<Q, A>(&self, servers: Servers, name: &str, question: &Q) -> Ask<'_, A>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let question = to_json(name, question);
        let (name, within) = (name.to_owned(), WITHIN);
        Ask { backplane: self, servers, name, question, within, answer: PhantomData }
    }

    /// Calls a function for each question with this name, see [`ask`](Self::ask). The text of its
    /// error is the reason of a refusal.
    ///
    /// It takes one question after the other; [`on_message`](Self::on_message) describes the queue.
    /// A question that does not fit into the queue, that is not of type `Q`, or whose function
    /// panics, is refused.
    ///
    /// # Panics
    ///
    /// If the name starts with `backplane.`, or outside of a tokio runtime.
    ///
    /// See [`ask`](Self::ask) for an example.
    pub fn on_question<Q, A, E, F, R>(&self, name: &str, handler: F)
    where
        Q: DeserializeOwned,
        A: Serialize,
        E: Display,
        F: Fn(Server, Q) -> R + Send + Sync + 'static,
        R: Future<Output = Result<A, E>> + Send + 'static,
    {
        self.handle(name, answering(handler), 1);
    }

    /// Calls a function for each question with this name, as [`on_question`](Self::on_question)
    /// does, but all at once. So a question that takes long delays no other one.
    ///
    /// Their number has no limit. The servers of the app trust each other.
    ///
    /// # Panics
    ///
    /// As [`on_question`](Self::on_question).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    ///
    /// use backplane::{Backplane, Servers};
    /// use tokio::sync::Semaphore;
    ///
    /// static RELEASED: Semaphore = Semaphore::const_new(0);
    ///
    /// let broker = broker::Broker::new();
    /// let backplane = Backplane::builder("ChatApp").server_channel(true).embedded(&broker)?;
    /// backplane.on_parallel_question("release", |_from, waits: bool| async move {
    ///     match waits {
    ///         true => RELEASED.acquire().await.expect("it is not closed").forget(),
    ///         false => RELEASED.add_permits(1),
    ///     }
    ///     Ok::<_, Infallible>(())
    /// });
    /// let waiting = backplane.ask::<_, ()>(Servers::all(), "release", &true).into_future();
    /// let releasing = backplane.ask::<_, ()>(Servers::all(), "release", &false).into_future();
    /// let (waited, _) = tokio::join!(waiting, releasing);
    /// assert_eq!(waited?.received.len(), 1);
    /// # Ok(()) }
    /// ```
    pub fn on_parallel_question<Q, A, E, F, R>(&self, name: &str, handler: F)
    where
        Q: DeserializeOwned,
        A: Serialize,
        E: Display,
        F: Fn(Server, Q) -> R + Send + Sync + 'static,
        R: Future<Output = Result<A, E>> + Send + 'static,
    {
        self.handle(name, answering(handler), usize::MAX);
    }

    fn handle(&self, name: &str, answering: Answering, at_once_max: usize) {
        assert!(!name.starts_with(RESERVED), "names that start with '{RESERVED}' are reserved");
        self.inner.span.in_scope(|| match self.channel() {
            Ok(channel) => channel.handle(name, answering, at_once_max),
            Err(_) => warn!(name, "no message arrives without Builder::server_channel"),
        });
    }

    pub(super) fn channel(&self) -> Result<&ServerChannel, AskError> {
        self.inner.servers.as_deref().ok_or(AskError::Off)
    }
}

impl<A> Ask<'_, A> {
    /// Sets how long to wait for the answers. The default is five seconds.
    ///
    /// See [`Backplane::ask`] for an example.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }
}

impl<'a, A: DeserializeOwned + Send> IntoFuture for Ask<'a, A> {
    type Output = Result<Answers<A>, AskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { backplane, servers, name, question, within, .. } = self;
        let asking = async move {
            let raw = backplane.channel()?.ask(&servers, &name, &question?, within).await?;
            let Answers { received: unread, silent, mut refused } = raw;
            let mut received = Vec::with_capacity(unread.len());
            for (server, answer) in unread {
                match read(&answer) {
                    Ok(answer) => received.push((server, answer)),
                    Err(reason) => refused.push((server, reason)),
                }
            }
            Ok(Answers { received, silent, refused })
        };
        Box::pin(asking)
    }
}

/// Returns a function of questions as one of bytes.
fn answering<Q, A, E, F, R>(handler: F) -> Answering
where
    Q: DeserializeOwned,
    A: Serialize,
    E: Display,
    F: Fn(Server, Q) -> R + Send + Sync + 'static,
    R: Future<Output = Result<A, E>> + Send + 'static,
{
    Box::new(move |from, value: Box<RawValue>| match read(&value) {
        Ok(question) => {
            let answered = handler(from, question);
            let to_reply = |answer: Result<A, E>| {
                let answer = answer.map_err(|reason| reason.to_string())?;
                to_raw_value(&answer).map_err(|error| error.to_string())
            };
            answered.map(to_reply).boxed()
        }
        Err(reason) => std::future::ready(Err(reason)).boxed(),
    })
}

fn to_json(name: &str, value: &(impl Serialize + ?Sized)) -> Result<Box<RawValue>, AskError> {
    to_raw_value(value).map_err(|source| AskError::NoJson { name: name.to_owned(), source })
}

fn read<T: DeserializeOwned>(value: &RawValue) -> Result<T, String> {
    serde_json::from_str(value.get()).map_err(|error| format!("the value does not fit: {error}"))
}

fn null() -> Box<RawValue> {
    RawValue::from_string("null".to_owned()).expect("null is JSON")
}
