//! One connection as its methods see it.

use std::{
    any::{self, Any, TypeId},
    collections::{BTreeMap, BTreeSet},
    future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::SystemTime,
};

use locks::{Mutex, RwLock};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};
use tokio::time;
use tracing::warn;

use crate::{
    connection_info::FirstRequest, resumption::Resumption, signal::Signal,
    transport_kind::TransportKind, user::Authenticated,
};

/// The ids, the user and the values of one connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) connection_id: Arc<str>,
    pub(crate) user_id: Option<Arc<str>>,
    pub(crate) transport: TransportKind,
    /// Kept only if a method of the hub reads it.
    pub(crate) request: Option<Arc<FirstRequest>>,
    /// The user, with the number of the refresh that has set it.
    user: RwLock<(u64, Option<Authenticated>)>,
    /// Empty unless the client may renew its user.
    refreshes: OnceLock<Box<Refreshes>>,
    /// The connection's own values and groups. In a box, since an idle connection has none.
    own: Mutex<Option<Box<Own>>>,
}

/// The groups and the values of one connection.
#[derive(Debug, Default)]
struct Own {
    /// The groups that its own methods have entered.
    groups: BTreeSet<Box<str>>,
    by_type: BTreeMap<TypeId, Local>,
    /// Values of the connection's last server that no method has read here, by the names of their
    /// types.
    unread: BTreeMap<String, Box<RawValue>>,
    /// Set until the session of a resumable connection begins.
    resumption: Option<Box<Resumption>>,
}

#[derive(Debug)]
struct Local {
    value: Arc<dyn Any + Send + Sync>,
    name: &'static str,
    write: fn(&(dyn Any + Send + Sync)) -> Option<Box<RawValue>>,
}

/// What a connection keeps of its methods when it goes to another server.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Keepsakes {
    /// The groups that its own methods have entered.
    groups: BTreeSet<Box<str>>,
    /// Its values, by the names of their types.
    values: BTreeMap<String, Box<RawValue>>,
}

impl Peer {
    pub(crate) fn new(connection_id: Arc<str>, visitor: Visitor, transport: TransportKind) -> Self {
        let Visitor { user_id, user, request, resumption } = visitor;
        let own = resumption.map(|resumption| {
            // The groups of its former connection count for its limit.
            let groups = resumption.groups().iter().map(|group| group.as_str().into()).collect();
            Box::new(Own { groups, resumption: Some(resumption), ..Own::default() })
        });
        Self {
            connection_id,
            user_id,
            transport,
            request,
            user: RwLock::new((0, user)),
            refreshes: OnceLock::new(),
            own: Mutex::new(own),
        }
    }

    /// Adds what the connection has kept of its last server.
    pub(crate) fn with_keepsakes(mut self, keepsakes: Keepsakes) -> Self {
        let Keepsakes { groups, values } = keepsakes;
        *self.own.get_mut() = Some(Box::new(Own { groups, unread: values, ..Own::default() }));
        self
    }

    /// Returns what the connection keeps for its next server. A value that cannot be written begins
    /// anew there.
    pub(crate) fn keepsakes(&self) -> Keepsakes {
        let own = self.own.lock();
        let Some(Own { groups, by_type, unread, .. }) = own.as_deref() else {
            return Keepsakes::default();
        };
        let mut values = unread.clone();
        for Local { value, name, write } in by_type.values() {
            // A panic of the application costs this value only.
            let written = catch_unwind(AssertUnwindSafe(|| write(&**value)));
            match written.ok().flatten() {
                Some(value) => _ = values.insert((*name).to_owned(), value),
                None => warn!(name, "a value of a connection cannot go to another server"),
            }
        }
        Keepsakes { groups: groups.clone(), values }
    }

    /// Returns the visitor that has opened the connection, with its current user.
    pub(crate) fn visitor(&self) -> Visitor {
        let (user_id, request) = (self.user_id.clone(), self.request.clone());
        Visitor { user_id, user: self.user(), request, resumption: None }
    }

