//! A socket around a session.
//!
//! A connection reads into its worker's one scratch buffer and keeps bytes of its own only for a
//! request that is not complete yet. It never writes while requests are executed: the worker
//! writes what is queued at the end of the turn, and the connection only sees to what did not fit
//! into the socket.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use crate::audience::{Audience, Member};
use crate::config::{Config, OutputLimit};
use crate::disconnect::Disconnect;
use crate::outbox::Pool;
use crate::resp::request::{Decoded, Decoder, Limits};
use crate::session::Session;

/// One client's socket and session.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) member: Rc<Member>,
    pub(crate) peer: SocketAddr,
    session: RefCell<Session>,
    stream: RefCell<TcpStream>,
    unfinished: RefCell<Option<Box<Unfinished>>>,
    /// Wakes the connection's task.
    task: RefCell<Option<Waker>>,
    /// Whether the socket took less than was queued.
    blocked: Cell<bool>,
    last_read: Cell<Instant>,
    over_soft_limit_since: Cell<Option<Instant>>,
}

/// A request whose end has not come yet.
#[derive(Debug)]
struct Unfinished {
    bytes: Vec<u8>,
    decoder: Decoder,
}

/// What a worker lends to whichever connection reads.
#[derive(Debug)]
pub(crate) struct Scratch {
    bytes: Box<[u8]>,
    decoder: Decoder,
}

/// What one `writev` takes at the most.
const SLICES_MAX: usize = 64;
/// Bytes read in one go. More would only make one client's turn longer.
const SCRATCH_BYTES: usize = 64 * 1024;

