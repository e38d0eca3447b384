//! `MODULE`: this server loads no modules.

use super::Answer;
use crate::protocol::reply::Reply;

/// `MODULE LIST`
pub(crate) fn list() -> Reply {
    Reply::Array(Vec::new())
}

/// `MODULE LOAD path [arg ...]`, `MODULE LOADEX path …` and `MODULE UNLOAD name`
pub(crate) fn refused() -> Answer {
    Err(b"ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", \
you can run it from a local connection, otherwise you need to set this option in the configuration \
file, and then restart the server."
        .to_vec())
}
