//! Invocations of clients, with their hub messages.

use super::items::{Items, Malformed, Writer};

/// An invocation for the clients of a channel: one hub message for each encoding.
///
/// A server of ASP.NET Core ends a connection whose encoding is missing. So senders write the
/// messages of all encodings that a client of the app may use.
///
/// ```
/// use dialect::aspnetcore::Envelope;
///
/// let frames = vec![("json", &b"{\"type\":6}\x1e"[..]), ("messagepack", b"\x02\x91\x06")];
/// let envelope = Envelope { excluded: vec!["c1"], frames, reply_to: None };
/// let payload = envelope.encode();
/// let read = Envelope::decode(&payload)?;
/// assert_eq!(read.frame("messagepack"), Some(&b"\x02\x91\x06"[..]));
/// # Ok::<(), dialect::aspnetcore::Malformed>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The ids of connections that do not get the message. Servers of ASP.NET Core ignore them on
    /// the channels of connections and users.
    pub excluded: Vec<&'a str>,
    /// Names of encodings, each with its hub message.
    pub frames: Vec<(&'a str, &'a [u8])>,
    /// The address of the result, if the sender waits for one.
    pub reply_to: Option<ReplyTo<'a>>,
}

/// The address of a client's result.
///
/// ```
/// let reply_to = dialect::aspnetcore::ReplyTo {
///     invocation_id: "vKr2puvXD0es2BzOke8sMQ",
///     channel: "ChatApp.ChatHub:internal:return:web_0",
/// };
/// assert_eq!(reply_to.invocation_id.len(), 22);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo<'a> {
    /// The id of the invocation, which is also in its hub messages.
    pub invocation_id: &'a str,
    /// The channel for the Completion, without a prefix.
    pub channel: &'a str,
}

impl<'a> Envelope<'a> {
    /// Returns the payload.
    ///
    /// # Panics
    ///
    /// If a part of it exceeds 4 GiB.
    ///
    /// ```
    /// assert_eq!(dialect::aspnetcore::Envelope::default().encode(), [0x92, 0x90, 0x80]);
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let mut items = Writer::open(if self.reply_to.is_some() { 4 } else { 2 });
        items.array(self.excluded.len());
        self.excluded.iter().for_each(|id| items.text(id));
        items.map(self.frames.len());
        for (encoding, frame) in &self.frames {
            items.text(encoding);
            items.bytes(frame);
        }
        if let Some(reply_to) = &self.reply_to {
            items.text(reply_to.invocation_id);
            items.text(reply_to.channel);
        }
        items.close()
    }

    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is no envelope.
    ///
    /// ```
    /// assert!(dialect::aspnetcore::Envelope::decode(b"hello").is_err());
    /// ```
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut items = Items::open(payload, 2)?;
        let mut excluded = Vec::new();
        for _ in 0..items.array("an array of connection ids")? {
            excluded.push(items.text("a connection id")?);
        }
        let mut frames = Vec::new();
        for _ in 0..items.map("a map of hub messages")? {
            frames.push((items.text("the name of an encoding")?, items.bytes("a hub message")?));
        }
        let reply_to = match items.length {
            // ASP.NET Core looks for the address behind more than three items.
            4.. => Some(ReplyTo {
                invocation_id: items.text("the id of an invocation")?,
                channel: items.text("a channel for the result")?,
            }),
            _ => None,
        };
        Ok(Self { excluded, frames, reply_to })
    }

    /// Returns the hub message for clients with this encoding.
    ///
    /// ```
    /// assert_eq!(dialect::aspnetcore::Envelope::default().frame("json"), None);
    /// ```
    pub fn frame(&self, encoding: &str) -> Option<&'a [u8]> {
        self.frames.iter().find(|(name, _)| *name == encoding).map(|(_, frame)| *frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: &[(&str, &[u8])] = &[("p1", &[0x2a]), ("p2", &[0x2a])];

    #[test]
    fn payloads_are_those_of_upstream() {
        let frames = b"\x82\xa2p1\xc4\x01\x2a\xa2p2\xc4\x01\x2a";
        check(&[], &[b"\x92\x90", &frames[..]].concat());
        check(&["a"], &[b"\x92\x91\xa1a", &frames[..]].concat());
        let six = b"\x92\x96\xa1a\xa1b\xa1c\xa1d\xa1e\xa1f";
        check(&["a", "b", "c", "d", "e", "f"], &[&six[..], frames].concat());
    }

    #[test]
    fn an_announced_length_reserves_no_memory() {
        for payload in [
            &b"\x92\xdd\xff\xff\xff\xff"[..],
            b"\x92\x90\xdf\xff\xff\xff\xff",
            b"\x92\x90\x81\xa4json\xc6\xff\xff\xff\xff",
            b"\xdd\xff\xff\xff\xff\x90\x80",
        ] {
            assert!(matches!(Envelope::decode(payload), Err(Malformed::Unexpected(_))));
        }
    }

    fn check(excluded: &[&str], payload: &[u8]) {
        let envelope =
            Envelope { excluded: excluded.to_vec(), frames: FRAMES.to_vec(), reply_to: None };
        assert_eq!(envelope.encode(), payload);
        assert_eq!(Envelope::decode(payload), Ok(envelope));
    }
}
