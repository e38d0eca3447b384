//! Sends invocations without being a server: for programs that have no browsers.

use std::sync::Arc;

use futures_util::future::join_all;
use tracing::{Span, debug};

use crate::bus::{SendError, Sender, check_size};
use crate::channels::publications;
use crate::dialect::Signalr2;
use crate::guid::guid;
use crate::invocation::Invocation;
use crate::target::Target;

/// Sends invocations to the connections of an app, from a program without connections of its own.
///
/// An emitter has one connection to the broker. It has no subscription, so it costs the app nothing
/// while it is silent, and does not read what others send. While the broker is unreachable, it
/// queues messages as a [`Backplane`](crate::Backplane) does.
///
/// Cloning returns another handle to the same emitter. [`Builder::emitter`](crate::Builder::emitter)
/// starts one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let config = broker::Config { port: broker::Port::Any, ..Default::default() };
/// # let server = broker::Server::bind(broker::Broker::new(), &config).await?;
/// # let url = format!("redis://127.0.0.1:{}", server.local_addr().unwrap().port());
/// use backplane::{Backplane, Invocation, Target};
///
/// let backplane = Backplane::builder("ChatApp").hub("ChatHub").connect(&url).await?;
/// let mut ann = backplane.attach("ann's browser", None);
///
/// let emitter = Backplane::builder("ChatApp").hub("ChatHub").emitter(&url).await?;
/// emitter.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
/// assert_eq!(ann.recv().await?.arguments().get(), r#"["hi"]"#);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Emitter {
    inner: Arc<Inner>,
    hub: Signalr2,
}

#[derive(Debug)]
struct Inner {
    sender: Sender,
    /// Before the names of channels, in ASP.NET Core's dialect.
    prefix: String,
    /// The sender's name in messages of SignalR 2.
    source: String,
    span: Span,
}

impl Emitter {
    pub(crate) fn new(sender: Sender, prefix: &str, hub: &str, span: Span) -> Self {
        let inner = Inner { sender, prefix: prefix.to_owned(), source: guid(), span };
        Self { inner: Arc::new(inner), hub: Signalr2::new(hub) }
    }

    /// Returns a handle for another hub of the app, on the same connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// # let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// # let url = format!("redis://127.0.0.1:{}", server.local_addr().unwrap().port());
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let emitter = Backplane::builder("App").emitter(&url).await?;
    /// let (chat, stock) = (emitter.hub("ChatHub"), emitter.hub("StockHub"));
    /// stock.send(Target::group("MSFT"), Invocation::new("price", [7])?).await?;
    /// chat.send(Target::user("ann"), Invocation::new("say", ["hi"])?).await?;
    /// # Ok(()) }
    /// ```
    pub fn hub(&self, name: &str) -> Self {
        Self { inner: self.inner.clone(), hub: Signalr2::new(name) }
    }

    /// Sends an invocation to connections of all servers. Returns when the broker has accepted it.
    ///
    /// # Errors
    ///
    /// [`SendError`], as of [`Backplane::send`](crate::Backplane::send). A message with an unknown
    /// outcome is not sent again.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the message may or may not be sent.
    ///
    /// See the type for an example.
    pub async fn send(&self, target: Target, invocation: Invocation) -> Result<(), SendError> {
        let sent = self.send_each(&target, &invocation).await;
        if let Err(error) = &sent {
            self.inner.span.in_scope(|| debug!(%error, "an invocation was not sent"));
        }
        sent
    }

    async fn send_each(&self, target: &Target, invocation: &Invocation) -> Result<(), SendError> {
        let Inner { sender, prefix, source, .. } = &*self.inner;
        check_size(invocation)?;
        match sender {
            Sender::Stream(bus) => {
                let bodies = self.hub.invocation(|| source.clone(), target, invocation);
                // All sends start in this order, and none waits for another.
                let sends = bodies.into_iter().map(|body| bus.send(body));
                join_all(sends).await.into_iter().try_for_each(|sent| sent.map(drop))
            }
            Sender::Channels(bus) => {
                let messages = publications(prefix, self.hub.hub(), target, invocation);
                bus.publish(&messages).await.map(drop)
            }
        }
    }

    /// Sends the queued messages, at most for two seconds, and disconnects. This applies to all
    /// handles. A later send fails.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, queued messages may not be sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// # let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// # let url = format!("redis://127.0.0.1:{}", server.local_addr().unwrap().port());
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let emitter = Backplane::builder("ChatApp").emitter(&url).await?;
    /// emitter.clone().shutdown().await;
    /// let sent = emitter.send(Target::all(), Invocation::new("say", ["hi"])?).await;
    /// assert!(sent.unwrap_err().to_string().ends_with("it was shut down"));
    /// # Ok(()) }
    /// ```
    pub async fn shutdown(self) {
        self.inner.sender.stop().await;
    }
}
