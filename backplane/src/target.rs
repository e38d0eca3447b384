//! Whom an invocation is for.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// Whom an invocation is for. Connections are meant wherever they are attached.
///
/// ```
/// use backplane::Target;
///
/// let others_in_the_room = Target::group("room").except(["my connection"]);
/// assert_eq!(
///     others_in_the_room,
///     Target::Group { name: "room".into(), except: vec!["my connection".into()] }
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Target {
    /// Every connection.
    All {
        /// Connections that are left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        except: Vec<String>,
    },
    /// The connections that joined a group.
    Group {
        /// The group.
        name: String,
        /// Connections that are left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        except: Vec<String>,
    },
    /// All connections of a user.
    User(String),
    /// One connection.
    Connection(String),
}

impl Target {
    /// Every connection.
    ///
    /// ```
    /// assert_eq!(backplane::Target::all(), backplane::Target::All { except: vec![] });
    /// ```
    pub fn all() -> Self {
        Self::All { except: Vec::new() }
    }

    /// The connections that joined a group.
    ///
    /// ```
    /// use backplane::Target;
    /// assert_eq!(Target::group("room"), Target::Group { name: "room".into(), except: vec![] });
    /// ```
    pub fn group(name: impl Into<String>) -> Self {
        Self::Group { name: name.into(), except: Vec::new() }
    }

    /// All connections of a user.
    ///
    /// ```
    /// assert_eq!(backplane::Target::user("ann"), backplane::Target::User("ann".into()));
    /// ```
    pub fn user(user: impl Into<String>) -> Self {
        Self::User(user.into())
    }

    /// One connection.
    ///
    /// ```
    /// assert_eq!(backplane::Target::connection("c1"), backplane::Target::Connection("c1".into()));
    /// ```
    pub fn connection(id: impl Into<String>) -> Self {
        Self::Connection(id.into())
    }

    /// Leaves out these connections. Changes nothing for a user or a single connection.
    ///
    /// ```
    /// use backplane::Target;
    /// assert_eq!(Target::all().except(["c1"]), Target::All { except: vec!["c1".into()] });
    /// ```
    #[must_use]
    pub fn except<I>(mut self, connections: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        if let Self::All { except } | Self::Group { except, .. } = &mut self {
            except.extend(connections.into_iter().map(Into::into));
        }
        self
    }

    /// Returns the connections that are left out.
    pub(crate) fn excepted(&self) -> HashSet<&str> {
        match self {
            Self::All { except } | Self::Group { except, .. } => {
                except.iter().map(String::as_str).collect()
            }
            Self::User(_) | Self::Connection(_) => HashSet::new(),
        }
    }
}
