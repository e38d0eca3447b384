//! The other servers of the app, as far as connections of clients concern them.
//!
//! Servers reach each other by the backplane's channel of servers, if it is on. Without it, each
//! server is alone: it accepts its own tokens, and finds no connection of others.
//!
//! Servers agree on the keys of tokens by questions. A server asks before its first token, and when
//! a token names a key that it lacks, at most once in a while. So forged tokens cause no flood.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use backplane::{Backplane, Servers};
use futures_util::future::join_all;
use locks::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    runtime::Handle,
    time::{self, Instant},
};
use tracing::{Instrument, debug};

use crate::{key_ring::Key, server_id::ServerId, tokens::Tokens};

/// The way of one hub to the other servers.
pub(crate) struct Farm {
    backplane: Backplane,
    /// The hub, in the names of questions.
    hub: String,
    tokens: Arc<Tokens>,
    /// This server. A random one without the channel of servers.
    own: ServerId,
    is_alone: bool,
    /// The last exchange of keys. Held while one is under way, so others wait for its result.
    exchanged: tokio::sync::Mutex<Option<Instant>>,
    has_spread: AtomicBool,
    /// The router that answers the questions of others.
    answering: Mutex<Weak<dyn Any + Send + Sync>>,
}

impl Farm {
    pub(crate) fn new(backplane: &Backplane, hub: &str, tokens: Arc<Tokens>) -> Self {
        let own = backplane.server_id().and_then(ServerId::parse);
        let nobody: Weak<()> = Weak::new();
        Self {
            backplane: backplane.clone(),
            hub: hub.to_owned(),
            tokens,
            own: own.unwrap_or_else(|| ServerId(rand::random())),
            is_alone: own.is_none(),
            exchanged: tokio::sync::Mutex::default(),
            has_spread: AtomicBool::new(false),
            answering: Mutex::new(nobody),
        }
    }

    /// Returns the id of this server.
    pub(crate) fn own(&self) -> ServerId {
        self.own
    }

    /// Returns whether no other server can be reached.
    pub(crate) fn is_alone(&self) -> bool {
        self.is_alone
    }

    pub(crate) fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// Returns whether other servers can take the connections of this one.
    pub(crate) fn has_others(&self) -> bool {
        !self.is_alone && self.backplane.has_cursors() && self.backplane.servers().len() > 1
    }

    /// Returns whether a server has a lease.
    pub(crate) fn is_there(&self, server: ServerId) -> bool {
        let id = server.to_string();
        self.backplane.servers().iter().any(|server| server.id == id)
    }

