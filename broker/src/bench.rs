//! Entry points for benches: the path of a request between the read and the write of a socket.
//!
//! This module is not part of the public interface. It performs the steps of `server::connection`
//! and `server::worker` without sockets and tasks.

#![allow(missing_docs, reason = "only for benches")]

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use crate::address::Address;
use crate::commands::execute::{Flow, execute};
use crate::commands::lookup::Lookup;
#[cfg(feature = "lua")]
use crate::commands::script_client::CommandRunner;
use crate::commands::table::SPECS;
use crate::config::source::ConfigFile;
use crate::glob;
use crate::protocol::reply::{self, MessageStart};
use crate::protocol::request::{Decoded, Decoder, Limits};
use crate::pubsub::Broker;
use crate::pubsub::client_output::ClientOutput;
use crate::pubsub::script_barrier::Gate;
use crate::session::Session;
use crate::session::client_info::{ClientInfo, ClientSlot};
use crate::session::context::Context;
use crate::session::server_state::{Ports, ServerState};

/// One worker's sessions.
pub struct Sessions {
    server: Arc<ServerState>,
    gate: Gate,
    lookup: Lookup,
    context: Context,
    decoder: Decoder,
    dirty: Vec<Rc<ClientOutput>>,
    clients: Vec<Session>,
}

const LIMITS: Limits = Limits { bulk_bytes_max: 512 << 20, authenticated: true };

impl Default for Sessions {
    fn default() -> Self {
        let server =
            ServerState::new(Broker::new(), ConfigFile::default(), Ports::default(), SPECS.len());
        let server = Arc::new(server.expect("the default settings are fine"));
        let worker = server.broker.open_inbox();
        let config = server.settings.get();
        let lookup = Lookup::new(&config).expect("the default settings are fine");
        let gate = server.broker.gate(worker);
        #[cfg_attr(not(feature = "lua"), expect(unused_mut, reason = "only scripts change it"))]
        let mut context = Context::new(worker, config);
        #[cfg(feature = "lua")]
        {
            let runner = CommandRunner::new(server.clone(), lookup.clone(), worker);
            context.scripts = Some(Rc::new(runner));
        }
        let (decoder, dirty, clients) = (Decoder::default(), Vec::new(), Vec::new());
        Self { server, gate, lookup, context, decoder, dirty, clients }
    }
}

impl Sessions {
    /// Adds a client, and returns its number.
    pub fn connect(&mut self) -> usize {
        let number = self.clients.len();
        let id = self.server.broker.next_client_id();
        let address = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        let slot = ClientSlot { worker: self.context.worker(), slot: number };
        let info = Arc::new(ClientInfo::new(id, slot, address.clone(), address, 0));
        let output = Rc::new(ClientOutput::new(id, number));
        self.clients.push(Session::new(self.server.clone(), output, info));
        number
    }

    /// Runs the requests of one read of a client.
    pub fn run(&mut self, client: usize, mut requests: &[u8]) {
        let session = &mut self.clients[client];
        let mut turn = self.gate.enter(&mut self.context.local);
        while !requests.is_empty() {
            let decoded = self.decoder.decode(requests, LIMITS);
            let Ok(Decoded::Request(used)) = decoded else { panic!("{decoded:?} is no request") };
            let parsed = self.lookup.parse(self.decoder.request(requests));
            let flow = execute(session, &mut self.context, &mut turn, parsed);
            assert_eq!(flow, Flow::Continue);
            self.decoder.reset();
            requests = &requests[used..];
        }
    }

    /// Ends the turn as if sockets had taken all queued bytes, and returns their number.
    pub fn flush(&mut self) -> usize {
        let mut bytes = 0;
        self.context.flush_queue().take_dirty(&mut self.dirty, usize::MAX);
        for output in self.dirty.drain(..) {
            let mut outbox = output.outbox();
            while !outbox.is_empty() {
                let mut slices = [IoSlice::new(&[]); 64];
                let filled = outbox.slices(&mut slices);
                let written = slices[..filled].iter().map(|slice| slice.len()).sum();
                outbox.advance(written, self.context.flush_queue().pool());
                bytes += written;
            }
        }
        bytes
    }
}

/// Returns the number of requests in `bytes`, and the number of their arguments.
pub fn decode(decoder: &mut Requests, mut bytes: &[u8]) -> (usize, usize) {
    let (mut requests, mut arguments) = (0, 0);
    while let Ok(Decoded::Request(used)) = decoder.0.decode(bytes, LIMITS) {
        requests += 1;
        arguments += decoder.0.request(bytes).len();
        decoder.0.reset();
        bytes = &bytes[used..];
    }
    (requests, arguments)
}

/// The state of [`decode`] between requests.
#[derive(Default)]
pub struct Requests(Decoder);

/// Appends the frame of a message for a subscriber of the channel.
pub fn encode(out: &mut Vec<u8>, channel: &[u8], payload: &[u8]) {
    reply::message(out, MessageStart::MESSAGE[0], channel, payload);
}

/// Returns whether a pattern matches a channel.
pub fn matches(pattern: &[u8], channel: &[u8]) -> bool {
    glob::matches(pattern, channel)
}
