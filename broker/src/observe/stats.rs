//! Counters for `INFO`.
//!
//! All threads add to them. No decision depends on them.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use locks::Mutex;

use crate::ids::CommandId;
use crate::observe::disconnect::Disconnect;
use crate::observe::histogram::Histogram;

/// Counters of a broker and its servers.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) connections_received: Counter,
    pub(crate) connections_rejected: Counter,
    pub(crate) connected_clients: Counter,
    /// Established TLS, and handshakes that failed.
    pub(crate) handshakes: Counter,
    pub(crate) handshakes_failed: Counter,
    pub(crate) commands_processed: Counter,
    pub(crate) messages_published: Counter,
    /// Counts each receiver.
    pub(crate) messages_delivered: Counter,
    pub(crate) input_bytes: Counter,
    /// Reads from sockets.
    pub(crate) reads: Counter,
    /// Flushes of outboxes to sockets.
    pub(crate) writes: Counter,
    pub(crate) output_bytes: Counter,
    /// Messages that slow subscribers have lost by `pubsub-slow-policy`.
    pub(crate) messages_dropped: Counter,
    /// Taps of all clients.
    pub(crate) taps: Counter,
    /// Ends of connections, by reason.
    pub(crate) ends: [Counter; Disconnect::COUNT],
    pub(crate) evicted_clients: Counter,
    /// The time in which commands ran, those within transactions and scripts not counted again.
    pub(crate) command_nanos: Counter,
    /// The largest buffers of clients in the last seconds.
    pub(crate) buffers: Buffers,
    pub(crate) denied: Denied,
    pub(crate) rates: Rates,
}

/// Refused requests and failed logins, whether or not the ACL log has an entry of their own.
#[derive(Debug, Default)]
pub(crate) struct Denied {
    pub(crate) logins: Counter,
    pub(crate) commands: Counter,
    pub(crate) keys: Counter,
    pub(crate) channels: Counter,
    pub(crate) certificates: Counter,
}

/// Counts of one worker that are not yet in the shared counters. Adding to a shared counter costs as
/// much as finding a subscriber, so a worker adds once for all requests of a read.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) commands: u64,
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    /// The time of commands, by estimate.
    pub(crate) nanos: u64,
    /// The number of a command, and its consecutive calls.
    calls: (CommandId, u64),
}

impl Tally {
    /// Counts a call of the command with this number.
    pub(crate) fn call(&mut self, id: CommandId, all: &CommandStats) {
        let (last, count) = self.calls;
        if last != id && count > 0 {
            all.of(last).calls.add(count);
        }
        self.calls = (id, if last == id { count + 1 } else { 1 });
    }

    /// Returns whether to time the next call of the command with this number. Reading the clock for
    /// each call of a fast command would be too slow. Timed are the first call of a run and every
    /// 64th after it.
    ///
    /// The result is the number of calls that the measured one stands for.
    pub(crate) fn samples(&self, id: CommandId) -> Option<u32> {
        let (last, count) = self.calls;
        match last == id {
            false => Some(1),
            true => (count % u64::from(CALLS_PER_SAMPLE) == 0).then_some(CALLS_PER_SAMPLE),
        }
    }

    /// Adds the counts to the shared counters, and resets them.
    pub(crate) fn flush_stats(&mut self, stats: &Stats, all: &CommandStats) {
        let Self { commands, published, delivered, nanos, calls } = std::mem::take(self);
        for (counter, count) in [
            (&stats.commands_processed, commands),
            (&stats.messages_published, published),
            (&stats.messages_delivered, delivered),
            (&stats.command_nanos, nanos),
            (&all.of(calls.0).calls, calls.1),
        ] {
            if count > 0 {
                counter.add(count);
            }
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self { commands: 0, published: 0, delivered: 0, nanos: 0, calls: (CommandId(0), 0) }
    }
}

const CALLS_PER_SAMPLE: u32 = 64;

/// Rates of the last second, kept by one worker.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    pub(crate) commands: Rate,
    /// Bytes read from clients.
    pub(crate) input: Rate,
    /// Bytes written to clients.
    pub(crate) output: Rate,
    /// Turns of the workers' event loops.
    pub(crate) turns: Rate,
    /// Microseconds that these turns took.
    pub(crate) turn_micros: Rate,
}

/// The growth of a total in the last second.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    pub(crate) a_second: Counter,
    before: Counter,
}

impl Rate {
    /// Updates the rate from the new total. Call it about once a second.
    pub(crate) fn update(&self, total: u64) {
        let before = self.before.0.swap(total, Ordering::Relaxed);
        self.a_second.0.store(total.saturating_sub(before), Ordering::Relaxed);
    }

    /// Returns the rate in units of 1024.
    pub(crate) fn kilo(&self) -> f64 {
        self.a_second.get() as f64 / 1024.0
    }
}

/// The largest buffers of single clients.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) input: RecentMaximum,
    pub(crate) output: RecentMaximum,
}

/// The maximum of the last [`SLOTS`](Self::SLOTS) seconds.
#[derive(Debug, Default)]
pub(crate) struct RecentMaximum {
    slots: [AtomicUsize; Self::SLOTS],
    current: AtomicUsize,
}

impl RecentMaximum {
    /// As in Redis.
    const SLOTS: usize = 8;

