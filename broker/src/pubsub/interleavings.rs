//! Threads of a broker in thousands of interleavings, chosen by `shuttle`: `cargo xtask
//! interleavings`. Each test names the property that it checks. `broker/interleavings/` has faults that
//! they find.

use std::future::poll_fn;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use locks::atomic::{AtomicUsize, Ordering};
use locks::interleavings::{Start, check};
use locks::shuttle::future::block_on;
use locks::shuttle::thread;

use super::client_output::ClientOutput;
use super::local::Local;
use super::message::{ChannelKind, Content, Name};
use super::script_barrier::Gate;
use super::subscribers::Subscribers;
use super::{Broker, BrokerView};
use crate::config::OutputLimits;
use crate::keyspace::Queue;
use crate::keyspace::counters_file::CountersFile;
use crate::observe::disconnect::Disconnect;

/// One worker without sockets, and its only client.
struct Worker {
    gate: Gate,
    local: Local,
    client: Rc<ClientOutput>,
    subscribed: Option<Name>,
    received: Vec<String>,
}

const CHANNEL: &[u8] = b"news";
const KIND: ChannelKind = ChannelKind::Channels;
/// No script is late in these tests.
const THRESHOLD: Duration = Duration::from_secs(3600);

impl Worker {
    fn new(view: &BrokerView) -> Self {
        let number = view.open_inbox();
        let client = Rc::new(ClientOutput::new(view.next_client_id(), 0));
        let gate = view.gate(number);
        let local = Local::new(Subscribers::new(number, &OutputLimits::default()));
        Self { gate, local, client, subscribed: None, received: Vec::new() }
    }

    /// Publishes messages in one turn, and returns the numbers of their receivers.
    fn publish(&mut self, payloads: &[String]) -> Vec<usize> {
        let mut receivers = Vec::new();
        let mut turn = self.gate.enter(&mut self.local);
        for payload in payloads {
            let content =
                Content { kind: KIND, channel: CHANNEL, payload: payload.as_bytes(), shared: None };
            let mut lock = turn.lock().expect("no script is late");
            let fanout = lock.guard().publish(&mut self.local, content, || None);
            drop(lock);
            receivers.push(self.local.deliver_own(content, fanout));
        }
        drop(turn);
        self.local.after_release.run();
        receivers
    }

    fn subscribe(&mut self) {
        let client = self.client.clone();
        self.subscribed = Some(self.join(&client));
    }

    /// Subscribes a client of this worker.
    fn join(&mut self, client: &Rc<ClientOutput>) -> Name {
        let mut turn = self.gate.enter(&mut self.local);
        let mut lock = turn.lock().expect("no script is late");
        let name = lock.guard().join(&mut self.local, KIND, client, CHANNEL);
        drop(lock);
        drop(turn);
        self.local.after_release.run();
        name
    }

    fn unsubscribe(&mut self) {
        let Some(name) = self.subscribed.take() else { return };
        let mut turn = self.gate.enter(&mut self.local);
        let mut lock = turn.lock().expect("no script is late");
        lock.guard().leave(&mut self.local, KIND, &self.client, &name);
        drop(lock);
        drop(turn);
        self.local.after_release.run();
    }

    /// Takes messages of other workers until the client has this many.
    fn take_until(&mut self, count: usize) {
        block_on(poll_fn(|cx| {
            loop {
                let mut turn = self.gate.enter(&mut self.local);
                let mut lock = turn.lock().expect("no script is late");
                let taken = lock.guard().poll_inbox(&mut self.local, cx);
                drop(lock);
                drop(turn);
                self.local.deliver_taken();
                self.local.after_release.run();
                // Messages of a script can come while the worker waits for its gate.
                if self.flush() >= count {
                    return Poll::Ready(());
                }
                ready!(taken);
            }
        }));
    }

    /// Waits until a full inbox has room, as a publisher does.
    fn wait_for_room(&mut self) {
        let Some(worker) = self.local.lagging.take() else { return };
        block_on(poll_fn(|cx| {
            let mut turn = self.gate.enter(&mut self.local);
            let mut lock = turn.lock().expect("no script is late");
            lock.guard().poll_room(worker, cx)
        }));
    }

    /// Runs `act` as a script does: alone.
    fn run_script(&mut self, act: impl FnOnce(&mut super::order::OrderGuard<'_>)) {
        let mut turn = self.gate.enter(&mut self.local);
        let mut world = match turn.stop_the_world(&mut self.local, THRESHOLD) {
            Ok(world) => world,
            Err(busy) => panic!("{busy:?}: no script is late"),
        };
        act(&mut world.guard());
        turn.resume(world);
        drop(turn);
        self.local.after_release.run();
    }

    /// Reads the frames in the outbox, and returns the number of messages so far.
    fn flush(&mut self) -> usize {
        self.local.subscribers.flush_queue().take_dirty(&mut Vec::new(), usize::MAX);
        let mut bytes = Vec::new();
        let mut outbox = self.client.outbox();
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = outbox.slices(&mut slices);
            let before = bytes.len();
            slices[..filled].iter().for_each(|slice| bytes.extend_from_slice(slice));
            outbox.advance(bytes.len() - before, self.local.subscribers.flush_queue().pool());
        }
        let text = String::from_utf8(bytes).expect("the tests publish text");
        // A frame of RESP2 has seven lines, the payload is the last.
        let lines: Vec<_> = text.split_terminator("\r\n").collect();
        self.received.extend(lines.chunks(7).map(|frame| frame[6].to_owned()));
        self.received.len()
    }
}

