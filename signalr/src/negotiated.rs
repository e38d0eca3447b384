//! The tokens of negotiated connections, and the connections that they have opened.
//!
//! A token is a secret of the client. It contains the connection id, the server that has issued it,
//! its home, and the time of its issue, all signed. So a negotiation stores nothing, no number of them
//! keeps others out, and every server of the app accepts the token.
//! Other clients may see the connection id, which opens no transport.
//!
//! A fresh token opens one connection. Afterwards it is in `connections`, here and at its home.

mod moves;

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use locks::Mutex;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    connections::{Connections, Owner, Place},
    farm::Farm,
    handoff::{Handed, Handoff},
    handover::Parked,
    http_connection::HttpConnection,
    options::{DURATION_MAX, Options},
    peer::Visitor,
    server_id::ServerId,
    tokens::Invalid,
};

/// Issues and checks the tokens of a hub on this server.
#[derive(Clone)]
pub(crate) struct Negotiated(Arc<Inner>);

struct Inner {
    farm: Arc<Farm>,
    /// What tokens of the hub are signed for.
    purpose: String,
    clock: Clock,
    connections: Mutex<Connections>,
    /// Tokens of other homes whose connections are about to begin here.
    arriving: Mutex<HashMap<Arc<str>, CancellationToken>>,
    /// The last look for servers that are gone.
    swept: Mutex<Instant>,
}

/// The ids of a new connection.
pub(crate) struct Issued {
    pub(crate) connection_id: String,
    pub(crate) token: String,
}

/// The ages up to which a token opens a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ages {
    /// For a token of this server.
    own: Duration,
    /// Added for one of another server: the difference of the clocks.
    skew: Duration,
}

impl Ages {
    pub(crate) fn of(options: &Options) -> Self {
        let [own, skew] =
            [options.disconnect_timeout, options.clock_skew].map(|age| age.min(DURATION_MAX));
        Self { own, skew }
    }
}

const ID_BYTES: usize = 16;
/// The kind, the home, the connection id and the milliseconds of the issue.
const CONTENT_BYTES: usize = 1 + ServerId::BYTES + ID_BYTES + 8;
/// Set in the version of a client that may continue its connection.
const STATEFUL: u8 = 0x80;
/// Minimum time between two looks for servers that are gone.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

impl Negotiated {
    pub(crate) fn new(farm: Arc<Farm>, hub: &str) -> Self {
        Self(Arc::new(Inner {
            farm,
            purpose: format!("signalr.ConnectionToken.{hub}"),
            clock: Clock::default(),
            connections: Mutex::default(),
            arriving: Mutex::default(),
            swept: Mutex::new(Instant::now()),
        }))
    }

    /// Returns the ids of a new connection. In version 0 both are the token.
    pub(crate) fn issue(&self, version: u8, is_stateful: bool) -> Issued {
        let Inner { farm, purpose, clock, .. } = &*self.0;
        let id: [u8; ID_BYTES] = rand::random();
        let kind = version | if is_stateful { STATEFUL } else { 0 };
        let content = [&[kind][..], &farm.own().0, &id, &clock.now().to_be_bytes()].concat();
        let token = farm.tokens().sign(purpose, &content);
        let connection_id = if version == 0 { token.clone() } else { encode(&id) };
        Issued { connection_id, token }
    }

    /// Takes note that a connection may begin here, until the result is dropped. Its home may name this
    /// server before the connection exists.
    pub(crate) fn arrive(&self, token: &str) -> Arriving {
        let token = Arc::<str>::from(token);
        let over = CancellationToken::new();
        self.0.arriving.lock().insert(Arc::clone(&token), over.clone());
        Arriving { negotiated: self.clone(), token, over }
    }

    /// Waits until a connection that is about to begin has begun. Cancel safe.
    pub(crate) async fn arrived(&self, token: &str) {
        let over = self.0.arriving.lock().get(token).cloned();
        if let Some(over) = over {
            over.cancelled().await;
        }
    }

    /// Returns the state of a token.
    pub(crate) fn find(&self, token: &str, ages: Ages) -> Found {
        let place = self.0.connections.lock().get(token).cloned();
        match place {
            Some(Place::WebSocket(handoff)) => Found::WebSocket(handoff),
            Some(Place::Http(connection)) => Found::Http(connection),
            Some(Place::Elsewhere(owner)) => Found::Elsewhere(owner.server),
            Some(Place::Parked(parked)) => Found::Parked(parked),
            Some(Place::Ended) => Found::Unknown,
            None => match self.decode(token) {
                Ok(found) => self.unopened(&found, ages),
                Err(Invalid::UnknownKey) => Found::UnknownKey,
                Err(Invalid::Forged) => Found::Unknown,
            },
        }
    }

