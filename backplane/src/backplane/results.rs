//! Results of clients: a question to the client of any server.
//!
//! First all servers are asked which of them has the connection, and then that one asks its client.
//! The wait ends early if the connection ends, or its server.

use std::fmt::{Debug, Formatter};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use thiserror::Error;
use tokio::time::Instant;

use super::Backplane;
use super::inspect::NAME as CONNECTIONS;
use super::plane::Plane;
use crate::cursor::Cursor;
use crate::invocation::Invocation;
use crate::options::DURATION_MAX;
use crate::servers::{Answers, AskError, Servers};
use crate::target::Target;

/// A question to the client of a connection. Awaiting it asks. See [`Backplane::ask_client`].
#[must_use = "a question is asked when it is awaited"]
pub struct AskClient<'a, A> {
    backplane: &'a Backplane,
    connection_id: String,
    invocation: &'a Invocation,
    after: Option<Cursor>,
    within: Duration,
    answer: PhantomData<fn() -> A>,
}

/// A question to a client of this server. See [`Backplane::on_client_question`].
#[derive(Debug)]
#[non_exhaustive]
pub struct ClientQuestion {
    /// The connection of the client.
    pub connection_id: String,
    /// The method that the client runs.
    pub invocation: Invocation,
    /// The client runs its method after the messages up to this place.
    pub after: Option<Cursor>,
    /// How long the asking server waits from now on.
    pub within: Duration,
}

/// The error for a client without a result.
///
/// ```
/// let error = backplane::ResultError::OwnerGone;
/// assert_eq!(error.to_string(), "the server of the connection is gone");
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResultError {
    /// No server has the connection.
    #[error("no server has the connection")]
    NoConnection,
    /// The connection ended before the client returned a result.
    #[error("the connection ended before the client returned a result")]
    ConnectionClosed,
    /// The server of the connection shut down, or its lease ended.
    #[error("the server of the connection is gone")]
    OwnerGone,
    /// The client did not return a result in time.
    #[error("the client returned no result in time")]
    TimedOut,
    /// The client or its server returned an error.
    #[error("{0}")]
    Refused(String),
    /// The result has another type.
    #[error("the result of the client has another type: {0}")]
    Type(#[source] serde_json::Error),
    /// The servers could not be asked, or some of them did not answer.
    #[error(transparent)]
    Servers(#[from] AskError),
}

/// The question as other servers read it.
#[derive(Debug, Deserialize, Serialize)]
struct Question<'a> {
    connection: String,
    method: String,
    #[serde(borrow)]
    arguments: &'a RawValue,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// Milliseconds that the asking server waits.
    within: u64,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Result(Box<RawValue>),
    Closed {},
    TimedOut {},
    NoConnection {},
}

/// The start of the name of the question. The name of the hub follows.
const NAME: &str = "backplane.results.";
/// The default time for a result.
const WITHIN: Duration = Duration::from_secs(30);
/// Clients of one hub and one server that are asked at once.
const AT_ONCE_MAX: usize = 1024;

impl Backplane {
    /// Invokes a method of one client, of any server, and returns its result. The question is asked
    /// when the result is awaited.
    ///
    /// It waits 30 seconds, or [`within`](AskClient::within) another time. If the connection ends, or
    /// its server, the wait ends: at once after a shutdown, and within 15 seconds after a crash. The
    /// servers need [`Builder::server_channel`](crate::Builder::server_channel) and a function of
    /// [`on_client_question`](Self::on_client_question), which `signalr` sets.
    ///
    /// # Errors
    ///
    /// [`ResultError`] names the reason why there is no result.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the client may still run its method.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, ClientQuestion, Invocation, ResultError};
    /// use serde_json::value::to_raw_value;
    ///
    /// let broker = broker::Broker::new();
    /// let join = || Backplane::builder("ChatApp").server_channel(true).embedded(&broker);
    /// let (here, there) = (join()?, join()?);
    /// there.on_client_question(|question: ClientQuestion| async move {
    ///     assert_eq!((&*question.connection_id, question.invocation.method()), ("c1", "confirm"));
    ///     to_raw_value(&true).map_err(ResultError::Type)
    /// });
    /// let _ann = there.attach("c1", Some("ann"));
    /// while here.servers().len() < 2 {
    ///     tokio::task::yield_now().await;
    /// }
    /// let confirm = Invocation::new("confirm", ["delete?"])?;
    /// assert!(here.ask_client::<bool>("c1", &confirm).await?);
    /// let nobody = here.ask_client::<bool>("c2", &confirm).await;
    /// assert!(matches!(nobody, Err(ResultError::NoConnection)));
    /// # Ok(()) }
    /// ```
    pub fn ask_client<'a, A: DeserializeOwned>(
        &'a self,
        connection_id: &str,
        invocation: &'a Invocation,
    ) -> AskClient<'a, A> {
        let connection_id = connection_id.to_owned();
        let (after, within, answer) = (None, WITHIN, PhantomData);
        AskClient { backplane: self, connection_id, invocation, after, within, answer }
    }

    /// Calls a function for each question to a client of this server, in the hub of this handle. See
    /// [`ask_client`](Self::ask_client).
    ///
    /// It is called for up to 1,024 questions at once. The function stays until the shutdown, or until
    /// another one takes its place. A handle in the function keeps the backplane alive until then.
    /// Without [`Builder::server_channel`](crate::Builder::server_channel) no question arrives.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, if the channel between servers is on.
    ///
    /// See [`ask_client`](Self::ask_client) for an example.
    pub fn on_client_question<F, R>(&self, handler: F)
    where
        F: Fn(ClientQuestion) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Box<RawValue>, ResultError>> + Send + 'static,
    {
        let Some(channel) = &self.inner.servers else { return };
        let answering = move |_, value: Box<RawValue>| match ClientQuestion::read(&value) {
            Ok(question) => handler(question).map(to_reply).boxed(),
            Err(reason) => std::future::ready(Err(reason)).boxed(),
        };
        let name = [NAME, self.dialect.hub()].concat();
        let handle = || channel.handle(&name, Box::new(answering), AT_ONCE_MAX);
        self.inner.span.in_scope(handle);
    }
}