impl Connection {
    pub(crate) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        member: Rc<Member>,
        session: Session,
    ) -> Self {
        Self {
            member,
            peer,
            session: RefCell::new(session),
            stream: RefCell::new(stream),
            unfinished: RefCell::default(),
            task: RefCell::default(),
            blocked: Cell::default(),
            last_read: Cell::new(Instant::now()),
            over_soft_limit_since: Cell::default(),
        }
    }

    /// Serves the client until it goes, and returns why it went. The requests of one read are run
    /// without a break; then others have their turn.
    pub(crate) fn poll(
        &self,
        audience: &RefCell<Audience>,
        scratch: &RefCell<Scratch>,
        query_bytes_max: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Disconnect> {
        self.remember(cx.waker());
        if self.blocked.get() {
            match self.stream.borrow().poll_write_ready(cx) {
                Poll::Ready(Ok(())) => self.flush(&mut audience.borrow_mut()),
                Poll::Ready(Err(_)) => return Poll::Ready(Disconnect::Closed),
                Poll::Pending => {}
            }
        }
        if let Some(reason) = self.member.disconnect() {
            let done = !reason.sends_what_is_queued() || self.member.outbox().is_empty();
            return if done { Poll::Ready(reason) } else { Poll::Pending };
        }
        let mut scratch = scratch.borrow_mut();
        let Scratch { bytes, decoder } = &mut *scratch;
        loop {
            let read = match ready!(self.poll_read(bytes, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Disconnect::Closed),
                Ok(read) => read,
            };
            self.last_read.set(Instant::now());
            self.take_in(&bytes[..read], decoder, query_bytes_max, &mut audience.borrow_mut());
            if self.member.disconnect().is_some() {
                // The flush of this turn wakes us, and then there is nothing left to send.
                return Poll::Pending;
            }
            if read == bytes.len() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Writes what is queued, as far as the socket takes it.
    pub(crate) fn flush(&self, audience: &mut Audience) {
        self.blocked.set(false);
        let written = self.write_queued(audience.mail().pool());
        if written.is_err() {
            audience.mail().disconnect(&self.member, Disconnect::Closed);
        }
        if self.blocked.get() || self.member.disconnect().is_some() {
            self.wake();
        }
    }

    /// Ends the session's subscriptions.
    pub(crate) fn end(&self, audience: &mut Audience) {
        self.session.borrow_mut().end(audience);
    }

    /// Looks whether the client was silent or behind for too long; called about once a second.
    pub(crate) fn check_time(&self, now: Instant, config: &Config, audience: &mut Audience) {
        let session = self.session.borrow();
        let idle = now.saturating_duration_since(self.last_read.get());
        if !config.timeout.is_zero() && idle > config.timeout && !session.is_subscribed() {
            audience.mail().disconnect(&self.member, Disconnect::Idle);
        }
        if self.is_behind(session.output_limit(), now) {
            audience.mail().disconnect(&self.member, Disconnect::SlowSubscriber);
        }
    }

    /// Whether the client has been over its soft limit for too long.
    fn is_behind(&self, limit: OutputLimit, now: Instant) -> bool {
        if limit.soft_bytes == 0 || self.member.outbox().bytes() <= limit.soft_bytes {
            self.over_soft_limit_since.set(None);
            return false;
        }
        let since = self.over_soft_limit_since.get().unwrap_or(now);
        self.over_soft_limit_since.set(Some(since));
        now.saturating_duration_since(since) > limit.soft_time.max(Duration::from_millis(1))
    }

    pub(crate) fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }

    fn remember(&self, waker: &Waker) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    fn poll_read(&self, bytes: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(bytes);
        ready!(Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Runs all requests that end in `input`.
    fn take_in(
        &self,
        mut input: &[u8],
        decoder: &mut Decoder,
        bytes_max: usize,
        audience: &mut Audience,
    ) {
        let mut session = self.session.borrow_mut();
        let mut unfinished = self.unfinished.borrow_mut();
        while !input.is_empty() && self.member.disconnect().is_none() {
            if let Some(request) = &mut *unfinished {
                input = request.add(input);
                let limits = session.limits();
                match run(&mut session, &mut request.decoder, &request.bytes, limits, audience) {
                    None if request.bytes.len() > bytes_max => {
                        audience.mail().disconnect(&self.member, Disconnect::RequestTooBig);
                    }
                    None => {}
                    Some(_) => *unfinished = None,
                }
                continue;
            }
            let limits = session.limits();
            match run(&mut session, decoder, input, limits, audience) {
                Some(used) => input = &input[used..],
                None => {
                    let decoder = std::mem::take(decoder);
                    *unfinished = Some(Box::new(Unfinished { bytes: input.to_vec(), decoder }));
                    return;
                }
            }
        }
    }

    fn write_queued(&self, pool: &mut Pool) -> io::Result<()> {
        let stream = self.stream.borrow();
        let mut outbox = self.member.outbox();
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let filled = outbox.slices(&mut slices);
            let offered: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
            let result = match &slices[..filled] {
                [one] => stream.try_write(one),
                several => stream.try_write_vectored(several),
            };
            match result {
                Ok(written) => {
                    outbox.advance(written, pool);
                    if written < offered {
                        self.blocked.set(true);
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked.set(true);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Runs the request at the start of `bytes`, and returns how many bytes it took, if it is complete.
fn run(
    session: &mut Session,
    decoder: &mut Decoder,
    bytes: &[u8],
    limits: Limits,
    audience: &mut Audience,
) -> Option<usize> {
    let used = match decoder.decode(bytes, limits) {
        Ok(Decoded::Incomplete) => return None,
        Ok(Decoded::Nothing(used)) => used,
        Ok(Decoded::Request(used)) => {
            session.execute(decoder.request(bytes), audience);
            used
        }
        Err(error) => {
            session.refuse(error, audience);
            bytes.len()
        }
    };
    decoder.reset();
    Some(used)
}

impl Unfinished {
    /// Takes what belongs to the request, and returns the rest.
    fn add<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let wanted = self.decoder.wanted(self.bytes.len(), input);
        let (own, rest) = input.split_at(wanted);
        self.bytes.extend_from_slice(own);
        rest
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self { bytes: vec![0; SCRATCH_BYTES].into(), decoder: Decoder::default() }
    }
}