    pub(crate) fn record(&self, value: usize) {
        let slot = &self.slots[self.current.load(Ordering::Relaxed)];
        // Most values are no new maximum. For them a read is enough.
        if value > slot.load(Ordering::Relaxed) {
            slot.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// Forgets the oldest second. Call it about once a second, on one thread.
    pub(crate) fn advance(&self) {
        let next = (self.current.load(Ordering::Relaxed) + 1) % Self::SLOTS;
        self.slots[next].store(0, Ordering::Relaxed);
        self.current.store(next, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.slots.iter().map(|slot| slot.load(Ordering::Relaxed)).max().unwrap_or(0)
    }
}

/// A counter that threads share.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// Counters of each command of the table, and of errors by their code.
#[derive(Debug)]
pub(crate) struct CommandStats {
    rows: Vec<CommandCounters>,
    errors: Mutex<BTreeMap<Vec<u8>, u64>>,
}

/// Counters of one command.
#[derive(Debug, Default)]
pub(crate) struct CommandCounters {
    pub(crate) calls: Counter,
    /// The time of the timed calls.
    pub(crate) micros: Counter,
    pub(crate) rejected: Counter,
    pub(crate) failed: Counter,
    /// The times of the timed calls; unset before the first.
    pub(crate) times: OnceLock<Histogram>,
}

/// As in Redis, further codes are not counted.
const ERROR_CODES_MAX: usize = 128;
/// Redis' own codes have at most 11 bytes.
const ERROR_CODE_BYTES_MAX: usize = 32;

impl Stats {
    /// `CONFIG RESETSTAT`. The number of connected clients stays and, as in Redis, the numbers of
    /// refusals do.
    pub(crate) fn reset(&self) {
        for counter in [
            &self.connections_received,
            &self.connections_rejected,
            &self.handshakes,
            &self.handshakes_failed,
            &self.commands_processed,
            &self.messages_published,
            &self.messages_delivered,
            &self.messages_dropped,
            &self.input_bytes,
            &self.reads,
            &self.output_bytes,
            &self.writes,
            &self.command_nanos,
            &self.evicted_clients,
        ] {
            counter.reset();
        }
        self.ends.iter().for_each(Counter::reset);
    }
}

impl CommandStats {
    /// Creates counters for this number of commands.
    pub(crate) fn new(rows: usize) -> Self {
        let rows = (0..rows).map(|_| CommandCounters::default()).collect();
        Self { rows, errors: Mutex::default() }
    }

    pub(crate) fn of(&self, id: CommandId) -> &CommandCounters {
        &self.rows[id.index()]
    }

    /// Counts an error by its code, the first word of `text`. Scripts choose codes, so a code ends
    /// at [`ERROR_CODE_BYTES_MAX`] and before a byte that would break the lines of `INFO`.
    pub(crate) fn add_error(&self, text: &[u8]) {
        let printable = text.iter().take_while(|byte| byte.is_ascii_graphic()).count();
        let code = &text[..printable.min(ERROR_CODE_BYTES_MAX)];
        let mut errors = self.errors.lock();
        if errors.len() < ERROR_CODES_MAX || errors.contains_key(code) {
            *errors.entry(code.to_vec()).or_default() += 1;
        }
    }

    /// Returns the number of errors by code.
    pub(crate) fn errors(&self) -> BTreeMap<Vec<u8>, u64> {
        self.errors.lock().clone()
    }

    pub(crate) fn reset(&self) {
        self.errors.lock().clear();
        for CommandCounters { calls, micros, rejected, failed, times } in &self.rows {
            [calls, micros, rejected, failed].into_iter().for_each(Counter::reset);
            times.get().into_iter().for_each(Histogram::reset);
        }
    }
}

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Adds one if the result is at most `most`, and returns whether it did.
    pub(crate) fn add_below(&self, most: u64) -> bool {
        let add = |count| (count < most).then_some(count + 1);
        self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    pub(crate) fn subtract(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_code_is_short_and_printable() {
        let all = CommandStats::new(0);
        let long = "X".repeat(10_000);
        for text in ["ERR no", "E\r\nmaster_link_status:down\r\n x", "E\u{1b}[2J", &long] {
            all.add_error(text.as_bytes());
        }
        let codes: Vec<Vec<u8>> = all.errors().into_keys().collect();
        assert_eq!(codes, [&b"E"[..], b"ERR", &[b'X'; ERROR_CODE_BYTES_MAX]]);
        (0..1000).for_each(|number| all.add_error(format!("CODE{number}").as_bytes()));
        assert_eq!(all.errors().len(), ERROR_CODES_MAX);
    }

    #[test]
    fn flushed_counts_are_exact() {
        let (stats, all, mut tally) = (Stats::default(), CommandStats::new(3), Tally::default());
        for number in [1, 1, 2, 1] {
            tally.commands += 1;
            tally.call(CommandId(number), &all);
        }
        tally.delivered += 3;
        tally.flush_stats(&stats, &all);
        tally.flush_stats(&stats, &all);
        assert_eq!((stats.commands_processed.get(), stats.messages_delivered.get()), (4, 3));
        assert_eq!([0, 1, 2].map(|number| all.of(CommandId(number)).calls.get()), [0, 3, 1]);
    }
}
