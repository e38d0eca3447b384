//! The names of channels.

/// A channel of a hub. Names are literal and distinguish case.
///
/// The option `ChannelPrefix` of StackExchange.Redis stands before the whole name. It is not part
/// of the names here.
///
/// ```
/// use dialect::aspnetcore::Channel;
///
/// let name = Channel::User("ann").name("ChatApp.ChatHub");
/// assert_eq!(name, "ChatApp.ChatHub:user:ann");
/// assert_eq!(Channel::parse(&name), Some(("ChatApp.ChatHub", Channel::User("ann"))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel<'a> {
    /// All connections of the hub.
    All,
    /// The connection with this id.
    Connection(&'a str),
    /// The group with this name.
    Group(&'a str),
    /// The user with this name.
    User(&'a str),
    /// Changes of groups, for all servers.
    Groups,
    /// Acknowledgements, for the server with this name.
    Ack(&'a str),
    /// Results of clients, for the server with this name.
    Return(&'a str),
}

impl<'a> Channel<'a> {
    /// Returns the name of the channel of a hub. `hub` is the full name of the hub's type, such as
    /// `ChatApp.ChatHub`.
    ///
    /// ```
    /// let name = dialect::aspnetcore::Channel::Groups.name("ChatApp.ChatHub");
    /// assert_eq!(name, "ChatApp.ChatHub:internal:groups");
    /// ```
    pub fn name(self, hub: &str) -> String {
        match self {
            Self::All => [hub, ALL].concat(),
            Self::Connection(id) => [hub, CONNECTION, id].concat(),
            Self::Group(name) => [hub, GROUP, name].concat(),
            Self::User(name) => [hub, USER, name].concat(),
            Self::Groups => [hub, GROUPS].concat(),
            Self::Ack(server) => [hub, ACK, server].concat(),
            Self::Return(server) => [hub, RETURN, server].concat(),
        }
    }

    /// Returns the hub and the channel with this name. The names of .NET types have no colon, so
    /// the hub ends at the first one.
    ///
    /// ```
    /// assert_eq!(dialect::aspnetcore::Channel::parse("news"), None);
    /// ```
    pub fn parse(name: &'a str) -> Option<(&'a str, Self)> {
        let (hub, rest) = name.split_at(name.find(':')?);
        let channel = match rest {
            ALL => Self::All,
            GROUPS => Self::Groups,
            _ => {
                type Of<'a> = fn(&'a str) -> Channel<'a>;
                let named: [(&str, Of<'a>); 5] = [
                    (CONNECTION, Self::Connection),
                    (GROUP, Self::Group),
                    (USER, Self::User),
                    (ACK, Self::Ack),
                    (RETURN, Self::Return),
                ];
                named.iter().find_map(|(kind, of)| rest.strip_prefix(kind).map(of))?
            }
        };
        Some((hub, channel))
    }
}

const ALL: &str = ":all";
const CONNECTION: &str = ":connection:";
const GROUP: &str = ":group:";
const USER: &str = ":user:";
const GROUPS: &str = ":internal:groups";
const ACK: &str = ":internal:ack:";
const RETURN: &str = ":internal:return:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_as_it_is_written() {
        for channel in [
            Channel::All,
            Channel::Connection("dTDmU7jiZTAkKHsywBklaA"),
            Channel::Group("room"),
            Channel::Group("a:all"),
            Channel::Group(":internal:groups"),
            Channel::Group("Room *?[é]"),
            Channel::Group(""),
            Channel::User("bob:group:x"),
            Channel::Groups,
            Channel::Ack("vm_a2301872631d42c99a7d4417e86f50bc"),
            Channel::Return("vm_a2301872631d42c99a7d4417e86f50bc"),
        ] {
            let name = channel.name("ChatApp.Outer+Hub`1");
            assert_eq!(Channel::parse(&name), Some(("ChatApp.Outer+Hub`1", channel)));
        }
    }

    #[test]
    fn other_names_are_no_channels() {
        for name in ["", "Hub", ":", "Hub:", "Hub:All", "Hub:all ", "Hub:internal:x", "Hub:groups"]
        {
            assert_eq!(Channel::parse(name), None, "{name}");
        }
    }
}
