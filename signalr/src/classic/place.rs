//! The place of a client on this server: its callers, its hooks, and the way to its connection.
//!
//! A place begins with a valid token and ends with its connection. `on_connected` of a hub runs at
//! most once for a place, before the first method of that hub. `on_disconnected` runs once at the
//! end, for each hub that has accepted the client. Both run under one lock, so they cannot overlap.
//! A client gets a new place only after the hooks of the old one.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use backplane::Cursor;
use bytes::Bytes;
use locks::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::{
    attachment, connection,
    elsewhere::Moved,
    service::{Service, Users},
    transport::Transport,
};
use crate::{
    caller::Caller, close_handle::CloseHandle, disconnect::Disconnect, dispatch, hub::Hub,
    peer::Peer, transport_kind::TransportKind,
};

/// The places of all clients, by connection id.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<HashMap<Arc<str>, Arc<Place>>>);

/// The place of one client.
pub(super) struct Place {
    pub(super) service: Arc<Service>,
    pub(super) id: Arc<str>,
    /// The hubs that the client subscribes to, by index.
    pub(super) hubs: Vec<usize>,
    /// One for each hub of the service.
    callers: Vec<Caller>,
    commands: mpsc::Sender<Command>,
    pub(super) close_handle: Arc<CloseHandle>,
    /// One permit: the methods of a client run one at a time.
    pub(super) calls: Arc<Semaphore>,
    is_started: AtomicBool,
    has_come: bool,
    /// One permit, for the task that runs calls of a WebSocket that has ended.
    pub(super) finishing: Arc<Semaphore>,
    /// Cancelled when the client is gone: its streams end.
    pub(super) gone: CancellationToken,
    /// Cancelled when the client may get a new place.
    over: CancellationToken,
    lifecycle: tokio::sync::Mutex<Lifecycle>,
    span: Span,
}

/// Which hubs have accepted the client.
#[derive(Debug)]
struct Lifecycle {
    accepted: Vec<Option<bool>>,
    has_ended: bool,
    /// Whether another server has the client. Its hooks run there.
    has_moved: bool,
}

/// A message to the connection of a place.
#[derive(Debug)]
pub(super) enum Command {
    Open(Opening),
    Answer(Answer),
    /// Ends the connection, since another server goes on with it.
    HandOver(oneshot::Sender<HandedOver>),
}

/// The state of a connection for the next server.
#[derive(Debug)]
pub(super) struct HandedOver {
    pub(super) groups: Vec<String>,
    /// The place of the last frame.
    pub(super) cursor: Cursor,
    pub(super) users: Users,
}

/// How a new place begins.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    pub(super) groups: Vec<String>,
    pub(super) cursor: Option<Cursor>,
    /// Set if another server had the client.
    pub(super) moved: Option<Moved>,
}

/// A transport opens.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) transport: Transport,
    pub(super) resume: Option<Resume>,
}

/// Where a client goes on. A first transport has none.
#[derive(Clone, Debug, Default)]
pub(super) struct Resume {
    /// The place of the last frame that the client has received.
    pub(super) cursor: Option<Cursor>,
    pub(super) groups_token: Option<String>,
}

/// The result or the progress of a call, or a request that waits for the messages of its method.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) to: Recipient,
    /// The last message that the client's methods had sent when this one returned.
    pub(super) after: Option<Cursor>,
}

#[derive(Debug)]
pub(super) enum Recipient {
    WebSocket(Bytes),
    Request(oneshot::Sender<()>),
    /// The client, whichever transport it has: the progress of a call.
    Progress(Bytes),
}

/// A client that has proved its identity.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) id: Arc<str>,
    pub(super) users: Users,
    pub(super) transport: TransportKind,
    pub(super) hubs: Vec<usize>,
}

impl Visitor {
    /// Returns the connection as the methods of one hub see it.
    pub(super) fn peer(&self, hub: usize) -> Arc<Peer> {
        Arc::new(Peer::new(Arc::clone(&self.id), self.users.of(hub).clone(), self.transport))
    }
}

