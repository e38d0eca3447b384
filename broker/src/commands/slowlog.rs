//! `SLOWLOG`: commands that took long.

use std::time::Duration;

use super::Answer;
use super::errors::help_wanted;
use super::monitor::is_secret;
use super::spec::{Flag, Spec};
use crate::config::Config;
use crate::observe::clock::since_1970;
use crate::observe::histogram::Histogram;
use crate::observe::latency::Sample;
use crate::observe::slowlog::{self, Entry as SlowEntry, kept};
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::session::Session;

impl Session {
    /// `SLOWLOG GET [count]`
    pub(crate) fn slowlog_get(&self, request: Request<'_>) -> Answer {
        /// Redis' default.
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
        let log = self.server.slowlog.lock();
        Ok(Reply::Array(log.entries().take(count).map(shown).collect()))
    }

    /// `SLOWLOG LEN`
    pub(crate) fn slowlog_len(&self) -> Reply {
        Reply::integer(self.server.slowlog.lock().entries().len())
    }

    /// `SLOWLOG RESET`
    pub(crate) fn slowlog_reset(&self) -> Reply {
        self.server.slowlog.lock().reset();
        Reply::ok()
    }

    /// Records the duration of a command: in its statistics, and if it was long in the slow log and
    /// the latency monitor.
    pub(crate) fn record_time(
        &self,
        spec: &Spec,
        request: Request<'_>,
        took: Duration,
        config: &Config,
    ) {
        // Arithmetic on 128 bits would cost as much as a small command.
        let nanos = took.as_secs().saturating_mul(1_000_000_000);
        let nanos = nanos.saturating_add(u64::from(took.subsec_nanos()));
        let micros = nanos / 1000;
        let counters = self.server.commands.of(spec.id);
        counters.micros.add(micros);
        if config.latency_tracking {
            counters.times.get_or_init(Histogram::default).add(nanos);
        }
        let milliseconds = micros / 1000;
        if config.latency_monitor_threshold != 0 && milliseconds >= config.latency_monitor_threshold
        {
            let event = if spec.has(Flag::Fast) { "fast-command" } else { "command" };
            let sample = Sample { time: since_1970().as_secs(), milliseconds };
            self.server.latency.lock().add(event, sample);
        }
        let is_slow =
            u64::try_from(config.slowlog_log_slower_than).is_ok_and(|limit| micros >= limit);
        if !is_slow || spec.has(Flag::SkipSlowlog) {
            return;
        }
        let now = since_1970();
        let slow = SlowEntry {
            id: 0,
            time: now.as_secs(),
            took,
            arguments: kept(request, |index| is_secret(spec, request, index)),
            peer: self.info.peer.to_string(),
            name: {
                let name = &self.info.names.lock().name;
                name[..name.len().min(slowlog::NAME_BYTES_MAX)].to_vec()
            },
        };
        self.server.slowlog.lock().add(slow, config.slowlog_max_len);
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
