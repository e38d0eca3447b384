//! One connection as its methods see it.

use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, BTreeSet},
    future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::SystemTime,
};

use parking_lot::{Mutex, RwLock};
use tokio::time;

use crate::{
    connection_info::FirstRequest, signal::Signal, transport_kind::TransportKind,
    user::Authenticated,
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
    /// The connection's own values, by type. Empty unless methods use them.
    locals: Mutex<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    groups: Mutex<BTreeSet<Box<str>>>,
}

impl Peer {
    pub(crate) fn new(connection_id: Arc<str>, visitor: Visitor, transport: TransportKind) -> Self {
        let Visitor { user_id, user, request } = visitor;
        Self {
            connection_id,
            user_id,
            transport,
            request,
            user: RwLock::new((0, user)),
            refreshes: OnceLock::new(),
            locals: Mutex::default(),
            groups: Mutex::default(),
        }
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
    pub(crate) fn local<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut locals = self.locals.lock();
        let value = locals.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        Arc::clone(value).downcast().expect("values are stored by their type")
    }

    /// Takes note of a group. Returns false if the connection would have more than `max` groups.
    pub(crate) fn enter(&self, group: &str, max: usize) -> bool {
        let mut groups = self.groups.lock();
        groups.contains(group) || (groups.len() < max && groups.insert(group.into()))
    }

    pub(crate) fn leave(&self, group: &str) {
        self.groups.lock().remove(group);
    }
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
}
