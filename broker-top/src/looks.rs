//! Asks the server again and again, on a thread of its own: the keyboard works while the server does not
//! answer.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::figures::{Figures, shown};
use crate::server::Server;

/// The figures that arrive.
pub(crate) struct Looks(Receiver<Look>);

/// The figures, or the reason why there are none.
pub(crate) type Look = Result<Figures, String>;

/// Maximum wait for the first figures.
const FIRST_TIME_MAX: Duration = Duration::from_secs(15);

impl Looks {
    /// Asks until this value is dropped. The thread may then wait for a reply until the process ends.
    pub(crate) fn begin(mut server: Server, every: Duration) -> Self {
        // One look waits at most, so that none is old.
        let (sender, looks) = mpsc::sync_channel(0);
        thread::spawn(move || {
            loop {
                let look = server.connection().and_then(Figures::read).map_err(|error| {
                    server.disconnect();
                    shown(&error)
                });
                if sender.send(look).is_err() {
                    return;
                }
                thread::sleep(every);
            }
        });
        Self(looks)
    }

    /// Waits for the first figures.
    ///
    /// # Errors
    ///
    /// The reason of the server, or that it does not answer.
    pub(crate) fn first(&self) -> Look {
        match self.0.recv_timeout(FIRST_TIME_MAX) {
            Ok(look) => look,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(format!("no reply within {} seconds", FIRST_TIME_MAX.as_secs()))
            }
        }
    }

    /// Returns the look that has arrived since the last call.
    pub(crate) fn next(&self) -> Option<Look> {
        self.0.try_recv().ok()
    }
}
