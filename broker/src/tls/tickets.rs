//! Tickets that let clients resume a session, with a time-out of their own.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::Error;
use rustls::crypto::ring::Ticketer;
use rustls::server::ProducesTickets;

/// Returns a producer with keys of its own: tickets of an earlier one resume nothing.
pub(super) fn ticketer(timeout: Duration) -> Result<Arc<dyn ProducesTickets>, Error> {
    Ok(Arc::new(Tickets { sealed: Ticketer::new()?, timeout, started: Instant::now() }))
}

/// Tickets with the time of their issue. The keys below change too slowly for a short time-out.
struct Tickets {
    sealed: Arc<dyn ProducesTickets>,
    timeout: Duration,
    started: Instant,
}

impl Tickets {
    fn seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.sealed.enabled()
    }

    fn lifetime(&self) -> u32 {
        let seconds = u32::try_from(self.timeout.as_secs()).unwrap_or(u32::MAX);
        seconds.min(self.sealed.lifetime())
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.sealed.encrypt(&[&self.seconds().to_be_bytes(), plain].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let dated = self.sealed.decrypt(cipher)?;
        let (issued, plain) = dated.split_first_chunk()?;
        let age = self.seconds().checked_sub(u64::from_be_bytes(*issued))?;
        (age <= self.timeout.as_secs()).then(|| plain.to_vec())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_ends_with_its_time_and_with_its_producer() {
        let sealed = Ticketer::new().unwrap();
        let timeout = Duration::from_secs(300);
        let started = Instant::now();
        let tickets = Tickets { sealed, timeout, started };
        let ticket = tickets.encrypt(b"session").unwrap();
        assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(ticketer(timeout).unwrap().decrypt(&ticket), None);
        assert_eq!(tickets.decrypt(b""), None);

        let later = started.checked_sub(Duration::from_secs(302)).unwrap();
        let later = Tickets { started: later, ..tickets };
        assert_eq!(later.decrypt(&ticket), None);
    }
}
