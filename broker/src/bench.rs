//! The parts that benches measure alone: what lies between a read and a write.
//!
//! This is no part of the public interface. It adds nothing to what `connection` and `worker` do,
//! and leaves sockets and tasks out.

#![allow(missing_docs, reason = "only for benches")]

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use crate::address::Address;
use crate::commands::execute::{Flow, execute};
use crate::commands::lookup::Lookup;
#[cfg(feature = "lua")]
use crate::commands::script_client::CommandClient;
use crate::commands::table::SPECS;
use crate::config::source::ConfigFile;
use crate::glob;
use crate::protocol::reply::{self, MessageStart};
use crate::protocol::request::{Decoded, Decoder, Limits};
use crate::pubsub::Broker;
use crate::pubsub::client_output::ClientOutput;
use crate::pubsub::script_barrier::Gate;
#[cfg(feature = "lua")]
use crate::script::engine::Engine;
use crate::session::Session;
use crate::session::client_info::{ClientInfo, ClientSlot};
use crate::session::context::Context;
use crate::session::server_state::ServerState;

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
        let server = ServerState::new(Broker::new(), ConfigFile::default(), 0, SPECS.len());
        let server = Arc::new(server.expect("the default settings are fine"));
        let worker = server.broker.open_inbox();
        let config = server.settings.get();
        let lookup = Lookup::new(&config).expect("the default settings are fine");
        let gate = server.broker.gate(worker);
        #[cfg_attr(not(feature = "lua"), expect(unused_mut, reason = "only scripts change it"))]
        let mut context = Context::new(worker, config);
        #[cfg(feature = "lua")]
        {
            let client = CommandClient::new(server.clone(), lookup.clone());
            let (broker, scripts) = (server.broker.clone(), server.scripts.clone());
            context.scripts = Some(Rc::new(Engine::new(broker, scripts, client)));
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
        let home = ClientSlot { worker: self.context.worker(), slot: number };
        let info = Arc::new(ClientInfo::new(id, home, address.clone(), address, 0));
        let output = Rc::new(ClientOutput::new(id, number));
        self.clients.push(Session::new(self.server.clone(), output, info));
        number
    }

    /// Runs all requests of a client that came in one read.
    pub fn run(&mut self, client: usize, mut requests: &[u8]) {
        let session = &mut self.clients[client];
        let mut turn = self.gate.enter();
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

    /// Ends the turn as if a socket had taken all that is queued, and returns its bytes.
    pub fn flush(&mut self) -> usize {
        let mut bytes = 0;
        self.context.flush_queue().take_dirty(&mut self.dirty);
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

/// Returns how many requests stand in these bytes, and how many arguments these have.
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

/// What [`decode`] keeps from one request to the next.
#[derive(Default)]
pub struct Requests(Decoder);

/// Appends what a subscriber of a channel gets.
pub fn encode(out: &mut Vec<u8>, channel: &[u8], payload: &[u8]) {
    reply::message(out, MessageStart::MESSAGE[0], channel, payload);
}

/// Whether a pattern matches a channel.
pub fn matches(pattern: &[u8], channel: &[u8]) -> bool {
    glob::matches(pattern, channel)
}
