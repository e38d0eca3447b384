//! The signals of one connection.
//!
//! Most connections have three or four. A list of these has less than half the size of a set, and is
//! as fast. A connection with many groups has a set.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// Different signals, in no order.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "the list decides about the size")]
pub(crate) enum Signals {
    Few(Vec<Arc<str>>),
    Many(Box<HashSet<Arc<str>, RandomState>>),
}

/// The longest list.
const FEW: usize = 8;

impl Signals {
    /// Adds a signal, and returns whether it is new.
    pub(crate) fn insert(&mut self, signal: Arc<str>) -> bool {
        if self.contains(&signal) {
            return false;
        }
        match self {
            Self::Few(few) if few.len() < FEW => {
                few.reserve_exact(1);
                few.push(signal);
            }
            Self::Few(few) => {
                let all = few.drain(..).chain([signal]).collect();
                *self = Self::Many(Box::new(all));
            }
            Self::Many(many) => _ = many.insert(signal),
        }
        true
    }

    /// Removes a signal, and returns whether it was there.
    pub(crate) fn remove(&mut self, signal: &str) -> bool {
        match self {
            Self::Few(few) => {
                let found = few.iter().position(|each| **each == *signal);
                found.map(|index| few.swap_remove(index)).is_some()
            }
            Self::Many(many) => many.remove(signal),
        }
    }

    pub(crate) fn contains(&self, signal: &str) -> bool {
        match self {
            Self::Few(few) => few.iter().any(|each| **each == *signal),
            Self::Many(many) => many.contains(signal),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        let (few, many) = match self {
            Self::Few(few) => (&few[..], None),
            Self::Many(many) => (&[][..], Some(many.iter())),
        };
        few.iter().chain(many.into_iter().flatten())
    }
}

impl FromIterator<Arc<str>> for Signals {
    fn from_iter<I: IntoIterator<Item = Arc<str>>>(signals: I) -> Self {
        let signals = signals.into_iter();
        let mut all = Self::Few(Vec::with_capacity(signals.size_hint().0.min(FEW)));
        signals.for_each(|signal| _ = all.insert(signal));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_signals_behave_alike() {
        for count in [1, FEW, FEW + 1, 5 * FEW] {
            let name = |number: usize| Arc::<str>::from(number.to_string());
            let mut signals: Signals = (0..count).chain(0..count).map(name).collect();
            assert_eq!((signals.len(), signals.iter().count()), (count, count));
            assert!(!signals.insert(name(0)), "{count}: it is there");
            assert!(signals.remove("0") && !signals.remove("0"), "{count}");
            assert!(!signals.contains("0") && signals.insert(name(0)), "{count}");
            assert!((0..count).all(|number| signals.contains(&name(number))), "{count}");
        }
    }
}
