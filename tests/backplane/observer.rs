//! An observer of a soak without our code: a bare subscriber that records the id of each number.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use broker::Broker;
use harness::{Client, SLOW_DEADLINE, Server, Value, eventually_within};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::sent_log::{Entry, SentLog};
use crate::soak::END;

/// A bare subscriber, or several in a row.
#[derive(Default)]
pub(crate) struct Observer {
    notes: Arc<Mutex<Notes>>,
    listened: usize,
    /// They end with the observer.
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Notes {
    ids: HashMap<u64, u64>,
    seen: HashSet<u64>,
    /// Number of its disconnections.
    ends: usize,
}

/// The name of its connections.
const NAME: &str = "observer";

/// Kills all clients of a type, except observers and the calling client.
pub(crate) async fn kill_clients(client: &mut Client, kind: &str) {
    let own = client.command(&["CLIENT", "ID"]).await.integer().to_string();
    let list = client.command(&["CLIENT", "LIST", "TYPE", kind]).await.text().to_owned();
    for line in list.lines().filter(|line| !line.contains(&format!("name={NAME}"))) {
        let id = line.strip_prefix("id=").and_then(|line| line.split(' ').next());
        let id = id.expect("a client has an id");
        if id != own {
            client.command(&["CLIENT", "KILL", "ID", id]).await;
        }
    }
}

impl Observer {
    /// Subscribes to the channel on a server.
    pub(crate) async fn on(server: &Server, channel: &str) -> Self {
        let mut observer = Self::default();
        observer.listen(server, channel).await;
        observer
    }

    /// Subscribes again after an outage.
    pub(crate) async fn listen(&mut self, server: &Server, channel: &str) {
        let mut client = server.client().await;
        client.command(&["CLIENT", "SETNAME", NAME]).await;
        client.subscribe(&[channel]).await;
        self.note(client);
    }

    /// Subscribes to a shard channel on the owner of its slot.
    pub(crate) async fn listen_to_shard(&mut self, node: &Server, channel: &str) {
        let mut client = node.client().await;
        client.command(&["CLIENT", "SETNAME", NAME]).await;
        let reply = client.command(&["SSUBSCRIBE", channel]).await;
        assert!(!reply.is_error(), "{reply:?}");
        self.note(client);
    }

    fn note(&mut self, client: Client) {
        self.listened += 1;
        self.tasks.spawn(note(client, self.notes.clone()));
    }

    /// Subscribes to the channel of an embedded broker.
    pub(crate) fn on_embedded(broker: &Broker, channel: &str) -> Self {
        let mut observer = Self { listened: 1, ..Self::default() };
        let (notes, mut subscriber) = (observer.notes.clone(), broker.subscribe(channel));
        observer.tasks.spawn(async move {
            while let Ok(message) = subscriber.recv().await {
                notes.lock().await.note(message.payload());
            }
            notes.lock().await.ends += 1;
        });
        observer
    }

    /// Returns the sent log. Waits until the observer has seen all ids in the receive logs.
    pub(crate) async fn sent_log(
        self,
        accepted: Vec<Vec<u64>>,
        receive_logs: impl Iterator<Item = &Entry>,
    ) -> SentLog {
        if self.listened == 0 {
            return SentLog { accepted, ..SentLog::default() };
        }
        let last_reported = receive_logs.filter_map(|entry| match entry {
            Entry::Gap { to, .. } => Some(*to),
            Entry::Number(_) => None,
        });
        let last_reported = last_reported.max().unwrap_or_default();
        eventually_within(SLOW_DEADLINE, async || {
            let notes = self.notes.lock().await;
            notes.ids.contains_key(&END) && notes.seen.iter().any(|id| *id >= last_reported)
        })
        .await;
        let notes = self.notes.lock().await;
        let was_never_away = notes.ends == 0 && self.listened == 1;
        SentLog {
            accepted,
            ids: notes.ids.clone(),
            seen: was_never_away.then(|| notes.seen.clone()),
            last_id: notes.seen.iter().max().copied(),
        }
    }
}

impl Notes {
    /// Records the id of a payload, and its number, if there is one.
    fn note(&mut self, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload);
        let Some(id) = text.split(' ').next().and_then(|id| id.parse().ok()) else { return };
        self.seen.insert(id);
        let digits = text.split_once(r#""M":"number","A":["#).and_then(|(_, rest)| {
            let (digits, _) = rest.split_once(']')?;
            digits.parse().ok()
        });
        if let Some(number) = digits {
            self.ids.insert(number, id);
        }
    }
}

async fn note(mut client: Client, notes: Arc<Mutex<Notes>>) {
    while let Some(message) = client.listen().await {
        if let Some(Value::Bulk(payload)) = message.items().get(2) {
            notes.lock().await.note(payload);
        }
    }
    notes.lock().await.ends += 1;
}