    /// Returns the state of a token that has opened nothing here.
    fn unopened(&self, token: &Token, ages: Ages) -> Found {
        let is_fresh = !self.fresh_for(token, ages).is_zero();
        match self.is_own(token) {
            true if is_fresh => Found::Fresh,
            true => Found::Unknown,
            false => Found::Foreign { home: token.home, is_fresh },
        }
    }

    /// Answers another server that asks for the place of a token. If `enters`, and the token is one
    /// of this server that may still open a connection, the other server opens it.
    pub(crate) fn whereabouts(
        &self,
        token: &str,
        asker: ServerId,
        enters: bool,
        ages: Ages,
    ) -> Whereabouts {
        let mut connections = self.0.connections.lock();
        match connections.get(token) {
            Some(Place::WebSocket(_) | Place::Http(_) | Place::Parked(_)) => {
                return Whereabouts::Here;
            }
            // The asker itself has just ended it.
            Some(Place::Elsewhere(owner)) if owner.server == asker => return Whereabouts::Unknown,
            Some(Place::Elsewhere(owner)) if self.0.farm.is_there(owner.server) => {
                return Whereabouts::At(owner.server.to_string());
            }
            Some(Place::Ended) => return Whereabouts::Unknown,
            Some(Place::Elsewhere(_)) | None => {}
        }
        let Ok(decoded) = self.decode(token) else { return Whereabouts::Unknown };
        if !enters || !self.is_own(&decoded) || self.fresh_for(&decoded, ages).is_zero() {
            return Whereabouts::Unknown;
        }
        self.sweep(&mut connections);
        connections.insert(token.into(), Place::Elsewhere(Owner { server: asker, moves: 0 }));
        Whereabouts::Entered
    }

    /// Takes note that another server has opened the WebSocket of a token of this server. Returns
    /// where the connection was before.
    pub(crate) fn moved(&self, token: &str, to: ServerId) -> Option<Moved> {
        let decoded = self.decode(token).ok()?;
        // That of a stateful client is taken, and never replaced.
        if is_stateful(token) {
            return None;
        }
        let mut connections = self.0.connections.lock();
        let there = Place::Elsewhere(Owner { server: to, moves: 0 });
        match connections.get(token) {
            Some(Place::WebSocket(_) | Place::Http(_)) => Some(Moved::FromHere(decoded.id)),
            Some(Place::Elsewhere(owner)) if owner.server != to => {
                let from = owner.server;
                connections.insert(token.into(), there);
                Some(Moved::From(from))
            }
            Some(Place::Elsewhere(_) | Place::Parked(_) | Place::Ended) => None,
            None if self.is_own(&decoded) => {
                self.sweep(&mut connections);
                connections.insert(token.into(), there);
                None
            }
            None => None,
        }
    }

    /// Takes note that a connection of this home has ended on another server.
    pub(crate) fn left(&self, token: &str, server: ServerId, ages: Ages) {
        let mut connections = self.0.connections.lock();
        if matches!(connections.get(token), Some(Place::Elsewhere(owner)) if owner.server == server)
        {
            let fresh_for = self.decode(token).map(|token| self.fresh_for(&token, ages));
            connections.end(token.into(), fresh_for.unwrap_or_default());
        }
    }

    /// Forgets connections on servers that are gone, once in a while. Such servers send no notice.
    fn sweep(&self, connections: &mut Connections) {
        let mut swept = self.0.swept.lock();
        if swept.elapsed() >= SWEEP_INTERVAL {
            *swept = Instant::now();
            connections.forget_servers(|server| self.0.farm.is_there(server));
        }
    }

    /// Claims the connection of a fresh token for a WebSocket. A place on another server ends.
    pub(crate) fn claim(&self, token: &str, ages: Ages) -> Result<Claim, ClaimError> {
        let (handoff, handed) = Handoff::channel(0);
        let handoff = is_stateful(token).then(|| Arc::new(handoff));
        let place = Place::WebSocket(handoff.clone());
        let connection_id = self.enter(token, ages, |_| place)?;
        let held = Some(Box::new(self.held(token, ages)));
        Ok(Claim { connection_id, resume: handoff.map(|handoff| (handoff, handed)), held })
    }