impl<A> AskClient<'_, A> {
    /// Sets how long to wait for the result. The default is 30 seconds.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// # let builder = backplane::Backplane::builder("ChatApp").server_channel(true);
    /// # let backplane = builder.embedded(&broker::Broker::new())?;
    ///
    /// let confirm = backplane::Invocation::new("confirm", ["delete?"])?;
    /// let asked = backplane.ask_client::<bool>("c1", &confirm).within(Duration::from_secs(5));
    /// assert!(asked.await.is_err());
    /// # Ok(()) }
    /// ```
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Lets the client run its method after the messages up to this place, see
    /// [`Backplane::send_placed`]. In ASP.NET Core's dialect, places have no meaning on other servers,
    /// so this has no effect.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Invocation, Target};
    /// # let builder = backplane::Backplane::builder("ChatApp").server_channel(true);
    /// # let backplane = builder.embedded(&broker::Broker::new())?;
    ///
    /// let place = backplane.send_placed(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// let confirm = Invocation::new("confirm", ["delete?"])?;
    /// let asked = backplane.ask_client::<bool>("c1", &confirm).after(place);
    /// assert!(asked.await.is_err());
    /// # Ok(()) }
    /// ```
    pub fn after(mut self, place: Cursor) -> Self {
        self.after = matches!(self.backplane.inner.plane, Plane::Stream(_)).then_some(place);
        self
    }

    async fn ask(self) -> Result<Box<RawValue>, ResultError> {
        let Self { backplane, connection_id, invocation, after, within, .. } = self;
        let deadline = Instant::now() + within.min(DURATION_MAX);
        let channel = backplane.channel()?;
        let owner = backplane.owner(&connection_id, within).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        let question = Question {
            connection: connection_id,
            method: invocation.method().to_owned(),
            arguments: invocation.arguments(),
            after: after.map(|place| place.to_string()),
            within: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        };
        let name = [NAME, backplane.dialect.hub()].concat();
        let value = to_raw_value(&question).map_err(ResultError::Type)?;
        let asked = channel.ask(&Servers::one(&*owner), &name, &value, left).await;
        let Answers { received, refused, .. } = asked.map_err(AskError::from)?;
        if let Some((_, reason)) = refused.into_iter().next() {
            return Err(ResultError::Refused(reason));
        }
        let Some((_, answer)) = received.into_iter().next() else {
            let is_there = channel.list().iter().any(|server| server.id == owner);
            return Err(if is_there { ResultError::TimedOut } else { ResultError::OwnerGone });
        };
        match serde_json::from_str(answer.get()).map_err(ResultError::Type)? {
            Answer::Result(result) => Ok(result),
            Answer::Closed {} => Err(ResultError::ConnectionClosed),
            Answer::TimedOut {} => Err(ResultError::TimedOut),
            Answer::NoConnection {} => Err(ResultError::NoConnection),
        }
    }
}

