//! The end of a worker's clients, one after the other, when the server is drained.

use std::hash::BuildHasher;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use tokio::time::{sleep_until, timeout_at};
use tracing::{info, warn};

use super::{Accepting, Worker};
use crate::address::Port;
use crate::observe::disconnect::Disconnect;
use crate::protocol::reply::Reply;
use crate::pubsub::client_output::ClientOutput;
use crate::server::listen::{Listener, open_socket_file};
use crate::server::worker::WorkerHandle;
use crate::session::client_info::Flag;
use crate::session::drain::{CHANNEL, Window};
use crate::session::moving::Endpoints;

impl Worker {
    /// Follows the drains of the server until the worker ends.
    pub(super) async fn follow_drains(self: Rc<Self>) {
        let mut drains = self.server.drain.changes();
        let has_listeners = self.is_first;
        let mut is_draining = false;
        loop {
            let window = *drains.borrow_and_update();
            if has_listeners && window.is_some() != is_draining {
                match window {
                    Some(_) => self.close_listeners(|_| true).await,
                    None => self.listen_again().await,
                }
            }
            is_draining = window.is_some();
            let draining = async {
                match window {
                    Some(window) if has_listeners => self.drain(window).await,
                    Some(window) => self.end_clients(window).await,
                    None => {}
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = draining => {}
                changed = drains.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Announces a drain and ends the clients of this worker. Asks for the end of the server once no
    /// worker has a client, and at the end of the window.
    async fn drain(&self, window: Window) {
        let clients = &self.server.broker.stats().connected_clients;
        let all_gone = async {
            while clients.get() > 0 {
                self.server.drain.next_end().await;
            }
        };
        let ending = async {
            // Waits for the end of a late script, which the end of the window ends.
            self.announce(window).await;
            self.end_clients(window).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = timeout_at(window.end().into(), all_gone) => {}
            () = ending => {}
        }
        info!("the server is drained, clients left: {}", clients.get());
        self.stop.notify_one();
    }

    /// Publishes the time that the clients have.
    async fn announce(&self, window: Window) {
        let payload = format!("{{\"seconds\":{}}}", window.time.as_secs());
        let (channel, payload) = (CHANNEL.as_bytes(), payload.as_bytes());
        while self
            .with_order(|context, order| order.publish_here(&mut context.local, channel, payload))
            .is_none()
        {
            self.idle().await;
        }
    }

    /// Pushes the time that they have to the clients of this worker that asked for it.
    fn tell_drain(&self, window: Window) {
        let parts = [Reply::bulk("draining"), Reply::integer(window.time.as_secs())];
        let mut context = self.context.borrow_mut();
        for (_, connection) in self.connections.borrow().iter() {
            if connection.output.notices.get().draining {
                context.flush_queue().push_notice(&connection.output, &parts);
            }
        }
    }

    /// Ends each client of this worker at a moment of its own, those without a subscription last: they
    /// may publish for the others. Replicas come last of all, so that they get all changes.
    async fn end_clients(&self, window: Window) {
        self.tell_drain(window);
        let random = RandomState::default();
        let mut clients: Vec<(u8, u64, Rc<ClientOutput>)> = Vec::new();
        for (_, connection) in self.connections.borrow().iter() {
            let info = &connection.info;
            let chance = random.hash_one(info.id);
            let rank = u8::from(!info.is_subscribed()) + u8::from(info.is(Flag::Replica));
            clients.push((rank, chance, connection.output.clone()));
        }
        clients.sort_unstable_by_key(|(rank, chance, _)| (*rank, *chance));
        let count = clients.len();
        for (index, (_, _, output)) in clients.into_iter().enumerate() {
            // Another part of the hash than the one that orders the clients.
            let chance = random.hash_one((index, count)) >> 32;
            let chance = u32::try_from(chance).unwrap_or(u32::MAX);
            sleep_until(window.moment(index, count, chance).into()).await;
            if self.connection(&output).is_some() {
                let mut context = self.context.borrow_mut();
                context.flush_queue().disconnect(&output, Disconnect::Shutdown);
            }
        }
    }

    /// Closes the listeners that `are_meant` accepts.
    pub(super) async fn close_listeners(&self, are_meant: impl Fn(&Accepting) -> bool) {
        let closed: Vec<Accepting> =
            self.listeners.borrow_mut().extract_if(.., |accepting| are_meant(accepting)).collect();
        for accepting in closed {
            accepting.task.abort();
            let _ = accepting.task.await;
        }
    }

    /// Listens on the addresses again that were closed for a drain.
    async fn listen_again(self: &Rc<Self>) {
        if self.shutting_down.get() {
            return;
        }
        let workers: Arc<[WorkerHandle]> = self.all.borrow().as_slice().into();
        let kept: io::Result<Vec<Listener>> =
            self.kept.borrow().iter().map(Listener::try_clone).collect();
        let kept = kept.unwrap_or_else(|error| {
            warn!(%error, "cannot listen on an open socket again");
            Vec::new()
        });
        let has = |kind: fn(&Listener) -> bool| kept.iter().any(kind);
        let (has_plain, has_tls, has_unix) = (
            has(|listener| matches!(listener, Listener::Tcp(_))),
            has(|listener| matches!(listener, Listener::Tls(_))),
            has(|listener| !listener.is_tcp()),
        );
        kept.into_iter().for_each(|listener| self.accept_on(listener, workers.clone()));
        let config = self.server.settings.get();
        // A free port that the system has chosen stays the same.
        let ports = [&self.server.port, &self.server.tls_port];
        let before = ports.map(|port| port.load(Ordering::Relaxed));
        let port = |is_open: bool, asked: Port, bound: u16| match asked {
            _ if is_open => Port::None,
            Port::None => Port::None,
            _ => Port::from(bound),
        };
        self.open(Endpoints {
            names: config.bind.clone(),
            port: port(has_plain, config.port, before[0]),
            tls_port: port(has_tls, config.tls.port, before[1]),
            backlog: config.tcp_backlog,
        })
        .await;
        ports.iter().zip(before).for_each(|(port, before)| port.store(before, Ordering::Relaxed));
        match if has_unix { Ok(None) } else { open_socket_file(&config) } {
            Ok(Some(listener)) => self.accept_on(listener, workers),
            Ok(None) => {}
            Err(error) => warn!(%error, "cannot open the socket file again"),
        }
    }
}