/// Starts a thread with a subscriber, which begins with another thread and returns its messages.
fn reader(broker: &Broker, start: &Start, count: usize) -> thread::JoinHandle<Vec<String>> {
    let (view, start) = (broker.view(), start.clone());
    thread::spawn(move || {
        let mut worker = Worker::new(&view);
        worker.subscribe();
        start.wait_for(2);
        worker.take_until(count);
        worker.received
    })
}

fn payloads(worker: usize, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{worker}:{number}")).collect()
}

/// Asserts that the messages of each publisher are in order and without a gap.
fn assert_in_sequence(received: &[String]) {
    for publisher in 0..4 {
        let prefix = format!("{publisher}:");
        let numbers: Vec<usize> = received
            .iter()
            .filter_map(|text| text.strip_prefix(&prefix))
            .map(|number| number.parse().expect("a number"))
            .collect();
        assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "{received:?}");
    }
}

#[test]
fn all_workers_see_one_order_and_no_wakeup_is_lost() {
    check(2000, || {
        const COUNT: usize = 3;
        let broker = Broker::new();
        let start = Start::default();
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let (view, start) = (broker.view(), start.clone());
                thread::spawn(move || {
                    let mut worker = Worker::new(&view);
                    worker.subscribe();
                    start.wait_for(3);
                    worker.publish(&payloads(number, 1));
                    worker.publish(&payloads(number, COUNT)[1..]);
                    worker.take_until(3 * COUNT);
                    worker.unsubscribe();
                    worker.received
                })
            })
            .collect();
        let all: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        all.iter().for_each(|received| {
            assert_in_sequence(received);
            assert_eq!(*received, all[0]);
        });
        assert_eq!(broker.subscriptions(CHANNEL), 0);
    });
}

#[test]
fn a_subscription_begins_and_ends_between_the_same_messages_for_all() {
    check(2000, || {
        const COUNT: usize = 4;
        let broker = Broker::new();
        let mut reference = broker.subscribe(CHANNEL);
        let start = Start::default();
        let (view, of_subscriber) = (broker.view(), start.clone());
        let subscriber = thread::spawn(move || {
            let mut worker = Worker::new(&view);
            // Its neighbour listens all the time, so that the inbox has messages from before.
            worker.join(&Rc::new(ClientOutput::new(view.next_client_id(), 1)));
            of_subscriber.wait_for(3);
            worker.subscribe();
            thread::yield_now();
            worker.unsubscribe();
            worker.flush();
            worker.received
        });
        let publishers: Vec<_> = (0..2)
            .map(|number| {
                let (view, start) = (broker.view(), start.clone());
                thread::spawn(move || {
                    let mut worker = Worker::new(&view);
                    start.wait_for(3);
                    let each = payloads(number, COUNT);
                    let counts = each.chunks(1).flat_map(|one| worker.publish(one));
                    counts.filter(|receivers| *receivers == 3).count()
                })
            })
            .collect();
        let counted: usize = publishers.into_iter().map(|thread| thread.join().unwrap()).sum();
        let received = subscriber.join().unwrap();
        let all: Vec<_> = std::iter::from_fn(|| reference.try_recv())
            .map(|message| String::from_utf8(message.payload().to_vec()).expect("text"))
            .collect();
        assert_eq!(all.len(), 2 * COUNT);
        let is_part = received.is_empty() || all.windows(received.len()).any(|w| w == received);
        assert!(is_part, "{received:?} of {all:?}");
        assert_eq!(received.len(), counted, "{received:?} of {all:?}");
    });
}

