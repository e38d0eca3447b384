//! The queue in thousands of interleavings of its threads, chosen by `shuttle`: `cargo xtask
//! interleavings`. `signalr/interleavings/` has faults that these tests find.

use std::sync::Arc;

use locks::interleavings::check;
use locks::shuttle::future::block_on;
use locks::shuttle::thread;

use super::*;

#[test]
fn writers_and_a_reader_wake_each_other_and_no_byte_is_lost() {
    check(2000, || {
        // One piece fits, so that each push waits for a take.
        let queue = Arc::new(ByteQueue::new(2));
        let writers: Vec<_> = ["a", "b"]
            .into_iter()
            .map(|name| {
                let queue = queue.clone();
                thread::spawn(move || {
                    for step in ["1", "2"] {
                        block_on(queue.push(format!("{name}{step}").into())).expect("it is open");
                    }
                })
            })
            .collect();
        let of_reader = queue.clone();
        let reader = thread::spawn(move || {
            let mut all = String::new();
            while let Some(bytes) = block_on(of_reader.take()) {
                all.push_str(std::str::from_utf8(&bytes).expect("text"));
            }
            all
        });
        writers.into_iter().for_each(|thread| thread.join().unwrap());
        queue.close();
        let all = reader.join().unwrap();
        assert_eq!(all.len(), 8);
        for (first, second) in [("a1", "a2"), ("b1", "b2")] {
            assert!(all.find(first) < all.find(second), "{all}");
        }
    });
}

#[test]
fn a_close_wakes_readers_and_writers() {
    check(2000, || {
        let queue = Arc::new(ByteQueue::new(2));
        let of_writer = queue.clone();
        let writer = thread::spawn(move || {
            let mut pushed = 0;
            while block_on(of_writer.push("ab".into())).is_ok() {
                pushed += 1;
            }
            pushed
        });
        let of_reader = queue.clone();
        let reader = thread::spawn(move || {
            let first = block_on(of_reader.take()).map_or(0, |bytes| bytes.len());
            of_reader.close();
            first
        });
        let taken = reader.join().unwrap();
        let pushed = writer.join().unwrap();
        assert!(taken == 2 && (1..=2).contains(&pushed), "{taken} {pushed}");
    });
}
