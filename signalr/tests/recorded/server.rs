//! Our server with the hubs of the recorded one.

use axum::Router;
use backplane::Backplane;
use broker::Broker;
use signalr::{Classic, Hub};
use tokio::{io::DuplexStream, sync::mpsc};

use crate::{hubs, pipe::Pipe, pipes::Pipes, script::List};

pub(crate) struct Server {
    hubs: Vec<Hub>,
    dial: mpsc::UnboundedSender<DuplexStream>,
}

impl Server {
    pub(crate) fn start(list: &List) -> Self {
        let backplane = Backplane::embedded(&Broker::new(), "ChatApp");
        let all = hubs::all(&backplane, list);
        let routers = all.iter().map(|(path, hub)| hub.router(path));
        let chat = all.iter().filter(|(path, _)| *path == hubs::CHAT);
        let classic = chat.fold(Classic::new(), |classic, (_, hub)| classic.hub(hub));
        let app = routers.fold(classic.router("/signalr"), Router::merge);
        let (dial, calls) = mpsc::unbounded_channel();
        tokio::spawn(axum::serve(Pipes(calls), app).into_future());
        Self { hubs: all.into_iter().map(|(_, hub)| hub).collect(), dial }
    }

    pub(crate) fn connect(&self) -> Pipe {
        let (ours, theirs) = tokio::io::duplex(1024 * 1024);
        self.dial.send(theirs).unwrap();
        Pipe::new(ours)
    }

    pub(crate) async fn shutdown(&self) {
        for hub in &self.hubs {
            hub.shutdown().await;
        }
    }
}
