//! The addressees of an invocation.

/// The addressees of an invocation, on all servers.
///
/// A connection in two groups of a list receives the invocation twice.
///
/// ```
/// use backplane::Target;
///
/// let others_in_the_room = Target::group("room").except(["my connection"]);
/// assert_ne!(others_in_the_room, Target::group("room"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub(crate) to: To,
    /// Ids of connections to exclude.
    pub(crate) except: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum To {
    All,
    Groups(Vec<String>),
    Users(Vec<String>),
    Connections(Vec<String>),
}

impl Target {
    /// Addresses all connections.
    ///
    /// ```
    /// assert_eq!(backplane::Target::all(), backplane::Target::all().except([""; 0]));
    /// ```
    pub fn all() -> Self {
        Self::to(To::All)
    }

    /// Addresses the connections in a group.
    ///
    /// ```
    /// use backplane::Target;
    /// assert_eq!(Target::group("room"), Target::groups(["room"]));
    /// ```
    pub fn group(name: impl Into<String>) -> Self {
        Self::to(To::Groups(vec![name.into()]))
    }

    /// Addresses the connections in any of these groups.
    ///
    /// ```
    /// use backplane::Target;
    /// assert_ne!(Target::groups(["room", "hall"]), Target::group("room"));
    /// ```
    pub fn groups<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        Self::to(To::Groups(strings(names)))
    }

    /// Addresses all connections of a user.
    ///
    /// ```
    /// use backplane::Target;
    /// assert_eq!(Target::user("ann"), Target::users(["ann"]));
    /// ```
    pub fn user(user: impl Into<String>) -> Self {
        Self::to(To::Users(vec![user.into()]))
    }

    /// Addresses all connections of these users.
    ///
    /// ```
    /// use backplane::Target;
    /// assert_ne!(Target::users(["ann", "bob"]), Target::user("ann"));
    /// ```
    pub fn users<T: Into<String>>(users: impl IntoIterator<Item = T>) -> Self {
        Self::to(To::Users(strings(users)))
    }

    /// Addresses one connection.
    ///
    /// ```
    /// use backplane::Target;
    /// assert_eq!(Target::connection("c1"), Target::connections(["c1"]));
    /// ```
    pub fn connection(id: impl Into<String>) -> Self {
        Self::to(To::Connections(vec![id.into()]))
    }

    /// Addresses these connections.
    ///
    /// ```
    /// use backplane::Target;
    /// assert_ne!(Target::connections(["c1", "c2"]), Target::connection("c1"));
    /// ```
    pub fn connections<T: Into<String>>(ids: impl IntoIterator<Item = T>) -> Self {
        Self::to(To::Connections(strings(ids)))
    }

    /// Excludes these connections. SignalR 2 cannot escape a `|` in an id, so a connection with
    /// such an id is not excluded.
    ///
    /// ```
    /// use backplane::Target;
    /// assert_ne!(Target::all().except(["c1"]), Target::all());
    /// ```
    #[must_use]
    pub fn except<T: Into<String>>(mut self, connections: impl IntoIterator<Item = T>) -> Self {
        self.except.extend(strings(connections));
        self
    }

    fn to(to: To) -> Self {
        Self { to, except: Vec::new() }
    }
}

fn strings<T: Into<String>>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(Into::into).collect()
}