#[test]
fn a_script_runs_alone() {
    check(2000, || {
        let broker = Broker::new();
        let (start, inside) = (Start::default(), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let (view, start, inside) = (broker.view(), start.clone(), inside.clone());
                thread::spawn(move || {
                    let mut worker = Worker::new(&view);
                    // A script does not wait for workers that start after it.
                    start.wait_for(3);
                    let enter = |inside: &AtomicUsize| {
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    };
                    if number < 2 {
                        worker.run_script(|_| enter(&inside));
                        worker.run_script(|_| enter(&inside));
                    } else {
                        for _ in 0..2 {
                            let turn = worker.gate.enter(&mut worker.local);
                            enter(&inside);
                            drop(turn);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_task_that_waits_for_the_end_of_scripts_is_woken() {
    check(2000, || {
        let broker = Broker::new();
        let view = broker.view();
        let script = thread::spawn(move || Worker::new(&view).run_script(|_| thread::yield_now()));
        let view = broker.view();
        let waiting = thread::spawn(move || block_on(poll_fn(|cx| view.poll_idle(cx))));
        script.join().unwrap();
        waiting.join().unwrap();
    });
}

#[test]
fn a_publisher_that_waits_for_room_is_woken() {
    check(1000, || {
        // Three of them fill an inbox.
        let payload = "x".repeat(100 * 1024);
        const COUNT: usize = 6;
        let broker = Broker::new();
        let start = Start::default();
        let reader = reader(&broker, &start, COUNT);
        let view = broker.view();
        let publisher = thread::spawn(move || {
            let mut worker = Worker::new(&view);
            start.wait_for(2);
            for _ in 0..COUNT {
                worker.publish(std::slice::from_ref(&payload));
                worker.wait_for_room();
            }
        });
        publisher.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn messages_of_a_script_reach_other_workers_before_it_ends_and_in_order() {
    check(1000, || {
        let broker = Broker::new();
        let start = Start::default();
        let reader = reader(&broker, &start, 4);
        let view = broker.view();
        let script = thread::spawn(move || {
            let mut worker = Worker::new(&view);
            start.wait_for(2);
            let mut turn = worker.gate.enter(&mut worker.local);
            let Ok(mut world) = turn.stop_the_world(&mut worker.local, THRESHOLD) else {
                panic!("no script is late");
            };
            for two in payloads(0, 4).chunks(2) {
                for payload in two {
                    let payload = payload.as_bytes();
                    let content = Content { kind: KIND, channel: CHANNEL, payload, shared: None };
                    let fanout = world.guard().publish(&mut worker.local, content, || None);
                    worker.local.deliver_own(content, fanout);
                }
                let own = worker.local.worker();
                world.hand_over(own, 1, &mut worker.local);
            }
            turn.resume(world);
            drop(turn);
            worker.local.after_release.run();
        });
        script.join().unwrap();
        assert_eq!(reader.join().unwrap(), payloads(0, 4));
    });
}

#[test]
fn a_mailbox_wakes_its_reader_and_ends_once() {
    check(2000, || {
        const COUNT: usize = 3;
        let broker = Broker::new();
        let mut reader = broker.subscribe(CHANNEL);
        let publishers: Vec<_> = (0..2)
            .map(|number| {
                let broker = broker.clone();
                thread::spawn(move || {
                    for payload in payloads(number, COUNT) {
                        broker.publish(CHANNEL, payload);
                    }
                })
            })
            .collect();
        let received: Vec<_> = (0..2 * COUNT)
            .map(|_| block_on(reader.recv()).expect("it is below its limit"))
            .map(|message| String::from_utf8(message.payload().to_vec()).expect("text"))
            .collect();
        assert_in_sequence(&received);
        drop(reader);
        publishers.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(broker.subscriptions(CHANNEL), 0);
    });
}

#[test]
fn an_overflowing_mailbox_is_closed_for_all_publishers() {
    check(500, || {
        let broker = Broker::new();
        let mut slow = broker.subscribe(CHANNEL);
        let payload = bytes::Bytes::from(vec![b'x'; 17 << 20]);
        let publishers: Vec<_> = (0..2)
            .map(|_| {
                let (broker, payload) = (broker.clone(), payload.clone());
                thread::spawn(move || broker.publish(CHANNEL, payload))
            })
            .collect();
        let counts: usize = publishers.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!((1..=2).contains(&counts));
        assert_eq!(block_on(slow.recv()).unwrap_err(), Disconnect::SlowSubscriber);
        assert_eq!(broker.publish(CHANNEL, "x"), 0);
    });
}

#[test]
fn a_number_is_in_the_counters_file_when_it_is_known() {
    check(200, || {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("counters");
        let broker = Broker::new();
        broker.keep_counters(path.clone()).expect("a new file");
        let threads: Vec<_> = (0..2)
            .map(|channel| {
                let (broker, path) = (broker.clone(), path.clone());
                thread::spawn(move || {
                    let channel = format!("channel-{channel}");
                    let quoted = format!("\"{channel}\"");
                    for step in 1..=2 {
                        // Beyond the reserve, so that the file needs another line.
                        let number = 2_000_000 * step;
                        broker.raise_number(&channel, number).expect("a counter");
                        let text = std::fs::read_to_string(&path).expect("the file");
                        let written = text.lines().rev().find_map(|line| {
                            let mut words = line.split(' ');
                            words.find(|word| *word == quoted)?;
                            words.next()?.parse::<u64>().ok()
                        });
                        assert!(written.is_some_and(|written| written >= number), "{text}");
                    }
                })
            })
            .collect();
        let tender = broker.clone();
        let rewrite = thread::spawn(move || tender.close_counters());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        rewrite.join().unwrap();
        drop(broker);
        let (_, kept) = CountersFile::open(path, Arc::new(Queue::default())).expect("a whole file");
        assert_eq!(kept.len(), 2);
    });
}
