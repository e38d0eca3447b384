//! Random histories of a few clients, compared with a short model of the server.
//!
//! | module    | content                                                                  |
//! |-----------|--------------------------------------------------------------------------|
//! | `history` | the actions of clients, and random sequences of them                     |
//! | `state`   | the model: the replies and messages of each client after each action     |
//! | `run`     | a history led with a server, and its leftovers at the end                |
//!
//! The same histories run on `redis-server`, so the model is right only if Redis obeys it. A history that
//! differs shrinks to a small one. `MODEL_CASES` sets the number of histories, `MODEL_SEED` another start.

mod history;
mod run;
mod state;

use broker::{Broker, Config, Port};
use harness::{Kind, Server, redis_8_bin};
use proptest::test_runner::{Config as Cases, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::Runtime;

use history::{Action, histories};
use state::Variant;

#[test]
fn redis_server_obeys_the_model() {
    let runtime = Runtime::new().expect("a runtime can be made");
    let server = runtime.block_on(Server::redis(&[]));
    check(&runtime, server.port(), "Redis", Variant::Redis70);
}

/// Fetched by `cargo xtask peers`.
#[test]
fn redis_server_8_obeys_the_model() {
    if redis_8_bin().is_none() {
        return;
    }
    let runtime = Runtime::new().expect("a runtime can be made");
    let server = runtime.block_on(Server::start(Kind::Redis8, &[]));
    check(&runtime, server.port(), "Redis 8.2", Variant::Redis72);
}

#[test]
fn our_program_obeys_the_model() {
    for threads in ["1", "4"] {
        let runtime = Runtime::new().expect("a runtime can be made");
        let server = runtime.block_on(Server::ours(&["--io-threads", threads]));
        let name = format!("the broker with {threads} threads");
        check(&runtime, server.port(), &name, Variant::Redis72);
    }
}

#[test]
fn an_embedded_broker_obeys_the_model() {
    let runtime = Runtime::new().expect("a runtime can be made");
    let server = runtime.block_on(async {
        let config = Config { port: Port::Any, ..Config::default() };
        broker::Server::bind(Broker::new(), &config).await.expect("a free port")
    });
    let port = server.local_addr().expect("it listens").port();
    check(&runtime, port, "the embedded broker", Variant::Redis72);
    runtime.block_on(server.shutdown());
}

/// The model is worth its tests only if it notices a server that differs.
#[test]
fn a_fault_of_the_model_is_noticed_and_shrinks() {
    let runtime = Runtime::new().expect("a runtime can be made");
    let server = runtime.block_on(Server::ours(&[]));
    let failed = lead(&runtime, server.port(), Variant::PatternsDeliverOnce);
    let (reason, history) = failed.expect_err("a client with two patterns gets two messages");
    assert!(history.len() <= 4, "{reason}\n{history:#?}");
}

fn check(runtime: &Runtime, port: u16, server: &str, variant: Variant) {
    if let Err((reason, history)) = lead(runtime, port, variant) {
        panic!("{server} differs: {reason}\nafter {history:#?}");
    }
}

/// Leads random histories. Returns a small one that differs, with the difference.
fn lead(runtime: &Runtime, port: u16, variant: Variant) -> Result<(), (String, Vec<Action>)> {
    let cases = variable("MODEL_CASES").unwrap_or(200);
    let config = Cases { cases, failure_persistence: None, ..Cases::default() };
    let seed = [u8::try_from(variable("MODEL_SEED").unwrap_or(1) % 256).unwrap_or(1); 32];
    let rng = TestRng::from_seed(config.rng_algorithm, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let names = std::cell::Cell::new(0);
    let result = runner.run(&histories(), |history| {
        // A case that failed may leave clients behind.
        names.set(names.get() + 1);
        let led = runtime.block_on(run::lead(port, names.get(), &history, variant));
        led.map_err(TestCaseError::fail)
    });
    match result {
        Err(TestError::Fail(reason, history)) => Err((reason.to_string(), history)),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
        Ok(()) => Ok(()),
    }
}

fn variable(name: &str) -> Option<u32> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
