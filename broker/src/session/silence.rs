//! `CLIENT REPLY`: the replies that a client gets.

use crate::pubsub::client_output::ClientOutput;

/// The replies that a client does not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Silence {
    /// The client gets all replies.
    #[default]
    None,
    /// The client gets no replies (`OFF`).
    All,
    /// The client does not get the reply of the next command (`SKIP`).
    Next,
    /// The client does not get the reply of the running command.
    This,
}

impl Silence {
    /// Returns that of a client without replies.
    pub(crate) fn off(output: &ClientOutput) -> Self {
        output.silent.set(true);
        Self::All
    }

    /// Returns to all replies, as `RESET` does. Its own reply may still be one that the client skips.
    pub(crate) fn reset(&mut self, output: &ClientOutput) {
        if *self != Self::This {
            *self = Self::None;
        }
        output.silent.set(*self != Self::None);
    }

    /// Prepares for the next command.
    pub(crate) fn after_command(&mut self, output: &ClientOutput) {
        if *self == Self::None {
            return;
        }
        *self = match *self {
            Self::Next => Self::This,
            Self::This => Self::None,
            other => other,
        };
        output.silent.set(*self != Self::None);
    }
}