impl Places {
    pub(super) fn find(&self, id: &str) -> Option<Arc<Place>> {
        self.0.lock().get(id).cloned()
    }

    /// Returns the place of a client, and whether it is new.
    pub(super) fn enter(
        service: &Arc<Service>,
        visitor: &Visitor,
        beginning: &Beginning,
    ) -> (Arc<Place>, bool) {
        let mut places = service.places.0.lock();
        if let Some(place) = places.get(&visitor.id) {
            return (Arc::clone(place), false);
        }
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let moved = beginning.moved.as_ref();
        let place = Arc::new(Place::new(service, visitor, commands, moved));
        let groups = moved.map_or(&beginning.groups, |moved| &moved.groups);
        let cursor = beginning.cursor.or_else(|| moved.and_then(Moved::cursor));
        // Attached before the reply: a client misses no message.
        let attached = attachment::attach(&place, &visitor.users, groups, cursor);
        places.insert(Arc::clone(&visitor.id), Arc::clone(&place));
        drop(places);
        let span = place.span.clone();
        let (users, runs) = (visitor.users.clone(), Arc::clone(&place));
        let running = connection::run(runs, users, cursor, attached, received);
        tokio::spawn(running.instrument(span));
        (place, true)
    }
}

impl Place {
    fn new(
        service: &Arc<Service>,
        visitor: &Visitor,
        commands: mpsc::Sender<Command>,
        moved: Option<&Moved>,
    ) -> Self {
        let has_accepted = |hub: &Hub| {
            let is_accepted = moved?.accepted.iter().any(|accepted| accepted == hub.name());
            is_accepted.then_some(true)
        };
        let accepted = service.hubs().iter().map(has_accepted).collect();
        let close_handle = Arc::new(CloseHandle::default());
        let hubs = service.hubs().iter().enumerate();
        let callers = hubs.map(|(index, hub)| {
            Caller::new(visitor.peer(index), hub.links(), Arc::clone(&close_handle))
        });
        Self {
            service: Arc::clone(service),
            id: Arc::clone(&visitor.id),
            hubs: visitor.hubs.clone(),
            callers: callers.collect(),
            commands,
            close_handle,
            calls: Arc::new(Semaphore::new(1)),
            has_come: moved.is_some(),
            is_started: AtomicBool::new(moved.is_some_and(|moved| moved.is_started)),
            finishing: Arc::new(Semaphore::new(1)),
            gone: CancellationToken::new(),
            over: CancellationToken::new(),
            lifecycle: tokio::sync::Mutex::new(Lifecycle {
                accepted,
                has_ended: false,
                has_moved: false,
            }),
            span: tracing::debug_span!("connection", connection.id = %visitor.id),
        }
    }

    /// Returns the client, with its users.
    pub(super) fn visitor(&self, users: Users) -> Visitor {
        let (id, hubs) = (Arc::clone(&self.id), self.hubs.clone());
        let first = self.callers.first().map(|caller| caller.peer().transport);
        let transport = first.unwrap_or(TransportKind::LongPolling);
        Visitor { id, users, transport, hubs }
    }

    pub(super) fn caller(&self, hub: usize) -> &Caller {
        &self.callers[hub]
    }

    /// Returns the last message that the client's methods have sent.
    pub(super) fn last_sent(&self) -> Option<Cursor> {
        self.callers.iter().map(Caller::last_sent).max().flatten()
    }

    /// Forgets the place after all hooks. A client that comes back then gets a new one.
    pub(super) fn leave(&self) {
        self.service.places.0.lock().remove(&self.id);
        self.gone.cancel();
        self.over.cancel();
    }

    /// Waits until the client may get a new place.
    pub(super) async fn is_over(&self) {
        self.over.cancelled().await;
    }

    /// Returns whether the connection takes no further transport.
    pub(super) fn is_ending(&self) -> bool {
        self.commands.is_closed()
    }

