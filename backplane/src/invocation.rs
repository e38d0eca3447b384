//! Invocations: a method of the clients, with its arguments.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use dialect::Encoding;
use locks::Mutex;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use thiserror::Error;

use crate::cursor::Cursor;

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
    content: Arc<Content>,
    /// Hub messages, by their encoding.
    frames: [OnceLock<Bytes>; Encoding::ALL.len()],
    /// In the form of SignalR 2.
    signalr2: OnceLock<Bytes>,
    /// With their place. Rarely used, so in a box.
    placed: OnceLock<Box<Placed>>,
}

/// Hub messages with the place of the invocation.
#[derive(Debug)]
struct Placed {
    at: Cursor,
    frames: [OnceLock<Bytes>; Encoding::ALL.len()],
}

/// An invocation without its encoded forms.
#[derive(Debug)]
struct Content {
    method: String,
    arguments: Box<RawValue>,
    /// The hub that a received invocation names.
    hub: Option<Box<str>>,
    /// The state of the caller that a server of SignalR 2 sends along.
    state: Option<Box<RawValue>>,
}

/// An invocation in the history. Its encoded forms live as long as the queue of a connection holds
/// it, so the history has the content only.
#[derive(Debug)]
pub(crate) struct Kept {
    content: Arc<Content>,
    queued: Mutex<Weak<Invocation>>,
}

/// An invocation as SignalR 2 writes it, in its order.
#[derive(Serialize)]
struct HubInvocation<'a> {
    #[serde(rename = "H")]
    hub: &'a str,
    #[serde(rename = "M")]
    method: &'a str,
    #[serde(rename = "A")]
    arguments: &'a RawValue,
    #[serde(rename = "S", skip_serializing_if = "Option::is_none")]
    state: Option<&'a RawValue>,
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
        Self::from_raw(method, arguments, None, None)
    }

    pub(crate) fn from_raw(
        method: String,
        arguments: Box<RawValue>,
        hub: Option<Box<str>>,
        state: Option<Box<RawValue>>,
    ) -> Result<Self, InvocationError> {
        let arguments = match arguments.get().trim_start().as_bytes().first() {
            Some(b'[') => arguments,
            // serde serializes the empty tuple as null.
            _ if arguments.get() == "null" => {
                RawValue::from_string("[]".to_owned()).expect("an empty array is JSON")
            }
            _ => return Err(InvocationError::NoArray(method)),
        };
        Ok(Self::of(Arc::new(Content { method, arguments, hub, state })))
    }

    fn of(content: Arc<Content>) -> Self {
        let (signalr2, placed) = (OnceLock::new(), OnceLock::new());
        Self { content, frames: Default::default(), signalr2, placed }
    }

    /// Returns a received invocation with its hub messages, which clients get unchanged. A message
    /// that is missing is written when a client needs it. Returns `None` without one in JSON.
    pub(crate) fn of_frames(
        hub: &str,
        frames: [Option<&[u8]>; Encoding::ALL.len()],
    ) -> Option<Self> {
        let read = dialect::json::Invocation::read(frames[Encoding::Json as usize]?)?;
        let (method, arguments) = (read.target.into_owned(), read.arguments.to_owned());
        let invocation = Self::from_raw(method, arguments, Some(hub.into()), None).ok()?;
        for (cell, frame) in invocation.frames.iter().zip(frames) {
            if let Some(frame) = frame {
                // A new invocation has no messages.
                let _ = cell.set(Bytes::copy_from_slice(frame));
            }
        }
        Some(invocation)
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
        self.content.hub.as_deref()
    }

    /// Returns a received invocation as SignalR 2 writes it: hub, method, arguments, and the state
    /// of the caller, if a server of SignalR 2 has sent one. It is encoded once for all receivers.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let chat = Backplane::embedded(&broker::Broker::new(), "ChatApp").hub("ChatHub");
    /// let mut connection = chat.attach("c1", None);
    /// chat.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// let invocation = connection.recv().await?;
    /// assert_eq!(invocation.signalr2(), r#"{"H":"ChatHub","M":"say","A":["hi"]}"#);
    /// # Ok(()) }
    /// ```
    pub fn signalr2(&self) -> Bytes {
        let encode = || {
            let value = HubInvocation {
                hub: self.hub().unwrap_or_default(),
                method: self.method(),
                arguments: self.arguments(),
                state: self.content.state.as_deref(),
            };
            serde_json::to_vec(&value).expect("strings and raw JSON can be written").into()
        };
        self.signalr2.get_or_init(encode).clone()
    }

    /// Returns the name of the method.
    ///
    /// ```
    /// let invocation = backplane::Invocation::new("say", ["hi"])?;
    /// assert_eq!(invocation.method(), "say");
    /// # Ok::<(), backplane::InvocationError>(())
    /// ```
    pub fn method(&self) -> &str {
        &self.content.method
    }

    /// Returns the arguments, a JSON array.
    ///
    /// ```
    /// let invocation = backplane::Invocation::new("say", ["hi"])?;
    /// assert_eq!(invocation.arguments().get(), r#"["hi"]"#);
    /// # Ok::<(), backplane::InvocationError>(())
    /// ```
    pub fn arguments(&self) -> &RawValue {
        &self.content.arguments
    }

    /// Returns the size of the name and the arguments.
    pub(crate) fn bytes(&self) -> usize {
        self.method().len() + self.arguments().get().len()
    }

    /// Returns the hub message for clients with this encoding. It is written once for all of them.
    ///
    /// ```
    /// use dialect::Encoding;
    ///
    /// let invocation = backplane::Invocation::new("say", ["hi"])?;
    /// let frame = invocation.frame(Encoding::Json);
    /// assert_eq!(frame, "{\"type\":1,\"target\":\"say\",\"arguments\":[\"hi\"]}\u{1e}");
    /// # Ok::<(), backplane::InvocationError>(())
    /// ```
    pub fn frame(&self, encoding: Encoding) -> Bytes {
        let encode = || encoding.invocation(None, self.method(), self.arguments());
        self.frames[encoding as usize].get_or_init(encode).clone()
    }

    /// Returns the hub message with one more argument behind the others: a place, as text. It is
    /// written once for all clients that receive the invocation at the same place.
    ///
    /// ```
    /// use dialect::Encoding;
    ///
    /// let invocation = backplane::Invocation::new("say", ["hi"])?;
    /// let frame = invocation.frame_at(Encoding::Json, "s-0,4AC5".parse()?);
    /// let expected = "{\"type\":1,\"target\":\"say\",\"arguments\":[\"hi\",\"s-0,4AC5\"]}\u{1e}";
    /// assert_eq!(frame, expected);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn frame_at(&self, encoding: Encoding, at: Cursor) -> Bytes {
        let encode = || encoding.invocation(None, self.method(), &with_place(self.arguments(), at));
        let placed =
            self.placed.get_or_init(|| Box::new(Placed { at, frames: Default::default() }));
        match placed.at == at {
            true => placed.frames[encoding as usize].get_or_init(encode).clone(),
            false => encode(),
        }
    }
}

