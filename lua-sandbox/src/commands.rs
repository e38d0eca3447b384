//! The server from the view of a script.

use std::cell::RefCell;
use std::rc::Rc;

use resp::Protocol;
use resp::request::Request;

/// The server that runs a script.
///
/// A [`Vm`](crate::Vm) reaches commands, permissions and the log only through this trait. No method
/// may run another script on the same [`Vm`](crate::Vm).
pub trait Commands {
    /// Runs a command and returns its reply, encoded for [`protocol`](Self::protocol).
    ///
    /// # Errors
    ///
    /// Returns the text of Redis' error reply if the script may not run the command.
    fn call(&mut self, request: Request<'_>) -> Result<Vec<u8>, Vec<u8>>;

    /// Returns whether the caller may run a command, or `None` if there is no such command.
    fn may_run(&self, request: Request<'_>) -> Option<bool>;

    /// Sets the protocol version of replies (`redis.setresp`).
    fn set_protocol(&mut self, protocol: Protocol);

    /// Returns the protocol version of replies.
    fn protocol(&self) -> Protocol;

    /// Writes a line to the log (`redis.log`).
    fn log(&self, level: Level, text: &[u8]);

    /// Returns whether the script may continue; `false` ends it as `SCRIPT KILL` does.
    ///
    /// Called regularly, also in long library functions. The server may let other work run before
    /// it returns.
    fn may_go_on(&self) -> bool;
}

/// A shared handle to the server.
pub(super) type Server = Rc<RefCell<dyn Commands>>;

/// The level of a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `redis.LOG_DEBUG`
    Debug,
    /// `redis.LOG_VERBOSE`
    Verbose,
    /// `redis.LOG_NOTICE`
    Notice,
    /// `redis.LOG_WARNING`
    Warning,
}
