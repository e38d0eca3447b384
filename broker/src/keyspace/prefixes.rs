//! The prefixes that a client tracks in broadcasting mode.

use std::collections::{BTreeSet, btree_set};
use std::ops::Bound;

/// The prefixes of a client. None is the beginning of another one, since both would match the same
/// keys. Only the empty one, which a client gets that names no prefix, may be beside others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prefixes(BTreeSet<Box<[u8]>>);

impl Prefixes {
    /// Adds a prefix. Returns whether it is new.
    pub(super) fn insert(&mut self, prefix: &[u8]) -> bool {
        self.0.insert(prefix.into())
    }

    /// Returns the prefixes in ascending order.
    pub(crate) fn iter(&self) -> btree_set::Iter<'_, Box<[u8]>> {
        self.0.iter()
    }

    /// Returns the first prefix that is equal to this one, its beginning, or begun by it.
    ///
    /// The time does not grow with the number of prefixes: in ascending order, a beginning comes
    /// immediately before the prefixes that it begins.
    pub(crate) fn overlapping(&self, prefix: &[u8]) -> Option<&[u8]> {
        let all = self.0.get(&[][..]).into_iter();
        let before = (Bound::Unbounded, Bound::Excluded(prefix));
        let after = (Bound::Included(prefix), Bound::Unbounded);
        all.chain(self.0.range::<[u8], _>(before).next_back())
            .chain(self.0.range::<[u8], _>(after).next())
            .map(|other| &**other)
            .find(|other| overlap(prefix, other))
    }
}

/// Returns the first prefix that overlaps with a later one, and the first of those, as indices.
pub(crate) fn first_overlap(prefixes: &[&[u8]]) -> Option<(usize, usize)> {
    let mut sorted: Vec<usize> = (0..prefixes.len()).collect();
    sorted.sort_by_key(|&index| prefixes[index]);
    let mut first = None;
    let mut beginning = *sorted.first()?;
    for &index in &sorted[1..] {
        if prefixes[index].starts_with(prefixes[beginning]) {
            let earlier = index.min(beginning);
            first = Some(first.map_or(earlier, |first: usize| first.min(earlier)));
        } else {
            beginning = index;
        }
    }
    let first = first?;
    let later = (first + 1..prefixes.len()).find(|&k| overlap(prefixes[first], prefixes[k]))?;
    Some((first, later))
}

fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn overlaps_are_those_of_a_comparison_of_all_pairs(
            words in prop::collection::vec("[ab]{0,4}", 0..8),
            asked in "[ab]{0,4}",
            has_empty: bool,
        ) {
            let prefixes: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            let later = |i: usize| (i + 1..prefixes.len()).find(|&k| overlap(prefixes[i], prefixes[k]));
            let expected = (0..prefixes.len()).find_map(|i| Some((i, later(i)?)));
            prop_assert_eq!(first_overlap(&prefixes), expected);

            let mut known = Prefixes::default();
            if has_empty {
                known.insert(b"");
            }
            for prefix in &prefixes {
                if !known.iter().any(|other| !other.is_empty() && overlap(prefix, other)) {
                    known.insert(prefix);
                }
            }
            let expected = known.iter().find(|other| overlap(asked.as_bytes(), other));
            prop_assert_eq!(known.overlapping(asked.as_bytes()), expected.map(|other| &**other));
        }
    }
}
