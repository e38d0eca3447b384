//! What a script can ask of the server that runs it.

use std::cell::RefCell;
use std::rc::Rc;

use crate::protocol::Protocol;
use crate::protocol::request::{OwnedRequest, Request};

/// The server, as a script sees it.
pub(crate) trait Commands {
    /// Runs a command, and returns its reply.
    ///
    /// # Errors
    ///
    /// Says why it must not run, in Redis' words.
    fn call(&mut self, request: Request<'_>) -> Result<Vec<u8>, Vec<u8>>;

    /// Whether the caller may run a command; nothing if there is no such command.
    fn may_run(&self, request: Request<'_>) -> Option<bool>;

    /// Sets the version of the protocol that replies come in.
    fn set_protocol(&mut self, protocol: Protocol);

    fn protocol(&self) -> Protocol;

    /// Writes a line to the log.
    fn log(&self, level: Level, text: &[u8]);

    /// Whether the script may go on. If it takes long, others have their turn before this returns.
    fn may_go_on(&self) -> bool;
}

/// The server that runs the script of the moment.
pub(super) type Server = Rc<RefCell<dyn Commands>>;

/// How much a line in the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Debug,
    Verbose,
    Notice,
    Warning,
}

/// Makes a request of what a script gave.
pub(super) fn request(arguments: impl IntoIterator<Item = impl AsRef<[u8]>>) -> OwnedRequest {
    arguments.into_iter().collect()
}
