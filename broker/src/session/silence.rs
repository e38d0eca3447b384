//! `CLIENT REPLY`: which replies a client gets.

use crate::pubsub::client_output::ClientOutput;

/// Which replies a client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Silence {
    /// All of them.
    #[default]
    None,
    /// None of them.
    All,
    /// Not that of the next command.
    Next,
    /// Not that of the command that runs.
    This,
}

impl Silence {
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
