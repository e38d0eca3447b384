//! Patterns and their subscriptions, with an index that avoids matching each pattern.
//!
//! The index holds patterns by their literal prefix, so that a channel is matched only against
//! patterns whose prefix it starts with. The matches of recent channels are cached until the set of
//! patterns changes.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use slab::Slab;

use crate::glob;
use crate::pubsub::interest::{Interest, Place};
use crate::pubsub::message::Name;

/// All patterns with a subscription.
#[derive(Default)]
pub(crate) struct Patterns {
    entries: Slab<Entry>,
    by_name: HashMap<Name, usize, RandomState>,
    /// Keys of `entries`, by the literal prefix of their patterns.
    by_start: HashMap<Box<[u8]>, Vec<usize>, RandomState>,
    /// The number of patterns by the length of their literal prefix.
    lengths: [usize; START_BYTES_MAX + 1],
    /// Keys of the entries that match recent channels.
    found: HashMap<Box<[u8]>, Box<[usize]>, RandomState>,
}

struct Entry {
    name: Name,
    interest: Interest,
    /// The index in the list of patterns with the same prefix.
    index: usize,
}

/// Longer prefixes hardly distinguish patterns, and each length costs a look-up.
const START_BYTES_MAX: usize = 24;
/// Channels whose matches are cached. With the next constant, it bounds the cache to a few hundred
/// kilobytes.
const FOUND_MAX: usize = 1024;
/// Matches of longer channels are not cached.
const FOUND_CHANNEL_BYTES_MAX: usize = 256;

impl Patterns {
    /// Adds one subscription, and returns the name that all tables share.
    pub(crate) fn add(&mut self, pattern: &[u8], place: Place) -> Name {
        if let Some(&at) = self.by_name.get(pattern) {
            let entry = &mut self.entries[at];
            entry.interest.add(place);
            return entry.name.clone();
        }
        let name = Name::from(pattern);
        let start = start(pattern);
        let same_start = self.by_start.entry(start.into()).or_default();
        let (interest, index) = (Interest::new(place), same_start.len());
        let at = self.entries.insert(Entry { name: name.clone(), interest, index });
        same_start.push(at);
        self.by_name.insert(name.clone(), at);
        self.lengths[start.len()] += 1;
        self.found.clear();
        name
    }

    /// Removes one subscription.
    pub(crate) fn remove(&mut self, pattern: &Name, place: &Place) {
        let Some(&at) = self.by_name.get(pattern) else { return };
        if !self.entries[at].interest.remove(place) {
            return;
        }
        let Entry { index, .. } = self.entries.remove(at);
        self.by_name.remove(pattern);
        let start = start(pattern);
        self.lengths[start.len()] -= 1;
        let same_start = self.by_start.get_mut(start).expect("every pattern stands there");
        same_start.swap_remove(index);
        match same_start.get(index) {
            Some(&moved) => self.entries[moved].index = index,
            None if same_start.is_empty() => drop(self.by_start.remove(start)),
            None => {}
        }
        self.found.clear();
    }

    /// Returns the number of patterns.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Calls `see` with each pattern that matches `channel`.
    pub(crate) fn each_matching(&mut self, channel: &[u8], mut see: impl FnMut(&Name, &Interest)) {
        if self.entries.is_empty() {
            return;
        }
        let mut see = |keys: &[usize]| {
            for &at in keys {
                let entry = &self.entries[at];
                see(&entry.name, &entry.interest);
            }
        };
        if let Some(keys) = self.found.get(channel) {
            return see(keys);
        }
        let keys = self.find(channel);
        see(&keys);
        if channel.len() <= FOUND_CHANNEL_BYTES_MAX {
            if self.found.len() >= FOUND_MAX {
                self.found.clear();
            }
            self.found.insert(channel.into(), keys.into());
        }
    }

    fn find(&self, channel: &[u8]) -> Vec<usize> {
        let mut keys = Vec::new();
        for length in 0..=START_BYTES_MAX.min(channel.len()) {
            if self.lengths[length] == 0 {
                continue;
            }
            let candidates = self.by_start.get(&channel[..length]).into_iter().flatten();
            keys.extend(
                candidates.filter(|&&at| glob::matches(&self.entries[at].name, channel)).copied(),
            );
        }
        keys
    }
}

/// Returns the literal prefix of a pattern, cut to [`START_BYTES_MAX`].
fn start(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(pattern.len());
    &pattern[..end.min(START_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::WorkerId;

    const PLACE: Place = Place::Worker(WorkerId(0));

    fn matching(patterns: &mut Patterns, channel: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        patterns.each_matching(channel, |name, _| found.push(name.to_vec()));
        found.sort();
        found
    }

    /// Short texts of few letters, so that many match, and some longer than the indexed prefix.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let short = prop::collection::vec(prop::sample::select(b"ab*?[]^\\-".to_vec()), 0..6);
        prop_oneof![
            4 => short.clone(),
            1 => short.prop_map(|end| [vec![b'a'; START_BYTES_MAX], end].concat()),
        ]
    }

    proptest! {
        #[test]
        fn the_index_finds_the_same_patterns_as_a_full_scan(
            added in prop::collection::vec(texts(), 0..20),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
            channels in prop::collection::vec(texts(), 1..5),
        ) {
            let mut patterns = Patterns::default();
            let mut names: Vec<Name> = added.iter().map(|text| patterns.add(text, PLACE)).collect();
            // Fills the cache first, so that a stale entry fails the test.
            channels.iter().for_each(|channel| drop(matching(&mut patterns, channel)));
            for index in removed {
                if !names.is_empty() {
                    let name = names.swap_remove(index.index(names.len()));
                    patterns.remove(&name, &PLACE);
                }
            }
            for channel in &channels {
                let mut expected: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
                expected.retain(|text| glob::matches(text, channel));
                expected.sort();
                expected.dedup();
                prop_assert_eq!(matching(&mut patterns, channel), expected);
            }
        }
    }

    #[test]
    fn removed_patterns_leave_no_entries() {
        let mut patterns = Patterns::default();
        let names = [&b"a*"[..], b"a*", b"ab?", b"*"].map(|text| patterns.add(text, PLACE));
        assert_eq!(matching(&mut patterns, b"abc").len(), 3);
        names.iter().for_each(|name| patterns.remove(name, &PLACE));
        assert_eq!((patterns.len(), patterns.by_name.len(), patterns.by_start.len()), (0, 0, 0));
        assert!(patterns.found.is_empty());
        assert!(patterns.lengths.iter().all(|&count| count == 0));
    }

    #[test]
    fn the_cache_of_matches_is_bounded() {
        let mut patterns = Patterns::default();
        patterns.add(b"*", PLACE);
        for index in 0..3 * FOUND_MAX {
            assert_eq!(matching(&mut patterns, index.to_string().as_bytes()).len(), 1);
        }
        assert_eq!(matching(&mut patterns, &[b'x'; FOUND_CHANNEL_BYTES_MAX + 1]).len(), 1);
        assert!(patterns.found.len() <= FOUND_MAX);
    }
}
