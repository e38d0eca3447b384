//! The people in a room, on all servers.
//!
//! A person with several tabs is listed once, with all servers of the tabs. Clients without a name
//! are not listed.

use std::collections::{BTreeMap, BTreeSet};

use backplane::Backplane;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use signalr::HubStream;

/// A person in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Person {
    name: String,
    /// The names of the servers that the person is connected to.
    servers: BTreeSet<String>,
}

/// Returns the people in a group, now and after each change.
pub(crate) fn watch(backplane: Backplane, group: String) -> HubStream<Vec<Person>> {
    let watch = backplane.presence().watch(&group);
    let changes = stream::unfold(watch, |mut watch| async { Some((watch.recv().await?, watch)) });
    changes.map(move |_| Ok(list(&backplane, &group))).boxed()
}

fn list(backplane: &Backplane, group: &str) -> Vec<Person> {
    let servers = backplane.servers().into_iter();
    let names: BTreeMap<_, _> =
        servers.filter_map(|server| Some((server.id, server.name?))).collect();
    let mut people: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for member in backplane.presence().members(group) {
        let Some(name) = member.user else { continue };
        // The name arrives with the lease, which a member may precede.
        people.entry(name).or_default().extend(names.get(&member.server).cloned());
    }
    people.into_iter().take(PEOPLE_MAX).map(|(name, servers)| Person { name, servers }).collect()
}

/// Enough for a demonstration. Each change sends the whole list to each person in it.
const PEOPLE_MAX: usize = 200;
