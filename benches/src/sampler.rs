//! Measures the cost of a server between two points in time.

use crate::Failure;
use crate::figure::Figure;
use crate::sample::Sample;
use crate::server::trace::Trace;
use crate::server::{Server, Usage};

/// Reads the counters of a server at the start and at the end.
pub(crate) struct Sampler<'a> {
    server: &'a Server,
    before: Usage,
    /// Present in a round that counts system calls.
    trace: Option<Trace>,
}

impl<'a> Sampler<'a> {
    pub(crate) fn start(server: &'a Server) -> Result<Self, Failure> {
        let trace = server.trace()?;
        Ok(Self { server, before: server.usage()?, trace })
    }

    /// Returns the nanoseconds of processor time since the start.
    pub(crate) fn nanos(&self) -> Result<f64, Failure> {
        Ok((self.server.usage()?.cpu - self.before.cpu).as_nanos() as f64)
    }

    /// Returns the cost of each of `count` deliveries, round trips or connections. `figure` is the
    /// kind of their processor time.
    pub(crate) fn cost(self, figure: Figure, count: f64) -> Result<Sample, Failure> {
        let (before, after) = (self.before, self.server.usage()?);
        let switches = after.context_switches - before.context_switches;
        let sample = Sample::of(figure, (after.cpu - before.cpu).as_nanos() as f64 / count)
            .and(Figure::Rate, count / (after.at - before.at).as_secs_f64())
            .and(Figure::Switches, switches as f64 / count)
            .and(Figure::Memory, self.server.rss()? as f64);
        match self.trace {
            Some(trace) => Ok(sample.and(Figure::Calls, trace.end()? / count)),
            None => Ok(sample),
        }
    }
}