    /// Returns whether the caller is to answer the questions of other servers from now on, since no
    /// router does.
    pub(crate) fn begins_with<T: Send + Sync + 'static>(&self, router: &Arc<T>) -> bool {
        let mut answering = self.answering.lock();
        let begins = !self.is_alone && answering.strong_count() == 0;
        if begins {
            let router: Weak<T> = Arc::downgrade(router);
            *answering = router;
        }
        begins
    }

    /// Answers questions about keys.
    pub(crate) fn answer_about_keys(&self) {
        let tokens = Arc::clone(&self.tokens);
        self.backplane.on_question(&self.name("keys"), move |_, keys: Vec<Key>| {
            tokens.merge_keys(keys);
            let keys = tokens.shared_keys();
            async move { Ok::<_, String>(keys) }
        });
    }

    /// Answers questions with this name, all at once.
    pub(crate) fn answer<Q, A, R>(
        &self,
        name: &str,
        answer: impl Fn(ServerId, Q) -> R + Send + Sync + 'static,
    ) where
        Q: DeserializeOwned,
        A: Serialize,
        R: Future<Output = Option<A>> + Send + 'static,
    {
        self.backplane.on_parallel_question(&self.name(name), move |from, question: Q| {
            let answered = ServerId::parse(&from.id).map(|from| answer(from, question));
            async move {
                let answered = answered.ok_or("the server has no GUID")?;
                answered.await.ok_or("not here")
            }
        });
    }

    /// Takes messages with this name.
    pub(crate) fn receive<M, R>(
        &self,
        name: &str,
        take: impl Fn(ServerId, M) -> R + Send + Sync + 'static,
    ) where
        M: DeserializeOwned,
        R: Future<Output = ()> + Send + 'static,
    {
        self.backplane.on_message(&self.name(name), move |from, message: M| {
            let taken = ServerId::parse(&from.id).map(|from| take(from, message));
            async move {
                if let Some(taken) = taken {
                    taken.await;
                }
            }
        });
    }

    /// Waits until this server may sign: it has asked the others for their keys.
    pub(crate) async fn is_ready(&self) {
        if !self.is_alone && !self.tokens.are_fixed() && self.exchanged.lock().await.is_none() {
            self.exchange_keys().await;
        }
    }

    /// Lets the other servers know the keys of this one, once, since they may need them after its end.
    pub(crate) fn spread_keys(self: &Arc<Self>) {
        if self.is_alone || self.tokens.are_fixed() || self.has_spread.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let farm = Arc::clone(self);
        tokio::spawn(async move { farm.exchange_keys().await }.in_current_span());
    }

    /// Exchanges keys with the other servers. If that has just happened, waits a moment first: servers
    /// that have begun since have new keys. All calls that wait share one exchange.
    pub(crate) async fn exchange_keys(&self) {
        if self.is_alone {
            return;
        }
        let called = Instant::now();
        let mut exchanged = self.exchanged.lock().await;
        if let Some(last) = *exchanged {
            if last >= called {
                return;
            }
            time::sleep_until(last + EXCHANGE_INTERVAL).await;
        }
        // Before the answers: also a request that is dropped meanwhile counts.
        *exchanged = Some(Instant::now());
        let keys = self.tokens.shared_keys();
        for (_, keys) in self.ask_others("keys", &keys, OTHERS_TIMEOUT).await {
            self.tokens.merge_keys(keys);
        }
    }

    /// Asks one server. Returns `None` if it does not answer in time, or is not there.
    pub(crate) async fn ask<A: DeserializeOwned + Send>(
        &self,
        server: ServerId,
        name: &str,
        question: &(impl Serialize + ?Sized),
        within: Duration,
    ) -> Option<A> {
        match self.ask_one(server, name, question, within).await {
            Asked::Answer(answer) => Some(answer),
            Asked::Refused | Asked::Silent => None,
        }
    }

    /// Asks one server. A killed one is silent at once.
    pub(crate) async fn ask_one<A: DeserializeOwned + Send>(
        &self,
        server: ServerId,
        name: &str,
        question: &(impl Serialize + ?Sized),
        within: Duration,
    ) -> Asked<A> {
        if self.is_alone {
            return Asked::Silent;
        }
        let to = Servers::one(server.to_string());
        let asking = self.backplane.ask::<_, A>(to, &self.name(name), question);
        match asking.within(within).await {
            Ok(mut answers) => match answers.received.pop() {
                Some((_, answer)) => Asked::Answer(answer),
                None if answers.refused.is_empty() => Asked::Silent,
                None => Asked::Refused,
            },
            Err(error) => {
                debug!(%error, name, "could not ask another server");
                Asked::Silent
            }
        }
    }

    /// Asks one server until it answers or is gone. Its answer may be lost, so the question can come
    /// several times.
    pub(crate) async fn ask_until_gone<A: DeserializeOwned + Send>(
        &self,
        server: ServerId,
        name: &str,
        question: &(impl Serialize + Sync + ?Sized),
    ) -> Option<A> {
        loop {
            match self.ask_one(server, name, question, AGAIN_AFTER).await {
                Asked::Answer(answer) => return Some(answer),
                // The server may be away from the broker only.
                Asked::Silent if self.is_there(server) => time::sleep(AWAY_PAUSE).await,
                Asked::Silent | Asked::Refused => return None,
            }
        }
    }

    /// Asks all other servers, and returns the answers that come in time. Each one is asked by itself,
    /// so a killed server delays nothing.
    pub(crate) async fn ask_others<A: DeserializeOwned + Send>(
        &self,
        name: &str,
        question: &(impl Serialize + Sync + ?Sized),
        within: Duration,
    ) -> Vec<(ServerId, A)> {
        if self.is_alone {
            return Vec::new();
        }
        let servers = self.backplane.servers();
        let others = servers.iter().filter_map(|server| ServerId::parse(&server.id));
        let asking = others.filter(|server| *server != self.own).map(|server| async move {
            Some((server, self.ask(server, name, question, within).await?))
        });
        join_all(asking).await.into_iter().flatten().collect()
    }

    /// Sends a message to a server, without waiting.
    pub(crate) fn notify<M>(self: &Arc<Self>, server: ServerId, name: &'static str, message: M)
    where
        M: Serialize + Send + Sync + 'static,
    {
        // Outside of a runtime, the process ends.
        let Ok(runtime) = Handle::try_current() else { return };
        if self.is_alone {
            return;
        }
        let farm = Arc::clone(self);
        let sending = async move {
            let to = Servers::one(server.to_string());
            if let Err(error) = farm.backplane.send_to(to, &farm.name(name), &message).await {
                debug!(%error, name, "could not notify another server");
            }
        };
        runtime.spawn(sending.in_current_span());
    }

    /// Hubs with different names share the channel.
    fn name(&self, name: &str) -> String {
        format!("signalr.{}.{name}", self.hub)
    }
}

/// The outcome of a question to one server.
#[derive(Debug)]
pub(crate) enum Asked<A> {
    Answer(A),
    /// The server cannot answer it, such as one of another version.
    Refused,
    /// No answer came in time, or the server is not there.
    Silent,
}

impl fmt::Debug for Farm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Farm").field("own", &self.own).finish_non_exhaustive()
    }
}

/// Maximum wait for the answer of a server that has it at hand, if another way follows.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
/// Maximum wait for the answers of all others, if a busy one may be left out. One that is not there
/// takes no time.
pub(crate) const OTHERS_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum wait for an answer before a question is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Pause before a server that is away from the broker is asked again.
const AWAY_PAUSE: Duration = Duration::from_millis(200);
/// Minimum time between two exchanges of keys.
const EXCHANGE_INTERVAL: Duration = Duration::from_secs(1);
