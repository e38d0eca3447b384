//! A master with a replica, and what both must have in common.

use std::time::Instant;

use crate::client::{Client, request};
use crate::dice::Dice;
use crate::proxy::Proxy;
use crate::server::{Kind, Server};
use crate::wait::{SLOW_DEADLINE, eventually_within};

/// A master and its replica, which reaches the master through a relay.
#[derive(Debug)]
pub struct Replicated {
    /// The server that the replica follows.
    pub master: Server,
    /// The relay before the master, on the way of the replica only.
    pub network: Proxy,
    /// The server that follows.
    pub replica: Server,
}

/// A key with its database, its value and its deadline.
type Key = (u64, String, String, i64);

/// The databases that [`random_changes`] uses.
const DATABASES: u64 = 3;
const KEYS: [&str; 6] = ["ChatApp", "a", "b", "c", "", "n"];

impl Replicated {
    /// Starts both, and returns when the replica has the keys of the master.
    ///
    /// # Panics
    ///
    /// When it does not get them within the deadline.
    pub async fn start(master: (Kind, &[&str]), replica: (Kind, &[&str])) -> Self {
        let master = Server::start(master.0, master.1).await;
        let network = Proxy::to(master.port()).await;
        let of = format!("127.0.0.1 {}", network.port());
        let arguments = [replica.1, &["--replicaof", &of]].concat();
        let replica = Server::start(replica.0, &arguments).await;
        let pair = Self { master, network, replica };
        pair.linked().await;
        pair
    }

    /// Waits until the replica hears the master.
    ///
    /// # Panics
    ///
    /// When it does not within the deadline.
    pub async fn linked(&self) {
        eventually_within(SLOW_DEADLINE, async || {
            // A server may close clients when its role changes.
            let mut client = self.replica.client().await;
            client.send(&["INFO", "replication"]).await;
            let info = client.next_reply().await;
            info.is_some_and(|info| info.text().contains("master_link_status:up"))
        })
        .await;
    }

    /// Waits until both have the same keys with the same values and deadlines.
    ///
    /// # Panics
    ///
    /// When they differ after the deadline.
    pub async fn agree(&self) {
        let (mut one, mut other) = (self.master.client().await, self.replica.client().await);
        let end = Instant::now() + SLOW_DEADLINE;
        loop {
            let (there, here) = (content(&mut one).await, content(&mut other).await);
            if there == here {
                return;
            }
            if Instant::now() > end {
                let more = |one: &[Key], other: &[Key]| {
                    let only = one.iter().filter(|key| !other.contains(key));
                    format!("{:?}", only.collect::<Vec<_>>())
                };
                panic!(
                    "{:?} has {}, its replica {:?} has {}",
                    self.master.kind(),
                    more(&there, &here),
                    self.replica.kind(),
                    more(&here, &there)
                );
            }
        }
    }
}

/// Returns the keys of all databases that [`random_changes`] uses, with their values and deadlines.
pub async fn content(client: &mut Client) -> Vec<Key> {
    let mut content = Vec::new();
    for database in 0..DATABASES {
        client.command(&["SELECT", &database.to_string()]).await;
        let keys = client.command(&["KEYS", "*"]).await;
        let mut names: Vec<String> = keys.items().iter().map(|key| key.text().to_owned()).collect();
        names.sort();
        for name in names {
            let value = client.command(&["GET", &name]).await;
            let deadline = client.command(&["PEXPIRETIME", &name]).await.integer();
            content.push((database, name, format!("{value:?}"), deadline));
        }
    }
    client.command(&["SELECT", "0"]).await;
    content
}

/// Returns requests that change keys in all ways that this broker has. Equal seeds make equal requests.
pub fn random_changes(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut dice = Dice::new(seed);
    let mut requests = Vec::new();
    let mut is_open = false;
    while requests.len() < count {
        let (key, other) = (dice.choose(&KEYS), dice.choose(&KEYS));
        let number = (dice.roll(2001) as i64 - 1000).to_string();
        let database = dice.roll(DATABASES).to_string();
        let text = "x".repeat(usize::try_from(dice.roll(100)).unwrap_or(0));
        let script = "redis.call('INCR', KEYS[1]) redis.call('SET', KEYS[2], ARGV[1]) \
            redis.call('PUBLISH', 'c', ARGV[1]) return redis.call('APPEND', KEYS[2], 'y')";
        let words: Vec<&str> = match dice.roll(38) {
            0 => vec!["SET", key, &text],
            1 => vec!["SET", key, &number],
            2 => vec!["SET", key, &text, "EX", "5000"],
            3 => vec!["SET", key, &text, "PX", "1"],
            4 => vec!["SET", key, &number, "KEEPTTL"],
            5 => vec!["SETNX", key, &number],
            6 => vec!["GETSET", key, &text],
            7 => vec!["GETDEL", key],
            8 => vec!["GETEX", key, "PERSIST"],
            9 => vec!["GETEX", key, "EX", "900"],
            10..=14 => vec!["INCR", key],
            15 => vec!["DECR", key],
            16 => vec!["INCRBY", key, &number],
            17 => vec!["DECRBY", key, &number],
            18 => vec!["INCRBYFLOAT", key, "1.25"],
            19 => vec!["APPEND", key, &text],
            20 => vec!["SETRANGE", key, "3", &text],
            21 => vec!["MSET", key, &number, other, &text],
            22 => vec!["MSETNX", key, &number, other, &text],
            23 => vec!["EXPIRE", key, "7000"],
            24 => vec!["PEXPIRE", key, "-1"],
            25 => vec!["EXPIREAT", key, "99999999999"],
            26 => vec!["PERSIST", key],
            27 => vec!["DEL", key, other],
            28 => vec!["UNLINK", key],
            29 => vec!["RENAME", key, other],
            30 => vec!["RENAMENX", key, other],
            31 => vec!["COPY", key, other, "REPLACE"],
            32 => vec!["MOVE", key, &database],
            33 => vec!["SELECT", &database],
            34 => vec!["EVAL", script, "2", key, other, &text],
            35 if dice.roll(8) == 0 => vec!["SWAPDB", "0", &database],
            36 if dice.roll(8) == 0 => vec!["FLUSHDB"],
            37 => {
                is_open = !is_open;
                vec![if is_open { "MULTI" } else { "EXEC" }]
            }
            _ => vec!["PUBLISH", "c", &number],
        };
        requests.push(request(&words));
    }
    if is_open {
        requests.push(request(&["EXEC"]));
    }
    requests
}
