//! The floors of hubs: relays on one thread that parse nothing but the upgrade and the frames.
//!
//! The plain floor writes once a client for each message. The gathering floor writes once a client for
//! each read from a sender. A server that writes as often as one of them cannot cost less.
//!
//! `peer` is one client.

mod peer;

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use self::peer::{Mode, Peer, is_for_later};
use crate::websocket;

/// How a floor writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Floor {
    /// Once a client for each message.
    Plain,
    /// Once a client for each read from a sender.
    Gathering,
}

/// Bytes read in one go.
const READ_BYTES: usize = 64 * 1024;
/// The data of the listener's events.
const LISTENER: u64 = 0;

/// The relay's state.
struct Relay {
    floor: Floor,
    epoll: rustix::fd::OwnedFd,
    /// All clients, in the order of their connections.
    peers: BTreeMap<u64, Peer>,
}

/// Relays messages until the process is killed.
pub(crate) fn run(port: u16, floor: Floor) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    rustix::net::listen(&listener, 4096)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut relay = Relay { floor, epoll, peers: BTreeMap::new() };
    let mut events = Vec::with_capacity(1024);
    let mut buffer = vec![0; READ_BYTES];
    let mut next = LISTENER + 1;
    loop {
        events.clear();
        match epoll::wait(&relay.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            // strace interrupts this call when it attaches.
            Err(rustix::io::Errno::INTR) => continue,
            waited => drop(waited?),
        }
        for event in &events {
            match (event.data.u64(), event.flags) {
                (LISTENER, _) => {
                    relay.accept(&listener, next)?;
                    next += 1;
                }
                (id, flags) if flags.contains(EventFlags::OUT) => relay.write(id, &[]),
                (id, _) => relay.read(id, &mut buffer),
            }
        }
    }
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener, id: u64) -> io::Result<()> {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&self.epoll, stream.as_fd(), EventData::new_u64(id), EventFlags::IN)?;
        self.peers.insert(id, Peer::new(stream));
        Ok(())
    }

    /// Reads once from a client, and relays the messages.
    fn read(&mut self, id: u64, buffer: &mut [u8]) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let read = match peer.read(buffer) {
            Ok(0) => return drop(self.peers.remove(&id)),
            Ok(read) => read,
            Err(error) if is_for_later(&error) => return,
            Err(_) => return drop(self.peers.remove(&id)),
        };
        let mut out = Vec::new();
        let mut input = peer.joined(&buffer[..read]);
        if peer.mode == Mode::Opening {
            match peer.open(&mut input) {
                Ok(Some(response)) => self.write(id, response.as_bytes()),
                Ok(None) => return,
                Err(_) => return drop(self.peers.remove(&id)),
            }
        }
        let mut used = 0;
        loop {
            match websocket::decode(&input[used..]) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    let payload = &input[used..][frame.payload.clone()];
                    used += frame.payload.end;
                    websocket::encode(&mut out, payload);
                    if self.floor == Floor::Plain {
                        self.relay(id, &out);
                        out.clear();
                    }
                }
                Err(_) => return drop(self.peers.remove(&id)),
            }
        }
        if !out.is_empty() {
            self.relay(id, &out);
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.keep(&input[used..]);
        }
    }

    /// Writes frames to the clients that they are for.
    fn relay(&mut self, sender: u64, frames: &[u8]) {
        if self.peers.get(&sender).is_some_and(|peer| peer.mode == Mode::Echo) {
            return self.write(sender, frames);
        }
        let mut gone = Vec::new();
        for (id, peer) in &mut self.peers {
            if peer.mode == Mode::Fan && !is_written(&self.epoll, *id, peer, frames) {
                gone.push(*id);
            }
        }
        for id in gone {
            self.peers.remove(&id);
        }
    }

    fn write(&mut self, id: u64, bytes: &[u8]) {
        if let Some(peer) = self.peers.get_mut(&id)
            && !is_written(&self.epoll, id, peer, bytes)
        {
            self.peers.remove(&id);
        }
    }
}

/// Writes to a client. If its socket is full, the rest waits for an event. Returns whether the client
/// is still connected.
fn is_written(epoll: &rustix::fd::OwnedFd, id: u64, peer: &mut Peer, bytes: &[u8]) -> bool {
    match peer.write(bytes) {
        Err(_) => false,
        Ok(None) => true,
        Ok(Some(is_blocked)) => {
            let flags = if is_blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(epoll, &peer.stream, EventData::new_u64(id), flags).is_ok()
        }
    }
}
