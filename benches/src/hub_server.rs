//! Our server of a hub, in a process of its own: the smallest application of package `signalr`.
//!
//! The tool starts this process like a server. The hub has a method that sends its argument to all
//! clients, and a method that returns it.

use std::net::Ipv4Addr;

use axum::Router;
use axum::serve::ListenerExt;
use backplane::Backplane;
use broker::Broker;
use signalr::{Caller, Hub, HubError};
use tokio::net::TcpSocket;
use tokio::runtime::Builder;

use crate::Failure;

const APP: &str = "bench";
/// Connections that wait to be accepted. A storm fills the default of 1,024.
const BACKLOG: u32 = 4096;

/// Serves the hub at `/hub` until the process is killed. Without a URL the broker is in this process.
pub(crate) fn run(port: u16, broker_url: Option<&str>) -> Result<(), Failure> {
    // The number of threads of an application on one processor.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let url = broker_url.map(str::to_owned);
    // Spawned, since the blocked thread is no worker and would hand each connection to another thread.
    runtime.block_on(runtime.spawn(async move {
        let backplane = match url {
            None => Backplane::embedded(&Broker::new(), APP),
            Some(url) => Backplane::builder(APP).connect(&url).await.map_err(Failure::cluster)?,
        };
        serve(port, hub(backplane)).await
    }))?
}

fn hub(backplane: Backplane) -> Hub {
    Hub::new("BenchHub", backplane)
        .method("Send", async |caller: Caller, (text,): (String,)| {
            caller.clients().all().invoke("said", (text,)).await?;
            Ok::<_, HubError>(())
        })
        .method("Echo", async |_: Caller, (text,): (String,)| Ok::<_, HubError>(text))
}

async fn serve(port: u16, hub: Hub) -> Result<(), Failure> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(BACKLOG)?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, Router::new().merge(hub.router("/hub"))).await?)
}
