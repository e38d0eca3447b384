//! The parts of a publish: request decoding, pattern matching, message encoding, and a turn of
//! sessions without sockets.

#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::hint::black_box;

use broker::bench::{Requests, Sessions, decode, encode, matches};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Requests in one read.
const PIPELINE: usize = 64;
const CHANNEL: &[u8] = b"news:of:today";

fn publish(payload_bytes: usize) -> Vec<u8> {
    let (payload, mut out) = (vec![b'x'; payload_bytes], Vec::new());
    resp::request::encode(&mut out, &[b"PUBLISH", CHANNEL, &payload]);
    out
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode/payload");
    for bytes in [16, 64, 1024, 16 * 1024] {
        let requests = publish(bytes).repeat(PIPELINE);
        group.throughput(Throughput::Elements(PIPELINE as u64));
        group.bench_with_input(BenchmarkId::from_parameter(bytes), &requests, |bencher, input| {
            let mut decoder = Requests::default();
            bencher.iter(|| decode(&mut decoder, black_box(input)));
        });
    }
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode/payload");
    for bytes in [16, 64, 1024, 16 * 1024] {
        let payload = vec![b'x'; bytes];
        group.throughput(Throughput::Elements(1));
        group.bench_with_input(BenchmarkId::from_parameter(bytes), &payload, |bencher, payload| {
            let mut out = Vec::new();
            bencher.iter(|| {
                out.clear();
                encode(&mut out, black_box(CHANNEL), black_box(payload));
            });
        });
    }
    group.finish();
}

fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("match");
    for pattern in ["news:of:today", "news:*", "*today", "n*s:*:t?d[a-c]y", "*a*b*c*d*e*"] {
        group.bench_with_input(
            BenchmarkId::from_parameter(pattern),
            pattern,
            |bencher, pattern| {
                bencher.iter(|| matches(black_box(pattern.as_bytes()), black_box(CHANNEL)));
            },
        );
    }
    group.finish();
}

/// One read of PUBLISH requests, up to the point at which all output is ready to be written.
fn turns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn/receivers");
    for receivers in [0, 1, 10, 100, 1_000] {
        group.throughput(Throughput::Elements((PIPELINE * receivers.max(1)) as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(receivers),
            &receivers,
            |bencher, &receivers| {
                let mut sessions = Sessions::default();
                for _ in 0..receivers {
                    let subscriber = sessions.connect();
                    let mut request = Vec::new();
                    resp::request::encode(&mut request, &[b"SUBSCRIBE", CHANNEL]);
                    sessions.run(subscriber, &request);
                }
                let publisher = sessions.connect();
                let requests = publish(64).repeat(PIPELINE);
                bencher.iter(|| {
                    sessions.run(publisher, black_box(&requests));
                    sessions.flush()
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, decoding, encoding, matching, turns);
criterion_main!(benches);