    /// Opens a transport. Fails if the connection has ended.
    pub(super) async fn open(&self, opening: Opening) -> Result<(), Opening> {
        match self.commands.send(Command::Open(opening)).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendError(Command::Open(opening))) => Err(opening),
            Err(_) => unreachable!("the command comes back"),
        }
    }

    /// Passes an answer to the connection. An ended connection drops it.
    pub(super) async fn answer(&self, answer: Answer) {
        self.command(Command::Answer(answer)).await;
    }

    /// Passes a command to the connection. An ended connection drops it.
    pub(super) async fn command(&self, command: Command) {
        let _ = self.commands.send(command).await;
    }

    /// Runs no hook from now on, since another server goes on with the client. Returns the hubs that
    /// have accepted it, by index, and whether it has started. Calls that wait still run.
    pub(super) async fn moved(&self) -> (Vec<usize>, bool) {
        let mut lifecycle = self.lifecycle.lock().await;
        lifecycle.has_moved = true;
        let accepted = lifecycle.accepted.iter().enumerate();
        let accepted = accepted.filter(|(_, accepted)| **accepted == Some(true));
        (accepted.map(|(hub, _)| hub).collect(), self.is_started())
    }

    /// Returns whether another server has the client.
    pub(super) async fn has_moved(&self) -> bool {
        self.lifecycle.lock().await.has_moved
    }

    /// Returns whether the client has come from another server.
    pub(super) fn has_come(&self) -> bool {
        self.has_come
    }

    pub(super) fn is_started(&self) -> bool {
        self.is_started.load(Ordering::Acquire)
    }

    /// Runs `on_connected` of all hubs that the client subscribes to. Returns false if one of them
    /// refuses it.
    pub(super) async fn start(self: &Arc<Self>) -> bool {
        let is_accepted = self.accept(self.hubs.clone()).await;
        self.is_started.fetch_or(is_accepted, Ordering::Release);
        is_accepted
    }

    /// Runs `on_connected` of these hubs, unless it has run. Returns false if one of them refuses
    /// the client.
    ///
    /// The hooks run on even if the request that waits for them is dropped.
    pub(super) async fn accept(self: &Arc<Self>, hubs: Vec<usize>) -> bool {
        let place = Arc::clone(self);
        let span = self.span.clone();
        let accepting = async move { place.run_on_connected(&hubs).await };
        tokio::spawn(accepting.instrument(span)).await.unwrap_or(false)
    }

    async fn run_on_connected(&self, hubs: &[usize]) -> bool {
        let mut lifecycle = self.lifecycle.lock().await;
        for &hub in hubs {
            if lifecycle.has_ended {
                return false;
            }
            if lifecycle.accepted[hub].is_none() {
                if lifecycle.has_moved {
                    return false;
                }
                let (hub_served, caller) = (&self.service.hubs()[hub], self.callers[hub].clone());
                let outcome = dispatch::connected(hub_served, caller).await;
                lifecycle.accepted[hub] = Some(outcome.is_ok());
                if let Err(error) = outcome {
                    self.close_handle.close(Disconnect::Refused(error));
                }
            }
            if lifecycle.accepted[hub] == Some(false) {
                return false;
            }
        }
        true
    }

    /// Tells the running method that the client is gone, and waits for its end.
    pub(super) async fn last_call(&self) {
        self.gone.cancel();
        // The permit returns at once.
        drop(self.calls.acquire().await);
    }

    /// Waits for the running method, refuses later ones, and runs `on_disconnected`.
    pub(super) async fn end(&self) {
        self.gone.cancel();
        let last = self.calls.acquire().await;
        self.calls.close();
        drop(last);
        let mut lifecycle = self.lifecycle.lock().await;
        lifecycle.has_ended = true;
        for (hub, accepted) in lifecycle.accepted.iter().enumerate() {
            if *accepted == Some(true) {
                let (hub_served, caller) = (&self.service.hubs()[hub], self.callers[hub].clone());
                dispatch::disconnected(hub_served, caller).await;
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("id", &self.id)
            .field("hubs", &self.hubs)
            .finish_non_exhaustive()
    }
}

/// Maximum commands on their way to a connection. Senders wait for room.
const COMMANDS_MAX: usize = 8;
