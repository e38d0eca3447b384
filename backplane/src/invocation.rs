//! Invocations: a method of the clients, with its arguments.

use std::sync::OnceLock;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use thiserror::Error;

/// A method to invoke on clients, and its arguments as JSON.
///
/// The arguments stay text, and are not parsed on their way.
///
/// ```
/// use backplane::Invocation;
///
/// let invocation = Invocation::new("broadcastMessage", ("ann", "hi"))?;
/// assert_eq!(invocation.arguments().get(), r#"["ann","hi"]"#);
/// # Ok::<(), backplane::InvocationError>(())
/// ```
#[derive(Debug)]
pub struct Invocation {
    method: String,
    arguments: Box<RawValue>,
    /// The hub that a received invocation names.
    hub: Option<Box<str>>,
    /// The state of the caller that a server of SignalR 2 sends along.
    state: Option<Box<RawValue>>,
    encoded: [OnceLock<Bytes>; Self::FORMS],
}

/// The error for arguments that cannot be sent.
///
/// ```
/// let error = backplane::Invocation::new("say", "no array").unwrap_err();
/// assert_eq!(error.to_string(), "the arguments of 'say' must be an array or a tuple");
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvocationError {
    /// The arguments are not a JSON array.
    #[error("the arguments of '{0}' must be an array or a tuple")]
    NoArray(String),
    /// The arguments cannot be serialized as JSON.
    #[error("the arguments of '{method}' cannot be written as JSON: {source}")]
    #[non_exhaustive]
    NoJson {
        /// The name of the method.
        method: String,
        /// The error of the serializer.
        source: serde_json::Error,
    },
}

impl Invocation {
    /// Returns an invocation of `method` with `arguments`: a tuple, an array or a `Vec`. `()` and
    /// `[(); 0]` mean no arguments.
    ///
    /// # Errors
    ///
    /// If the arguments are not a JSON array, or cannot be serialized.
    ///
    /// ```
    /// use backplane::Invocation;
    /// assert!(Invocation::new("refresh", ()).is_ok());
    /// assert!(Invocation::new("say", vec![1, 2, 3]).is_ok());
    /// assert!(Invocation::new("say", "no array").is_err());
    /// ```
    pub fn new(
        method: impl Into<String>,
        arguments: impl Serialize,
    ) -> Result<Self, InvocationError> {
        let method = method.into();
        let arguments = match to_raw_value(&arguments) {
            Ok(arguments) => arguments,
            Err(source) => return Err(InvocationError::NoJson { method, source }),
        };
        Self::from_raw(method, arguments)
    }

    pub(crate) fn from_raw(
        method: String,
        arguments: Box<RawValue>,
    ) -> Result<Self, InvocationError> {
        let arguments = match arguments.get().trim_start().as_bytes().first() {
            Some(b'[') => arguments,
            // serde serializes the empty tuple as null.
            _ if arguments.get() == "null" => {
                RawValue::from_string("[]".to_owned()).expect("an empty array is JSON")
            }
            _ => return Err(InvocationError::NoArray(method)),
        };
        Ok(Self { method, arguments, hub: None, state: None, encoded: Default::default() })
    }

    /// Adds the hub and the state of a received invocation.
    pub(crate) fn received(mut self, hub: Option<Box<str>>, state: Option<Box<RawValue>>) -> Self {
        (self.hub, self.state) = (hub, state);
        self
    }

    /// Returns the name of the hub whose clients receive the invocation, or `None` for an
    /// invocation that was not received from the backplane.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let chat = Backplane::embedded(&broker::Broker::new(), "ChatApp").hub("ChatHub");
    /// let mut connection = chat.attach("c1", None);
    /// chat.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// assert_eq!(connection.recv().await?.hub(), Some("ChatHub"));
    /// # Ok(()) }
    /// ```
    pub fn hub(&self) -> Option<&str> {
        self.hub.as_deref()
    }

    /// Returns the state that a server of SignalR 2 sent to its caller, a JSON object. Invocations
    /// of this crate have none.
    ///
    /// ```
    /// let invocation = backplane::Invocation::new("say", ["hi"])?;
    /// assert!(invocation.state().is_none());
    /// # Ok::<(), backplane::InvocationError>(())
    /// ```
    pub fn state(&self) -> Option<&RawValue> {
        self.state.as_deref()
    }

    /// Returns the name of the method.
    ///
    /// ```
    /// let invocation = backplane::Invocation::new("say", ["hi"])?;
    /// assert_eq!(invocation.method(), "say");
    /// # Ok::<(), backplane::InvocationError>(())
    /// ```
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the arguments, a JSON array.
    ///
    /// ```
    /// let invocation = backplane::Invocation::new("say", ["hi"])?;
    /// assert_eq!(invocation.arguments().get(), r#"["hi"]"#);
    /// # Ok::<(), backplane::InvocationError>(())
    /// ```
    pub fn arguments(&self) -> &RawValue {
        &self.arguments
    }

    /// Number of forms that [`encoded`](Self::encoded) caches.
    pub const FORMS: usize = 3;

    /// Returns the frame that `encode` makes of the invocation in one form, such as JSON. The frame
    /// is cached, so `encode` runs once a form for all receivers.
    ///
    /// # Panics
    ///
    /// Panics if `form` is not below [`FORMS`](Self::FORMS).
    ///
    /// ```
    /// let invocation = backplane::Invocation::new("say", ["hi"])?;
    /// let frame = invocation.encoded(0, |invocation| invocation.method().to_owned().into());
    /// assert_eq!(invocation.encoded(0, |_| unreachable!("it is encoded already")), frame);
    /// # Ok::<(), backplane::InvocationError>(())
    /// ```
    pub fn encoded(&self, form: usize, encode: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.encoded[form].get_or_init(|| encode(self)).clone()
    }
}
