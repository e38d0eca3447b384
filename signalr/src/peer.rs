//! One connection as its methods see it.

use std::{
    any::{Any, TypeId},
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};

use crate::{connection_info::FirstRequest, transport_kind::TransportKind, user::Authenticated};

/// The ids, the user and the values of one connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) connection_id: Arc<str>,
    pub(crate) user_id: Option<Arc<str>>,
    pub(crate) transport: TransportKind,
    /// Kept only if a method of the hub reads it.
    pub(crate) request: Option<Arc<FirstRequest>>,
    user: RwLock<Option<Authenticated>>,
    /// The connection's own values, by type. Empty unless methods use them.
    locals: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    groups: Mutex<HashSet<Box<str>>>,
}

impl Peer {
    pub(crate) fn new(connection_id: Arc<str>, visitor: Visitor, transport: TransportKind) -> Self {
        let Visitor { user_id, user, request } = visitor;
        Self {
            connection_id,
            user_id,
            transport,
            request,
            user: RwLock::new(user),
            locals: Mutex::default(),
            groups: Mutex::default(),
        }
    }

    pub(crate) fn user(&self) -> Option<Authenticated> {
        self.user.read().clone()
    }

    pub(crate) fn set_user(&self, user: Option<Authenticated>) {
        *self.user.write() = user;
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

/// Who opened a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitor {
    pub(crate) user_id: Option<Arc<str>>,
    pub(crate) user: Option<Authenticated>,
    pub(crate) request: Option<Arc<FirstRequest>>,
}
