//! Compares the messages that the servers sent with those that one connection received.
//!
//! The sent log has the numbers of each sender that the broker accepted, in order, and the ids that
//! an observer saw on the channel. A receive log has the numbers and gaps of one connection, in
//! order. The claims:
//!
//! - **Every gap is reported.** An accepted number that did not arrive is inside a gap, at its
//!   place.
//! - **No gap is invented.** The ids in a gap were issued, and their messages did not arrive.
//! - **No message arrives twice.**
//! - **Order is kept**, for each sender and among all connections.
//!
//! This module uses neither backplanes nor servers.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

/// The numbers of each sender start with its index.
pub(crate) const SENDER: u64 = 1_000_000;

/// The messages that were sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct SentLog {
    /// For each sender, the numbers that the broker accepted.
    pub(crate) accepted: Vec<Vec<u64>>,
    /// The id of each number, as the observer saw it. Messages during its disconnections are
    /// missing.
    pub(crate) ids: HashMap<u64, u64>,
    /// All ids, if the observer was always connected.
    pub(crate) seen: Option<HashSet<u64>>,
    /// The last id that was issued.
    pub(crate) last_id: Option<u64>,
}

/// A message or gap of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Number(u64),
    Gap { from: u64, to: u64 },
}

impl SentLog {
    /// Returns the faults of a receive log as texts.
    pub(crate) fn faults(&self, receive_log: &[Entry]) -> Vec<String> {
        let mut faults = Vec::new();
        self.nothing_twice(receive_log, &mut faults);
        for (sender, accepted) in self.accepted.iter().enumerate() {
            in_order(sender as u64, receive_log, &mut faults);
            self.all_reported(sender as u64, accepted, receive_log, &mut faults);
        }
        self.none_invented(receive_log, &mut faults);
        faults
    }

    /// Returns the number of accepted messages that did not arrive.
    pub(crate) fn lost(&self, receive_log: &[Entry]) -> usize {
        let received: HashSet<_> = numbers_of(receive_log).collect();
        self.accepted.iter().flatten().filter(|number| !received.contains(number)).count()
    }

    fn nothing_twice(&self, receive_log: &[Entry], faults: &mut Vec<String>) {
        let mut numbers = HashSet::new();
        let twice = numbers_of(receive_log).filter(|number| !numbers.insert(*number));
        faults.extend(twice.map(|number| format!("{number} came twice")));
    }

    /// Each accepted number has arrived, or is inside a reported gap.
    fn all_reported(
        &self,
        sender: u64,
        accepted: &[u64],
        receive_log: &[Entry],
        faults: &mut Vec<String>,
    ) {
        let received: HashSet<_> = numbers_of(receive_log).collect();
        for number in accepted.iter().filter(|number| !received.contains(number)) {
            let reports_gap = match self.ids.get(number) {
                Some(id) => gaps_of(receive_log).any(|gap| gap.contains(id)),
                None => gaps_around(sender, *number, receive_log).next().is_some(),
            };
            if !reports_gap {
                faults.push(format!("{number} was lost without a gap"));
            }
        }
    }

    /// Each id in a gap was issued once, and its message has not arrived.
    fn none_invented(&self, receive_log: &[Entry], faults: &mut Vec<String>) {
        let known =
            numbers_of(receive_log).filter_map(|number| Some((number, self.ids.get(&number)?)));
        let known: Vec<_> = known.collect();
        let mut reported = HashSet::new();
        for gap in gaps_of(receive_log) {
            if gap.is_empty() {
                faults.push(format!("{gap:?} is no gap"));
            }
            for (number, id) in known.iter().filter(|(_, id)| gap.contains(id)) {
                faults.push(format!("{number} came, and its id {id} is reported as missing"));
            }
            let is_new = gap.clone().filter(|id| reported.insert(*id)).count() as u64;
            if is_new < gap.end() - gap.start() + 1 {
                faults.push(format!("{gap:?} was reported before"));
            }
            if self.last_id.is_some_and(|last| *gap.end() > last) {
                faults.push(format!("{gap:?} goes beyond the last id"));
            }
            if let Some(seen) = &self.seen
                && let Some(id) = gap.clone().find(|id| !seen.contains(id))
            {
                faults.push(format!("{id} in {gap:?} was never issued"));
            }
        }
    }
}

/// The numbers of each sender have arrived in order.
fn in_order(sender: u64, receive_log: &[Entry], faults: &mut Vec<String>) {
    let numbers: Vec<_> = numbers_of(receive_log).filter(|number| is_of(sender, *number)).collect();
    let wrong = numbers.windows(2).filter(|pair| pair[0] > pair[1]);
    faults.extend(wrong.map(|pair| format!("{} came after {}", pair[1], pair[0])));
}

/// Returns the differences in order between two receive logs.
pub(crate) fn disagreements(one: &[Entry], two: &[Entry]) -> Vec<String> {
    let places: HashMap<_, _> =
        numbers_of(two).enumerate().map(|(place, number)| (number, place)).collect();
    let common = numbers_of(one).filter_map(|number| Some((number, *places.get(&number)?)));
    let common: Vec<_> = common.collect();
    let wrong = common.windows(2).filter(|pair| pair[0].1 > pair[1].1);
    wrong.map(|pair| format!("{} and {} came in two orders", pair[0].0, pair[1].0)).collect()
}

