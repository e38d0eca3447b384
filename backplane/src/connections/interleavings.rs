//! The queue of a connection in thousands of interleavings of its threads, chosen by `shuttle`:
//! `cargo xtask interleavings`. `backplane/interleavings/` has faults that these tests find.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use locks::interleavings::check;
use locks::shuttle::future::block_on;
use locks::shuttle::thread;

use super::disconnect::Disconnect;
use super::mailbox::Mailbox;
use super::queued::{INVOCATION_BYTES_MAX, Queued};
use crate::invocation::Invocation;

fn mailbox() -> Arc<Mailbox> {
    Arc::new(Mailbox::new("one".into(), 1, VecDeque::new()))
}

fn push(mailbox: &Mailbox, id: u64, invocation: &Arc<Invocation>) {
    let item = Queued::Invocation(Some(id), invocation.clone());
    let pushed = mailbox.push(item, None).expect("the queue has room");
    pushed.reader.into_iter().for_each(Waker::wake);
}

#[test]
fn a_reader_is_woken_for_each_item_and_for_the_end() {
    check(2000, || {
        const COUNT: u64 = 3;
        let mailbox = mailbox();
        let invocation = Arc::new(Invocation::new("say", ()).expect("an invocation"));
        let senders: Vec<_> = (0..2)
            .map(|sender| {
                let (mailbox, invocation) = (mailbox.clone(), invocation.clone());
                thread::spawn(move || {
                    (0..COUNT).for_each(|step| push(&mailbox, sender * 10 + step, &invocation));
                })
            })
            .collect();
        let of_reader = mailbox.clone();
        let reader = thread::spawn(move || {
            let mut ids = Vec::new();
            loop {
                match block_on(of_reader.take()) {
                    Ok(Queued::Invocation(id, _)) => ids.push(id.expect("it has an id")),
                    Ok(other) => panic!("{other:?} was not pushed"),
                    Err(reason) => return (ids, reason),
                }
            }
        });
        senders.into_iter().for_each(|thread| thread.join().unwrap());
        mailbox.close(Disconnect::Shutdown);
        mailbox.wake();
        let (ids, reason) = reader.join().unwrap();
        assert!(matches!(reason, Disconnect::Shutdown));
        for sender in 0..2 {
            let own: Vec<_> =
                ids.iter().filter(|id| **id / 10 == sender).map(|id| id % 10).collect();
            assert_eq!(own, (0..COUNT).collect::<Vec<_>>());
        }
    });
}

#[test]
fn an_interrupt_and_a_change_of_groups_reach_the_reader() {
    check(2000, || {
        let mailbox = mailbox();
        mailbox.report_groups();
        let of_sender = mailbox.clone();
        let sender = thread::spawn(move || {
            of_sender.groups_changed().into_iter().for_each(Waker::wake);
            of_sender.interrupt();
        });
        let (mut groups, mut interrupts) = (0, 0);
        while (groups, interrupts) != (1, 1) {
            match block_on(mailbox.take()) {
                Ok(Queued::Groups) => groups += 1,
                Ok(Queued::Interrupted) => interrupts += 1,
                other => panic!("{other:?} was not pushed"),
            }
        }
        sender.join().unwrap();
        assert!(mailbox.is_empty());
    });
}

#[test]
fn a_sender_that_waits_for_room_is_woken_by_a_take_and_by_the_end() {
    check(30, || {
        let mailbox = mailbox();
        let text = "x".repeat(INVOCATION_BYTES_MAX / 3);
        let large = Arc::new(Invocation::new("say", [text]).expect("an invocation"));
        let (of_sender, invocation) = (mailbox.clone(), large.clone());
        let sender = thread::spawn(move || {
            for id in 0..6 {
                block_on(of_sender.has_room());
                push(&of_sender, id, &invocation);
            }
            // The queue is full then, and nobody takes any more.
            block_on(of_sender.has_room());
        });
        for _ in 0..4 {
            assert!(matches!(block_on(mailbox.take()), Ok(Queued::Invocation(..))));
        }
        // Two more fill the queue, and the end wakes the sender.
        while mailbox.unread_messages() < 2 {
            thread::yield_now();
        }
        mailbox.close(Disconnect::Shutdown);
        mailbox.wake();
        sender.join().unwrap();
    });
}
