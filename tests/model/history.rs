//! The actions of clients, and random sequences of them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// The clients of a history.
pub(crate) const CLIENTS: usize = 3;
/// Names of channels, and of patterns that match some of them.
pub(crate) const CHANNELS: [&str; 3] = ["a", "ab", "b"];
pub(crate) const PATTERNS: [&str; 3] = ["a*", "*", "[a]b"];
pub(crate) const KEYS: [&str; 2] = ["k", "l"];

/// A step of a client, or of an operator or a network towards it.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub(crate) client: usize,
    pub(crate) act: Act,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Subscribe(Kind, usize),
    Unsubscribe(Kind, usize),
    /// Without a name.
    UnsubscribeAll(Kind),
    Publish(Kind, usize),
    Hello(u8),
    Multi,
    Exec,
    Discard,
    Watch(usize),
    Reset,
    /// A script that publishes to two channels.
    Script(usize, usize),
    Tracking,
    Get(usize),
    Set(usize),
    Delete(usize),
    /// An operator ends the connection, and the client comes back.
    Kill,
    /// The client reads nothing until it acts again.
    Stall,
}

/// The three sorts of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Pattern,
    Shard,
}

/// Returns random sequences, which shrink to shorter ones.
pub(crate) fn histories() -> impl Strategy<Value = Vec<Action>> {
    let action = (0..CLIENTS, act()).prop_map(|(client, act)| Action { client, act });
    vec(action, 1..60)
}

fn act() -> impl Strategy<Value = Act> {
    let kind = || select(vec![Kind::Channel, Kind::Pattern, Kind::Shard]);
    let name = || 0..CHANNELS.len();
    let published = select(vec![Kind::Channel, Kind::Channel, Kind::Shard]);
    prop_oneof![
        6 => (kind(), name()).prop_map(|(kind, name)| Act::Subscribe(kind, name)),
        3 => (kind(), name()).prop_map(|(kind, name)| Act::Unsubscribe(kind, name)),
        1 => kind().prop_map(Act::UnsubscribeAll),
        8 => (published, name()).prop_map(|(kind, name)| Act::Publish(kind, name)),
        3 => select(vec![2, 3, 3]).prop_map(Act::Hello),
        2 => Just(Act::Multi),
        2 => Just(Act::Exec),
        1 => Just(Act::Discard),
        1 => (0..KEYS.len()).prop_map(Act::Watch),
        1 => Just(Act::Reset),
        2 => (name(), name()).prop_map(|(one, other)| Act::Script(one, other)),
        1 => Just(Act::Tracking),
        3 => (0..KEYS.len()).prop_map(Act::Get),
        2 => (0..KEYS.len()).prop_map(Act::Set),
        1 => (0..KEYS.len()).prop_map(Act::Delete),
        1 => Just(Act::Kill),
        2 => Just(Act::Stall),
    ]
}
