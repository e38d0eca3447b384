//! `SLOWLOG`: commands that took long.

use std::time::Duration;

use super::monitor::is_secret;
use super::{Answer, Session, help_wanted};
use crate::clock::since_1970;
use crate::command::Entry;
use crate::config::Config;
use crate::histogram::Histogram;
use crate::latency::Sample;
use crate::resp::reply::Reply;
use crate::resp::request::{self, Request};
use crate::slowlog::{self, Entry as SlowEntry, kept};

impl Session {
    /// `SLOWLOG GET [count]`
    pub(super) fn slowlog_get(&self, request: Request<'_>) -> Answer {
        /// As many as Redis shows when nothing is said.
        const SHOWN: usize = 10;

        if request.len() > 3 {
            return Err(help_wanted("SLOWLOG", request.argument(1)));
        }
        let count = match (request.len() == 3).then(|| request::integer(request.argument(2))) {
            None => SHOWN,
            Some(Some(-1)) => usize::MAX,
            Some(Some(count @ 0..)) => usize::try_from(count).unwrap_or(usize::MAX),
            _ => return Err(b"ERR count should be greater than or equal to -1".to_vec()),
        };
        let log = self.host.slowlog.lock();
        Ok(Reply::Array(log.entries().take(count).map(shown).collect()))
    }

    /// `SLOWLOG LEN`
    pub(super) fn slowlog_len(&self) -> Reply {
        Reply::integer(self.host.slowlog.lock().entries().len())
    }

    /// `SLOWLOG RESET`
    pub(super) fn slowlog_reset(&self) -> Reply {
        self.host.slowlog.lock().reset();
        Reply::ok()
    }

    /// Counts the time that a command took, and notes it if that was long.
    pub(super) fn note_time(
        &self,
        entry: Entry,
        request: Request<'_>,
        took: Duration,
        config: &Config,
    ) {
        // Numbers of 128 bits would take as long as a small command.
        let nanos = took.as_secs().saturating_mul(1_000_000_000);
        let nanos = nanos.saturating_add(u64::from(took.subsec_nanos()));
        let micros = nanos / 1000;
        let counters = self.host.commands.of(entry.number);
        counters.micros.add(micros);
        if config.latency_tracking {
            counters.times.get_or_init(Histogram::default).add(nanos);
        }
        let milliseconds = micros / 1000;
        if config.latency_monitor_threshold != 0 && milliseconds >= config.latency_monitor_threshold
        {
            let event = if entry.spec.has_flag("fast") { "fast-command" } else { "command" };
            let sample = Sample { time: since_1970().as_secs(), milliseconds };
            self.host.latency.lock().add(event, sample);
        }
        let is_slow =
            u64::try_from(config.slowlog_log_slower_than).is_ok_and(|limit| micros >= limit);
        if !is_slow || entry.spec.has_flag("skip_slowlog") {
            return;
        }
        let now = since_1970();
        let slow = SlowEntry {
            id: 0,
            time: now.as_secs(),
            took,
            arguments: kept(request, |index| is_secret(entry, request, index)),
            peer: self.card.peer.to_string(),
            name: self.card.words.lock().name.clone(),
        };
        self.host.slowlog.lock().add(slow, config.slowlog_max_len);
    }
}

fn shown(entry: &slowlog::Entry) -> Reply {
    let number = |number: u64| Reply::Integer(number.cast_signed());
    Reply::Array(vec![
        number(entry.id),
        number(entry.time),
        number(u64::try_from(entry.took.as_micros()).unwrap_or(u64::MAX)),
        Reply::Array(entry.arguments.iter().map(Reply::bulk).collect()),
        Reply::bulk(&entry.peer),
        Reply::bulk(&entry.name),
    ])
}
