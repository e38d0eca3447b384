//! Any payload on the channel of an app. The message sent next arrives.

#![no_main]

use std::sync::LazyLock;

use backplane::{Backplane, Invocation, Target};
use broker::Broker;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use tokio::time::timeout;

const APP: &str = "ChatApp";

struct Place {
    runtime: Runtime,
    broker: Broker,
    backplane: Backplane,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let (runtime, broker) = (fuzz::runtime(), Broker::new());
    let backplane = {
        let _here = runtime.enter();
        Backplane::embedded(&broker, APP)
    };
    Place { runtime, broker, backplane }
});

fuzz_target!(|data: &[u8]| {
    let Place { runtime, broker, backplane } = &*PLACE;
    runtime.block_on(async {
        let mut ann = backplane.attach("ann", Some("user"));
        broker.publish(APP, data.to_vec());
        let invocation = Invocation::new("say", ["hello"]).expect("it is JSON");
        timeout(fuzz::DEADLINE, backplane.send(Target::connection("ann"), invocation))
            .await
            .expect("it is soon sent")
            .expect("it can be sent");
        loop {
            match timeout(fuzz::DEADLINE, ann.recv()).await.expect("it soon arrives") {
                Ok(invocation) if invocation.method() == "say" => break,
                Ok(_) => {}
                // The payload may have been a command that ends the connection.
                Err(_) => break,
            }
        }
    });
});
