//! The two connections to a server, for as long as both live.
//!
//! One carries nothing but the subscription, since client libraries lose subscriptions in some
//! failure or other, and a lost one would be silence. The other is for commands. A link is whole or
//! it is replaced: it ends with the first of the two.

use std::pin::pin;

use ::redis::RedisError;
use ::redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::Notify;
use tokio::task::coop::{consume_budget, unconstrained};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Patience;
use super::failure::Failure;
use super::server::{Commands, Server};
use crate::receiver::Receiver;

pub(super) struct Link {
    commands: Commands,
    sink: PubSubSink,
    stream: PubSubStream,
}

impl Link {
    /// Connects and subscribes. The subscription is confirmed when it returns.
    pub(super) async fn open(
        server: &Server,
        channel: &str,
        patience: &Patience,
    ) -> Result<Self, Failure> {
        let attempt = async {
            let commands = server.commands(patience).await?;
            let (mut sink, stream) = server.subscriptions(patience).await?.split();
            sink.subscribe(channel).await?;
            Ok(Self { commands, sink, stream })
        };
        let outcome = timeout(2 * patience.answer, attempt).await;
        outcome.unwrap_or_else(|_| Err(Failure::no_answer(2 * patience.answer)))
    }

    /// Returns another handle to the connection for commands.
    pub(super) fn commands(&self) -> MultiplexedConnection {
        self.commands.connection.clone()
    }

    /// Receives until a connection is lost, and returns why. A `suspicion` asks the server at once
    /// whether it is still there.
    pub(super) async fn receive(
        self,
        receiver: &Receiver,
        patience: &Patience,
        suspicion: &Notify,
    ) -> Failure {
        let Self { commands, sink, mut stream } = self;
        let messages = async {
            while let Some(message) = stream.next().await {
                receiver.receive(message.get_payload_bytes());
                // A stream that is always ready would starve the other tasks of this process.
                consume_budget().await;
            }
        };
        let probes = pin!(probe(commands.connection, sink, patience, suspicion));
        let failure = tokio::select! {
            () = messages => Failure::closed(),
            _ = commands.driver => Failure::closed(),
            failure = probes => failure,
        };
        // What has arrived is not lost with the connection that brought it.
        while let Some(Some(message)) = unconstrained(stream.next()).now_or_never() {
            receiver.receive(message.get_payload_bytes());
        }
        failure
    }
}

/// Asks on both connections whether the server is still there, until it is not.
async fn probe(
    mut commands: MultiplexedConnection,
    mut sink: PubSubSink,
    patience: &Patience,
    suspicion: &Notify,
) -> Failure {
    let ping = ::redis::cmd("PING");
    let mut ticks = interval(patience.ping_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = suspicion.notified() => {}
        }
        let on_sink = async { answered(sink.ping().await) };
        let on_commands = async { answered(ping.query_async(&mut commands).await) };
        let answers = async { tokio::try_join!(on_sink, on_commands) };
        match timeout(patience.answer, answers).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if !error.is_timeout() => return error.into(),
            Ok(Err(_)) | Err(_) => return Failure::no_answer(patience.answer),
        }
    }
}

/// Any reply is a sign of life, even the one that says we may not `PING`.
fn answered(reply: Result<::redis::Value, RedisError>) -> Result<(), RedisError> {
    match reply {
        Err(error) if error.code().is_none() => Err(error),
        _ => Ok(()),
    }
}