impl Backplane {
    /// Returns the id of the server with a connection.
    async fn owner(&self, connection_id: &str, within: Duration) -> Result<String, ResultError> {
        let question = self.description(Target::connection(connection_id));
        let value = to_raw_value(&question).map_err(ResultError::Type)?;
        // The answer of the owner is the only one that lists a connection.
        let has_it = |answer: &RawValue| answer.get() != "[]";
        let (channel, all) = (self.channel()?, Servers::all());
        let asked = channel.ask_until(&all, CONNECTIONS, &value, within, has_it).await;
        let answers = asked.map_err(AskError::from)?;
        let found = answers.received.iter().find(|(_, answer)| has_it(answer));
        if let Some((server, _)) = found {
            return Ok(server.id.clone());
        }
        answers.complete()?;
        Err(ResultError::NoConnection)
    }
}

impl<'a, A: DeserializeOwned + Send + 'a> IntoFuture for AskClient<'a, A> {
    type Output = Result<A, ResultError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let asking = self.ask();
        Box::pin(async move {
            let result = asking.await?;
            serde_json::from_str(result.get()).map_err(ResultError::Type)
        })
    }
}

impl<A> Debug for AskClient<'_, A> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { connection_id, within, .. } = self;
        f.debug_struct("AskClient")
            .field("connection_id", connection_id)
            .field("within", within)
            .finish_non_exhaustive()
    }
}

impl ClientQuestion {
    fn read(value: &RawValue) -> Result<Self, String> {
        let question: Question<'_> =
            serde_json::from_str(value.get()).map_err(|error| error.to_string())?;
        let Question { connection: connection_id, method, arguments, after, within } = question;
        let invocation = Invocation::new(method, arguments).map_err(|error| error.to_string())?;
        let after = after.map(|place| place.parse()).transpose();
        let after = after.map_err(|error: crate::CursorError| error.to_string())?;
        let within = Duration::from_millis(within);
        Ok(Self { connection_id, invocation, after, within })
    }
}

