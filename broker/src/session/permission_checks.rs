//! Which workers have checked the permissions of their clients since the users last changed.
//!
//! A change of users replies once all workers have closed the clients that lost a permission. So no
//! such client receives a message that is published after the reply.

use std::task::{self, Poll, Waker};

use locks::Mutex;

use crate::ids::WorkerId;

#[derive(Debug, Default)]
pub(crate) struct PermissionChecks(Mutex<Checked>);

#[derive(Debug, Default)]
struct Checked {
    /// The generation of the users at each worker's last check.
    workers: Vec<(WorkerId, u64)>,
    /// Tasks that wait for a check.
    waiting: Vec<Waker>,
}

impl PermissionChecks {
    /// Records that a worker has checked its clients, or has none yet.
    pub(crate) fn record(&self, worker: WorkerId, generation: u64) {
        let mut checked = self.0.lock();
        match checked.workers.iter_mut().find(|(known, _)| *known == worker) {
            Some((_, last)) => *last = generation,
            None => checked.workers.push((worker, generation)),
        }
        let waiting = std::mem::take(&mut checked.waiting);
        drop(checked);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Returns ready once all workers have checked their clients for this generation of the users.
    pub(crate) fn poll_done(&self, generation: u64, cx: &task::Context<'_>) -> Poll<()> {
        let mut checked = self.0.lock();
        if checked.workers.iter().all(|&(_, last)| last >= generation) {
            return Poll::Ready(());
        }
        checked.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_done_when_each_worker_has_seen_the_generation() {
        let checks = PermissionChecks::default();
        [0, 1].into_iter().for_each(|worker| checks.record(WorkerId(worker), 0));
        let cx = task::Context::from_waker(Waker::noop());
        assert!(checks.poll_done(0, &cx).is_ready());
        assert!(checks.poll_done(1, &cx).is_pending());
        checks.record(WorkerId(0), 2);
        assert!(checks.poll_done(1, &cx).is_pending());
        checks.record(WorkerId(1), 1);
        assert!(checks.poll_done(1, &cx).is_ready() && checks.poll_done(2, &cx).is_pending());
    }
}
