//! The last messages of each room, in the memory of each server.
//!
//! Each server has a connection to the backplane that receives the messages of all rooms, so it has
//! the messages of all servers in their order. A server that starts later asks the others when
//! someone enters a room. Messages are lost when the last server stops: a chat with more than a
//! demonstration's needs stores them in a database.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use backplane::{Backplane, Connection, Disconnect, HubPlace, Invocation, Servers};
use serde::{Deserialize, Serialize};
use tokio::{
    select,
    sync::{mpsc, oneshot},
};
use tracing::warn;

use crate::field::{EVERYONE, MESSAGE};

/// A message in a room.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Message {
    by: String,
    text: String,
    /// When it arrived at a server, in milliseconds since 1970.
    at: u64,
}

/// The last messages of the rooms.
#[derive(Clone, Debug)]
pub(crate) struct History {
    backplane: Backplane,
    questions: mpsc::Sender<Question>,
}

#[derive(Debug)]
struct Question {
    room: String,
    /// The messages of another server.
    known: Option<Vec<Message>>,
    answer: oneshot::Sender<Room>,
}

#[derive(Clone, Debug, Default)]
struct Room {
    messages: VecDeque<Message>,
    /// Whether other servers were asked for the messages before the start of this one.
    is_complete: bool,
    /// When it was used last, as a number that grows.
    used: u64,
}

impl History {
    /// Keeps the messages of a hub, until the shutdown of its backplane.
    pub(crate) fn keep(backplane: &Backplane, hub: &str) -> Self {
        let (sender, mut receiver) = mpsc::channel(QUESTIONS_MAX);
        let history = Self { backplane: backplane.clone(), questions: sender };
        let (listening, hub) = (backplane.clone(), hub.to_owned());
        tokio::spawn(async move {
            let mut rooms = Rooms::default();
            loop {
                let mut connection = listen(&listening, &hub);
                match answer(&mut rooms, &mut connection, &mut receiver).await {
                    Some(Disconnect::Shutdown) | None => return,
                    Some(error) => warn!(%error, "messages are missing in the history"),
                }
            }
        });
        let own = history.clone();
        backplane.on_question(NAME, move |_, room: String| {
            let own = own.clone();
            async move { Ok::<_, String>(own.ask(room, None).await.messages) }
        });
        history
    }

    /// Returns the last messages of a room: all that reached this server before the call.
    pub(crate) async fn of(&self, room: &str) -> Vec<Message> {
        let own = self.ask(room.to_owned(), None).await;
        if own.is_complete {
            return own.messages.into();
        }
        let asked = self.backplane.ask::<_, Vec<Message>>(Servers::others(), NAME, room);
        let known = match asked.within(ANSWER_TIMEOUT).await {
            Ok(answers) => {
                answers.received.into_iter().map(|(_, known)| known).max_by_key(Vec::len)
            }
            Err(error) => {
                warn!(%error, "other servers were not asked for the history");
                None
            }
        };
        self.ask(room.to_owned(), Some(known.unwrap_or_default())).await.messages.into()
    }

    async fn ask(&self, room: String, known: Option<Vec<Message>>) -> Room {
        let (answer, answered) = oneshot::channel();
        // Both fail after the shutdown of the backplane only.
        let _ = self.questions.send(Question { room, known, answer }).await;
        answered.await.unwrap_or_default()
    }
}

/// Attaches the connection that receives the messages of all rooms.
fn listen(backplane: &Backplane, hub: &str) -> Connection {
    let id = format!("history-{:016x}", rand::random::<u64>());
    backplane.attach_hubs(&id, &[HubPlace { hub, user: None, groups: &[GROUP] }], None)
}

/// Takes messages and answers questions, until one of the two ends.
async fn answer(
    rooms: &mut Rooms,
    connection: &mut Connection,
    questions: &mut mpsc::Receiver<Question>,
) -> Option<Disconnect> {
    loop {
        select! {
            // Messages first, so that an answer has all those that came before its question.
            biased;
            received = connection.recv() => match received {
                Ok(invocation) => rooms.add(&invocation),
                Err(disconnect) => return Some(disconnect),
            },
            question = questions.recv() => {
                let Question { room, known, answer } = question?;
                let room = rooms.get(room);
                if let Some(known) = known {
                    room.complete(known);
                }
                // The caller may have gone.
                let _ = answer.send(room.clone());
            }
        }
    }
}

#[derive(Debug, Default)]
struct Rooms {
    rooms: HashMap<String, Room>,
    /// Number of uses of rooms.
    uses: u64,
}

impl Rooms {
    /// Adds a message, unless it is none of a room.
    fn add(&mut self, invocation: &Invocation) {
        let arguments = invocation.arguments().get();
        let read = match invocation.method() {
            "broadcastMessage" => serde_json::from_str(arguments)
                .map(|(by, text): (String, String)| (EVERYONE.to_owned(), by, text)),
            "roomMessage" => serde_json::from_str(arguments),
            _ => return,
        };
        // Other servers of the app may send other arguments.
        let Ok((room, by, text)) = read else { return };
        let Ok(text) = MESSAGE.check_length(text) else { return };
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        self.get(room).push(Message { by, text, at });
    }

    /// Returns a room. The one that was not used for the longest time makes room for a new one.
    fn get(&mut self, name: String) -> &mut Room {
        if self.rooms.len() >= ROOMS_MAX && !self.rooms.contains_key(&name) {
            let oldest = self.rooms.iter().min_by_key(|(_, room)| room.used);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.rooms.remove(&name);
            }
        }
        self.uses += 1;
        let room = self.rooms.entry(name).or_default();
        room.used = self.uses;
        room
    }
}

impl Room {
    fn push(&mut self, message: Message) {
        self.messages.push_back(message);
        if self.messages.len() > MESSAGES_MAX {
            self.messages.pop_front();
        }
    }

    /// Adds the messages that preceded the own ones, which end the list of another server, too.
    fn complete(&mut self, known: Vec<Message>) {
        if self.is_complete {
            return;
        }
        self.is_complete = true;
        let is_same = |(a, b): (&Message, &Message)| (&a.by, &a.text) == (&b.by, &b.text);
        let own = self.messages.make_contiguous();
        let overlaps = |start: &usize| known[*start..].iter().zip(own.iter()).all(is_same);
        let earliest = known.len().saturating_sub(own.len());
        let start = (earliest..known.len()).find(overlaps).unwrap_or(known.len());
        let mut messages: VecDeque<_> = known[..start].iter().cloned().collect();
        messages.extend(self.messages.drain(..));
        messages.drain(..messages.len().saturating_sub(MESSAGES_MAX));
        self.messages = messages;
    }
}

/// The group of the connections that keep the messages. Rooms have groups of other names.
pub(crate) const GROUP: &str = "history";
/// The name of the question to other servers.
const NAME: &str = "history";
const MESSAGES_MAX: usize = 50;
/// A hundred rooms with 50 messages of 4,000 characters take up to 80 MB.
const ROOMS_MAX: usize = 100;
const QUESTIONS_MAX: usize = 100;
/// A server that was killed does not answer. It leaves the list of servers after 15 s.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
