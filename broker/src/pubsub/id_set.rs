//! The subscribers of one channel or pattern, as a set of values with ids.
//!
//! Most channels have one subscriber, so a set of one needs no allocation. Inserting and removing
//! take constant time for any size. The order within the set has no meaning.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A value with an id that is unique in its set.
pub(crate) trait Identified {
    fn id(&self) -> u64;
}

/// A set that is iterated far more often than changed.
#[derive(Debug)]
pub(crate) enum IdSet<T> {
    One(T),
    Many(Box<Many<T>>),
}

#[derive(Debug)]
pub(crate) struct Many<T> {
    list: Vec<T>,
    /// Indexes into the list by id. Empty while the list is short enough to be searched.
    positions: HashMap<u64, usize, FixedState>,
}

/// Lists up to this length are searched without a map, which is faster.
const SEARCHED_MAX: usize = 16;

impl<T: Identified> IdSet<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(many) => &many.list,
        }
    }

    /// Adds a value that is not in the set yet.
    pub(crate) fn insert(&mut self, value: T) {
        if let Self::Many(many) = self {
            many.insert(value);
            return;
        }
        let empty =
            Many { list: Vec::new(), positions: HashMap::with_hasher(FixedState::default()) };
        if let Self::One(first) = std::mem::replace(self, Self::Many(Box::new(empty))) {
            self.insert(first);
            self.insert(value);
        }
    }

    /// Removes the value with this id, and returns whether the set is now empty. A set of one stays
    /// as it is: the caller drops it.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        match self {
            Self::One(value) => value.id() == id,
            Self::Many(many) => {
                many.remove(id);
                many.list.is_empty()
            }
        }
    }
}

impl<T: Identified> Many<T> {
    fn insert(&mut self, value: T) {
        if !self.positions.is_empty() {
            self.positions.insert(value.id(), self.list.len());
        }
        self.list.push(value);
        if self.positions.is_empty() && self.list.len() > SEARCHED_MAX {
            self.positions = self
                .list
                .iter()
                .enumerate()
                .map(|(position, value)| (value.id(), position))
                .collect();
        }
    }

    fn remove(&mut self, id: u64) {
        let position = match self.positions.is_empty() {
            true => self.list.iter().position(|value| value.id() == id),
            false => self.positions.remove(&id),
        };
        let Some(position) = position else { return };
        self.list.swap_remove(position);
        if let (Some(moved), false) = (self.list.get(position), self.positions.is_empty()) {
            self.positions.insert(moved.id(), position);
        }
        if self.list.len() <= SEARCHED_MAX / 2 {
            self.positions = HashMap::with_hasher(FixedState::default());
            self.list.shrink_to(SEARCHED_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    impl Identified for u64 {
        fn id(&self) -> u64 {
            *self
        }
    }

    #[test]
    fn the_set_holds_the_inserted_ids_without_the_removed() {
        let mut set = IdSet::One(0);
        let mut expected = BTreeSet::from([0]);
        for id in 1..100 {
            set.insert(id);
            expected.insert(id);
        }
        for id in (0..100).map(|step| step * 37 % 100) {
            assert_eq!(set.as_slice().iter().copied().collect::<BTreeSet<_>>(), expected);
            expected.remove(&id);
            assert_eq!(set.remove(id), expected.is_empty(), "without {id}");
        }
    }

    #[test]
    fn removing_an_unknown_id_changes_nothing() {
        let mut set = IdSet::One(1);
        assert!(!set.remove(2));
        set.insert(2);
        assert!(!set.remove(3));
        assert_eq!(set.as_slice(), [1, 2]);
    }
}
