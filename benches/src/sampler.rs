//! What a server has cost from one moment to another.

use crate::Failure;
use crate::figure::Figure;
use crate::sample::Sample;
use crate::server::trace::Trace;
use crate::server::{Server, Usage};

/// Looks at a server once at the start and once at the end.
pub(crate) struct Sampler<'a> {
    server: &'a Server,
    before: Usage,
    /// There in a round that counts system calls.
    trace: Option<Trace>,
}

impl<'a> Sampler<'a> {
    pub(crate) fn start(server: &'a Server) -> Result<Self, Failure> {
        let trace = server.trace()?;
        Ok(Self { server, before: server.usage()?, trace })
    }

    /// Returns nanoseconds of processor time until now.
    pub(crate) fn nanos(&self) -> Result<f64, Failure> {
        Ok((self.server.usage()?.cpu - self.before.cpu).as_nanos() as f64)
    }

    /// Returns what each of `count` deliveries, round trips or connections has cost; `figure` is
    /// what their processor time is called.
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
