//! Tests of the same claims on each kind of bus.

use broker::Broker;
use harness::{Cluster, Sentinel, Server};

use crate::farm::Bus;

/// Makes tests with the names of functions of this module. Each checks `conforms` on its bus.
macro_rules! on_each_bus {
    ($conforms:ident: $($bus:ident)*) => {
        $(
            #[tokio::test]
            async fn $bus() {
                crate::each_bus::$bus($conforms).await;
            }
        )*
    };
}
pub(crate) use on_each_bus;

pub(crate) async fn embedded(conforms: impl AsyncFnOnce(&Bus)) {
    conforms(&Bus::Embedded(Broker::new())).await;
}

pub(crate) async fn redis_server(conforms: impl AsyncFnOnce(&Bus)) {
    let server = Server::redis(&["--requirepass", "secret"]).await;
    conforms(&Bus::Url(server.url())).await;
}

pub(crate) async fn our_broker(conforms: impl AsyncFnOnce(&Bus)) {
    let server = Server::ours(&["--requirepass", "secret"]).await;
    conforms(&Bus::Url(server.url())).await;
}

pub(crate) async fn sentinel(conforms: impl AsyncFnOnce(&Bus)) {
    let sentinel = Sentinel::start().await;
    conforms(&Bus::Url(sentinel.url())).await;
}

pub(crate) async fn cluster(conforms: impl AsyncFnOnce(&Bus)) {
    let cluster = Cluster::start().await;
    conforms(&Bus::Url(cluster.url())).await;
}
