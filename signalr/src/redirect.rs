//! The answer to a negotiation that sends the client to another server.

use std::fmt;

/// The server at which a client negotiates again.
///
/// # Examples
///
/// See [`Hub::redirect`](crate::Hub::redirect).
#[derive(Clone)]
pub struct Redirect {
    pub(crate) url: String,
    pub(crate) access_token: Option<String>,
}

impl Redirect {
    /// Sends clients to the hub at `url`, an absolute address with `http` or `https`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), access_token: None }
    }

    /// Sets the token that the client sends to the other server, in place of its own.
    #[must_use]
    pub fn with_access_token(mut self, token: impl Into<String>) -> Self {
        self.access_token = Some(token.into());
        self
    }
}

// Without the token, which must not get into a log.
impl fmt::Debug for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redirect").field("url", &self.url).finish_non_exhaustive()
    }
}
