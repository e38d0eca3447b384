//! Results of clients, on their way to the server that waits for them.

use super::items::{Items, Malformed, Writer};

/// The result of an invocation, as the client sent it or as its server wrote it.
///
/// ```
/// use dialect::aspnetcore::Completion;
///
/// let frame = dialect::json::completion("1", Err("Connection disconnected."));
/// let payload = Completion { encoding: "json", frame: &frame }.encode();
/// assert_eq!(Completion::decode(&payload)?.frame, frame);
/// # Ok::<(), dialect::aspnetcore::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion<'a> {
    /// The name of the encoding.
    pub encoding: &'a str,
    /// The Completion, a hub message in this encoding.
    pub frame: &'a [u8],
}

impl<'a> Completion<'a> {
    /// Returns the payload. See the type.
    pub fn encode(&self) -> Vec<u8> {
        let mut items = Writer::open(2);
        items.text(self.encoding);
        items.bytes(self.frame);
        items.close()
    }

    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is no result.
    ///
    /// ```
    /// assert!(dialect::aspnetcore::Completion::decode(b"\x91\xa4json").is_err());
    /// ```
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut items = Items::open(payload, 2)?;
        Ok(Self {
            encoding: items.text("the name of an encoding")?,
            frame: items.bytes("a hub message")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_those_of_upstream() {
        let frame = br#"{"type":3,"invocationId":"1","result":1}"#;
        check(
            Completion { encoding: "json", frame },
            &[b"\x92\xa4json\xc4\x28", &frame[..]].concat(),
        );
        let frame = b"\x95\x03\x80\xa3xyz\x03\x2a";
        let payload = [b"\x92\xabmessagepack\xc4\x09", &frame[..]].concat();
        check(Completion { encoding: "messagepack", frame }, &payload);
    }

    fn check(completion: Completion<'_>, payload: &[u8]) {
        assert_eq!(completion.encode(), payload);
        assert_eq!(Completion::decode(payload), Ok(completion));
    }
}
