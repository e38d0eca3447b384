//! The consequences of a change of the table, applied after the release of its lock.
//!
//! A waker may drop its task, and with it the connection, whose end needs the lock. So no method of
//! the table wakes a reader; it only collects what to wake.

use std::sync::Arc;
use std::task::Waker;

use super::mailbox::Mailbox;
use crate::interest::Interest;
use crate::membership::Membership;

#[derive(Debug, Default)]
#[must_use = "readers wait until the effects are applied"]
pub(super) struct Effects {
    /// The readers of queues with new items.
    pub(super) readers: Vec<Waker>,
    /// Queues that have ended.
    pub(super) ended: Vec<Arc<Mailbox>>,
    /// Connections that were closed for falling behind, to be logged.
    pub(super) slow: Vec<Arc<str>>,
    /// Set if the subscription has changes to take.
    pub(super) interest: Option<Arc<Interest>>,
    /// Set if the channel between servers has changes to take.
    pub(super) membership: Option<Arc<Membership>>,
    /// Whether `membership` has changed.
    pub(super) has_members: bool,
    /// Number of messages handed out, once for each connection.
    pub(super) receivers: usize,
}

impl Effects {
    /// Wakes all readers and senders, and the tasks that take changes. Returns the connections to be
    /// logged.
    pub(super) fn apply(self) -> Vec<Arc<str>> {
        self.readers.into_iter().for_each(Waker::wake);
        self.ended.iter().for_each(|mailbox| mailbox.wake());
        self.interest.iter().for_each(|interest| interest.wake());
        self.membership.iter().for_each(|membership| membership.wake());
        self.slow
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::mpsc;
    use std::task::{Context, Wake};
    use std::thread;
    use std::time::Duration;

    use futures_util::FutureExt;
    use locks::Mutex;
    use prometheus_client::metrics::counter::Counter;
    use tracing::Span;

    use super::super::{Attachment, Connections, Disconnect, Source};
    use super::*;
    use crate::connection::Connection;
    use crate::cursor::Cursor;
    use crate::delivered_mark::DeliveredMark;
    use crate::dialect::{Attached, Envelope};
    use crate::invocation::Invocation;
    use crate::options::History;

    /// A task that is dropped when it is woken, as by an executor that shuts down.
    struct Fragile(Mutex<Option<Task>>);

    type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

    impl Wake for Fragile {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().take());
        }
    }

    impl Fragile {
        /// Starts a task, which waits.
        fn start(task: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
            let fragile = Arc::new(Self(Mutex::new(None)));
            let (mut task, waker) = (Box::pin(task), Waker::from(fragile.clone()));
            assert!(task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            *fragile.0.lock() = Some(task);
            fragile
        }

        fn is_dropped(&self) -> bool {
            self.0.lock().is_none()
        }
    }

    fn connections() -> Arc<Connections> {
        let history = History { messages: 10, bytes: 1000 };
        Connections::new(history, Counter::default(), Counter::default(), Span::none())
    }

    fn attach(connections: &Arc<Connections>, cursor: Option<u64>) -> Connection {
        let cursor = cursor.map(|id| Cursor::at(Some(id)));
        let signals = vec!["all".to_owned()];
        Connection::attach(connections, Attachment { id: "a", user: None, signals, cursor })
    }

    fn message() -> Envelope {
        let invocation = Arc::new(Invocation::new("say", ()).unwrap());
        Envelope {
            signal: "all".into(),
            except: Default::default(),
            source: None,
            invocation,
            bytes: 1,
        }
    }

    fn arrive(connections: &Connections, id: u64, messages: Vec<Envelope>) {
        let delivered = |_: &Envelope| DeliveredMark::default();
        connections.arrive(id, &id.to_le_bytes(), Source::Live, messages, delivered);
        connections.release();
    }

    #[test]
    fn no_reader_is_woken_under_the_lock() {
        type Act = fn(&Arc<Connections>);
        let acts: [(&str, Act); 9] = [
            ("a message", |all| arrive(all, 3, vec![message()])),
            ("a gap", |all| arrive(all, 9, vec![])),
            ("a local message", |all| _ = all.deliver(&message())),
            ("a new group", |all| assert!(all.join("a", "room"))),
            ("an end", |all| assert!(all.end("a", Disconnect::Aborted))),
            ("another connection with its id", |all| drop(attach(all, None))),
            ("a return elsewhere", |all| {
                let age = Duration::ZERO;
                let place = Attached { connection_id: "a".into(), number: 9, age };
                assert!(all.attached_elsewhere(&place).is_none());
            }),
            ("a reset of the counter", |all| assert!(all.missed_after_reset(1).is_some())),
            ("the end of the backplane", |all| all.close(Disconnect::Shutdown)),
        ];
        for (name, act) in acts {
            let (done, is_done) = mpsc::channel();
            // In a thread of its own, since it waits for good if there is a deadlock.
            thread::spawn(move || {
                let all = connections();
                arrive(&all, 2, vec![]);
                let mut connection = attach(&all, None);
                connection.report_groups();
                let task =
                    Fragile::start(async move { while connection.recv_or_gap().await.is_ok() {} });
                act(&all);
                assert!(task.is_dropped(), "the reader is not woken by {name}");
                done.send(()).unwrap();
            });
            assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(()), "{name}");
        }
    }

    #[test]
    fn no_task_that_takes_changes_is_woken_under_the_lock() {
        type Act = fn(&Arc<Connections>);
        let acts: [(&str, Act); 4] = [
            ("an attached connection", |all| drop(attach(all, None))),
            ("a new group", |all| assert!(all.join("a", "room"))),
            ("a left group", |all| assert!(all.leave("a", "all"))),
            ("an end", |all| assert!(all.end("a", Disconnect::Aborted))),
        ];
        for (name, act) in acts {
            let (done, is_done) = mpsc::channel();
            thread::spawn(move || {
                let all = connections();
                let interest = Arc::new(Interest::default());
                let membership = Arc::new(Membership::new(|_| true));
                all.follow(interest.clone());
                all.report_members(membership.clone());
                let connection = attach(&all, None);
                drop((interest.begin(), membership.take()));
                // The permits of the first connection.
                for _ in 0..2 {
                    let _ = interest.changes().now_or_never();
                    let _ = membership.changed().now_or_never();
                }
                // Their ends look at the connections.
                let wait = |all: &Arc<Connections>| At(all.clone());
                let (first, second) = (wait(&all), wait(&all));
                let subscription = Fragile::start(async move {
                    interest.changes().await;
                    drop(first);
                });
                let servers = Fragile::start(async move {
                    membership.changed().await;
                    drop(second);
                });
                act(&all);
                assert!(servers.is_dropped() && subscription.is_dropped(), "{name}");
                drop(connection);
                done.send(()).unwrap();
            });
            assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(()), "{name}");
        }
    }

    /// Looks at the connections when it is dropped.
    struct At(Arc<Connections>);

    impl Drop for At {
        fn drop(&mut self) {
            assert!(self.0.len() < 2);
        }
    }

    #[test]
    fn no_sender_is_woken_under_the_lock() {
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            let all = connections();
            let connection = attach(&all, None);
            for id in 1..=1000 {
                arrive(&all, id, vec![message()]);
            }
            let room = connection.room();
            let task = Fragile::start(async move {
                room.wait().await;
                drop(connection);
            });
            assert!(all.end("a", Disconnect::Aborted));
            assert!(task.is_dropped());
            done.send(()).unwrap();
        });
        assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(()));
    }
}