    /// Takes the place where a resumable connection begins.
    pub(crate) fn take_resumption(&self) -> Option<Box<Resumption>> {
        self.own.lock().as_deref_mut()?.resumption.take()
    }

    pub(crate) fn user(&self) -> Option<Authenticated> {
        self.user.read().1.clone()
    }

    /// Allows the client to renew its user. Call it before the session waits for that.
    pub(crate) fn allow_refreshes(&self) {
        self.refreshes.get_or_init(Box::default);
    }

    /// Returns the number of a refresh that begins.
    pub(crate) fn begin_refresh(&self) -> u64 {
        self.refreshes.get_or_init(Box::default).begun.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Replaces the user, unless a refresh that began later has replaced it already.
    pub(crate) fn refresh(&self, number: u64, user: Option<Authenticated>) {
        let mut current = self.user.write();
        if current.0 > number {
            return;
        }
        *current = (number, user);
        drop(current);
        if let Some(refreshes) = self.refreshes.get() {
            refreshes.has_ended.set();
            refreshes.expiry_changed.set();
        }
    }

    /// Returns whether there was a refresh, or registers the task.
    pub(crate) fn poll_refreshed(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.refreshes.get() {
            Some(refreshes) => refreshes.has_ended.poll_set(cx),
            None => Poll::Pending,
        }
    }

    /// Waits until the user expires. Cancel safe. One task waits at a time.
    pub(crate) async fn expired(&self) {
        loop {
            let expires = self.user.read().1.as_ref().and_then(Authenticated::expires);
            let changed = self.expiry_changed();
            let Some(expires) = expires else {
                changed.await;
                continue;
            };
            let left = expires.duration_since(SystemTime::now()).unwrap_or_default();
            if time::timeout(left, changed).await.is_err() {
                return;
            }
        }
    }

    /// Waits for a change of the user.
    async fn expiry_changed(&self) {
        match self.refreshes.get() {
            Some(refreshes) => refreshes.expiry_changed.wait().await,
            None => future::pending().await,
        }
    }

    /// Returns the connection's own value of a type.
    pub(crate) fn local<T>(&self) -> Arc<T>
    where
        T: Default + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let mut own = self.own.lock();
        let Own { by_type, unread, .. } = &mut **own.get_or_insert_default();
        let local = by_type.entry(TypeId::of::<T>()).or_insert_with(|| {
            let name = any::type_name::<T>();
            let value = unread.remove(name).and_then(|value| read::<T>(name, &value));
            let write = |value: &(dyn Any + Send + Sync)| {
                value.downcast_ref::<T>().and_then(|value| to_raw_value(value).ok())
            };
            Local { value: Arc::new(value.unwrap_or_default()), name, write }
        });
        Arc::clone(&local.value).downcast().expect("values are stored by their type")
    }

    /// Takes note of a group. Returns false if the connection would have more than `max` groups.
    pub(crate) fn enter(&self, group: &str, max: usize) -> bool {
        let mut own = self.own.lock();
        let groups = &mut own.get_or_insert_default().groups;
        groups.contains(group) || (groups.len() < max && groups.insert(group.into()))
    }

    pub(crate) fn leave(&self, group: &str) {
        if let Some(own) = self.own.lock().as_deref_mut() {
            own.groups.remove(group);
        }
    }
}

/// Reads a value of another server, which may run another version of the application.
fn read<T: DeserializeOwned>(name: &str, value: &RawValue) -> Option<T> {
    let value = serde_json::from_str(value.get());
    if let Err(error) = &value {
        warn!(name, %error, "a value of a connection from another server begins anew");
    }
    value.ok()
}

/// The refreshes of the user of one connection.
#[derive(Debug, Default)]
struct Refreshes {
    /// The number of those that have begun.
    begun: AtomicU64,
    has_ended: Signal,
    expiry_changed: Signal,
}

/// The user and the request that opened a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitor {
    pub(crate) user_id: Option<Arc<str>>,
    pub(crate) user: Option<Authenticated>,
    pub(crate) request: Option<Arc<FirstRequest>>,
    /// Set for a resumable connection.
    pub(crate) resumption: Option<Box<Resumption>>,
}
