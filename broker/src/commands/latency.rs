//! `LATENCY`: slow events, and histograms of commands.

use super::Answer;
use super::errors::shown;
use super::spec::{Flag, Spec};
use super::table::SPECS;
use crate::observe::clock::since_1970;
use crate::observe::latency::{LatencyMonitor, Sample};
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::session::Session;
use crate::session::server_state::ServerState;

impl Session {
    /// `LATENCY DOCTOR`
    pub(crate) fn latency_doctor(&self, threshold: u64) -> Reply {
        let monitor = self.server.latency.lock();
        let text = match monitor.events().next() {
            Some(_) => monitor.report(),
            None if threshold == 0 => DISABLED.to_owned(),
            None => NOTHING_SLOW.to_owned(),
        };
        Reply::Verbatim(text.into())
    }

    /// `LATENCY GRAPH event`
    pub(crate) fn latency_graph(&self, event: &[u8]) -> Answer {
        let monitor = self.server.latency.lock();
        let Some(samples) = monitor.samples(event) else {
            let start = b"ERR No samples available for event '";
            return Err([start, shown(event, usize::MAX), b"'"].concat());
        };
        let name = String::from_utf8_lossy(event);
        Ok(Reply::Verbatim(samples.graph(&name, since_1970().as_secs()).into()))
    }

    /// `LATENCY HISTORY event`
    pub(crate) fn latency_history(&self, event: &[u8]) -> Reply {
        let monitor = self.server.latency.lock();
        let pair =
            |sample: &Sample| Reply::Array(vec![number(sample.time), number(sample.milliseconds)]);
        let samples = monitor.samples(event).map(|samples| samples.all.iter().map(pair).collect());
        Reply::Array(samples.unwrap_or_default())
    }

    /// `LATENCY LATEST`
    pub(crate) fn latency_latest(&self) -> Reply {
        let monitor = self.server.latency.lock();
        let latest = monitor.events().filter_map(|(event, samples)| {
            let last = samples.all.back()?;
            Some(Reply::Array(vec![
                Reply::bulk(event),
                number(last.time),
                number(last.milliseconds),
                number(samples.longest),
            ]))
        });
        Reply::Array(latest.collect())
    }

    /// `LATENCY RESET [event [event ...]]`
    pub(crate) fn latency_reset(&self, request: Request<'_>) -> Reply {
        let mut monitor = self.server.latency.lock();
        Reply::integer(match request.len() {
            2 => LatencyMonitor::reset_all(&mut monitor),
            _ => request.arguments_from(2).filter(|event| monitor.reset(event)).count(),
        })
    }

    /// `LATENCY HISTOGRAM [command [command ...]]`
    pub(crate) fn latency_histogram(&self, request: Request<'_>) -> Reply {
        let all = &SPECS;
        let named = |name: &[u8]| {
            let container = [name.to_ascii_lowercase(), b"|".to_vec()].concat();
            let is_wanted = move |spec: &&Spec| {
                let own = spec.name.as_bytes();
                own.eq_ignore_ascii_case(&container[..container.len() - 1])
                    || own.starts_with(&container)
            };
            all.iter().filter(is_wanted)
        };
        let described = |spec: &Spec| Some((Reply::bulk(spec.name), self.times(spec)?));
        Reply::Map(match request.len() {
            2 => all.iter().filter_map(described).collect(),
            _ => request.arguments_from(2).flat_map(named).filter_map(described).collect(),
        })
    }

    /// Returns the histogram of a command, if it was called.
    fn times(&self, spec: &Spec) -> Option<Reply> {
        let (calls, steps) = histogram(&self.server, spec)?;
        let steps = steps.into_iter().map(|(micros, within)| (number(micros), number(within)));
        Some(Reply::Map(vec![
            (Reply::bulk("calls"), number(calls)),
            (Reply::bulk("histogram_usec"), Reply::Map(steps.collect())),
        ]))
    }
}

/// Returns the calls of a command, if it was called, and how many took up to a number of
/// microseconds. A number without further calls is left out.
pub(super) fn histogram(server: &ServerState, spec: &Spec) -> Option<(u64, Vec<(u64, u64)>)> {
    /// The highest bound, 2^30 nanoseconds, is the first beyond a second.
    const POWERS: std::ops::RangeInclusive<u32> = 10..=30;

    let timed = timed_calls(server, spec)?;
    let histogram = server.commands.of(spec.id).times.get()?;
    let mut before = 0;
    let steps = POWERS.filter_map(|power| {
        let bound = 1_u64 << power;
        let within = timed.scaled(histogram.total_within(bound));
        let is_new = std::mem::replace(&mut before, within) < within;
        // Redis reports the end of the histogram bucket that contains the bound.
        let micros = (bound + bound / 128 - 1) / 1000;
        is_new.then_some((micros, within))
    });
    Some((timed.calls, steps.collect()))
}

/// The calls of a command, and the timed ones among them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimedCalls {
    calls: u64,
    timed: u64,
}

impl TimedCalls {
    /// Scales a count of timed calls to all calls.
    pub(crate) fn scaled(self, count: u64) -> u64 {
        match self.calls == self.timed {
            true => count,
            false => (count as f64 * self.calls as f64 / self.timed as f64).round() as u64,
        }
    }
}

/// Returns the numbers of calls of a command, if any was timed. Frequent commands are timed by
/// sample.
pub(crate) fn timed_calls(server: &ServerState, spec: &Spec) -> Option<TimedCalls> {
    let counters = server.commands.of(spec.id);
    let timed = counters.times.get()?.total();
    let calls = if spec.has(Flag::Hot) { counters.calls.get().max(timed) } else { timed };
    (timed > 0).then_some(TimedCalls { calls, timed })
}

fn number(number: u64) -> Reply {
    Reply::Integer(number.cast_signed())
}

const DISABLED: &str = "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this \
Redis instance. You may use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to \
enable it. If we weren't in a deep space mission I'd suggest to take a look at \
https://redis.io/topics/latency-monitor.\n";

const NOTHING_SLOW: &str = "Dave, no latency spike was observed during the lifetime of this Redis \
instance, not in the slightest bit. I honestly think you ought to sit down calmly, take a stress pill, and think \
things over.\n";
