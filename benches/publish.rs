//! Publishing to an embedded broker, by number of receivers, size of the payload and number of
//! patterns.

#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::hint::black_box;

use broker::{Broker, Subscriber};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Messages between two reads of the subscribers, so that no mailbox reaches its limit.
const BURST: usize = 64;

fn receivers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish/receivers");
    for count in [0, 1, 10, 100, 1_000] {
        group.throughput(Throughput::Elements((BURST * count.max(1)) as u64));
        group.bench_with_input(BenchmarkId::from_parameter(count), &count, |bencher, &count| {
            let broker = Broker::new();
            let mut subscribers: Vec<_> = (0..count).map(|_| broker.subscribe("news")).collect();
            bencher.iter(|| burst(&broker, &mut subscribers, &[b'x'; 64]));
        });
    }
    group.finish();
}

fn payloads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish/payload");
    for bytes in [16, 1024, 16 * 1024, 1024 * 1024] {
        group.throughput(Throughput::Bytes((BURST * bytes) as u64));
        group.bench_with_input(BenchmarkId::from_parameter(bytes), &bytes, |bencher, &bytes| {
            let broker = Broker::new();
            let mut subscribers = [broker.subscribe("news")];
            // A mailbox holds 32 MiB, so subscribers read after each message.
            let payload = vec![b'x'; bytes];
            bencher.iter(|| {
                for _ in 0..BURST {
                    broker.publish("news", black_box(payload.clone()));
                    subscribers.iter_mut().for_each(drain);
                }
            });
        });
    }
    group.finish();
}

fn patterns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish/patterns");
    for count in [0, 10, 1_000, 10_000] {
        group.throughput(Throughput::Elements(BURST as u64));
        group.bench_with_input(BenchmarkId::from_parameter(count), &count, |bencher, &count| {
            let broker = Broker::new();
            let mut subscribers: Vec<_> =
                (0..count).map(|index| broker.psubscribe(format!("room:{index}:*"))).collect();
            subscribers.push(broker.subscribe("news"));
            bencher.iter(|| burst(&broker, &mut subscribers[count..], &[b'x'; 64]));
        });
    }
    group.finish();
}

fn burst(broker: &Broker, subscribers: &mut [Subscriber], payload: &[u8]) {
    for _ in 0..BURST {
        broker.publish("news", black_box(payload.to_vec()));
    }
    subscribers.iter_mut().for_each(drain);
}

fn drain(subscriber: &mut Subscriber) {
    while subscriber.try_recv().is_some() {}
}

criterion_group!(benches, receivers, payloads, patterns);
criterion_main!(benches);