    /// Returns whether a WebSocket with a token that was refused would have continued a connection: a
    /// stateful one that has ended or does not take it.
    pub(crate) fn is_resumption(&self, token: &str) -> bool {
        is_stateful(token) && self.decode(token).is_ok()
    }

    /// Makes the token of a connection unknown. Its session may still end.
    pub(crate) fn end(&self, token: &str, ages: Ages) {
        let fresh_for = self.decode(token).map(|token| self.fresh_for(&token, ages));
        self.0.connections.lock().end(token.into(), fresh_for.unwrap_or_default());
    }

    /// Creates the connection of a fresh token for several HTTP requests.
    pub(crate) fn create_http(
        &self,
        token: &str,
        ages: Ages,
        visitor: Visitor,
    ) -> Result<(Arc<HttpConnection>, Held), ClaimError> {
        let mut created = None;
        self.enter(token, ages, |connection_id| {
            let connection = Arc::new(HttpConnection::new(Arc::clone(connection_id), visitor));
            created = Some(Arc::clone(&connection));
            Place::Http(connection)
        })?;
        let connection = created.expect("`enter` has called the function");
        Ok((connection, self.held(token, ages)))
    }

    fn held(&self, token: &str, ages: Ages) -> Held {
        Held { negotiated: self.clone(), token: token.into(), ages, is_over: false }
    }

    /// Enters the connection of a fresh token, and returns its id.
    fn enter(
        &self,
        token: &str,
        ages: Ages,
        place: impl FnOnce(&Arc<str>) -> Place,
    ) -> Result<Arc<str>, ClaimError> {
        let mut connections = self.0.connections.lock();
        match connections.get(token) {
            Some(Place::WebSocket(_) | Place::Http(_) | Place::Parked(_)) => {
                return Err(ClaimError::Active);
            }
            Some(Place::Ended) => return Err(ClaimError::Unknown),
            Some(Place::Elsewhere(_)) | None => {}
        }
        let decoded = self.decode(token).map_err(|_| ClaimError::Unknown)?;
        if self.fresh_for(&decoded, ages).is_zero() {
            return Err(ClaimError::Unknown);
        }
        connections.insert(token.into(), place(&decoded.id));
        Ok(decoded.id)
    }

    /// Returns the number of connections, and of tokens that have ended and are kept.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.0.connections.lock().counts()
    }

    /// Returns for how long a token may still open a connection.
    fn fresh_for(&self, token: &Token, ages: Ages) -> Duration {
        let age_max = if self.is_own(token) { ages.own } else { ages.own + ages.skew };
        let now = Duration::from_millis(self.0.clock.now());
        // A token of a later time has an age of zero, up to the difference of clocks.
        match token.issued > now + ages.skew {
            true => Duration::ZERO,
            false => age_max.saturating_sub(now.saturating_sub(token.issued)),
        }
    }

    fn is_own(&self, token: &Token) -> bool {
        token.home == self.0.farm.own()
    }

    /// Returns the server that has issued a valid token, if it is another one.
    pub(crate) fn other_home(&self, token: &str) -> Option<ServerId> {
        let token = self.decode(token).ok()?;
        (!self.is_own(&token)).then_some(token.home)
    }

    /// Returns the version of the negotiation and the connection id of a token of this hub, of any
    /// age.
    pub(crate) fn read(&self, token: &str) -> Option<(u8, Arc<str>)> {
        let Token { version, id, .. } = self.decode(token).ok()?;
        Some((version, id))
    }

    fn decode(&self, token: &str) -> Result<Token, Invalid> {
        let content = self.0.farm.tokens().verify(&self.0.purpose, token)?;
        let content: [u8; CONTENT_BYTES] = content.try_into().map_err(|_| Invalid::Forged)?;
        let (kind, rest) = content.split_at(1);
        let (home, rest) = rest.split_at(ServerId::BYTES);
        let (id, millis) = rest.split_at(ID_BYTES);
        let version = kind[0] & !STATEFUL;
        let id = if version == 0 { token.into() } else { encode(id).into() };
        let millis = millis.try_into().expect("the rest has eight bytes");
        let issued = Duration::from_millis(u64::from_be_bytes(millis));
        let home = ServerId(home.try_into().expect("it was split at this length"));
        Ok(Token { version, home, id, issued })
    }
}

impl fmt::Debug for Negotiated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Negotiated").finish_non_exhaustive()
    }
}

/// The time in tokens, in milliseconds since the Unix epoch.
struct Clock {
    wall: SystemTime,
    start: Instant,
}

