//! The servers that are there, as far as their leases reach this one.
//!
//! A roster reads no clock: its callers pass the time.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::warn;

/// A server of the app. See [`Backplane::servers`](crate::Backplane::servers).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::ConnectError> {
/// let broker = broker::Broker::new();
/// let builder = backplane::Backplane::builder("ChatApp").server_channel(true);
/// let backplane = builder.client_name("web-1").embedded(&broker)?;
/// assert_eq!(backplane.servers()[0].name.as_deref(), Some("web-1"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// A unique id. A server that starts again has another one.
    pub id: String,
    /// The name of its [`Builder::client_name`](crate::Builder::client_name), if it has at most 128
    /// bytes.
    pub name: Option<String>,
    /// The time of its start, by the clock of this server.
    pub since: SystemTime,
    /// The time since its last sign of life. It is gone after 15 seconds.
    pub silent_for: Duration,
}

#[derive(Debug)]
pub(super) struct Roster {
    /// The id of this server, whose lease never ends here.
    own: String,
    servers: BTreeMap<String, Entry>,
    /// Servers that have said that they leave, with the time. Their last messages may arrive later,
    /// since those to one server have a channel of their own.
    departed: BTreeMap<String, Instant>,
    /// Whether the log mentions that no further server fits.
    is_full: bool,
}

#[derive(Debug)]
struct Entry {
    name: Option<String>,
    since: SystemTime,
    heard: Instant,
}

/// How long a sign of life counts.
pub(super) const LEASE: Duration = Duration::from_secs(15);
/// Maximum length of an id or a name, in bytes.
pub(super) const NAME_MAX: usize = 128;
/// More than the servers of any app, with the departed ones. Any client may announce servers.
const SERVERS_MAX: usize = 10_000;

impl Roster {
    /// Returns a roster with this server.
    pub(super) fn new(own: &str, name: Option<&str>, now: Instant) -> Self {
        let (servers, departed) = (BTreeMap::new(), BTreeMap::new());
        let mut roster = Self { own: own.to_owned(), servers, departed, is_full: false };
        roster.heard(own, name, Duration::ZERO, now);
        roster
    }

    /// Records a sign of life. Returns whether the server is new.
    pub(super) fn heard(
        &mut self,
        id: &str,
        name: Option<&str>,
        age: Duration,
        now: Instant,
    ) -> bool {
        if let Some(entry) = self.servers.get_mut(id) {
            entry.heard = now;
            return false;
        }
        if self.departed.contains_key(id) {
            return false;
        }
        if self.servers.len() + self.departed.len() >= SERVERS_MAX {
            if !std::mem::replace(&mut self.is_full, true) {
                warn!(
                    servers = SERVERS_MAX,
                    "the list of servers is full; further ones are ignored"
                );
            }
            return false;
        }
        let name = name.filter(|name| name.len() <= NAME_MAX);
        let since = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let entry = Entry { name: name.map(str::to_owned), since, heard: now };
        self.servers.insert(id.to_owned(), entry);
        true
    }

    /// Removes a server that leaves, for good. Returns false if it was not there.
    pub(super) fn left(&mut self, id: &str, now: Instant) -> bool {
        let was_here = self.servers.remove(id).is_some();
        if was_here {
            self.departed.insert(id.to_owned(), now);
        }
        was_here
    }

    /// Removes and returns the other servers whose leases have ended.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<String> {
        self.departed.retain(|_, left| now < *left + LEASE);
        let has_ended = |id: &String, entry: &mut Entry| {
            // Its own members stay, also while its leases do not return.
            *id != self.own && now >= entry.heard + LEASE
        };
        let expired = self.servers.extract_if(.., has_ended);
        expired.map(|(id, _)| id).collect()
    }

    /// Extends all leases: this server could not hear the others.
    pub(super) fn was_deaf(&mut self, now: Instant) {
        self.servers.values_mut().for_each(|entry| entry.heard = now);
    }

    /// Returns the time since the last sign of life of a server.
    pub(super) fn silence(&self, id: &str, now: Instant) -> Duration {
        self.servers.get(id).map_or(Duration::MAX, |entry| now.duration_since(entry.heard))
    }

    /// Forgets all servers, at the shutdown of this one.
    pub(super) fn clear(&mut self) {
        self.servers.clear();
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.servers.contains_key(id)
    }

    /// Returns a server by its id.
    pub(super) fn get(&self, id: &str, now: Instant) -> Option<Server> {
        let entry = self.servers.get(id)?;
        Some(Server {
            id: id.to_owned(),
            name: entry.name.clone(),
            since: entry.since,
            silent_for: now.duration_since(entry.heard),
        })
    }

    /// Returns all servers, in the order of their ids.
    pub(super) fn all(&self, now: Instant) -> Vec<Server> {
        self.servers.keys().filter_map(|id| self.get(id, now)).collect()
    }
}

impl Server {
    /// A server that speaks before its first lease has arrived.
    pub(super) fn unknown(id: &str) -> Self {
        let (since, silent_for) = (SystemTime::now(), Duration::ZERO);
        Self { id: id.to_owned(), name: None, since, silent_for }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster() -> Roster {
        Roster::new("own", None, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_ends_unless_it_is_renewed() {
        let (mut roster, start) = (roster(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(roster.heard("a", Some("web-1"), Duration::from_secs(60), start));
        assert!(roster.heard("b", None, Duration::ZERO, start));
        assert!(!roster.heard("a", Some("web-1"), Duration::from_secs(70), at(10)));
        assert!(roster.expire(at(14)).is_empty());
        assert_eq!(roster.expire(at(15)), ["b"]);
        let left = roster.all(at(15));
        assert_eq!(left.len(), 2);
        assert_eq!((left[0].name.as_deref(), left[0].silent_for.as_secs()), (Some("web-1"), 5));
        assert!(left[0].since <= SystemTime::now() - Duration::from_secs(60));
        roster.was_deaf(at(40));
        assert!(roster.expire(at(54)).is_empty());
        assert!(roster.left("a", at(50)) && !roster.left("a", at(50)));
        assert!(!roster.heard("a", None, Duration::ZERO, at(51)), "a late message");
        assert!(roster.expire(at(65)).is_empty());
        assert!(roster.heard("a", None, Duration::ZERO, at(65)));
    }
    #[tokio::test(start_paused = true)]
    async fn the_own_lease_never_ends() {
        let mut roster = roster();
        let later = Instant::now() + 10 * LEASE;
        assert!(roster.expire(later).is_empty());
        assert!(roster.has("own"));
        assert_eq!(roster.silence("own", later), 10 * LEASE);
    }

    #[tokio::test(start_paused = true)]
    async fn departed_servers_count_for_the_limit() {
        let (mut roster, now) = (roster(), Instant::now());
        for number in 0..2 * SERVERS_MAX {
            let id = number.to_string();
            let fits = roster.heard(&id, None, Duration::ZERO, now);
            assert_eq!((fits, roster.left(&id, now)), (number + 1 < SERVERS_MAX, fits));
        }
        roster.expire(now + LEASE);
        let name = "n".repeat(NAME_MAX + 1);
        assert!(roster.heard("a", Some(&name), Duration::ZERO, now + LEASE));
        assert_eq!(roster.get("a", now + LEASE).unwrap().name, None);
    }
}
