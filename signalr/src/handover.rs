//! The state of a stateful connection on its way to another server.
//!
//! A session leaves its server at a moment without running calls. Its state is **parked** there, as
//! text, until one server has confirmed that it has it. Of several servers that ask, the last one
//! gets it, and the confirmations of the others are refused. So one server at most goes on with the
//! client, and messages between servers may be late, doubled or lost: without a confirmation, the
//! connection goes on where it was.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use backplane::Cursor;
use locks::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;

use crate::{
    blob::Blob,
    peer::{Keepsakes, Visitor},
    protocol::Encoding,
    server_id::ServerId,
};

/// More than a connection counts in its life, so that sums do not overflow.
const NUMBER_MAX: u64 = 1 << 53;

/// All that another server needs to go on with a client.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Luggage {
    /// The name of the encoding in the handshake.
    pub(crate) encoding: String,
    pub(crate) user_id: Option<String>,
    /// How often the connection has left a server, with this time.
    pub(crate) moves: u32,
    /// The connection has received all messages of the backplane up to there.
    pub(crate) cursor: String,
    /// Its groups, without the name of the hub.
    pub(crate) groups: Vec<String>,
    /// The groups that its own methods have entered, and its values of types of the application.
    pub(crate) keepsakes: Keepsakes,
    /// The number of the messages that the client has confirmed, and those after them.
    pub(crate) confirmed: u64,
    pub(crate) unconfirmed: Vec<Blob>,
    /// The number of the client's messages that were handled.
    pub(crate) handled: u64,
    /// The number of the last question to the client.
    pub(crate) last_question: u64,
    /// Whether each message has its place.
    #[serde(default)]
    pub(crate) is_resumable: bool,
}

impl Luggage {
    /// Returns the encoding and the place of the connection, or `None` if this server has no such
    /// encoding, or no such place, or a number is none that a server has counted.
    pub(crate) fn start(&self) -> Option<(Encoding, Cursor)> {
        let counted = [self.confirmed, self.handled, self.last_question];
        if counted.iter().any(|number| *number > NUMBER_MAX) {
            return None;
        }
        Some((Encoding::named(&self.encoding)?, self.cursor.parse().ok()?))
    }
}

/// A session that has left.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) luggage: Luggage,
    pub(crate) visitor: Visitor,
    /// Those who wait for it.
    pub(crate) waiting: Vec<oneshot::Sender<()>>,
}

/// The state of a session that waits for its next server.
#[derive(Debug)]
pub(crate) struct Parked {
    luggage: Box<RawValue>,
    /// As the session had it: the data of the user do not travel.
    pub(crate) visitor: Visitor,
    pub(crate) moves: u32,
    given: Mutex<Option<Given>>,
}

/// The server that was given a state, with the number of its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) to: ServerId,
    pub(crate) number: u64,
}

impl Parked {
    /// Returns the state as text, or `None` if a value of the application cannot be written.
    pub(crate) fn new(luggage: &Luggage, visitor: Visitor) -> Option<Self> {
        let moves = luggage.moves;
        let luggage = to_raw_value(luggage).ok()?;
        Some(Self { luggage, visitor, moves, given: Mutex::new(None) })
    }

    /// Returns the state for a server, unless it is too large for a message. An earlier server does
    /// not get it any more.
    pub(crate) fn give(&self, given: Given) -> Option<Box<RawValue>> {
        if self.luggage.get().len() > LUGGAGE_BYTES_MAX {
            return None;
        }
        *self.given.lock() = Some(given);
        Some(self.luggage.clone())
    }

    pub(crate) fn is_given(&self, given: Given) -> bool {
        *self.given.lock() == Some(given)
    }

    /// Returns the state for this server itself.
    pub(crate) fn open(&self) -> Option<Luggage> {
        serde_json::from_str(self.luggage.get()).ok()
    }
}

/// The handovers that were confirmed, since the answer to a confirmation may be lost.
#[derive(Debug, Default)]
pub(crate) struct Confirmed {
    numbers: HashSet<u64>,
    in_order: VecDeque<u64>,
}

impl Confirmed {
    pub(crate) fn insert(&mut self, number: u64) {
        if self.in_order.len() >= CONFIRMED_MAX
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.numbers.remove(&oldest);
        }
        self.numbers.insert(number);
        self.in_order.push_back(number);
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.numbers.contains(&number)
    }
}

/// A question for the state of a connection.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Take {
    pub(crate) token: String,
    /// Unique: it names this question in the confirmation.
    pub(crate) number: u64,
    /// The user that the authenticator of the other server has found.
    pub(crate) user_id: Option<String>,
}

/// The answer to [`Take`].
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Taken {
    Luggage(Box<RawValue>),
    /// The connection belongs to another user.
    OtherUser,
    /// The connection is here, and stays.
    Stays,
    /// It is not here.
    Unknown,
}

/// The question whether the sender goes on with a client.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Confirm {
    pub(crate) token: String,
    pub(crate) number: u64,
}

/// A message to the home: the sender goes on with a client.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Arrived {
    pub(crate) token: String,
    pub(crate) moves: u32,
}

/// The largest state that a message carries. It travels through the broker.
const LUGGAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Maximum wait of an owner for the confirmation. Later ones are refused.
pub(crate) const CONFIRMED_WITHIN: Duration = Duration::from_secs(5);
/// More than all handovers within the time in which a confirmation is repeated.
const CONFIRMED_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_server_that_asks_gets_the_state() {
        let parked = Parked::new(&luggage(0), Visitor::default()).unwrap();
        let [first, second] =
            [1, 2].map(|number| Given { to: ServerId([7; ServerId::BYTES]), number });
        assert!(!parked.is_given(first));
        assert!(parked.give(first).is_some() && parked.give(second).is_some());
        assert!(!parked.is_given(first) && parked.is_given(second));
    }

    #[test]
    fn a_state_that_is_too_large_stays() {
        let given = Given { to: ServerId([7; ServerId::BYTES]), number: 1 };
        let parked = Parked::new(&luggage(LUGGAGE_BYTES_MAX), Visitor::default()).unwrap();
        assert!(parked.give(given).is_none() && !parked.is_given(given));
        assert_eq!(parked.open().unwrap().unconfirmed[0].as_ref().len(), LUGGAGE_BYTES_MAX);
    }

    #[test]
    fn the_number_of_confirmed_handovers_is_bounded() {
        let mut confirmed = Confirmed::default();
        (0..=CONFIRMED_MAX as u64).for_each(|number| confirmed.insert(number));
        assert_eq!((confirmed.numbers.len(), confirmed.in_order.len()), (16_384, 16_384));
        assert!(!confirmed.contains(0) && confirmed.contains(1));
    }

    impl Parked {
        /// Returns a state without content.
        pub(crate) fn of(moves: u32) -> Self {
            let luggage = Luggage { moves, ..luggage(0) };
            Self::new(&luggage, Visitor::default()).unwrap()
        }
    }

    fn luggage(bytes: usize) -> Luggage {
        Luggage {
            encoding: "json".to_owned(),
            user_id: None,
            moves: 1,
            cursor: "s-0,1".to_owned(),
            groups: Vec::new(),
            keepsakes: Keepsakes::default(),
            confirmed: 0,
            unconfirmed: vec![Blob::from(vec![0; bytes])],
            handled: 0,
            last_question: 0,
            is_resumable: false,
        }
    }
}