/// Returns arguments with a place behind them.
fn with_place(arguments: &RawValue, at: Cursor) -> Box<RawValue> {
    let arguments = arguments.get().trim();
    let inner = arguments.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let inner = inner.expect("an invocation has a JSON array").trim();
    let separator = if inner.is_empty() { "" } else { "," };
    RawValue::from_string(format!("[{inner}{separator}\"{at}\"]"))
        .expect("an array with another text is JSON")
}

impl Clone for Kept {
    fn clone(&self) -> Self {
        let queued = Mutex::new(self.queued.lock().clone());
        Self { content: self.content.clone(), queued }
    }
}

impl Kept {
    pub(crate) fn new(invocation: &Arc<Invocation>) -> Self {
        let queued = Mutex::new(Arc::downgrade(invocation));
        Self { content: invocation.content.clone(), queued }
    }

    /// Returns the invocation for the queue of a connection. All queues share its encoded forms.
    pub(crate) fn invocation(&self) -> Arc<Invocation> {
        let mut queued = self.queued.lock();
        queued.upgrade().unwrap_or_else(|| {
            let invocation = Arc::new(Invocation::of(self.content.clone()));
            *queued = Arc::downgrade(&invocation);
            invocation
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_forms_live_as_long_as_a_queue_holds_the_invocation() {
        let invocation = Arc::new(Invocation::new("say", ["hi"]).unwrap());
        let kept = Kept::new(&invocation);
        assert!(Arc::ptr_eq(&kept.invocation(), &invocation));
        let forms = [invocation.frame(Encoding::Json), invocation.signalr2()];
        drop(invocation);
        assert!(forms.iter().all(Bytes::is_unique), "the history holds an encoded form");
        let again = kept.invocation();
        assert_eq!((again.method(), again.arguments().get()), ("say", r#"["hi"]"#));
    }
}
