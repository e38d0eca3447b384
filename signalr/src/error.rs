//! The error of a hub method.
//!
//! By default the client does not see the cause of an error, since it may describe the inside of
//! the server.

use std::{any, error::Error, fmt};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The error of a hub method or of `on_connected`.
///
/// The client reads the message of an error from [`HubError::new`]. The `?` operator converts any
/// other error: the client then learns that the method failed, and the server logs the cause.
///
/// `HubError` does not implement [`Error`], which would rule out the conversion from all errors.
///
/// # Examples
///
/// ```
/// use signalr::HubError;
///
/// fn parse(room: &str) -> Result<u32, HubError> {
///     if room.is_empty() {
///         return Err(HubError::new("a room has a number")); // the client reads this text
///     }
///     Ok(room.parse()?) // the client does not read the cause
/// }
/// assert_eq!(parse("").unwrap_err().message(), Some("a room has a number"));
/// assert_eq!(parse("x").unwrap_err().message(), None);
/// ```
pub struct HubError {
    cause: Cause,
    data: Option<Box<RawValue>>,
}

enum Cause {
    Public(String),
    Hidden { kind: &'static str, source: Box<dyn Error + Send + Sync> },
}

impl HubError {
    /// Creates an error with a message for the client.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::HubError;
    ///
    /// let error = HubError::new("the room is full");
    /// assert_eq!(error.to_string(), "the room is full");
    /// # Ok(()) }
    /// ```
    pub fn new(message: impl Into<String>) -> Self {
        Self { cause: Cause::Public(message.into()), data: None }
    }

    /// Adds data for the program of a SignalR 2 client, which reads it beside the message. .NET's
    /// servers call it `ErrorData`. Other clients do not receive it, nor do clients that do not see
    /// the cause.
    ///
    /// # Errors
    ///
    /// Returns an error if the data cannot be written as JSON.
    ///
    /// # Examples
    ///
    /// ```
    /// use signalr::HubError;
    ///
    /// fn join(members: u32) -> Result<(), HubError> {
    ///     if members == 10 {
    ///         return Err(HubError::new("the room is full").with_data(members)?);
    ///     }
    ///     Ok(())
    /// }
    /// assert_eq!(join(10).unwrap_err().message(), Some("the room is full"));
    /// ```
    pub fn with_data(mut self, data: impl Serialize) -> Result<Self, serde_json::Error> {
        self.data = Some(to_raw_value(&data)?);
        Ok(self)
    }

    pub(crate) fn data(&self) -> Option<&RawValue> {
        self.data.as_deref()
    }

    /// Returns the message for the client, or `None` if the client does not see the cause.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::HubError;
    ///
    /// assert_eq!(HubError::new("full").message(), Some("full"));
    /// let hidden = HubError::from(std::io::Error::other("disk /dev/sda1 failed"));
    /// assert_eq!(hidden.message(), None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match &self.cause {
            Cause::Public(message) => Some(message),
            Cause::Hidden { .. } => None,
        }
    }

    /// Returns the error with all its causes, in the form that clients with details read.
    pub(crate) fn details(&self) -> String {
        match &self.cause {
            Cause::Public(message) => format!("HubException: {message}"),
            Cause::Hidden { kind, source } => {
                let mut text = format!("{kind}: {source}");
                let mut cause = source.source();
                while let Some(error) = cause {
                    text = format!("{text}: {error}");
                    cause = error.source();
                }
                text
            }
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for HubError {
    fn from(error: E) -> Self {
        let path = any::type_name::<E>();
        let kind = path.rsplit("::").next().unwrap_or(path);
        Self { cause: Cause::Hidden { kind, source: Box::new(error) }, data: None }
    }
}

impl fmt::Debug for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HubError").field(&self.details()).finish()
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Public(message) => f.write_str(message),
            Cause::Hidden { source, .. } => source.fmt(f),
        }
    }
}
