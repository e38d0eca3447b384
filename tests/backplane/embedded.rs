//! Servers that talk through a broker in their own process.

use backplane::{Invocation, Target};
use broker::Broker;

use crate::farm::Bus;
use crate::talk::Talk;
use crate::witness::Witness;

const APP: &str = "ChatApp";

#[tokio::test]
async fn nothing_is_missing() {
    let broker = Broker::new();
    let witness = Witness::on_embedded(&broker, APP);
    let bus = Bus::Embedded(broker);
    let talk = Talk::before(witness, [bus.join(APP).await, bus.join(APP).await]);
    talk.goes_on(0, 50).await;
    assert_eq!(talk.judge().await, 0);
}

#[tokio::test]
async fn servers_that_the_broker_dropped_for_being_slow_are_told_what_they_missed() {
    const MIB: usize = 1024 * 1024;
    let bus = Bus::Embedded(Broker::new());
    let talk = Talk::among([bus.join(APP).await, bus.join(APP).await]);
    for _ in 0..2 {
        talk.goes_on(0, 50).await;
        // Nobody here reads while these are sent, which is more than a subscriber may leave unread.
        for _ in 0..40 {
            let large = Invocation::new("large", ["x".repeat(MIB)]).expect("an array");
            let sender = talk.backplanes().next().expect("two servers");
            sender.send(Target::group("nobody"), large).await.expect("sent");
        }
    }
    talk.goes_on(1, 50).await;
    assert!(talk.judge().await > 0, "nothing was missed");
}