/// Returns the gaps between the numbers of a sender directly before and after this one.
fn gaps_around(sender: u64, number: u64, receive_log: &[Entry]) -> impl Iterator<Item = &Entry> {
    let of_sender = |entry: &Entry| match entry {
        Entry::Number(came) if is_of(sender, *came) => Some(*came),
        _ => None,
    };
    let before = |entry: &Entry| of_sender(entry).is_some_and(|came| came < number);
    let after = |entry: &Entry| of_sender(entry).is_some_and(|came| came > number);
    let start = receive_log.iter().rposition(before).map_or(0, |place| place + 1);
    let end = receive_log.iter().position(after).unwrap_or(receive_log.len()).max(start);
    receive_log[start..end].iter().filter(|entry| matches!(entry, Entry::Gap { .. }))
}

fn is_of(sender: u64, number: u64) -> bool {
    number / SENDER == sender
}

fn numbers_of(receive_log: &[Entry]) -> impl Iterator<Item = u64> {
    receive_log.iter().filter_map(|entry| match entry {
        Entry::Number(number) => Some(*number),
        Entry::Gap { .. } => None,
    })
}

fn gaps_of(receive_log: &[Entry]) -> impl Iterator<Item = RangeInclusive<u64>> {
    receive_log.iter().filter_map(|entry| match entry {
        Entry::Gap { from, to } => Some(*from..=*to),
        Entry::Number(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::Entry::{Gap, Number};
    use super::*;

    /// Two senders took turns: 0, 1000000, 1, 1000001, … with the ids 1, 2, 3, 4, …
    fn sent_log() -> SentLog {
        let accepted = vec![vec![0, 1, 2, 3], vec![SENDER, SENDER + 1, SENDER + 2, SENDER + 3]];
        let turns = (0..4).flat_map(|turn| [turn, SENDER + turn]);
        let ids = turns.zip(1..).collect();
        SentLog { accepted, ids, seen: Some((1..=8).collect()), last_id: Some(8) }
    }

    fn receive_log(missing: RangeInclusive<u64>) -> Vec<Entry> {
        let turns = (0..4).flat_map(|turn| [turn, SENDER + turn]).zip(1..);
        turns.filter(|(_, id)| !missing.contains(id)).map(|(number, _)| Number(number)).collect()
    }

    fn check(receive_log: &[Entry], expected: &[&str]) {
        assert_eq!(sent_log().faults(receive_log), expected, "{receive_log:?}");
        // The same without an observer, as far as the fault is visible then.
        if expected.iter().all(|fault| !fault.contains(" id ") && !fault.contains("issued")) {
            let blind = SentLog { ids: HashMap::new(), seen: None, ..sent_log() };
            assert_eq!(blind.faults(receive_log), expected, "{receive_log:?}");
        }
    }

    #[test]
    fn an_account_without_faults() {
        check(&receive_log(0..=0), &[]);
        let mut reported = receive_log(3..=4);
        reported.insert(2, Gap { from: 3, to: 4 });
        check(&reported, &[]);
        let mut at_the_end = receive_log(8..=8);
        at_the_end.push(Gap { from: 8, to: 8 });
        check(&at_the_end, &[]);
    }

    #[test]
    fn an_unreported_loss_is_found() {
        check(&receive_log(3..=3), &["1 was lost without a gap"]);
        let mut elsewhere = receive_log(3..=3);
        elsewhere.push(Gap { from: 9, to: 9 });
        let faults = sent_log().faults(&elsewhere);
        assert_eq!(faults.len(), 3, "{faults:?}");
        let mut short = receive_log(3..=4);
        short.insert(2, Gap { from: 3, to: 3 });
        assert_eq!(sent_log().faults(&short), ["1000001 was lost without a gap"]);
    }

    #[test]
    fn an_invented_gap_is_found() {
        let mut invented = receive_log(3..=3);
        invented.insert(2, Gap { from: 2, to: 3 });
        check(&invented, &["1000000 came, and its id 2 is reported as missing"]);
        let mut again = receive_log(3..=3);
        again.extend([Gap { from: 3, to: 3 }; 2]);
        let faults = sent_log().faults(&again);
        assert_eq!(faults, ["3..=3 was reported before"]);
    }

    #[test]
    fn duplicates_and_wrong_orders_are_found() {
        let mut twice = receive_log(0..=0);
        twice.push(Number(3));
        check(&twice, &["3 came twice"]);
        let mut back = receive_log(0..=0);
        back.swap(0, 2);
        check(&back, &["0 came after 1"]);
        let mut other = receive_log(0..=0);
        other.swap(0, 1);
        check(&other, &[]);
        let faults = disagreements(&receive_log(0..=0), &other);
        assert_eq!(faults, ["0 and 1000000 came in two orders"]);
    }
}
