//! Any packet on the channels between the servers of an app. The server still answers a question to
//! itself, and still knows its own members.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use backplane::{Backplane, Servers};
use broker::Broker;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use tokio::time::timeout;

const APP: &str = "ChatApp";

struct Place {
    runtime: Runtime,
    broker: Broker,
    backplane: Backplane,
    /// The id of the server.
    id: String,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let (runtime, broker) = (fuzz::runtime(), Broker::new());
    let backplane = {
        let _here = runtime.enter();
        let builder = Backplane::builder(APP).presence(["*"]);
        let backplane = builder.embedded(&broker).expect("the settings are valid");
        backplane.on_question("echo", |_from, number: u64| async move { Ok::<_, String>(number) });
        backplane
    };
    let id = backplane.servers().first().expect("it is alone").id.clone();
    Place { runtime, broker, backplane, id }
});

fuzz_target!(|data: &[u8]| {
    let Place { runtime, broker, backplane, id } = &*PLACE;
    // The first byte selects the channel, and whether the packet claims to be from the server itself.
    let Some((choice, packet)) = data.split_first() else { return };
    let own = format!("{APP}.server.{id}");
    let channel = if choice & 1 == 0 { format!("{APP}.servers") } else { own };
    let packet = match choice & 2 {
        0 => packet.to_vec(),
        _ => String::from_utf8_lossy(packet).replace("ME", id).into_bytes(),
    };
    runtime.block_on(async {
        let _ann = backplane.attach("ann", Some("user"));
        broker.publish(channel, packet);
        let asked =
            backplane.ask::<_, u64>(Servers::one(id), "echo", &7).within(Duration::from_secs(20));
        let answers = timeout(fuzz::DEADLINE, asked.into_future()).await;
        let answers = answers.expect("it is soon answered").expect("it can be asked");
        assert_eq!(answers.received.first().map(|(_, number)| *number), Some(7), "{answers:?}");
        let own = backplane.presence().members_of_user("user");
        assert!(own.iter().any(|member| member.connection == "ann" && member.server == *id));
    });
});
