//! Changes of groups by servers that do not have the connection.

use super::items::{Items, Malformed, Writer};

/// A change of a connection's groups. The server with the connection applies it and sends an
/// [`Ack`].
///
/// ```
/// use dialect::aspnetcore::{Action, GroupCommand};
///
/// let action = Action::Add;
/// let command =
///     GroupCommand { id: 42, server: "S", action, group: "G", connection_id: "C" };
/// assert_eq!(command.encode(), b"\x95\x2a\xa1S\x01\xa1G\xa1C");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupCommand<'a> {
    /// A number that the sender chooses, for the acknowledgement.
    pub id: i32,
    /// The name of the sender.
    pub server: &'a str,
    /// The kind of the change.
    pub action: Action,
    /// The name of the group.
    pub group: &'a str,
    /// The id of the connection.
    pub connection_id: &'a str,
}

/// The kind of a [`GroupCommand`].
///
/// ```
/// assert_ne!(dialect::aspnetcore::Action::Add, dialect::aspnetcore::Action::Other(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The connection joins the group.
    Add,
    /// The connection leaves the group.
    Remove,
    /// An action without a meaning. A server with the connection acknowledges it all the same.
    Other(u8),
}

/// The acknowledgement of a [`GroupCommand`], for its sender.
///
/// ```
/// assert_eq!(dialect::aspnetcore::Ack { id: 180 }.encode(), b"\x91\xcc\xb4");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The number of the command.
    pub id: i32,
}

impl<'a> GroupCommand<'a> {
    /// Returns the payload. See the type.
    pub fn encode(&self) -> Vec<u8> {
        let mut items = Writer::open(5);
        items.number(self.id.into());
        items.text(self.server);
        items.number(match self.action {
            Action::Add => ADD.into(),
            Action::Remove => REMOVE.into(),
            Action::Other(action) => action.into(),
        });
        items.text(self.group);
        items.text(self.connection_id);
        items.close()
    }

    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is no change of a group.
    ///
    /// ```
    /// let command = dialect::aspnetcore::GroupCommand::decode(b"\x95\x2a\xa1S\x02\xa1G\xa1C")?;
    /// assert_eq!(command.action, dialect::aspnetcore::Action::Remove);
    /// # Ok::<(), dialect::aspnetcore::Malformed>(())
    /// ```
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut items = Items::open(payload, 5)?;
        Ok(Self {
            id: items.number("a number of 32 bits")?,
            server: items.text("the name of a server")?,
            action: match items.number("an action")? {
                ADD => Action::Add,
                REMOVE => Action::Remove,
                action => Action::Other(action),
            },
            group: items.text("the name of a group")?,
            connection_id: items.text("a connection id")?,
        })
    }
}

impl Ack {
    /// Returns the payload. See the type.
    pub fn encode(self) -> Vec<u8> {
        let mut items = Writer::open(1);
        items.number(self.id.into());
        items.close()
    }

    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is no acknowledgement.
    ///
    /// ```
    /// assert_eq!(dialect::aspnetcore::Ack::decode(&[0x91, 0x2a])?.id, 42);
    /// # Ok::<(), dialect::aspnetcore::Malformed>(())
    /// ```
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut items = Items::open(payload, 1)?;
        Ok(Self { id: items.number("a number of 32 bits")? })
    }
}

const ADD: u8 = 1;
const REMOVE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_those_of_upstream() {
        for (id, payload) in [
            (0, &b"\x91\x00"[..]),
            (42, b"\x91\x2a"),
            (180, b"\x91\xcc\xb4"),
            (384, b"\x91\xcd\x01\x80"),
            (70_000, b"\x91\xce\x00\x01\x11\x70"),
        ] {
            assert_eq!(Ack { id }.encode(), payload);
            assert_eq!(Ack::decode(payload), Ok(Ack { id }));
        }
        for (action, payload) in [
            (Action::Add, b"\x95\x2a\xa1S\x01\xa1G\xa1C"),
            (Action::Remove, b"\x95\x2a\xa1S\x02\xa1G\xa1C"),
            (Action::Other(3), b"\x95\x2a\xa1S\x03\xa1G\xa1C"),
        ] {
            let command =
                GroupCommand { id: 42, server: "S", action, group: "G", connection_id: "C" };
            assert_eq!(command.encode(), payload);
            assert_eq!(GroupCommand::decode(payload), Ok(command));
        }
    }

    #[test]
    fn a_number_of_more_than_32_bits_is_malformed() {
        for payload in
            [&b"\x91\xce\x80\x00\x00\x00"[..], b"\x91\xcf\0\0\0\x01\0\0\0\0", b"\x91\xc0"]
        {
            assert_eq!(Ack::decode(payload), Err(Malformed::Unexpected("a number of 32 bits")));
        }
        assert_eq!(Ack::decode(b"\x91\xd0\xff"), Ok(Ack { id: -1 }));
    }
}
