//! The connections that a message excludes.

use std::collections::HashSet;
use std::sync::Arc;

use crate::signals::Signals;

/// The connections that a message excludes: by id, ignoring case, or by a signal.
///
/// A sender may list many. So the list is indexed once for each message, and each connection is
/// looked up in the index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Except(Option<Arc<Index>>);

#[derive(Debug, Default)]
struct Index {
    signals: HashSet<String>,
    /// The same entries in lower case.
    ids: HashSet<String>,
}

impl Except {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the signals whose connections are excluded.
    pub(crate) fn signals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|index| index.signals.iter().map(String::as_str))
    }

    /// Returns whether the connection with this id is excluded, apart from its signals.
    pub(crate) fn has_id(&self, id: &str) -> bool {
        self.0.as_ref().is_some_and(|index| index.ids.contains(&id.to_ascii_lowercase()))
    }

    /// Returns whether a connection with this id and these signals is excluded.
    pub(crate) fn has(&self, id: &str, signals: &Signals) -> bool {
        let Some(index) = &self.0 else { return false };
        let has_signal = match signals.len() < index.signals.len() {
            true => signals.iter().any(|signal| index.signals.contains(&**signal)),
            false => index.signals.iter().any(|signal| signals.contains(signal.as_str())),
        };
        has_signal || self.has_id(id)
    }
}

impl<S: Into<String>> FromIterator<S> for Except {
    fn from_iter<I: IntoIterator<Item = S>>(entries: I) -> Self {
        let signals: HashSet<String> = entries.into_iter().map(Into::into).collect();
        if signals.is_empty() {
            return Self::default();
        }
        let ids = signals.iter().map(|entry| entry.to_ascii_lowercase()).collect();
        Self(Some(Arc::new(Index { signals, ids })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_excluded_by_id_or_signal() {
        let except: Except = ["Ann", "hg-Hub.room"].into_iter().collect();
        let signals = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
        for (id, names, is_excluded) in [
            ("ann", &[][..], true),
            ("bob", &[], false),
            ("bob", &["hg-Hub.room"], true),
            ("bob", &["hg-Hub.ROOM"], false),
            ("bob", &["a", "b", "hg-Hub.room"], true),
        ] {
            assert_eq!(except.has(id, &signals(names)), is_excluded, "{id} {names:?}");
        }
        let nothing: Except = [""; 0].into_iter().collect();
        assert!(nothing.is_empty() && !nothing.has("ann", &signals(&["a"])));
    }
}