fn to_reply(result: Result<Box<RawValue>, ResultError>) -> Result<Box<RawValue>, String> {
    let answer = match result {
        Ok(result) => Answer::Result(result),
        Err(ResultError::NoConnection) => Answer::NoConnection {},
        Err(ResultError::ConnectionClosed) => Answer::Closed {},
        Err(ResultError::TimedOut) => Answer::TimedOut {},
        Err(error) => return Err(error.to_string()),
    };
    to_raw_value(&answer).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    async fn join(broker: &broker::Broker) -> Backplane {
        let builder = Backplane::builder("App").server_channel(true);
        builder.embedded(broker).expect("it is valid")
    }

    async fn know_each_other(servers: &[&Backplane]) {
        while servers.iter().any(|one| one.servers().len() < servers.len()) {
            tokio::task::yield_now().await;
        }
    }

    fn confirm() -> Invocation {
        Invocation::new("confirm", ["delete?"]).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_of_any_server_returns_its_result_or_its_error() {
        let broker = broker::Broker::new();
        let (one, two) = (join(&broker).await, join(&broker).await);
        know_each_other(&[&one, &two]).await;
        two.on_client_question(|question| async move {
            let asked = (question.invocation.method(), question.invocation.arguments().get());
            assert_eq!(asked, ("confirm", r#"["delete?"]"#));
            match &*question.connection_id {
                "yes" => to_raw_value(&true).map_err(ResultError::Type),
                "closed" => Err(ResultError::ConnectionClosed),
                "slow" => {
                    tokio::time::sleep(question.within).await;
                    Err(ResultError::TimedOut)
                }
                _ => Err(ResultError::Refused("not me".to_owned())),
            }
        });
        let ids = ["yes", "closed", "slow", "no"];
        let _all = ids.map(|id| two.attach(id, None));
        let confirm = confirm();
        let ask = |id| one.ask_client::<bool>(id, &confirm).within(MINUTE).into_future();
        // The slow one delays no other.
        let (slow, yes) = tokio::join!(ask("slow"), async {
            let begun = Instant::now();
            (ask("yes").await, begun.elapsed())
        });
        assert!(matches!(slow, Err(ResultError::TimedOut)), "{slow:?}");
        assert!(matches!(yes.0, Ok(true)) && yes.1 < MINUTE, "{yes:?}");
        assert!(matches!(ask("closed").await, Err(ResultError::ConnectionClosed)));
        assert!(matches!(ask("absent").await, Err(ResultError::NoConnection)));
        let refused = ask("no").await.unwrap_err();
        assert_eq!(refused.to_string(), "not me");
        let other = one.ask_client::<Vec<u8>>("yes", &confirm).await;
        assert!(matches!(other, Err(ResultError::Type(_))), "{other:?}");
        let hub = one.hub("Another");
        let elsewhere = hub.ask_client::<bool>("yes", &confirm).await;
        assert!(matches!(elsewhere, Err(ResultError::NoConnection)), "{elsewhere:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_server_of_the_connection() {
        for is_orderly in [true, false] {
            let broker = broker::Broker::new();
            let (one, two) = (join(&broker).await, join(&broker).await);
            know_each_other(&[&one, &two]).await;
            let (asked, mut is_asked) = mpsc::unbounded_channel();
            two.on_client_question(move |_| {
                asked.send(()).unwrap();
                std::future::pending()
            });
            let client = two.attach("c1", None);
            let begun = Instant::now();
            let confirm = confirm();
            let end = async {
                is_asked.recv().await.unwrap();
                drop(client);
                match is_orderly {
                    true => two.shutdown().await,
                    // Without a word, as a killed process.
                    false => drop(two),
                }
            };
            let asking = one.ask_client::<bool>("c1", &confirm).within(10 * MINUTE);
            let (result, ()) = tokio::join!(asking.into_future(), end);
            assert!(matches!(result, Err(ResultError::OwnerGone)), "{result:?}");
            let took = begun.elapsed();
            let limit = Duration::from_secs(if is_orderly { 1 } else { 17 });
            assert!(took < limit, "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_server_does_not_delay_the_search_for_the_owner() {
        let broker = broker::Broker::new();
        let (one, two, dead) = (join(&broker).await, join(&broker).await, join(&broker).await);
        know_each_other(&[&one, &two, &dead]).await;
        two.on_client_question(async |_| to_raw_value(&true).map_err(ResultError::Type));
        let _client = two.attach("c1", None);
        drop(dead);
        let begun = Instant::now();
        let confirm = confirm();
        assert!(one.ask_client::<bool>("c1", &confirm).await.unwrap());
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}
