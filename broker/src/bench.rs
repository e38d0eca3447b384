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
use crate::audience::{Audience, Member};
use crate::broker::Broker;
use crate::card::{Card, Home};
use crate::config::source::Loaded;
use crate::host::Host;
use crate::pattern;
use crate::resp::reply::{self, MessageStart};
use crate::resp::request::{Decoded, Decoder, Limits};
use crate::session::{Flow, Session};

/// One worker's sessions.
pub struct Sessions {
    host: Arc<Host>,
    audience: Audience,
    decoder: Decoder,
    dirty: Vec<Rc<Member>>,
    clients: Vec<Session>,
}

const LIMITS: Limits = Limits { bulk_bytes_max: 512 << 20, authenticated: true };

impl Default for Sessions {
    fn default() -> Self {
        let host = Host::new(Broker::new(), Loaded::default(), 0);
        let host = Arc::new(host.expect("the default settings are fine"));
        let worker = host.broker.open_inbox();
        let entrance = host.broker.entrance(worker.index());
        let audience = Audience::new(worker, host.settings.get(), entrance);
        let (decoder, dirty, clients) = (Decoder::default(), Vec::new(), Vec::new());
        Self { host, audience, decoder, dirty, clients }
    }
}

impl Sessions {
    /// Adds a client, and returns its number.
    pub fn connect(&mut self) -> usize {
        let number = self.clients.len();
        let id = self.host.broker.next_client_id();
        let address = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        let home = Home { worker: self.audience.worker(), place: number };
        let card = Arc::new(Card::new(id, home, address.clone(), address, 0));
        let member = Rc::new(Member::new(id, number));
        self.clients.push(Session::new(self.host.clone(), member, card));
        number
    }

    /// Runs all requests of a client that came in one read.
    pub fn run(&mut self, client: usize, mut requests: &[u8]) {
        let session = &mut self.clients[client];
        while !requests.is_empty() {
            let decoded = self.decoder.decode(requests, LIMITS);
            let Ok(Decoded::Request(used)) = decoded else { panic!("{decoded:?} is no request") };
            let flow = session.execute(self.decoder.request(requests), &mut self.audience);
            assert_eq!(flow, Flow::Continue);
            self.decoder.reset();
            requests = &requests[used..];
        }
    }

    /// Ends the turn as if a socket had taken all that is queued, and returns its bytes.
    pub fn flush(&mut self) -> usize {
        let mut bytes = 0;
        self.audience.mail().take_dirty(&mut self.dirty);
        for member in self.dirty.drain(..) {
            let mut outbox = member.outbox();
            while !outbox.is_empty() {
                let mut slices = [IoSlice::new(&[]); 64];
                let filled = outbox.slices(&mut slices);
                let written = slices[..filled].iter().map(|slice| slice.len()).sum();
                outbox.advance(written, self.audience.mail().pool());
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
    pattern::matches(pattern, channel)
}