impl Clock {
    /// The time since the start, which no change of the system's clock affects. But other servers
    /// compare it with their own clocks, so it catches up after a sleep of the machine.
    fn now(&self) -> u64 {
        let since_start = self.wall + self.start.elapsed();
        let system = SystemTime::now();
        let is_late = system > since_start + LATE_MAX;
        let now = if is_late { system } else { since_start };
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Less than the difference of clocks that servers allow for.
const LATE_MAX: Duration = Duration::from_secs(45);

impl Default for Clock {
    fn default() -> Self {
        Self { wall: SystemTime::now(), start: Instant::now() }
    }
}

/// The content of a token of this hub.
struct Token {
    version: u8,
    home: ServerId,
    id: Arc<str>,
    /// The time of its issue, since the Unix epoch.
    issued: Duration,
}

/// The state of a token.
#[derive(Debug)]
pub(crate) enum Found {
    /// It has opened nothing, and may open a connection.
    Fresh,
    WebSocket(Option<Arc<Handoff>>),
    Http(Arc<HttpConnection>),
    /// Its session has left, and no other server has confirmed that it goes on.
    Parked(Arc<Parked>),
    /// Its home is this server, and another one has the connection.
    Elsewhere(ServerId),
    /// It is a token of another server, where the connection is listed.
    Foreign {
        home: ServerId,
        is_fresh: bool,
    },
    /// Its key is that of another server, perhaps.
    UnknownKey,
    Unknown,
}

/// Where a connection is, as one server answers another one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Whereabouts {
    Here,
    /// On the server with this id.
    At(String),
    /// Nowhere, and the asker opens it.
    Entered,
    Unknown,
}

/// Where a connection was that has moved.
#[derive(Debug)]
pub(crate) enum Moved {
    /// Here, with this connection id.
    FromHere(Arc<str>),
    From(ServerId),
}

/// A connection with a WebSocket. Dropping it ends the connection.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) connection_id: Arc<str>,
    /// Set for a stateful client: the ends of its handoff.
    pub(crate) resume: Option<(Arc<Handoff>, mpsc::Receiver<Handed>)>,
    held: Option<Box<Held>>,
}

impl Claim {
    /// Returns a connection without a negotiation.
    pub(crate) fn unnegotiated() -> Self {
        let connection_id = encode(&rand::random::<[u8; ID_BYTES]>()).into();
        Self { connection_id, resume: None, held: None }
    }

    /// Leaves the state of the session in the place of the connection. Returns its token.
    pub(crate) fn park(mut self, parked: Parked) -> Option<Arc<str>> {
        let held = self.held.as_mut()?;
        held.is_over = true;
        let token = Arc::clone(&held.token);
        held.negotiated.0.connections.lock().replace(&token, Place::Parked(Arc::new(parked)));
        Some(token)
    }
}

/// The token of a connection. Dropping it makes the token unknown.
#[derive(Debug)]
pub(crate) struct Held {
    negotiated: Negotiated,
    token: Arc<str>,
    ages: Ages,
    /// Whether the connection goes on without it.
    is_over: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.negotiated.end(&self.token, self.ages);
        if let Some(home) = self.negotiated.other_home(&self.token) {
            self.negotiated.0.farm.notify(home, LEFT, String::from(&*self.token));
        }
    }
}

/// A connection that is about to begin.
#[derive(Debug)]
pub(crate) struct Arriving {
    negotiated: Negotiated,
    token: Arc<str>,
    over: CancellationToken,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.negotiated.0.arriving.lock().remove(&self.token);
        self.over.cancel();
    }
}

/// The reason why a connection cannot have a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimError {
    Unknown,
    Active,
}

/// Returns whether a token, which has been checked, is one of a stateful client.
pub(crate) fn is_stateful(token: &str) -> bool {
    kind(token).is_some_and(|kind| kind & STATEFUL != 0)
}

/// Returns whether a token, which has been checked, is also the id of its connection, which others may
/// know: it is of version 0.
pub(crate) fn is_public(token: &str) -> bool {
    kind(token).is_some_and(|kind| kind & !STATEFUL == 0)
}

fn kind(token: &str) -> Option<u8> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    bytes.len().checked_sub(CONTENT_BYTES).map(|at| bytes[at])
}

/// The message to the home of a connection that has ended here.
pub(crate) const LEFT: &str = "left";

/// Encodes bytes as text that needs no escape in a URL.
fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests;
